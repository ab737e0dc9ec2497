//! `cargo xtask docs`: builds the book of the documents in `docs`, and checks their links.

mod links;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{fs, io};

use links::Link;

use crate::tools::Tool;

const MDBOOK: Tool = Tool { name: "mdbook", version: "0.5.4", args: &[] };

/// The documents whose links are checked, in addition to those of `docs`.
const DOCUMENTS: [&str; 13] = [
    "README.md",
    "CHANGELOG.md",
    "benches/README.md",
    "benches/etcd.md",
    "benches/others.md",
    "benches/postgres.md",
    "benches/results.md",
    "benches/scale.md",
    "benches/serve.md",
    "examples/deno_kv/README.md",
    "ext/engine/README.md",
    "ext/kv/README.md",
    "fuzz/README.md",
];

/// Builds the book in `target/book`.
pub fn build(root: &Path) -> Result<ExitCode, String> {
    check_links(root)?;
    let target = crate::target_directory();
    let (source, book) = (target.join("book-source"), target.join("book"));
    stage(&root.join("docs"), &source).map_err(|error| format!("failed to copy docs to {source:?}: {error}"))?;
    let mdbook = MDBOOK.find()?;
    if !crate::succeeds(Command::new(mdbook).arg("build").arg(&source).arg("--dest-dir").arg(&book))? {
        return Ok(ExitCode::FAILURE);
    }
    eprintln!("xtask: the book is {}", book.join("index.html").display());
    Ok(ExitCode::SUCCESS)
}

/// Checks that the links of all documents lead to files, and to headings, that exist, and that the book has all documents of `docs`.
pub fn check_links(root: &Path) -> Result<(), String> {
    let mut documents: Vec<PathBuf> = DOCUMENTS.iter().map(|document| root.join(document)).collect();
    let fail = |error: io::Error| format!("failed to read the documents in docs: {error}");
    files(&root.join("docs"), &mut documents).map_err(fail)?;
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut broken = Vec::new();
    for document in &documents {
        let text = read(document)?;
        for Link { line, target, .. } in links::links(&text) {
            if let Err(reason) = check(document, target) {
                broken.push(format!("{}:{line}: {target}: {reason}", document.display()));
            }
        }
    }
    let summary = read(&root.join("docs/SUMMARY.md"))?;
    for document in &documents {
        let Ok(name) = document.strip_prefix(root.join("docs")) else { continue };
        let name = name.to_string_lossy();
        if name != "SUMMARY.md" && !links::links(&summary).iter().any(|link| link.target == name) {
            broken.push(format!("docs/SUMMARY.md has no link to {name}"));
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken links\n{}", broken.join("\n"))) }
}

/// Checks a link of a document. Those to other sites are not followed.
fn check(document: &Path, target: &str) -> Result<(), String> {
    if target.contains("://") {
        return Ok(());
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() { document.to_owned() } else { document.with_file_name(path) };
    if !file.exists() {
        return Err("no such file or directory".into());
    }
    if heading.is_empty() || links::headings(&read(&file)?).iter().any(|name| name == heading) {
        Ok(())
    } else {
        Err("no such heading".into())
    }
}

/// Copies the documents. Links that lead out of `docs` become their text: the book is read without the repository.
fn stage(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let mut paths = Vec::new();
    files(from, &mut paths)?;
    for path in paths {
        let name = path.strip_prefix(from).expect("it is a file of the directory");
        let copy = to.join(name);
        fs::create_dir_all(copy.parent().expect("it is a file of a directory"))?;
        if name.extension().is_some_and(|extension| extension == "md") {
            let depth = name.components().count() - 1;
            let leads_out = |target: &str| target.starts_with(&"../".repeat(depth + 1));
            fs::write(copy, links::without(&fs::read_to_string(&path)?, leads_out))?;
        } else {
            fs::copy(&path, copy)?;
        }
    }
    Ok(())
}

/// Adds the files of a directory, and of those in it.
fn files(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("failed to read {path:?}: {error}"))
}
