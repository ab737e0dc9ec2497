//! What is measured, of a backend and of its service alike.

use std::ops::Range;

use futures_util::{StreamExt, TryStreamExt, stream};
use openkv_engine::{Key, Selector};

/// An error, which ends the program.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A store of entries and messages: a backend, or its service by hand.
pub trait Store {
    /// Sets the entry of a number.
    async fn set(&self, number: u64) -> Result;

    /// Sets the entry of a number by what the service offers for writes with conditions.
    async fn set_by_transaction(&self, number: u64) -> Result {
        self.set(number).await
    }

    /// Sets entries, [`IN_FLIGHT`] at a time.
    async fn set_all(&self, numbers: Range<u64>) -> Result;

    /// Gets an entry of the list of [`LISTS`]`[0]` entries. Returns whether it exists.
    async fn get(&self, number: u64, is_eventual: bool) -> Result<bool>;

    /// Returns the number of entries that a list with a limit of [`LIMIT`] has.
    async fn list(&self, size: u64, is_reverse: bool) -> Result<usize>;

    /// Changes a watched entry some times, each time after the last change was reported.
    async fn watch(&self, changes: u64) -> Result;

    /// Enqueues messages, [`IN_FLIGHT`] at a time, and handles them.
    async fn queue(&self, messages: u64) -> Result;
}

/// The number of writes in flight at a time.
pub const IN_FLIGHT: usize = 100;

/// The limit of lists.
pub const LIMIT: usize = 10;

/// The sizes of the lists.
pub const LISTS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// The value of all entries, and the message of the queue.
pub const VALUE: &[u8] = &[b'v'; 100];

/// Returns the key of an entry in the list of a size.
pub fn key(size: u64, number: u64) -> Key {
    let mut key = list(size);
    key.push_number(number as f64);
    key
}

/// Returns the range of a list.
pub fn selector(size: u64) -> Selector {
    Selector::prefix(&list(size))
}

fn list(size: u64) -> Key {
    let mut key = Key::new();
    key.push_string("list");
    key.push_number(size as f64);
    key
}

/// Returns the key of an entry that is written.
pub fn written(number: u64) -> Key {
    let mut key = Key::new();
    key.push_string("written");
    key.push_number(number as f64);
    key
}

/// Runs a write for each number, [`IN_FLIGHT`] at a time.
pub async fn in_flight(numbers: Range<u64>, run: impl AsyncFn(u64) -> Result) -> Result {
    stream::iter(numbers).map(|number| run(number)).buffer_unordered(IN_FLIGHT).try_collect().await
}
