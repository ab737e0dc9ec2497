use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{FutureExt, Stream, StreamExt};

use crate::database::WeakDatabase;
use crate::future::ready as ready_now;
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
    /// Whether the backend has yet to send the initial state.
    awaits_first: bool,
    /// Whether the entries must be read.
    changed: bool,
    /// The next entries, returned if they differ from the last ones.
    reading: Option<BoxFuture<Vec<Option<Entry>>>>,
    /// The versions of the entries that the stream returned last.
    seen: Option<Vec<Option<Versionstamp>>>,
    ended: bool,
}

impl Watch {
    fn new(events: BoxStream<WatchEvent>, database: WeakDatabase, keys: &[Key]) -> Self {
        let mut watch = Self {
            events,
            database,
            keys: keys.to_vec(),
            awaits_first: true,
            changed: false,
            reading: None,
            seen: None,
            ended: false,
        };
        match watch.next_event().now_or_never() {
            None => {}
            Some(None) => watch.ended = true,
            Some(Some(Ok(event))) => watch.note(event),
            Some(Some(Err(error))) => watch.reading = Some(ready_now(Err(error))),
        }
        watch
    }

    /// Reads the initial state now if the backend does not send it, instead of with the first [`Watch::next`] or
    /// [`Watch::event`], so that later writes do not affect it.
    pub fn read_now(&mut self) {
        if std::mem::take(&mut self.changed) {
            self.reading = self.database.upgrade().map(|database| database.read_watched(&self.keys));
        }
    }

    /// Waits for the next entries.
    ///
    /// # Errors
    /// The storage, or the connection to it, failed.
    pub async fn next(&mut self) -> Option<Result<Vec<Option<Entry>>>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Waits until a key may have changed since the last call, or since the watch was created, without reading entries. Returns
    /// false once the database is closed. [`Watch::next`] returns the entries as of then.
    ///
    /// # Errors
    /// See [`Watch::next`].
    pub async fn changed(&mut self) -> Result<bool> {
        loop {
            let is_first = self.awaits_first;
            let Some(event) = self.next_event().await else { return Ok(false) };
            let event = event?;
            let is_initial = is_first && matches!(event, WatchEvent::Entries(_));
            self.note(event);
            if !is_initial {
                return Ok(true);
            }
        }
    }

    /// Waits for the initial state, and then for the next event of the backend since the last call. Returns `None` once the
    /// database is closed, and after an error.
    ///
    /// # Errors
    /// See [`Watch::next`].
    pub async fn event(&mut self) -> Option<Result<WatchEvent>> {
        if std::mem::take(&mut self.changed) {
            // A later event, or the end of the stream, replaces this one.
            return self.next_event().now_or_never().unwrap_or(Some(Ok(WatchEvent::Changed)));
        }
        let Some(reading) = &mut self.reading else { return self.next_event().await };
        let entries = reading.await;
        self.reading = None;
        self.ended |= entries.is_err();
        match entries {
            Err(Error::Closed) => None,
            entries => Some(entries.map(WatchEvent::Entries)),
        }
    }

    async fn next_event(&mut self) -> Option<Result<WatchEvent>> {
        if self.ended {
            return None;
        }
        let event = self.events.next().await;
        self.ended = !matches!(event, Some(Ok(_)));
        self.awaits_first = false;
        event
    }

    /// Prepares the next result of [`Watch::next`].
    fn note(&mut self, event: WatchEvent) {
        self.changed = matches!(event, WatchEvent::Changed);
        self.reading = match event {
            WatchEvent::Entries(entries) => Some(ready_now(Ok(entries))),
            WatchEvent::Changed => None,
        };
    }

    /// Waits for entries that differ from those returned last.
    fn poll_entries(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Vec<Option<Entry>>>>> {
        loop {
            let Some(reading) = &mut self.reading else {
                if self.changed {
                    self.read_now();
                    if self.reading.is_none() {
                        return Poll::Ready(Ok(None));
                    }
                    continue;
                }
                let event = ready!(self.events.as_mut().poll_next(context)).transpose()?;
                self.awaits_first = false;
                let Some(event) = event else { return Poll::Ready(Ok(None)) };
                self.note(event);
                continue;
            };
            let entries = ready!(reading.as_mut().poll(context));
            self.reading = None;
            let entries = entries?;
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
