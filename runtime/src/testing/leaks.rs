//! What a test left behind.

use super::tick::tick;
use deno_core::JsRuntime;
use deno_core::error::CoreError;
use deno_core::stats::{RuntimeActivity, RuntimeActivityDiff, RuntimeActivityStats, RuntimeActivityStatsFilter};

/// How often the event loop turns before what still runs counts as left: what was closed may need some turns to end.
const TURNS: usize = 16;

/// Compares what an isolate has open and under way, before a test and after it.
pub(super) struct LeakCheck {
    filter: RuntimeActivityStatsFilter,
    before: RuntimeActivityStats,
}

impl LeakCheck {
    /// Remembers the state before a test, where there is something to check.
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

    /// What the test left, or took away, as a text for the user; none if all is as it was.
    ///
    /// # Errors
    /// What a script did not catch while the event loop turned.
    pub async fn end(self, js: &mut JsRuntime) -> Result<Option<String>, CoreError> {
        for _ in 0..TURNS {
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
    let left = difference.appeared.iter().map(|left| match left {
        RuntimeActivity::AsyncOp(_, _, op) => format!("The operation {op} was started, and not awaited to its end."),
        RuntimeActivity::Resource(_, _, name) => format!("{} was opened, and not closed.", noun(name)),
        RuntimeActivity::Timer(..) => "A timer was started, and neither fired nor was cleared.".into(),
        RuntimeActivity::Interval(..) => "An interval was started, and not cleared.".into(),
    });
    let taken = difference.disappeared.iter().map(|taken| match taken {
        RuntimeActivity::AsyncOp(_, _, op) => format!("The operation {op}, which is not the test's own, ended in it."),
        RuntimeActivity::Resource(_, _, name) => format!("{}, which is not the test's own, was closed.", noun(name)),
        RuntimeActivity::Timer(..) => "A timer that is not the test's own ended in it.".into(),
        RuntimeActivity::Interval(..) => "An interval that is not the test's own was cleared.".into(),
    });
    let mut lines: Vec<_> = left.chain(taken).map(|line| format!("\n  - {line}")).collect();
    lines.sort();
    format!("The test did not leave everything as it was:{}", lines.concat())
}

/// What a kind of resource is for the user.
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
        _ => return format!("A resource, {resource:?},"),
    };
    known.into()
}
