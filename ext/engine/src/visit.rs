//! Visits of reads, and what may wait while one goes on. A visit holds what it reads from: in memory, whoever waited there for
//! a write would wait for the end of the visit, and so for itself. A file would allow it, but tests run in memory: it is
//! refused for both.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::{Error, Result};

thread_local! {
    /// How many visits this thread is in.
    static VISITS: Cell<usize> = const { Cell::new(0) };
}

/// A visit of this thread, until it is dropped.
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

/// Waits for a result on this thread.
///
/// # Errors
/// [`Error::WaitInVisit`] where it is not there immediately, and this thread may not wait.
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

    fn refuses_to_wait_in_a_visit(database: &Database) {
        let key = Key::from(["a"]);
        let set = || AtomicWrite::new().mutate(Mutation::set(key.clone(), Value::U64(2)));
        database.set_blocking(key.clone(), Value::U64(1)).unwrap();
        let mut queued = None;
        let visited = database.visit_blocking(&[Read::Key(&key)], &mut |_, _| {
            // What need not wait goes on.
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
            assert!(matches!(list.next(), Some(Err(Error::WaitInVisit))), "it is after the write");
            ControlFlow::Continue(())
        });
        visited.unwrap();
        super::wait(queued.unwrap()).unwrap();
        assert_eq!(database.get_blocking(&key).unwrap().unwrap().value, Value::U64(1), "nothing was written");
        database.write_blocking(set()).unwrap().into_result().unwrap();
    }

    #[test]
    fn waiting_in_a_visit_is_refused_in_memory_and_on_a_file() {
        refuses_to_wait_in_a_visit(&sqlite::open(Location::Memory, Options::default()).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let file = Location::file(directory.path().join("kv.sqlite3"));
        refuses_to_wait_in_a_visit(&sqlite::open(file, Options::default()).unwrap());
    }
}
