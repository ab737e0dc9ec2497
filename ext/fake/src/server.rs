use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use openkv_engine::{AtomicWrite, Clock, Commit, Delivery, Expiry, Key, ReadEntry, Result, SystemClock, WatchEvent};
use tokio::sync::{oneshot, watch};

use crate::client::ClientId;
use crate::faults::Faults;
use crate::queue::{Queue, Token, Waiter};
use crate::store::{Range, Store, Touched};
use crate::{Events, Fault, Options};

/// The sender of the reply to a request.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// A request of a client.
pub(crate) enum Request {
    Open {
        reply: Reply<()>,
    },
    Read {
        ranges: Vec<Range>,
        max_bytes: usize,
        reply: Reply<Vec<Vec<ReadEntry>>>,
    },
    Expiries {
        keys: Vec<Key>,
        reply: Reply<Vec<Option<Expiry>>>,
    },
    Write {
        write: AtomicWrite,
        reply: Reply<Commit>,
    },
    Watch {
        client: ClientId,
        keys: Vec<Key>,
        events: watch::Sender<Option<Result<WatchEvent>>>,
    },
    Dequeue {
        client: ClientId,
        limit: usize,
        link: mpsc::Sender<Request>,
        reply: Reply<Vec<Delivery>>,
    },
    Start(Token),
    /// Contains the holder of the claim, so that its lease does not expire before the request arrives.
    Finish {
        token: Token,
        success: bool,
        holder: Option<Arc<()>>,
        reply: Reply<()>,
    },
    Release(Token),
    Close(ClientId),
}

/// A scheduled event.
enum Event {
    Arrival(Request, Option<Fault>),
    Reply(Box<dyn FnOnce() + Send>),
    Notification(WatchId),
}

type WatchId = u64;

struct Watched {
    client: ClientId,
    keys: Vec<Key>,
    events: watch::Sender<Option<Result<WatchEvent>>>,
    /// Whether a notification is scheduled.
    is_due: bool,
    /// Whether its first notification is an error.
    fails: bool,
}

/// A server: the entries, the queue and the watches. Used by its own thread only.
pub(crate) struct Server {
    requests: mpsc::Receiver<Request>,
    faults: Faults,
    store: Store,
    queue: Queue,
    watches: BTreeMap<WatchId, Watched>,
    /// The scheduled events, ordered by time and number.
    events: BTreeMap<(Instant, u64), Event>,
    last_event: u64,
    last_watch: WatchId,
    /// When the last request arrives. Later requests do not arrive earlier.
    last_arrival: Instant,
    /// The earliest time of the next failed dequeue.
    next_failure: Instant,
}

/// The minimum interval between two failed dequeues.
const BACK_OFF: Duration = Duration::from_millis(100);

impl Server {
    /// Starts a server. It stops when all its clients are dropped.
    pub fn start(options: Options) -> mpsc::Sender<Request> {
        let (sender, requests) = mpsc::channel();
        let server = Self {
            requests,
            faults: Faults::new(options),
            store: Store::default(),
            queue: Queue::default(),
            watches: BTreeMap::new(),
            events: BTreeMap::new(),
            last_event: 0,
            last_watch: 0,
            last_arrival: Instant::now(),
            next_failure: Instant::now(),
        };
        // If the thread cannot be started, `requests` is dropped, and calls fail with `Error::Closed`.
        let _ = thread::Builder::new().name("openkv_fake".into()).spawn(|| server.run());
        sender
    }

    fn run(mut self) {
        loop {
            self.catch_up();
            let request = match self.idle_time() {
                Some(time) => self.requests.recv_timeout(time),
                None => self.requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match request {
                Ok(request) => self.receive(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => match self.events.first_key_value() {
                    Some(((at, _), _)) => thread::sleep(at.saturating_duration_since(Instant::now())),
                    None => return,
                },
            }
        }
    }

    /// Handles everything that is due.
    fn catch_up(&mut self) {
        while let Some(first) = self.events.first_entry()
            && first.key().0 <= Instant::now()
        {
            match first.remove() {
                Event::Arrival(request, fault) => self.process(request, fault),
                Event::Reply(send) => send(),
                Event::Notification(watch) => self.notify(watch),
            }
        }
        let now = SystemClock.now();
        let expired = self.store.sweep(now);
        self.touch(&expired);
        for undelivered in self.queue.expire_leases(now) {
            self.write_undelivered(Some(undelivered));
        }
        while let Some((waiter, deliveries)) = self.queue.claim(now) {
            let result = waiter.fault.map_or(Ok(deliveries), |fault| Err(fault.of_write()));
            self.reply(waiter.reply, result);
        }
    }

    /// Returns how long to wait for requests until something is due.
    fn idle_time(&self) -> Option<Duration> {
        let event = self.events.first_key_value().map(|((at, _), _)| at.saturating_duration_since(Instant::now()));
        let times = self.queue.next_due().into_iter().chain(self.store.next_expiry());
        let now = SystemClock.now();
        let due = times.min().map(|time| Duration::from_millis(time.saturating_sub(now)));
        event.into_iter().chain(due).min()
    }

    fn receive(&mut self, request: Request) {
        let fault = match request {
            Request::Start(_) | Request::Release(_) | Request::Close(_) => None,
            Request::Open { .. } => self.faults.drawn(),
            _ => self.faults.of_request(),
        };
        self.last_arrival = self.last_arrival.max(Instant::now() + self.faults.delay());
        self.schedule(self.last_arrival, Event::Arrival(request, fault));
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.last_event += 1;
        self.events.insert((at, self.last_event), event);
    }

    fn reply<T: Send + 'static>(&mut self, reply: Reply<T>, result: Result<T>) {
        self.reply_after(Instant::now(), reply, result);
    }

    fn reply_after<T: Send + 'static>(&mut self, time: Instant, reply: Reply<T>, result: Result<T>) {
        let at = time + self.faults.delay();
        // Fails if the caller has dropped its future.
        let send = move || drop(reply.send(result));
        self.schedule(at, Event::Reply(Box::new(send)));
    }

    fn process(&mut self, request: Request, fault: Option<Fault>) {
        let now = SystemClock.now();
        match request {
            Request::Open { reply } => self.reply(reply, fault.map_or(Ok(()), |_| Err(Fault::of_read()))),
            Request::Read { ranges, max_bytes, reply } => {
                let result = match fault {
                    Some(_) => Err(Fault::of_read()),
                    None => Ok(self.store.read(&ranges, max_bytes, now)),
                };
                self.reply(reply, result);
            }
            Request::Expiries { keys, reply } => {
                let result = match fault {
                    Some(_) => Err(Fault::of_read()),
                    None => Ok(self.store.expiries(&keys, now)),
                };
                self.reply(reply, result);
            }
            Request::Write { write, reply } => {
                let result = self.unless_faulty(fault, |server| server.write(write, now));
                self.reply(reply, result);
            }
            Request::Watch { client, keys, events } => {
                let fails = fault.is_some();
                self.last_watch += 1;
                // The initial state, or its error.
                let is_due = fails || self.faults.options().events == Events::Entries;
                self.watches.insert(self.last_watch, Watched { client, keys, events, is_due, fails });
                if is_due {
                    self.schedule(Instant::now(), Event::Notification(self.last_watch));
                }
            }
            Request::Dequeue { reply, .. } if fault == Some(Fault::Fail) => {
                let at = self.next_failure.max(Instant::now());
                self.next_failure = at + BACK_OFF;
                self.reply_after(at, reply, Err(Fault::of_read()));
            }
            Request::Dequeue { client, limit, link, reply } => {
                self.queue.wait(Waiter { client, limit, link, fault, reply });
            }
            Request::Start(token) => self.queue.start(token),
            Request::Finish { token, success, holder: _holder, reply } => {
                let result = self.unless_faulty(fault, |server| {
                    let undelivered = server.queue.finish(token, success, now);
                    server.write_undelivered(undelivered);
                    Ok(())
                });
                self.reply(reply, result);
            }
            Request::Release(token) => {
                let undelivered = self.queue.release(token, now);
                self.write_undelivered(undelivered);
            }
            Request::Close(client) => {
                self.queue.close(client);
                self.watches.retain(|_, watched| watched.client != client);
            }
        }
    }

    fn unless_faulty<T>(&mut self, fault: Option<Fault>, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        match fault {
            None => run(self),
            Some(Fault::Fail) => Err(Fault::Fail.of_write()),
            Some(Fault::Lose) => {
                drop(run(self));
                Err(Fault::Lose.of_write())
            }
        }
    }

    fn write(&mut self, write: AtomicWrite, now: u64) -> Result<Commit> {
        if let Some(commit) = self.store.committed(&write) {
            return Ok(commit);
        }
        let (commit, touched) = self.store.write(&write, now)?;
        if matches!(commit, Commit::Done(_)) {
            write.enqueues.into_iter().for_each(|message| self.queue.enqueue(message, now));
        }
        self.touch(&touched);
        Ok(commit)
    }

    /// Stores a message that could not be delivered under its keys.
    fn write_undelivered(&mut self, write: Option<AtomicWrite>) {
        if let Some(write) = write {
            // Cannot fail: it has no checks, and all its mutations are sets.
            let _ = self.write(write, SystemClock.now());
        }
    }

    /// Schedules notifications for the watches of keys.
    fn touch(&mut self, touched: &Touched) {
        let is_touched = |key: &Key| touched.contains(key.as_bytes());
        let affected = self.watches.iter_mut().filter(|(_, watched)| watched.keys.iter().any(is_touched));
        let due = affected.filter_map(|(id, watched)| (!std::mem::replace(&mut watched.is_due, true)).then_some(*id));
        for watch in due.collect::<Vec<_>>() {
            let at = Instant::now() + self.faults.delay();
            self.schedule(at, Event::Notification(watch));
        }
    }

    /// Notifies a watch of all changes so far.
    fn notify(&mut self, watch: WatchId) {
        let Some(mut watched) = self.watches.remove(&watch).filter(|watched| !watched.events.is_closed()) else {
            return;
        };
        if watched.fails || self.faults.draw_failure() {
            watched.events.send_replace(Some(Err(Fault::of_read())));
            return;
        }
        let event = match self.faults.options().events {
            Events::Changed => WatchEvent::Changed,
            Events::Entries => WatchEvent::Entries(self.store.entries(&watched.keys, SystemClock.now())),
        };
        watched.events.send_replace(Some(Ok(event)));
        watched.is_due = false;
        self.watches.insert(watch, watched);
    }
}
