//! Where the sources of modules come from: files, the network and its cache, `data:` and `blob:`.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use deno_cache_dir::file_fetcher::{
    BlobData, BlobStore, CacheSetting, FetchLocalOptions, FetchNoFollowError, FetchNoFollowErrorKind,
    FetchNoFollowOptions, File, FileFetcher, FileFetcherOptions, FileOrRedirect, NullMemoryFiles,
    TooManyRedirectsError,
};
use deno_cache_dir::memory::MemoryHttpCache;
use deno_cache_dir::{Checksum, GlobalHttpCache, HttpCacheRc};
use deno_core::url::Url;
use deno_error::{JsErrorBox, JsErrorClass};
use deno_graph::source::{
    CacheSetting as GraphCacheSetting, ChecksumIntegrityError, LoadError, LoadFuture, LoadOptions, LoadResponse,
    Loader, LoaderChecksum,
};
use deno_permissions::{CheckSpecifierKind, PermissionCheckError, PermissionsContainer};
use deno_web::BlobStoreTrait;
use openkv_js::transpile::MediaType;
use sys_traits::impls::RealSys;

use super::http_client::ModuleClient;
use super::{ModuleOptions, with_causes};
use crate::certificates::Certificates;
use crate::environment::Environment;
use crate::watch::WatchedFiles;

const MAX_REDIRECTS: usize = 10;

/// What is known of the main module before it is loaded.
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

/// What sources are fetched with.
pub(crate) struct FetcherOptions {
    /// The main module.
    pub main: MainModule,
    /// Whom downloads trust.
    pub certificates: Certificates,
    /// The blobs of the script.
    pub blobs: Arc<dyn BlobStoreTrait>,
    /// What the script may do.
    pub permissions: PermissionsContainer,
    /// Whether nothing is told about downloads.
    pub quiet: bool,
    /// As whom downloads are asked for.
    pub user_agent: String,
    /// Receives the local files of the graph.
    pub watched: Option<WatchedFiles>,
}

/// Fetches what the permissions allow.
#[derive(Clone)]
pub(super) struct Fetcher {
    files: Rc<FileFetcher<Blobs, RealSys, ModuleClient>>,
    main: Rc<MainModule>,
    permissions: PermissionsContainer,
    /// What this run has fetched already. Whatever the flags say, it is taken from the cache from then on.
    fetched: Rc<RefCell<HashSet<Url>>>,
}

impl Fetcher {
    /// A fetcher that uses what is cached of remote modules as `modules` says.
    pub fn new(options: FetcherOptions, modules: &ModuleOptions) -> Self {
        let cache_setting = match &modules.reload {
            _ if modules.cached_only => CacheSetting::Only,
            Some(urls) if urls.is_empty() => CacheSetting::ReloadAll,
            Some(urls) => CacheSetting::ReloadSome(urls.clone()),
            None => CacheSetting::Use,
        };
        let environment = Environment::at_start();
        // Without a directory, what is downloaded is kept for this run.
        let cache: HttpCacheRc = match &environment.cache_directory {
            Ok(directory) => deno_maybe_sync::new_rc(GlobalHttpCache::new(RealSys, directory.join("remote"))),
            Err(_) => deno_maybe_sync::new_rc(MemoryHttpCache::new(RealSys)),
        };
        let client = ModuleClient {
            user_agent: options.user_agent,
            certificates: options.certificates,
            permissions: options.permissions.clone(),
            told: !options.quiet,
            client: OnceCell::new(),
        };
        let files = FileFetcher::new(
            Blobs(options.blobs),
            RealSys,
            cache,
            client,
            deno_maybe_sync::new_rc(NullMemoryFiles),
            FileFetcherOptions {
                allow_remote: !modules.no_remote,
                cache_setting,
                auth_tokens: environment.auth_tokens.clone(),
            },
        );
        Self {
            files: Rc::new(files),
            main: Rc::new(options.main),
            permissions: options.permissions,
            fetched: Rc::default(),
        }
    }

    /// The URL of the main module.
    pub fn main_module(&self) -> &Url {
        &self.main.url
    }

    /// The source of a file that the user named: it needs no permission.
    pub async fn fetch_named(&self, url: &Url) -> Result<File, JsErrorBox> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            match self.files.fetch_no_follow(&url, FetchNoFollowOptions::default()).await {
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
            self.permissions.check_specifier(&url, kind).map_err(JsErrorBox::from_err)?;
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
        let cache = cache.or_else(|| self.fetched.borrow().contains(url).then_some(CacheSetting::Use));
        let options = FetchNoFollowOptions {
            local: FetchLocalOptions { include_mtime: true },
            maybe_cache_setting: cache.as_ref(),
            maybe_checksum: checksum.map(Checksum::new),
            ..FetchNoFollowOptions::default()
        };
        let found = self.files.fetch_no_follow(url, options).await?;
        if matches!(url.scheme(), "http" | "https") {
            self.fetched.borrow_mut().insert(url.clone());
        }
        Ok(found)
    }

    async fn fetch(self, url: Url, options: LoadOptions) -> Result<Option<LoadResponse>, LoadError> {
        let main = Some(&*self.main).filter(|main| main.url == url);
        let headers = main.and_then(MainModule::headers);
        if let Some(text) = main.and_then(|main| main.text.as_deref()) {
            let content = text.as_bytes().into();
            return Ok(Some(LoadResponse::Module { content, mtime: None, specifier: url, maybe_headers: headers }));
        }
        // What a module imports with a constant specifier is part of the program. What it finds while it runs, it must be
        // allowed to read.
        let kind = if options.was_dynamic_root { CheckSpecifierKind::Dynamic } else { CheckSpecifierKind::Static };
        self.permissions.check_specifier(&url, kind).map_err(other)?;
        let cache = match options.cache_setting {
            GraphCacheSetting::Use => None,
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

impl Loader for Fetcher {
    fn load(&self, specifier: &Url, options: LoadOptions) -> LoadFuture {
        Box::pin(self.clone().fetch(specifier.clone(), options))
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
