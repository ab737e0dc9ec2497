use std::collections::BTreeMap;
use std::sync::Arc;

use openkv_engine::{AtomicWrite, Flight, InFlight, OwnedRead, Read};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The order of the calls of one database: a call waits for those before it that it may not overtake.
///
/// A read waits for the writes before it that may change what it finds, and a write for the reads before it that it may change.
/// That writes take effect one after the other is up to who sends them.
#[derive(Default)]
pub(crate) struct Order {
    in_flight: Arc<InFlight>,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    /// The reads that are not done.
    reads: BTreeMap<u64, (Vec<OwnedRead>, End)>,
    last_read: u64,
    /// When the last write is done.
    last_write: Option<End>,
}

/// The end of a call: the channel is closed then.
type End = watch::Receiver<()>;

/// A call that is not done until this is dropped.
pub(crate) struct Turn {
    after: Vec<End>,
    _done: Done,
}

/// What is dropped when a call is done, in this order: what it kept others from, and then what they wait for.
struct Done {
    _flight: Option<Flight>,
    _read: Option<Registered>,
    _end: watch::Sender<()>,
}

/// A read that is not done until this is dropped.
struct Registered {
    order: Arc<Order>,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.order.calls.lock().reads.remove(&self.number);
    }
}

impl Turn {
    /// Waits until it is the turn of the call.
    pub async fn wait(&mut self) {
        for mut end in self.after.drain(..) {
            // It never has another value.
            let _ = end.changed().await;
        }
    }

    /// Returns whether it is the turn of the call.
    pub fn has_come(&self) -> bool {
        self.after.iter().all(|end| end.has_changed().is_err())
    }
}

impl Order {
    /// Adds a read.
    pub fn read(self: &Arc<Self>, reads: &[Read<'_>]) -> Turn {
        let mut calls = self.calls.lock();
        let after = if self.in_flight.touches(reads) { calls.last_write.clone() } else { None };
        let (end, ended) = watch::channel(());
        calls.last_read += 1;
        let number = calls.last_read;
        calls.reads.insert(number, (reads.iter().map(|read| read.into_owned()).collect(), ended));
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
            // What this write alone changes.
            let alone = Arc::default();
            let _flight = begin(&alone);
            let touched = calls.reads.values().filter(|(reads, _)| {
                let reads: Vec<_> = reads.iter().map(OwnedRead::as_read).collect();
                alone.touches(&reads)
            });
            after.extend(touched.map(|(_, end)| end.clone()));
        }
        let (end, ended) = watch::channel(());
        calls.last_write = Some(ended);
        Turn { after, _done: Done { _flight: Some(begin(&self.in_flight)), _read: None, _end: end } }
    }
}

#[cfg(test)]
mod tests {
    use openkv_engine::{Key, Mutation, Value};

    use super::*;

    #[test]
    fn calls_wait_for_those_that_they_may_not_overtake() {
        let order = Arc::new(Order::default());
        let [a, b] = ["a", "b"].map(|name| Key::from([name]));
        let set = |key: &Key| order.write(&AtomicWrite::new().mutate(Mutation::set(key.clone(), Value::U64(1))));

        let early = order.read(&[Read::Key(&a)]);
        let one = set(&a);
        let two = set(&b);
        let after_both = order.read(&[Read::Key(&b)]);
        let of_another = order.read(&[Read::Key(&Key::from(["c"]))]);
        let deletion = order.delete_range(b.as_bytes(), &[255]);
        let counted = order.read_range(&[], &[255]);
        assert!(early.has_come() && of_another.has_come());
        assert!(two.has_come(), "writes are in order by who sends them");
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
        assert!(!deletion.has_come(), "it deletes what another reads");
        drop(of_another);
        assert!(deletion.has_come() && !counted.has_come());
        drop(deletion);
        assert!(counted.has_come());
        drop(counted);
        assert!(order.calls.lock().reads.is_empty());
    }
}
