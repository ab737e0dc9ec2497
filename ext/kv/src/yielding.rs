//! Yields to the event loop. A read completes on the caller's thread, without an event-loop tick, and so does a write in
//! memory. A script that awaits many of them in a row would starve timers and sockets. So once they have used up a time budget
//! within one tick, the next operation yields to the event loop.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use deno_core::{OpState, ResourceId, op2};
use openkv_engine::BoxFuture;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::database::{DatabaseResource, database};
use crate::error::KvError;

/// How long operations may run within one event-loop tick.
const BUDGET: Duration = Duration::from_millis(2);

/// The time budget of an event-loop tick.
#[derive(Default)]
pub(crate) struct YieldBudget {
    /// When the first operation of the tick began, if any.
    began: Cell<Option<Instant>>,
    /// Whether a task is waiting for the end of the tick.
    is_awaited: Cell<bool>,
}

impl YieldBudget {
    /// Returns whether the event loop must run before the next operation.
    pub fn is_due(self: &Rc<Self>) -> bool {
        match self.began.get() {
            None => {
                self.began.set(Some(Instant::now()));
                self.await_end();
                false
            }
            Some(began) => began.elapsed() > BUDGET,
        }
    }

    /// Resets the budget at the end of the tick, so that the time between two ticks does not count. Otherwise, every second
    /// request of a server would yield.
    fn await_end(self: &Rc<Self>) {
        // On a multi-threaded runtime, another thread could run the task before the tick ends.
        let is_local = Handle::try_current().is_ok_and(|tokio| tokio.runtime_flavor() == RuntimeFlavor::CurrentThread);
        if is_local && !self.is_awaited.replace(true) {
            let budget = self.clone();
            // Runs when the event loop returns to tokio.
            deno_core::unsync::spawn(async move {
                budget.is_awaited.set(false);
                budget.began.set(None);
            });
        }
    }

    /// Waits for the result of an operation. If it completes immediately, and the event loop must run, yields first.
    pub async fn wait<T>(self: &Rc<Self>, mut operation: BoxFuture<T>) -> openkv_engine::Result<T> {
        let immediate = poll_fn(|context| Poll::Ready(operation.as_mut().poll(context))).await;
        let result = match immediate {
            Poll::Ready(result) if !self.is_due() => return result,
            Poll::Ready(result) => {
                tokio::task::yield_now().await;
                result
            }
            Poll::Pending => operation.await,
        };
        self.began.set(None);
        result
    }
}

/// Returns the open database of a resource, and the yield budget.
pub(crate) fn database_and_budget(
    state: &OpState,
    rid: ResourceId,
) -> Result<(Rc<DatabaseResource>, Rc<YieldBudget>), KvError> {
    Ok((database(state, rid)?, budget(state)))
}

/// Returns the yield budget.
pub(crate) fn budget(state: &OpState) -> Rc<YieldBudget> {
    state.borrow::<Rc<YieldBudget>>().clone()
}

/// Returns whether the event loop must run before the next operation.
#[op2(fast)]
pub(crate) fn op_openkv_yield_is_due(state: &OpState) -> bool {
    state.borrow::<Rc<YieldBudget>>().is_due()
}

/// Completes with the next event-loop tick.
#[op2(async(deferred), fast)]
pub(crate) async fn op_openkv_yield(state: Rc<RefCell<OpState>>) {
    state.borrow().borrow::<Rc<YieldBudget>>().began.set(None);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn use_up(budget: &YieldBudget) {
        while budget.began.get().is_some_and(|began| began.elapsed() <= BUDGET) {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn budget_ends_with_the_tick() {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio.block_on(async {
            let budget = Rc::new(YieldBudget::default());
            for _ in 0..3 {
                assert!(!budget.is_due());
                use_up(&budget);
                assert!(budget.is_due());
                assert!(budget.is_due());
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn budget_without_a_current_thread_runtime_ends_with_a_yield() {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        for _entered in [None, Some(tokio.enter())] {
            let budget = Rc::new(YieldBudget::default());
            assert!(!budget.is_due());
            use_up(&budget);
            assert!(budget.is_due());
        }
    }
}
