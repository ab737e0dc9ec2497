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
    /// The number of active requests and streams.
    requests: usize,
    /// When the last of them ended, or the peer connected.
    idle_since: Instant,
    /// Whether the peer has sent a request.
    is_known: bool,
}

impl Peer {
    /// Creates the state of a new connection.
    pub fn new(is_tls: bool) -> Arc<Self> {
        let state = State { requests: 0, idle_since: Instant::now(), is_known: false };
        Arc::new(Self { is_tls, outgoing: Arc::default(), state: Mutex::new(state) })
    }

    /// Counts a request until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> Active {
        let mut state = self.state.lock();
        state.requests += 1;
        state.is_known = true;
        Active(self.clone())
    }

    /// Returns whether the connection has been idle for too long: for `first` before its first request, else for `later`.
    pub fn is_idle(&self, first: Duration, later: Duration) -> bool {
        let state = self.state.lock();
        let timeout = if state.is_known { later } else { first };
        state.requests == 0 && state.idle_since.elapsed() >= timeout && self.outgoing.is_empty()
    }
}

/// An active request or stream of a peer.
pub(crate) struct Active(Arc<Peer>);

impl Drop for Active {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.requests -= 1;
        state.idle_since = Instant::now();
    }
}
