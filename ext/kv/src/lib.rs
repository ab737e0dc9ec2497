//! A deno_core extension that gives scripts `Deno.openKv`, over [`openkv_engine`].
//!
//! The ops here convert, and hand on to the engine; the classes that scripts see are in `js`. A host adds
//! [`openkv::init`] to its extensions, tells by its [`Host`] where databases live and who may open them, and takes what
//! it wants to expose from the module `ext:openkv/mod.ts`.

mod error;
mod key;
mod mutation;
mod open;
mod queue;
mod read;
mod turn;
mod value;
mod watch;
mod write;

use std::rc::Rc;

use deno_core::ExtensionFileSource;
use openkv_engine::sqlite;

pub use open::{Host, Place, is_remote};

deno_core::extension!(
    openkv,
    ops = [
        open::op_kv_open,
        mutation::op_kv_list_mutations,
        mutation::op_kv_mutate,
        mutation::op_kv_mutations,
        queue::op_kv_dequeue,
        queue::op_kv_finish,
        queue::op_kv_message,
        read::op_kv_count,
        read::op_kv_encode_cursor,
        read::op_kv_get,
        read::op_kv_get_many,
        read::op_kv_list,
        read::op_kv_refuse_consistency,
        turn::op_kv_turn,
        value::op_kv_set_classes,
        watch::op_kv_watch,
        watch::op_kv_watch_next,
        write::op_kv_delete_range,
        write::op_kv_write,
    ],
    esm_entry_point = "ext:openkv/mod.ts",
    options = {
        host: Rc<dyn Host>,
        engine: sqlite::Options,
    },
    state = |state, options| {
        state.put(options.host);
        state.put(options.engine);
        state.put(Rc::new(turn::Turn::default()));
        state.put(Rc::new(mutation::Memory::default()));
        state.put(queue::Deliveries::default());
    },
    customizer = |extension: &mut deno_core::Extension| extension.esm_files.to_mut().extend_from_slice(&SHIM),
    docs = "Gives scripts `Deno.openKv`. See [`Host`] for what it needs to know."
);

/// The classes that scripts see, transpiled by the build script.
const SHIM: [ExtensionFileSource; 13] = include!(concat!(env!("OUT_DIR"), "/shim.rs"));

/// The TypeScript declarations of what scripts find: for editors, and to check the types of scripts.
pub const DECLARATIONS: &str = include_str!("../js/openkv.d.ts");
