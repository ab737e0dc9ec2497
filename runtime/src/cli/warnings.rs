//! The warnings of the runtime and of Deno's libraries, about certificates, configuration files and npm packages.

use std::collections::BTreeSet;
use std::sync::Mutex;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// The libraries whose warnings are for users, by the beginnings of their names. Those of the engine and its backends are for
/// operators, who read them as events of the crate tracing.
const LIBRARIES: [&str; 4] = ["deno_config", "deno_npm", "deno_resolver", "openkv::"];

/// The libraries whose information is for users as well: what is installed into `node_modules`, which scripts of packages do
/// not run, and the URL for debuggers.
const INFORMATIVE: [&str; 2] = ["deno_inspector_server", "deno_npm_installer"];

/// Prints each warning once, with Deno's message: configuration files are read again for each test module.
struct Warnings(Mutex<BTreeSet<String>>);

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata) -> bool {
        let library = metadata.target();
        metadata.level() <= Level::Warn && LIBRARIES.iter().any(|name| library.starts_with(name))
            || metadata.level() <= Level::Info && INFORMATIVE.iter().any(|name| library.starts_with(name))
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            let message = record.args().to_string();
            let mut printed = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if !printed.contains(&message) {
                eprintln!("{message}");
                printed.insert(message);
            }
        }
    }

    fn flush(&self) {}
}

/// Enables the warnings.
pub(super) fn print() {
    static WARNINGS: Warnings = Warnings(Mutex::new(BTreeSet::new()));
    if log::set_logger(&WARNINGS).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
