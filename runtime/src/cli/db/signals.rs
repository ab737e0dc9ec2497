//! Cleanup when a signal terminates a command that creates a file.

/// Handles the signals that terminate the process: removes the incomplete file, and exits with 128 plus the number of the signal,
/// as a shell does. A signal that was ignored when the process started, as by `nohup`, stays ignored.
///
/// # Errors
/// The operating system cannot create a handler or a thread.
#[cfg(unix)]
pub(super) fn handle() -> Result<(), String> {
    use std::thread;

    use openkv_engine::maintenance;
    use tokio::signal::unix::{SignalKind, signal};

    let failed = |error| format!("failed to handle signals: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
        if is_ignored(kind.as_raw_value()) {
            continue;
        }
        let mut signals = {
            let _entered = runtime.enter();
            signal(kind).map_err(failed)?
        };
        let sender = sender.clone();
        runtime.spawn(async move {
            signals.recv().await;
            // The receiver exists for as long as the process does.
            let _ = sender.send(kind.as_raw_value());
        });
    }
    // If all signals are ignored, the thread stops.
    drop(sender);
    let wait = move || {
        if let Some(number) = runtime.block_on(receiver.recv()) {
            maintenance::abandon();
            std::process::exit(128 + number);
        }
    };
    thread::Builder::new().name("openkv-signals".into()).spawn(wait).map_err(failed)?;
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn handle() -> Result<(), String> {
    Ok(())
}

#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action, the call only writes the current one to `action`.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
