use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use deno_core::convert::Uint8Array;
use deno_core::{OpState, ResourceId, op2};
use openkv_engine::Delivery;

use crate::error::KvError;
use crate::open::database;

/// The messages that handlers have. They outlive their database: a handler may finish after it was closed.
#[derive(Default)]
pub(crate) struct Deliveries {
    last: u32,
    by_number: HashMap<u32, Delivery>,
}

/// Waits for messages. Answers each with a number to finish it by, or `null` once the database was closed.
#[op2]
pub(crate) async fn op_kv_dequeue(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
) -> Result<Option<Vec<(Uint8Array, u32)>>, KvError> {
    let Ok(resource) = database(&state.borrow(), rid) else {
        return Ok(None);
    };
    let dequeued = resource.database.dequeue();
    // The resource can be closed meanwhile.
    drop(resource);
    let mut taken = dequeued.await?;
    let mut state = state.borrow_mut();
    let deliveries = state.borrow_mut::<Deliveries>();
    let messages = taken.drain(..).map(|mut delivery| {
        let message = std::mem::take(&mut delivery.message);
        deliveries.last = deliveries.last.wrapping_add(1);
        deliveries.by_number.insert(deliveries.last, delivery);
        (message.into(), deliveries.last)
    });
    let messages: Vec<_> = messages.collect();
    Ok(if messages.is_empty() { None } else { Some(messages) })
}

/// Tells whether a message was handled.
#[op2]
pub(crate) async fn op_kv_finish(state: Rc<RefCell<OpState>>, number: u32, success: bool) -> Result<(), KvError> {
    let delivery = state.borrow_mut().borrow_mut::<Deliveries>().by_number.remove(&number);
    match delivery {
        Some(delivery) => Ok(delivery.finish(success).await?),
        None => Ok(()),
    }
}
