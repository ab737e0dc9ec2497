//! Terminal functions for scripts: the size, and raw mode.

use deno_core::{OpState, ResourceId, op2};
use deno_error::JsErrorBox;

/// Writes the columns and rows of the terminal to a buffer. Any of the standard streams may be the terminal.
#[op2(fast)]
pub(crate) fn op_openkv_console_size(#[buffer] size: &mut [u32]) -> Result<(), JsErrorBox> {
    let (columns, rows) = imp::size().map_err(|error| {
        JsErrorBox::generic(format!("failed to get the terminal size: no standard stream is a terminal: {error}"))
    })?;
    size[0] = columns.into();
    size[1] = rows.into();
    Ok(())
}

/// Enables or disables raw mode, in which keys are read as they are pressed. With `cbreak`, Ctrl-C and similar keys still send
/// signals.
#[op2(fast)]
pub(crate) fn op_set_raw(
    state: &mut OpState,
    #[smi] rid: ResourceId,
    raw: bool,
    cbreak: bool,
) -> Result<(), JsErrorBox> {
    imp::set_raw(state, rid, raw, cbreak)
}

#[cfg(unix)]
pub(crate) mod imp {
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;
    use std::fs::File;
    use std::io::{self, stderr, stdin, stdout};
    use std::os::fd::BorrowedFd;
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Mutex, MutexGuard, Once, PoisonError};

    use deno_core::{OpState, ResourceId};
    use deno_error::JsErrorBox;
    use rustix::termios::{
        ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize,
        tcsetattr,
    };

    /// A terminal, and its original mode.
    struct Changed {
        terminal: File,
        mode: Termios,
    }

    /// The terminals whose mode has been changed, in the order of their first change.
    static CHANGED: Mutex<Vec<Changed>> = Mutex::new(Vec::new());

    /// The previous modes of the terminals that are in raw mode.
    #[derive(Default)]
    struct Cooked(HashMap<ResourceId, Termios>);

    pub fn size() -> io::Result<(u16, u16)> {
        let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin())).or_else(|_| tcgetwinsize(stderr()))?;
        Ok((size.ws_col, size.ws_row))
    }

    pub fn set_raw(state: &mut OpState, rid: ResourceId, raw: bool, cbreak: bool) -> Result<(), JsErrorBox> {
        if cbreak && !raw {
            return Err(JsErrorBox::type_error("the option cbreak is for raw mode only"));
        }
        let fd = state.resource_table.get_fd(rid).map_err(JsErrorBox::from_err)?;
        // SAFETY: the resource table keeps the file open during this call.
        let terminal = unsafe { BorrowedFd::borrow_raw(fd) };
        if !state.has::<Cooked>() {
            state.put(Cooked::default());
        }
        change(state.borrow_mut::<Cooked>(), rid, terminal, raw, cbreak).map_err(JsErrorBox::from_err)
    }

    fn change(cooked: &mut Cooked, rid: ResourceId, terminal: BorrowedFd, raw: bool, cbreak: bool) -> io::Result<()> {
        if !raw {
            return match cooked.0.remove(&rid) {
                Some(before) => Ok(tcsetattr(terminal, OptionalActions::Drain, &before)?),
                None => Ok(()),
            };
        }
        let before = match cooked.0.entry(rid) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(save(terminal)?),
        };
        Ok(tcsetattr(terminal, OptionalActions::Drain, &raw_mode(before, cbreak))?)
    }

    /// Returns the raw mode of a terminal. As on Deno, output is still processed: a line feed starts a new line.
    fn raw_mode(before: &Termios, cbreak: bool) -> Termios {
        let mut mode = before.clone();
        mode.input_modes -=
            InputModes::BRKINT | InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON;
        mode.control_modes |= ControlModes::CS8;
        mode.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN;
        mode.local_modes.set(LocalModes::ISIG, cbreak && before.local_modes.contains(LocalModes::ISIG));
        mode.special_codes[SpecialCodeIndex::VMIN] = 1;
        mode.special_codes[SpecialCodeIndex::VTIME] = 0;
        mode
    }

    /// Returns the mode of a terminal that is about to be changed. The process restores it on exit, but, as on Deno, not when it
    /// is terminated by a signal.
    pub(crate) fn save(terminal: BorrowedFd) -> io::Result<Termios> {
        static AT_EXIT: Once = Once::new();
        let mode = tcgetattr(terminal)?;
        let terminal = File::from(terminal.try_clone_to_owned()?);
        let device = terminal.metadata()?.rdev();
        let mut changed = changed();
        let is_device = |changed: &Changed| changed.terminal.metadata().is_ok_and(|file| file.rdev() == device);
        if !changed.iter().any(is_device) {
            changed.push(Changed { terminal, mode: mode.clone() });
        }
        AT_EXIT.call_once(|| {
            // SAFETY: the function needs only statics, which are never dropped, and does not unwind.
            unsafe { libc::atexit(restore) };
        });
        Ok(mode)
    }

    fn changed() -> MutexGuard<'static, Vec<Changed>> {
        CHANGED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Restores the terminals in reverse order, as `/dev/tty` may be the same as an earlier one.
    extern "C" fn restore() {
        for Changed { terminal, mode } in changed().iter().rev() {
            // Does not wait until the output is read, which may never happen. A terminal may be gone.
            let _ = tcsetattr(terminal, OptionalActions::Now, mode);
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io;

    use deno_core::{OpState, ResourceId};
    use deno_error::JsErrorBox;

    pub fn size() -> io::Result<(u16, u16)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn set_raw(_: &mut OpState, _: ResourceId, _: bool, _: bool) -> Result<(), JsErrorBox> {
        Err(JsErrorBox::not_supported())
    }
}
