//! The JavaScript of OpenKV. It is written in TypeScript, and transpiled when this crate is built.
//!
//! [`KV`] is the shim, which the extension `openkv_ext` gives to scripts. With the feature `runtime`, `RUNTIME` is what the
//! runtime adds to it. With the feature `transpile`, the module `transpile` is the transpiler itself, for the scripts that the
//! runtime runs and for the extensions of others.

#[cfg(feature = "transpile")]
pub mod transpile;

/// A module, as JavaScript.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// What it is imported by, such as `ext:openkv/mod.ts`.
    pub specifier: &'static str,
    /// The text, in ASCII.
    pub text: &'static str,
}

/// The modules of `ext:openkv`: the classes that scripts see. `ext:openkv/global.ts` is the entry point.
pub const KV: &[Source] = include!(concat!(env!("OUT_DIR"), "/kv.rs"));

/// The modules of `ext:openkv_runtime`: the global scope, the namespace `Deno`, the test runner and the REPL.
/// `ext:openkv_runtime/main.ts` is the entry point.
#[cfg(feature = "runtime")]
pub const RUNTIME: &[Source] = include!(concat!(env!("OUT_DIR"), "/runtime.rs"));

/// A script that the modules of the runtime load later: what it returns are the ops as scripts see them that are loaded on first use.
#[cfg(feature = "runtime")]
pub const LATER_OPS: Source =
    Source { specifier: "ext:openkv_runtime/later_ops.js", text: include_str!("../runtime/later_ops.js") };

/// A module of Deno's runtime that those of Node.js import. `RUNTIME` needs it.
#[cfg(feature = "runtime")]
pub const NODE_GLOBALS: Source =
    Source { specifier: "ext:runtime/98_global_scope_shared.js", text: include_str!("../runtime/node_globals.js") };

/// The TypeScript declarations of what scripts find: for editors, and to check the types of scripts.
pub const DECLARATIONS: &str = include_str!("../kv/openkv.d.ts");
