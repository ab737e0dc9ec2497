//! The checksums of remote modules, in the lock file that the reference keeps.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_graph::source::{LoaderChecksum, Locker};
use deno_graph::{FillFromLockfileOptions, ModuleGraph};
use deno_lockfile::{Lockfile, Lockfile5NpmInfo, NewLockfileOptions, NpmPackageInfoProvider};
use deno_semver::jsr::JsrDepPackageReq;
use deno_semver::package::PackageNv;

/// A lock file, with what this run has added.
pub(super) struct Locked {
    file: Lockfile,
    frozen: bool,
}

impl Locked {
    /// Reads a lock file, which need not exist.
    pub async fn read(path: PathBuf, frozen: bool) -> Result<Self, JsErrorBox> {
        let file = match std::fs::read_to_string(&path) {
            Ok(content) => {
                let options = NewLockfileOptions { file_path: path, content: &content, overwrite: false };
                Lockfile::new(options, &NoPackages).await.map_err(|error| JsErrorBox::generic(error.to_string()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Lockfile::new_empty(path, false),
            Err(error) => return Err(JsErrorBox::generic(format!("{path:?} cannot be read: {error}"))),
        };
        Ok(Self { file, frozen })
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
            Some(bytes) => write(&path, &bytes)
                .map_err(|error| JsErrorBox::generic(format!("the lock file {path:?} cannot be written: {error}"))),
            None => Ok(()),
        }
    }
}

/// Replaces a file at once, so that no one reads a half.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
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
