//! The licences of the crates in the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::packages::{self, Package};

/// How the names of files with a licence begin.
const FILES: [&str; 5] = ["copying", "copyright", "license", "licence", "unlicense"];

/// How deep in a crate the directories with the sources of C libraries are.
const DEPTH: u32 = 2;

/// Returns the texts of the licences, each once, with the crates under it.
pub fn texts() -> Result<String, String> {
    let packages = packages::linked()?;
    let mut by_text: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut without = BTreeSet::new();
    for Package { title, manifest, license } in &packages {
        let texts = texts_of(manifest)?;
        if texts.is_empty() {
            without.insert(format!("{title}: {license}"));
        }
        for text in texts {
            by_text.entry(text).or_default().insert(title);
        }
    }
    let mut result = String::from("OpenKV contains the following crates, under their licenses.\n");
    for (text, titles) in by_text {
        let titles: Vec<_> = titles.into_iter().collect();
        result += &format!("\n{}\n{}\n\n{text}\n", "-".repeat(80), titles.join("\n"));
    }
    if !without.is_empty() {
        let without: Vec<_> = without.into_iter().collect();
        result += &format!("\n{}\nThese crates only name their licenses:\n\n{}\n", "-".repeat(80), without.join("\n"));
    }
    Ok(result)
}

/// Returns the texts of the licences of a crate, by its manifest: also those of the C libraries in it.
fn texts_of(manifest: &Path) -> Result<Vec<String>, String> {
    let directory = manifest.with_file_name("");
    let fail = |error| format!("failed to read the licenses in {directory:?}: {error}");
    let mut paths = Vec::new();
    find(&directory, DEPTH, &mut paths).map_err(fail)?;
    paths.sort();
    let text = |path: &PathBuf| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
    paths.iter().map(|path| Ok(text(path).map_err(fail)?.trim().to_owned())).collect()
}

/// Adds the files with licences in a directory and those below it.
fn find(directory: &Path, depth: u32, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_dir() && depth > 0 {
            find(&path, depth - 1, paths)?;
        } else if path.is_file() && FILES.iter().any(|start| name.starts_with(start)) {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licenses_of_bundled_libraries_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let library = directory.path().join("src/library");
        fs::create_dir_all(&library).unwrap();
        fs::write(directory.path().join("LICENSE-MIT"), "of the crate\r\n").unwrap();
        fs::write(library.join("COPYING"), "of the library").unwrap();
        fs::write(library.join("library.c"), "").unwrap();
        let texts = texts_of(&directory.path().join("Cargo.toml")).unwrap();
        assert_eq!(texts, ["of the crate", "of the library"]);
    }
}
