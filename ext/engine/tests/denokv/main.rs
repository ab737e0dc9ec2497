//! Tests the engine as `deno_kv` uses it, through the trait `denokv_proto::Database`.

mod data;
mod property;
mod queue;
mod support;
mod watch;
