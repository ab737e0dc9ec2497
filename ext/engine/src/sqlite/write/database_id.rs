//! The id of a database, which is stored when it is first requested.

use crate::Result;
use crate::sqlite::file::schema::CREATE_DATABASE_ID;
use crate::sqlite::write::transaction::Transaction;

const STORE: &str = "insert or ignore into openkv_database_id (k, id) values (0, ?1)";
const FIND: &str = "select id from openkv_database_id where k = 0";

/// Returns the id, a random UUID. Stores one first if there is none.
pub(crate) fn find(transaction: &Transaction<'_>) -> Result<[u8; 16]> {
    let mut id = [0; 16];
    transaction.random.fill(&mut id);
    let id = uuid::Builder::from_random_bytes(id).into_uuid().into_bytes();
    let connection = transaction.connection();
    connection.prepare_cached(CREATE_DATABASE_ID)?.execute([])?;
    connection.prepare_cached(STORE)?.execute([id])?;
    Ok(connection.prepare_cached(FIND)?.query_row([], |row| row.get(0))?)
}
