mod denokv;
mod postgres;
mod served;

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use deno_core::OpState;
use deno_error::JsErrorBox;
use openkv_engine::{BoxFuture, Database};
use openkv_ext::{Options, Target, is_remote};

use self::served::Peer;

/// Returns options with which every `Deno.openKv` opens a database on the fake backend, if `OPENKV_FAKE` is set. It has the options
/// of the backend, such as `delay=0..5,seed=7,errors=0.01`. Paths are names of servers, and need no permission. With
/// `connect`, databases are in memory, opened by the KV Connect client from a server in this process; with `denokv`, from
/// `denokv` servers, each of which serves one database.
/// With the URL of a database in etcd or of a schema in PostgreSQL, each database has one whose name begins with that one.
///
/// For tests: releases do not have the feature `fake`.
pub fn options() -> Option<Options> {
    let options = env::var("OPENKV_FAKE").ok()?;
    let resolve =
        |_: &mut OpState, path: Option<String>| Ok(Target::Path(path.unwrap_or_else(|| "the default database".into())));
    let connect = move |_: &mut OpState, path: &str| is_name(path).then(|| open(&options, path));
    Some(Options::resolve(resolve).connector(connect))
}

fn open(options: &str, path: &str) -> Result<BoxFuture<Database>, JsErrorBox> {
    match options {
        "connect" => return Ok(served::open(path, Peer::OpenKv)),
        "denokv" => return Ok(served::open(path, Peer::Denokv)),
        _ => {}
    }
    if openkv_etcd::DatabaseUrl::has_scheme(options) {
        return Ok(openkv_etcd::open(&format!("{options}{}", suffix(path)), openkv_etcd::Options::default()));
    }
    if openkv_postgres::is_address(options) {
        return postgres::open(options, path);
    }
    let options = options
        .parse()
        .map_err(|error: openkv_fake::ParseOptionsError| JsErrorBox::type_error(format!("OPENKV_FAKE: {error}")))?;
    Ok(openkv_fake::open(path, options))
}

/// Returns what distinguishes the database with a name: the hash of the name, or for `:memory:` a number, so that it is a new one each
/// time.
fn suffix(name: &str) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if name == ":memory:" {
        return format!("_{}_{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
    }
    // The same in each process of a test.
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    format!("_{:x}", hasher.finish())
}

/// Returns whether a path names a server. All others are rejected as without the fake backend.
fn is_name(path: &str) -> bool {
    path == ":memory:" || !(path.is_empty() || path.starts_with(':') || is_remote(path))
}
