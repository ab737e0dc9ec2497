//! Tests scripts that use Deno's own extension over the engine.

use deno_core::PollEventLoopOptions;
use deno_kv_host::host;

/// Runs the body of an asynchronous function with `openKv`, `KvU64` and `assertEquals` in scope.
async fn run(body: &str) {
    const PRELUDE: &str = r#"
        // The host must provide the function with which deno_kv reports errors of handlers.
        __bootstrap.internals.log = () => {};
        const { openKv, KvU64 } = Deno.core.loadExtScript("ext:deno_kv/01_db.ts");
        const json = (value) =>
            JSON.stringify(value, (_, v) => typeof v === "bigint" ? `${v}n` : v instanceof KvU64 ? `u64 ${v}` : v);
        function assertEquals(actual, expected) {
            if (json(actual) !== json(expected)) throw new Error(`${json(actual)} is not ${json(expected)}`);
        }
    "#;
    let mut js = host();
    let script = format!("(async () => {{ {PRELUDE} {body} }})()");
    let promise = js.execute_script("script.js", script).unwrap();
    let resolved = js.resolve(promise);
    js.with_event_loop_promise(resolved, PollEventLoopOptions::default()).await.unwrap();
}

#[tokio::test]
async fn script_uses_the_whole_api() {
    run(r#"
        const kv = await openKv(":memory:");
        const { versionstamp } = await kv.set(["a", 1, 2n, true, new Uint8Array([3])], { deep: [1, new Date(0)] });
        const entry = await kv.get(["a", 1, 2n, true, new Uint8Array([3])]);
        assertEquals([entry.value, entry.versionstamp], [{ deep: [1, new Date(0)] }, versionstamp]);
        assertEquals(await kv.get(["b"], { consistency: "eventual" }), { key: ["b"], value: null, versionstamp: null });

        for (let i = 0; i < 250; i++) await kv.set(["n", i], new KvU64(BigInt(i)));
        const listed = [];
        for await (const { value } of kv.list({ prefix: ["n"] }, { reverse: true, batchSize: 100 })) listed.push(value);
        assertEquals([listed.length, listed[0], listed[249]], [250, new KvU64(249n), new KvU64(0n)]);
        const list = kv.list({ start: ["n", 10], end: ["n", 20] }, { limit: 3 });
        for await (const _ of list);
        const rest = kv.list({ start: ["n", 10], end: ["n", 20] }, { cursor: list.cursor });
        assertEquals((await rest.next()).value.key, ["n", 13]);

        const failed = await kv.atomic().check({ key: ["b"], versionstamp }).set(["b"], 1).commit();
        assertEquals(failed, { ok: false });
        const done = await kv.atomic()
            .check({ key: ["b"], versionstamp: null })
            .sum(["n", 1], 5n).max(["n", 2], 9n).min(["n", 3], 1n)
            .delete(["n", 4])
            .set(["b"], 1)
            .commit();
        const many = await kv.getMany([["n", 1], ["n", 2], ["n", 3], ["n", 4], ["b"]]);
        assertEquals(many.map((entry) => entry.value), [new KvU64(6n), new KvU64(9n), new KvU64(1n), null, 1]);
        assertEquals([done.ok, many[0].versionstamp], [true, done.versionstamp]);

        const logged = await kv.set(["log", kv.commitVersionstamp()], "x");
        assertEquals((await kv.get(["log", logged.versionstamp])).value, "x");
        kv.close();
    "#)
    .await;
}

#[tokio::test]
async fn script_sees_the_errors_of_deno() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no").join("kv.sqlite3");
    run(&format!(
        r#"
        const rejected = async (call) => {{
            try {{
                await call();
            }} catch (error) {{
                return [error.constructor.name, error.message];
            }}
        }};
        const kv = await openKv(":memory:");
        await kv.set(["text"], "x");
        assertEquals(
            await rejected(() => kv.atomic().max(["text"], 1n).commit()),
            ["TypeError", "Failed to perform 'max' mutation on a non-U64 value in the database"],
        );
        assertEquals(await rejected(() => kv.set([], 1)), ["TypeError", "key cannot be empty"]);
        const read = kv.get(["text"]);
        kv.close();
        assertEquals((await read).value, "x");
        assertEquals((await rejected(() => kv.get(["text"])))[0], "BadResource");
        assertEquals((await rejected(() => openKv({missing:?})))[0], "Error");
        "#
    ))
    .await;
}

#[tokio::test]
async fn script_watches_writes_of_another_handle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kv.sqlite3");
    run(&format!(
        r#"
        const [kv, other] = [await openKv({path:?}), await openKv({path:?})];
        const reader = kv.watch([["a"], ["b"]]).getReader();
        const values = async () => (await reader.read()).value.map((entry) => entry.value);
        assertEquals(await values(), [null, null]);
        await other.set(["a"], 1);
        assertEquals(await values(), [1, null]);
        await other.set(["b"], 2);
        assertEquals(await values(), [1, 2]);
        await other.delete(["a"]);
        assertEquals(await values(), [null, 2]);
        const last = reader.read();
        kv.close();
        assertEquals((await last).done, true);
        other.close();
        "#
    ))
    .await;
}

#[tokio::test]
async fn script_handles_messages() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kv.sqlite3");
    run(&format!(
        r#"
        const kv = await openKv({path:?});
        const seen = [];
        let reached;
        const all = new Promise((resolve) => reached = resolve);
        const listening = kv.listenQueue((message) => {{
            seen.push(message);
            if (seen.length === 23) reached();
            if (message === "fails" ) throw new Error("as it should");
        }});
        for (let i = 0; i < 20; i++) await kv.enqueue({{ i }});
        await kv.enqueue("fails", {{ backoffSchedule: [10, 10], keysIfUndelivered: [["dead"]] }});
        await all;
        const reader = kv.watch([["dead"]]).getReader();
        let [dead] = (await reader.read()).value;
        if (dead.value === null) [dead] = (await reader.read()).value;
        assertEquals(dead.value, "fails");
        assertEquals(seen.filter((message) => message === "fails").length, 3);
        assertEquals(seen.filter((message) => message !== "fails").map(({{ i }}) => i), [...Array(20).keys()]);
        kv.close();
        await listening;
        "#
    ))
    .await;
}
