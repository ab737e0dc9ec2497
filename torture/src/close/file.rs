//! What a file must hold.

use std::collections::BTreeMap;
use std::path::Path;

use openkv_engine::{Key, KeyPart};
use rusqlite::{Connection, OptionalExtension};

/// The writes that were acknowledged.
#[derive(Default)]
pub(super) struct Promised {
    /// How many bytes each has, by its number.
    written: BTreeMap<u64, usize>,
    /// The last write of each handle.
    last: BTreeMap<u64, u64>,
}

/// Whether a file is as promised.
pub(super) enum Verdict {
    Whole,
    Missing(String),
    Malformed(String),
}

impl Promised {
    /// Takes an acknowledgement: the number of a write, its length, and its handle.
    pub(super) fn acknowledge(&mut self, told: &str) {
        let numbers: Vec<u64> = told.split(' ').filter_map(|number| number.parse().ok()).collect();
        if let [number, length, handle] = numbers[..] {
            self.written.insert(number, length as usize);
            let last = self.last.entry(handle).or_default();
            *last = number.max(*last);
        }
    }

    /// Opens a file, and looks for all that was acknowledged.
    pub(super) fn judge(&self, path: &Path) -> Verdict {
        match self.find_missing(path) {
            Ok(None) => Verdict::Whole,
            Ok(Some(missing)) => Verdict::Missing(missing),
            // A file that was never checkpointed is empty.
            Err(error) if error.to_string().contains("no such table") => Verdict::Missing(error.to_string()),
            Err(error) => Verdict::Malformed(error.to_string()),
        }
    }

    fn find_missing(&self, path: &Path) -> Result<Option<String>, Box<dyn std::error::Error>> {
        let file = Connection::open(path)?;
        let check: String = file.query_row("pragma integrity_check", [], |row| row.get(0))?;
        if check != "ok" {
            return Err(check.into());
        }
        let mut select = file.prepare("select v from kv where k = ?")?;
        let mut read = |name: &str, number: u64| {
            let key =
                Key::from_parts(&[name.into(), KeyPart::from(number as f64)]).expect("a name and a number are a key");
            select.query_row([key.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional()
        };
        for (number, length) in &self.written {
            if read("written", *number)? != Some(vec![*number as u8; *length]) {
                return Ok(Some(format!("write {number} of {} is missing", self.written.len())));
            }
        }
        for (handle, number) in &self.last {
            let found = read("last", *handle)?;
            let found = found.and_then(|bytes| Some(u64::from(u16::from_be_bytes(bytes.try_into().ok()?))));
            if found.is_none_or(|found| found < *number) {
                return Ok(Some(format!("the last write of handle {handle} is {found:?} instead of {number}")));
            }
        }
        Ok(None)
    }
}
