//! The requests to the isolate of the REPL, and their source if stdin is not a terminal.

use std::io::{self, BufRead};
use std::thread;

use tokio::sync::{mpsc, oneshot};

/// A request of the thread that reads input to the thread of the isolate.
pub(super) enum Request {
    /// Evaluate input.
    Evaluate(Input),
    /// Complete the input before the cursor. The response is the start of the word to replace, in bytes, and the candidates.
    Complete { typed: String, sender: std::sync::mpsc::Sender<(usize, Vec<String>)> },
}

/// Statements to evaluate.
pub(super) struct Input {
    pub text: String,
    /// Receives a message each time that the user interrupts the evaluation.
    pub interrupts: mpsc::UnboundedReceiver<()>,
    /// Notified once the result has been printed.
    pub done: oneshot::Sender<()>,
}

/// Reads stdin on a separate thread. Each line is evaluated, together with the following ones if it is incomplete.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn read_lines(requests: mpsc::UnboundedSender<Request>) -> io::Result<()> {
    let evaluate = move |text: String| {
        let (_interrupt, interrupts) = mpsc::unbounded_channel();
        let (done, is_done) = oneshot::channel();
        let sent = requests.send(Request::Evaluate(Input { text, interrupts, done }));
        sent.is_ok() && is_done.blocking_recv().is_ok()
    };
    let read = move || {
        let mut text = String::new();
        for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
            text.push_str(&String::from_utf8_lossy(&line));
            if openkv_js::transpile::is_incomplete(&text) {
                text.push('\n');
            } else if !evaluate(std::mem::take(&mut text)) {
                return;
            }
        }
        if !text.is_empty() {
            evaluate(text);
        }
    };
    thread::Builder::new().name("repl-input".into()).spawn(read)?;
    Ok(())
}
