use openkv_engine::{Enqueue, Key};
use prost::Message as _;

/// A message of the queue, as it is stored.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Message {
    /// In V8's serialization format.
    #[prost(bytes = "vec", tag = "1")]
    pub payload: Vec<u8>,
    /// The delays before further attempts, in milliseconds.
    #[prost(uint32, repeated, tag = "2")]
    pub schedule: Vec<u32>,
    /// The keys under which the message is stored when its last attempt fails.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub keys_if_undelivered: Vec<Vec<u8>>,
}

impl Message {
    pub fn new(enqueue: &Enqueue) -> Self {
        Self {
            payload: enqueue.message.clone(),
            schedule: enqueue.schedule().to_vec(),
            keys_if_undelivered: enqueue.keys_if_undelivered.iter().map(|key| key.as_bytes().to_vec()).collect(),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Decodes a message. One that is corrupt is delivered as it is, once.
    pub fn from_encoded(bytes: &[u8]) -> Self {
        Self::decode(bytes).unwrap_or_else(|_| Self { payload: bytes.to_vec(), ..Self::default() })
    }

    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.keys_if_undelivered.iter().map(|key| Key::from_encoded(key.clone()))
    }

    /// Returns the key of a message within its part: by the time at which it is due, and then by its id.
    pub fn position(due: u64, id: &[u8; 16]) -> Vec<u8> {
        [&due.to_be_bytes()[..], id].concat()
    }
}
