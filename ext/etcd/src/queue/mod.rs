//! The queue. A message is a key that begins with the time at which it is due. A listener claims it with a key under its lease, so
//! that the claim ends with the listener.

mod attempt;
mod candidate;
mod claim;
mod listener;

pub(crate) use listener::{Listener, Waiter};
