use std::path::Path;

use deno_core::OpState;
use deno_error::JsErrorBox;
use deno_permissions::PermissionCheckError;
use openkv_engine::{BoxFuture, Database};
use openkv_postgres::{Address, Environment, Options, is_address, open};

use crate::access::Access;
use crate::certificates::Certificates;

/// Returns a connector for the URLs of databases in PostgreSQL, see [`Options::connector`](openkv_ext::Options::connector). It
/// requires permissions for the network, for each host of the URL. Without a password in the URL, it also requires those for the
/// variables of the environment and for the file from which libpq takes it.
pub fn connector(
    certificates: Certificates,
) -> impl Fn(&mut OpState, &str) -> Option<Result<BoxFuture<Database>, JsErrorBox>> + 'static {
    move |state, path| is_address(path).then(|| connect(state, path, &certificates))
}

fn connect(state: &mut OpState, url: &str, certificates: &Certificates) -> Result<BoxFuture<Database>, JsErrorBox> {
    let mut address = Address::parse(url).map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    let environment = permit(&mut Access::of(state), &mut address).map_err(JsErrorBox::from_err)?;
    let options = Options::default().environment(environment);
    let options = if address.verifies_certificates() && address.root_certificates().is_none() {
        options.tls(certificates.client_config()?)
    } else {
        options
    };
    Ok(open(address, options))
}

/// Checks the permissions that an address requires. Returns what completes it.
fn permit(access: &mut Access<'_>, address: &mut Address) -> Result<Environment, PermissionCheckError> {
    for host in address.hosts() {
        if host.is_socket() {
            access.socket(Path::new(&format!("{}/.s.PGSQL.{}", host.name, host.port)))?;
        } else {
            access.host(&host.name, host.port)?;
        }
    }
    if let Some(path) = address.root_certificates() {
        let permitted = access.file(path)?;
        address.set_root_certificates(permitted);
    }
    if address.has_user() && address.has_password() {
        return Ok(Environment::default());
    }
    access.variables(&Environment::VARIABLES)?;
    let mut environment = Environment::of_process();
    if !address.has_password()
        && environment.password.is_none()
        && let Some(path) = &mut environment.password_file
        && path.exists()
    {
        *path = access.file(path)?;
    }
    Ok(environment)
}
