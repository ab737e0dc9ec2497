#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{Database, AtomicWrite, Key, KeyPart, Mutation, Value};

/// Reads the stored value and the message, and stores the results.
const SCRIPT: &str = r#"async () => {
    const { openKv, ops, path } = host;
    host.kv ??= await openKv(path);
    const { value: bytes } = await host.kv.get(["bytes"]);
    for (const read of [async () => (await host.kv.get(["value"])).value, () => ops.op_openkv_message(bytes)]) {
        try {
            const value = await read();
            await host.kv.set(["copy"], value);
            await host.kv.get(["copy"]);
            await host.kv.atomic().mutate({ type: "sum", key: ["value"], value: 1n }).commit();
        } catch { /* It may be rejected. */ }
    }
    return "";
}"#;

/// The file, and a handle of the engine, which stores values that scripts cannot.
static DATABASE: LazyLock<(PathBuf, Database)> = LazyLock::new(|| {
    let path = openkv_torture::fuzz::directory().keep().join("db");
    let location = Location::File { path: path.clone(), follow_links: true };
    let database = sqlite::open(location, Options::default()).expect("a new file can be opened");
    openkv_fuzz_v8::run(&format!("async () => (host.path = {path:?}, '')"));
    (path, database)
});

fn set(key: &str, value: Value) -> Mutation {
    Mutation::set(Key::from_parts(&[KeyPart::from(key)]).expect("the key is short"), value)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (_, database) = &*DATABASE;
    let value = set("value", Value::V8(data.to_vec()));
    let write = AtomicWrite::new().mutate(value).mutate(set("bytes", Value::Bytes(data.to_vec())));
    if database.write_blocking(write).is_ok() {
        openkv_fuzz_v8::run(SCRIPT);
    }
});
