//! Input of the REPL from a terminal: a line editor with history and completion.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use deno_core::futures::poll;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use tokio::signal::ctrl_c;
use tokio::sync::{mpsc, oneshot};

use super::input::{Input, Request};
use super::print;
use crate::extensions::interrupt::{INTERVAL, Interrupter, MAX_INTERVAL};

const HISTORY_SIZE: usize = 1000;

/// The time that the Tab key waits for a busy isolate.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads lines from the terminal on a separate thread, so that the event loop of the isolate runs while the user types. The thread
/// stops, and closes the channel of requests, when the user exits. Input is appended to the history file, if there is one.
///
/// # Errors
/// The terminal cannot be used, or the thread cannot be started.
pub(super) fn edit_lines(
    requests: mpsc::UnboundedSender<Request>,
    interrupter: Interrupter,
    history: Option<PathBuf>,
) -> io::Result<()> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = Config::builder().completion_type(CompletionType::List).max_history_size(HISTORY_SIZE);
    let config = config.map_err(io::Error::other)?.build();
    let past = FileHistory::with_config(&config);
    let mut lines = Editor::with_history(config, past).map_err(io::Error::other)?;
    lines.set_helper(Some(Assistant { requests: requests.clone() }));
    if let Some(path) = &history {
        // The file does not exist before the first session.
        let _ = lines.load_history(path);
    }
    let keyboard = Keyboard { tokio, requests, interrupter, history };
    thread::Builder::new().name("repl-editor".into()).spawn(move || keyboard.run(lines))?;
    Ok(())
}

struct Keyboard {
    tokio: tokio::runtime::Runtime,
    requests: mpsc::UnboundedSender<Request>,
    interrupter: Interrupter,
    history: Option<PathBuf>,
}

impl Keyboard {
    fn run(self, mut lines: Editor<Assistant, FileHistory>) {
        let mut asked_to_exit = false;
        loop {
            match lines.readline("> ") {
                Ok(text) => {
                    asked_to_exit = false;
                    add_to_history(&mut lines, &text, self.history.as_deref());
                    if !self.evaluate(text) {
                        return;
                    }
                }
                Err(ReadlineError::Interrupted) if !asked_to_exit => {
                    asked_to_exit = true;
                    print("press ctrl+c again to exit");
                }
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => break,
                Err(error) => {
                    eprintln!("{error}");
                    break;
                }
            }
        }
        // Code that never returns, such as an endless loop in a timer, must not keep the process alive.
        self.interrupter.interrupt();
        drop((lines, self.requests));
        let mut interval = INTERVAL;
        while self.interrupter.repeat() {
            thread::sleep(interval);
            interval = MAX_INTERVAL.min(2 * interval);
        }
    }

    /// Sends input to the isolate, and interrupts it each time that the user presses Ctrl-C. Returns whether the session
    /// continues.
    fn evaluate(&self, text: String) -> bool {
        let (interrupt, interrupts) = mpsc::unbounded_channel();
        let (done, mut is_done) = oneshot::channel();
        self.tokio.block_on(async {
            let mut pressed = Box::pin(ctrl_c());
            // Starts to listen: until then, the key terminates the process.
            let _ = poll!(&mut pressed);
            if self.requests.send(Request::Evaluate(Input { text, interrupts, done })).is_err() {
                return false;
            }
            let (mut is_interrupted, mut interval) = (false, INTERVAL);
            loop {
                tokio::select! {
                    biased;
                    done = &mut is_done => {
                        // The key may have been pressed when it had just finished: the next code must not be interrupted.
                        self.interrupter.cancel();
                        return done.is_ok();
                    }
                    Ok(()) = &mut pressed => {
                        pressed.set(ctrl_c());
                        // After the `^C` that the terminal shows.
                        print("");
                        self.interrupter.interrupt();
                        let _ = interrupt.send(());
                        (is_interrupted, interval) = (true, INTERVAL);
                    }
                    () = tokio::time::sleep(interval), if is_interrupted => {
                        self.interrupter.repeat();
                        interval = MAX_INTERVAL.min(2 * interval);
                    }
                }
            }
        })
    }
}

fn add_to_history(lines: &mut Editor<Assistant, FileHistory>, text: &str, history: Option<&Path>) {
    // The session continues if the history cannot be saved.
    let _ = lines.add_history_entry(text);
    if let Some(path) = history {
        let _ = lines.append_history(path);
    }
}

/// Completes and validates the text in the editor.
struct Assistant {
    requests: mpsc::UnboundedSender<Request>,
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context) -> rustyline::Result<(usize, Vec<String>)> {
        let (sender, completions) = std::sync::mpsc::channel();
        let _ = self.requests.send(Request::Complete { typed: line[..at].into(), sender });
        Ok(completions.recv_timeout(COMPLETION_TIMEOUT).unwrap_or_default())
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(if openkv_js::transpile::is_incomplete(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {}

impl Helper for Assistant {}
