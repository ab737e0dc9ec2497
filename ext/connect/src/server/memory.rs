//! The memory that clients use: the bodies of requests, and of responses until they are sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::options::Options;

/// The memory used by all connections, and its limit.
pub(crate) struct Memory {
    used: AtomicUsize,
    limit: usize,
}

impl Memory {
    /// Creates an account with a limit in bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }

    /// Returns how many bytes are used.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Reserves bytes. Returns `None` if they exceed the limit.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let mut reservation = Reservation { memory: self.clone(), bytes: 0 };
        reservation.grow(bytes).then_some(reservation)
    }
}

/// Reserved memory, released on drop.
pub(crate) struct Reservation {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Reservation {
    /// Reserves more bytes. Returns false if they exceed the limit.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.memory.limit);
        let is_reserved = self.memory.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if is_reserved {
            self.bytes += bytes;
        }
        is_reserved
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The responses that a connection has yet to send.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// The deadline of each part, and the number of the part.
    deadlines: Mutex<BTreeSet<(Instant, u64)>>,
    last: AtomicUsize,
}

impl Outgoing {
    /// Wraps bytes to send, so that dropping them after they are sent releases their memory. Returns `None` if they exceed the
    /// limit.
    pub fn hold(self: &Arc<Self>, bytes: Vec<u8>, memory: &Arc<Memory>, timeout: Duration) -> Option<Bytes> {
        let reservation = memory.reserve(bytes.len())?;
        let time = timeout + Duration::from_secs((bytes.len() / Options::MIN_RATE) as u64);
        let number = self.last.fetch_add(1, Ordering::Relaxed) as u64;
        let deadline = (Instant::now() + time, number);
        self.deadlines.lock().insert(deadline);
        Some(Bytes::from_owner(Held { bytes, deadline, outgoing: self.clone(), _reservation: reservation }))
    }

    /// Returns whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.deadlines.lock().is_empty()
    }

    /// Returns whether the peer has missed a deadline.
    pub fn is_stuck(&self) -> bool {
        self.deadlines.lock().first().is_some_and(|(deadline, _)| *deadline <= Instant::now())
    }
}

/// Bytes to send, with their deadline and memory.
struct Held {
    bytes: Vec<u8>,
    deadline: (Instant, u64),
    outgoing: Arc<Outgoing>,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.outgoing.deadlines.lock().remove(&self.deadline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_released() {
        let memory = Memory::new(10);
        let mut first = memory.reserve(6).unwrap();
        assert!(memory.reserve(5).is_none());
        assert!(first.grow(4));
        assert!(!first.grow(usize::MAX));
        assert_eq!(memory.used(), 10);
        drop(first);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn bytes_are_held_until_the_last_part_is_dropped() {
        let (memory, outgoing) = (Memory::new(10), Arc::new(Outgoing::default()));
        let mut bytes = outgoing.hold(vec![1, 2, 3], &memory, Duration::ZERO).unwrap();
        assert!(outgoing.is_stuck());
        let part = bytes.split_to(2);
        drop(bytes);
        assert_eq!((memory.used(), outgoing.is_stuck()), (3, true));
        drop(part);
        assert_eq!((memory.used(), outgoing.is_stuck()), (0, false));
        assert!(outgoing.hold(vec![0; 11], &memory, Duration::ZERO).is_none());
    }
}
