//! Checks that a file contains everything that was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;

use openkv_engine::{Key, KeyPart};
use rusqlite::{Connection, OptionalExtension};

/// The writes that were acknowledged.
#[derive(Default)]
pub(super) struct Acknowledged {
    /// The length of each in bytes, by its number.
    written: BTreeMap<u64, usize>,
    /// The last write of each handle.
    last: BTreeMap<u64, u64>,
}

/// The result of checking a file.
pub(super) enum Verdict {
    Complete,
    Missing(String),
    Malformed(String),
}

impl Acknowledged {
    /// Adds a write, from its number, its length and its handle.
    pub(super) fn add(&mut self, write: &str) {
        let numbers: Vec<u64> = write.split(' ').filter_map(|number| number.parse().ok()).collect();
        if let [number, length, handle] = numbers[..] {
            self.written.insert(number, length as usize);
            let last = self.last.entry(handle).or_default();
            *last = number.max(*last);
        }
    }

    /// Opens a file, and checks it.
    pub(super) fn judge(&self, path: &Path) -> Verdict {
        match self.find_missing(path) {
            Ok(None) => Verdict::Complete,
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

#[cfg(test)]
mod tests {
    use openkv_engine::sqlite::{self, Location, Options, wait_closed};
    use openkv_engine::{AtomicWrite, Mutation, Value};

    use super::*;
    use crate::TIMEOUT;

    /// Writes the entries of write number 7 of `scripts/close/write.ts`, with 3 bytes.
    fn write(path: &Path) {
        let key = |name: &str, number: f64| Key::from_parts(&[name.into(), KeyPart::from(number)]).unwrap();
        let set = |key, bytes| Mutation::set(key, Value::Bytes(bytes));
        let write = AtomicWrite::new().mutate(set(key("written", 7.0), vec![7; 3]));
        let database = sqlite::open(Location::file(path), Options::default()).unwrap();
        database.write_blocking(write.mutate(set(key("last", 0.0), vec![0, 7]))).unwrap().into_result().unwrap();
        database.close();
        wait_closed(TIMEOUT);
    }

    fn judge(writes: &[&str], path: &Path) -> &'static str {
        let mut acknowledged = Acknowledged::default();
        writes.iter().for_each(|write| acknowledged.add(write));
        match acknowledged.judge(path) {
            Verdict::Complete => "complete",
            Verdict::Missing(_) => "missing",
            Verdict::Malformed(_) => "malformed",
        }
    }

    #[test]
    fn incomplete_or_malformed_file_is_detected() {
        let directory = tempfile::tempdir().unwrap();
        let [path, empty, garbage] = ["kv.db", "empty.db", "garbage.db"].map(|name| directory.path().join(name));
        write(&path);
        std::fs::write(&empty, b"").unwrap();
        std::fs::write(&garbage, [b'x'; 8192]).unwrap();
        assert_eq!(judge(&["7 3 0"], &path), "complete");
        assert_eq!(judge(&["7 3 0", "8 3 0"], &path), "missing");
        assert_eq!(judge(&["7 4 0"], &path), "missing");
        assert_eq!(judge(&["7 3 1"], &path), "missing");
        assert_eq!(judge(&["7 3 0"], &empty), "missing");
        assert_eq!(judge(&["7 3 0"], &garbage), "malformed");
    }
}
