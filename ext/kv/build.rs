//! Transpiles the shim, so that the extension works in hosts that know only JavaScript.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

const MODULES: [&str; 20] = [
    "atomic.ts",
    "blob.ts",
    "classes.ts",
    "describe.ts",
    "errors.ts",
    "global.ts",
    "kv.ts",
    "list.ts",
    "message.ts",
    "mod.ts",
    "mutation.ts",
    "open.ts",
    "options.ts",
    "queue.ts",
    "read.ts",
    "report.ts",
    "selector.ts",
    "u64.ts",
    "watch.ts",
    "write.ts",
];

fn main() {
    // As it is when this runs: a target directory may serve several checkouts.
    let source = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("js");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-changed=build.rs");

    let mut list = String::from("[");
    for name in MODULES {
        let path = source.join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        let specifier = format!("ext:openkv/{name}");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let to = out.join(name);
        fs::write(&to, openkv_transpile::transpile_extension(&specifier, &text)).expect("OUT_DIR is writable");
        write!(list, "ExtensionFileSource::new({specifier:?}, deno_core::ascii_str_include!({to:?})),")
            .expect("a string takes all");
    }
    list.push(']');
    fs::write(out.join("shim.rs"), list).expect("OUT_DIR is writable");
}
