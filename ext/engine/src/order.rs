use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{AtomicWrite, Flight, InFlight, OwnedRead, Read};

/// The order of the calls of one database, for backends that send them over several connections: a call waits for earlier calls
/// that it must not overtake.
///
/// A read waits for the earlier writes that may affect its result, and a write for the earlier reads whose results it may affect.
/// The sender of the writes keeps their order.
#[derive(Default)]
pub struct Order {
    in_flight: Arc<InFlight>,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    /// The pending reads.
    reads: BTreeMap<u64, (Vec<OwnedRead>, End)>,
    last_read: u64,
    /// The end of the last write.
    last_write: Option<End>,
}

/// A semaphore without permits, closed at the end of a call.
type End = Arc<Semaphore>;

/// The place of a call in the [`Order`]. Dropping it ends the call.
#[must_use = "the call has ended once this is dropped"]
pub struct Turn {
    after: Vec<End>,
    _done: Done,
}

/// Guards that end a call. The fields are dropped in this order: later calls must find the registrations removed when they wake.
struct Done {
    _flight: Option<Flight>,
    _read: Option<Registered>,
    _end: Ending,
}

/// Closes the semaphore of a call when dropped.
struct Ending(End);

impl Ending {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A registered read. Dropping it removes the read.
struct Registered {
    order: Arc<Order>,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.order.calls.lock().reads.remove(&self.number);
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("has_come", &self.has_come()).finish_non_exhaustive()
    }
}

impl Turn {
    /// Waits until the call may be sent.
    pub async fn wait(&mut self) {
        for end in self.after.drain(..) {
            // There are no permits: this returns when the semaphore is closed.
            let _ = end.acquire().await;
        }
    }

    /// Returns whether it is the turn of the call.
    pub fn has_come(&self) -> bool {
        self.after.iter().all(|end| end.is_closed())
    }
}

impl Order {
    /// Adds a read.
    pub fn read(self: &Arc<Self>, reads: &[Read<'_>]) -> Turn {
        let mut calls = self.calls.lock();
        let after = if self.in_flight.touches(reads) { calls.last_write.clone() } else { None };
        let end = Ending::new();
        calls.last_read += 1;
        let number = calls.last_read;
        calls.reads.insert(number, (reads.iter().map(|read| read.into_owned()).collect(), end.0.clone()));
        let read = Some(Registered { order: self.clone(), number });
        Turn { after: after.into_iter().collect(), _done: Done { _flight: None, _read: read, _end: end } }
    }

    /// Adds a read of a range.
    pub fn read_range(self: &Arc<Self>, start: &[u8], end: &[u8]) -> Turn {
        self.read(&[Read::Range { start, end, limit: u32::MAX, reverse: false, values: false }])
    }

    /// Adds a write.
    pub fn write(&self, write: &AtomicWrite) -> Turn {
        self.add(|in_flight| in_flight.write(write))
    }

    /// Adds a deletion of a range.
    pub fn delete_range(&self, start: &[u8], end: &[u8]) -> Turn {
        self.add(|in_flight| in_flight.delete_range(start, end))
    }

    fn add(&self, begin: impl Fn(&Arc<InFlight>) -> Flight) -> Turn {
        let mut calls = self.calls.lock();
        let mut after = Vec::new();
        if !calls.reads.is_empty() {
            // The keys and ranges of this write only.
            let own = Arc::default();
            let _flight = begin(&own);
            let touched = calls.reads.values().filter(|(reads, _)| {
                let reads: Vec<_> = reads.iter().map(OwnedRead::as_read).collect();
                own.touches(&reads)
            });
            after.extend(touched.map(|(_, end)| end.clone()));
        }
        let end = Ending::new();
        calls.last_write = Some(end.0.clone());
        Turn { after, _done: Done { _flight: Some(begin(&self.in_flight)), _read: None, _end: end } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Mutation, Value};

    #[test]
    fn calls_wait_for_conflicting_earlier_calls() {
        let order = Arc::new(Order::default());
        let [a, b] = ["a", "b"].map(|name| Key::from([name]));
        let set = |key: &Key| order.write(&AtomicWrite::new().mutate(Mutation::set(key.clone(), Value::U64(1))));

        let early = order.read(&[Read::Key(&a)]);
        let one = set(&a);
        let two = set(&b);
        let after_both = order.read(&[Read::Key(&b)]);
        let other_key = order.read(&[Read::Key(&Key::from(["c"]))]);
        let deletion = order.delete_range(b.as_bytes(), &[255]);
        let counted = order.read_range(&[], &[255]);
        assert!(early.has_come() && other_key.has_come());
        assert!(two.has_come(), "the sender of the writes keeps their order");
        for turn in [&one, &after_both, &deletion, &counted] {
            assert!(!turn.has_come());
        }
        drop(early);
        assert!(one.has_come() && !after_both.has_come());
        drop(one);
        assert!(!after_both.has_come());
        drop(two);
        assert!(after_both.has_come() && !deletion.has_come());
        drop(after_both);
        assert!(!deletion.has_come(), "it deletes the key of a pending read");
        drop(other_key);
        assert!(deletion.has_come() && !counted.has_come());
        drop(deletion);
        assert!(counted.has_come());
        drop(counted);
        assert!(order.calls.lock().reads.is_empty());
    }
}
