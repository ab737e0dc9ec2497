use std::env;

use deno_core::OpState;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_permissions::PermissionsContainer;
use openkv_connect::client::{Options, connect};
use openkv_engine::{BoxFuture, Cause, Database, Error};

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
    move |state, path| is_server(path).then(|| open(state, path, &certificates))
}

/// Returns whether a path is the URL of a server of KV Connect.
fn is_server(path: &str) -> bool {
    path.starts_with("https://") || path.starts_with("http://")
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
    let options = if parsed.scheme() == "https" { options.tls(certificates.client_config()?) } else { options };
    Ok(connect(url, options))
}
