use std::vec;

use super::Sqlite;
use crate::{Entry, Read, Result, Selector};

/// How many entries to read at a time.
const BATCH: usize = 100;

/// Lists the entries of a [`Selector`]. An iterator that reads a batch of entries at a time, on the caller's thread: each batch
/// is one snapshot, and another may have changed in between.
///
/// ```
/// use openkv_engine::sqlite::{Location, Options, Sqlite};
/// use openkv_engine::{Key, Selector, Value};
///
/// let database = Sqlite::open(Location::Memory, Options::default())?;
/// for (name, age) in [("alice", 30), ("bob", 40), ("carol", 50)] {
///     database.set(Key::from(["users", name]), Value::U64(age))?;
/// }
///
/// let users = Selector::new(Some(&Key::from(["users"])), None, None)?;
/// let first = database.list(users.clone()).next().transpose()?.expect("alice");
/// assert_eq!(first.key, Key::from(["users", "alice"]));
///
/// // Later, or in another process: what follows the first.
/// let cursor = users.cursor(first.key.as_bytes())?;
/// let rest = database.list(users.clone()).cursor(&cursor).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(rest[0].key, Key::from(["users", "bob"]));
///
/// let last = database.list(users).reverse().next().transpose()?.expect("carol");
/// assert_eq!(last.value, Some(Value::U64(50)));
/// # Ok::<(), openkv_engine::Error>(())
/// ```
#[must_use = "nothing is read before the first entry is asked for"]
pub struct List<'d> {
    database: &'d Sqlite,
    selector: Selector,
    reverse: bool,
    /// Where the next batch begins.
    cursor: Option<String>,
    batch: vec::IntoIter<Entry>,
    /// Whether no batch follows.
    ended: bool,
}

impl<'d> List<'d> {
    pub(super) fn new(database: &'d Sqlite, selector: Selector) -> Self {
        Self { database, selector, reverse: false, cursor: None, batch: vec::IntoIter::default(), ended: false }
    }

    /// Lists from the last entry to the first.
    pub fn reverse(self) -> Self {
        Self { reverse: true, ..self }
    }

    /// Lists what follows the entry of a cursor, as [`Selector::cursor`] gives it.
    pub fn cursor(self, cursor: &str) -> Self {
        Self { cursor: Some(cursor.into()), ..self }
    }

    fn read(&mut self) -> Result<()> {
        let (start, end) = self.selector.range(self.cursor.as_deref(), self.reverse)?;
        let size = BATCH.min(self.database.handle.options.limits.read_entries);
        let read = Read::Range { start: &start, end: &end, limit: size as u32, reverse: self.reverse, values: true };
        let entries: Vec<_> = self.database.read_entries(&[read])?.into_iter().flatten().collect();
        match entries.last() {
            Some(last) if entries.len() == size => self.cursor = Some(self.selector.cursor(last.key.as_bytes())?),
            _ => self.ended = true,
        }
        self.batch = entries.into_iter();
        Ok(())
    }
}

/// After an error, there is nothing more.
impl Iterator for List<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.len() == 0
            && !self.ended
            && let Err(error) = self.read()
        {
            self.ended = true;
            return Some(Err(error));
        }
        self.batch.next().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{Location, Options};
    use crate::{AtomicWrite, Database, Error, Key, KeyPart, Limits, Mutation, Value};

    const ENTRIES: u64 = 2 * BATCH as u64 + 1;

    fn filled(limits: Limits) -> (Sqlite, Selector) {
        let database = Sqlite::open(Location::Memory, Options::default().limits(limits)).unwrap();
        let key = |i| Key::from_parts(&["list".into(), KeyPart::from(i as f64)]).unwrap();
        let write =
            (0..ENTRIES).map(|i| Mutation::set(key(i), Value::U64(i))).fold(AtomicWrite::new(), AtomicWrite::mutate);
        database.write_blocking(write).unwrap();
        (database, Selector::new(Some(&Key::from(["list"])), None, None).unwrap())
    }

    fn numbers(list: List<'_>) -> Vec<u64> {
        let number = |entry: Result<Entry>| match entry.unwrap().value {
            Some(Value::U64(number)) => number,
            value => panic!("{value:?}"),
        };
        list.map(number).collect()
    }

    #[test]
    fn goes_on_from_batch_to_batch() {
        for read_entries in [1, 67, BATCH, 1000] {
            let (database, selector) = filled(Limits { read_entries, ..Limits::default() });
            assert_eq!(numbers(database.list(selector.clone())), (0..ENTRIES).collect::<Vec<_>>());
            assert_eq!(numbers(database.list(selector.clone()).reverse()), (0..ENTRIES).rev().collect::<Vec<_>>());

            let middle = database.list(selector.clone()).nth(150).unwrap().unwrap();
            let cursor = selector.cursor(middle.key.as_bytes()).unwrap();
            assert_eq!(numbers(database.list(selector.clone()).cursor(&cursor)), (151..ENTRIES).collect::<Vec<_>>());
            let back = database.list(selector).cursor(&cursor).reverse();
            assert_eq!(numbers(back), (0..150).rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn ends_with_an_error() {
        let (database, selector) = filled(Limits::default());
        let mut list = database.list(selector.clone());
        assert!(list.by_ref().take(BATCH).all(|entry| entry.is_ok()));
        database.close();
        assert!(matches!(list.next(), Some(Err(Error::Closed))));
        assert!(list.next().is_none());
        assert!(matches!(database.list(selector).cursor("?").next(), Some(Err(Error::InvalidCursor))));
    }
}
