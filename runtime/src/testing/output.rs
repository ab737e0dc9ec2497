use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use deno_io::{Stdio, StdioPipe};
use parking_lot::Mutex;
use uuid::Uuid;

/// The output of tests, to stdout or stderr, of scripts or of programs that they start. All of it passes through one pipe to one
/// reader, so that it is printed in order with the results.
#[derive(Clone)]
pub struct Output(Arc<Pipe>);

struct Pipe {
    writer: PipeWriter,
    /// Written to the pipe when the runner waits for the reader.
    marker: Vec<u8>,
    markers_read: Mutex<Receiver<()>>,
}

impl Output {
    /// Passes everything that is printed to a function, on a separate thread.
    pub(crate) fn new(print: impl FnMut(&[u8]) + Send + 'static) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let (sender, markers_read) = channel();
        let marker = format!("\0{}\0", Uuid::new_v4()).into_bytes();
        let thread = thread::Builder::new().name("openkv-test-output".into());
        thread.spawn({
            let marker = marker.clone();
            move || read(reader, &marker, &sender, print)
        })?;
        Ok(Self(Arc::new(Pipe { writer, marker, markers_read: Mutex::new(markers_read) })))
    }

    /// Returns the standard streams of an isolate, with the stdin of the process.
    pub(crate) fn stdio(&self) -> io::Result<Stdio> {
        let pipe = || self.0.writer.try_clone().map(|writer| StdioPipe::file(into_file(writer)));
        Ok(Stdio { stdin: StdioPipe::inherit(), stdout: pipe()?, stderr: pipe()? })
    }

    /// Waits until everything that was printed has been passed to the function.
    pub(super) fn drain(&self) {
        let markers_read = self.0.markers_read.lock();
        // If the reader has stopped, the write fails.
        if (&self.0.writer).write_all(&self.0.marker).is_ok() {
            let _ = markers_read.recv();
        }
    }
}

/// Reads until the end of the pipe. Sends a message for each marker.
fn read(mut pipe: PipeReader, marker: &[u8], markers_read: &Sender<()>, mut print: impl FnMut(&[u8])) {
    let mut pending = vec![];
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        pending.extend_from_slice(&buffer[..length]);
        while let Some(at) = pending.windows(marker.len()).position(|window| window == marker) {
            print(&pending[..at]);
            pending.drain(..at + marker.len());
            if markers_read.send(()).is_err() {
                return;
            }
        }
        // Keeps the beginning of an incomplete marker.
        let held = (0..marker.len()).rev().find(|&length| pending.ends_with(&marker[..length])).unwrap_or(0);
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
    fn drain_waits_for_all_output() {
        let printed = Arc::new(Mutex::new(vec![]));
        let output = Output::new({
            let printed = printed.clone();
            move |bytes| printed.lock().extend_from_slice(bytes)
        })
        .unwrap();
        let mut expected = vec![];
        for part in [&b"a"[..], b"", b"\0", &output.0.marker[..5], &[b'x'; 100_000], b"end"] {
            (&output.0.writer).write_all(part).unwrap();
            expected.extend_from_slice(part);
            output.drain();
            assert!(*printed.lock() == expected, "{} bytes", part.len());
        }
    }
}
