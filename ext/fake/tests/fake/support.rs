use futures_executor::block_on;
use openkv_engine::{Database, Key, KeyPart, Selector, Value};
use openkv_fake::{Options, open};

/// Opens a private database.
pub fn opened(options: Options) -> Database {
    block_on(open(":memory:", options)).unwrap()
}

/// Returns the key of a number.
pub fn key(number: u64) -> Key {
    Key::from_parts(&["numbers".into(), KeyPart::from(number as f64)]).unwrap()
}

/// Returns a selector of the keys of all numbers.
pub fn numbers() -> Selector {
    Selector::prefix(&Key::from(["numbers"]))
}

/// Stores the numbers from 0 up to `count` under their keys.
pub fn fill(database: &Database, count: u64) {
    for first in (0..count).step_by(500) {
        let sets = (first..count.min(first + 500)).map(|i| openkv_engine::Mutation::set(key(i), Value::U64(i)));
        let write = sets.fold(openkv_engine::AtomicWrite::new(), openkv_engine::AtomicWrite::mutate);
        database.write_blocking(write).unwrap().into_result().unwrap();
    }
}

/// Lists the stored numbers.
pub fn stored(database: &Database) -> Vec<u64> {
    let entries = database.list(numbers()).blocking().map(|entry| entry.unwrap().value);
    let number = |value| match value {
        Value::U64(number) => number,
        value => panic!("{value:?}"),
    };
    entries.map(number).collect()
}
