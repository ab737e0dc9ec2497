//! TypeScript to JavaScript: for the input of the REPL, and for extensions when they are built. Modules are transpiled by Deno's
//! resolver.

mod extension;
mod repl;

pub use deno_ast::{DecoratorsTranspileOption as Decorators, MediaType, ModuleSpecifier, TranspileError};
pub use extension::{is_needed, transpile_extension};
pub use repl::{InputError, is_incomplete, transpile_input};
