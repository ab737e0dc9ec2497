use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::StartError;
use super::batches::Batches;
use super::deletions::Deletions;
use super::failure::Failure;
use super::hosted::Hosted;
use super::memory::Memory;
use super::metrics::Metrics;
use super::newcomers::Newcomers;
use super::options::{Options, Served};
use super::peer::{Peer, Streaming};
use super::phase::{Phase, Phases};
use super::shares::{Share, Shares};
use super::tokens::Tokens;

/// The state that all connections of a server share.
pub(crate) struct Shared {
    pub databases: Vec<Hosted>,
    pub options: Options,
    pub tokens: Tokens,
    pub phase: Phases,
    pub memory: Memory,
    pub metrics: Metrics,
    pub batches: Arc<Batches>,
    pub deletions: Deletions,
    /// The limits of connections and streams.
    pub connections: Arc<Semaphore>,
    pub newcomers: Arc<Newcomers>,
    streams: Arc<Shares>,
}

impl Shared {
    /// Checks the options, and reads the ids of the databases.
    pub async fn new(served: Vec<Served>, options: Options) -> Result<Self, StartError> {
        options.check()?;
        if served.is_empty() {
            return Err(StartError::NoDatabase);
        }
        let mut names = HashSet::new();
        for Served { name, .. } in &served {
            if !is_name(name) {
                return Err(StartError::InvalidName(name.clone()));
            }
            if !names.insert(name.as_str()) {
                return Err(StartError::DuplicateName(name.clone()));
            }
        }
        for token in &options.tokens {
            if token.is_empty() {
                return Err(StartError::EmptyToken(token.name().into()));
            }
            if let Some(database) = token.named_databases().find(|database| !names.contains(database)) {
                return Err(StartError::UnknownDatabase { token: token.name().into(), database: database.into() });
            }
        }
        let mut databases: Vec<Hosted> = Vec::with_capacity(served.len());
        for Served { name, database } in served {
            let id = match database.id().await {
                Ok(Some(id)) => id,
                // A read-only database has an id for the lifetime of the server.
                Ok(None) | Err(openkv_engine::Error::ReadOnly) => draw_id(&options),
                Err(error) => return Err(StartError::Id { name, error }),
            };
            let id = Uuid::from_bytes(id);
            // Access tokens are for ids, and clients recognize a database by its id.
            if let Some(other) = databases.iter().find(|hosted| hosted.id == id) {
                return Err(StartError::DuplicateId { name, other: other.name.clone() });
            }
            databases.push(Hosted { name, database, id });
        }
        Ok(Self {
            databases,
            tokens: Tokens::new(options.tokens.clone(), &*options.random),
            phase: Phases::default(),
            memory: Memory::new(options.memory, options.tokens.len()),
            metrics: Metrics::default(),
            batches: Arc::new(Batches::new(options.random.clone(), options.grace)),
            connections: Arc::new(Semaphore::new(options.connections)),
            newcomers: Arc::default(),
            streams: Shares::new(options.streams, options.tokens.len()),
            deletions: Deletions::default(),
            options,
        })
    }

    /// Begins a stream of a peer, which ends when the guards are dropped.
    ///
    /// # Errors
    /// There are too many streams, of the peer, of its token or in total, or the server is stopping.
    pub fn begin_stream(&self, peer: &Arc<Peer>) -> Result<(Streaming, Share), Failure> {
        if self.phase.current() >= Phase::Stopping {
            return Err(Failure::stopping());
        }
        let streaming = peer.begin_stream(self.options.streams_per_connection);
        let streaming = streaming.ok_or_else(|| Failure::busy("watches of this connection"))?;
        let share = self.streams.take(peer.token(), 1).ok_or_else(|| Failure::busy("watches"))?;
        Ok((streaming, share))
    }

    /// Accounts for bytes to send to a peer. Returns `None` if they exceed the memory, or its share of it.
    pub fn send(&self, peer: &Peer, bytes: Vec<u8>) -> Option<Bytes> {
        peer.outgoing.hold(bytes, &self.memory, peer.token(), self.options.write_timeout)
    }

    /// Waits until all connections are closed.
    pub async fn wait_disconnected(&self) {
        let all = self.options.connections as u32;
        // This fails only for a closed semaphore, and this one is never closed.
        let _ = self.connections.acquire_many(all).await;
    }

    /// Returns the number of open connections.
    pub fn connection_count(&self) -> usize {
        self.options.connections.saturating_sub(self.connections.available_permits())
    }

    /// Returns the number of open streams.
    pub fn stream_count(&self) -> usize {
        self.streams.used()
    }
}

/// Draws an id for a database that has none.
fn draw_id(options: &Options) -> [u8; 16] {
    let mut bytes = [0; 16];
    options.random.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().into_bytes()
}

/// Returns whether a name is a path segment without escapes, and not that of a version.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_reserved = ["v1", "v2", "v3", ".", ".."].contains(&name);
    !name.is_empty() && name.bytes().all(is_plain) && !is_reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_segments_of_paths() {
        for name in ["a", "kv-1", "my_db.sqlite3", "V4"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "%41", "\u{e9}", "v3"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
