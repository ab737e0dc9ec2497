//! The watchers of a file, by key. The writer's thread notifies them: those of the touched keys after each commit of this process,
//! and all after external commits.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc;

/// The sender of a watch, which ends when the last clone is dropped.
pub(crate) type Watcher = Arc<mpsc::Sender<()>>;

/// A watcher that may have ended.
type Registered = Weak<mpsc::Sender<()>>;

/// The watchers of a database file.
#[derive(Default)]
pub(crate) struct Watchers {
    by_key: Mutex<HashMap<Vec<u8>, Vec<Registered>>>,
}

/// The keys of one watcher, removed on drop. The file is polled for external commits only while keys are registered.
pub(crate) struct Registration {
    watchers: Arc<Watchers>,
    keys: Vec<Vec<u8>>,
    watcher: Registered,
}

impl Watchers {
    pub fn is_empty(&self) -> bool {
        self.by_key.lock().is_empty()
    }

    /// Registers a watcher of keys.
    pub fn add(self: &Arc<Self>, keys: Vec<Vec<u8>>, watcher: &Watcher) -> Registration {
        let watcher = Arc::downgrade(watcher);
        let mut by_key = self.by_key.lock();
        for key in &keys {
            by_key.entry(key.clone()).or_default().push(watcher.clone());
        }
        Registration { watchers: self.clone(), keys, watcher }
    }

    /// Removes the watchers of databases that were closed.
    pub fn prune(&self) {
        self.by_key.lock().retain(|_, watchers| {
            watchers.retain(|watcher| watcher.strong_count() > 0);
            !watchers.is_empty()
        });
    }

    /// Notifies the watchers of keys that changed in one commit, each once.
    pub fn notify(&self, keys: &[Vec<u8>]) {
        let by_key = self.by_key.lock();
        notify(keys.iter().filter_map(|key| by_key.get(key)).flatten());
    }

    /// Notifies all watchers.
    pub fn notify_all(&self) {
        notify(self.by_key.lock().values().flatten());
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut by_key = self.watchers.by_key.lock();
        for key in &self.keys {
            let Some(watchers) = by_key.get_mut(key) else { continue };
            watchers.retain(|watcher| !watcher.ptr_eq(&self.watcher));
            if watchers.is_empty() {
                by_key.remove(key);
            }
        }
    }
}

fn notify<'a>(watchers: impl Iterator<Item = &'a Registered>) {
    let mut notified = HashSet::new();
    for watcher in watchers {
        if let Some(sender) = watcher.upgrade()
            && notified.insert(watcher.as_ptr())
        {
            // If the channel is full, the watcher has not handled the previous notification yet.
            let _ = sender.try_send(());
        }
    }
}
