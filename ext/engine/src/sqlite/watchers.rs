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

    /// Tells the watchers of keys that changed together, each once.
    pub fn tell(&self, keys: &[Vec<u8>]) {
        let mut by_key = self.by_key.lock();
        let mut told: Vec<Watcher> = Vec::new();
        for key in keys {
            let Some(watchers) = by_key.get_mut(key) else { continue };
            watchers.retain(|watcher| {
                let Some(watcher) = watcher.upgrade().filter(|watcher| !watcher.is_closed()) else { return false };
                if !told.iter().any(|other| Arc::ptr_eq(other, &watcher)) {
                    told.push(watcher);
                }
                true
            });
            if watchers.is_empty() {
                by_key.remove(key);
            }
        }
        told.iter().for_each(tell);
    }

    /// Tells all watchers.
    pub fn tell_all(&self) {
        let keys: Vec<_> = self.by_key.lock().keys().cloned().collect();
        self.tell(&keys);
    }
}

fn tell(watcher: &Watcher) {
    // A full channel means that the watcher was told, and has not looked yet.
    let _ = watcher.try_send(());
}
