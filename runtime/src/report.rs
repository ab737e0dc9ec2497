use std::fmt::Write;

use deno_core::error::{CoreError, CoreErrorKind, JsError, JsStackFrame, NoAnsiColors, format_frame};

/// How deep causes and nested errors are shown, as they may refer to each other.
const DEPTH: usize = 16;

/// Formats the error that terminates a script: an uncaught exception with its stack, in source positions, or the reason why the
/// script could not run.
pub fn report(error: &CoreError) -> String {
    match error.as_kind() {
        CoreErrorKind::Js(error) => {
            let mut text = String::new();
            describe(&mut text, error, true, 0);
            text
        }
        _ => error.to_string(),
    }
}

/// Formats an error that a test has thrown, without the stack frames of the test runner.
pub(crate) fn report_caught(error: &JsError) -> String {
    let mut text = String::new();
    describe(&mut text, error, true, 0);
    text.trim_start_matches("Uncaught ").trim_start_matches("(in promise) ").into()
}

/// The modules that call tests.
const TESTING: &str = "ext:openkv_runtime/testing/";

fn describe(text: &mut String, error: &JsError, with_source: bool, depth: usize) {
    // Only the outermost error was uncaught, not its causes and nested errors.
    let message = error.exception_message.as_str();
    text.push_str(if depth == 0 { message } else { message.trim_start_matches("Uncaught ") });
    for part in error.aggregated.iter().flatten().filter(|_| depth < DEPTH) {
        let mut lines = String::new();
        describe(&mut lines, part, false, depth + 1);
        for line in lines.lines() {
            line_break(text, 4);
            text.push_str(line);
        }
    }
    if error.stack_is_custom {
        // The first line is the message again.
        for line in error.stack.iter().flat_map(|stack| stack.lines().skip(1)) {
            line_break(text, 0);
            text.push_str(line);
        }
    } else {
        if with_source {
            point_at(text, error);
        }
        let calls_test = |frame: &&JsStackFrame| frame.file_name.as_ref().is_some_and(|file| file.starts_with(TESTING));
        for frame in error.frames.iter().filter(|frame| !calls_test(frame)) {
            line_break(text, 4);
            write!(text, "at {}", format_frame::<NoAnsiColors>(frame, None)).expect("writing to a string succeeds");
        }
    }
    if let Some(cause) = error.cause.as_ref().filter(|_| depth < DEPTH) {
        line_break(text, 0);
        text.push_str("Caused by: ");
        describe(text, cause, false, depth + 1);
    }
}

/// Appends the source line that threw, and a marker at the column.
fn point_at(text: &mut String, error: &JsError) {
    let frame = error.source_line_frame_index.and_then(|i| error.frames.get(i));
    let column = frame.and_then(|frame| frame.column_number).and_then(|column| usize::try_from(column).ok());
    if let (Some(line), Some(column)) = (&error.source_line, column)
        && !line.is_empty()
    {
        line_break(text, 0);
        text.push_str(line);
        line_break(text, 0);
        // Keeps tabs, so that the marker is aligned with the column.
        text.extend(line.chars().take(column.saturating_sub(1)).map(|c| if c == '\t' { '\t' } else { ' ' }));
        text.push('^');
    }
}

fn line_break(text: &mut String, indent: usize) {
    write!(text, "\n{:indent$}", "").expect("writing to a string succeeds");
}
