use openkv_engine::Error;
use prost::Message;

use crate::client::{Client, proto};
use crate::deadline::Deadline;
use crate::error::Failure;
use crate::layout::{Keys, LAYOUT};
use crate::{EtcdError, OpenError, Options};

/// The description of a database, which every transaction finds unchanged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Description {
    /// The revision at which it was stored.
    pub revision: i64,
    /// What is added to revisions to obtain versions, so that those of restored and copied databases go on growing.
    pub base: u64,
    /// The id of the database.
    pub id: [u8; 16],
}

#[derive(Clone, PartialEq, Message)]
struct Encoded {
    #[prost(uint64, tag = "1")]
    layout: u64,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(uint64, tag = "3")]
    base: u64,
}

impl Description {
    /// Reads the description, and stores it if the database does not exist. Raises the base as [`Options::min_version`] requires.
    pub async fn open(client: &Client, keys: &Keys, url: &str, options: &Options) -> Result<Self, Error> {
        let failed = |failure: Failure| OpenError::Cluster { url: url.to_owned(), error: failure.error };
        let key = keys.description();
        let mut id = [0; 16];
        options.random.fill(&mut id);
        let deadline = Deadline::new(options.retry_for);
        loop {
            let mut found = client.range(proto::range(key.clone(), Vec::new())).await.map_err(failed)?;
            let current = found.revision();
            let raised = options.min_version.saturating_sub(u64::try_from(current).unwrap_or_default());
            let (revision, encoded) = match found.kvs.pop() {
                Some(kv) => {
                    let description = Self::decode(kv.mod_revision, &kv.value, url)?;
                    if description.base >= raised {
                        return Ok(description);
                    }
                    let Self { id, .. } = description;
                    (kv.mod_revision, Encoded { layout: LAYOUT, id: id.to_vec(), base: raised })
                }
                None => (0, Encoded { layout: LAYOUT, id: id.to_vec(), base: raised }),
            };
            // Read again, whether or not it was stored: another process may have done so.
            let request = proto::TxnRequest {
                compare: vec![proto::unchanged_since(key.clone(), revision)],
                success: vec![proto::put(key.clone(), encoded.encode_to_vec(), 0)],
                failure: Vec::new(),
            };
            client.txn(request).await.map_err(failed)?;
            deadline.check(EtcdError::Contention).map_err(|error| failed(error.into()))?;
        }
    }

    /// Decodes a description.
    ///
    /// # Errors
    /// [`OpenError::NewerLayout`] or [`OpenError::Corrupt`].
    pub fn decode(revision: i64, bytes: &[u8], url: &str) -> Result<Self, OpenError> {
        let corrupt = || OpenError::Corrupt { url: url.to_owned() };
        let Encoded { layout, id, base } = Encoded::decode(bytes).map_err(|_| corrupt())?;
        if layout > LAYOUT {
            return Err(OpenError::NewerLayout { url: url.to_owned(), found: layout, known: LAYOUT });
        }
        let id = id.try_into().map_err(|_| corrupt())?;
        if layout == 0 { Err(corrupt()) } else { Ok(Self { revision, base, id }) }
    }
}
