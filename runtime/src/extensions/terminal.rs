//! What scripts ask of a terminal: its size, and keys as they are pressed.

use deno_core::{OpState, ResourceId, op2};
use deno_error::JsErrorBox;

/// Writes the columns and rows of the terminal, which any of the standard streams may be.
#[op2(fast)]
pub(crate) fn op_openkv_console_size(#[buffer] size: &mut [u32]) -> Result<(), JsErrorBox> {
    let (columns, rows) = imp::size().map_err(|error| {
        JsErrorBox::generic(format!("none of the standard streams is a terminal whose size could be told: {error}"))
    })?;
    size[0] = columns.into();
    size[1] = rows.into();
    Ok(())
}

/// Lets a terminal give keys as they are pressed, unread by its line editor; or as before. With `cbreak`, Ctrl-C and its
/// like still interrupt.
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
mod imp {
    use std::collections::HashMap;
    use std::io::{self, stderr, stdin, stdout};
    use std::os::fd::{AsFd, BorrowedFd};

    use deno_core::{OpState, ResourceId};
    use deno_error::JsErrorBox;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

    /// How the terminals were set that are raw now.
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
                Some(before) => Ok(tcsetattr(terminal.as_fd(), OptionalActions::Drain, &before)?),
                None => Ok(()),
            };
        }
        let mut mode = match cooked.0.get(&rid) {
            Some(before) => before.clone(),
            None => tcgetattr(terminal)?,
        };
        cooked.0.entry(rid).or_insert_with(|| mode.clone());
        mode.make_raw();
        if cbreak {
            mode.local_modes |= LocalModes::ISIG;
        }
        Ok(tcsetattr(terminal, OptionalActions::Drain, &mode)?)
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
