use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use deno_core::convert::Uint8Array;
use deno_core::{OpState, ResourceId, op2, v8};
use openkv_engine::Delivery;

use crate::error::KvError;
use crate::key::bytes_from_v8;
use crate::open::database;
use crate::value::Decoder;

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

/// Decodes a message. deno_core's own op aborts the process where a message holds an object that it does not know.
#[op2(reentrant)]
pub(crate) fn op_kv_message<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    message: v8::Local<'s, v8::Uint8Array>,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    let message = bytes_from_v8(message.into());
    Decoder::new(scope, &state)?.deserialize(scope, &message)
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
