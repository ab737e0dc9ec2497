//! Copies databases between backends.
//!
//! [`copy`] stores the entries of a database, with their expiry, and its messages, with their schedules and the keys under which
//! they are stored when they cannot be delivered, in another. It continues where an interrupted copy ended: each batch also stores
//! how far the copy is, under a key of its own, which the last batch deletes.
//!
//! Copied entries have new versionstamps, all greater than any of the source, and so have all later commits. The source is read
//! page by page, not as one snapshot, so that no program should use it meanwhile; commits are detected.

use serde::{Deserialize, Serialize};

use crate::maintenance::{OnProgress, Progress};
use crate::{
    AtomicWrite, Check, Database, Entry, Error, Key, Limits, Mutation, Page, Read, ReadOptions, StoredEntry,
    StoredMessage, Time, Transfer, Value, Versionstamp,
};

/// How much to read at a time. The next page is read while this one is written.
const PAGE: Page = Page { items: 1000, bytes: 4 * 1024 * 1024 };

/// The options of [`copy`].
#[derive(Clone, Copy, Debug)]
pub struct Options<'o> {
    /// The name of the source, by which an interrupted copy recognizes it, such as its path.
    pub source: &'o str,
    /// Whether to copy into a database that is not empty: its entries with other keys are kept. An interrupted copy of another
    /// source, or one whose source was written since, begins anew.
    pub overwrite: bool,
}

/// The result of [`copy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The number of copied entries, including those that an interrupted copy has copied before.
    pub entries: u64,
    /// The number of copied messages, likewise.
    pub messages: u64,
}

/// An error of [`copy`]. After any of them, the same call continues the copy, or returns the same error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The backend of the source does not support [`Transfer`].
    #[error(
        "the source cannot be copied: it does not pass on when entries expire; copy the database that the server serves"
    )]
    Unsupported,
    /// The source is the target of a copy that was interrupted.
    #[error("the source is incomplete, as copying to it was interrupted: complete that copy first")]
    IncompleteSource,
    /// The target is not empty.
    #[error("the target is not empty: choose another one, or overwrite its entries")]
    NotEmpty,
    /// The target is the result of an interrupted copy that cannot be continued.
    #[error("the target contains an interrupted copy of {name}: delete it, or overwrite its entries")]
    OtherCopy {
        /// The name of that source.
        name: String,
    },
    /// The source was written during the copy, or since it was interrupted.
    #[error("the source was written during the copy: stop the programs that use it, delete the target, and copy again")]
    SourceChanged,
    /// The versions of the target cannot be raised above those of the source.
    #[error("versionstamps would go back: the target assigns {next}, but the source has already assigned {last}")]
    VersionsBehind {
        /// The next versionstamp of the target.
        next: Versionstamp,
        /// The last versionstamp of the source.
        last: Versionstamp,
    },
    /// Another process has changed the state of the copy.
    #[error("another process is copying to the same target")]
    Conflict,
    /// The source cannot be read.
    #[error("failed to read the source: {0}")]
    Read(#[source] Error),
    /// The target cannot be read or written.
    #[error("failed to write the target: {0}")]
    Write(#[source] Error),
}

type Result<T> = std::result::Result<T, CopyError>;

/// Copies all entries and messages of a database to another.
///
/// # Errors
/// See [`CopyError`].
pub async fn copy(
    from: &Database,
    to: &Database,
    options: Options<'_>,
    progress: &mut OnProgress<'_>,
) -> Result<Copied> {
    let source = from.transfer().ok_or(CopyError::Unsupported)?;
    if from.get(&state_key()).await.map_err(CopyError::Read)?.is_some() {
        return Err(CopyError::IncompleteSource);
    }
    let first = source.last_commit().await.map_err(CopyError::Read)?;
    let total = match from.backend().count(&[], &[u8::MAX]) {
        Some(count) => count.await.map_err(CopyError::Read)?,
        None => 0,
    };
    let version = first.is_exact.then(|| first.versionstamp.to_string());
    let mut target = Target::begin(to, options, version, first.versionstamp).await?;
    let mut report = |state: &State| {
        let is_copying_messages = matches!(state.position, Position::Messages(_));
        let doing = if is_copying_messages { "copying messages" } else { "copying entries" };
        let (done, total) = if is_copying_messages { (state.messages, 0) } else { (state.entries, total) };
        progress(Progress { doing, done, total });
    };
    report(&target.state);
    if let Position::Entries(after) = &target.state.position {
        let mut page = source.entries(after, PAGE).await.map_err(CopyError::Read)?;
        while let Some(last) = page.last() {
            let next = source.entries(last.entry.key.as_bytes(), PAGE);
            for entry in page {
                target.add_entry(entry).await?;
                report(&target.state);
            }
            page = next.await.map_err(CopyError::Read)?;
        }
        target.state.position = Position::Messages(Vec::new());
    }
    if let Position::Messages(after) = &target.state.position {
        let mut page = source.messages(after, PAGE).await.map_err(CopyError::Read)?;
        while let Some(last) = page.last() {
            let next = source.messages(&last.position, PAGE);
            for message in page {
                target.add_message(message).await?;
                report(&target.state);
            }
            page = next.await.map_err(CopyError::Read)?;
        }
    }
    let last = source.last_commit().await.map_err(CopyError::Read)?;
    if last.versionstamp != first.versionstamp {
        if first.is_exact {
            return Err(CopyError::SourceChanged);
        }
        target.raise_version(last.versionstamp).await?;
    }
    target.finish().await
}

/// Returns the key under which the target stores the state of the copy.
fn state_key() -> Key {
    Key::from(["\u{10ffff}openkv", "copy in progress"])
}

async fn raise_version(to: &Database, versionstamp: Versionstamp) -> Result<()> {
    match to.transfer() {
        Some(transfer) => transfer.raise_version(versionstamp).await.map_err(CopyError::Write),
        None => Ok(()),
    }
}

/// The state of a copy, as the target stores it.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// The name of the source.
    source: String,
    /// The version of the source's last commit, if it is exact.
    version: Option<String>,
    entries: u64,
    messages: u64,
    position: Position,
}

/// How far a copy is: entries are copied before messages.
#[derive(Debug, Serialize, Deserialize)]
enum Position {
    /// After the entry with this encoded key.
    Entries(Vec<u8>),
    /// After the message with this position.
    Messages(Vec<u8>),
}

impl State {
    fn as_value(&self) -> Value {
        Value::Bytes(serde_json::to_vec(self).unwrap_or_default())
    }

    fn from_entry(entry: &Entry) -> Option<Self> {
        match &entry.value {
            Value::Bytes(bytes) => serde_json::from_slice(bytes).ok(),
            _ => None,
        }
    }
}

/// The target of a copy, with the batch that is not written yet.
struct Target<'d> {
    database: &'d Database,
    state: State,
    /// The version of the stored state.
    stored: Versionstamp,
    batch: AtomicWrite,
    /// What the batch may still contain, within the limits of the target.
    left: Room,
}

/// A part of the limits of a write.
#[derive(Clone, Copy)]
struct Room {
    mutations: usize,
    size: usize,
    keys_size: usize,
}

impl Room {
    /// Returns the room besides the state.
    fn new(limits: &Limits) -> Self {
        let key = state_key().as_bytes().len();
        // The state contains a key, in JSON.
        let state = 5 * limits.write_key_size + 4096;
        Self {
            mutations: limits.mutations.saturating_sub(1),
            size: limits.write_size.saturating_sub(state),
            keys_size: limits.write_keys_size.saturating_sub(key),
        }
    }

    fn without(self, other: Self) -> Option<Self> {
        Some(Self {
            mutations: self.mutations.checked_sub(other.mutations)?,
            size: self.size.checked_sub(other.size)?,
            keys_size: self.keys_size.checked_sub(other.keys_size)?,
        })
    }
}

impl<'d> Target<'d> {
    /// Begins a copy, or continues one that was interrupted. Makes sure that its versions exceed `last`.
    async fn begin(
        database: &'d Database,
        options: Options<'_>,
        version: Option<String>,
        last: Versionstamp,
    ) -> Result<Self> {
        let found = database.get(&state_key()).await.map_err(CopyError::Write)?;
        let interrupted = found.as_ref().and_then(State::from_entry);
        let is_same = |state: &State| state.source == options.source && state.version == version;
        let state = match interrupted {
            Some(state) if is_same(&state) => state,
            Some(state) if !options.overwrite && state.source != options.source => {
                return Err(CopyError::OtherCopy { name: state.source });
            }
            Some(_) if !options.overwrite => return Err(CopyError::SourceChanged),
            None if !options.overwrite && !is_empty(database).await? => return Err(CopyError::NotEmpty),
            _ => {
                let position = Position::Entries(Vec::new());
                State { source: options.source.to_owned(), version, entries: 0, messages: 0, position }
            }
        };
        raise_version(database, last).await?;
        // Raising may change the versions of stored entries, too.
        let current = database.get(&state_key()).await.map_err(CopyError::Write)?;
        if current.as_ref().map(|entry| &entry.value) != found.as_ref().map(|entry| &entry.value) {
            return Err(CopyError::Conflict);
        }
        let check = current.as_ref().map_or_else(|| Check::absent(state_key()), Check::unchanged);
        let write = AtomicWrite::new().check(check).mutate(Mutation::set(state_key(), state.as_value()));
        let stored = commit(database, write).await?;
        let room = Room::new(database.limits());
        let target = Self { database, state, stored, batch: AtomicWrite::new(), left: room };
        if stored <= last {
            if found.is_none() {
                commit(database, AtomicWrite::new().check(target.check()).mutate(Mutation::delete(state_key())))
                    .await?;
            }
            return Err(CopyError::VersionsBehind { next: stored, last });
        }
        Ok(target)
    }

    /// Returns the check that no other process has changed the state.
    fn check(&self) -> Check {
        Check { key: state_key(), versionstamp: Some(self.stored) }
    }

    async fn add_entry(&mut self, StoredEntry { entry, expires_at }: StoredEntry) -> Result<()> {
        let len = entry.key.as_bytes().len();
        // A key that stores a value counts twice, see `Limits`.
        self.reserve(Room { mutations: 1, size: 2 * len + entry.value.len(), keys_size: len }).await?;
        self.state.entries += 1;
        self.state.position = Position::Entries(entry.key.as_bytes().to_vec());
        let mut mutation = Mutation::set(entry.key, entry.value);
        if let (crate::MutationKind::Set { expire_at, .. }, Some(time)) = (&mut mutation.kind, expires_at) {
            *expire_at = Some(Time::At(time));
        }
        self.batch.mutations.push(mutation);
        Ok(())
    }

    async fn add_message(&mut self, StoredMessage { position, enqueue }: StoredMessage) -> Result<()> {
        let keys = enqueue.keys_if_undelivered.iter().map(|key| key.as_bytes().len()).sum();
        let size = enqueue.message.len() + 4 * enqueue.schedule().len() + keys;
        self.reserve(Room { mutations: 1 + enqueue.keys_if_undelivered.len(), size, keys_size: keys }).await?;
        self.state.messages += 1;
        self.state.position = Position::Messages(position);
        self.batch.enqueues.push(enqueue);
        Ok(())
    }

    /// Makes room in the batch: writes it if there is too little left.
    async fn reserve(&mut self, room: Room) -> Result<()> {
        if let Some(left) = self.left.without(room) {
            self.left = left;
            return Ok(());
        }
        if !self.batch.mutations.is_empty() || !self.batch.enqueues.is_empty() {
            self.flush().await?;
        }
        let all = Room::new(self.database.limits());
        // What exceeds the limits is rejected by the database.
        self.left = all.without(room).unwrap_or(Room { mutations: 0, size: 0, keys_size: 0 });
        Ok(())
    }

    /// Writes the batch, and the state after it. Returns the stored state.
    async fn flush(&mut self) -> Result<Value> {
        let state = self.state.as_value();
        let batch = std::mem::take(&mut self.batch);
        let write = batch.check(self.check()).mutate(Mutation::set(state_key(), state.clone()));
        self.stored = commit(self.database, write).await?;
        Ok(state)
    }

    /// Makes all later commits have greater versionstamps than this one.
    async fn raise_version(&mut self, versionstamp: Versionstamp) -> Result<()> {
        let state = self.flush().await?;
        raise_version(self.database, versionstamp).await?;
        let current = self.database.get(&state_key()).await.map_err(CopyError::Write)?;
        // Raising may have changed the version of the state.
        let unchanged = current.filter(|entry| entry.value == state).ok_or(CopyError::Conflict)?;
        self.stored = unchanged.versionstamp;
        Ok(())
    }

    /// Writes the last batch, and deletes the state.
    async fn finish(mut self) -> Result<Copied> {
        let batch = std::mem::take(&mut self.batch);
        commit(self.database, batch.check(self.check()).mutate(Mutation::delete(state_key()))).await?;
        Ok(Copied { entries: self.state.entries, messages: self.state.messages })
    }
}

async fn commit(database: &Database, write: AtomicWrite) -> Result<Versionstamp> {
    let commit = database.write(write).await.map_err(CopyError::Write)?;
    commit.versionstamp().ok_or(CopyError::Conflict)
}

async fn is_empty(database: &Database) -> Result<bool> {
    let all = Read::Range { start: &[], end: &[u8::MAX], limit: 1, reverse: false, values: false };
    let entries = database.read(&[all], ReadOptions::default()).await.map_err(CopyError::Write)?;
    let messages = match database.transfer() {
        Some(transfer) => first_message(transfer).await.map_err(CopyError::Write)?,
        None => false,
    };
    Ok(entries.iter().all(Vec::is_empty) && !messages)
}

async fn first_message(transfer: &dyn Transfer) -> crate::Result<bool> {
    Ok(!transfer.messages(&[], Page { items: 1, ..PAGE }).await?.is_empty())
}
