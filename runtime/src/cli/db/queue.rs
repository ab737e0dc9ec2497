use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Arg, ArgMatches, Command, value_parser};
use deno_core::serde_json::{self, Value, json};
use indicatif::{HumanCount, HumanDuration};
use openkv_engine::Key;
use openkv_engine::maintenance::{self, QueuedMessage};

use super::common;
use crate::cli::arguments;
use crate::cli::outcome::{self, Outcome};

/// `openkv db queue`: prints the messages of a database.
pub(crate) struct Queue {
    file: PathBuf,
    limit: u32,
    json: bool,
}

pub(super) fn declare() -> Command {
    Command::new("queue")
        .about("Prints the messages of the queue: those in flight, and those that wait")
        .arg(common::file("file", "The database file, which is not changed"))
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("NUMBER")
                .value_parser(value_parser!(u32))
                .default_value("100")
                .help("The maximum number of messages of each kind"),
        )
        .arg(
            arguments::switch("json")
                .help("Print JSON: times in milliseconds since the Unix epoch, messages in base64"),
        )
}

pub(super) fn read(matches: &mut ArgMatches) -> Queue {
    let file = common::read_file(matches, "file");
    let limit = matches.remove_one("limit").expect("--limit has a default");
    Queue { file, limit, json: matches.get_flag("json") }
}

impl Queue {
    pub(super) fn execute(self) -> Outcome {
        let queue = maintenance::queue(&self.file, self.limit).map_err(|error| common::explain(&self.file, &error))?;
        let text = if self.json { as_json(&queue) } else { as_text(&queue, common::now()) };
        outcome::print(&text)
    }
}

fn as_text(queue: &maintenance::Queue, now: u64) -> String {
    let lines = |messages: &[QueuedMessage], state: &dyn Fn(u64) -> String| -> String {
        messages.iter().map(|message| format!("{}, {}\n", state(message.time), describe(message))).collect()
    };
    let in_flight = lines(&queue.in_flight, &|_| "in flight".into());
    let waiting = lines(&queue.waiting, &|time| match time.saturating_sub(now) {
        0 => "due".into(),
        wait => format!("due in {}", HumanDuration(Duration::from_millis(wait))),
    });
    format!("{in_flight}{waiting}")
}

fn describe(message: &QueuedMessage) -> String {
    let keys = match &message.keys_if_undelivered[..] {
        [] => String::new(),
        keys => format!(", then to {}", keys.iter().map(Key::to_string).collect::<Vec<_>>().join(", ")),
    };
    let bytes = HumanCount(message.message.len() as u64);
    format!("{bytes} bytes, up to {} retries{keys}", message.backoff_schedule.len())
}

fn as_json(queue: &maintenance::Queue) -> String {
    let messages = |messages: &[QueuedMessage]| -> Value { messages.iter().map(message_as_json).collect() };
    let value = json!({
        "inFlight": messages(&queue.in_flight),
        "waiting": messages(&queue.waiting),
        "lastVersionstamp": queue.last_versionstamp.to_string(),
    });
    let text = serde_json::to_string_pretty(&value).expect("numbers and strings can be serialized");
    format!("{text}\n")
}

fn message_as_json(message: &QueuedMessage) -> Value {
    json!({
        "time": message.time,
        "message": STANDARD.encode(&message.message),
        "backoffSchedule": message.backoff_schedule,
        "keysIfUndelivered": message.keys_if_undelivered.iter().map(Key::to_string).collect::<Vec<_>>(),
    })
}
