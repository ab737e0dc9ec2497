//! Detects circular dependencies between source files, which could only be understood together. A module and its parent may depend on
//! each other, as `mod.rs` often defines shared items. Names that the root of a crate re-exports are not resolved to their files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The sources to check.
const SOURCES: [&str; 5] = ["ext/connect/src", "ext/engine/src", "ext/kv/src", "runtime/src", "torture/src"];

/// The path of a module from the root of its crate.
type Module = Vec<String>;

/// Checks that there are no circular dependencies.
///
/// # Errors
/// The files of the first circle, or a file that cannot be read.
pub fn check(root: &Path) -> Result<(), String> {
    for source in SOURCES {
        if let Some(circle) = find(&root.join(source))? {
            let files: Vec<_> = circle.iter().map(|module| module.join("/")).collect();
            return Err(format!("circular dependencies in {source}: {}", files.join(", ")));
        }
    }
    Ok(())
}

fn find(source: &Path) -> Result<Option<Vec<Module>>, String> {
    let mut sources = BTreeMap::new();
    read(source, &mut Vec::new(), &mut sources)?;
    let uses: BTreeMap<_, _> =
        sources.iter().map(|(module, text)| (module.clone(), uses(module, text, &sources))).collect();
    let reached: BTreeMap<_, _> = uses.keys().map(|module| (module, reachable(module, &uses))).collect();
    let circle = |module: &&Module| reached[*module].contains(*module);
    let Some(first) = uses.keys().find(circle) else { return Ok(None) };
    let of_first = |module: &&Module| reached[first].contains(*module) && reached[*module].contains(first);
    Ok(Some(uses.keys().filter(of_first).cloned().collect()))
}

/// Reads the files of a directory, without their tests and comments. Skips the root of a crate, which names all modules.
fn read(directory: &Path, module: &mut Module, sources: &mut BTreeMap<Module, String>) -> Result<(), String> {
    let unreadable = |error| format!("{}: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            module.push(name);
            read(&path, module, sources)?;
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let text = fs::read_to_string(&path).map_err(unreadable)?;
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            let own: Module = module.iter().cloned().chain((name != "mod").then_some(name.clone())).collect();
            let is_root = own.is_empty() || (module.is_empty() && ["lib", "main"].contains(&name.as_str()));
            if !is_root {
                sources.insert(own, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    Ok(())
}

/// Returns the modules that a module names, without its ancestors and descendants.
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

/// Returns the paths in a text that start in this crate, with nested groups in braces expanded.
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

/// Reads a path, and adds it to `found`. Returns the rest of the text.
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
    fn paths_in_braces_are_expanded() {
        let text = "use crate::a::{b, c::{self, D}};\nlet x = super::e::f();";
        assert_eq!(paths(text), ["crate::a::b", "crate::a::c::self", "crate::a::c::D", "super::e::f"]);
    }

    #[test]
    fn circle_is_detected() {
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
