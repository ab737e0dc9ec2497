//! A server of `Deno.serve`, and a load generator.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::super::runtime::Runtime;
use super::super::statistics::percentile;

/// How long each kind of request is warmed up and then timed.
const WARM_UP: Duration = Duration::from_millis(500);
const TIMED: Duration = Duration::from_secs(3);

/// The maximum time of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The server process, killed on drop.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns, for each kind of request, the requests per second and the 50 % and 99.9 % points of their times in milliseconds.
pub fn measure(runtime: &Runtime, connections: usize, directory: &Path) -> Result<Vec<f64>, String> {
    let failed = |why: String| format!("server.ts under {}: {why}", runtime.version);
    let mut command = runtime.command("scale/server.ts", directory);
    command.arg(directory).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Server(command.spawn().map_err(|error| failed(error.to_string()))?);
    let mut line = String::new();
    let output = server.0.stdout.take().expect("the standard output is piped");
    // Kept open until the server has ended.
    let mut output = BufReader::new(output);
    output.read_line(&mut line).map_err(|error| failed(error.to_string()))?;
    let port = line.trim().parse().map_err(|_| failed(format!("printed {line:?}")))?;
    let mut values = Vec::new();
    for path in ["/plain", "/get", "/counter"] {
        request_on_all(port, path, connections, WARM_UP).map_err(|error| failed(format!("{path}: {error}")))?;
        let mut times =
            request_on_all(port, path, connections, TIMED).map_err(|error| failed(format!("{path}: {error}")))?;
        values.push(times.len() as f64 / TIMED.as_secs_f64());
        values.extend([0.5, 0.999].map(|share| percentile(&mut times, share)));
    }
    Ok(values)
}

/// Sends requests on several connections. Returns the time of each in milliseconds.
fn request_on_all(port: u16, path: &str, connections: usize, duration: Duration) -> io::Result<Vec<f64>> {
    let ready = Barrier::new(connections);
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..connections).map(|_| scope.spawn(|| request_repeatedly(port, path, duration, &ready))).collect();
        let mut times = Vec::new();
        for thread in threads {
            times.append(&mut thread.join().map_err(|_| io::Error::other("a thread of the load generator panicked"))??);
        }
        Ok(times)
    })
}

/// Sends one request after another on one connection, from when all are connected.
fn request_repeatedly(port: u16, path: &str, duration: Duration, ready: &Barrier) -> io::Result<Vec<f64>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    ready.wait();
    let mut stream = stream?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    let mut buffer = vec![0; 4096];
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < duration {
        let start = Instant::now();
        stream.write_all(request.as_bytes())?;
        read_response(&mut stream, &mut buffer)?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

/// Reads a response, which fits into the buffer and has a length.
fn read_response(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    let mut length = 0;
    loop {
        match stream.read(&mut buffer[length..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
        let response = &buffer[..length];
        let Some(end) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        if !response.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other(String::from_utf8_lossy(&response[..end]).into_owned()));
        }
        let body = content_length(&response[..end]).ok_or(io::ErrorKind::InvalidData)?;
        if length >= end + 4 + body {
            return Ok(());
        }
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse().ok() } else { None }
    };
    head.lines().find_map(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_is_read_to_its_end() {
        let read = |parts: &[&'static str]| {
            let mut stream: Box<dyn Read> = Box::new(io::empty());
            for part in parts {
                stream = Box::new(stream.chain(part.as_bytes()));
            }
            read_response(&mut stream, &mut [0; 256]).map_err(|error| error.kind())
        };
        assert_eq!(read(&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "he", "llo"]), Ok(()));
        let cut = read(&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"]);
        assert_eq!(cut, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read(&["HTTP/1.1 404 Not Found\r\n\r\n"]), Err(io::ErrorKind::Other));
    }
}
