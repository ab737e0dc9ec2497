//! Transpiles modules of extensions. Shared with the build script of this crate.

use std::sync::Arc;

use deno_ast::{EmitOptions, MediaType, ModuleSpecifier, ParseDiagnostic, ParseParams, ParsedSource, SourceMapOption};

/// Transpiles a TypeScript module of an extension to ASCII JavaScript. For build scripts.
///
/// # Panics
/// The module cannot be transpiled, or is not ASCII: the build fails with the message.
pub fn transpile_extension(specifier: &str, text: &str) -> String {
    let url = ModuleSpecifier::parse(specifier).unwrap_or_else(|error| panic!("{specifier}: {error}"));
    // The specifiers of Node.js built-in modules have no extension. TypeScript includes JavaScript.
    let media_type = if url.scheme() == "node" { MediaType::TypeScript } else { MediaType::from_specifier(&url) };
    let text = if is_needed(media_type) {
        let parsed = parse(url, media_type, text.into()).unwrap_or_else(|error| panic!("{specifier}: {error}"));
        let emit = EmitOptions { source_map: SourceMapOption::None, ..EmitOptions::default() };
        let emitted = parsed.transpile(&Default::default(), &Default::default(), &emit);
        emitted.unwrap_or_else(|error| panic!("{specifier}: {error}")).into_source().text
    } else {
        text.into()
    };
    assert!(text.is_ascii(), "{specifier} is not ASCII");
    text
}

/// Returns whether modules of a media type must be transpiled before they run.
pub fn is_needed(media_type: MediaType) -> bool {
    media_type.is_emittable() || media_type.is_declaration()
}

pub(crate) fn parse(
    specifier: ModuleSpecifier,
    media_type: MediaType,
    text: Arc<str>,
) -> Result<ParsedSource, ParseDiagnostic> {
    deno_ast::parse_module(ParseParams {
        specifier,
        text,
        media_type,
        capture_tokens: false,
        scope_analysis: false,
        maybe_syntax: None,
    })
}
