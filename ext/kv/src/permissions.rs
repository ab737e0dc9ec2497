//! Rules for the files that scripts may open, for [`Options::permissions`](crate::Options::permissions).

use std::path::{Component, Path, PathBuf};

use deno_core::OpState;
use deno_error::JsErrorBox;

/// Denies all files except the default database. This is the default.
///
/// # Errors
/// Always [`denied`].
pub fn none(_: &mut OpState, path: &Path) -> Result<PathBuf, JsErrorBox> {
    Err(denied(path))
}

/// Allows every file.
///
/// # Errors
/// Never fails.
pub fn all(_: &mut OpState, path: &Path) -> Result<PathBuf, JsErrorBox> {
    Ok(without_links(path))
}

/// Allows files in a directory and its subdirectories. A relative path is resolved against the directory. A path that contains a
/// symbolic link cannot be opened, so that none leads out of the directory. When a file is opened, its directory must exist.
pub fn within(
    directory: impl Into<PathBuf>,
) -> impl Fn(&mut OpState, &Path) -> Result<PathBuf, JsErrorBox> + Send + Sync + 'static {
    let directory = directory.into();
    move |_, path| {
        let root = directory.canonicalize().map_err(|_| denied(path))?;
        let inside = if path.is_absolute() {
            path.strip_prefix(&directory).or_else(|_| path.strip_prefix(&root)).map_err(|_| denied(path))?
        } else {
            path
        };
        let descends =
            inside.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        if descends && inside.file_name().is_some() { Ok(root.join(inside)) } else { Err(denied(path)) }
    }
}

/// Checks the `PermissionsContainer` in the runtime's state, as Deno does: the script needs read and write permission for the file.
///
/// # Errors
/// The permission is missing, or the state has no `PermissionsContainer`.
#[cfg(feature = "deno_permissions")]
pub fn deno(state: &mut OpState, path: &Path) -> Result<PathBuf, JsErrorBox> {
    use deno_permissions::{OpenAccessKind, PermissionsContainer};

    let permissions = state.try_borrow::<PermissionsContainer>().ok_or_else(|| denied(path))?;
    let checked = permissions
        .check_open(path.into(), OpenAccessKind::ReadWriteNoFollow, Some("Deno.openKv"))
        .map_err(JsErrorBox::from_err)?;
    Ok(checked.to_path_buf())
}

/// Returns the error for a file that a script must not open, of the class `NotCapable`.
pub fn denied(path: &Path) -> JsErrorBox {
    JsErrorBox::new("NotCapable", format!("this host does not allow scripts to open the database {path:?}"))
}

/// Resolves the links in a path, as far as it exists.
fn without_links(path: &Path) -> PathBuf {
    let resolved = path.canonicalize().or_else(|error| match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) if directory.as_os_str().is_empty() => {
            Ok(Path::new(".").canonicalize()?.join(name))
        }
        (Some(directory), Some(name)) => Ok(directory.canonicalize()?.join(name)),
        _ => Err(error),
    });
    // If the path cannot be resolved, the engine returns an error with the reason.
    resolved.unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn within_allows_files_in_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("sub")).unwrap();
        let rule = within(directory.path());
        let mut state = OpState::new(None);
        let mut open = |path: &Path| rule(&mut state, path).ok();

        assert_eq!(open(Path::new("a.db")), Some(root.join("a.db")));
        assert_eq!(open(Path::new("./sub/a.db")), Some(root.join("sub/a.db")));
        assert_eq!(open(&root.join("sub/a.db")), Some(root.join("sub/a.db")));
        for outside in ["../a.db", "sub/../../a.db", "/etc/a.db", ".", ""] {
            assert_eq!(open(Path::new(outside)), None, "{outside}");
        }
        assert_eq!(open(&root), None);
        assert_eq!(open(&root.with_extension("other").join("a.db")), None);
    }

    #[test]
    fn within_a_missing_directory_denies_everything() {
        let directory = tempfile::tempdir().unwrap();
        let rule = within(directory.path().join("missing"));
        assert!(rule(&mut OpState::new(None), Path::new("a.db")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn all_resolves_links() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::write(root.join("a.db"), "").unwrap();
        std::os::unix::fs::symlink(&root, root.join("link")).unwrap();
        std::os::unix::fs::symlink(root.join("a.db"), root.join("b.db")).unwrap();
        let open = |path: &str| all(&mut OpState::new(None), &root.join(path)).unwrap();

        assert_eq!(open("link/a.db"), root.join("a.db"));
        assert_eq!(open("link/b.db"), root.join("a.db"));
        assert_eq!(open("link/new.db"), root.join("new.db"));
        assert_eq!(open("missing/new.db"), root.join("missing/new.db"));
    }

    #[cfg(unix)]
    #[test]
    fn within_does_not_follow_links() {
        use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions};

        let (directory, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), directory.path().join("sub")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("a.db"), directory.path().join("a.db")).unwrap();
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _entered = tokio.enter();
        let options = crate::Options::memory().permissions(within(directory.path()));
        let mut js = JsRuntime::new(RuntimeOptions { extensions: vec![crate::init(options)], ..Default::default() });

        let mut run = |script| {
            js.execute_script("main.js", script).unwrap();
            tokio.block_on(js.run_event_loop(PollEventLoopOptions::default()))
        };
        for link in [r#"Deno.openKv("sub/a.db"); 0"#, r#"Deno.openKv("a.db"); 0"#] {
            assert!(run(link).is_err(), "{link}");
        }
        run(r#"Deno.openKv("b.db"); 0"#).unwrap();
        assert!(outside.path().read_dir().unwrap().next().is_none());
    }

    #[test]
    fn errors_name_the_path_of_the_script() {
        use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions};

        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        fs::create_dir(root.join("directory")).unwrap();
        fs::write(root.join("text"), "this is a text, and not even a short one: no database begins so").unwrap();
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _entered = tokio.enter();
        let options = crate::Options::memory().permissions(within(directory.path()));
        let mut js = JsRuntime::new(RuntimeOptions { extensions: vec![crate::init(options)], ..Default::default() });
        let mut message = |script: &'static str| {
            js.execute_script("main.js", script).unwrap();
            let error = tokio.block_on(js.run_event_loop(PollEventLoopOptions::default())).unwrap_err().to_string();
            assert!(!error.contains(&*root.to_string_lossy()), "{error}");
            error
        };

        for (script, named) in [
            (r#"Deno.openKv("directory"); 0"#, "directory"),
            (r#"Deno.openKv("text"); 0"#, "text"),
            (r#"Deno.openKv("missing/a.db"); 0"#, "missing/a.db"),
            (r#"Deno.openKv("file:missing/b.db"); 0"#, "missing/b.db"),
        ] {
            let error = message(script);
            assert!(error.contains(named), "{error}");
        }
        js.execute_script("main.js", r#"Deno.openKv("a.db").then((kv) => globalThis.kv = kv); 0"#).unwrap();
        tokio.block_on(js.run_event_loop(PollEventLoopOptions::default())).unwrap();
        fs::rename(root.join("a.db"), root.join("b.db")).unwrap();
        js.execute_script("main.js", r#"kv.set(["a"], 1); 0"#).unwrap();
        let error = tokio.block_on(js.run_event_loop(PollEventLoopOptions::default())).unwrap_err().to_string();
        assert!(error.contains("a.db") && !error.contains(&*root.to_string_lossy()), "{error}");
    }
}
