//! Finds the modules of a graph that must be read again, as scripts may write modules.

use std::collections::HashSet;
use std::fs;
use std::time::SystemTime;

use deno_core::url::Url;
use deno_graph::{CheckJsOption, GraphKind, ModuleEntryRef, ModuleGraph, WalkOptions};

/// Follows the imports that a module needs before it runs.
pub(super) const WALK: WalkOptions<'static> = WalkOptions {
    check_js: CheckJsOption::True,
    follow_dynamic: false,
    kind: GraphKind::CodeOnly,
    prefer_fast_check_graph: false,
};

/// Returns the modules needed by `root` that were `known` before and are out of date: those that failed to load, and files
/// changed since they were read. Files that V8 has already `loaded` are excluded. Each module is returned once for a set of
/// `checked` ones.
pub(super) fn stale(
    graph: &ModuleGraph,
    known: &ModuleGraph,
    root: &Url,
    loaded: impl Fn(&Url) -> bool,
    checked: &mut HashSet<Url>,
) -> Vec<Url> {
    let needed = graph.walk(std::iter::once(root), WALK).filter_map(|(specifier, entry)| {
        let is_stale = match entry {
            ModuleEntryRef::Module(module) => {
                !loaded(specifier)
                    && module.mtime().is_some_and(|read| modified(specifier).is_some_and(|now| now != read))
            }
            ModuleEntryRef::Err(_) => true,
            ModuleEntryRef::Redirect(_) => false,
        };
        (is_stale && !matches!(known.try_get(specifier), Ok(None))).then(|| specifier.clone())
    });
    needed.collect::<Vec<_>>().into_iter().filter(|specifier| checked.insert(specifier.clone())).collect()
}

/// Returns the modification time of a file, or `None` if the file no longer exists: its source as read remains valid.
fn modified(file: &Url) -> Option<SystemTime> {
    fs::metadata(file.to_file_path().ok()?).and_then(|metadata| metadata.modified()).ok()
}
