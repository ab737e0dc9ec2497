//! Encoding and decoding of keys.

use divan::{Bencher, black_box};
use openkv_engine::{Key, KeyPart};

fn main() {
    divan::main();
}

const KEYS: [&str; 3] = ["a name", "an id", "every type"];

fn parts(key: &str) -> Vec<KeyPart<'static>> {
    match key {
        "a name" => vec![KeyPart::from("users"), KeyPart::from("user-00001234")],
        "an id" => vec![KeyPart::from("posts"), KeyPart::from(1_234_567.0), KeyPart::from("comments"), 42.0.into()],
        "every type" => vec![
            KeyPart::from(&b"\x01\x00\x02"[..]),
            KeyPart::from("stra\u{df}e"),
            KeyPart::bigint(1_234_567_890_123_i64),
            KeyPart::from(-0.5),
            KeyPart::from(true),
        ],
        other => unreachable!("{other}"),
    }
}

#[divan::bench(args = KEYS)]
fn encode(bencher: Bencher, key: &str) {
    let parts = parts(key);
    bencher.bench_local(|| Key::from_parts(black_box(&parts)).unwrap());
}

#[divan::bench(args = KEYS)]
fn decode(bencher: Bencher, key: &str) {
    let key = Key::from_parts(&parts(key)).unwrap();
    bencher.bench_local(|| black_box(&key).parts().for_each(|part| drop(black_box(part.unwrap()))));
}
