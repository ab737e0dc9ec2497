//! The modules that `require` loads.

use std::sync::Arc;

use deno_ast::{
    EmitOptions, MediaType, ModuleKind, ModuleSpecifier, ParseDiagnostic, ParseParams, SourceMapOption, TranspileError,
    TranspileModuleOptions,
};

use super::CompilerOptions;

/// Why a module could not be transpiled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is wrong.
    #[error(transparent)]
    Parse(#[from] ParseDiagnostic),
    /// It uses what has no counterpart in JavaScript.
    #[error(transparent)]
    Transpile(#[from] TranspileError),
}

/// Transpiles a CommonJS module. Its imports become calls of `require`.
///
/// # Errors
/// The module is wrong, or uses what has no counterpart in JavaScript.
pub fn transpile_commonjs(
    specifier: ModuleSpecifier,
    media_type: MediaType,
    text: Arc<str>,
    options: &CompilerOptions,
) -> Result<String, Error> {
    let parsed = deno_ast::parse_program(ParseParams {
        specifier,
        text,
        media_type,
        capture_tokens: false,
        scope_analysis: false,
        maybe_syntax: None,
    })?;
    let module = TranspileModuleOptions { module_kind: Some(ModuleKind::Cjs) };
    let emit = EmitOptions { source_map: SourceMapOption::Inline, inline_sources: true, ..EmitOptions::default() };
    Ok(parsed.transpile(&options.transpile_options(), &module, &emit)?.into_source().text)
}
