//! The engine as `deno_kv` uses it: all calls are those of `denokv_proto::Database`.

mod data;
mod property;
mod queue;
mod support;
mod watch;
