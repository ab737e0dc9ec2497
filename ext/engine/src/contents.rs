//! Reads all of a database, of any backend that supports [`Transfer`], to count and check what it stores.

use crate::maintenance::{Encodings, OnProgress, Progress};
use crate::{Database, Page, Result, StoredEntry, Time, Transfer, Value, Versionstamp};

/// What a database stores, in numbers. See [`contents`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contents {
    /// The number of entries.
    pub entries: u64,
    /// The numbers of values by their encoding.
    pub encodings: Encodings,
    /// The size of all encoded keys, in bytes.
    pub key_bytes: u64,
    /// The size of all values, in bytes.
    pub value_bytes: u64,
    /// The number of entries that will expire.
    pub expiring: u64,
    /// The number of messages, including those in flight.
    pub messages: u64,
    /// The number of messages that are due.
    pub ready: u64,
    /// The version of the last commit, after all was read.
    pub last_versionstamp: Versionstamp,
    /// What is wrong with entries: a key that cannot be decoded, or a version that no commit has yet.
    pub problems: Vec<String>,
}

/// How much to read at a time.
const PAGE: Page = Page { items: 1000, bytes: 4 * 1024 * 1024 };

/// Reads all entries and messages of a database, page by page. Returns `None` if its backend does not support [`Transfer`].
///
/// # Errors
/// The database cannot be read, or the value of an entry is corrupt.
pub async fn contents(database: &Database, progress: &mut OnProgress<'_>) -> Result<Option<Contents>> {
    let Some(transfer) = database.transfer() else { return Ok(None) };
    let total = match database.backend().count(&[], &[u8::MAX]) {
        Some(count) => count.await?,
        None => 0,
    };
    let mut contents = Contents {
        entries: 0,
        encodings: Encodings::default(),
        key_bytes: 0,
        value_bytes: 0,
        expiring: 0,
        messages: 0,
        ready: 0,
        last_versionstamp: Versionstamp::from_version(0),
        problems: Vec::new(),
    };
    let greatest = contents.read_entries(transfer, total, progress).await?;
    contents.read_messages(database, transfer, progress).await?;
    contents.last_versionstamp = transfer.last_commit().await?.versionstamp;
    if greatest > contents.last_versionstamp {
        let last = contents.last_versionstamp;
        contents.problems.push(format!("an entry has the version {greatest}, but the last commit is {last}"));
    }
    Ok(Some(contents))
}

impl Contents {
    /// Returns the greatest version of an entry.
    async fn read_entries(
        &mut self,
        transfer: &dyn Transfer,
        total: u64,
        progress: &mut OnProgress<'_>,
    ) -> Result<Versionstamp> {
        let (mut after, mut greatest) = (Vec::new(), Versionstamp::from_version(0));
        loop {
            let page = transfer.entries(&after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(greatest) };
            after = last.entry.key.as_bytes().to_vec();
            for stored in page {
                greatest = greatest.max(stored.entry.versionstamp);
                self.add(&stored);
            }
            progress(Progress { doing: "reading entries", done: self.entries, total });
        }
    }

    fn add(&mut self, StoredEntry { entry, expires_at }: &StoredEntry) {
        self.entries += 1;
        let of_encoding = match entry.value {
            Value::V8(_) => &mut self.encodings.v8,
            Value::U64(_) => &mut self.encodings.u64,
            Value::Bytes(_) => &mut self.encodings.bytes,
        };
        *of_encoding += 1;
        self.key_bytes += entry.key.as_bytes().len() as u64;
        self.value_bytes += entry.value.len() as u64;
        self.expiring += u64::from(expires_at.is_some());
        if let Some(error) = entry.key.parts().find_map(Result::err) {
            self.problems.push(format!("the key {:02x?} cannot be decoded: {error}", entry.key.as_bytes()));
        }
    }

    async fn read_messages(
        &mut self,
        database: &Database,
        transfer: &dyn Transfer,
        progress: &mut OnProgress<'_>,
    ) -> Result<()> {
        let mut after = Vec::new();
        loop {
            let page = transfer.messages(&after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.position.clone();
            for message in page {
                self.messages += 1;
                let is_due = |time| matches!(time, Time::At(time) if time <= database.now());
                self.ready += u64::from(is_due(message.enqueue.deliver_at));
            }
            progress(Progress { doing: "reading messages", done: self.messages, total: 0 });
        }
    }
}
