use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Command};
use deno_core::serde_json::{self, json};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use openkv_engine::maintenance;

use super::common;
use crate::cli::arguments;
use crate::cli::outcome::{self, Outcome};

/// `openkv db info`: prints statistics of a database.
pub(crate) struct Info {
    file: PathBuf,
    json: bool,
}

pub(super) fn declare() -> Command {
    Command::new("info")
        .about("Prints the contents and sizes of a database, in numbers")
        .arg(common::file("file", "The database file, which is not changed"))
        .arg(arguments::switch("json").help("Print JSON: sizes in bytes, times in milliseconds since the Unix epoch"))
}

pub(super) fn read(matches: &mut ArgMatches) -> Info {
    Info { file: common::read_file(matches, "file"), json: matches.get_flag("json") }
}

impl Info {
    pub(super) fn execute(self) -> Outcome {
        let now = common::now();
        let info = maintenance::info(&self.file, now).map_err(|error| common::explain(&self.file, &error))?;
        let text = if self.json { as_json(&info) } else { as_text(&info, now) };
        outcome::print(&text)
    }
}

fn as_text(info: &maintenance::Info, now: u64) -> String {
    let maintenance::Info { size, encodings, .. } = info;
    let bytes = |bytes| format!("{} ({} bytes)", HumanBytes(bytes), HumanCount(bytes));
    let count = |count| HumanCount(count).to_string();
    let lines = [
        ("format version", info.format.to_string()),
        ("file", bytes(size.file)),
        ("WAL", bytes(size.wal)),
        ("pages", format!("{} of {} bytes", count(info.pages), info.page_size)),
        ("free pages", format!("{}, {}", count(info.free_pages), bytes(info.free_pages * info.page_size))),
        ("entries", count(info.entries)),
        ("  V8 values", count(encodings.v8)),
        ("  64-bit integers", count(encodings.u64)),
        ("  bytes", count(encodings.bytes)),
        ("  unknown", count(encodings.unknown)),
        ("keys", bytes(info.key_bytes)),
        ("values", bytes(info.value_bytes)),
        ("expired entries", format!("{}, to be removed", count(info.expired))),
        (
            "next expiry",
            match info.next_expiry {
                Some(time) => format!("in {}", HumanDuration(Duration::from_millis(time.saturating_sub(now)))),
                None => "none".into(),
            },
        ),
        ("messages waiting", format!("{}, {} of them ready", count(info.waiting), count(info.ready))),
        ("messages in flight", count(info.running)),
        ("commit ids", count(info.commit_ids)),
        ("last versionstamp", info.last_versionstamp.to_string()),
    ];
    lines.iter().map(|(name, value)| format!("{name:<21} {value}\n")).collect()
}

fn as_json(info: &maintenance::Info) -> String {
    let maintenance::Info { size, encodings, .. } = info;
    let value = json!({
        "formatVersion": info.format,
        "fileBytes": size.file,
        "walBytes": size.wal,
        "pageSize": info.page_size,
        "pages": info.pages,
        "freePages": info.free_pages,
        "freeBytes": info.free_pages * info.page_size,
        "entries": info.entries,
        "encodings": {
            "v8": encodings.v8,
            "u64": encodings.u64,
            "bytes": encodings.bytes,
            "unknown": encodings.unknown,
        },
        "keyBytes": info.key_bytes,
        "valueBytes": info.value_bytes,
        "expiredEntries": info.expired,
        "nextExpiry": info.next_expiry,
        "messagesWaiting": info.waiting,
        "messagesReady": info.ready,
        "messagesInFlight": info.running,
        "commitIds": info.commit_ids,
        "lastVersionstamp": info.last_versionstamp.to_string(),
    });
    let text = serde_json::to_string_pretty(&value).expect("numbers and strings can be serialized");
    format!("{text}\n")
}
