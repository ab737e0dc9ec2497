//! Reads, evaluates and prints, again and again.

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

/// Where the lines that were typed on a terminal are kept, in the directory of the databases.
const HISTORY: &str = "openkv_history.txt";

/// A script that the REPL evaluates before it reads input.
pub struct Preamble {
    /// Where it comes from, for messages.
    pub name: String,
    /// TypeScript or JavaScript, or why there is none.
    pub text: Result<String, String>,
}

/// Loads the main module, evaluates the preambles, and then what standard input brings, statement by statement, and
/// prints the results. Returns the exit code.
///
/// On a terminal, the user has a line editor, whose history is kept for the next time; timers and servers run on while
/// they type. Errors are printed, and the session goes on: it ends with the input, or when the script does.
///
/// # Errors
/// The main module cannot be loaded, or standard input cannot be read.
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
        // The process may exit while the user types. Where the mode cannot be read, the editor says why.
        #[cfg(unix)]
        let _ = crate::extensions::terminal::imp::save(stdin().as_fd());
        editor::edit_lines(sender, session.handle(), history())
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
            Request::Complete { typed, answer } => {
                let _ = answer.send(session.complete(&typed));
            }
        }
    }
    // The editor stopped what ran when the user left.
    session.handle().cancel_terminate_execution();
    session.runtime.end()
}

/// Runs the event loop until there is input; or none any more.
async fn next(session: &mut Session, requests: &mut mpsc::UnboundedReceiver<Request>) -> Option<Request> {
    poll_fn(|cx| {
        // First what has happened already, so that it is printed in order.
        let _ = session.poll_event_loop(cx);
        requests.poll_recv(cx)
    })
    .await
}

/// The file of the history. Without a directory for it there is none.
fn history() -> Option<PathBuf> {
    let directory = Environment::at_start().cache_directory.as_ref().ok()?;
    std::fs::create_dir_all(directory).ok()?;
    Some(directory.join(HISTORY))
}
