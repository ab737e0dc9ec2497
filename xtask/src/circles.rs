//! Circles between source files: two files, or more in a row, that use each other. A reader would have to know all of them to
//! understand one. A module and its parent may, as where `mod.rs` defines what its files have in common. Names that the root of a crate
//! re-exports are not followed to their files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The sources that have none.
const SOURCES: [&str; 5] = ["ext/connect/src", "ext/engine/src", "ext/kv/src", "runtime/src", "torture/src"];

/// A module by its names from the root of its crate on.
type Module = Vec<String>;

/// Checks that there are no circles.
///
/// # Errors
/// The files of the first circle that was found, or one that cannot be read.
pub fn check(root: &Path) -> Result<(), String> {
    for source in SOURCES {
        if let Some(circle) = find(&root.join(source))? {
            let files: Vec<_> = circle.iter().map(|module| module.join("/")).collect();
            return Err(format!("these files of {source} use each other in a circle: {}", files.join(", ")));
        }
    }
    Ok(())
}

fn find(source: &Path) -> Result<Option<Vec<Module>>, String> {
    let mut texts = BTreeMap::new();
    read(source, &mut Vec::new(), &mut texts)?;
    let uses: BTreeMap<_, _> =
        texts.iter().map(|(module, text)| (module.clone(), uses(module, text, &texts))).collect();
    let reached: BTreeMap<_, _> = uses.keys().map(|module| (module, reachable(module, &uses))).collect();
    let circle = |module: &&Module| reached[*module].contains(*module);
    let Some(first) = uses.keys().find(circle) else { return Ok(None) };
    let of_first = |module: &&Module| reached[first].contains(*module) && reached[*module].contains(first);
    Ok(Some(uses.keys().filter(of_first).cloned().collect()))
}

/// Reads the files of a directory, without their tests and comments. The root of a crate is left out: it names all modules.
fn read(directory: &Path, module: &mut Module, texts: &mut BTreeMap<Module, String>) -> Result<(), String> {
    let unreadable = |error| format!("{}: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            module.push(name);
            read(&path, module, texts)?;
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let text = fs::read_to_string(&path).map_err(unreadable)?;
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            let own: Module = module.iter().cloned().chain((name != "mod").then_some(name.clone())).collect();
            let is_root = own.is_empty() || (module.is_empty() && ["lib", "main"].contains(&name.as_str()));
            if !is_root {
                texts.insert(own, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    Ok(())
}

/// The modules that a module names, but for its parents and its children.
fn uses(module: &Module, text: &str, all: &BTreeMap<Module, String>) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    for path in paths(text) {
        let mut names: Vec<&str> = path.split("::").collect();
        let mut from = module.clone();
        match names[0] {
            "crate" => from.clear(),
            "super" | "self" => {}
            _ => continue,
        }
        while ["crate", "super", "self"].contains(names.first().unwrap_or(&"")) {
            if names.remove(0) == "super" {
                from.pop();
            }
        }
        from.extend(names.into_iter().map(String::from));
        while !from.is_empty() && !all.contains_key(&from) {
            from.pop();
        }
        if !from.is_empty() && !from.starts_with(module) && !module.starts_with(&from) {
            found.insert(from);
        }
    }
    found
}

/// The paths in a text that begin in this crate, each with all of its names. Those in braces stand for one path each.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            expand(&text[at..], String::new(), &mut found);
        }
    }
    found
}

/// Reads a path, and adds it to `found`. Returns what follows it.
fn expand<'a>(text: &'a str, prefix: String, found: &mut Vec<String>) -> &'a str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    let mut rest = &text[end..];
    if !(path.ends_with("::") && rest.starts_with('{')) {
        found.push(path.trim_end_matches(':').into());
        return rest;
    }
    loop {
        rest = expand(rest[1..].trim_start(), path.clone(), found).trim_start();
        if !rest.starts_with(',') {
            return rest.strip_prefix('}').unwrap_or(rest);
        }
    }
}

fn reachable(module: &Module, uses: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<_> = uses[module].iter().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module.clone()) {
            next.extend(&uses[module]);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_braces_are_read() {
        let text = "use crate::a::{b, c::{self, D}};\nlet x = super::e::f();";
        assert_eq!(paths(text), ["crate::a::b", "crate::a::c::self", "crate::a::c::D", "super::e::f"]);
    }

    #[test]
    fn circle_is_found() {
        let directory = std::env::temp_dir().join(format!("openkv-circles-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in [
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use super::c;"),
            ("c.rs", "use crate::a::A;"),
            ("d.rs", "use crate::a;"),
        ] {
            fs::write(directory.join(name), text).unwrap();
        }
        let circle = find(&directory).unwrap().unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(circle, [["a"], ["b"], ["c"]]);
    }
}
