//! Transpiles TypeScript to JavaScript: scripts when the runtime loads them, and extensions at build time.

mod extension;
mod repl;

use deno_ast::{
    DecoratorsTranspileOption, EmitOptions, JsxAutomaticOptions, JsxClassicOptions, JsxPrecompileOptions, JsxRuntime,
    SourceMapOption, TranspileOptions,
};

pub use deno_ast::{MediaType, ModuleSpecifier, ParsedSource, TranspileError};
pub use extension::{is_needed, transpile_extension};
pub use repl::{InputError, is_incomplete, transpile_input};

/// How JSX is transpiled. A pragma in a module, such as `@jsxImportSource`, takes precedence.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Jsx {
    /// To calls of a function, React's by default.
    Classic {
        /// The function.
        factory: Option<String>,
        /// The component that represents fragments.
        fragment_factory: Option<String>,
    },
    /// To calls of functions that are imported automatically.
    Automatic {
        /// The specifier to import them from.
        import_source: Option<String>,
        /// Whether the calls include their position in the source.
        development: bool,
    },
    /// To static strings, with calls for the dynamic parts.
    Precompile {
        /// The specifier to import the functions from.
        import_source: Option<String>,
        /// Elements that are always transpiled to calls.
        skip_elements: Option<Vec<String>>,
    },
}

impl Default for Jsx {
    fn default() -> Self {
        Self::Classic { factory: None, fragment_factory: None }
    }
}

impl Jsx {
    /// Returns the specifier to import functions from, unless a pragma overrides it.
    pub fn import_source(&self) -> Option<&str> {
        match self {
            Self::Classic { .. } => None,
            Self::Automatic { import_source, .. } | Self::Precompile { import_source, .. } => import_source.as_deref(),
        }
    }

    /// Returns the module of the import source that exports the functions.
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

/// How decorators are transpiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decorators {
    /// As those of ECMAScript.
    #[default]
    Ecma,
    /// As the older ones of TypeScript, with `experimentalDecorators`.
    Experimental {
        /// Whether to emit the types of declarations, by `Reflect.metadata`.
        emit_metadata: bool,
    },
}

/// The compiler options that affect the emitted JavaScript.
#[derive(Clone, Debug, Default)]
pub struct CompilerOptions {
    /// How JSX is transpiled.
    pub jsx: Jsx,
    /// How decorators are transpiled.
    pub decorators: Decorators,
    /// Whether to keep all imports that are not marked as `type`, even if only types are used of them.
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
    /// The source map, as JSON, including the source.
    pub source_map: String,
}

/// Transpiles a parsed module.
///
/// # Errors
/// The module uses syntax that cannot be transpiled to JavaScript.
pub fn transpile_parsed(parsed: ParsedSource, options: &CompilerOptions) -> Result<Transpiled, TranspileError> {
    let emit = EmitOptions { source_map: SourceMapOption::Separate, inline_sources: true, ..EmitOptions::default() };
    let emitted = parsed.transpile(&options.transpile_options(), &Default::default(), &emit)?.into_source();
    Ok(Transpiled { text: emitted.text, source_map: emitted.source_map.unwrap_or_default() })
}
