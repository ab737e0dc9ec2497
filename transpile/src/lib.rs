//! TypeScript to JavaScript: for the scripts that OpenKV runs, and for its own extensions when they are built.

mod repl;

use std::sync::Arc;

use deno_ast::{
    DecoratorsTranspileOption, EmitOptions, JsxAutomaticOptions, JsxClassicOptions, JsxPrecompileOptions, JsxRuntime,
    ParseDiagnostic, ParseParams, SourceMapOption, TranspileError, TranspileOptions,
};

pub use deno_ast::{MediaType, ModuleSpecifier, ParsedSource};
pub use repl::{InputError, is_incomplete, transpile_input};

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

/// What JSX becomes. A comment in a module, such as `@jsxImportSource`, has the last word.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Jsx {
    /// Calls of a function, React's without another.
    Classic {
        /// The function.
        factory: Option<String>,
        /// What stands for a fragment.
        fragment_factory: Option<String>,
    },
    /// Calls of functions that are imported.
    Automatic {
        /// From where.
        import_source: Option<String>,
        /// Whether the calls say where in the source they are.
        development: bool,
    },
    /// Strings, with calls where they change.
    Precompile {
        /// From where functions are imported.
        import_source: Option<String>,
        /// Elements that become calls.
        skip_elements: Option<Vec<String>>,
    },
}

impl Default for Jsx {
    fn default() -> Self {
        Self::Classic { factory: None, fragment_factory: None }
    }
}

impl Jsx {
    /// From where functions are imported, unless a module says otherwise.
    pub fn import_source(&self) -> Option<&str> {
        match self {
            Self::Classic { .. } => None,
            Self::Automatic { import_source, .. } | Self::Precompile { import_source, .. } => import_source.as_deref(),
        }
    }

    /// Which module of the import source has the functions.
    pub fn import_module(&self) -> &'static str {
        match self {
            Self::Automatic { development: true, .. } => "jsx-dev-runtime",
            _ => "jsx-runtime",
        }
    }

    fn runtime(&self) -> JsxRuntime {
        let automatic = |import_source: &Option<String>, development| JsxAutomaticOptions {
            development,
            import_source: import_source.clone(),
        };
        match self {
            Self::Classic { factory, fragment_factory } => {
                let default = JsxClassicOptions::default();
                JsxRuntime::Classic(JsxClassicOptions {
                    factory: factory.clone().unwrap_or(default.factory),
                    fragment_factory: fragment_factory.clone().unwrap_or(default.fragment_factory),
                })
            }
            Self::Automatic { import_source, development } => {
                JsxRuntime::Automatic(automatic(import_source, *development))
            }
            Self::Precompile { import_source, skip_elements } => JsxRuntime::Precompile(JsxPrecompileOptions {
                automatic: automatic(import_source, false),
                skip_elements: skip_elements.clone(),
                dynamic_props: None,
            }),
        }
    }
}

/// What decorators become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decorators {
    /// Those of ECMAScript.
    #[default]
    Ecma,
    /// Those that TypeScript had before, with `experimentalDecorators`.
    Experimental {
        /// Whether they find the types of what they decorate, by `Reflect.metadata`.
        emit_metadata: bool,
    },
}

/// The compiler options that change what runs.
#[derive(Clone, Debug, Default)]
pub struct CompilerOptions {
    /// What JSX becomes.
    pub jsx: Jsx,
    /// What decorators become.
    pub decorators: Decorators,
    /// Whether imports stay that only types are used of, unless they are marked as types.
    pub verbatim_module_syntax: bool,
}

impl CompilerOptions {
    fn transpile_options(&self) -> TranspileOptions {
        TranspileOptions {
            decorators: match self.decorators {
                Decorators::Ecma => DecoratorsTranspileOption::Ecma,
                Decorators::Experimental { emit_metadata } => {
                    DecoratorsTranspileOption::LegacyTypeScript { emit_metadata }
                }
            },
            jsx: Some(self.jsx.runtime()),
            verbatim_module_syntax: self.verbatim_module_syntax,
            ..TranspileOptions::default()
        }
    }
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
    transpile_parsed(parse(specifier, media_type, text)?, &CompilerOptions::default())
}

/// Transpiles a module that was parsed already.
///
/// # Errors
/// The module uses what has no counterpart in JavaScript.
pub fn transpile_parsed(parsed: ParsedSource, options: &CompilerOptions) -> Result<Transpiled, Error> {
    let emit = EmitOptions { source_map: SourceMapOption::Separate, inline_sources: true, ..EmitOptions::default() };
    let emitted = parsed.transpile(&options.transpile_options(), &Default::default(), &emit)?.into_source();
    Ok(Transpiled { text: emitted.text, source_map: emitted.source_map.unwrap_or_default() })
}

fn parse(specifier: ModuleSpecifier, media_type: MediaType, text: Arc<str>) -> Result<ParsedSource, ParseDiagnostic> {
    deno_ast::parse_module(ParseParams {
        specifier,
        text,
        media_type,
        capture_tokens: false,
        scope_analysis: false,
        maybe_syntax: None,
    })
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
