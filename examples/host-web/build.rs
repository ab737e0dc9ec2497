//! Creates the snapshot of the host.

use std::path::{Path, PathBuf};
use std::{env, fs};

use deno_core::snapshot::{CreateSnapshotOptions, create_snapshot};
use openkv_ext::Options;

#[path = "src/extensions.rs"]
mod extensions;

fn main() {
    let snapshot = create_snapshot(
        CreateSnapshotOptions {
            cargo_manifest_dir: env!("CARGO_MANIFEST_DIR"),
            startup_snapshot: None,
            skip_op_registration: false,
            // The options only apply at run time.
            extensions: extensions::extensions(Options::memory()),
            extension_transpiler: None,
            with_runtime_cb: None,
        },
        None,
    );
    let snapshot = snapshot.unwrap_or_else(|error| panic!("{error}"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("snapshot.bin"), snapshot.output).expect("OUT_DIR is writable");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/extensions.rs");
    println!("cargo:rerun-if-changed={}", Path::new("js/global.js").display());
}
