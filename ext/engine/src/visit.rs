//! Tracks the visits of this thread, during which it must not wait. A visit holds the lock of its connection: in memory,
//! waiting for a write within a visit would be a deadlock. With a file it would work, but as tests often run in memory, it is
//! an error for both.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::{Error, Result};

thread_local! {
    /// The number of nested visits on this thread.
    static VISITS: Cell<usize> = const { Cell::new(0) };
}

/// A visit on this thread, until dropped.
pub(crate) struct Visit(());

impl Visit {
    /// Begins a visit.
    pub fn begin() -> Self {
        VISITS.set(VISITS.get() + 1);
        Self(())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        VISITS.set(VISITS.get() - 1);
    }
}

/// Checks that this thread may wait.
///
/// # Errors
/// [`Error::WaitInVisit`].
pub(crate) fn check_may_wait() -> Result<()> {
    if VISITS.get() == 0 { Ok(()) } else { Err(Error::WaitInVisit) }
}

/// Blocks this thread until a future completes.
///
/// # Errors
/// [`Error::WaitInVisit`] if the future does not complete immediately, and this thread must not wait.
pub(crate) fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        check_may_wait()?;
        thread::park();
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use crate::sqlite::{self, Location, Options};
    use crate::{AtomicWrite, Database, Error, Key, Mutation, Read, Selector, Value};

    fn assert_waits_are_rejected(database: &Database) {
        let key = Key::from(["a"]);
        let set = || AtomicWrite::new().mutate(Mutation::set(key.clone(), Value::U64(2)));
        database.set_blocking(key.clone(), Value::U64(1)).unwrap();
        let mut queued = None;
        let visited = database.visit_blocking(&[Read::Key(&key)], &mut |_, _| {
            // Calls that need not wait succeed.
            assert_eq!(database.get_blocking(&key).unwrap().unwrap().value, Value::U64(1));
            assert_eq!(database.list(Selector::prefix(&Key::new())).blocking().count(), 1);
            assert!(matches!(database.set_blocking(key.clone(), Value::U64(2)), Err(Error::WaitInVisit)));
            assert!(matches!(database.write_blocking(set()), Err(Error::WaitInVisit)));
            let local = database.local().unwrap();
            let nested = local.try_read(&[Read::Key(&key)], &mut |_, _| {
                assert!(matches!(database.write_blocking(set()), Err(Error::WaitInVisit)));
                ControlFlow::Continue(())
            });
            assert!(nested.unwrap());
            queued = Some(database.set(Key::from(["b"]), Value::U64(3)));
            let mut list = database.list(Selector::prefix(&Key::new())).blocking();
            assert!(matches!(list.next(), Some(Err(Error::WaitInVisit))), "the read must follow the write");
            ControlFlow::Continue(())
        });
        visited.unwrap();
        super::wait(queued.unwrap()).unwrap();
        assert_eq!(database.get_blocking(&key).unwrap().unwrap().value, Value::U64(1), "nothing was written");
        database.write_blocking(set()).unwrap().into_result().unwrap();
    }

    #[test]
    fn blocking_read_sees_the_writes_called_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = Location::file(directory.path().join("kv.sqlite3"));
        for location in [Location::Memory, file] {
            let database = sqlite::open(location, Options::default()).unwrap();
            let key = Key::from(["a"]);
            for i in 0..200 {
                let set = database.set(key.clone(), Value::U64(i));
                assert_eq!(database.get_blocking(&key).unwrap().unwrap().value, Value::U64(i));
                super::wait(set).unwrap();
            }
        }
    }

    #[test]
    fn waits_in_a_visit_are_rejected_in_memory_and_on_a_file() {
        assert_waits_are_rejected(&sqlite::open(Location::Memory, Options::default()).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let file = Location::file(directory.path().join("kv.sqlite3"));
        assert_waits_are_rejected(&sqlite::open(file, Options::default()).unwrap());
    }
}
