use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use deno_error::JsErrorBox;
use deno_tls::rustls::RootCertStore;
use deno_tls::{RootCertStoreProvider, create_default_root_cert_store, rustls_pemfile};

use crate::environment::Environment;
use crate::system_certificates::{SYSTEM, SystemCertificates, names};

/// The certificates that TLS connections trust, configured by the same variables as Deno: `DENO_TLS_CA_STORE` ("mozilla", which
/// is the default, "system", or both with a comma), and `DENO_CERT` and `NODE_EXTRA_CA_CERTS` (PEM files with more). Changes by
/// scripts have no effect.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// The path of a PEM file with further certificates to trust. Defaults to that in `DENO_CERT`.
    pub file: Option<String>,
    /// Hosts whose certificates are not checked. An empty list means all hosts.
    pub unchecked_hosts: Option<Vec<String>>,
}

impl Certificates {
    pub(crate) fn store(&self) -> Arc<dyn RootCertStoreProvider> {
        let environment = Environment::at_start();
        let file = self.file.as_ref().or(environment.certificate_file.as_ref());
        Arc::new(Store { file: file.map(|file| environment.absolute(file)), loaded: OnceLock::new() })
    }

    /// Returns a configuration of TLS for clients of databases, which trust these certificates.
    #[cfg(any(feature = "connect", feature = "etcd", feature = "postgres"))]
    pub(crate) fn client_config(&self) -> Result<Arc<deno_tls::rustls::ClientConfig>, JsErrorBox> {
        let config = deno_tls::create_client_config(deno_tls::TlsClientConfigOptions {
            root_cert_store: Some(self.store().get_or_try_init()?.clone()),
            ca_certs: Vec::new(),
            unsafely_ignore_certificate_errors: self.unchecked_hosts(),
            unsafely_disable_hostname_verification: false,
            cert_chain_and_key: deno_tls::TlsKeys::Null,
            socket_use: deno_tls::SocketUse::GeneralSsl,
        });
        config.map(Arc::new).map_err(JsErrorBox::from_err)
    }

    pub(crate) fn unchecked_hosts(&self) -> Option<Vec<String>> {
        self.unchecked_hosts.clone()
    }
}

/// Loads the certificates for the first connection that needs them.
struct Store {
    file: Option<PathBuf>,
    loaded: OnceLock<Result<RootCertStore, String>>,
}

impl RootCertStoreProvider for Store {
    fn get_or_try_init(&self) -> Result<&RootCertStore, JsErrorBox> {
        let loaded = self.loaded.get_or_init(|| load(self.file.as_deref()));
        loaded.as_ref().map_err(|message| JsErrorBox::generic(message.clone()))
    }
}

fn load(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let environment = Environment::at_start();
    for name in names(environment.certificate_stores.as_deref().unwrap_or("mozilla")) {
        match name {
            "mozilla" => store.roots.extend(create_default_root_cert_store().roots),
            SYSTEM => {
                if let Some(SystemCertificates(loaded)) = &environment.system_certificates {
                    store.add_parsable_certificates(loaded.clone()?);
                }
            }
            _ => {
                return Err(format!(
                    "unknown store {name:?} in DENO_TLS_CA_STORE: use \"mozilla\", \"system\" or both"
                ));
            }
        }
    }
    if let Some(file) = file {
        add(&mut store, file)?;
    }
    // As in Node.js, a file that cannot be used is no error.
    if let Some(file) = environment.extra_certificate_file.as_deref().map(|file| environment.absolute(file))
        && let Err(error) = add(&mut store, &file)
    {
        let warning = deno_terminal::colors::yellow("Warning");
        log::warn!("{warning} NODE_EXTRA_CA_CERTS is ignored: {error}");
    }
    Ok(store)
}

/// Adds the certificates in a PEM file.
fn add(store: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let unreadable = |error| format!("failed to read the certificates in {file:?}: {error}");
    let mut reader = BufReader::new(std::fs::File::open(file).map_err(unreadable)?);
    for certificate in rustls_pemfile::certs(&mut reader) {
        store
            .add(certificate.map_err(unreadable)?)
            .map_err(|error| format!("invalid certificate in {file:?}: {error}"))?;
    }
    Ok(())
}
