//! The checksums of remote modules, in the lock file that Deno keeps.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_graph::source::{LoaderChecksum, Locker};
use deno_graph::{FillFromLockfileOptions, ModuleGraph};
use deno_lockfile::{
    Lockfile, Lockfile5NpmInfo, NewLockfileOptions, NpmPackageInfoProvider, SetWorkspaceConfigOptions, WorkspaceConfig,
};
use deno_semver::jsr::JsrDepPackageReq;
use deno_semver::package::PackageNv;

/// Which lock file is used, and how.
pub(super) struct LockfileOptions {
    pub path: PathBuf,
    /// Whether it must stay as it is.
    pub frozen: bool,
    /// What the workspace depends on. Where no configuration file is read, the lock file keeps what it says.
    pub dependencies: Option<WorkspaceConfig>,
}

/// A lock file, with what this run has added.
pub(super) struct Locked {
    file: Lockfile,
    /// What is written: the file, or what it was a symbolic link to before the script ran.
    target: PathBuf,
    frozen: bool,
}

impl Locked {
    /// Reads a lock file, which need not exist. What it holds only for a dependency that the workspace has no more is removed.
    pub async fn read(LockfileOptions { path, frozen, dependencies }: LockfileOptions) -> Result<Self, JsErrorBox> {
        let target = follow_links(&path);
        let mut file = match std::fs::read_to_string(&path) {
            Ok(content) => {
                let options = NewLockfileOptions { file_path: path, content: &content, overwrite: false };
                Lockfile::new(options, &NoPackages).await.map_err(|error| JsErrorBox::generic(error.to_string()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Lockfile::new_empty(path, false),
            Err(error) => return Err(JsErrorBox::generic(format!("{path:?} cannot be read: {error}"))),
        };
        let no_config = dependencies.is_none();
        let config = dependencies.unwrap_or_default();
        file.set_workspace_config(SetWorkspaceConfigOptions { config, no_config, no_npm: false });
        Ok(Self { file, target, frozen })
    }

    /// Tells a new graph which versions were chosen before.
    pub fn fill(&self, graph: &mut ModuleGraph) {
        let content = &self.file.content;
        graph.fill_from_lockfile(FillFromLockfileOptions {
            redirects: content.redirects.iter().map(|(from, to)| (from.as_str(), to.as_str())),
            package_specifiers: content.packages.specifiers.iter().map(|(req, id)| (req, id.as_str())),
        });
    }

    /// Keeps what the graph has found, in the file.
    pub fn keep(&mut self, graph: &ModuleGraph) -> Result<(), JsErrorBox> {
        for (from, to) in &graph.redirects {
            if matches!(from.scheme(), "http" | "https") {
                self.file.insert_redirect(from.to_string(), to.to_string());
            }
        }
        for (req, nv) in graph.packages.mappings() {
            let id = nv.version.to_string().as_str().into();
            self.file.insert_package_specifier(JsrDepPackageReq::jsr(req.clone()), id);
        }
        for (nv, dependencies) in graph.packages.packages_with_deps() {
            self.file.add_package_deps(nv, dependencies.cloned());
        }
        let path = self.file.filename.clone();
        if self.frozen && self.file.has_content_changed {
            return Err(JsErrorBox::generic(format!(
                "the lock file {path:?} lacks modules that the script imports. Run it once with --frozen=false"
            )));
        }
        match self.file.resolve_write_bytes() {
            Some(bytes) => write(&self.target, &bytes)
                .map_err(|error| JsErrorBox::generic(format!("the lock file {path:?} cannot be written: {error}"))),
            None => Ok(()),
        }
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

impl Locker for Locked {
    fn get_remote_checksum(&self, specifier: &Url) -> Option<LoaderChecksum> {
        self.file.remote().get(specifier.as_str()).map(|sum| LoaderChecksum::new(sum.clone()))
    }

    fn has_remote_checksum(&self, specifier: &Url) -> bool {
        self.file.remote().contains_key(specifier.as_str())
    }

    fn set_remote_checksum(&mut self, specifier: &Url, checksum: LoaderChecksum) {
        self.file.insert_remote(specifier.to_string(), checksum.into_string());
    }

    fn get_pkg_manifest_checksum(&self, package: &PackageNv) -> Option<LoaderChecksum> {
        let package = self.file.content.packages.jsr.get(package)?;
        Some(LoaderChecksum::new(package.integrity.clone()))
    }

    fn set_pkg_manifest_checksum(&mut self, package: &PackageNv, checksum: LoaderChecksum) {
        self.file.insert_package(package.clone(), checksum.into_string());
    }
}

/// Lock files of old versions lack facts about packages of npm, which nothing here uses.
struct NoPackages;

#[async_trait::async_trait(?Send)]
impl NpmPackageInfoProvider for NoPackages {
    async fn get_npm_package_info(
        &self,
        packages: &[PackageNv],
    ) -> Result<Vec<Lockfile5NpmInfo>, Box<dyn std::error::Error + Send + Sync>> {
        match packages {
            [] => Ok(Vec::new()),
            _ => Err("it is of an old version and names packages of npm, which OpenKV does not load".into()),
        }
    }
}
