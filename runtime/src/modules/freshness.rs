//! Which modules of the graph must be read again: scripts write modules, too.

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

/// Returns what `root` needs that was `known` before and is out of date: modules that could not be loaded, and files that
/// have changed since and are not `loaded`. V8 keeps those that are. Each is returned once for a set of `checked` ones.
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

/// When a file was last written. None where it is gone: what was read of it is as good as ever.
fn modified(file: &Url) -> Option<SystemTime> {
    fs::metadata(file.to_file_path().ok()?).and_then(|metadata| metadata.modified()).ok()
}
