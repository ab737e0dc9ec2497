use std::sync::Arc;

use openkv_engine::Order;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::Options;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::description::Description;
use crate::layout::Keys;
use crate::splits::Splits;

/// What the tasks of an open database share.
pub(crate) struct Core {
    pub client: Arc<Client>,
    pub keys: Keys,
    pub url: String,
    pub options: Options,
    pub runtime: Handle,
    pub description: Mutex<Description>,
    pub order: Arc<Order>,
    pub splits: Splits,
}

impl Core {
    /// Returns the time, in milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.options.clock.now()
    }

    /// Returns the deadline of a call that begins now.
    pub fn deadline(&self) -> Deadline {
        Deadline::new(self.options.retry_for)
    }

    /// Returns what is added to revisions.
    pub fn base(&self) -> u64 {
        self.description.lock().base
    }
}
