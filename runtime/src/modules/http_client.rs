//! Downloads modules and npm packages.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use deno_cache_dir::file_fetcher::{HttpClient, SendError, SendResponse};
use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_fetch::{Client, CreateHttpClientOptions, ReqBody, ResBody, create_http_client};
use deno_npm_cache::{DownloadError, NpmCacheHttpClient, NpmCacheHttpClientBytesResponse, NpmCacheHttpClientResponse};
use deno_npmrc::RegistryConfig;
use deno_permissions::{CheckSpecifierKind, PermissionsContainer};
use deno_tls::{TlsKey, load_certs, load_private_keys};
use http::header::{AUTHORIZATION, ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;

use crate::certificates::Certificates;
use crate::environment::{Environment, proxies};
use crate::extensions::env::Proxy;

/// The limit of redirects, the same as Deno's for an npm registry.
const MAX_REDIRECTS: usize = 10;

/// The HTTP client of the runtime's `fetch`, created for the first download.
#[derive(Clone, Debug)]
pub(super) struct ModuleClient(Arc<State>);

#[derive(Debug)]
struct State {
    user_agent: String,
    certificates: Certificates,
    /// The permissions of the script.
    permissions: PermissionsContainer,
    log_downloads: bool,
    /// The clients created so far, by client certificate.
    clients: Mutex<HashMap<Option<Identity>, Client>>,
}

/// The certificate and key files of a client, as configured in `.npmrc` for a registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    fn of(config: &RegistryConfig) -> Option<Self> {
        Some(Self { certificate: config.certfile.clone()?, key: config.keyfile.clone()? })
    }

    fn load(&self) -> Result<TlsKey, SendError> {
        let read = |path: &str| {
            let path = Environment::at_start().absolute(Path::new(path));
            std::fs::read(&path).map_err(|error| SendError::Failed(format!("failed to read {path:?}: {error}").into()))
        };
        let certificates = load_certs(&mut read(&self.certificate)?.as_slice()).map_err(failed)?;
        let key = load_private_keys(&read(&self.key)?).map_err(failed)?.into_iter().next();
        let key = key.ok_or_else(|| SendError::Failed(format!("no private key found in {:?}", self.key).into()))?;
        Ok(TlsKey(certificates, key))
    }
}

impl ModuleClient {
    pub fn new(
        user_agent: String,
        certificates: Certificates,
        permissions: PermissionsContainer,
        log_downloads: bool,
    ) -> Self {
        Self(Arc::new(State { user_agent, certificates, permissions, log_downloads, clients: Mutex::default() }))
    }

    fn client(&self, identity: Option<Identity>) -> Result<Client, SendError> {
        let mut clients = self.0.clients.lock();
        if let Some(client) = clients.get(&identity) {
            return Ok(client.clone());
        }
        self.check_proxies()?;
        let certificates = &self.0.certificates;
        let options = CreateHttpClientOptions {
            root_cert_store: Some(certificates.store().get_or_try_init().map_err(failed)?.clone()),
            unsafely_ignore_certificate_errors: certificates.unchecked_hosts(),
            client_cert_chain_and_key: identity.as_ref().map(Identity::load).transpose()?,
            ..CreateHttpClientOptions::default()
        };
        let client = create_http_client(&self.0.user_agent, options).map_err(failed)?;
        Ok(clients.entry(identity).or_insert(client).clone())
    }

    /// Checks that the script may import from the proxies that it has set. The client reads them from the environment, and
    /// their responses may be cached for later runs.
    fn check_proxies(&self) -> Result<(), SendError> {
        let at_start = &Environment::at_start().proxies;
        for (_, value) in proxies().filter(|(name, value)| !at_start.contains(name, value)) {
            match Proxy::parse(&value) {
                Some(Proxy::Host(host, port)) => {
                    let url = Url::parse(&format!("http://{host}:{port}")).map_err(failed)?;
                    self.0.permissions.check_specifier(&url, CheckSpecifierKind::Dynamic).map_err(failed)?;
                }
                Some(Proxy::Socket) => {
                    let message = format!(
                        "failed to download modules through the proxy \"{value}\" that the script has set: the proxy must be a host"
                    );
                    return Err(SendError::Failed(message.into()));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Sends a GET request without following redirects.
    async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        identity: Option<Identity>,
    ) -> Result<http::Response<ResBody>, SendError> {
        if self.0.log_downloads {
            eprintln!("{} {url}", deno_terminal::colors::green("Download"));
        }
        let mut request = http::Request::new(ReqBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(failed)?;
        *request.headers_mut() = headers;
        self.client(identity)?.send(request).await.map_err(failed)
    }
}

#[async_trait::async_trait(?Send)]
impl HttpClient for ModuleClient {
    async fn send_no_follow(&self, url: &Url, headers: HeaderMap) -> Result<SendResponse, SendError> {
        let (head, body) = self.get(url, headers, None).await?.into_parts();
        match head.status {
            StatusCode::NOT_MODIFIED => Ok(SendResponse::NotModified),
            status if status.is_redirection() => Ok(SendResponse::Redirect(head.headers)),
            StatusCode::NOT_FOUND => Err(SendError::NotFound),
            status if status.is_success() => {
                let bytes = body.collect().await.map_err(failed)?.to_bytes();
                Ok(SendResponse::Success(head.headers, bytes.into()))
            }
            status => Err(SendError::StatusCode(status)),
        }
    }
}

/// Downloads from an npm registry need no import permission: as in Deno, it applies to URLs in imports. The client of
/// `fetch` retries after connection failures.
#[async_trait::async_trait(?Send)]
impl NpmCacheHttpClient for ModuleClient {
    async fn download_with_retries_on_any_tokio_runtime(
        &self,
        url: Url,
        maybe_auth: Option<String>,
        maybe_etag: Option<String>,
        maybe_registry_config: Option<&RegistryConfig>,
    ) -> Result<NpmCacheHttpClientResponse, DownloadError> {
        let identity = maybe_registry_config.and_then(Identity::of);
        let mut headers = HeaderMap::new();
        for (name, value) in [(AUTHORIZATION, maybe_auth), (IF_NONE_MATCH, maybe_etag)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::try_from(value).map_err(|error| not_downloaded(&url, None, error))?);
            }
        }
        let mut from = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.get(&from, headers.clone(), identity.clone()).await;
            let (head, body) = response.map_err(|error| not_downloaded(&from, None, reason(&error)))?.into_parts();
            match head.status {
                StatusCode::NOT_MODIFIED => return Ok(NpmCacheHttpClientResponse::NotModified),
                StatusCode::NOT_FOUND => return Ok(NpmCacheHttpClientResponse::NotFound),
                status if status.is_redirection() => {
                    let to = redirected(&from, &head.headers)
                        .ok_or_else(|| not_downloaded(&from, Some(status), "the redirect has no valid location"))?;
                    if to.origin() != from.origin() {
                        headers.remove(AUTHORIZATION);
                    }
                    from = to;
                }
                status if status.is_success() => {
                    let body = body.collect().await.map_err(|error| not_downloaded(&from, None, error))?;
                    let etag = head.headers.get(ETAG).and_then(|etag| etag.to_str().ok());
                    return Ok(NpmCacheHttpClientResponse::Bytes(NpmCacheHttpClientBytesResponse {
                        bytes: body.to_bytes().into(),
                        etag: etag.map(Into::into),
                    }));
                }
                status => return Err(not_downloaded(&from, Some(status), status)),
            }
        }
        Err(not_downloaded(&url, None, "too many redirects"))
    }
}

/// Returns the target of a redirect.
fn redirected(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let to = from.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    matches!(to.scheme(), "http" | "https").then_some(to)
}

fn not_downloaded(url: &Url, status: Option<StatusCode>, reason: impl Display) -> DownloadError {
    let message = format!("failed to download {url}: {reason}");
    DownloadError { status_code: status.map(|status| status.as_u16()), error: JsErrorBox::generic(message) }
}

/// Returns the reason why a request failed.
fn reason(error: &SendError) -> String {
    match error {
        SendError::Failed(error) => error.to_string(),
        SendError::NotFound => StatusCode::NOT_FOUND.to_string(),
        SendError::StatusCode(status) => status.to_string(),
    }
}

fn failed(error: impl Error + Send + Sync + 'static) -> SendError {
    SendError::Failed(Box::new(error))
}
