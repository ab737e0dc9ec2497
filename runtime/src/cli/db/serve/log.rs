//! The log of `openkv db serve`: the events of the server and the engine, on standard error.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

use super::config::LogFormat;

/// Installs the global subscriber for events.
pub(super) fn install(format: LogFormat) {
    let events =
        fmt().with_writer(std::io::stderr).with_max_level(LevelFilter::INFO).with_target(false).with_ansi(false);
    match format {
        LogFormat::Text => events.init(),
        LogFormat::Json => events.json().flatten_event(true).init(),
    }
}
