use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use deno_core::error::CoreError;
use deno_core::url::Url;
use deno_permissions::PermissionsContainer;
use deno_semver::npm::NpmPackageReqReference;
use deno_web::{BlobStore, BlobStoreTrait};
use openkv_js::transpile::MediaType;

use crate::certificates::Certificates;
use crate::inspector::Inspect;
use crate::modules::{GraphLoader, LoaderOptions, MainModule, ModuleOptions, Project};
use crate::testing::output::Output;
use crate::unstable::Unstable;
use crate::watch::WatchedFiles;

/// The options of a [`Runtime`](super::Runtime).
#[derive(Clone)]
pub struct Options {
    /// The module to run.
    pub main_module: Url,
    /// Its text, if it is not to be loaded from its URL.
    pub main_text: Option<String>,
    /// Its media type, if not that of its URL.
    pub main_media_type: Option<MediaType>,
    /// The texts of modules that it imports, if they are not to be loaded from their URLs.
    pub embedded: HashMap<Url, String>,
    /// The specifier of the npm package whose program the main module is. See [`resolve_program`](Self::resolve_program).
    pub main_package: Option<Url>,
    /// How modules are resolved and loaded.
    pub modules: ModuleOptions,
    /// The workspace of the main module.
    pub project: Project,
    /// Whether not to log downloads.
    pub quiet: bool,
    /// `Deno.args`.
    pub args: Vec<String>,
    /// The permissions of scripts.
    pub permissions: PermissionsContainer,
    /// The value of `location`, if any.
    pub location: Option<Url>,
    /// How databases are located and opened, for example [`kv_options`](crate::kv_options).
    pub kv: openkv_ext::Options,
    /// The directory of `localStorage`, for example [`storage_directory`](crate::storage_directory). Without one, there is none.
    pub storage: Option<PathBuf>,
    /// The certificates that TLS connections trust.
    pub certificates: Certificates,
    /// How debuggers attach, if they can.
    pub inspect: Option<Inspect>,
    /// The unstable features of Deno that are enabled.
    pub unstable: Unstable,
    /// The seed of random numbers, for reproducible runs.
    pub seed: Option<u64>,
    /// The output of a module that is run for its tests. See [`TestRun`](crate::testing::TestRun).
    pub output: Option<Output>,
    /// The address at which the default export of the main module is served, if it is.
    pub serve: Option<ServeAddress>,
    /// Receives the files of the script. If it is set, `Deno.exit` ends the script only, and not the process.
    pub watched: Option<WatchedFiles>,
}

impl Options {
    /// If the main module is an npm package, replaces it by a program of the package, and installs the package.
    ///
    /// # Errors
    /// The package cannot be installed, or does not have the program.
    pub async fn resolve_program(&mut self) -> Result<(), CoreError> {
        if let Ok(package) = NpmPackageReqReference::from_specifier(&self.main_module) {
            self.main_package = Some(self.main_module.clone());
            let loader = GraphLoader::new(self.loader_options(BlobStore::default_arc(), None))?;
            self.main_module = loader.program(&package).await?;
        }
        Ok(())
    }

    /// Returns the options of the loader. The permissions of the parent are those of a worker.
    pub(super) fn loader_options(
        &self,
        blobs: Arc<dyn BlobStoreTrait>,
        parent_permissions: Option<PermissionsContainer>,
    ) -> LoaderOptions {
        let package = self.main_package.as_ref().map(NpmPackageReqReference::from_specifier);
        LoaderOptions {
            main: MainModule {
                url: self.main_module.clone(),
                text: self.main_text.clone(),
                media_type: self.main_media_type,
                embedded: self.embedded.clone(),
            },
            main_package: package.and_then(Result::ok).map(|package| package.into_inner().req),
            modules: self.modules.clone(),
            project: self.project.clone(),
            unstable: self.unstable,
            certificates: self.certificates.clone(),
            blobs,
            permissions: self.permissions.clone(),
            parent_permissions,
            watched: self.watched.clone(),
            quiet: self.quiet,
            user_agent: super::user_agent(),
        }
    }
}

/// The address of a server.
#[derive(Clone, Debug)]
pub struct ServeAddress {
    /// The host or IP address.
    pub host: String,
    /// The port, or 0 for any that is free.
    pub port: u16,
}
