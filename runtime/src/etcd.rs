use deno_core::OpState;
use deno_error::JsErrorBox;
use deno_permissions::PermissionCheckError;
use openkv_engine::{BoxFuture, Database};
use openkv_etcd::{DatabaseUrl, Environment, Options, open};

use crate::access::Access;
use crate::certificates::Certificates;

/// Returns a connector for the URLs of databases in etcd, see [`Options::connector`](openkv_ext::Options::connector). It requires
/// permissions for the network, for each node of the URL, and those for the variables of the environment and for the files that
/// they name.
pub fn connector(
    certificates: Certificates,
) -> impl Fn(&mut OpState, &str) -> Option<Result<BoxFuture<Database>, JsErrorBox>> + 'static {
    move |state, path| DatabaseUrl::has_scheme(path).then(|| connect(state, path, &certificates))
}

fn connect(state: &mut OpState, url: &str, certificates: &Certificates) -> Result<BoxFuture<Database>, JsErrorBox> {
    let parsed = DatabaseUrl::parse(url).map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    let environment = permit(&mut Access::of(state), &parsed).map_err(JsErrorBox::from_err)?;
    let trusts_own = environment.root_certificates.is_some();
    let options = Options::default().environment(environment);
    let options = if parsed.tls && !trusts_own { options.tls(certificates.client_config()?) } else { options };
    Ok(open(url, options))
}

/// Checks the permissions that a URL requires. Returns what completes it.
fn permit(access: &mut Access<'_>, url: &DatabaseUrl) -> Result<Environment, PermissionCheckError> {
    for node in &url.nodes {
        access.host(&node.host, node.port)?;
    }
    access.variables(Environment::variables(url))?;
    let mut environment = Environment::of_process(url);
    for path in environment.files_mut() {
        *path = access.file(path)?;
    }
    Ok(environment)
}
