use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use crate::database::WeakDatabase;
use crate::{BoxFuture, BoxStream, Database, Entry, Error, Key, Result, Versionstamp, WatchEvent};

impl Database {
    /// Watches keys for changes by any process. See [`Watch`].
    ///
    /// # Errors
    /// The keys exceed the limits, or [`Error::Closed`](crate::Error::Closed).
    pub fn watch(&self, keys: &[Key]) -> Result<Watch> {
        self.limits().check_watch(keys)?;
        Ok(Watch::new(self.backend().watch(keys)?, self.downgrade(), keys))
    }
}

/// A watch of keys: a stream of their entries, in the order of the keys, with `None` for a key without a value. The first item
/// has the current entries; one more follows each change. Changes in quick succession may be reported as one, with the latest
/// entries.
///
/// The stream ends after an error, and when the database is closed: a watch does not keep it open.
///
/// ```
/// use openkv_engine::sqlite::{self, Location, Options};
/// use openkv_engine::{Key, Value};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openkv_engine::Error> {
/// let database = sqlite::open(Location::Memory, Options::default())?;
/// let key = Key::from(["config"]);
///
/// let mut watch = database.watch(std::slice::from_ref(&key))?;
/// assert_eq!(watch.next().await.transpose()?, Some(vec![None]), "the key has no value yet");
///
/// database.set(key, Value::U64(1)).await?;
/// let entries = watch.next().await.transpose()?.expect("the database is open");
/// assert_eq!(entries[0].as_ref().expect("it was set").value, Value::U64(1));
///
/// database.close();
/// assert_eq!(watch.next().await.transpose()?, None);
/// # Ok(())
/// # }
/// ```
#[must_use = "a watch returns entries only when it is polled"]
pub struct Watch {
    events: BoxStream<WatchEvent>,
    database: WeakDatabase,
    keys: Vec<Key>,
    /// Whether the entries are to be read.
    changed: bool,
    reading: Option<BoxFuture<Vec<Option<Entry>>>>,
    /// The versions of the entries that the stream returned last.
    seen: Option<Vec<Option<Versionstamp>>>,
    ended: bool,
}

impl Watch {
    pub(crate) fn new(events: BoxStream<WatchEvent>, database: WeakDatabase, keys: &[Key]) -> Self {
        Self { events, database, keys: keys.to_vec(), changed: true, reading: None, seen: None, ended: false }
    }

    /// Waits for the next entries.
    ///
    /// # Errors
    /// The storage, or the connection to it, failed.
    pub async fn next(&mut self) -> Option<Result<Vec<Option<Entry>>>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Waits until a key may have changed since the last call, or since the watch began, without reading entries. Returns false
    /// once the database is closed.
    ///
    /// # Errors
    /// See [`Watch::next`].
    pub async fn changed(&mut self) -> Result<bool> {
        self.event().await.transpose().map(|event| event.is_some())
    }

    /// Waits for the next event of the backend since the last call, or since the watch began. Returns `None` once the database is
    /// closed, and after an error.
    ///
    /// # Errors
    /// See [`Watch::next`].
    pub async fn event(&mut self) -> Option<Result<WatchEvent>> {
        if self.ended {
            return None;
        }
        let event = poll_fn(|context| self.events.as_mut().poll_next(context)).await;
        self.ended = !matches!(event, Some(Ok(_)));
        event
    }

    /// Waits for entries that differ from those returned last.
    fn poll_entries(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Vec<Option<Entry>>>>> {
        loop {
            let entries = if let Some(reading) = &mut self.reading {
                let entries = ready!(reading.as_mut().poll(context));
                self.reading = None;
                entries?
            } else if self.changed {
                self.changed = false;
                let Some(database) = self.database.upgrade() else { return Poll::Ready(Ok(None)) };
                self.reading = Some(database.read_watched(&self.keys));
                continue;
            } else {
                match ready!(self.events.as_mut().poll_next(context)).transpose()? {
                    None => return Poll::Ready(Ok(None)),
                    Some(WatchEvent::Entries(entries)) => entries,
                    Some(WatchEvent::Changed) => {
                        self.changed = true;
                        continue;
                    }
                }
            };
            let versions = entries.iter().map(|entry| entry.as_ref().map(|entry| entry.versionstamp)).collect();
            if self.seen.as_ref() != Some(&versions) {
                self.seen = Some(versions);
                return Poll::Ready(Ok(Some(entries)));
            }
        }
    }
}

impl Stream for Watch {
    type Item = Result<Vec<Option<Entry>>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match ready!(self.poll_entries(context)) {
            // A closed database ends the stream without an error.
            Err(Error::Closed) => None,
            entries => entries.transpose(),
        };
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("keys", &self.keys).field("ended", &self.ended).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use futures_util::FutureExt;

    use crate::sqlite::{self, Location, Options};
    use crate::{AtomicWrite, Key, Limits, Mutation, Value, Watch};

    fn next(watch: &mut Watch) -> Option<Vec<Option<Value>>> {
        let entries = block_on(watch.next()).transpose().unwrap()?;
        Some(entries.into_iter().map(|entry| entry.map(|entry| entry.value)).collect())
    }

    #[test]
    fn watch_is_a_stream_of_entries() {
        // A watch may have more keys than a read.
        let limits = Limits { read_ranges: 1, ..Limits::default() };
        let database = sqlite::open(Location::Memory, Options::default().limits(limits)).unwrap();
        let [a, b] = ["a", "b"].map(|name| Key::from([name]));
        let mut watch = database.watch(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(next(&mut watch), Some(vec![None, None]));
        assert!(watch.next().now_or_never().is_none());

        database.set_blocking(a.clone(), Value::U64(1)).unwrap();
        assert_eq!(next(&mut watch), Some(vec![Some(Value::U64(1)), None]));
        let write = AtomicWrite::new().mutate(Mutation::delete(a)).mutate(Mutation::set(b, Value::U64(2)));
        database.write_blocking(write).unwrap().into_result().unwrap();
        assert_eq!(next(&mut watch), Some(vec![None, Some(Value::U64(2))]));
        // No watched key changed.
        database.set_blocking(Key::from(["c"]), Value::U64(1)).unwrap();
        assert!(watch.next().now_or_never().is_none());

        drop(database);
        assert_eq!(next(&mut watch), None, "a watch does not keep its database open");
        assert_eq!(next(&mut watch), None);
    }
}
