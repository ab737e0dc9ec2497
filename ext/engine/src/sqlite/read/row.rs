use rusqlite::Row;

use crate::Result;

/// The bytes of a column. One that holds none is damage.
pub(crate) fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8]> {
    let value = row.get_ref(column)?;
    let damaged = |_| rusqlite::Error::InvalidColumnType(column, "blob".into(), value.data_type());
    Ok(value.as_blob().map_err(damaged)?)
}
