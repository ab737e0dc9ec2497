//! The client: a backend of the engine whose entries are on a server.
