//! The wheel, with which pip installs the binary: it has no Python code, but the binary as a script.

use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Writes the wheel of a binary into a directory, with the Python that its users need anyway.
pub fn write(binary: &Path, directory: &Path) -> Result<(), String> {
    let fail = |error: io::Error| format!("failed to write the wheel of {binary:?}: {error}");
    let version = env!("CARGO_PKG_VERSION");
    let unpacked = directory.join("wheel");
    let tag = format!("py3-none-{}", platform(&fs::read(binary).map_err(fail)?)?);
    fill(&unpacked, version, &tag, binary).map_err(fail)?;
    let mut python = Command::new("python3");
    python.args(["-m", "zipfile", "-c"]).arg(directory.join(format!("openkv-{version}-{tag}.whl")));
    python.args([format!("openkv-{version}.data"), format!("openkv-{version}.dist-info")]).current_dir(&unpacked);
    if !crate::succeeds(&mut python)? {
        return Err("failed to pack the wheel".into());
    }
    fs::remove_dir_all(&unpacked).map_err(fail)
}

/// Writes the files of the wheel.
fn fill(directory: &Path, version: &str, tag: &str, binary: &Path) -> io::Result<()> {
    let readme = fs::read_to_string(crate::root().join("README.md"))?;
    let metadata = format!(
        "Metadata-Version: 2.4\nName: openkv\nVersion: {version}\nSummary: A TypeScript runtime with Deno KV built in\n\
         License-Expression: MIT\nLicense-File: LICENSE\nDescription-Content-Type: text/markdown\n\n{readme}"
    );
    let wheel = format!("Wheel-Version: 1.0\nGenerator: cargo xtask dist\nRoot-Is-Purelib: false\nTag: {tag}\n");
    let (info, data) = (format!("openkv-{version}.dist-info"), format!("openkv-{version}.data"));
    let script = format!("{data}/scripts/openkv{}", env::consts::EXE_SUFFIX);
    let (metadata_file, wheel_file) = (format!("{info}/METADATA"), format!("{info}/WHEEL"));
    let license_file = format!("{info}/licenses/LICENSE");
    fs::create_dir_all(directory.join(&info).join("licenses"))?;
    fs::create_dir_all(directory.join(&data).join("scripts"))?;
    // Keeps the permission to execute it.
    fs::copy(binary, directory.join(&script))?;
    fs::write(directory.join(&metadata_file), metadata)?;
    fs::write(directory.join(&wheel_file), wheel)?;
    fs::copy(crate::root().join("LICENSE"), directory.join(&license_file))?;
    let mut record = String::new();
    for name in [script, metadata_file, wheel_file, license_file] {
        let content = fs::read(directory.join(&name))?;
        let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&content));
        record += &format!("{name},sha256={hash},{}\n", content.len());
    }
    let name = format!("{info}/RECORD");
    record += &format!("{name},,\n");
    fs::write(directory.join(name), record)
}

/// Returns the tag of the platforms on which a binary runs.
fn platform(binary: &[u8]) -> Result<String, String> {
    let architecture = env::consts::ARCH;
    match env::consts::OS {
        "linux" => Ok(format!("manylinux_2_{}_{architecture}", glibc(binary))),
        "macos" if architecture == "aarch64" => Ok("macosx_11_0_arm64".into()),
        "macos" => Ok(format!("macosx_11_0_{architecture}")),
        "windows" if architecture == "x86_64" => Ok("win_amd64".into()),
        system => Err(format!("wheels of {system} on {architecture} have no known tag")),
    }
}

/// Returns the minor version of glibc 2 that a binary requires: the highest of the versions of symbols that it names. Compact
/// relocations require 2.36.
fn glibc(binary: &[u8]) -> u32 {
    let versions = positions(binary, b"\0GLIBC_2.").map(|start| {
        let digits = binary[start..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number: u32, digit| number.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
    });
    let compact = positions(binary, b"\0GLIBC_ABI_DT_RELR\0").map(|_| 36);
    versions.chain(compact).max().unwrap_or_default()
}

/// Returns the positions after each occurrence of a pattern.
fn positions<'a>(bytes: &'a [u8], pattern: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let windows = bytes.windows(pattern.len()).enumerate();
    windows.filter(move |(_, window)| *window == pattern).map(|(start, _)| start + pattern.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highest_version_of_symbols_is_required() {
        assert_eq!(glibc(b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0"), 34);
        assert_eq!(glibc(b"\0GLIBC_2.34\0GLIBC_ABI_DT_RELR\0"), 36);
    }
}
