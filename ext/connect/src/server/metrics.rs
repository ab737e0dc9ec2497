//! Metrics in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::call::Call;

/// The counters of a server.
#[derive(Default)]
pub(crate) struct Metrics {
    exchanges: Requests,
    calls: [Requests; Call::ALL.len()],
    pub commits: Counter,
    pub conflicts: Counter,
    pub denied: Counter,
    pub storage_failures: Counter,
    pub rejected_connections: Counter,
}

/// The name of the metadata exchange in metrics and events.
pub(crate) const EXCHANGE: &str = "metadata_exchange";

/// A counter.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds 1.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one call.
#[derive(Default)]
struct Requests {
    /// By the first digit of the status: 2, 4 and 5.
    statuses: [Counter; STATUSES.len()],
    /// By duration. Each request is counted in the first bucket that fits.
    buckets: [Counter; BUCKETS.len() + 1],
    micros: AtomicU64,
}

const STATUSES: [(u16, &str); 3] = [(2, "2xx"), (4, "4xx"), (5, "5xx")];

/// The upper bounds of the buckets, in microseconds and as text in seconds.
const BUCKETS: [(u64, &str); 10] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (1000, "0.001"),
    (2500, "0.0025"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (10_000_000, "10"),
];

/// The current values of the gauges.
pub(crate) struct Gauges {
    pub connections: usize,
    pub streams: usize,
    pub memory: usize,
}

impl Metrics {
    /// Counts a request of a call, or of the metadata exchange. The time of a stream is that until its response begins.
    pub fn observe(&self, call: Option<Call>, status: StatusCode, time: Duration) {
        let requests = call.map_or(&self.exchanges, |call| &self.calls[call as usize]);
        if let Some(i) = STATUSES.iter().position(|(digit, _)| *digit == status.as_u16() / 100) {
            requests.statuses[i].increment();
        }
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(bound, _)| micros <= *bound).unwrap_or(BUCKETS.len());
        requests.buckets[bucket].increment();
        requests.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Returns all metrics as text.
    pub fn text(&self, gauges: &Gauges) -> String {
        let mut text = String::new();
        self.write_requests(&mut text);
        let counters = [
            ("commits", "Committed writes.", &self.commits),
            ("conflicts", "Writes with failed checks.", &self.conflicts),
            ("denied", "Requests without a valid token.", &self.denied),
            ("storage_failures", "Requests that failed because the storage failed.", &self.storage_failures),
            ("rejected_connections", "Connections rejected because of the limit.", &self.rejected_connections),
        ];
        for (name, help, counter) in counters {
            let value = counter.get();
            put(&mut text, format_args!("# HELP openkv_{name}_total {help}\n# TYPE openkv_{name}_total counter\n"));
            put(&mut text, format_args!("openkv_{name}_total {value}\n"));
        }
        let gauges = [
            ("connections", "Open connections.", gauges.connections),
            ("streams", "Open watches and streams of messages.", gauges.streams),
            ("memory_bytes", "Memory used by requests and responses.", gauges.memory),
        ];
        for (name, help, value) in gauges {
            put(&mut text, format_args!("# HELP openkv_{name} {help}\n# TYPE openkv_{name} gauge\n"));
            put(&mut text, format_args!("openkv_{name} {value}\n"));
        }
        text
    }

    /// Returns the requests of each call, with its name.
    fn named(&self) -> impl Iterator<Item = (&'static str, &Requests)> {
        let calls = Call::ALL.into_iter().map(Call::path).zip(&self.calls);
        [(EXCHANGE, &self.exchanges)].into_iter().chain(calls)
    }

    fn write_requests(&self, text: &mut String) {
        put(
            text,
            format_args!(
                "# HELP openkv_requests_total Requests by call and status.\n# TYPE openkv_requests_total counter\n"
            ),
        );
        for (call, requests) in self.named() {
            for ((_, status), counter) in STATUSES.iter().zip(&requests.statuses) {
                let value = counter.get();
                put(text, format_args!("openkv_requests_total{{call=\"{call}\",status=\"{status}\"}} {value}\n"));
            }
        }
        put(text, format_args!("# HELP openkv_request_seconds Duration of requests.\n"));
        put(text, format_args!("# TYPE openkv_request_seconds histogram\n"));
        for (call, requests) in self.named() {
            let mut count = 0;
            let bounds = BUCKETS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
            for (bound, bucket) in bounds.zip(&requests.buckets) {
                count += bucket.get();
                put(text, format_args!("openkv_request_seconds_bucket{{call=\"{call}\",le=\"{bound}\"}} {count}\n"));
            }
            let seconds = requests.micros.load(Ordering::Relaxed) as f64 / 1e6;
            put(text, format_args!("openkv_request_seconds_sum{{call=\"{call}\"}} {seconds}\n"));
            put(text, format_args!("openkv_request_seconds_count{{call=\"{call}\"}} {count}\n"));
        }
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_call_status_and_time() {
        let metrics = Metrics::default();
        let micros = Duration::from_micros;
        metrics.observe(Some(Call::AtomicWrite), StatusCode::OK, micros(100));
        metrics.observe(Some(Call::AtomicWrite), StatusCode::CONFLICT, micros(101));
        metrics.observe(None, StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(99));
        metrics.commits.increment();
        let text = metrics.text(&Gauges { connections: 2, streams: 1, memory: 9 });
        for line in [
            "openkv_requests_total{call=\"atomic_write\",status=\"2xx\"} 1",
            "openkv_requests_total{call=\"atomic_write\",status=\"4xx\"} 1",
            "openkv_requests_total{call=\"metadata_exchange\",status=\"5xx\"} 1",
            "openkv_request_seconds_bucket{call=\"atomic_write\",le=\"0.0001\"} 1",
            "openkv_request_seconds_bucket{call=\"atomic_write\",le=\"0.00025\"} 2",
            "openkv_request_seconds_bucket{call=\"metadata_exchange\",le=\"10\"} 0",
            "openkv_request_seconds_bucket{call=\"metadata_exchange\",le=\"+Inf\"} 1",
            "openkv_request_seconds_sum{call=\"atomic_write\"} 0.000201",
            "openkv_request_seconds_count{call=\"atomic_write\"} 2",
            "openkv_commits_total 1",
            "openkv_connections 2",
            "openkv_memory_bytes 9",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
