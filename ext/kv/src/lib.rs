//! A deno_core extension that provides `Deno.openKv`, implemented with [`openkv_engine`].
//!
//! A host adds [`init`] to the extensions of its `JsRuntime`. The [`Options`] configure where databases are stored, and which ones
//! scripts may open. `Deno.openKv`, `Deno.Kv` and the other classes are then available on the `Deno` object of deno_core:
//!
//! ```
//! use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions};
//! use openkv_ext::Options;
//!
//! # let tokio = tokio::runtime::Builder::new_current_thread().build()?;
//! # let _entered = tokio.enter();
//! let mut js = JsRuntime::new(RuntimeOptions {
//!     extensions: vec![openkv_ext::init(Options::memory())],
//!     ..RuntimeOptions::default()
//! });
//! js.execute_script("main.js", r#"Deno.openKv().then((kv) => kv.set(["answer"], 42))"#)?;
//! tokio.block_on(js.run_event_loop(PollEventLoopOptions::default()))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A host that replaces `Deno` by its own namespace imports the classes from the module `ext:openkv/mod.ts`. A host with a snapshot
//! passes the same extension when it creates the snapshot and when it starts from it.
//!
//! A host needs only deno_core. [`watch`](DECLARATIONS) also requires the extension deno_web, and throws `NotSupported` without it.
//!
//! [`engine`] is the database itself, for Rust code that shares files with scripts: it sees the same entries, watches and queue.
//!
//! The ops of this crate convert arguments and results; the classes of the API are in [`openkv_js::KV`].

mod database;
mod error;
mod key;
mod mutation;
mod open;
mod options;
pub mod permissions;
mod plain;
mod queue;
mod read;
mod uri;
mod value;
mod values;
mod watch;
mod write;
mod yielding;

use std::rc::Rc;

use deno_core::v8::OneByteConst;
use deno_core::{Extension, ExtensionFileSource, FastStaticString};

pub use open::{close_databases, is_remote};
pub use openkv_engine as engine;
pub use openkv_js::DECLARATIONS;
pub use options::{Options, Target, default_file, file_of_key};

/// Returns the extension.
pub fn init(options: Options) -> Extension {
    openkv::init(options)
}

deno_core::extension!(
    openkv,
    ops = [
        open::op_openkv_close,
        open::op_openkv_open,
        mutation::op_openkv_add_mutations,
        mutation::op_openkv_list_mutations,
        mutation::op_openkv_mutate,
        mutation::op_openkv_mutations,
        queue::op_openkv_dequeue,
        queue::op_openkv_finish,
        queue::op_openkv_message,
        queue::op_openkv_start,
        read::op_openkv_count,
        read::op_openkv_encode_cursor,
        read::op_openkv_expiries,
        read::op_openkv_found,
        read::op_openkv_get,
        read::op_openkv_get_many,
        read::op_openkv_list,
        read::op_openkv_reject_consistency,
        read::op_openkv_wait,
        yielding::op_openkv_yield,
        yielding::op_openkv_yield_is_due,
        value::op_openkv_serialize,
        value::op_openkv_set_classes,
        watch::op_openkv_watch,
        watch::op_openkv_watch_next,
        watch::op_openkv_watched,
        watch::op_openkv_reject_watch,
        write::op_openkv_delete_range,
        write::op_openkv_write,
    ],
    esm_entry_point = "ext:openkv/global.ts",
    options = {
        options: Options,
    },
    state = |state, options| {
        state.put(options.options);
        state.put(Rc::new(yielding::YieldBudget::default()));
        state.put(Rc::new(mutation::Memory::default()));
        state.put(queue::Deliveries::default());
    },
    customizer = |extension: &mut deno_core::Extension| extension.esm_files.to_mut().extend(shim()),
    docs = "The extension under the name by which others depend on it. See [`init`]; lazy initialization requires the same [`Options`]."
);

/// Returns the modules of the shim.
fn shim() -> impl Iterator<Item = ExtensionFileSource> {
    let modules = openkv_js::KV.iter().zip(&SHIM);
    modules.map(|(module, source)| ExtensionFileSource::new(module.specifier, FastStaticString::new(source)))
}

/// The sources of [`openkv_js::KV`], in a form that V8 uses without a copy.
static SHIM: [OneByteConst; openkv_js::KV.len()] = {
    let mut sources = [const { FastStaticString::create_external_onebyte_const(b"") }; openkv_js::KV.len()];
    let mut i = 0;
    while i < sources.len() {
        sources[i] = FastStaticString::create_external_onebyte_const(openkv_js::KV[i].text.as_bytes());
        i += 1;
    }
    sources
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A host may also have other KV extensions, such as deno_kv: duplicate names would panic, or hide each other.
    #[test]
    fn names_of_ops_and_modules_have_a_prefix() {
        let extension = init(Options::memory());
        assert_eq!(extension.name, "openkv");
        let foreign: Vec<_> =
            extension.ops.iter().map(|op| op.name).filter(|op| !op.starts_with("op_openkv_")).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
        let modules = extension.esm_files.iter().map(|file| file.specifier);
        assert!(modules.clone().all(|module| module.starts_with("ext:openkv/")), "{:?}", modules.collect::<Vec<_>>());
    }
}
