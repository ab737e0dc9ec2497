//! The endpoints for operators: liveness, readiness and metrics.

use std::time::Duration;

use http::{Response, StatusCode};
use openkv_engine::Key;

use super::body::{self, Body};
use super::failure::Failure;
use super::hosted::Hosted;
use super::metrics::Gauges;
use super::phase::Phase;
use super::shared::Shared;

/// How long a database may take to respond to the readiness check.
const TIMEOUT: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; charset=utf-8";
/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Responds to a GET request.
pub(crate) async fn respond(shared: &Shared, path: &str, has_metrics: bool) -> Response<Body> {
    match path {
        "/healthz" => body::response(TEXT, body::full("ok\n")),
        "/readyz" => match ready(shared).await {
            Ok(()) => body::response(TEXT, body::full("ok\n")),
            Err(text) => Failure::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response(),
        },
        "/metrics" if has_metrics => {
            let gauges = Gauges {
                connections: shared.connection_count(),
                streams: shared.stream_count(),
                memory: shared.memory.used(),
            };
            body::response(METRICS, body::full(shared.metrics.text(&gauges)))
        }
        _ => Failure::new(StatusCode::NOT_FOUND, format!("no resource at {path}")).into_response(),
    }
}

async fn ready(shared: &Shared) -> Result<(), String> {
    if shared.phase.current() >= Phase::Stopping {
        return Err("the server is stopping".into());
    }
    for Hosted { name, database, .. } in &shared.databases {
        let read = database.get(&Key::from(["openkv"]));
        match tokio::time::timeout(TIMEOUT, read).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(format!("database {name:?} failed: {error}")),
            Err(_) => return Err(format!("database {name:?} did not respond within {} seconds", TIMEOUT.as_secs())),
        }
    }
    Ok(())
}
