//! Downloads modules.

use std::cell::OnceCell;
use std::error::Error;

use deno_cache_dir::file_fetcher::{HttpClient, SendError, SendResponse};
use deno_core::url::Url;
use deno_fetch::{Client, CreateHttpClientOptions, ReqBody, create_http_client};
use deno_permissions::{CheckSpecifierKind, PermissionsContainer};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

use crate::certificates::Certificates;
use crate::environment::{Environment, proxies};
use crate::extensions::env::Proxy;

/// The client of the runtime's own `fetch`, which is made for the first download.
#[derive(Debug)]
pub(super) struct ModuleClient {
    pub user_agent: String,
    pub certificates: Certificates,
    /// What the script may do.
    pub permissions: PermissionsContainer,
    /// Whether downloads are told on standard error.
    pub told: bool,
    pub client: OnceCell<Client>,
}

impl ModuleClient {
    fn client(&self) -> Result<Client, SendError> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        self.check_proxies()?;
        let root_cert_store = self.certificates.store().get_or_try_init().map_err(failed)?.clone();
        let options = CreateHttpClientOptions {
            root_cert_store: Some(root_cert_store),
            unsafely_ignore_certificate_errors: self.certificates.unchecked_hosts(),
            ..CreateHttpClientOptions::default()
        };
        let client = create_http_client(&self.user_agent, options).map_err(failed)?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// Checks that the script may import from the proxies that it named. The client reads them from the environment, and
    /// what they send of a host may be cached for later runs.
    fn check_proxies(&self) -> Result<(), SendError> {
        let at_start = &Environment::at_start().proxies;
        for (_, value) in proxies().filter(|(name, value)| !at_start.contains(name, value)) {
            match Proxy::parse(&value) {
                Some(Proxy::Host(host, port)) => {
                    let url = Url::parse(&format!("http://{host}:{port}")).map_err(failed)?;
                    self.permissions.check_specifier(&url, CheckSpecifierKind::Dynamic).map_err(failed)?;
                }
                Some(Proxy::Socket) => {
                    let message = format!(
                        "modules cannot be downloaded by the proxy \"{value}\" that the script named: use a host"
                    );
                    return Err(SendError::Failed(message.into()));
                }
                None => {}
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait(?Send)]
impl HttpClient for ModuleClient {
    async fn send_no_follow(&self, url: &Url, headers: HeaderMap) -> Result<SendResponse, SendError> {
        if self.told {
            eprintln!("{} {url}", deno_terminal::colors::green("Download"));
        }
        let mut request = http::Request::new(ReqBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(failed)?;
        *request.headers_mut() = headers;
        let response = self.client()?.send(request).await.map_err(failed)?;

        let (head, body) = response.into_parts();
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

fn failed(error: impl Error + Send + Sync + 'static) -> SendError {
    SendError::Failed(Box::new(error))
}
