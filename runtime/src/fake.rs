mod served;

use std::env;

use deno_core::OpState;
use deno_error::JsErrorBox;
use openkv_engine::{BoxFuture, Database};
use openkv_ext::{Options, Target, is_remote};

/// Returns what lets every call of `Deno.openKv` open a database on the fake backend, where `OPENKV_FAKE` has the options of that,
/// such as `delay=0..5,seed=7,errors=0.01`. Paths are the names of its servers, and no permission is asked: no file is opened.
/// With `connect`, they are databases in memory, by the client of KV Connect and a server of it in this process.
///
/// For tests: no release has the feature `fake`.
pub fn options() -> Option<Options> {
    let options = env::var("OPENKV_FAKE").ok()?;
    let place =
        |_: &mut OpState, path: Option<String>| Ok(Target::Path(path.unwrap_or_else(|| "the default database".into())));
    let connect = move |_: &mut OpState, path: &str| is_name(path).then(|| open(&options, path));
    Some(Options::resolve(place).connector(connect))
}

fn open(options: &str, path: &str) -> Result<BoxFuture<Database>, JsErrorBox> {
    if options == "connect" {
        return Ok(served::open(path));
    }
    let options = options
        .parse()
        .map_err(|error: openkv_fake::ParseOptionsError| JsErrorBox::type_error(format!("OPENKV_FAKE: {error}")))?;
    Ok(openkv_fake::open(path, options))
}

/// Whether a path names a server. The others are refused as ever.
fn is_name(path: &str) -> bool {
    path == ":memory:" || !(path.is_empty() || path.starts_with(':') || is_remote(path))
}
