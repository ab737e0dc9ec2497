//! The lock file that Deno keeps, and how it is written.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deno_error::JsErrorBox;
use deno_graph::ModuleGraph;
use deno_resolver::lockfile::LockfileLock;
use deno_semver::jsr::JsrDepPackageReq;
use sys_traits::impls::RealSys;

/// A lock file, with what this run has added.
pub(super) struct LockfileState {
    pub file: Arc<LockfileLock<RealSys>>,
    /// What is written: the file, or what it was a symbolic link to before the script ran.
    target: PathBuf,
}

impl LockfileState {
    pub fn new(file: Arc<LockfileLock<RealSys>>) -> Self {
        let target = follow_links(&file.filename);
        Self { file, target }
    }

    /// Adds the redirections and the packages of jsr that the graph has found.
    pub fn add(&self, graph: &ModuleGraph) {
        let mut file = self.file.lock();
        for (from, to) in &graph.redirects {
            if matches!(from.scheme(), "http" | "https") {
                file.insert_redirect(from.to_string(), to.to_string());
            }
        }
        for (req, nv) in graph.packages.mappings() {
            let id = nv.version.to_string().as_str().into();
            file.insert_package_specifier(JsrDepPackageReq::jsr(req.clone()), id);
        }
        for (nv, dependencies) in graph.packages.packages_with_deps() {
            file.add_package_deps(nv, dependencies.cloned());
        }
    }

    /// Checks that the file need not change, if it must not.
    pub fn check_frozen(&self) -> Result<(), JsErrorBox> {
        self.file.error_if_changed().map_err(|_| {
            JsErrorBox::generic(format!(
                "the lock file {:?} lacks modules that the script imports. Run it once with --frozen=false",
                self.file.filename
            ))
        })
    }

    /// Writes the file if it has changed.
    pub fn write(&self) -> Result<(), JsErrorBox> {
        let mut file = self.file.lock();
        let Some(bytes) = file.resolve_write_bytes() else { return Ok(()) };
        write(&self.target, &bytes).map_err(|error| {
            JsErrorBox::generic(format!("the lock file {:?} cannot be written: {error}", self.file.filename))
        })?;
        file.has_content_changed = false;
        Ok(())
    }
}

/// Replaces the content of a file at once: nobody reads a half of it, and a write that fails leaves the old content. The file
/// keeps its mode.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut builder = tempfile::Builder::new();
    // Without one, a file is created with mode 0600.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory)?;
    if let Ok(metadata) = std::fs::metadata(path) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Returns the file that a symbolic link leads to, which need not exist.
fn follow_links(path: &Path) -> PathBuf {
    /// As many as Linux follows. What is left then is a circle, which is replaced.
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}
