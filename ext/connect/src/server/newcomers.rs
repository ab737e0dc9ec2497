//! Connections whose clients have not sent a valid token yet. When the limit of connections is reached, the oldest of them makes
//! way for a new one, so that whoever has no token cannot lock out clients that have one.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// All newcomers of a server.
#[derive(Default)]
pub(crate) struct Newcomers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By number, oldest first.
    evictions: BTreeMap<u64, Arc<Notify>>,
    last: u64,
}

impl Newcomers {
    /// Adds a connection.
    pub fn add(self: &Arc<Self>) -> Newcomer {
        let eviction = Arc::<Notify>::default();
        let mut state = self.state.lock();
        state.last += 1;
        let number = state.last;
        state.evictions.insert(number, eviction.clone());
        Newcomer { newcomers: self.clone(), number, eviction }
    }

    /// Closes the oldest connection. Returns false if there is none.
    pub fn evict(&self) -> bool {
        let oldest = self.state.lock().evictions.pop_first();
        oldest.is_some_and(|(_, eviction)| {
            eviction.notify_one();
            true
        })
    }
}

/// A connection that may be closed for a new one until this is dropped.
pub(crate) struct Newcomer {
    newcomers: Arc<Newcomers>,
    number: u64,
    eviction: Arc<Notify>,
}

impl Newcomer {
    /// Returns what notifies the connection that it must close.
    pub fn eviction(&self) -> Arc<Notify> {
        self.eviction.clone()
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.newcomers.state.lock().evictions.remove(&self.number);
    }
}
