//! Fetches the sources of modules: from files, the network and its cache, `data:` and `blob:` URLs.

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

/// The main module, as known before it is loaded.
#[derive(Debug)]
pub(crate) struct MainModule {
    pub url: Url,
    /// The source, if it is not read from the URL.
    pub text: Option<String>,
    /// The media type, if the URL does not determine it.
    pub media_type: Option<MediaType>,
    /// The sources of modules that it imports, if they are not read from their URLs.
    pub embedded: HashMap<Url, String>,
}

impl MainModule {
    /// Returns the source of a module that is not read from its URL.
    fn text_of(&self, url: &Url) -> Option<&str> {
        let text = if self.url == *url { self.text.as_ref() } else { self.embedded.get(url) };
        text.map(String::as_str)
    }

    /// Returns the response headers that correspond to the media type.
    fn headers(&self) -> Option<HashMap<String, String>> {
        let content_type = self.media_type?.as_content_type()?;
        Some(HashMap::from([("content-type".into(), content_type.into())]))
    }
}

/// The permissions with which modules are loaded.
#[derive(Debug)]
pub(super) struct Permissions {
    pub own: PermissionsContainer,
    /// In a worker, the permissions of its parent. The parent must be allowed to import the worker's main module and all
    /// its static imports dynamically.
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

/// Fetches modules that the permissions allow.
#[derive(Clone, Debug)]
pub(super) struct Fetcher(Arc<State>);

#[derive(Debug)]
struct State {
    files: FileFetcher<Blobs, RealSys, ModuleClient>,
    main: MainModule,
    permissions: Permissions,
    /// The URLs that this run has fetched. They are taken from the cache from then on, regardless of `cache_setting`.
    fetched: Mutex<HashSet<Url>>,
}

impl Fetcher {
    /// Creates a fetcher with a cache, used according to `cache_setting`.
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

    /// Returns the URL of the main module.
    pub fn main_module(&self) -> &Url {
        &self.0.main.url
    }

    /// Fetches a file that the user has specified on the command line. Needs no permission.
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

    /// Fetches a file that describes a package, if it exists. Needs no permission. With `fresh`, the cache is not used.
    pub async fn fetch_metadata(&self, url: &Url, fresh: bool) -> Result<Option<File>, JsErrorBox> {
        let mut url = url.clone();
        let cache = fresh.then_some(CacheSetting::ReloadAll);
        for _ in 0..=MAX_REDIRECTS {
            match self.fetch_once(&url, cache.clone(), None).await.map_err(FetchNoFollowError::into_kind) {
                Ok(FileOrRedirect::File(file)) => return Ok(Some(file)),
                Ok(FileOrRedirect::Redirect(to)) => url = to,
                Err(FetchNoFollowErrorKind::NotFound(_)) => return Ok(None),
                Err(error) => return Err(failure(&error)),
            }
        }
        Err(JsErrorBox::from_err(TooManyRedirectsError(url)))
    }

    /// Fetches a file that is imported as text or bytes. The permissions must allow its URL, and those of all redirects.
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

    /// Fetches a file, or returns its redirect. Uses the network at most once per run, unless `cache` is set.
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

    /// Checks that the script may import a module. Imports with constant specifiers are part of the program; dynamic
    /// imports need permission.
    fn check(&self, url: &Url, options: &LoadOptions) -> Result<(), LoadError> {
        // Otherwise, the path of its transpiled code, which contains the path of the module, might leave the cache directory.
        if url.scheme() == "file" && has_encoded_separator(url) {
            let message = format!("Invalid URL of a file: it contains an encoded path separator: {url}");
            return Err(other(JsErrorBox::type_error(message)));
        }
        let kind = if options.was_dynamic_root { CheckSpecifierKind::Dynamic } else { CheckSpecifierKind::Static };
        self.0.permissions.check(url, kind).map_err(other)
    }

    async fn fetch(self, url: Url, options: LoadOptions) -> Result<Option<LoadResponse>, LoadError> {
        let main = Some(&self.0.main).filter(|main| main.url == url);
        let headers = main.and_then(MainModule::headers);
        if let Some(text) = self.0.main.text_of(&url) {
            let content = text.as_bytes().into();
            return Ok(Some(LoadResponse::Module { content, mtime: None, specifier: url, maybe_headers: headers }));
        }
        self.check(&url, &options)?;
        let cache = match options.cache_setting {
            GraphCacheSetting::Use => None,
            GraphCacheSetting::Reload if matches!(self.0.files.cache_setting(), CacheSetting::Only) => {
                let message = "no matching version is cached. Run once without --cached-only";
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

fn has_encoded_separator(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    path.contains("%2f") || cfg!(windows) && path.contains("%5c")
}

/// Returns the error of a failed fetch: the cause if the request was denied, otherwise the error with its causes.
fn failure(error: &FetchNoFollowErrorKind) -> JsErrorBox {
    if let FetchNoFollowErrorKind::FetchingRemote { source, .. } = error
        && let Some(denied) = source.downcast_ref::<PermissionCheckError>()
    {
        return JsErrorBox::new(denied.get_class(), denied.to_string());
    }
    JsErrorBox::new(error.get_class(), with_causes(error))
}

/// Loads the modules of a graph, except for those of npm packages, which are loaded when they run.
pub(super) struct GraphFetcher<'a> {
    pub fetcher: &'a Fetcher,
    pub packages: &'a Packages,
}

impl GraphFetcher<'_> {
    /// Returns the URL of a file as a module of an npm package, if it is one and the script may import it.
    fn module_of_package(&self, file: &Url, options: &LoadOptions) -> Result<Option<Url>, LoadError> {
        if file.scheme() != "file" || !file.path().contains("/node_modules/") {
            return Ok(None);
        }
        // The file may be a symbolic link to the package.
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

/// Reads the blobs of the script as modules.
#[derive(Debug)]
struct Blobs(Arc<dyn BlobStoreTrait>);

#[async_trait::async_trait(?Send)]
impl BlobStore for Blobs {
    async fn get(&self, url: &Url) -> std::io::Result<Option<BlobData>> {
        let Some(blob) = self.0.get_object_url(url.clone()) else { return Ok(None) };
        Ok(Some(BlobData { media_type: blob.media_type.clone(), bytes: blob.read_all().await }))
    }
}
