//! What a signal does that ends a command which makes a file.

/// Lets signals that end the process remove what a command has made so far. The exit code is then that of a shell: 128 and the
/// number of the signal. One that the process was started to ignore, as `nohup` does, is ignored.
///
/// # Errors
/// The operating system refuses.
#[cfg(unix)]
pub(super) fn handle() -> Result<(), String> {
    use std::thread;

    use openkv_engine::maintenance;
    use tokio::signal::unix::{SignalKind, signal};

    let failed = |error| format!("unable to handle signals: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
        if is_ignored(kind.as_raw_value()) {
            continue;
        }
        let mut signals = {
            let _entered = runtime.enter();
            signal(kind).map_err(failed)?
        };
        let ended = ended.clone();
        runtime.spawn(async move {
            signals.recv().await;
            // The receiver waits for as long as the process runs.
            let _ = ended.send(kind.as_raw_value());
        });
    }
    // Without a signal to wait for, the thread ends.
    drop(ended);
    let wait = move || {
        if let Some(number) = runtime.block_on(end.recv()) {
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
    // SAFETY: without a new action, the call only writes the present one to where it is told to.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
