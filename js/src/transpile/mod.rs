//! Transpiles TypeScript to JavaScript: input of the REPL, and extensions at build time. Deno's resolver transpiles modules.

mod extension;
mod repl;

pub use deno_ast::{DecoratorsTranspileOption as Decorators, MediaType, ModuleKind, ModuleSpecifier, TranspileError};
pub use extension::{is_needed, transpile_extension};
pub use repl::{InputError, is_incomplete, transpile_input};
