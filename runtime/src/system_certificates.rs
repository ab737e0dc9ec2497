use deno_tls::deno_native_certs::load_native_certs;
use deno_tls::rustls::pki_types::CertificateDer;

/// The name in `DENO_TLS_CA_STORE` for the certificates of the system.
pub(crate) const SYSTEM: &str = "system";

/// Returns the names in a value of `DENO_TLS_CA_STORE`.
pub(crate) fn names(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// The certificates that the system trusts, or the error message if they cannot be loaded.
pub(crate) struct SystemCertificates(pub Result<Vec<CertificateDer<'static>>, String>);

impl SystemCertificates {
    /// Loads the certificates if a value of `DENO_TLS_CA_STORE` includes them. Must be called before the first script, which may
    /// change the variables that locate them.
    pub fn load_if_named(stores: Option<&str>) -> Option<Self> {
        names(stores?).any(|name| name == SYSTEM).then(|| {
            let certificates =
                load_native_certs().map_err(|error| format!("failed to load the certificates of the system: {error}"));
            Self(certificates.map(|all| all.into_iter().map(|certificate| certificate.0.into()).collect()))
        })
    }
}
