//! The output of tasks that run concurrently: each line begins with the name of its task.

use std::io::{self, Write};

use deno_task_shell::{ShellPipeReader, ShellPipeWriter, pipe};
use tokio::task::JoinHandle;

/// Writes whole lines with a prefix.
struct Prefixed<W> {
    prefix: String,
    /// The beginning of a line whose end has not been written yet.
    line: Vec<u8>,
    output: W,
}

impl<W: Write> Prefixed<W> {
    fn write_line(&mut self) -> io::Result<()> {
        let line = [self.prefix.as_bytes(), b" ", &self.line].concat();
        self.line.clear();
        self.output.write_all(&line)?;
        self.output.flush()
    }
}

impl<W: Write> Write for Prefixed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.write_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a pipe whose lines are copied with a prefix, and the task that copies them until all its writers are closed.
pub(super) fn prefixed(prefix: String, output: impl Write + Send + 'static) -> (ShellPipeWriter, JoinHandle<()>) {
    let (reader, writer) = pipe();
    (writer, tokio::task::spawn_blocking(move || copy(reader, Prefixed { prefix, line: Vec::new(), output })))
}

/// Copies until the end. An error of the output ends the copy, after which the writers get an error, too.
fn copy(reader: ShellPipeReader, mut output: Prefixed<impl Write>) {
    if reader.pipe_to(&mut output).is_ok() && !output.line.is_empty() {
        output.line.push(b'\n');
        let _ = output.write_line();
    }
}
