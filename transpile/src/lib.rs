//! TypeScript to JavaScript: for the scripts that OpenKV runs, and for its own extensions when they are built.

use std::sync::Arc;

use deno_ast::{
    DecoratorsTranspileOption, EmitOptions, JsxRuntime, ParseDiagnostic, ParseParams, SourceMapOption, TranspileError,
    TranspileOptions,
};

pub use deno_ast::{MediaType, ModuleSpecifier};

/// Why a module could not be transpiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no module. The message shows where.
    #[error("The module's source code could not be parsed: {0}")]
    Parse(#[from] ParseDiagnostic),
    /// The text uses what has no counterpart in JavaScript.
    #[error(transparent)]
    Transpile(#[from] TranspileError),
}

/// A module as JavaScript.
pub struct Transpiled {
    /// The text.
    pub text: String,
    /// The source map, as JSON, with the source in it.
    pub source_map: String,
}

/// Whether modules of a media type must be transpiled before they run.
pub fn is_needed(media_type: MediaType) -> bool {
    media_type.is_emittable() || media_type.is_declaration()
}

/// Transpiles a module, without checking its types.
///
/// # Errors
/// The text is not a module of the media type.
pub fn transpile(specifier: ModuleSpecifier, media_type: MediaType, text: Arc<str>) -> Result<Transpiled, Error> {
    let parsed = deno_ast::parse_module(ParseParams {
        specifier,
        text,
        media_type,
        capture_tokens: false,
        scope_analysis: false,
        maybe_syntax: None,
    })?;
    let options = TranspileOptions {
        decorators: DecoratorsTranspileOption::Ecma,
        jsx: Some(JsxRuntime::Classic(Default::default())),
        ..TranspileOptions::default()
    };
    let emit = EmitOptions { source_map: SourceMapOption::Separate, inline_sources: true, ..EmitOptions::default() };
    let emitted = parsed.transpile(&options, &Default::default(), &emit)?.into_source();
    Ok(Transpiled { text: emitted.text, source_map: emitted.source_map.unwrap_or_default() })
}

/// Transpiles a TypeScript source of an extension, which may not be wrong and must be ASCII. For build scripts.
///
/// # Panics
/// The source is wrong or not ASCII: the build ends with the message.
pub fn transpile_extension(specifier: &str, text: &str) -> String {
    let url = ModuleSpecifier::parse(specifier).unwrap_or_else(|error| panic!("{specifier}: {error}"));
    let media_type = MediaType::from_specifier(&url);
    let text = if is_needed(media_type) {
        transpile(url, media_type, text.into()).unwrap_or_else(|error| panic!("{specifier}: {error}")).text
    } else {
        text.into()
    };
    assert!(text.is_ascii(), "{specifier} is not ASCII");
    text
}
