//! The signals that a server heeds.

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// To read the certificate again.
    Reload,
    /// To end.
    End,
}

#[cfg(not(unix))]
pub(super) use other::Signals;
#[cfg(unix)]
pub(super) use unix::Signals;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{self, SignalKind};

    use super::Signal;

    /// The signals from the time on when this was made.
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

        /// Waits for the next one.
        pub async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.hangup.recv() => Signal::Reload,
                _ = self.interrupt.recv() => Signal::End,
                _ = self.terminate.recv() => Signal::End,
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use super::Signal;

    /// The signals from the time on when this was made: there is but Ctrl-C.
    pub(crate) struct Signals;

    impl Signals {
        pub fn new() -> Result<Self, String> {
            Ok(Self)
        }

        /// Waits for the next one.
        pub async fn next(&mut self) -> Signal {
            // Where it cannot be waited for, nothing ends the process but the system.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            Signal::End
        }
    }
}

impl Signals {
    /// Waits for one that asks to end.
    pub async fn end(&mut self) {
        while self.next().await != Signal::End {}
    }
}
