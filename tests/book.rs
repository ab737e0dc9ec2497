//! The examples of the book in `docs`. The examples of a page run in the order of the page, in one directory; docs/contributing.md
//! describes which blocks are examples.

#[cfg(all(unix, feature = "connect"))]
mod servers;

use std::env;
use std::path::Path;
use std::process::Command;

use crate::support::{Output, Sandbox, read_repository};

/// A fenced block of a page.
struct Block {
    line: usize,
    language: String,
    text: String,
}

/// Returns the blocks of a page, in order.
fn blocks(page: &str) -> Vec<Block> {
    let text = read_repository(&format!("docs/{page}"));
    let mut lines = text.lines().zip(1..);
    let mut blocks = Vec::new();
    while let Some((fence, line)) = lines.next() {
        let Some(language) = fence.strip_prefix("```") else { continue };
        let content = lines.by_ref().map(|(line, _)| line).take_while(|line| *line != "```");
        let text = content.map(|line| format!("{line}\n")).collect();
        blocks.push(Block { line, language: language.to_owned(), text });
    }
    blocks
}

/// Runs the examples of a page, and compares what they print with the blocks that follow them.
#[track_caller]
fn passes(page: &str) {
    let sandbox = Sandbox::new();
    let mut blocks = blocks(page).into_iter().peekable();
    let mut examples = 0;
    while let Some(Block { line, language, text }) = blocks.next() {
        let output = match language.as_str() {
            "ts" => sandbox.run(&text),
            "sh" => run_commands(&sandbox, &text),
            _ => panic!("docs/{page}:{line}: a block of {language:?} is neither an example nor the output of one"),
        };
        let expected = blocks.next_if(|block| block.language == "text").map(|block| block.text);
        let is_as_expected = match &expected {
            Some(expected) => output.stdout == *expected,
            None => language == "sh" || output.stdout.is_empty(),
        };
        assert!(
            output.code == Some(0) && is_as_expected,
            "docs/{page}:{line}: exits with {:?}, and prints\n{}{}",
            output.code,
            output.stdout,
            output.stderr
        );
        examples += 1;
    }
    assert!(examples > 0, "docs/{page} has examples");
}

/// Runs commands of a shell.
fn run_commands(sandbox: &Sandbox, commands: &str) -> Output {
    Output::of(shell(sandbox, commands), "")
}

/// Returns a shell that runs commands, with `openkv` on the path.
fn shell(sandbox: &Sandbox, commands: &str) -> Command {
    let openkv = sandbox.command([""; 0]);
    let directory = Path::new(openkv.get_program()).parent().expect("it is the path of a file");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([directory.to_owned()].into_iter().chain(env::split_paths(&path)));
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", commands]).current_dir(sandbox.path(""));
    shell.env("PATH", path.expect("no directory has a colon in its name")).env("NO_COLOR", "1");
    shell.env("DENO_DIR", sandbox.path("deno_dir"));
    shell
}

#[test]
fn examples_of_the_guide() {
    passes("guide.md");
}

#[test]
fn examples_of_the_api() {
    passes("kv-api.md");
}

#[cfg(unix)]
#[test]
fn examples_of_operating() {
    passes("operating.md");
}

#[cfg(unix)]
#[test]
fn examples_of_data() {
    passes("data.md");
}

#[cfg(unix)]
#[test]
fn examples_of_recovery() {
    passes("recovery.md");
}
