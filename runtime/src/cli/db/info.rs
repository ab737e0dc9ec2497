use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Command};
use deno_core::serde_json::{self, json};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use openkv_engine::contents::Contents;
use openkv_engine::maintenance;

use super::{common, remote};
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
        .arg(common::file_or_url("file", "The database: a file, which is not changed, or a URL of PostgreSQL or etcd"))
        .arg(arguments::switch("json").help("Print JSON: sizes in bytes, times in milliseconds since the Unix epoch"))
}

pub(super) fn read(matches: &mut ArgMatches) -> Info {
    Info { file: common::read_file(matches, "file"), json: matches.get_flag("json") }
}

impl Info {
    pub(super) fn execute(self) -> Outcome {
        if let Some(url) = common::as_url(&self.file) {
            let contents = remote::read(url)?;
            return outcome::print(&if self.json { contents_as_json(&contents) } else { contents_as_text(&contents) });
        }
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
    aligned(&lines)
}

fn contents_as_text(contents: &Contents) -> String {
    let bytes = |bytes| format!("{} ({} bytes)", HumanBytes(bytes), HumanCount(bytes));
    let count = |count| HumanCount(count).to_string();
    let lines = [
        ("entries", count(contents.entries)),
        ("  V8 values", count(contents.encodings.v8)),
        ("  64-bit integers", count(contents.encodings.u64)),
        ("  bytes", count(contents.encodings.bytes)),
        ("keys", bytes(contents.key_bytes)),
        ("values", bytes(contents.value_bytes)),
        ("expiring entries", count(contents.expiring)),
        ("messages", format!("{}, {} of them ready", count(contents.messages), count(contents.ready))),
        ("last versionstamp", contents.last_versionstamp.to_string()),
    ];
    aligned(&lines)
}

fn aligned(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(name, value)| format!("{name:<21} {value}\n")).collect()
}

fn contents_as_json(contents: &Contents) -> String {
    let value = json!({
        "entries": contents.entries,
        "encodings": {
            "v8": contents.encodings.v8,
            "u64": contents.encodings.u64,
            "bytes": contents.encodings.bytes,
        },
        "keyBytes": contents.key_bytes,
        "valueBytes": contents.value_bytes,
        "expiringEntries": contents.expiring,
        "messages": contents.messages,
        "messagesReady": contents.ready,
        "lastVersionstamp": contents.last_versionstamp.to_string(),
    });
    pretty(&value)
}

fn pretty(value: &serde_json::Value) -> String {
    let text = serde_json::to_string_pretty(value).expect("numbers and strings can be serialized");
    format!("{text}\n")
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
    pretty(&value)
}
