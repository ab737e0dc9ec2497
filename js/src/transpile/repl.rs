//! Input of the REPL: statements, one after the other, of a script that never ends.

use deno_ast::diagnostics::Diagnostic;
use deno_ast::swc::parser::error::SyntaxError;
use deno_ast::{
    EmitOptions, FoldProgramError, JsxClassicOptions, JsxRuntime, LexedItem, ParseDiagnostic, ParsedSource,
    SourceMapOption, StartSourcePos, TokenOrComment, TranspileError, TranspileOptions,
};

use super::extension::parse;
use super::{Decorators, MediaType, ModuleSpecifier};

/// Why input of the REPL could not be transpiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The text is neither JavaScript nor TypeScript.
    #[error("{} at {}:{}", .0.message(), .0.display_position().line_number, .0.display_position().column_number)]
    Parse(ParseDiagnostic),
    /// The text uses what has no counterpart in JavaScript.
    #[error(transparent)]
    Transpile(TranspileError),
}

/// Whether the text is only the beginning of something, such as a function whose end is still to be typed.
pub fn is_incomplete(text: &str) -> bool {
    match parse_input(text) {
        Ok(parsed) => parsed.diagnostics().iter().any(|error| wants_more(text, error)),
        Err(error) => wants_more(text, &error),
    }
}

/// Transpiles input to a script: types are gone, an import declares what it imports, and an export what it exports. What
/// can be an object in braces is one, and no block.
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
    // A byte order mark is no part of the text.
    parse(specifier, MediaType::Tsx, text.strip_prefix('\u{feff}').unwrap_or(text).into())
}

/// Whether more text could mend an error.
fn wants_more(text: &str, error: &ParseDiagnostic) -> bool {
    match error.kind() {
        SyntaxError::Eof | SyntaxError::UnterminatedTpl | SyntaxError::UnterminatedBlockComment => true,
        SyntaxError::Unexpected { got, .. } | SyntaxError::Expected(_, got) => got == "<eof>",
        // An expression, an identifier or a token is missing: at the end, if no other stands in its place.
        SyntaxError::TS1109 | SyntaxError::TS1003 | SyntaxError::TS1005 | SyntaxError::ExpectedIdent => {
            let at = error.range().as_byte_range(StartSourcePos::START_SOURCE_POS).start;
            let is_token_behind =
                |item: &LexedItem| matches!(item.inner, TokenOrComment::Token(_)) && item.range.start >= at;
            !deno_ast::lex(text, MediaType::Tsx).iter().any(is_token_behind)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_go_on_is_incomplete() {
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
    fn types_go_and_imports_become_declarations() {
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
    fn an_error_tells_its_place() {
        let message = |text| transpile_input(text, Decorators::Ecma).unwrap_err().to_string();
        assert_eq!(message("1\nfoo bar"), "Expected ';', '}' or <eof> at 2:5");
        assert_eq!(message("let x = 5 6"), "Expected a semicolon at 1:11");
        assert_eq!(message("\"a"), "Unterminated string constant at 1:1");
    }
}
