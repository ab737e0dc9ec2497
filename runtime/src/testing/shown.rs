use std::env;

use deno_core::url::Url;

/// How a module is named to the user: by its path in the current folder.
pub(super) fn shown(module: &Url) -> String {
    let folder = env::current_dir().ok().and_then(|folder| Url::from_directory_path(folder).ok());
    match folder.and_then(|folder| module.as_str().strip_prefix(folder.as_str()).map(|path| format!("./{path}"))) {
        Some(path) => path,
        None => module.to_string(),
    }
}
