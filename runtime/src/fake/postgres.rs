use deno_error::JsErrorBox;
use openkv_engine::{BoxFuture, Database};
use openkv_postgres::{Address, Options};

/// Opens the database with a name, in a schema of its own: the schema of `url` with a suffix.
pub fn open(url: &str, name: &str) -> Result<BoxFuture<Database>, JsErrorBox> {
    let url = format!("{url}{}", super::suffix(name));
    let address = Address::parse(&url).map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    Ok(openkv_postgres::open(address, Options::default()))
}
