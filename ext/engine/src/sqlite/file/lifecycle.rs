//! The lifecycle of an open file: the number of its users, and the state of its thread. `close()` waits here until the file is
//! closed, unless another process holds its lock.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// The number of files that are being closed by their threads.
static CLOSING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Waits until no file is being closed, up to a timeout.
pub(crate) fn wait_closed(timeout: Duration) {
    let deadline = Instant::now() + timeout;
    CLOSING.1.wait_while_until(&mut CLOSING.0.lock(), |closing| *closing > 0, deadline);
}

/// The use of a file by this process.
pub(crate) struct Lifecycle {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// The number of databases that have the file open.
    users: usize,
    /// The number of databases that have ever opened it.
    acquired: u64,
    phase: Phase,
    /// Whether the thread has been waiting for a lock of another process for a long time.
    locked: bool,
}

/// The state of the thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The file is unused, and the thread is closing it.
    Closing,
    /// The WAL is checkpointed, but handlers may still finish their messages.
    Settled,
    /// The thread accepts no more jobs.
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

/// The result of [`Lifecycle::release`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    StillUsed,
    /// The file is unused now.
    Last {
        /// See [`Lifecycle::unused`].
        unused: u64,
    },
}

impl Default for Lifecycle {
    /// Returns the lifecycle of a file with one user.
    fn default() -> Self {
        let state = State { users: 1, acquired: 1, phase: Phase::Open, locked: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl Lifecycle {
    /// Adds a user. Returns false if the thread accepts no more jobs.
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

    /// Removes a user.
    pub fn release(&self) -> Release {
        let mut state = self.state.lock();
        state.users -= 1;
        if state.users > 0 {
            return Release::StillUsed;
        }
        state.enter(Phase::Closing);
        Release::Last { unused: state.acquired }
    }

    /// Returns whether the thread still accepts jobs.
    pub fn is_open(&self) -> bool {
        !self.state.lock().phase.is_over()
    }

    /// Returns the number of databases that have ever opened the file, if it is unused now.
    pub fn unused(&self) -> Option<u64> {
        let state = self.state.lock();
        (state.users == 0).then_some(state.acquired)
    }

    /// Marks an unused file as closing again: handlers may have finished or dropped their messages. Returns whether there is a
    /// thread to wait for.
    pub fn close_again(&self) -> bool {
        let mut state = self.state.lock();
        let is_unused = state.users == 0 && !state.phase.is_over();
        if is_unused {
            state.enter(Phase::Closing);
        }
        is_unused
    }

    /// Records that the WAL is checkpointed, or that the file is in use again.
    pub fn settle(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Closing {
            state.enter(Phase::Settled);
        }
        self.changed.notify_all();
    }

    /// Ends the phase in which the thread accepts jobs. Returns false if a database has opened the file since `unused` was read: it
    /// may have queued some.
    pub fn end(&self, unused: u64) -> bool {
        let mut state = self.state.lock();
        let may_end = state.users == 0 && state.acquired == unused;
        if may_end {
            state.enter(Phase::Ended);
        }
        may_end
    }

    /// Records that the connection is closed.
    pub fn closed(&self) {
        self.state.lock().enter(Phase::Closed);
        self.changed.notify_all();
    }

    /// Waits until the file is settled or closed, or a lock of another process delays that.
    pub fn wait_settled(&self) {
        let is_closing = |phase| matches!(phase, Phase::Closing | Phase::Ended);
        let waits = |state: &mut State| state.users == 0 && !state.locked && is_closing(state.phase);
        self.changed.wait_while(&mut self.state.lock(), waits);
    }

    /// Records whether the thread has been waiting for a lock of another process for a long time.
    pub fn set_locked(&self, locked: bool) {
        self.state.lock().locked = locked;
        self.changed.notify_all();
    }
}
