use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;

use deno_core::convert::Uint8Array;
use deno_core::{OpState, ResourceId, ToV8, op2, v8};
use openkv_engine::{Delivery, Error};

use crate::database::database;
use crate::error::KvError;
use crate::key::bytes_from_v8;
use crate::value::Decoder;

/// The messages in flight. They outlive their database: a handler may finish after it was closed.
#[derive(Default)]
pub(crate) struct Deliveries {
    last: u32,
    by_number: HashMap<u32, InFlight>,
}

/// A message in flight.
struct InFlight {
    rid: ResourceId,
    delivery: Delivery,
    /// Whether its handler was called.
    started: bool,
}

impl Deliveries {
    /// Releases the messages of a closed database whose handlers were not called.
    pub fn release(&mut self, rid: ResourceId) {
        self.by_number.retain(|_, message| message.started || message.rid != rid);
    }
}

/// The result of waiting for messages, for the shim.
pub(crate) enum Dequeued {
    /// Messages, each with its number for [`op_openkv_finish`].
    Messages(Vec<(Uint8Array, u32)>),
    /// The message of a transient error. The shim waits again.
    Failed(String),
    /// The database is closed.
    Closed,
}

impl<'s> ToV8<'s> for Dequeued {
    type Error = Infallible;

    fn to_v8<'i>(self, scope: &mut v8::PinScope<'s, 'i>) -> Result<v8::Local<'s, v8::Value>, Infallible> {
        Ok(match self {
            Dequeued::Messages(messages) => {
                let message = |(message, number): (Uint8Array, u32)| {
                    let message = message.to_v8(scope).unwrap_or_else(|_| v8::undefined(scope).into());
                    let number = v8::Integer::new_from_unsigned(scope, number).into();
                    v8::Array::new_with_elements(scope, &[message, number]).into()
                };
                let messages: Vec<_> = messages.into_iter().map(message).collect();
                v8::Array::new_with_elements(scope, &messages).into()
            }
            Dequeued::Failed(message) => match v8::String::new(scope, &message) {
                Some(message) => message.into(),
                None => v8::String::empty(scope).into(),
            },
            Dequeued::Closed => v8::null(scope).into(),
        })
    }
}

/// Waits for messages.
#[op2]
pub(crate) async fn op_openkv_dequeue(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
) -> Result<Dequeued, KvError> {
    let Ok(resource) = database(&state.borrow(), rid) else {
        return Ok(Dequeued::Closed);
    };
    let dequeued = resource.database.dequeue();
    // The resource may be closed while the future waits.
    drop(resource);
    let claimed = match dequeued.await {
        Ok(claimed) => claimed,
        // If claims were lost with the reply, their leases will expire.
        Err(error) if error.is_transient() || matches!(error, Error::OutcomeUnknown(_)) => {
            return Ok(Dequeued::Failed(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    if claimed.is_empty() {
        return Ok(Dequeued::Closed);
    }
    let mut state = state.borrow_mut();
    let deliveries = state.borrow_mut::<Deliveries>();
    let messages = claimed.into_iter().map(|mut delivery| {
        let message = std::mem::take(&mut delivery.message);
        deliveries.last = deliveries.last.wrapping_add(1);
        deliveries.by_number.insert(deliveries.last, InFlight { rid, delivery, started: false });
        (message.into(), deliveries.last)
    });
    Ok(Dequeued::Messages(messages.collect()))
}

/// Records that the handler of a message is called now. Returns false if the handler must not be called, because the database was
/// closed.
#[op2(fast)]
pub(crate) fn op_openkv_start(state: &mut OpState, number: u32) -> bool {
    let message = state.borrow_mut::<Deliveries>().by_number.get_mut(&number);
    if let Some(message) = &mut message.filter(|message| !message.started) {
        message.delivery.start();
        message.started = true;
        return true;
    }
    false
}

/// Decodes a message. deno_core's own op aborts the process if a message contains an unknown object.
#[op2(reentrant)]
pub(crate) fn op_openkv_message<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    message: v8::Local<'s, v8::Uint8Array>,
) -> Result<v8::Local<'s, v8::Value>, KvError> {
    let message = bytes_from_v8(message.into());
    Decoder::new(scope, &state)?.deserialize(scope, &message)
}

/// Finishes the delivery of a message, with or without success.
#[op2]
pub(crate) async fn op_openkv_finish(state: Rc<RefCell<OpState>>, number: u32, success: bool) -> Result<(), KvError> {
    let delivery = state.borrow_mut().borrow_mut::<Deliveries>().by_number.remove(&number);
    match delivery {
        Some(message) if success => Ok(message.delivery.done().await?),
        Some(message) => Ok(message.delivery.retry().await?),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions};

    use crate::Options;

    deno_core::extension!(
        openkv_report,
        deps = [openkv],
        esm_entry_point = "ext:openkv_report/show.js",
        esm = ["ext:openkv_report/show.js" =
            { source = "import { show } from 'ext:openkv/report.ts'; globalThis.show = show;" },],
    );

    #[test]
    fn host_without_a_console_reports_errors_of_handlers() {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = tokio.enter();
        let extensions = vec![crate::init(Options::memory()), openkv_report::init()];
        let mut js = JsRuntime::new(RuntimeOptions { extensions, ..Default::default() });
        let script = r#"
            const thrown = [
                { code: 1 },
                "text",
                undefined,
                Symbol("s"),
                1n,
                Object.create(null),
                new Error("outer", { cause: new TypeError("inner") }),
                new AggregateError([new Error("one"), 2], "many"),
                Object.defineProperty(new Error("own"), "cause", { get() { throw 1; } }),
                Object.defineProperty(new Error("no stack"), "stack", { value: undefined }),
                Object.defineProperty(new Error("throws"), "stack", { get() { throw 1; } }),
                { toJSON() { throw 1; } },
                Object.defineProperty(new Error("endless"), "cause", { get() { return this; } }),
            ];
            (async () => {
                const kv = await Deno.openKv();
                const queue = kv.listenQueue((i) => {
                    if (i === thrown.length) return kv.close();
                    throw thrown[i];
                });
                for (let i = 0; i <= thrown.length; i++) await kv.enqueue(i, { backoffSchedule: [] });
                await queue;
                const expected = [
                    '{"code":1}',
                    "text",
                    "undefined",
                    "Symbol(s)",
                    "1",
                    "{}",
                    "Error: outer\nCaused by: TypeError: inner",
                    "AggregateError: many\nError 1: Error: one\nError 2: 2",
                    "(an error that cannot be displayed)",
                    "Error: no stack",
                    "(an error that cannot be displayed)",
                    "(an error that cannot be displayed)",
                    "Error: endless" + "\nCaused by: Error: endless".repeat(16),
                ];
                for (let i = 0; i < thrown.length; i++) {
                    const shown = show(thrown[i]).replace(/\n    at .*/g, "");
                    if (shown !== expected[i]) throw new Error(`${shown} is not ${expected[i]}`);
                }
            })();
        "#;
        js.execute_script("main.js", script).unwrap();
        tokio.block_on(js.run_event_loop(PollEventLoopOptions::default())).unwrap();
    }
}
