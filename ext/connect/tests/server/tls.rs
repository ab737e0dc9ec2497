use std::net::SocketAddr;
use std::sync::Arc;

use openkv_connect::server::{Certificate, CertificateError};
use openkv_connect::wire::datapath::SnapshotRead;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Client, Connection, WRITER, options, start};

const FIRST: (&[u8], &[u8]) = (include_bytes!("certificates/first.crt"), include_bytes!("certificates/first.key"));
const SECOND: (&[u8], &[u8]) = (include_bytes!("certificates/second.crt"), include_bytes!("certificates/second.key"));

/// Connects, trusting only one certificate.
async fn connect(address: SocketAddr, trusted: &[u8], alpn: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.into()];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
}

#[tokio::test]
async fn http1_and_http2_are_negotiated() {
    let mut options = options();
    options.certificate = Some(Certificate::from_pem(FIRST.0, FIRST.1).unwrap());
    let running = start(options).await;
    let http2 = connect(running.address, FIRST.0, "h2").await.unwrap();
    assert_eq!(http2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let http1 = connect(running.address, FIRST.0, "http/1.1").await.unwrap();
    assert_eq!(http1.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for connection in [
        Connection::http2_over(http2, "localhost".into()).await,
        Connection::http1_over(http1, "localhost".into()).await,
    ] {
        let mut client = Client::with(connection, WRITER).await;
        assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, 200);
    }
    running.server.shutdown().await;
}

#[tokio::test]
async fn certificate_is_replaced_for_later_connections() {
    let certificate = Certificate::from_pem(FIRST.0, FIRST.1).unwrap();
    let mut options = options();
    options.certificate = Some(certificate.clone());
    let running = start(options).await;
    let before = connect(running.address, FIRST.0, "h2").await.unwrap();
    assert!(connect(running.address, SECOND.0, "h2").await.is_err());

    certificate.replace(SECOND.0, SECOND.1).unwrap();
    assert!(connect(running.address, FIRST.0, "h2").await.is_err());
    connect(running.address, SECOND.0, "h2").await.unwrap();
    let mut client = Client::with(Connection::http2_over(before, "localhost".into()).await, WRITER).await;
    assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, 200);
}

#[tokio::test]
async fn plain_connections_are_rejected() {
    let mut options = options();
    options.certificate = Some(Certificate::from_pem(FIRST.0, FIRST.1).unwrap());
    let running = start(options).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    assert!(!response.starts_with(b"HTTP"), "{response:?}");
}

#[test]
fn invalid_certificates_are_rejected() {
    let rejection = |certificate: &[u8], key: &[u8]| Certificate::from_pem(certificate, key).unwrap_err();
    assert!(matches!(rejection(b"", FIRST.1), CertificateError::Missing));
    assert!(matches!(rejection(FIRST.0, b""), CertificateError::Key(_)));
    assert!(matches!(rejection(FIRST.0, SECOND.1), CertificateError::Mismatch(_)));
    let certificate = Certificate::from_pem(FIRST.0, FIRST.1).unwrap();
    assert!(certificate.replace(SECOND.0, FIRST.1).is_err());
}
