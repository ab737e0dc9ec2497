//! A read completes on the caller's thread, without a turn of the event loop, and so does a write in memory. A script that
//! awaits one after the other would thus never let timers and sockets have their turn. So once this has gone on for a
//! while, the next one waits for the event loop to go round.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use deno_core::{OpState, ResourceId, op2};
use openkv_engine::Pending;

use crate::error::KvError;
use crate::open::{DatabaseResource, database};

/// For how long it may go on without a turn of the event loop.
const BUDGET: Duration = Duration::from_millis(2);

/// When the first operation since the last turn was begun.
#[derive(Default)]
pub(crate) struct Turn {
    began: Cell<Option<Instant>>,
}

impl Turn {
    /// Whether the event loop must go round before the next operation.
    pub fn is_due(&self) -> bool {
        match self.began.get() {
            None => {
                self.began.set(Some(Instant::now()));
                false
            }
            Some(began) => began.elapsed() > BUDGET,
        }
    }

    /// Waits for the answer of an operation. Where it is there at once, the event loop goes round if it must.
    pub async fn wait<T>(&self, mut answer: Pending<T>) -> openkv_engine::Result<T> {
        let at_once = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        let answer = match at_once {
            Poll::Ready(answer) if !self.is_due() => return answer,
            Poll::Ready(answer) => {
                tokio::task::yield_now().await;
                answer
            }
            Poll::Pending => answer.await,
        };
        self.began.set(None);
        answer
    }
}

/// The open database of a resource, and whose turn it is.
pub(crate) fn database_and_turn(state: &OpState, rid: ResourceId) -> Result<(Rc<DatabaseResource>, Rc<Turn>), KvError> {
    Ok((database(state, rid)?, turn(state)))
}

/// Whose turn it is.
pub(crate) fn turn(state: &OpState) -> Rc<Turn> {
    state.borrow::<Rc<Turn>>().clone()
}

/// Whether the event loop must have its turn before the next operation.
#[op2(fast)]
pub(crate) fn op_kv_turn_is_due(state: &OpState) -> bool {
    state.borrow::<Rc<Turn>>().is_due()
}

/// Completes once the event loop has had its turn.
#[op2(async(deferred), fast)]
pub(crate) async fn op_kv_turn(state: Rc<RefCell<OpState>>) {
    state.borrow().borrow::<Rc<Turn>>().began.set(None);
}
