//! Tests the fake backend, and the database over an asynchronous backend with few features.

mod deliveries;
mod fallbacks;
mod faults;
mod order;
mod support;
mod watches;
