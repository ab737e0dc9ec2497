//! Where the sources of modules come from: files, the network and its cache, `data:` and `blob:`.

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Arc;

use deno_cache_dir::file_fetcher::{
    BlobData, BlobStore, CacheSetting, FetchLocalOptions, FetchNoFollowError, FetchNoFollowErrorKind,
    FetchNoFollowOptions, File, FileFetcher, FileFetcherOptions, FileOrRedirect, NullMemoryFiles,
    TooManyRedirectsError,
};
use deno_cache_dir::{Checksum, HttpCacheRc};
use deno_core::url::Url;
use deno_error::{JsErrorBox, JsErrorClass};
use deno_graph::source::{
    CacheSetting as GraphCacheSetting, ChecksumIntegrityError, LoadError, LoadFuture, LoadOptions, LoadResponse,
    Loader, LoaderChecksum,
};
use deno_permissions::{CheckSpecifierKind, PermissionCheckError, PermissionsContainer};
use deno_web::BlobStoreTrait;
use node_resolver::resolve_specifier_into_node_modules;
use openkv_js::transpile::MediaType;
use parking_lot::Mutex;
use sys_traits::impls::RealSys;

use super::http_client::ModuleClient;
use super::packages::Packages;
use super::with_causes;
use crate::environment::Environment;

const MAX_REDIRECTS: usize = 10;

/// What is known of the main module before it is loaded.
#[derive(Debug)]
pub(crate) struct MainModule {
    pub url: Url,
    /// Its text, where it is not read from its URL.
    pub text: Option<String>,
    /// What it is written in, where its URL does not tell.
    pub media_type: Option<MediaType>,
}

impl MainModule {
    /// As a server would tell what it is written in.
    fn headers(&self) -> Option<HashMap<String, String>> {
        let content_type = self.media_type?.as_content_type()?;
        Some(HashMap::from([("content-type".into(), content_type.into())]))
    }
}

/// The permissions by which modules are loaded.
#[derive(Debug)]
pub(super) struct Permissions {
    pub own: PermissionsContainer,
    /// In a worker, those of its parent. Its program, with all static imports, is what the parent may import dynamically.
    pub parent: Option<PermissionsContainer>,
}

impl Permissions {
    fn check(&self, url: &Url, kind: CheckSpecifierKind) -> Result<(), PermissionCheckError> {
        match &self.parent {
            Some(parent) if kind == CheckSpecifierKind::Static => {
                parent.check_specifier(url, CheckSpecifierKind::Dynamic)
            }
            _ => self.own.check_specifier(url, kind),
        }
    }
}

/// Fetches what the permissions allow.
#[derive(Clone, Debug)]
pub(super) struct Fetcher(Arc<State>);

#[derive(Debug)]
struct State {
    files: FileFetcher<Blobs, RealSys, ModuleClient>,
    main: MainModule,
    permissions: Permissions,
    /// What this run has fetched already. Whatever the flags say, it is taken from the cache from then on.
    fetched: Mutex<HashSet<Url>>,
}

impl Fetcher {
    /// A fetcher that uses what is in `cache` as `cache_setting` says.
    pub fn new(
        main: MainModule,
        blobs: Arc<dyn BlobStoreTrait>,
        permissions: Permissions,
        client: ModuleClient,
        cache: HttpCacheRc,
        allow_remote: bool,
        cache_setting: CacheSetting,
    ) -> Self {
        let auth_tokens = Environment::at_start().auth_tokens.clone();
        let files = FileFetcher::new(
            Blobs(blobs),
            RealSys,
            cache,
            client,
            deno_maybe_sync::new_rc(NullMemoryFiles),
            FileFetcherOptions { allow_remote, cache_setting, auth_tokens },
        );
        Self(Arc::new(State { files, main, permissions, fetched: Mutex::default() }))
    }

    /// The URL of the main module.
    pub fn main_module(&self) -> &Url {
        &self.0.main.url
    }

    /// The source of a file that the user named: it needs no permission.
    pub async fn fetch_named(&self, url: &Url) -> Result<File, JsErrorBox> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            match self.0.files.fetch_no_follow(&url, FetchNoFollowOptions::default()).await {
                Ok(FileOrRedirect::File(file)) => return Ok(file),
                Ok(FileOrRedirect::Redirect(to)) => url = to,
                Err(error) => return Err(JsErrorBox::from_err(error)),
            }
        }
        Err(JsErrorBox::from_err(TooManyRedirectsError(url)))
    }

    /// Returns a file that is imported as text or bytes, if the permissions allow it and all that it is redirected to.
    pub async fn fetch_asset(
        &self,
        url: &Url,
        kind: CheckSpecifierKind,
        checksum: impl Fn(&Url) -> Option<LoaderChecksum>,
    ) -> Result<File, JsErrorBox> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            self.0.permissions.check(&url, kind).map_err(JsErrorBox::from_err)?;
            let checksum = checksum(&url);
            let checksum = checksum.as_ref().map(LoaderChecksum::as_str);
            match self.fetch_once(&url, None, checksum).await.map_err(FetchNoFollowError::into_kind) {
                Ok(FileOrRedirect::File(file)) => return Ok(file),
                Ok(FileOrRedirect::Redirect(to)) => url = to,
                Err(FetchNoFollowErrorKind::NotFound(url)) => {
                    return Err(JsErrorBox::type_error(format!("Module not found \"{url}\".")));
                }
                Err(error) => return Err(failure(&error)),
            }
        }
        Err(JsErrorBox::from_err(TooManyRedirectsError(url)))
    }

    /// Fetches a file, or what it is redirected to, from the network once a run, unless `cache` says otherwise.
    async fn fetch_once(
        &self,
        url: &Url,
        cache: Option<CacheSetting>,
        checksum: Option<&str>,
    ) -> Result<FileOrRedirect, FetchNoFollowError> {
        let cache = cache.or_else(|| self.0.fetched.lock().contains(url).then_some(CacheSetting::Use));
        let options = FetchNoFollowOptions {
            local: FetchLocalOptions { include_mtime: true },
            maybe_cache_setting: cache.as_ref(),
            maybe_checksum: checksum.map(Checksum::new),
            ..FetchNoFollowOptions::default()
        };
        let found = self.0.files.fetch_no_follow(url, options).await?;
        if matches!(url.scheme(), "http" | "https") {
            self.0.fetched.lock().insert(url.clone());
        }
        Ok(found)
    }

    /// Checks that the script may import a module. What a module imports with a constant specifier is part of the program.
    /// What it finds while it runs, it must be allowed to read.
    fn check(&self, url: &Url, options: &LoadOptions) -> Result<(), LoadError> {
        let kind = if options.was_dynamic_root { CheckSpecifierKind::Dynamic } else { CheckSpecifierKind::Static };
        self.0.permissions.check(url, kind).map_err(other)
    }

    async fn fetch(self, url: Url, options: LoadOptions) -> Result<Option<LoadResponse>, LoadError> {
        let main = Some(&self.0.main).filter(|main| main.url == url);
        let headers = main.and_then(MainModule::headers);
        if let Some(text) = main.and_then(|main| main.text.as_deref()) {
            let content = text.as_bytes().into();
            return Ok(Some(LoadResponse::Module { content, mtime: None, specifier: url, maybe_headers: headers }));
        }
        self.check(&url, &options)?;
        let cache = match options.cache_setting {
            GraphCacheSetting::Use => None,
            GraphCacheSetting::Reload if matches!(self.0.files.cache_setting(), CacheSetting::Only) => {
                let message = "no version that matches is in the cache. Run once without --cached-only";
                return Err(other(JsErrorBox::generic(message)));
            }
            GraphCacheSetting::Reload => Some(CacheSetting::ReloadAll),
            GraphCacheSetting::Only => Some(CacheSetting::Only),
        };
        let checksum = options.maybe_checksum.as_ref().map(LoaderChecksum::as_str);
        match self.fetch_once(&url, cache, checksum).await.map_err(FetchNoFollowError::into_kind) {
            Ok(FileOrRedirect::File(file)) => Ok(Some(LoadResponse::Module {
                content: file.source,
                mtime: file.mtime,
                specifier: file.url,
                maybe_headers: headers.or(file.maybe_headers),
            })),
            Ok(FileOrRedirect::Redirect(specifier)) => Ok(Some(LoadResponse::Redirect { specifier })),
            Err(FetchNoFollowErrorKind::NotFound(_)) => Ok(None),
            Err(FetchNoFollowErrorKind::NotCached { .. }) if options.cache_setting == GraphCacheSetting::Only => {
                Ok(None)
            }
            Err(FetchNoFollowErrorKind::ChecksumIntegrity(error)) => {
                Err(LoadError::ChecksumIntegrity(ChecksumIntegrityError {
                    actual: error.actual,
                    expected: error.expected,
                }))
            }
            Err(error) => Err(other(failure(&error))),
        }
    }
}

/// Returns why a file was not fetched: because it must not, or the error with its causes.
fn failure(error: &FetchNoFollowErrorKind) -> JsErrorBox {
    if let FetchNoFollowErrorKind::FetchingRemote { source, .. } = error
        && let Some(denied) = source.downcast_ref::<PermissionCheckError>()
    {
        return JsErrorBox::new(denied.get_class(), denied.to_string());
    }
    JsErrorBox::new(error.get_class(), with_causes(error))
}

/// Loads the modules of a graph, but for those of packages of npm: these are loaded when they run.
pub(super) struct GraphFetcher<'a> {
    pub fetcher: &'a Fetcher,
    pub packages: &'a Packages,
}

impl GraphFetcher<'_> {
    /// Returns the module of a package that a file is, if the script may import it.
    fn module_of_package(&self, file: &Url, options: &LoadOptions) -> Result<Option<Url>, LoadError> {
        if file.scheme() != "file" || !file.path().contains("/node_modules/") {
            return Ok(None);
        }
        // It may be a symbolic link to where the package is.
        let module = resolve_specifier_into_node_modules(&RealSys, file);
        if !self.packages.contain(&module) {
            return Ok(None);
        }
        if !self.packages.own(&module) {
            self.fetcher.check(file, options)?;
        }
        Ok(Some(module))
    }
}

impl Loader for GraphFetcher<'_> {
    fn load(&self, specifier: &Url, options: LoadOptions) -> LoadFuture {
        match self.module_of_package(specifier, &options) {
            Ok(None) => Box::pin(self.fetcher.clone().fetch(specifier.clone(), options)),
            Ok(Some(specifier)) => Box::pin(ready(Ok(Some(LoadResponse::External { specifier })))),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

fn other(error: impl deno_error::JsErrorClass) -> LoadError {
    LoadError::Other(Arc::new(error))
}

/// The blobs of the script, as modules.
#[derive(Debug)]
struct Blobs(Arc<dyn BlobStoreTrait>);

#[async_trait::async_trait(?Send)]
impl BlobStore for Blobs {
    async fn get(&self, url: &Url) -> std::io::Result<Option<BlobData>> {
        let Some(blob) = self.0.get_object_url(url.clone()) else { return Ok(None) };
        Ok(Some(BlobData { media_type: blob.media_type.clone(), bytes: blob.read_all().await }))
    }
}
