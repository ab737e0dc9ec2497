use std::env;

use deno_core::OpState;
use deno_error::JsErrorBox;
use openkv_ext::{Options, Target, is_remote};

/// Returns options with which every `Deno.openKv` opens a database on the fake backend, if `OPENKV_FAKE` is set. It has the options
/// of the backend, such as `delay=0..5,seed=7,errors=0.01`. Paths are names of servers, and need no permission.
///
/// For tests: releases do not have the feature `fake`.
pub fn options() -> Option<Options> {
    let options = env::var("OPENKV_FAKE").ok()?.parse::<openkv_fake::Options>();
    let resolve =
        |_: &mut OpState, path: Option<String>| Ok(Target::Path(path.unwrap_or_else(|| "the default database".into())));
    let connect = move |_: &mut OpState, path: &str| {
        let options = options.clone().map_err(|error| JsErrorBox::type_error(format!("OPENKV_FAKE: {error}")));
        is_name(path).then(|| options.map(|options| openkv_fake::open(path, options)))
    };
    Some(Options::resolve(resolve).connector(connect))
}

/// Returns whether a path names a server. All others are rejected as without the fake backend.
fn is_name(path: &str) -> bool {
    path == ":memory:" || !(path.is_empty() || path.starts_with(':') || is_remote(path))
}
