//! `cargo xtask dist`: makes the files of a release, in `target/dist`.

mod licenses;
mod order;
mod packages;
pub mod root;
mod startup;
mod wheel;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::tools::Tool;

const CYCLONEDX: Tool = Tool { name: "cargo-cyclonedx", version: "0.5.9", args: &["--debug"] };

/// The name of the list of dependencies, without its extension.
const SBOM: &str = "openkv.cdx";

/// The shells, and the files in which they expect the completions.
const COMPLETIONS: [(&str, &str); 4] =
    [("bash", "openkv.bash"), ("elvish", "openkv.elv"), ("fish", "openkv.fish"), ("zsh", "_openkv")];

/// The documents in the archive.
const DOCUMENTS: [&str; 3] = ["CHANGELOG.md", "LICENSE", "README.md"];

/// Makes a release: of a new build, or of the binary after `--openkv`.
pub fn dist(args: &[OsString]) -> Result<ExitCode, String> {
    let directory = crate::target_directory().join("dist");
    let fail = |error: io::Error| format!("failed to write to {directory:?}: {error}");
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(fail)?;
    }
    fs::create_dir_all(&directory).map_err(fail)?;
    let directory = directory.canonicalize().map_err(fail)?;
    let binary = match args {
        [] => order::build(&directory)?,
        [flag, path] if flag == "--openkv" => PathBuf::from(path).canonicalize().map_err(fail)?,
        _ => return Err("`dist` has only the flag --openkv PATH".into()),
    };
    check_version(&binary)?;
    let name = format!("openkv-{}-{}", env!("CARGO_PKG_VERSION"), crate::target()?);
    let unpacked = directory.join(&name);
    let program = unpacked.join(format!("openkv{}", env::consts::EXE_SUFFIX));
    fill(&unpacked, &binary, &program)?;
    archive(&unpacked, &directory.join(format!("{name}.tar.gz"))).map_err(fail)?;
    fs::copy(unpacked.join("openkv.cdx.json"), directory.join(format!("{name}.cdx.json"))).map_err(fail)?;
    wheel::write(&program, &directory)?;
    root::check(&program)?;
    fs::remove_dir_all(&unpacked).map_err(fail)?;
    if binary.starts_with(&directory) {
        // The binary that was linked in the directory is in the archive now.
        fs::remove_file(&binary).map_err(fail)?;
    }
    let sums = checksums(&directory).map_err(fail)?;
    fs::write(directory.join("SHA256SUMS"), &sums).map_err(fail)?;
    print!("{sums}");
    eprintln!("xtask: the release is in {}", directory.display());
    Ok(ExitCode::SUCCESS)
}

/// Checks that the binary has the version of the workspace.
fn check_version(binary: &Path) -> Result<(), String> {
    let line = crate::first_line(Command::new(binary).arg("-V"))
        .map_err(|error| format!("failed to run {binary:?}: {error}"))?;
    let expected = concat!("openkv ", env!("CARGO_PKG_VERSION"));
    if line == expected { Ok(()) } else { Err(format!("{binary:?} is {line:?}, not {expected:?}")) }
}

/// Fills the directory of the archive.
fn fill(directory: &Path, binary: &Path, program: &Path) -> Result<(), String> {
    let fail = |error: io::Error| format!("failed to write to {directory:?}: {error}");
    let (completions, man) = (directory.join("completions"), directory.join("man"));
    fs::create_dir_all(&completions).map_err(fail)?;
    fs::create_dir_all(&man).map_err(fail)?;
    fs::copy(binary, program).map_err(fail)?;
    for document in DOCUMENTS {
        fs::copy(crate::root().join(document), directory.join(document)).map_err(fail)?;
    }
    for (shell, file) in COMPLETIONS {
        let output = Command::new(binary).args(["completions", shell]).output().map_err(fail)?;
        if !output.status.success() {
            return Err(format!("failed to print the completions of {shell}"));
        }
        fs::write(completions.join(file), output.stdout).map_err(fail)?;
    }
    if !crate::succeeds(Command::new(binary).arg("man").arg(&man))? {
        return Err("failed to write the man pages".into());
    }
    fs::write(directory.join("LICENSES-OF-DEPENDENCIES.txt"), licenses::texts()?).map_err(fail)?;
    write_sbom(&directory.join("openkv.cdx.json"))
}

/// Writes the list of the crates in the binary, in the format CycloneDX.
fn write_sbom(path: &Path) -> Result<(), String> {
    let mut cyclonedx = Command::new(CYCLONEDX.find()?);
    cyclonedx.args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--no-build-deps", "--quiet"]);
    cyclonedx.args(["--override-filename", SBOM, "--target", &crate::target()?]).current_dir(crate::root());
    let listed = crate::succeeds(&mut cyclonedx)?;
    // The program writes a file for each crate of the workspace.
    let mut text = None;
    for member in packages::members()? {
        let file = member.with_file_name(format!("{SBOM}.json"));
        if member.ends_with("runtime/Cargo.toml") {
            text = fs::read(&file).ok();
        }
        let _ = fs::remove_file(&file);
    }
    match text {
        Some(text) if listed => fs::write(path, text).map_err(|error| format!("failed to write {path:?}: {error}")),
        _ => Err("failed to list the dependencies".into()),
    }
}

/// Packs a directory.
fn archive(directory: &Path, archive: &Path) -> io::Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(File::create(archive)?, Compression::best()));
    tar.mode(tar::HeaderMode::Deterministic);
    tar.append_dir_all(directory.file_name().unwrap_or_default(), directory)?;
    tar.into_inner()?.finish()?;
    Ok(())
}

/// Returns the checksums of the files in a directory, in the format of `sha256sum`.
fn checksums(directory: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let mut hash = Sha256::new();
        io::copy(&mut File::open(entry.path())?, &mut hash)?;
        lines.push((entry.file_name(), hash.finalize()));
    }
    lines.sort();
    Ok(lines.iter().map(|(name, hash)| format!("{hash:x}  {}\n", name.display())).collect())
}
