use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use crate::{BoxFuture, Database, Entry, KeyEntry, Read, ReadEntry, ReadOptions, Result, Selector, visit};

impl Database {
    /// Lists the entries of a selector. See [`List`].
    pub fn list(&self, selector: Selector) -> List {
        List::new(self.clone(), selector)
    }
}

/// The number of entries in a batch, and in the first one, which is smaller because many programs take only a few entries.
const BATCH: usize = 100;
const FIRST_BATCH: usize = 10;

/// A stream of the entries of a [`Selector`], or of their keys with [`List::keys_only`]. It reads in batches: each batch is one
/// snapshot, and writes may be committed between two batches. [`List::blocking`] converts it to an iterator. The stream ends after
/// an error.
///
/// ```
/// use openkv_engine::sqlite::{self, Location, Options};
/// use openkv_engine::{Key, Selector, Value};
///
/// let database = sqlite::open(Location::Memory, Options::default())?;
/// for (name, age) in [("alice", 30), ("bob", 40), ("carol", 50)] {
///     database.set_blocking(Key::from(["users", name]), Value::U64(age))?;
/// }
///
/// let users = Selector::prefix(&Key::from(["users"]));
/// let first = database.list(users.clone()).blocking().next().transpose()?.expect("alice");
/// assert_eq!(first.key, Key::from(["users", "alice"]));
///
/// // Later, or in another process: the entries after the first.
/// let cursor = users.cursor(&first.key)?;
/// let rest = database.list(users.clone()).cursor(&cursor).blocking().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(rest[0].key, Key::from(["users", "bob"]));
///
/// let last = database.list(users).reverse().limit(1).blocking().next().transpose()?.expect("carol");
/// assert_eq!(last.value, Value::U64(50));
/// # Ok::<(), openkv_engine::Error>(())
/// ```
#[must_use = "entries are read only when the list is polled or iterated"]
pub struct List<T = Entry> {
    database: Database,
    selector: Selector,
    reverse: bool,
    /// The maximum number of entries to return from now on.
    left: usize,
    /// The cursor of the entry after which the next batch begins.
    cursor: Option<String>,
    batch_size: usize,
    batch: VecDeque<ReadEntry>,
    /// The batch that is being read, and its size.
    reading: Option<Batch>,
    /// Whether there are no further batches.
    ended: bool,
    listed: PhantomData<fn() -> T>,
}

type Batch = (BoxFuture<Vec<Vec<ReadEntry>>>, usize);

/// The items of a [`List`]: [`Entry`] or [`KeyEntry`].
pub trait Listed: Sized + sealed::Sealed {
    /// Whether to read values.
    #[doc(hidden)]
    const VALUES: bool;

    /// Converts an entry that was read.
    #[doc(hidden)]
    fn of(entry: ReadEntry) -> Option<Self>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Entry {}
    impl Sealed for crate::KeyEntry {}
}

impl Listed for Entry {
    const VALUES: bool = true;

    fn of(entry: ReadEntry) -> Option<Self> {
        entry.into_entry()
    }
}

impl Listed for KeyEntry {
    const VALUES: bool = false;

    fn of(ReadEntry { key, versionstamp, .. }: ReadEntry) -> Option<Self> {
        Some(Self { key, versionstamp })
    }
}

impl<T: Listed> List<T> {
    pub(crate) fn new(database: Database, selector: Selector) -> Self {
        Self {
            database,
            selector,
            reverse: false,
            left: usize::MAX,
            cursor: None,
            batch_size: FIRST_BATCH,
            batch: VecDeque::new(),
            reading: None,
            ended: false,
            listed: PhantomData,
        }
    }

    /// Lists from the last entry to the first.
    pub fn reverse(self) -> Self {
        Self { reverse: true, ..self }
    }

    /// Lists the entries after that of a cursor, which [`Selector::cursor`] returns.
    pub fn cursor(self, cursor: &str) -> Self {
        Self { cursor: Some(cursor.into()), ..self }
    }

    /// Lists at most `limit` entries.
    pub fn limit(self, limit: usize) -> Self {
        Self { left: limit, ..self }
    }

    /// Returns a blocking iterator over the entries.
    pub fn blocking(self) -> BlockingList<T> {
        BlockingList(self)
    }

    /// Waits for the next entry.
    ///
    /// # Errors
    /// A failure of the storage, or the cursor of another selector.
    pub async fn next(&mut self) -> Option<Result<T>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Begins to read the first batch, of up to `size` entries.
    pub(crate) fn begin(mut self, size: usize) -> Result<Self> {
        self.batch_size = size;
        self.reading = Some(self.read()?);
        Ok(self)
    }

    fn read(&mut self) -> Result<Batch> {
        let (start, end) = self.selector.range(self.cursor.as_deref(), self.reverse)?;
        let size = self.batch_size.min(self.left).min(self.database.limits().read_entries);
        self.batch_size = BATCH;
        let limit = u32::try_from(size).unwrap_or(u32::MAX);
        let read = Read::Range { start: &start, end: &end, limit, reverse: self.reverse, values: T::VALUES };
        Ok((self.database.read(&[read], ReadOptions::default()), size))
    }

    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let (mut reading, size) = match self.reading.take() {
            Some(reading) => reading,
            None => self.read()?,
        };
        let Poll::Ready(lists) = reading.as_mut().poll(context) else {
            self.reading = Some((reading, size));
            return Poll::Pending;
        };
        self.batch = lists?.into_iter().flatten().collect();
        match self.batch.back() {
            Some(last) if self.batch.len() == size => self.cursor = Some(self.selector.cursor(&last.key)?),
            _ => self.ended = true,
        }
        Poll::Ready(Ok(()))
    }
}

impl List {
    /// Lists keys without reading values.
    pub fn keys_only(self) -> List<KeyEntry> {
        let Self { database, selector, reverse, left, cursor, .. } = self;
        List { reverse, left, cursor, ..List::new(database, selector) }
    }
}

impl<T: Listed> Stream for List<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.batch.is_empty()
            && !self.ended
            && let Err(error) = ready!(self.poll_batch(context))
        {
            self.ended = true;
            return Poll::Ready(Some(Err(error)));
        }
        let entry = self.batch.pop_front().and_then(T::of);
        self.left -= usize::from(entry.is_some());
        Poll::Ready(entry.map(Ok))
    }
}

/// An iterator over the entries of a [`List`].
#[must_use = "entries are read only when the list is polled or iterated"]
pub struct BlockingList<T = Entry>(List<T>);

impl<T: Listed> Iterator for BlockingList<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        visit::wait(async { self.0.next().await.transpose() }).transpose()
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { selector, reverse, left, cursor, .. } = self;
        f.debug_struct("List")
            .field("selector", selector)
            .field("reverse", reverse)
            .field("left", left)
            .field("cursor", cursor)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for BlockingList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingList").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{self, Location, Options};
    use crate::{AtomicWrite, Error, Key, KeyPart, Limits, Mutation, Value};

    const ENTRIES: u64 = 2 * BATCH as u64 + 1;

    fn filled(limits: Limits) -> (Database, Selector) {
        let database = sqlite::open(Location::Memory, Options::default().limits(limits)).unwrap();
        let key = |i| Key::from_parts(&["list".into(), KeyPart::from(i as f64)]).unwrap();
        let write =
            (0..ENTRIES).map(|i| Mutation::set(key(i), Value::U64(i))).fold(AtomicWrite::new(), AtomicWrite::mutate);
        database.write_blocking(write).unwrap().into_result().unwrap();
        (database, Selector::prefix(&Key::from(["list"])))
    }

    fn numbers(list: List) -> Vec<u64> {
        let number = |entry: Result<Entry>| match entry.unwrap().value {
            Value::U64(number) => number,
            value => panic!("{value:?}"),
        };
        list.blocking().map(number).collect()
    }

    #[test]
    fn list_continues_across_batches() {
        for read_entries in [1, 67, BATCH, 1000] {
            let (database, selector) = filled(Limits { read_entries, ..Limits::default() });
            assert_eq!(numbers(database.list(selector.clone())), (0..ENTRIES).collect::<Vec<_>>());
            assert_eq!(numbers(database.list(selector.clone()).reverse()), (0..ENTRIES).rev().collect::<Vec<_>>());

            let middle = database.list(selector.clone()).blocking().nth(150).unwrap().unwrap();
            let cursor = selector.cursor(&middle.key).unwrap();
            assert_eq!(numbers(database.list(selector.clone()).cursor(&cursor)), (151..ENTRIES).collect::<Vec<_>>());
            let back = database.list(selector).cursor(&cursor).reverse();
            assert_eq!(numbers(back), (0..150).rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn list_ends_after_an_error() {
        let (database, selector) = filled(Limits::default());
        let mut list = database.list(selector.clone()).blocking();
        assert!(list.by_ref().take(FIRST_BATCH).all(|entry| entry.is_ok()));
        database.close();
        assert!(matches!(list.next(), Some(Err(Error::Closed))));
        assert!(list.next().is_none());
        assert!(matches!(database.list(selector).cursor("?").blocking().next(), Some(Err(Error::InvalidCursor))));
    }
}
