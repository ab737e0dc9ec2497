//! Scripts that mean harm, and files that hold it: they get errors, and harm themselves at most. The inputs are those of the
//! fuzz targets: see `fuzz/README.md`.

use std::fs;

use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use openkv_engine::{AtomicWrite, Enqueue, Key, KeyPart, Mutation, Time, Value};
use openkv_torture::{Programs, fuzz, scripts};

use crate::support::{PATIENCE, Sandbox};

/// The inputs that are kept for a target, and so many others.
fn inputs(target: &str, others: usize) -> Vec<Vec<u8>> {
    let seeds = fuzz::seeds(target);
    let others = fuzz::mutated(&seeds, others).collect();
    [seeds, others].concat()
}

#[test]
fn no_call_takes_the_process_down() {
    let scripts: Vec<_> = inputs("script", 150).iter().map(|input| fuzz::script(input)).collect();
    let sandbox = Sandbox::new();
    let script = format!(
        "{}
        addEventListener('unhandledrejection', (event) => event.preventDefault());
        const host = {{ openKv: Deno.openKv, KvU64: Deno.KvU64, path: 'db' }};
        const scripts = [{}];
        for (const script of scripts) {{
            for (const broken of await torture(host, script)) console.log(broken, String(script));
        }}
        console.log(scripts.length, 'scripts');",
        fuzz::PRELUDE,
        scripts.join(",\n"),
    );
    fs::write(sandbox.path("main.js"), script).unwrap();
    // What handlers throw is told on the standard error.
    let output = sandbox.openkv(["run", "-A", "main.js"]);
    let ended = (output.code, output.stdout.as_str());
    assert_eq!(ended, (Some(0), &*format!("{} scripts\n", scripts.len())), "{}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn no_call_of_the_namespace_takes_the_process_down() {
    let programs = Programs { openkv: env!("CARGO_BIN_EXE_openkv").into(), deno: "deno".into() };
    let outcome = scripts::run(&programs, &scripts::Args { seconds: 0.0, scripts: 200, seed: 1 });
    outcome.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn no_stored_value_and_no_message_takes_the_process_down() {
    let sandbox = Sandbox::new();
    let inputs = inputs("value", 2000);
    let database =
        sqlite::open(Location::File { path: sandbox.path("db"), follow_links: true }, Options::default()).unwrap();
    let numbered: Vec<_> = inputs.iter().enumerate().collect();
    for batch in numbered.chunks(50) {
        let mut write = AtomicWrite::new();
        for (i, bytes) in batch {
            let key = Key::from_parts(&[KeyPart::from("value"), KeyPart::from(*i as f64)]).unwrap();
            write = write.mutate(Mutation::set(key, Value::V8(bytes.to_vec()))).enqueue(Enqueue {
                message: bytes.to_vec(),
                deliver_at: Time::At(0),
                backoff_schedule: Some(vec![]),
                keys_if_undelivered: vec![],
            });
        }
        database.write_blocking(write).unwrap().into_result().unwrap();
    }
    drop(database);
    wait_closed(PATIENCE);

    let script = r#"
        const kv = await Deno.openKv("db");
        const copies = await Deno.openKv(":memory:");
        let values = 0;
        for (; values < Number(Deno.args[0]); values++) {
            try {
                const { value } = await kv.get(["value", values]);
                await copies.set(["copy"], value);
                Deno.inspect(value);
            } catch { /* It may be refused. */ }
        }
        await kv.enqueue("last");
        let messages = 0;
        await kv.listenQueue((message) => {
            messages++;
            if (message === "last") kv.close();
        });
        console.log(values, messages > 0);
    "#;
    sandbox.write("main.ts", script);
    let output = sandbox.openkv(["run", "-A", "main.ts", &inputs.len().to_string()]);
    let ended = (output.code, output.stdout.as_str());
    assert_eq!(ended, (Some(0), &*format!("{} true\n", inputs.len())), "{}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn listener_prevents_the_end_whatever_was_thrown() {
    let script = r#"
        addEventListener("error", (event) => event.preventDefault());
        addEventListener("unhandledrejection", (event) => event.preventDefault());
        const fail = () => { throw new Error("of the script"); };
        const traps = Object.fromEntries(["get", "has", "ownKeys", "getPrototypeOf"].map((name) => [name, fail]));
        const revoked = () => {
            const { proxy, revoke } = Proxy.revocable({}, {});
            revoke();
            return proxy;
        };
        const failing = (name) => Object.defineProperty(new Error("e"), name, { get: fail });
        const thrown = [
            () => Object.create(null),
            () => new Proxy({}, traps),
            () => new Proxy(new Error("e"), traps),
            revoked,
            () => Symbol("s"),
            () => failing("stack"),
            () => failing("message"),
            () => failing("name"),
            () => failing("cause"),
            () => new AggregateError([new Proxy({}, traps), revoked()], "e", { cause: revoked() }),
            () => ({ [Symbol.for("Deno.customInspect")]: fail }),
        ];
        for (const make of thrown) {
            const value = make();
            setTimeout(() => { throw value; }, 0);
            queueMicrotask(() => { throw value; });
            Promise.reject(value);
            reportError(value);
        }
        addEventListener("beforeunload", () => console.log("ended"));
    "#;
    assert_eq!(Sandbox::new().run(script).stdout(), "ended\n");
}

#[test]
fn a_getter_that_all_arrays_have_may_throw() {
    let script = r#"
        const kv = await Deno.openKv(":memory:");
        const write = (method, ...args) => {
            Object.defineProperty(Array.prototype, 0, {
                configurable: true,
                get() { throw new Error("of the script"); },
                set() {},
            });
            const write = kv.atomic()[method](...args);
            const committed = write.set(["b"], 1).commit();
            delete Array.prototype[0];
            return committed;
        };
        await write("check", { key: ["a"], versionstamp: null }).catch((error) => console.log(error.message));
        await write("enqueue", "message").catch((error) => console.log(error.message));
        console.log((await kv.get(["b"])).value);
    "#;
    let output = Sandbox::new().run(script).stdout();
    assert_eq!(output.lines().last(), Some("null"), "{output}");
    assert_eq!(output.lines().count(), 3, "{output}");
}

#[test]
fn a_getter_may_close_the_database_within_any_call() {
    let script = r#"
        let kv;
        const close = (object, name) => Object.defineProperty(object, name, {
            configurable: true,
            get() {
                if (object === Array.prototype) delete object[name];
                kv.close();
                return "b";
            },
        });
        const calls = {
            check: () => kv.atomic().check({ key: close(["a"], 0), versionstamp: null }).commit(),
            count: () => (close(Array.prototype, 0), kv.count({ prefix: [,] })),
            async cursor() {
                await kv.set(["a", "b"], 1);
                const { value: entry } = await kv.list({ prefix: ["a"] }).next();
                close(entry.key, 1);
                return entry.cursor;
            },
            deleteRange: () => (close(Array.prototype, 0), kv.deleteRange({ prefix: [,] })),
            undelivered: () => kv.enqueue(1, { keysIfUndelivered: [close(["a"], 0)] }),
            watch: async () => kv.watch([close(["a"], 0)]).getReader().read(),
        };
        for (const [name, call] of Object.entries(calls)) {
            kv = await Deno.openKv(":memory:");
            console.log(name, await call().catch((error) => error.name));
        }
    "#;
    let told = "check BadResource\ncount BadResource\ncursor AmIA\ndeleteRange BadResource\n\
        undelivered BadResource\nwatch BadResource\n";
    assert_eq!(Sandbox::new().run(script).stdout(), told);
}

#[test]
fn an_operation_of_no_database_is_refused_by_its_commit() {
    let script = r#"
        const operation = new Deno.AtomicOperation(0).set(["a"], 1).sum(["b"], 2n).enqueue("message");
        console.log(Deno.inspect(operation).split("\n").length);
        console.log(await operation.commit().catch((error) => error.name));
    "#;
    assert_eq!(Sandbox::new().run(script).stdout(), "4\nBadResource\n");
}
