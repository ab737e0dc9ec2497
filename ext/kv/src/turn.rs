//! A read completes on the caller's thread, without a turn of the event loop. A script that awaits one read after the
//! other would thus never let timers and sockets have their turn. So once reads have gone on for a while, the next one
//! waits for the event loop to go round.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use deno_core::{OpState, op2};

/// For how long reads may go on without a turn of the event loop.
const BUDGET: Duration = Duration::from_millis(2);

/// When the reads since the last turn began that one of them asked for.
#[derive(Default)]
pub(crate) struct Turn {
    began: Cell<Option<Instant>>,
}

impl Turn {
    /// Whether the event loop must go round before the next read.
    pub fn is_due(&self) -> bool {
        match self.began.get() {
            None => {
                self.began.set(Some(Instant::now()));
                false
            }
            Some(began) => began.elapsed() > BUDGET,
        }
    }
}

/// Completes once the event loop has gone round.
#[op2(async(deferred), fast)]
pub(crate) async fn op_kv_turn(state: Rc<RefCell<OpState>>) {
    state.borrow().borrow::<Rc<Turn>>().began.set(None);
}
