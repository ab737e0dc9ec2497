//! The certificate of a server.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

/// A certificate and its key. Clones share the certificate: all connections accepted after [`Certificate::replace`] use the new
/// one.
#[derive(Clone)]
pub struct Certificate {
    current: Arc<RwLock<Arc<CertifiedKey>>>,
    provider: Arc<CryptoProvider>,
}

/// Why a certificate or its key was rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificates are not PEM.
    #[error("failed to read the certificate: {0}: it must be in PEM format")]
    Certificate(#[source] pem::Error),
    /// The file has no certificate.
    #[error("found no certificate: it must be in PEM format, followed by those of its issuers")]
    Missing,
    /// The key is not PEM.
    #[error("failed to read the private key: {0}: it must be in PEM format, unencrypted")]
    Key(#[source] pem::Error),
    /// The key is not supported, or does not match the certificate.
    #[error("the certificate and the private key cannot be used: {0}")]
    Mismatch(#[source] rustls::Error),
}

impl Certificate {
    /// Reads a certificate, followed by those of its issuers, and its private key, both in PEM format.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Arc::new(RwLock::new(Arc::new(read(certificates, key, &provider)?)));
        Ok(Self { current, provider })
    }

    /// Replaces the certificate and its key for new connections.
    ///
    /// # Errors
    /// [`CertificateError`]. The current certificate stays in use.
    pub fn replace(&self, certificates: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        let replacement = Arc::new(read(certificates, key, &self.provider)?);
        *self.current.write() = replacement;
        Ok(())
    }

    /// Returns an acceptor that uses the current certificate.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let builder =
            ServerConfig::builder_with_provider(self.provider.clone()).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

fn read(certificates: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(CertificateError::Certificate)?;
    if chain.is_empty() {
        return Err(CertificateError::Missing);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::Key)?;
    // Checks that the key matches the certificate.
    CertifiedKey::from_der(chain, key, provider).map_err(CertificateError::Mismatch)
}
