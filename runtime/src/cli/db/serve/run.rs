//! Opens the databases, listens, and serves until a signal stops the server.

use std::io;
use std::net::SocketAddr;

use openkv_connect::server::{Access, Certificate, Options, Served, Server, StartError, Token};
use tokio::net::TcpListener;

use super::config::Tls;
use super::signals::{Signal, Signals};
use super::{Plan, tokens};
use crate::cli::db::locations;
use crate::cli::outcome::{self, Outcome};

/// Serves until a signal stops the server.
///
/// # Errors
/// A message for the user if the server cannot start.
pub(super) fn run(plan: Plan) -> Outcome {
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| format!("failed to create the event loop: {error}"))?;
    runtime.block_on(serve(plan))
}

async fn serve(plan: Plan) -> Outcome {
    // Before the databases are opened, so that a second server with the same address fails first.
    let listener = listen(plan.addr).await?;
    let admin = match plan.metrics {
        Some(addr) => Some(listen(addr).await?),
        None => None,
    };
    let certificate = plan.tls.as_ref().map(read_certificate).transpose()?;
    let addr =
        listener.local_addr().map_err(|error| format!("failed to read the address of {}: {error}", plan.addr))?;
    let mut databases = Vec::new();
    for (name, location) in plan.databases {
        databases.push(Served::new(name, locations::open(&location).await?));
    }
    let mut options = Options::default();
    options.tokens = plan.tokens.into_iter().map(token).collect();
    options.certificate = certificate.clone();
    let mut signals = Signals::new()?;

    let failed = |error: StartError| error.to_string();
    let server = Server::new(databases.clone(), options).await.map_err(failed)?;
    server.listen(listener).map_err(failed)?;
    if let Some(admin) = admin {
        server.listen_admin(admin).map_err(failed)?;
    }
    let scheme = if certificate.is_some() { "https" } else { "http" };
    outcome::print(&format!("listening on {scheme}://{addr}\n"))?;

    while signals.next().await == Signal::Reload {
        if let Some((certificate, tls)) = certificate.as_ref().zip(plan.tls.as_ref()) {
            reload(certificate, tls);
        }
    }
    tokio::select! {
        () = server.shutdown() => {}
        () = signals.stop() => tracing::warn!("stopping without waiting for clients, because of a second signal"),
    }
    // Each checkpoints its WAL.
    databases.iter().for_each(|served| served.database.close());
    Ok(0)
}

/// Reloads the certificate. On failure, the current one stays in use.
fn reload(certificate: &Certificate, tls: &Tls) {
    let replaced = read_tls(tls).and_then(|(certificates, key)| {
        certificate.replace(&certificates, &key).map_err(|error| tls_error(tls, &error))
    });
    match replaced {
        Ok(()) => tracing::info!(cert = %tls.cert.display(), "reloaded the certificate"),
        Err(error) => tracing::error!(error, "failed to reload the certificate"),
    }
}

fn token(token: tokens::Token) -> Token {
    let tokens::Token { name, secret, databases, read_only } = token;
    let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
    let token = Token::new(name, &secret).access(access);
    match databases {
        Some(databases) => token.databases(databases),
        None => token,
    }
}

async fn listen(addr: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(addr).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "cannot listen on {addr}: the address is in use: choose another one with --addr, or port 0 for a free port"
            )
        }
        _ => format!("cannot listen on {addr}: {error}"),
    })
}

/// Reads the files of a certificate.
fn read_certificate(tls: &Tls) -> Result<Certificate, String> {
    let (certificates, key) = read_tls(tls)?;
    Certificate::from_pem(&certificates, &key).map_err(|error| tls_error(tls, &error))
}

fn read_tls(Tls { cert, key }: &Tls) -> Result<(Vec<u8>, Vec<u8>), String> {
    let read = |path: &std::path::Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    Ok((read(cert)?, read(key)?))
}

fn tls_error(Tls { cert, key }: &Tls, error: &dyn std::fmt::Display) -> String {
    format!("{}, {}: {error}", cert.display(), key.display())
}
