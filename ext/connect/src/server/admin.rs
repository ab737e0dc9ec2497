//! What operators ask for: whether the server lives, whether it is ready, and what it has counted.

use std::time::Duration;

use http::{Response, StatusCode};
use openkv_engine::Key;

use super::body::{self, Body};
use super::failure::Failure;
use super::hosted::Hosted;
use super::metrics::Gauges;
use super::phase::Phase;
use super::shared::Shared;

/// How long a database may take to answer where it is ready.
const TIMEOUT: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; charset=utf-8";
/// The format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Responds to a request with GET.
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
        _ => Failure::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")).into_response(),
    }
}

async fn ready(shared: &Shared) -> Result<(), String> {
    if shared.phase.present() >= Phase::Stopping {
        return Err("the server is being stopped".into());
    }
    for Hosted { name, database, .. } in &shared.databases {
        let read = database.get(&Key::from(["openkv"]));
        match tokio::time::timeout(TIMEOUT, read).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(format!("database {name:?} failed: {error}")),
            Err(_) => return Err(format!("database {name:?} does not answer")),
        }
    }
    Ok(())
}
