use std::env;

use deno_core::url::Url;

/// Returns the name of a module for display: its path relative to the current directory, or its URL.
pub(super) fn shown(module: &Url) -> String {
    let directory = env::current_dir().ok().and_then(|directory| Url::from_directory_path(directory).ok());
    match directory
        .and_then(|directory| module.as_str().strip_prefix(directory.as_str()).map(|path| format!("./{path}")))
    {
        Some(path) => path,
        None => module.to_string(),
    }
}
