use rusqlite::Row;

use crate::Result;

/// Returns the bytes of a column. Any other type is corruption.
pub(crate) fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8]> {
    let value = row.get_ref(column)?;
    let corrupt = |_| rusqlite::Error::InvalidColumnType(column, "blob".into(), value.data_type());
    Ok(value.as_blob().map_err(corrupt)?)
}
