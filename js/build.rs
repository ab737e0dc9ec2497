//! Transpiles the modules of OpenKV, for hosts that load JavaScript only.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "src/transpile/extension.rs"]
mod extension;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/transpile/extension.rs");
    transpile_directory("kv", "openkv", &out);
    if env::var_os("CARGO_FEATURE_RUNTIME").is_some() {
        transpile_directory("runtime", "openkv_runtime", &out);
    }
}

/// Transpiles the modules in a directory. Writes a Rust expression, a slice of their sources, to `NAME.rs`.
fn transpile_directory(name: &str, extension: &str, out: &Path) {
    // Read at run time: several checkouts may share a target directory.
    let directory = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join(name);
    // Covers the files in the directory, too.
    println!("cargo:rerun-if-changed={}", directory.display());
    let mut modules = Vec::new();
    find_modules(&directory, "", &mut modules);
    modules.sort();

    let mut sources = String::from("&[");
    for module in modules {
        let path = directory.join(&module);
        let specifier = format!("ext:{extension}/{module}");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let to = out.join(format!("{name}_{}", module.replace('/', "_")));
        fs::write(&to, extension::transpile_extension(&specifier, &text)).expect("OUT_DIR is writable");
        write!(sources, "Source {{ specifier: {specifier:?}, text: include_str!({to:?}) }},")
            .expect("writing to a string succeeds");
    }
    sources.push(']');
    fs::write(out.join(format!("{name}.rs")), sources).expect("OUT_DIR is writable");
}

/// Finds the modules within a directory. Their names are paths relative to it, with slashes.
fn find_modules(directory: &Path, prefix: &str, modules: &mut Vec<String>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", directory.display())).path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names of modules are ASCII");
        let module = format!("{prefix}{name}");
        if path.is_dir() {
            find_modules(&path, &format!("{module}/"), modules);
        } else if name.ends_with(".ts") && !name.ends_with(".d.ts") {
            modules.push(module);
        }
    }
}
