//! Creates the startup snapshot, with the extensions' JavaScript already evaluated. Sources that are loaded on first use are
//! not in the snapshot, but in a separate table.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{env, fs};

use deno_core::snapshot::{CreateSnapshotOptions, create_snapshot};
use deno_core::{Extension, ExtensionFileSource, JsRuntimeForSnapshot, v8, wrap_lazy_ext_script};
use deno_node::{ContextInitMode, VM_CONTEXT_INDEX, create_v8_context, init_global_template};
use openkv_js::transpile::transpile_extension;

// The build script uses only the declarations of the ops.
#[allow(dead_code, unused_imports)]
#[path = "src/extensions/mod.rs"]
mod extensions;

#[path = "build/code_cache.rs"]
mod code_cache;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    if env::args().nth(1).as_deref() == Some(code_cache::ARGUMENT) {
        return code_cache::compile(&out);
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=src/extensions");
    println!("cargo:rustc-env=OPENKV_TARGET={}", env::var("TARGET").expect("cargo sets TARGET"));

    let options = CreateSnapshotOptions {
        cargo_manifest_dir: env!("CARGO_MANIFEST_DIR"),
        startup_snapshot: None,
        skip_op_registration: false,
        extensions: extensions_with_modules(),
        extension_transpiler: Some(Rc::new(|name, text| Ok((prepare(&name, &text).into(), None)))),
        with_runtime_cb: Some(Box::new(add_vm_context)),
    };
    let snapshot = create_snapshot(options, None).unwrap_or_else(|error| panic!("{error}"));
    fs::write(out.join("snapshot.bin"), &snapshot.output).expect("OUT_DIR is writable");
    for path in &snapshot.files_loaded_during_snapshot {
        println!("cargo:rerun-if-changed={}", path.display());
    }

    let evaluated: HashSet<_> = snapshot.consumed_lazy_specifiers.into_iter().collect();
    write_lazy(&out, &evaluated);
}

/// Adds the context from which `node:vm` creates contexts.
fn add_vm_context(runtime: &mut JsRuntimeForSnapshot) {
    v8::scope!(scope, runtime.v8_isolate());
    let template = init_global_template(scope, ContextInitMode::ForSnapshot);
    let context = create_v8_context(scope, template, ContextInitMode::ForSnapshot, std::ptr::null_mut());
    assert_eq!(scope.add_context(context), VM_CONTEXT_INDEX, "deno_node expects it at this index");
}

/// Returns the extensions, with the modules of the runtime, which only the snapshot contains.
fn extensions_with_modules() -> Vec<Extension> {
    let mut extensions = extensions::extensions();
    let runtime = extensions.iter_mut().find(|extension| extension.name == "openkv_runtime");
    let runtime = runtime.expect("it is the extension of the runtime");
    let source = |module: &openkv_js::Source| ExtensionFileSource::new_computed(module.specifier, module.text.into());
    runtime.esm_files.to_mut().extend(openkv_js::RUNTIME.iter().map(source));
    runtime.esm_files.to_mut().push(source(&openkv_js::NODE_GLOBALS));
    runtime.lazy_loaded_js_files.to_mut().push(source(&openkv_js::LATER_OPS));
    extensions
}

/// Returns the source of an extension in the form in which it is loaded.
fn prepare(specifier: &str, text: &str) -> String {
    match specifier {
        // Loaded by `require`. Imports are rejected by the resolver.
        "ext:deno_node/sqlite.ts" => {
            format!("(function () {{ throw new Error({:?}); }})();", extensions::node::NO_SQLITE)
        }
        // deno_node expects its host to insert the version.
        "ext:deno_node/_process/process.ts" => {
            transpile_extension(specifier, &text.replace("__NODE_VERSION__", deno_node::NODE_VERSION))
        }
        _ => transpile_extension(specifier, text),
    }
}

/// Writes the tables of the sources that are loaded on first use.
fn write_lazy(out: &Path, evaluated: &HashSet<String>) {
    let extensions = extensions::extensions();
    let scripts = extensions.iter().flat_map(|extension| &*extension.lazy_loaded_js_files);
    let modules = extensions.iter().flat_map(|extension| &*extension.lazy_loaded_esm_files);
    let scripts = write_sources(out, scripts.filter(|file| !evaluated.contains(file.specifier)), wrap_lazy_ext_script);
    let modules = write_sources(out, modules.filter(|file| !evaluated.contains(file.specifier)), str::to_owned);
    let tables = format!("({}, {})", table(&scripts), table(&modules));
    fs::write(out.join("lazy.rs"), tables).expect("OUT_DIR is writable");
    let mut sources = Vec::new();
    for (kind, written) in [(code_cache::SCRIPT, &scripts), (code_cache::MODULE, &modules)] {
        sources.extend(written.iter().map(|(specifier, file)| (kind, *specifier, file.as_path())));
    }
    sources.sort_by_key(|(_, specifier, _)| *specifier);
    code_cache::write(out, sources.into_iter());
}

/// Writes sources to files. Returns their specifiers and files, sorted for binary search. A script is wrapped as deno_core
/// compiles it, so that V8 can use its text in the binary without a copy.
fn write_sources<'a>(
    out: &Path,
    sources: impl Iterator<Item = &'a ExtensionFileSource>,
    wrap: impl Fn(&str) -> String,
) -> Vec<(&'a str, PathBuf)> {
    let write = |source: &'a ExtensionFileSource| {
        let text = source.load().unwrap_or_else(|error| panic!("{}: {error}", source.specifier));
        let file = out.join(source.specifier.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        fs::write(&file, wrap(&prepare(source.specifier, &text))).expect("OUT_DIR is writable");
        (source.specifier, file)
    };
    let mut written: Vec<_> = sources.map(write).collect();
    written.sort();
    written
}

/// Returns the Rust source of a slice of specifiers and sources.
fn table(sources: &[(&str, PathBuf)]) -> String {
    let mut slice = String::from("&[");
    for (specifier, file) in sources {
        write!(slice, "({specifier:?}, include_str!({file:?})),").expect("writing to a string cannot fail");
    }
    slice.push(']');
    slice
}
