//! Authorizes requests, and dispatches them to calls.

use std::sync::Arc;
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use openkv_engine::Error;
use uuid::Uuid;

use super::admin;
use super::body::Body;
use super::call::{Call, Target};
use super::failure::Failure;
use super::hosted::Hosted;
use super::metrics::EXCHANGE;
use super::peer::Peer;
use super::phase::Phase;
use super::request::Received;
use super::shared::Shared;
use super::tokens::{Access, Denied, Grant, Issued};
use super::{data, dequeue, exchange, watch};
use crate::wire::metadata::Version;
use crate::wire::write::{self, WriteOutcome};
use crate::wire::{self, headers, openkv};

/// Responds to a request of a client.
pub(crate) async fn respond(shared: &Arc<Shared>, peer: &Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return admin::respond(shared, &path, shared.options.public_metrics).await;
    }
    let Some(target) = Target::resolve(&shared.databases, &path) else {
        let text = format!("no database or call at {path}");
        return Failure::new(StatusCode::NOT_FOUND, text).into_response();
    };
    if request.method() != Method::POST {
        return Failure::new(StatusCode::METHOD_NOT_ALLOWED, "use POST").into_response();
    }
    let started = Instant::now();
    let result = handle(shared, peer, &target, request).await;
    let response = result.unwrap_or_else(|failure| failed(shared, &target, failure));
    shared.metrics.observe(target.call.map(|(_, call)| call), response.status(), started.elapsed());
    response
}

/// Counts and logs a failure, and returns the response.
fn failed(shared: &Shared, target: &Target<'_>, failure: Failure) -> Response<Body> {
    let (database, call) = (&target.hosted.name, target.call.map_or(EXCHANGE, |(_, call)| call.path()));
    let Failure { status, text, .. } = &failure;
    if failure.is_of_storage {
        shared.metrics.storage_failures.increment();
        tracing::warn!(database, call, error = text, "the storage failed");
    } else if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(status) {
        shared.metrics.denied.increment();
        tracing::info!(database, call, error = text, "denied a request");
    } else {
        tracing::debug!(database, call, %status, error = text, "rejected a request");
    }
    failure.into_response()
}

async fn handle(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    target: &Target<'_>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let (head, body) = request.into_parts();
    if shared.phase.current() >= Phase::Draining {
        return Err(Failure::stopping());
    }
    match target.call {
        None => exchange(shared, peer, target.hosted, &head, body).await,
        Some((version, call)) => {
            check_version(version, &head.headers)?;
            let Grant { token, access } = authorize(shared, target.hosted, &head.headers)?;
            peer.authorized(token);
            let request = Received::read(body, &shared.options, &shared.memory, token).await?;
            if call.is_write() && access == Access::ReadOnly {
                return read_only(shared, peer, call);
            }
            dispatch(shared, peer, target.hosted, call, &head.headers, request).await
        }
    }
}

async fn exchange(
    shared: &Shared,
    peer: &Peer,
    hosted: &Hosted,
    head: &Parts,
    body: Incoming,
) -> Result<Response<Body>, Failure> {
    let now = shared.options.clock.now();
    let issued = shared.tokens.issue(bearer(&head.headers), &hosted.name, hosted.id, now);
    let Issued { token, access_token, expires_at } = issued.map_err(|denied| {
        // A valid token for another database stays invalid for this one.
        let is_final = denied == Denied::OtherDatabase;
        let status = if is_final { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
        Failure::new(status, denied.to_string())
    })?;
    peer.authorized(token);
    let request = Received::read(body, &shared.options, &shared.memory, token).await?;
    exchange::respond(hosted, (access_token, expires_at), peer.is_tls, head, &request.body)
}

async fn dispatch(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    hosted: &Hosted,
    call: Call,
    head: &HeaderMap,
    mut request: Received,
) -> Result<Response<Body>, Failure> {
    let limits = hosted.database.limits();
    match call {
        Call::SnapshotRead => data::snapshot_read(shared, peer, hosted, request).await,
        Call::AtomicWrite => data::respond(shared, peer, &data::atomic_write(shared, hosted, head, request).await?),
        Call::Watch => {
            let keys = wire::watch::decode(request.decode(limits)?)?;
            watch::respond(shared, peer, hosted, &keys)
        }
        Call::Read => data::openkv_read(shared, peer, hosted, request).await,
        Call::Expiries => data::respond(shared, peer, &data::expiries(hosted, request).await?),
        Call::Count => data::respond(shared, peer, &data::count(hosted, request).await?),
        Call::DeleteRange => data::respond(shared, peer, &data::delete_range(shared, hosted, head, request).await?),
        Call::Write => data::respond(shared, peer, &data::write(shared, hosted, request).await?),
        Call::Dequeue => {
            let openkv::Dequeue { limit } = request.decode(limits)?;
            dequeue::respond(shared, peer, hosted, limit)
        }
        Call::Start => data::respond(shared, peer, &data::start(shared, hosted, request)?),
        Call::Finish => data::respond(shared, peer, &data::finish(shared, hosted, request).await?),
    }
}

/// Rejects a call that a read-only token does not allow. A write gets the response that all clients understand.
fn read_only(shared: &Shared, peer: &Arc<Peer>, call: Call) -> Result<Response<Body>, Failure> {
    if call == Call::AtomicWrite {
        return data::respond(shared, peer, &write::encode_outcome(&WriteOutcome::Disabled));
    }
    Err(Error::ReadOnly.into())
}

/// Checks the version of a request, if it has one.
fn check_version(version: Version, head: &HeaderMap) -> Result<(), Failure> {
    let Some(found) = head.get(headers::VERSION) else { return Ok(()) };
    if found.to_str().ok().and_then(|found| found.parse().ok()) == Some(version.number()) {
        return Ok(());
    }
    let text =
        format!("the request is not of version {} of the protocol, which this endpoint serves", version.number());
    Err(Failure::new(StatusCode::BAD_REQUEST, text))
}

/// Returns what the token of a request grants.
fn authorize(shared: &Shared, hosted: &Hosted, head: &HeaderMap) -> Result<Grant, Failure> {
    let id = head.get(headers::DATABASE_ID).or_else(|| head.get(headers::DATABASE_ID_V1));
    let id = id.ok_or_else(|| Failure::new(StatusCode::BAD_REQUEST, "the request has no database id"))?;
    let id = id.to_str().ok().and_then(|id| Uuid::try_parse(id).ok());
    if id != Some(hosted.id) {
        // The status makes clients refresh their metadata.
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "the database id of the request does not match"));
    }
    Ok(shared.tokens.check(bearer(head), hosted.id, shared.options.clock.now())?)
}

/// Returns the token of a request.
fn bearer(head: &HeaderMap) -> Option<&str> {
    let (scheme, token) = head.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
