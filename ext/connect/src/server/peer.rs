use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::memory::Outgoing;
use super::newcomers::Newcomer;

/// The other end of a connection.
pub(crate) struct Peer {
    pub is_tls: bool,
    pub outgoing: Arc<Outgoing>,
    state: Mutex<State>,
    /// The position of the token of the last request.
    token: AtomicUsize,
}

struct State {
    /// The number of active requests and streams.
    requests: usize,
    /// When the last of them ended, or the peer connected.
    idle_since: Instant,
    /// The number of open streams.
    streams: usize,
    /// `None` once the peer has sent a request with a valid token.
    newcomer: Option<Newcomer>,
}

impl Peer {
    /// Creates the state of a new connection.
    pub fn new(is_tls: bool, newcomer: Newcomer) -> Arc<Self> {
        let state = State { requests: 0, streams: 0, idle_since: Instant::now(), newcomer: Some(newcomer) };
        Arc::new(Self { is_tls, outgoing: Arc::default(), state: Mutex::new(state), token: AtomicUsize::new(0) })
    }

    /// Counts a request until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> Active {
        let mut state = self.state.lock();
        state.requests += 1;
        Active(self.clone())
    }

    /// Records a request with a valid token.
    pub fn authorized(&self, token: usize) {
        self.token.store(token, Ordering::Relaxed);
        let newcomer = self.state.lock().newcomer.take();
        drop(newcomer);
    }

    /// Returns the position of the token of the last request.
    pub fn token(&self) -> usize {
        self.token.load(Ordering::Relaxed)
    }

    /// Counts a stream until the guard is dropped. Returns `None` if there are `max` already.
    pub fn begin_stream(self: &Arc<Self>, max: usize) -> Option<Streaming> {
        let mut state = self.state.lock();
        if state.streams >= max {
            return None;
        }
        state.streams += 1;
        drop(state);
        Some(Streaming { _active: self.begin(), peer: self.clone() })
    }

    /// Returns whether the connection has been idle for too long: for `first` before its first request with a valid token, else for
    /// `later`.
    pub fn is_idle(&self, first: Duration, later: Duration) -> bool {
        let state = self.state.lock();
        let timeout = if state.newcomer.is_none() { later } else { first };
        state.requests == 0 && state.idle_since.elapsed() >= timeout && self.outgoing.is_empty()
    }
}

/// An open stream of a peer.
pub(crate) struct Streaming {
    _active: Active,
    peer: Arc<Peer>,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.peer.state.lock().streams -= 1;
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
