use std::sync::Arc;

use crate::message::Message;

/// A message that can be claimed.
#[derive(Clone)]
pub(super) struct Candidate {
    /// Its key within the part.
    pub position: Vec<u8>,
    pub revision: i64,
    pub message: Arc<Message>,
    /// The revision at which its handler was called, or 0.
    pub started: i64,
}

impl Candidate {
    /// Returns the candidate of a key, or `None` if it is not that of a message.
    pub fn new(position: &[u8], revision: i64, message: Arc<Message>) -> Option<Self> {
        let is_message = position.len() == size_of::<u64>() + size_of::<[u8; 16]>();
        is_message.then(|| Self { position: position.to_vec(), revision, message, started: 0 })
    }

    /// Returns the id of the message, which stays the same when it is requeued.
    pub fn id(&self) -> &[u8] {
        self.position.get(8..).unwrap_or_default()
    }

    /// Returns when the message is due, in milliseconds since the Unix epoch.
    pub fn due(&self) -> u64 {
        due(&self.position)
    }
}

/// Returns when the message of a key is due, in milliseconds since the Unix epoch.
pub(super) fn due(position: &[u8]) -> u64 {
    position.first_chunk().map_or(0, |due| u64::from_be_bytes(*due))
}
