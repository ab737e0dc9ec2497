use tokio::sync::watch;

/// How far a server is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not at all.
    #[default]
    Running,
    /// No connection is accepted any more, and no stream begins. Streams end as soon as they can.
    Stopping,
    /// No request is accepted any more.
    Draining,
    /// Connections are cut off.
    Stopped,
}

/// The phase of a server. It only advances.
#[derive(Default)]
pub(crate) struct Phases(watch::Sender<Phase>);

impl Phases {
    /// Advances to a phase.
    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|present| {
            let is_later = phase > *present;
            *present = phase.max(*present);
            is_later
        });
    }

    /// Returns the present phase.
    pub fn present(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits for a phase, or a later one.
    pub fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        let mut phases = self.0.subscribe();
        async move {
            // A server that is gone needs nobody to stop for it: its connections hold it.
            let _ = phases.wait_for(|present| *present >= phase).await;
        }
    }
}
