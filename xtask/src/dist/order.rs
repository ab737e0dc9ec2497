//! Builds the binary of a release, and links it a second time, laid out so that it starts fast and in little memory: the functions that
//! this very build runs at startup are grouped, instead of scattered over 60 MB, and relocations are written in a compact form.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use super::startup;

/// The arguments of the linker. The second merges functions with the same code.
const LAYOUT: [&str; 3] = ["--no-warn-symbol-ordering", "--icf=all", "--strip-all"];

/// Writes relocations in a compact form, which requires glibc 2.36.
const PACKED: [&str; 2] = ["-z", "pack-relative-relocs"];

/// Builds the binary, stripped. On x86-64 Linux, in the order of its startup. `directory` is in the target directory of cargo.
pub fn build(directory: &Path) -> Result<PathBuf, String> {
    crate::prepare()?;
    let binary = directory.with_file_name("release").join(format!("openkv{}", std::env::consts::EXE_SUFFIX));
    let mut build = crate::cargo(&["rustc", "--release", "--package", "openkv", "--bin", "openkv", "--"]);
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        let built = crate::succeeds(build.arg("-Cstrip=symbols"))?;
        return if built { Ok(binary) } else { Err("the build failed".into()) };
    }
    startup::check_valgrind()?;
    // Next to the binary, and as long as it: cargo does not link again what is up to date.
    let inputs = binary.with_file_name("link.tar");
    build.arg(record(&inputs));
    if !crate::succeeds(&mut build)? {
        return Err("the build failed".into());
    }
    let names = startup::functions(&binary)?;
    let ordered = directory.join("openkv");
    for layout in [&PACKED[..], &[]] {
        link(&inputs, &names, layout, &ordered)?;
        if crate::first_line(Command::new(&ordered).arg("-V")).is_ok() {
            return Ok(ordered);
        }
    }
    Err(format!("the linked binary {ordered:?} does not run"))
}

/// Returns the argument of rustc with which lld writes its inputs and its arguments to an archive.
fn record(inputs: &Path) -> String {
    format!("-Clink-arg=-Wl,--reproduce={}", inputs.display())
}

/// Links recorded inputs again, with the named functions first.
fn link(inputs: &Path, names: &[String], layout: &[&str], binary: &Path) -> Result<(), String> {
    let fail = |error: io::Error| format!("failed to unpack the recorded inputs of the linker {inputs:?}: {error}");
    // The directory in the archive.
    let unpacked = binary.with_file_name("link");
    let archive = fs::File::open(inputs).map_err(fail)?;
    tar::Archive::new(archive).unpack(binary.with_file_name("")).map_err(fail)?;
    fs::write(unpacked.join("order.txt"), names.join("\n")).map_err(fail)?;
    let mut lld = Command::new(lld()?);
    lld.args(["-flavor", "gnu", "@response.txt", "--symbol-ordering-file=order.txt"]).args(LAYOUT).args(layout);
    lld.arg("-o").arg(binary).current_dir(&unpacked);
    let linked = crate::succeeds(&mut lld)?;
    fs::remove_dir_all(&unpacked).map_err(fail)?;
    if linked { Ok(()) } else { Err(format!("failed to link {binary:?}")) }
}

/// Returns the linker of the Rust toolchain, which is the default one on x86-64 Linux.
fn lld() -> Result<PathBuf, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let directory = crate::first_line(Command::new(&rustc).args(["--print", "target-libdir"]))
        .map_err(|error| format!("failed to find the directory of {rustc:?}: {error}"))?;
    Ok(Path::new(&directory).with_file_name("bin").join("rust-lld"))
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn recorded_inputs_are_linked_again() {
        let directory = crate::target_directory().canonicalize().unwrap().join("dist-test");
        fs::create_dir_all(&directory).unwrap();
        let (source, first, second) = (directory.join("a.rs"), directory.join("first"), directory.join("second"));
        fs::write(&source, "fn main() { println!(\"linked\"); }").unwrap();
        let inputs = directory.join("link.tar");
        let mut rustc = Command::new("rustc");
        rustc.arg(&source).arg("-o").arg(&first).arg(record(&inputs));
        assert!(rustc.status().unwrap().success());
        link(&inputs, &["main".into()], &[], &second).unwrap();
        assert_eq!(crate::first_line(&mut Command::new(&second)).unwrap(), "linked");
        assert!(second.metadata().unwrap().len() < first.metadata().unwrap().len(), "it is stripped");
        fs::remove_dir_all(&directory).unwrap();
    }
}
