//! The JavaScript of OpenKV. It is written in TypeScript, and transpiled when this crate is built.
//!
//! [`KV`] has the modules of the extension `openkv_ext`, known as the shim. With the feature `runtime`, `RUNTIME` has the modules
//! of the runtime. With the feature `transpile`, the module `transpile` is the transpiler, for the scripts that the runtime runs
//! and for extensions of other hosts.

#[cfg(feature = "transpile")]
pub mod transpile;

/// A module, as JavaScript.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The specifier that imports it, such as `ext:openkv/mod.ts`.
    pub specifier: &'static str,
    /// The text, in ASCII.
    pub text: &'static str,
}

/// The modules of `ext:openkv`: the classes that scripts use. `ext:openkv/global.ts` is the entry point.
pub const KV: &[Source] = include!(concat!(env!("OUT_DIR"), "/kv.rs"));

/// The modules of `ext:openkv_runtime`: the global scope, the namespace `Deno`, the test runner and the REPL.
/// `ext:openkv_runtime/main.ts` is the entry point.
#[cfg(feature = "runtime")]
pub const RUNTIME: &[Source] = include!(concat!(env!("OUT_DIR"), "/runtime.rs"));

/// A script that the runtime loads on first use. It returns the object of ops that other such scripts use.
#[cfg(feature = "runtime")]
pub const LATER_OPS: Source =
    Source { specifier: "ext:openkv_runtime/later_ops.js", text: include_str!("../runtime/later_ops.js") };

/// A module of Deno's runtime that the Node.js built-in modules import. `RUNTIME` requires it.
#[cfg(feature = "runtime")]
pub const NODE_GLOBALS: Source =
    Source { specifier: "ext:runtime/98_global_scope_shared.js", text: include_str!("../runtime/node_globals.js") };

/// The TypeScript declarations of the API, for editors and for type-checking scripts.
pub const DECLARATIONS: &str = include_str!("../kv/openkv.d.ts");
