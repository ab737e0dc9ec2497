//! Compiles the sources that are loaded on first use, so that V8 does not have to parse them when they are.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use deno_core::{JsRuntime, RuntimeOptions, v8};

use crate::extensions::extensions;

/// The argument with which the build script runs itself.
pub const ARGUMENT: &str = "code-cache";
/// V8 copies data that is not aligned to this.
const ALIGNMENT: usize = 8;

/// The kind of a script, as an argument.
pub const SCRIPT: &str = "script";
/// The kind of an ES module, as an argument.
pub const MODULE: &str = "module";

/// Writes the code caches of sources, which are given by kind, specifier and file, in the order of their specifiers, and a table of
/// where each of them begins and ends. This takes a process of its own: V8 rejects a cache that it has written with other flags, and
/// it creates snapshots with flags that a runtime does not have.
pub fn write<'a>(out: &Path, sources: impl Iterator<Item = (&'a str, &'a str, &'a Path)>) {
    let program = env::current_exe().expect("the build script has a path");
    let mut command = Command::new(program);
    command.arg(ARGUMENT);
    for (kind, specifier, file) in sources {
        command.arg(kind).arg(specifier).arg(file);
    }
    let status = command.env("OUT_DIR", out).status().expect("the build script can be run");
    assert!(status.success(), "failed to create code caches: {status}");
}

/// Compiles the sources that `write` passes.
pub fn compile(out: &Path) {
    let snapshot = fs::read(out.join("snapshot.bin")).expect("the snapshot has been written");
    // V8 requires a tokio runtime for its tasks.
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be created");
    let _entered = tokio.enter();
    let mut js = JsRuntime::new(RuntimeOptions {
        extensions: extensions(),
        startup_snapshot: Some(Box::leak(snapshot.into_boxed_slice())),
        skip_op_registration: true,
        ..RuntimeOptions::default()
    });
    let (mut blob, mut table) = (Vec::new(), String::from("&["));
    deno_core::scope!(scope, &mut js);
    let args: Vec<_> = env::args().skip(2).collect();
    for [kind, specifier, file] in args.as_chunks().0 {
        let text = fs::read_to_string(file).expect("the source has been written");
        let start = blob.len();
        blob.extend_from_slice(&code_cache(scope, specifier, &text, kind == MODULE));
        let end = blob.len();
        write!(table, "({specifier:?}, {start}, {end}),").expect("writing to a string cannot fail");
        blob.resize(end.next_multiple_of(ALIGNMENT), 0);
    }
    table.push(']');
    fs::write(out.join("code_cache.bin"), blob).expect("OUT_DIR is writable");
    fs::write(out.join("code_cache.rs"), table).expect("OUT_DIR is writable");
}

/// Compiles a source as deno_core does.
fn code_cache(scope: &mut v8::PinScope<'_, '_>, specifier: &str, text: &str, is_module: bool) -> Vec<u8> {
    let [name, text, parameter] = [specifier, text, "__bootstrap"]
        .map(|text| v8::String::new(scope, text).expect("the text is shorter than the limit of V8"));
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, -1, None, false, false, is_module, None);
    let mut source = v8::script_compiler::Source::new(text, Some(&origin));
    let cache = if is_module {
        let module = v8::script_compiler::compile_module(scope, &mut source);
        module.and_then(|module| module.get_unbound_module_script(scope).create_code_cache())
    } else {
        let (options, reason) =
            (v8::script_compiler::CompileOptions::NoCompileOptions, v8::script_compiler::NoCacheReason::NoReason);
        let function = v8::script_compiler::compile_function(scope, &mut source, &[parameter], &[], options, reason);
        function.and_then(|function| function.create_code_cache())
    };
    cache.unwrap_or_else(|| panic!("{specifier} is not valid JavaScript")).to_vec()
}
