//! Parses and transpiles the input of the REPL.

use deno_ast::diagnostics::Diagnostic;
use deno_ast::swc::parser::error::SyntaxError;
use deno_ast::{
    EmitOptions, FoldProgramError, JsxClassicOptions, JsxRuntime, LexedItem, ParseDiagnostic, ParsedSource,
    SourceMapOption, StartSourcePos, TokenOrComment, TranspileError, TranspileOptions,
};

use super::extension::parse;
use super::{Decorators, MediaType, ModuleSpecifier};

/// The reason why input of the REPL could not be transpiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The text is not valid JavaScript or TypeScript.
    #[error("{} at {}:{}", .0.message(), .0.display_position().line_number, .0.display_position().column_number)]
    Parse(ParseDiagnostic),
    /// The text uses syntax that cannot be transpiled to JavaScript.
    #[error(transparent)]
    Transpile(TranspileError),
}

/// Returns whether the text is incomplete, such as a function without its closing brace.
pub fn is_incomplete(text: &str) -> bool {
    match parse_input(text) {
        Ok(parsed) => parsed.diagnostics().iter().any(|error| is_missing_input(text, error)),
        Err(error) => is_missing_input(text, &error),
    }
}

/// Transpiles input to a script: types are removed, and imports and exports become declarations. Input in braces is an
/// object literal rather than a block, where it can be parsed as one.
///
/// # Errors
/// The text cannot be parsed or transpiled.
pub fn transpile_input(text: &str, decorators: Decorators) -> Result<String, InputError> {
    let jsx = Some(JsxRuntime::Classic(JsxClassicOptions::default()));
    let options = TranspileOptions { decorators, jsx, var_decl_imports: true, ..TranspileOptions::default() };
    let emit = EmitOptions { source_map: SourceMapOption::None, ..EmitOptions::default() };
    let starts_as_object = text.trim_start().starts_with('{') && !text.trim_end().ends_with(';');
    let object = starts_as_object.then(|| parse_input(&format!("({text}\n)")).ok()).flatten();
    let parsed = match object {
        Some(object) => object,
        None => parse_input(text).map_err(InputError::Parse)?,
    };
    match parsed.transpile(&options, &Default::default(), &emit) {
        Ok(emitted) => Ok(emitted.into_source().text),
        Err(
            TranspileError::ParseErrors(mut errors)
            | TranspileError::FoldProgram(FoldProgramError::ParseDiagnostics(mut errors)),
        ) if !errors.0.is_empty() => Err(InputError::Parse(errors.0.swap_remove(0))),
        Err(error) => Err(InputError::Transpile(error)),
    }
}

fn parse_input(text: &str) -> Result<ParsedSource, ParseDiagnostic> {
    let specifier = ModuleSpecifier::parse("file:///repl.tsx").expect("the URL is constant");
    // A byte order mark is not part of the text.
    parse(specifier, MediaType::Tsx, text.strip_prefix('\u{feff}').unwrap_or(text).into())
}

/// Returns whether an error may be due to missing input at the end.
fn is_missing_input(text: &str, error: &ParseDiagnostic) -> bool {
    match error.kind() {
        SyntaxError::Eof | SyntaxError::UnterminatedTpl | SyntaxError::UnterminatedBlockComment => true,
        SyntaxError::Unexpected { got, .. } | SyntaxError::Expected(_, got) => got == "<eof>",
        // An expression, an identifier or a token is missing: at the end, if no token follows the position.
        SyntaxError::TS1109 | SyntaxError::TS1003 | SyntaxError::TS1005 | SyntaxError::ExpectedIdent => {
            let at = error.range().as_byte_range(StartSourcePos::START_SOURCE_POS).start;
            let is_token_after =
                |item: &LexedItem| matches!(item.inner, TokenOrComment::Token(_)) && item.range.start >= at;
            !deno_ast::lex(text, MediaType::Tsx).iter().any(is_token_after)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_incomplete_input() {
        for text in [
            "(",
            "{",
            "({ a:",
            "f(1",
            "f(1, // one",
            "[1,",
            "`a",
            "`a${",
            "`a${b",
            "/* a",
            "1 +",
            "1 + /* b */",
            "a.",
            "a?.",
            "const x =",
            "x ? 1",
            "function f() {",
            "class A {",
            "a => {",
            "async () =>",
            "if (x)",
            "for (;;)",
            "do",
            "switch (1) {",
            "try {}",
            "import { a",
            "import a from",
            "type A =",
            "interface A",
            "let x:",
            "enum E {",
            "<div>",
        ] {
            assert!(is_incomplete(text), "{text}");
        }
        for text in [
            "",
            " ",
            "// a",
            "1",
            "f()",
            "if (x) {}",
            "{ a: 1 }",
            "`a`",
            "}",
            ")",
            "f(]",
            "({ a: 1)",
            "foo bar",
            "let x = 5 6",
            "\"a",
            "'a",
            "/a",
            "const x",
            "return",
            "1a",
            "\\",
        ] {
            assert!(!is_incomplete(text), "{text}");
        }
    }

    #[test]
    fn removes_types_and_turns_imports_into_declarations() {
        for (text, script) in [
            ("let x: number = 5", "let x = 5;"),
            ("\u{feff}5", "5;"),
            ("interface A {}", ""),
            ("import type { A } from 'a'", ""),
            ("import 'a'", "await import(\"a\");"),
            ("import { a, b as c } from 'a'", "const { a, \"b\": c } = await import(\"a\");"),
            ("import a, * as b from 'a'", "const { \"default\": a } = await import(\"a\"), b = await import(\"a\");"),
            ("export const a = 1", "const a = 1;"),
            ("export default 5", "5;"),
            ("{ a } // b", "({\n  a\n} // b\n);"),
            ("{ a };", "{\n  a;\n}"),
            ("{ let a; }", "{\n  let a;\n}"),
        ] {
            assert_eq!(transpile_input(text, Decorators::Ecma).unwrap().trim(), script);
        }
    }

    #[test]
    fn error_includes_its_position() {
        let message = |text| transpile_input(text, Decorators::Ecma).unwrap_err().to_string();
        assert_eq!(message("1\nfoo bar"), "Expected ';', '}' or <eof> at 2:5");
        assert_eq!(message("let x = 5 6"), "Expected a semicolon at 1:11");
        assert_eq!(message("\"a"), "Unterminated string constant at 1:1");
    }
}
