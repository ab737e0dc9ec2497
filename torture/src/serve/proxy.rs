//! A network that fails: a proxy that delays data, and cuts connections before a request or a response arrives.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The probabilities of a fault for each chunk of data.
const CUT: f64 = 0.01;
const DELAY: f64 = 0.02;

/// The maximum delay, in milliseconds.
const LONGEST_DELAY: u64 = 20;

/// A proxy in front of a server, until it is dropped.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// The address of the server. `None` while there is none.
    server: Mutex<Option<SocketAddr>>,
    random: Mutex<StdRng>,
    lost_requests: AtomicU64,
    lost_responses: AtomicU64,
    delays: AtomicU64,
    /// Whether to inject no more faults.
    is_calm: AtomicBool,
    is_stopped: AtomicBool,
}

/// The numbers of injected faults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Connections that were cut before data of the client was forwarded.
    pub lost_requests: u64,
    /// Connections that were cut before data of the server was forwarded.
    pub lost_responses: u64,
    /// Chunks that were delayed.
    pub delays: u64,
}

impl Faults {
    /// Returns how many connections were cut.
    pub fn cuts(self) -> u64 {
        self.lost_requests + self.lost_responses
    }
}

#[derive(Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

impl Proxy {
    /// Starts a proxy that has no server yet.
    ///
    /// # Errors
    /// If there is no free port, or no thread.
    pub fn start(seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server: Mutex::new(None),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            lost_requests: AtomicU64::new(0),
            lost_responses: AtomicU64::new(0),
            delays: AtomicU64::new(0),
            is_calm: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::Builder::new().name("proxy".into()).spawn(move || accepting.accept(&listener))?;
        Ok(Self { addr, shared })
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Forwards new connections to another server.
    pub fn set_server(&self, server: Option<SocketAddr>) {
        *self.shared.server.lock() = server;
    }

    /// Stops injecting faults.
    pub fn calm(&self) {
        self.shared.is_calm.store(true, Ordering::Relaxed);
    }

    /// Returns the numbers of faults so far.
    pub fn faults(&self) -> Faults {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Faults {
            lost_requests: count(&self.shared.lost_requests),
            lost_responses: count(&self.shared.lost_responses),
            delays: count(&self.shared.delays),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then exits.
        let _ = TcpStream::connect(self.addr);
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.is_stopped.load(Ordering::Relaxed) {
                return;
            }
            // Without a server, the connection of the client is dropped, and thereby closed.
            let server = *self.server.lock();
            if let (Ok(client), Some(server)) = (client, server)
                && let Ok(server) = TcpStream::connect(server)
            {
                // Connections without threads are closed as well.
                let _ = self.connect(client, server);
            }
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream, server: TcpStream) -> io::Result<()> {
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let ends =
            [(client.try_clone()?, server.try_clone()?, Direction::ToServer), (server, client, Direction::ToClient)];
        for (from, to, direction) in ends {
            let shared = self.clone();
            thread::Builder::new().name("proxy-forward".into()).spawn(move || shared.forward(from, to, direction))?;
        }
        Ok(())
    }

    /// Forwards what one end sends, until it closes the connection or a fault cuts it.
    fn forward(&self, mut from: TcpStream, mut to: TcpStream, direction: Direction) {
        let mut chunk = [0; 16 * 1024];
        while let Ok(len @ 1..) = from.read(&mut chunk) {
            if self.strikes(CUT) {
                let counter = match direction {
                    Direction::ToServer => &self.lost_requests,
                    Direction::ToClient => &self.lost_responses,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                break;
            }
            if self.strikes(DELAY) {
                self.delays.fetch_add(1, Ordering::Relaxed);
                let delay = self.random.lock().random_range(1..=LONGEST_DELAY);
                thread::sleep(Duration::from_millis(delay));
            }
            if to.write_all(&chunk[..len]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            // Fails if the other thread has shut it down.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn strikes(&self, probability: f64) -> bool {
        !self.is_calm.load(Ordering::Relaxed) && self.random.lock().random_bool(probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calm_proxy_forwards_everything() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::start(1).unwrap();
        proxy.calm();
        proxy.set_server(Some(server.local_addr().unwrap()));
        let mut client = TcpStream::connect(proxy.addr).unwrap();
        let (mut accepted, _) = server.accept().unwrap();
        client.write_all(b"question").unwrap();
        let mut bytes = [0; 8];
        accepted.read_exact(&mut bytes).unwrap();
        accepted.write_all(b"response").unwrap();
        client.read_exact(&mut bytes).unwrap();
        assert_eq!((&bytes, proxy.faults().cuts()), (b"response", 0));
        drop(accepted);
        assert_eq!(client.read(&mut bytes).unwrap(), 0);
    }

    #[test]
    fn cut_connections_are_counted() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::start(1).unwrap();
        proxy.set_server(Some(server.local_addr().unwrap()));
        let echo = thread::spawn(move || {
            while let Ok((mut stream, _)) = server.accept() {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 1 && byte == [b'q'] {
                    return;
                }
                while stream.write_all(&byte).is_ok() && stream.read(&mut byte).unwrap_or(0) == 1 {}
            }
        });
        while proxy.faults().lost_requests == 0 || proxy.faults().lost_responses == 0 {
            let mut client = TcpStream::connect(proxy.addr).unwrap();
            let mut byte = [0];
            while client.write_all(&byte).is_ok() && client.read(&mut byte).unwrap_or(0) == 1 {}
        }
        proxy.calm();
        TcpStream::connect(proxy.addr).unwrap().write_all(b"q").unwrap();
        echo.join().unwrap();
    }
}
