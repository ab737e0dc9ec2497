//! Where the input of the REPL comes from, when it is no terminal; and what every such place sends.

use std::io::{self, BufRead};
use std::thread;

use tokio::sync::{mpsc, oneshot};

/// What the thread that reads input asks of the isolate's.
pub(super) enum Request {
    /// To evaluate input.
    Evaluate(Input),
    /// To complete what was typed before the cursor. The answer is where the word to replace begins, in bytes, and what
    /// it may become.
    Complete { typed: String, answer: std::sync::mpsc::Sender<(usize, Vec<String>)> },
}

/// Statements to evaluate.
pub(super) struct Input {
    pub text: String,
    /// Says that the user has lost timeout.
    pub interrupts: mpsc::UnboundedReceiver<()>,
    /// Told once the result has been printed.
    pub done: oneshot::Sender<()>,
}

/// Reads standard input on a thread of its own: each line is evaluated once it is complete, or else together with those
/// that complete it.
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
