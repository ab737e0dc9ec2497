//! The memory that clients use: the bodies of requests, and of responses until they are sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::options::Options;
use super::shares::{Share, Shares};

/// The memory used by all connections, and its limit.
pub(crate) struct Memory {
    shares: Arc<Shares>,
    limit: usize,
    /// What reads of databases may use until their responses are encoded, in units of [`UNIT`]. This is not part of the limit, as
    /// reads take much less than they may.
    reads: Semaphore,
    read_units: u32,
}

/// The unit of the memory of reads, in bytes.
const UNIT: usize = 1024;

impl Memory {
    /// Creates an account with a limit in bytes for a number of tokens.
    pub fn new(limit: usize, tokens: usize) -> Self {
        let read_units = u32::try_from(limit / UNIT).unwrap_or(u32::MAX).max(1);
        let reads = Semaphore::new(read_units as usize);
        Self { shares: Shares::new(limit, tokens), limit, reads, read_units }
    }

    /// Returns how many bytes are used.
    pub fn used(&self) -> usize {
        self.shares.used()
    }

    /// Reserves bytes for a client with a token. Returns `None` if they exceed the limit or its share.
    pub fn reserve(&self, token: usize, bytes: usize) -> Option<Share> {
        self.shares.take(token, bytes)
    }

    /// Waits until a database may be read whose response may take up to `bytes`, in the order of the requests.
    pub async fn begin_read(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, self.read_units);
        // The semaphore is never closed.
        self.reads.acquire_many(units).await.ok()
    }
}

/// The responses that a connection has yet to send.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// The deadline of each part, and the number of the part.
    deadlines: Mutex<BTreeSet<(Instant, u64)>>,
    last: AtomicU64,
    /// The bytes of the parts.
    bytes: AtomicUsize,
}

/// The longest time that a client may take for a response.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Outgoing {
    /// Wraps bytes to send, so that dropping them after they are sent releases their memory. Returns `None` if they exceed the
    /// limit, the share of the token, or, together with others that wait for this client, a half of the limit.
    pub fn hold(self: &Arc<Self>, bytes: Vec<u8>, memory: &Memory, token: usize, timeout: Duration) -> Option<Bytes> {
        let len = bytes.len();
        let waiting = self.bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting.saturating_add(len) > memory.limit / 2 {
            return None;
        }
        let share = memory.reserve(token, len)?;
        let time = timeout.saturating_add(Duration::from_secs((len / Options::MIN_RATE) as u64)).min(LONGEST);
        let deadline = (Instant::now() + time, self.last.fetch_add(1, Ordering::Relaxed));
        self.deadlines.lock().insert(deadline);
        self.bytes.fetch_add(len, Ordering::Relaxed);
        Some(Bytes::from_owner(Held { bytes, deadline, outgoing: self.clone(), _share: share }))
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
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.outgoing.deadlines.lock().remove(&self.deadline);
        self.outgoing.bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn reads_wait_for_each_other() {
        let memory = Memory::new(10 * UNIT, 0);
        let large = memory.begin_read(usize::MAX).await.unwrap();
        let mut small = pin!(memory.begin_read(1));
        assert!((&mut small).now_or_never().is_none());
        drop(large);
        let _small = small.await.unwrap();
        let _others = memory.begin_read(9 * UNIT).await.unwrap();
    }

    #[test]
    fn connection_takes_a_half_of_the_memory_at_most() {
        let (memory, outgoing) = (Memory::new(10, 0), Arc::new(Outgoing::default()));
        let hold = |len| outgoing.hold(vec![0; len], &memory, 0, Duration::MAX);
        let large = hold(10).unwrap();
        drop(large);
        let _first = hold(3).unwrap();
        let second = hold(2).unwrap();
        assert!(hold(1).is_none());
        drop(second);
        assert!(hold(2).is_some());
    }

    #[test]
    fn bytes_are_held_until_the_last_part_is_dropped() {
        let (memory, outgoing) = (Memory::new(10, 0), Arc::new(Outgoing::default()));
        let mut bytes = outgoing.hold(vec![1, 2, 3], &memory, 0, Duration::ZERO).unwrap();
        assert!(outgoing.is_stuck());
        let part = bytes.split_to(2);
        drop(bytes);
        assert_eq!((memory.used(), outgoing.is_stuck()), (3, true));
        drop(part);
        assert_eq!((memory.used(), outgoing.is_stuck()), (0, false));
        assert!(outgoing.hold(vec![0; 11], &memory, 0, Duration::ZERO).is_none());
    }
}
