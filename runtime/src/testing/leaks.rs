//! Detects the operations and resources that a test leaks.

use super::tick::tick;
use deno_core::JsRuntime;
use deno_core::error::CoreError;
use deno_core::stats::{RuntimeActivity, RuntimeActivityDiff, RuntimeActivityStats, RuntimeActivityStatsFilter};

/// The number of event-loop ticks before an operation or resource counts as leaked, as closing it may take some.
const TICKS: usize = 16;

/// Compares the operations and resources of an isolate before a test and after it.
pub(super) struct LeakCheck {
    filter: RuntimeActivityStatsFilter,
    before: RuntimeActivityStats,
}

impl LeakCheck {
    /// Captures the state before a test. Returns `None` if nothing is checked.
    pub fn begin(js: &JsRuntime, ops: bool, resources: bool) -> Option<Self> {
        let mut filter = RuntimeActivityStatsFilter::default();
        if ops {
            filter = filter.with_ops().with_timers();
        }
        if resources {
            filter = filter.with_resources();
        }
        if filter.is_empty() {
            return None;
        }
        let before = js.runtime_activity_stats_factory().capture(&filter);
        Some(Self { filter, before })
    }

    /// Returns a message about the leaks of the test, and about operations and resources of others that it closed, if any.
    ///
    /// # Errors
    /// An uncaught exception of the script in the event loop.
    pub async fn end(self, js: &mut JsRuntime) -> Result<Option<String>, CoreError> {
        for _ in 0..TICKS {
            if self.difference(js).is_empty() {
                return Ok(None);
            }
            tick(js).await?;
        }
        let difference = self.difference(js);
        Ok((!difference.is_empty()).then(|| describe(&difference)))
    }

    fn difference(&self, js: &JsRuntime) -> RuntimeActivityDiff {
        RuntimeActivityStats::diff(&self.before, &js.runtime_activity_stats_factory().capture(&self.filter))
    }
}

fn describe(difference: &RuntimeActivityDiff) -> String {
    let leaked = difference.appeared.iter().map(|leaked| match leaked {
        RuntimeActivity::AsyncOp(_, _, op) => format!("The operation {op} was started, but did not complete."),
        RuntimeActivity::Resource(_, _, name) => format!("{} was opened, but not closed.", noun(name)),
        RuntimeActivity::Timer(..) => "A timer was started, but neither fired nor was cleared.".into(),
        RuntimeActivity::Interval(..) => "An interval was started, but not cleared.".into(),
    });
    let closed = difference.disappeared.iter().map(|closed| match closed {
        RuntimeActivity::AsyncOp(_, _, op) => format!("The operation {op} completed, but was started before the test."),
        RuntimeActivity::Resource(_, _, name) => format!("{} was closed, but was opened before the test.", noun(name)),
        RuntimeActivity::Timer(..) => "A timer fired or was cleared, but was started before the test.".into(),
        RuntimeActivity::Interval(..) => "An interval was cleared, but was started before the test.".into(),
    });
    let mut lines: Vec<_> = leaked.chain(closed).map(|line| format!("\n  - {line}")).collect();
    lines.sort();
    format!("The test leaks operations or resources, or closes those of others:{}", lines.concat())
}

/// Returns the description of a kind of resource.
fn noun(resource: &str) -> String {
    let known = match resource {
        "child" => "A program",
        "childStderr" | "childStdin" | "childStdout" => "A pipe to a program",
        "openkvDatabase" => "A database (Deno.Kv)",
        "openkvWatcher" => "A watch of a database",
        "fetchRequest" | "fetchResponse" | "fetchResponseBody" => "The response of a fetch",
        "fsFile" => "A file",
        "httpServer" => "A server",
        "signal" => "A listener for a signal",
        "stderr" | "stdin" | "stdout" => return format!("Deno.{resource}"),
        "tcpListener" | "tlsListener" | "unixListener" => "A listener",
        "tcpStream" | "tlsStream" | "unixStream" => "A connection",
        "udpSocket" | "unixDatagram" => "A socket for datagrams",
        "webSocketStream" => "A WebSocket",
        _ => return format!("A resource ({resource})"),
    };
    known.into()
}
