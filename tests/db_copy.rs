//! `openkv db copy`.

use std::path::Path;
use std::process::Stdio;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use crate::support::{Output, Running, Sandbox};

/// Stores entries of every type of key and value, some that expire, and messages.
const FILL: &str = r#"
    const kv = await Deno.openKv(Deno.args[0]);
    const parts = [new Uint8Array([0, 255]), "a\0b", 7, -0, NaN, -5n, 1n << 100n, true, false];
    const values = [
        null, undefined, true, 1.5, -0, "text\u{1F600}", 123n, new Date(7), /a/g, new Uint8Array([1, 2]), new Deno.KvU64(2n ** 64n - 1n),
        new Map([["k", { v: [1] }]]), new Set([1]), new Error("message"), { nested: { list: [1, , 3] } }, new ArrayBuffer(3),
    ];
    for (const part of parts) {
        let atomic = kv.atomic();
        values.forEach((value, i) => atomic = atomic.set(["types", part, i], value));
        await atomic.commit();
    }
    await kv.set(["soon"], 1, { expireIn: 3_600_000 });
    for (let first = 0; first < Number(Deno.args[1]); first += 500) {
        let atomic = kv.atomic();
        for (let i = first; i < first + 500; i++) atomic = atomic.set(["n", i], { i, text: "x".repeat(i % 300) });
        await atomic.commit();
    }
    for (let i = 0; i < 20; i++) {
        await kv.enqueue({ i }, { delay: 3_600_000 + i, keysIfUndelivered: [["undelivered", i]], backoffSchedule: [1, i] });
    }
    kv.close();
"#;

pub fn fill(sandbox: &Sandbox, entries: u32) {
    sandbox.write("fill.ts", FILL);
    assert_eq!(sandbox.openkv(["run", "-A", "fill.ts", "from.db", &entries.to_string()]).stdout(), "");
}

fn copy(sandbox: &Sandbox, from: &str, to: &str, flags: &[&str]) -> Output {
    sandbox.openkv(["db", "copy", from, to].iter().chain(flags))
}

fn open(file: &Path) -> Connection {
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// Returns all entries with their expiry, and all messages with their schedules, without versions and ids.
pub fn contents(file: &Path) -> Vec<Vec<Value>> {
    let file = open(file);
    let mut rows = Vec::new();
    for query in [
        "select k, v, v_encoding, expiration_ms from kv order by k",
        "select ts, data, backoff_schedule, keys_if_undelivered from queue order by ts",
    ] {
        let mut statement = file.prepare(query).unwrap();
        let found = statement.query_map([], |row| (0..4).map(|column| row.get(column)).collect());
        rows.extend(found.unwrap().map(|row| row.unwrap()));
    }
    rows
}

/// Copies a file to another backend and back, and compares.
fn returns_from(url: &str) {
    let sandbox = Sandbox::new();
    fill(&sandbox, 2000);
    let printed = copy(&sandbox, "from.db", url, &[]).stdout();
    assert!(printed.ends_with(": 2,145 entries, 20 messages\n"), "{printed}");
    assert_eq!(sandbox.openkv(["db", "check", url]).stdout(), "ok: 2145 entries, 20 messages\n");
    let info = sandbox.openkv(["db", "info", url]).stdout();
    // The Uint8Array of each of 9 parts, and the KvU64.
    for line in [
        "entries               2,145",
        "  V8 values           2,127",
        "  64-bit integers     9",
        "  bytes               9",
    ] {
        assert!(info.lines().any(|shown| shown == line), "{line}\n{info}");
    }
    let json = sandbox.openkv(["db", "info", url, "--json"]).stdout();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["entries"].as_u64(), json["encodings"]["u64"].as_u64()), (Some(2145), Some(9)));
    let stamps = "
        const last = async (path: string) => {
            using kv = await Deno.openKv(path);
            const stamps = await Array.fromAsync(kv.list({ prefix: [] }), (entry) => entry.versionstamp);
            const { versionstamp } = await kv.set(['late'], 1);
            await kv.delete(['late']);
            return [stamps.sort()[0], stamps.sort().at(-1)!, versionstamp];
        };
        const [, from] = await last('from.db');
        const [first, , later] = await last(Deno.args[0]);
        console.log(first > from, later > first);
    ";
    sandbox.write("stamps.ts", stamps);
    assert_eq!(sandbox.openkv(["run", "-A", "stamps.ts", url]).stdout(), "true true\n");
    assert_eq!(copy(&sandbox, url, "to.db", &[]).stdout(), "to.db: 2,145 entries, 20 messages\n");
    assert_eq!(contents(&sandbox.path("to.db")), contents(&sandbox.path("from.db")));
    let error = copy(&sandbox, "from.db", url, &[]).stderr();
    assert!(error.contains("the target is not empty") && error.contains("--overwrite"), "{error}");
    assert!(copy(&sandbox, "from.db", url, &["--overwrite"]).stdout().contains("2,145 entries"));
}

#[test]
fn copy_returns_from_a_file() {
    returns_from("other.db");
}

#[test]
fn copy_returns_from_postgres() {
    let Some(server) = openkv_postgres::cluster::shared() else { return };
    returns_from(&server.url("copied"));
}

#[test]
fn copy_returns_from_etcd() {
    let Some(cluster) = openkv_etcd::cluster::shared() else { return };
    returns_from(&cluster.url("copied"));
}

#[test]
fn killed_copy_is_completed_by_the_same_command() {
    let sandbox = Sandbox::new();
    fill(&sandbox, 100_000);
    let to = sandbox.path("to.db");
    let copied = || {
        let file = Connection::open_with_flags(&to, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        file.query_row("select count(*) from kv", [], |row| row.get::<_, u32>(0)).ok()
    };
    let mut counts = Vec::new();
    for least in [1, 30_000, 60_000] {
        let mut command = sandbox.command(["db", "copy", "from.db", "to.db"]);
        let mut copying = Running(command.stdout(Stdio::null()).spawn().unwrap());
        while copied().is_none_or(|count| count <= least) {
            assert!(copying.0.try_wait().unwrap().is_none(), "the copy ended before it was killed");
        }
        copying.0.kill().unwrap();
        copying.0.wait().unwrap();
        counts.push(copied().unwrap());
    }
    assert!(counts.is_sorted(), "{counts:?}");
    let error = copy(&sandbox, "to.db", "third.db", &[]).stderr();
    assert!(error.contains("the source is incomplete"), "{error}");
    assert_eq!(copy(&sandbox, "from.db", "to.db", &[]).stdout(), "to.db: 100,145 entries, 20 messages\n");
    assert!(contents(&to) == contents(&sandbox.path("from.db")));
}

#[test]
fn copy_refuses_what_it_cannot_copy() {
    let sandbox = Sandbox::new();
    fill(&sandbox, 500);
    sandbox.write("text.txt", "no database");
    for (from, to, expected) in [
        ("missing.db", "to.db", "missing.db: the file does not exist"),
        ("from.db", "./from.db", "are the same database"),
        (":memory:", "to.db", "name a file or a URL"),
        ("from.db", "text.txt", "text.txt"),
        ("from.db", "redis://host", "no backend supports this URL"),
        ("from.db", "postgres://user:secret@127.0.0.1:1/db", "127.0.0.1:1"),
    ] {
        let error = copy(&sandbox, from, to, &[]).stderr();
        assert!(error.contains(expected) && !error.contains("secret"), "{from} {to}: {error}");
    }
    assert!(!sandbox.path("missing.db").exists() && !sandbox.path("to.db").exists());
}
