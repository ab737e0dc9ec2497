use tokio::sync::watch;

/// The progress of the shutdown of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The server has not been stopped.
    #[default]
    Running,
    /// No connection is accepted, and no stream is opened. Open streams close as soon as they can.
    Stopping,
    /// No request is accepted.
    Draining,
    /// Connections are closed without waiting.
    Stopped,
}

/// The phase of a server, which only advances.
#[derive(Default)]
pub(crate) struct Phases(watch::Sender<Phase>);

impl Phases {
    /// Advances to a phase.
    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let is_later = phase > *current;
            *current = phase.max(*current);
            is_later
        });
    }

    /// Returns the current phase.
    pub fn current(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits for a phase or a later one.
    pub fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        let mut phases = self.0.subscribe();
        async move {
            // This fails only once the server is dropped, which all of its connections keep alive.
            let _ = phases.wait_for(|current| *current >= phase).await;
        }
    }
}
