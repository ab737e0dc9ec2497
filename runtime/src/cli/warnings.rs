//! The warnings of deno_config about configuration files.

use std::collections::BTreeSet;
use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};

/// Prints each warning once, with Deno's message: configuration files are read again for each test module.
struct Warnings(Mutex<BTreeSet<String>>);

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("deno_config")
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
        log::set_max_level(LevelFilter::Warn);
    }
}
