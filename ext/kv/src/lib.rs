//! A deno_core extension that gives scripts `Deno.openKv`, over [`openkv_engine`].
//!
//! A host adds [`init`] to the extensions of its `JsRuntime`, and tells by [`Options`] where databases live and who may open
//! them. Its scripts then find `Deno.openKv`, `Deno.Kv` and the other classes on the `Deno` that deno_core has made:
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
//! A host that replaces `Deno`, as one does that has a namespace of its own, takes what it wants to expose from the module
//! `ext:openkv/mod.ts`. One with a snapshot passes the same extension when it makes the snapshot and when it starts from it.
//!
//! deno_core is all that a host needs. Only [`watch`](DECLARATIONS) takes more, the extension of deno_web: without it, it
//! throws `NotSupported`.
//!
//! [`engine`] is the database itself, for the Rust code beside the scripts: what opens the same file sees the same data,
//! watches and queue.
//!
//! The ops here convert, and hand on to the engine; the classes that scripts see are in `js`.

mod error;
mod key;
mod mutation;
mod open;
mod options;
pub mod permissions;
mod queue;
mod read;
mod turn;
mod uri;
mod value;
mod watch;
mod write;

use std::rc::Rc;

use deno_core::{Extension, ExtensionFileSource};

pub use open::{close_databases, is_remote};
pub use openkv_engine as engine;
pub use options::{Options, Place, default_file, file_of_key};

/// The extension.
pub fn init(options: Options) -> Extension {
    openkv::init(options)
}

deno_core::extension!(
    openkv,
    ops = [
        open::op_kv_close,
        open::op_kv_open,
        mutation::op_kv_add_mutations,
        mutation::op_kv_list_mutations,
        mutation::op_kv_mutate,
        mutation::op_kv_mutations,
        queue::op_kv_dequeue,
        queue::op_kv_finish,
        queue::op_kv_message,
        queue::op_kv_start,
        read::op_kv_count,
        read::op_kv_encode_cursor,
        read::op_kv_found,
        read::op_kv_get,
        read::op_kv_get_many,
        read::op_kv_list,
        read::op_kv_refuse_consistency,
        read::op_kv_wait,
        turn::op_kv_turn,
        turn::op_kv_turn_is_due,
        value::op_kv_serialize,
        value::op_kv_set_classes,
        watch::op_kv_watch,
        watch::op_kv_watch_next,
        watch::op_kv_refuse_watch,
        write::op_kv_delete_range,
        write::op_kv_write,
    ],
    esm_entry_point = "ext:openkv/global.ts",
    options = {
        options: Options,
    },
    state = |state, options| {
        state.put(options.options);
        state.put(Rc::new(turn::Turn::default()));
        state.put(Rc::new(mutation::Memory::default()));
        state.put(queue::Deliveries::default());
    },
    customizer = |extension: &mut deno_core::Extension| extension.esm_files.to_mut().extend_from_slice(&SHIM),
    docs = "The extension under the name that others depend on. See [`init`]; one that is initialized later takes the same [`Options`]."
);

/// The classes that scripts see, transpiled by the build script.
const SHIM: [ExtensionFileSource; 20] = include!(concat!(env!("OUT_DIR"), "/shim.rs"));

/// The TypeScript declarations of what scripts find: for editors, and to check the types of scripts.
pub const DECLARATIONS: &str = include_str!("../js/openkv.d.ts");
