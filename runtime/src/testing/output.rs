use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use deno_io::{Stdio, StdioPipe};
use parking_lot::Mutex;
use uuid::Uuid;

/// What tests print, on the standard output or the standard error, in scripts or in programs that they start. All of it
/// goes through one pipe to one reader, so that it stands between the results where it belongs.
#[derive(Clone)]
pub struct Output(Arc<Pipe>);

struct Pipe {
    writer: PipeWriter,
    /// Stands in the pipe where the runner waits for the reader.
    mark: Vec<u8>,
    passed: Mutex<Receiver<()>>,
}

impl Output {
    /// Hands everything that is printed to a function, on a thread of its own.
    pub(crate) fn new(print: impl FnMut(&[u8]) + Send + 'static) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let (pass, passed) = channel();
        let mark = format!("\0{}\0", Uuid::new_v4()).into_bytes();
        let thread = thread::Builder::new().name("openkv-test-output".into());
        thread.spawn({
            let mark = mark.clone();
            move || read(reader, &mark, &pass, print)
        })?;
        Ok(Self(Arc::new(Pipe { writer, mark, passed: Mutex::new(passed) })))
    }

    /// What an isolate prints to. It reads the standard input of the process.
    pub(crate) fn stdio(&self) -> io::Result<Stdio> {
        let pipe = || self.0.writer.try_clone().map(|writer| StdioPipe::file(into_file(writer)));
        Ok(Stdio { stdin: StdioPipe::inherit(), stdout: pipe()?, stderr: pipe()? })
    }

    /// Waits until everything that was printed has been handed on.
    pub(super) fn drain(&self) {
        let passed = self.0.passed.lock();
        // Where the reader is gone, there is nothing to wait for.
        if (&self.0.writer).write_all(&self.0.mark).is_ok() {
            let _ = passed.recv();
        }
    }
}

/// Reads until the end of the pipe. Tells of each mark that it passes.
fn read(mut pipe: PipeReader, mark: &[u8], pass: &Sender<()>, mut print: impl FnMut(&[u8])) {
    let mut pending = vec![];
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        pending.extend_from_slice(&buffer[..length]);
        while let Some(at) = pending.windows(mark.len()).position(|window| window == mark) {
            print(&pending[..at]);
            pending.drain(..at + mark.len());
            if pass.send(()).is_err() {
                return;
            }
        }
        // The beginning of a mark waits for the rest of it.
        let held = (0..mark.len()).rev().find(|&length| pending.ends_with(&mark[..length])).unwrap_or(0);
        let ready = pending.len() - held;
        print(&pending[..ready]);
        pending.drain(..ready);
    }
}

#[cfg(unix)]
fn into_file(pipe: PipeWriter) -> File {
    File::from(std::os::fd::OwnedFd::from(pipe))
}

#[cfg(windows)]
fn into_file(pipe: PipeWriter) -> File {
    File::from(std::os::windows::io::OwnedHandle::from(pipe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_before_a_drain_is_there_after_it() {
        let printed = Arc::new(Mutex::new(vec![]));
        let output = Output::new({
            let printed = printed.clone();
            move |bytes| printed.lock().extend_from_slice(bytes)
        })
        .unwrap();
        let mut expected = vec![];
        for part in [&b"a"[..], b"", b"\0", &output.0.mark[..5], &[b'x'; 100_000], b"end"] {
            (&output.0.writer).write_all(part).unwrap();
            expected.extend_from_slice(part);
            output.drain();
            assert!(*printed.lock() == expected, "{} bytes", part.len());
        }
    }
}
