use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::memory::Outgoing;

/// The other end of a connection.
pub(crate) struct Peer {
    pub is_tls: bool,
    pub outgoing: Arc<Outgoing>,
    state: Mutex<State>,
}

struct State {
    /// How many requests and streams there are.
    requests: usize,
    /// Since when there are none.
    idle_since: Instant,
    /// Whether there was a request.
    is_known: bool,
}

impl Peer {
    /// A peer that has just connected.
    pub fn new(is_tls: bool) -> Arc<Self> {
        let state = State { requests: 0, idle_since: Instant::now(), is_known: false };
        Arc::new(Self { is_tls, outgoing: Arc::default(), state: Mutex::new(state) })
    }

    /// Notes that a request has begun, until what this returns is dropped.
    pub fn begin(self: &Arc<Self>) -> Active {
        let mut state = self.state.lock();
        state.requests += 1;
        state.is_known = true;
        Active(self.clone())
    }

    /// Returns whether the connection is to be closed as nobody uses it: after one timeout where there was no request yet, and
    /// after another else.
    pub fn is_idle(&self, first: Duration, later: Duration) -> bool {
        let state = self.state.lock();
        let timeout = if state.is_known { later } else { first };
        state.requests == 0 && state.idle_since.elapsed() >= timeout && self.outgoing.is_empty()
    }
}

/// A request or a stream of a peer.
pub(crate) struct Active(Arc<Peer>);

impl Drop for Active {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.requests -= 1;
        state.idle_since = Instant::now();
    }
}
