use openkv_engine::Database;
use uuid::Uuid;

/// A database with its name and id.
pub(crate) struct Hosted {
    pub name: String,
    pub database: Database,
    pub id: Uuid,
}
