//! The read-eval-print loop.

mod completion;
mod editor;
mod input;
mod print;
mod session;

use std::future::poll_fn;
use std::io::{IsTerminal, stdin, stdout};
#[cfg(unix)]
use std::os::fd::AsFd;
use std::path::PathBuf;

use deno_core::error::{CoreError, CoreErrorKind};
use tokio::sync::mpsc;

use crate::environment::Environment;
use crate::runtime::Runtime;
use input::{Input, Request};
use print::print;
use session::Session;

/// The file of the history, in the directory of the databases.
const HISTORY: &str = "openkv_history.txt";

/// A script that the REPL evaluates before it reads input.
pub struct Preamble {
    /// Its source, for messages.
    pub name: String,
    /// TypeScript or JavaScript, or the error message if it cannot be read.
    pub text: Result<String, String>,
}

/// Loads the main module, evaluates the preambles and then the input from stdin, and prints the results. Returns the exit code.
///
/// On a terminal, it has a line editor with a persistent history, and timers and servers run while the user types. Errors are
/// printed, and the session continues until the end of the input, or until the script exits.
///
/// # Errors
/// The main module cannot be loaded, or stdin cannot be read.
pub async fn repl(runtime: Runtime, preambles: Vec<Preamble>, greeting: &str) -> Result<i32, CoreError> {
    let mut session = Session::new(runtime).await?;
    for Preamble { name, text } in preambles {
        let (_interrupt, mut interrupts) = mpsc::unbounded_channel();
        let result = match text {
            Ok(text) => session.evaluate(&text, &mut interrupts).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            print(&format!("Error in {name}: {error}"));
        }
    }
    if !greeting.is_empty() {
        print(greeting);
    }

    let (sender, mut requests) = mpsc::unbounded_channel();
    let reads = if stdin().is_terminal() && stdout().is_terminal() {
        // The process may exit while the user types. If the mode cannot be read, the editor reports the error.
        #[cfg(unix)]
        let _ = crate::extensions::terminal::imp::save(stdin().as_fd());
        editor::edit_lines(sender, session.runtime.interrupter().clone(), history())
    } else {
        input::read_lines(sender)
    };
    reads.map_err(|error| CoreErrorKind::Io(error).into_box())?;

    while let Some(request) = next(&mut session, &mut requests).await {
        match request {
            Request::Evaluate(Input { text, mut interrupts, done }) => {
                let (Ok(shown) | Err(shown)) = session.evaluate(&text, &mut interrupts).await;
                print(&shown);
                drop(interrupts);
                let _ = done.send(());
            }
            Request::Complete { typed, sender } => {
                let _ = sender.send(session.complete(&typed));
            }
        }
    }
    // The editor has interrupted everything since the user exited.
    session.runtime.interrupter().cancel();
    session.runtime.end()
}

/// Runs the event loop until the next request. Returns `None` after the last one.
async fn next(session: &mut Session, requests: &mut mpsc::UnboundedReceiver<Request>) -> Option<Request> {
    poll_fn(|cx| {
        // First, so that output of earlier events is printed in order.
        let _ = session.poll_event_loop(cx);
        requests.poll_recv(cx)
    })
    .await
}

/// Returns the file of the history, or `None` if its directory cannot be created.
fn history() -> Option<PathBuf> {
    let directory = Environment::at_start().cache_directory.as_ref().ok()?;
    std::fs::create_dir_all(directory).ok()?;
    Some(directory.join(HISTORY))
}
