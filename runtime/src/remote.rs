use std::env;
use std::sync::Arc;

use deno_core::OpState;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_permissions::PermissionsContainer;
use deno_tls::rustls::ClientConfig;
use deno_tls::{SocketUse, TlsClientConfigOptions, TlsKeys, create_client_config};
use openkv_connect::client::{Options, connect};
use openkv_engine::{BoxFuture, Cause, Database, Error};
use openkv_ext::is_remote;

use crate::certificates::Certificates;

/// The environment variable with the token for remote databases.
const ACCESS_TOKEN: &str = "DENO_KV_ACCESS_TOKEN";

/// The API name in permission prompts.
const API: &str = "Deno.openKv";

/// Returns a connector for the URLs of remote databases, see [`Options::connector`](openkv_ext::Options::connector). It requires
/// the same permissions as Deno: for the network and for the environment variable.
pub fn connector(
    certificates: Certificates,
) -> impl Fn(&mut OpState, &str) -> Option<Result<BoxFuture<Database>, JsErrorBox>> + 'static {
    move |state, path| is_remote(path).then(|| open(state, path, &certificates))
}

fn open(state: &mut OpState, url: &str, certificates: &Certificates) -> Result<BoxFuture<Database>, JsErrorBox> {
    let parsed = Url::parse(url).map_err(|_| JsErrorBox::type_error(format!("Invalid database url: {url}")))?;
    let permissions = state.borrow_mut::<PermissionsContainer>();
    permissions.check_env(ACCESS_TOKEN).map_err(JsErrorBox::from_err)?;
    permissions.check_net_url(&parsed, API).map_err(JsErrorBox::from_err)?;
    let permissions = permissions.clone();
    let access_token = env::var(ACCESS_TOKEN).map_err(|_| {
        JsErrorBox::generic(format!(
            "Missing {ACCESS_TOKEN} environment variable. Please set it to your access token from https://console.deno.com"
        ))
    })?;
    let options = Options::new(access_token).permit(move |url| {
        let checked = permissions.clone().check_net_url(url, API);
        checked.map_err(|error| Error::Denied(Cause::new(JsErrorBox::from_err(error))))
    });
    let options = if parsed.scheme() == "https" { options.tls(tls(certificates)?) } else { options };
    Ok(connect(url, options))
}

fn tls(certificates: &Certificates) -> Result<Arc<ClientConfig>, JsErrorBox> {
    let config = create_client_config(TlsClientConfigOptions {
        root_cert_store: Some(certificates.store().get_or_try_init()?.clone()),
        ca_certs: Vec::new(),
        unsafely_ignore_certificate_errors: certificates.unchecked_hosts(),
        unsafely_disable_hostname_verification: false,
        cert_chain_and_key: TlsKeys::Null,
        socket_use: SocketUse::Http,
    });
    config.map(Arc::new).map_err(JsErrorBox::from_err)
}
