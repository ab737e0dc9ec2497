//! Malicious scripts and files: they cause errors, but must not crash the process. The inputs are those of the fuzz targets: see
//! `fuzz/README.md`.

use std::fs;

use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use openkv_engine::{AtomicWrite, Enqueue, Key, KeyPart, Mutation, Time, Value};
use openkv_torture::{Programs, fuzz, scripts};

use crate::support::{Sandbox, TIMEOUT};

/// Returns the stored inputs of a target, and a number of mutations.
fn inputs(target: &str, mutations: usize) -> Vec<Vec<u8>> {
    let seeds = fuzz::seeds(target);
    let mutated = fuzz::mutated(&seeds, 1).take(mutations).collect();
    [seeds, mutated].concat()
}

#[test]
fn no_call_crashes_the_process() {
    let scripts: Vec<_> = inputs("script", 150).iter().map(|input| fuzz::script(input)).collect();
    let sandbox = Sandbox::new();
    let script = format!(
        "{}
        addEventListener('unhandledrejection', (event) => event.preventDefault());
        const host = {{ openKv: Deno.openKv, KvU64: Deno.KvU64, path: 'db' }};
        const scripts = [{}];
        for (const script of scripts) {{
            for (const violation of await torture(host, script)) console.log(violation, String(script));
        }}
        console.log(scripts.length, 'scripts');",
        fuzz::PRELUDE,
        scripts.join(",\n"),
    );
    fs::write(sandbox.path("main.js"), script).unwrap();
    // Errors of handlers are printed to standard error.
    let output = sandbox.openkv(["run", "-A", "main.js"]);
    let printed = (output.code, output.stdout.as_str());
    assert_eq!(printed, (Some(0), &*format!("{} scripts\n", scripts.len())), "{}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn no_call_of_the_namespace_crashes_the_process() {
    let programs = Programs { openkv: env!("CARGO_BIN_EXE_openkv").into(), deno: "deno".into() };
    let outcome = scripts::run(&programs, &scripts::Args { seconds: 0.0, scripts: 200, seed: 1 });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn no_value_or_message_crashes_the_process() {
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
    wait_closed(TIMEOUT);

    let script = r#"
        const kv = await Deno.openKv("db");
        const copies = await Deno.openKv(":memory:");
        let values = 0;
        for (; values < Number(Deno.args[0]); values++) {
            try {
                const { value } = await kv.get(["value", values]);
                await copies.set(["copy"], value);
                Deno.inspect(value);
            } catch { /* It may be rejected. */ }
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
    let printed = (output.code, output.stdout.as_str());
    assert_eq!(printed, (Some(0), &*format!("{} true\n", inputs.len())), "{}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn error_listener_handles_any_thrown_value() {
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
fn inherited_array_getter_may_throw() {
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
fn getter_may_close_the_database_in_any_call() {
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
    let expected = "check BadResource\ncount BadResource\ncursor AmIA\ndeleteRange BadResource\n\
        undelivered BadResource\nwatch BadResource\n";
    assert_eq!(Sandbox::new().run(script).stdout(), expected);
}

#[test]
fn commit_without_a_database_is_rejected() {
    let script = r#"
        const operation = new Deno.AtomicOperation(0).set(["a"], 1).sum(["b"], 2n).enqueue("message");
        console.log(Deno.inspect(operation).split("\n").length);
        console.log(await operation.commit().catch((error) => error.name));
    "#;
    assert_eq!(Sandbox::new().run(script).stdout(), "4\nBadResource\n");
}

/// Calls whose arguments serde_v8 deserializes without a static type.
#[test]
fn no_op_argument_crashes_the_process() {
    let script = r#"
        const nested = (make) => {
            let value = make();
            for (let i = 0; i < 100_000; i++) value = [value];
            return value;
        };
        const cyclic = {};
        cyclic.a = [cyclic];
        const { proxy: revoked, revoke } = Proxy.revocable({}, {});
        revoke();
        const values = {
            symbol: () => Symbol("s"),
            inArray: () => [Symbol("s")],
            inObject: () => ({ a: { b: Symbol("s") } }),
            cyclic: () => cyclic,
            nested: () => nested(() => Symbol("s")),
            proxy: () => new Proxy({}, {
                get: () => Symbol("s"),
                ownKeys: () => ["a"],
                getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true }),
            }),
            arrayProxy: () => new Proxy([1], { get: () => Symbol("s") }),
            revoked: () => revoked,
            throwing: () => ({ get a() { throw new TypeError("of the script"); } }),
            function: () => Object.assign(() => 1, { a: Symbol("s") }),
        };
        /** An object whose property is a string at the first read, and another value afterwards. */
        const alternating = (name, value) => {
            let reads = 0;
            return { get [name]() { return reads++ ? value : "null"; } };
        };
        const url = "http://127.0.0.1/";
        /** Options with symbol keys that are internal to the implementation. */
        const hidden = (options) => new Proxy({}, { get: (_, key) => options[key.description] });
        const calls = {
            alternatingStdio: (value) => new Deno.Command("", alternating("stdin", value)).outputSync(),
            alternatingProxy: (value) => Deno.createHttpClient({ proxy: alternating("transport", value) }),
            basicAuth: (value) => Deno.createHttpClient({ proxy: { url, basicAuth: value } }),
            kill: (value) => Deno.kill(Deno.pid, value),
            killSignal: (value) =>
                new Deno.Command("", hidden({ kTimeoutOption: 1, kKillSignalOption: value })).outputSync(),
            output: (value) => new Deno.Command("", { stdout: value }).output(),
            outputSync: (value) => new Deno.Command("", { stderr: value }).outputSync(),
            password: (value) => Deno.createHttpClient({ proxy: { url, basicAuth: { password: value } } }),
            poolIdleTimeout: (value) => Deno.createHttpClient({ poolIdleTimeout: value }).close(),
            proxy: (value) => Deno.createHttpClient({ proxy: { url, more: value } }).close(),
            spawn: (value) => Deno.spawn("", { stdin: value }),
            spawnAndWait: (value) => Deno.spawnAndWait("", { stdin: value }),
            spawnAndWaitSync: (value) => Deno.spawnAndWaitSync("", [], { stdin: value }),
            spawnChild: (value) => new Deno.Command("", { stdin: value }).spawn(),
            windows: (value) => new Deno.Command("", { windowsRawArguments: value }).outputSync(),
        };
        for (const [name, call] of Object.entries(calls)) {
            const thrown = [];
            for (const make of Object.values(values)) {
                try {
                    await call(make());
                    thrown.push("none");
                } catch (error) {
                    thrown.push(error.name);
                }
            }
            console.log(name, ...new Set(thrown));
        }
        const throwing = Object.defineProperty(["a"], 0, { get() { throw new TypeError("of the script"); } });
        const holes = new Array(2 ** 32 - 1);
        const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
        const { addr: { port } } = listener;
        const hostname = "127.0.0.1";
        const connect = () => Deno.connect({ hostname, port });
        const algorithm = { name: "HMAC", hash: "SHA-256" };
        const lists = {
            connectTlsAlpn: (list) => Deno.connectTls({ hostname, port, alpnProtocols: list }),
            connectTlsCerts: (list) => Deno.connectTls({ hostname, port, caCerts: list }),
            httpClient: (list) => Deno.createHttpClient({ caCerts: list }),
            jwk: (list) => crypto.subtle.importKey("jwk", { kty: "oct", k: "AA", key_ops: list }, algorithm, true, ["sign"]),
            startTlsAlpn: async (list) => Deno.startTls(await connect(), { alpnProtocols: list }),
            startTlsCerts: async (list) => Deno.startTls(await connect(), { caCerts: list }),
        };
        for (const [name, call] of Object.entries(lists)) {
            const errors = [throwing, holes].map((list) => (async () => call(list))().catch((error) => error.message));
            console.log(name, ...await Promise.all(errors));
        }
        listener.close();
        const child = new Deno.Command(Deno.execPath(), { args: ["--version"], stdout: "null" }).spawn();
        const killed = await Promise.resolve().then(() => child.kill(Symbol("s"))).catch((error) => error.message);
        console.log(killed, (await child.status).success);
    "#;
    // An empty program name is not found, and unknown options and an invalid timeout are ignored.
    let expected = "\
        alternatingStdio TypeError\n\
        alternatingProxy TypeError\n\
        basicAuth TypeError none\n\
        kill TypeError\n\
        killSignal TypeError\n\
        output TypeError\n\
        outputSync TypeError\n\
        password TypeError\n\
        poolIdleTimeout TypeError none\n\
        proxy TypeError none\n\
        spawn TypeError\n\
        spawnAndWait TypeError\n\
        spawnAndWaitSync TypeError\n\
        spawnChild TypeError\n\
        windows TypeError NotFound\n\
        connectTlsAlpn of the script Invalid value for 'alpnProtocols': it must not have holes\n\
        connectTlsCerts of the script Invalid value for 'caCerts': it must not have holes\n\
        httpClient of the script Invalid value for 'caCerts': it must not have holes\n\
        jwk of the script Invalid value for 'key_ops': it must not have holes\n\
        startTlsAlpn of the script Invalid value for 'alpnProtocols': it must not have holes\n\
        startTlsCerts of the script Invalid value for 'caCerts': it must not have holes\n\
        Invalid value for 'signal': it must not be a symbol true\n\
    ";
    assert_eq!(Sandbox::new().run(script).stdout(), expected);
}

#[test]
fn no_test_crashes_the_process() {
    let module = r#"
        const plain = Array.prototype.constructor;
        const evil = new Proxy({}, {
            get: (_, key) => key === "length" ? 1 : Symbol("s"),
            ownKeys: () => ["a"],
            getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true }),
            defineProperty: () => true,
            set: () => true,
        });
        const species = { [Symbol.species]: function () { return evil; } };
        Deno.test("name", async (t) => {
            let reads = 0;
            await t.step({ get name() { return reads++ ? Symbol("s") : "step"; }, fn() {} });
        });
        Deno.test("path", async (t) => {
            Array.prototype.constructor = species;
            await t.step("step", async (t) => {
                Array.prototype.constructor = plain;
                await t.step("inner", () => {});
            });
        });
        const read = ["a"];
        read.constructor = species;
        Deno.test("permissions", { permissions: { read } }, () => {});
        if (Deno.args[0] === "list") Array.prototype.constructor = species;
    "#;
    let sandbox = Sandbox::new();
    sandbox.write("a_test.js", module);
    for (argument, summary) in [("run", "1 passed (1 step) | 2 failed (1 step)"), ("list", "0 passed | 1 failed")] {
        let output = sandbox.openkv(["test", "a_test.js", "--", argument]);
        assert_eq!(output.code, Some(1), "{}{}", output.stdout, output.stderr);
        assert!(output.stdout.contains(summary), "{}{}", output.stdout, output.stderr);
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    }
}

#[test]
fn inherited_array_setter_does_not_crash_the_process() {
    let script = r#"
        /** Calls a function while an inherited setter of all arrays replaces some elements, or hides them behind a throwing getter. */
        async function poisoned(replaced, value, call) {
            for (const index of [0, 1]) {
                Object.defineProperty(Array.prototype, index, {
                    configurable: true,
                    get() { throw new TypeError("of the script"); },
                    set(element) {
                        if (replaced(element)) {
                            if (value === undefined) return;
                            element = value;
                        }
                        Object.defineProperty(this, index, {
                            __proto__: null, value: element, writable: true, enumerable: true, configurable: true,
                        });
                    },
                });
            }
            try {
                await call();
            } catch (error) {
                return error.name;
            } finally {
                delete Array.prototype[0];
                delete Array.prototype[1];
            }
        }
        const { port1 } = new MessageChannel();
        const message = () => port1.postMessage(1, [new MessageChannel().port1]);
        console.log(await poisoned((element) => element?.kind, { data: Symbol("s") }, message));
        port1.close();
        const isPair = (element) => Array.isArray(element) && element[0] === "a";
        console.log(await poisoned(isPair, undefined, () => {
            const parameters = new URLSearchParams();
            parameters.append("a", "b");
            parameters.toString();
        }));
    "#;
    assert_eq!(Sandbox::new().run(script).stdout(), "TypeError\nTypeError\n");
}
