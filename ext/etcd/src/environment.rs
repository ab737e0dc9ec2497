use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::{DatabaseUrl, OpenError, Options};

const USER: &str = "OPENKV_ETCD_USER";
const PASSWORD: &str = "OPENKV_ETCD_PASSWORD";
const ROOT_CERTIFICATES: &str = "OPENKV_ETCD_CACERT";
const CERTIFICATE: &str = "OPENKV_ETCD_CERT";
const KEY: &str = "OPENKV_ETCD_KEY";

/// What completes a [`DatabaseUrl`]: the user, and the files for TLS.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Environment {
    /// The user: `OPENKV_ETCD_USER`.
    pub user: Option<String>,
    /// The password of the user: `OPENKV_ETCD_PASSWORD`.
    pub password: Option<String>,
    /// A PEM file with the certificates to trust instead of those in [`Options::tls`]: `OPENKV_ETCD_CACERT`.
    pub root_certificates: Option<PathBuf>,
    /// A PEM file with the certificate of the client: `OPENKV_ETCD_CERT`.
    pub certificate: Option<PathBuf>,
    /// A PEM file with the key of that certificate: `OPENKV_ETCD_KEY`.
    pub key: Option<PathBuf>,
}

impl Environment {
    /// Returns the variables that [`Environment::of_process`] reads for a URL.
    pub fn variables(url: &DatabaseUrl) -> &'static [&'static str] {
        if url.tls { &[USER, PASSWORD, ROOT_CERTIFICATES, CERTIFICATE, KEY] } else { &[USER, PASSWORD] }
    }

    /// Reads the environment of the process. The files are for URLs with TLS alone. Empty variables count as unset.
    pub fn of_process(url: &DatabaseUrl) -> Self {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let file = |name| env::var_os(name).filter(|path| url.tls && !path.is_empty()).map(PathBuf::from);
        Self {
            user: variable(USER),
            password: variable(PASSWORD),
            root_certificates: file(ROOT_CERTIFICATES),
            certificate: file(CERTIFICATE),
            key: file(KEY),
        }
    }

    /// Returns the paths of the files.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.root_certificates, &mut self.certificate, &mut self.key].into_iter().flatten()
    }

    /// Completes the options with the user and the contents of the files.
    pub(crate) fn complete(self, options: Options) -> Result<Options, OpenError> {
        let options = match (self.user, self.password) {
            (Some(user), Some(password)) => options.credentials(user, password),
            (None, None) => options,
            (Some(_), None) => return Err(OpenError::Incomplete { set: USER, unset: PASSWORD }),
            (None, Some(_)) => return Err(OpenError::Incomplete { set: PASSWORD, unset: USER }),
        };
        let mut tls = match self.root_certificates {
            Some(path) => Some(Arc::new(trusting(&path)?)),
            None => options.tls.clone(),
        };
        match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => {
                if let Some(config) = &mut tls {
                    present(Arc::make_mut(config), &certificate, &key)?;
                }
            }
            (None, None) => {}
            (Some(_), None) => return Err(OpenError::Incomplete { set: CERTIFICATE, unset: KEY }),
            (None, Some(_)) => return Err(OpenError::Incomplete { set: KEY, unset: CERTIFICATE }),
        }
        Ok(Options { tls, ..options })
    }
}

/// Returns a configuration that trusts the certificates in a file.
fn trusting(path: &Path) -> Result<ClientConfig, OpenError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| invalid(path, &error.to_string()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| invalid(path, &error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Makes a configuration present a certificate to servers.
fn present(config: &mut ClientConfig, certificate: &Path, key: &Path) -> Result<(), OpenError> {
    let chain = certificates(certificate)?;
    let der = PrivateKeyDer::from_pem_file(key).map_err(|error| invalid(key, &error.to_string()))?;
    let certified = CertifiedKey::from_der(chain, der, config.crypto_provider());
    let certified = certified.map_err(|error| invalid(key, &error.to_string()))?;
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| invalid(path, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(invalid(path, "the file contains no certificate"));
    }
    Ok(certificates)
}

fn invalid(path: &Path, why: &str) -> OpenError {
    OpenError::Certificates { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_environment_is_rejected() {
        let error = |environment: Environment| environment.complete(Options::default()).unwrap_err().to_string();
        let user = Environment { user: Some("app".into()), ..Environment::default() };
        assert_eq!(error(user), "OPENKV_ETCD_USER is set without OPENKV_ETCD_PASSWORD: set both, or neither");
        let key = Environment { key: Some("key.pem".into()), ..Environment::default() };
        assert_eq!(error(key), "OPENKV_ETCD_KEY is set without OPENKV_ETCD_CERT: set both, or neither");
    }

    #[test]
    fn unusable_files_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.pem");
        let error = |path: &Path| {
            let environment = Environment { root_certificates: Some(path.to_owned()), ..Environment::default() };
            environment.complete(Options::default()).unwrap_err().to_string()
        };
        let start = format!("failed to read the certificate or key in {path:?}: ");
        assert!(error(&path).starts_with(&start), "{}", error(&path));
        std::fs::write(&path, "no certificate").unwrap();
        assert_eq!(error(&path), format!("{start}the file contains no certificate"));
    }
}
