//! Downloads modules.

use std::cell::OnceCell;
use std::error::Error;

use deno_cache_dir::file_fetcher::{HttpClient, SendError, SendResponse};
use deno_core::url::Url;
use deno_fetch::{Client, CreateHttpClientOptions, ReqBody, create_http_client};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

use crate::certificates::Certificates;

/// The client of the runtime's own `fetch`, which is made for the first download.
#[derive(Debug)]
pub(super) struct ModuleClient {
    pub user_agent: String,
    pub certificates: Certificates,
    /// Whether downloads are told on standard error.
    pub told: bool,
    pub client: OnceCell<Client>,
}

impl ModuleClient {
    fn client(&self) -> Result<Client, SendError> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let root_cert_store = self.certificates.store().get_or_try_init().map_err(failed)?.clone();
        let options = CreateHttpClientOptions {
            root_cert_store: Some(root_cert_store),
            unsafely_ignore_certificate_errors: self.certificates.unchecked_hosts(),
            ..CreateHttpClientOptions::default()
        };
        let client = create_http_client(&self.user_agent, options).map_err(failed)?;
        Ok(self.client.get_or_init(|| client).clone())
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
