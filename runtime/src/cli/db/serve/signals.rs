//! The signals that a server handles.

/// The request of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Reload the certificate.
    Reload,
    /// Stop the server.
    Stop,
}

#[cfg(not(unix))]
pub(super) use other::Signals;
#[cfg(unix)]
pub(super) use unix::Signals;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{self, SignalKind};

    use super::Signal;

    /// Receives the signals sent since its creation.
    pub(crate) struct Signals {
        hangup: unix::Signal,
        interrupt: unix::Signal,
        terminate: unix::Signal,
    }

    impl Signals {
        pub fn new() -> Result<Self, String> {
            let signal = |kind| unix::signal(kind).map_err(|error| format!("unable to handle signals: {error}"));
            Ok(Self {
                hangup: signal(SignalKind::hangup())?,
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        /// Waits for the next signal.
        pub async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.hangup.recv() => Signal::Reload,
                _ = self.interrupt.recv() => Signal::Stop,
                _ = self.terminate.recv() => Signal::Stop,
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use super::Signal;

    /// Receives Ctrl-C, the only signal of the platform.
    pub(crate) struct Signals;

    impl Signals {
        pub fn new() -> Result<Self, String> {
            Ok(Self)
        }

        /// Waits for the next signal.
        pub async fn next(&mut self) -> Signal {
            // If Ctrl-C cannot be handled, only the system can stop the process.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            Signal::Stop
        }
    }
}

impl Signals {
    /// Waits for a signal that stops the server.
    pub async fn stop(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}
