//! TypeScript to JavaScript: for the scripts that the runtime runs, and for extensions when they are built.

mod commonjs;
mod extension;
mod repl;

use deno_ast::{
    DecoratorsTranspileOption, EmitOptions, JsxAutomaticOptions, JsxClassicOptions, JsxPrecompileOptions, JsxRuntime,
    SourceMapOption, TranspileOptions,
};

pub use commonjs::transpile_commonjs;
pub use deno_ast::{MediaType, ModuleSpecifier, ParsedSource, TranspileError};
pub use extension::{is_needed, transpile_extension};
pub use repl::{InputError, is_incomplete, transpile_input};

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

/// Transpiles a module that was parsed already.
///
/// # Errors
/// The module uses what has no counterpart in JavaScript.
pub fn transpile_parsed(parsed: ParsedSource, options: &CompilerOptions) -> Result<Transpiled, TranspileError> {
    let emit = EmitOptions { source_map: SourceMapOption::Separate, inline_sources: true, ..EmitOptions::default() };
    let emitted = parsed.transpile(&options.transpile_options(), &Default::default(), &emit)?.into_source();
    Ok(Transpiled { text: emitted.text, source_map: emitted.source_map.unwrap_or_default() })
}
