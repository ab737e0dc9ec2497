//! The fake backend, and what a database does over one that is asynchronous and has few means of its own.

mod deliveries;
mod fallbacks;
mod faults;
mod order;
mod support;
mod watches;
