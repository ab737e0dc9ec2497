//! When a file is closed: who uses it, and how far its thread is with closing it. Whoever closes a database waits here until the
//! file is closed, and no longer than another process lets it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// After how many attempts a lock counts as held by another process for long. There is one attempt a millisecond, and a commit
/// holds the lock for a few.
const LONG_LOCK_ATTEMPTS: i32 = 50;

/// How many files are in a phase in which their threads close them.
static CLOSING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Waits until the threads have closed the files that they are closing, but no longer than this.
pub(crate) fn wait_closed(timeout: Duration) {
    let deadline = Instant::now() + timeout;
    CLOSING.1.wait_while_until(&mut CLOSING.0.lock(), |closing| *closing > 0, deadline);
}

/// The use of a file by this process, from its opening to its end.
pub(crate) struct Lifecycle {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// How many databases have the file open.
    users: usize,
    /// How many have had it open.
    acquired: u64,
    phase: Phase,
    /// Whether the thread waits for a lock that another process holds for long.
    locked: bool,
}

/// How far the thread is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// No database uses the file, and the thread was asked to close it.
    Closing,
    /// All is in the file. Handlers may still finish their messages.
    Settled,
    /// The thread takes no more work.
    Ended,
    /// The connection is closed.
    Closed,
}

impl Phase {
    fn is_over(self) -> bool {
        matches!(self, Phase::Ended | Phase::Closed)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        let is_closing = |phase| matches!(phase, Phase::Closing | Phase::Ended);
        let (before, after) = (is_closing(self.phase), is_closing(phase));
        self.phase = phase;
        if before != after {
            let mut closing = CLOSING.0.lock();
            *closing = if after { *closing + 1 } else { *closing - 1 };
            CLOSING.1.notify_all();
        }
    }
}

/// Who was the last one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    StillUsed,
    /// With how many databases have used the file.
    Last {
        unused: u64,
    },
}

/// Of a file that one database has open.
impl Default for Lifecycle {
    fn default() -> Self {
        let state = State { users: 1, acquired: 1, phase: Phase::Open, locked: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl Lifecycle {
    /// Counts another database. Returns false where it is too late: the thread takes no more work.
    pub fn acquire(&self) -> bool {
        let mut state = self.state.lock();
        if state.phase.is_over() {
            return false;
        }
        state.enter(Phase::Open);
        state.users += 1;
        state.acquired += 1;
        self.changed.notify_all();
        true
    }

    /// Ends the use by one database.
    pub fn release(&self) -> Release {
        let mut state = self.state.lock();
        state.users -= 1;
        if state.users > 0 {
            return Release::StillUsed;
        }
        state.enter(Phase::Closing);
        Release::Last { unused: state.acquired }
    }

    /// Whether databases can still use the file by this.
    pub fn is_open(&self) -> bool {
        !self.state.lock().phase.is_over()
    }

    /// How many databases have used the file, if none does any more.
    pub fn unused(&self) -> Option<u64> {
        let state = self.state.lock();
        (state.users == 0).then_some(state.acquired)
    }

    /// Lets the thread of an unused file try again to close it: handlers may have finished their messages, or given them up.
    /// Returns whether there is a thread to wait for.
    pub fn close_again(&self) -> bool {
        let mut state = self.state.lock();
        let is_unused = state.users == 0 && !state.phase.is_over();
        if is_unused {
            state.enter(Phase::Closing);
        }
        is_unused
    }

    /// Notes that all is in the file, or that it is in use again.
    pub fn settle(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Closing {
            state.enter(Phase::Settled);
        }
        self.changed.notify_all();
    }

    /// Notes that the thread takes no more work. Returns false where a database has used the file since so many had: it may have
    /// left some.
    pub fn end(&self, unused: u64) -> bool {
        let mut state = self.state.lock();
        let may_end = state.users == 0 && state.acquired == unused;
        if may_end {
            state.enter(Phase::Ended);
        }
        may_end
    }

    /// Notes that the connection is closed.
    pub fn closed(&self) {
        self.state.lock().enter(Phase::Closed);
        self.changed.notify_all();
    }

    /// Waits until all is in the file, or until that may take long.
    pub fn wait_settled(&self) {
        self.wait_while(|phase| matches!(phase, Phase::Closing | Phase::Ended));
    }

    fn wait_while(&self, goes_on: impl Fn(Phase) -> bool) {
        let waits = |state: &mut State| state.users == 0 && !state.locked && goes_on(state.phase);
        self.changed.wait_while(&mut self.state.lock(), waits);
    }

    /// Notes that the thread waits no more for a lock.
    pub fn unlocked(&self) {
        if LONG_LOCK.take() {
            self.state.lock().locked = false;
        }
    }
}

thread_local! {
    /// The file of this thread.
    static FILE: RefCell<Option<Arc<Lifecycle>>> = const { RefCell::new(None) };

    /// Whether this thread has waited for long.
    static LONG_LOCK: Cell<bool> = const { Cell::new(false) };
}

/// Notes for a file how long this thread waits for locks.
pub(crate) fn watch_locks(file: Arc<Lifecycle>) {
    FILE.set(Some(file));
}

/// Notes that this thread waits for a lock, after so many attempts to take it.
pub(crate) fn waits_for_lock(attempts: i32) {
    if attempts == LONG_LOCK_ATTEMPTS {
        FILE.with_borrow(|file| {
            let Some(file) = file else { return };
            LONG_LOCK.set(true);
            file.state.lock().locked = true;
            file.changed.notify_all();
        });
    }
}
