//! Who waits for changes of which key. Told by the writer's thread: after each commit of this process, of the keys that it
//! touched, and after commits of others, of any.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Ends its watch when the last one is dropped.
pub(super) type Watcher = Arc<mpsc::Sender<()>>;

/// A watcher that may have ended.
type Registered = Weak<mpsc::Sender<()>>;

/// The watchers of a database file.
#[derive(Default)]
pub(super) struct Watchers {
    by_key: Mutex<HashMap<Vec<u8>, Vec<Registered>>>,
}

impl Watchers {
    pub fn is_empty(&self) -> bool {
        self.by_key.lock().is_empty()
    }

    /// Adds a watcher of keys.
    pub fn add(&self, keys: impl IntoIterator<Item = Vec<u8>>, watcher: &Watcher) {
        let mut by_key = self.by_key.lock();
        for key in keys {
            by_key.entry(key).or_default().push(Arc::downgrade(watcher));
        }
    }

    /// Tells the watchers of a key.
    pub fn tell(&self, key: &[u8]) {
        let mut by_key = self.by_key.lock();
        if let Some(watchers) = by_key.get_mut(key) {
            tell(watchers);
            if watchers.is_empty() {
                by_key.remove(key);
            }
        }
    }

    /// Tells all watchers.
    pub fn tell_all(&self) {
        self.by_key.lock().retain(|_, watchers| {
            tell(watchers);
            !watchers.is_empty()
        });
    }
}

/// Tells watchers, and drops those that have ended.
fn tell(watchers: &mut Vec<Registered>) {
    watchers.retain(|watcher| match watcher.upgrade() {
        // A full channel means that the watcher was told, and has not looked yet.
        Some(watcher) => !matches!(watcher.try_send(()), Err(mpsc::error::TrySendError::Closed(()))),
        None => false,
    });
}
