use deno_tls::deno_native_certs::load_native_certs;
use deno_tls::rustls::pki_types::CertificateDer;

/// The name in `DENO_TLS_CA_STORE` for the certificates of the system.
pub(crate) const SYSTEM: &str = "system";

/// Returns the names in a value of `DENO_TLS_CA_STORE`.
pub(crate) fn names(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// The certificates that the system trusts, or why they cannot be loaded.
pub(crate) struct SystemCertificates(pub Result<Vec<CertificateDer<'static>>, String>);

impl SystemCertificates {
    /// Loads them if a value of `DENO_TLS_CA_STORE` names them. Scripts may change the variables that say where they are
    /// found: this must come before the first script.
    pub fn load_if_named(stores: Option<&str>) -> Option<Self> {
        names(stores?).any(|name| name == SYSTEM).then(|| {
            let certificates =
                load_native_certs().map_err(|error| format!("the system's certificates cannot be loaded: {error}"));
            Self(certificates.map(|all| all.into_iter().map(|certificate| certificate.0.into()).collect()))
        })
    }
}
