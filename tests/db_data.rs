//! `openkv db get`, `set`, `delete`, `list`, `watch`, `export` and `import`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use crate::db_copy::fill;
use crate::db_serve::{Served, TOKEN};
use crate::support::{Output, Running, Sandbox};

fn db<const N: usize>(sandbox: &Sandbox, args: [&str; N]) -> Output {
    sandbox.openkv(["db"].into_iter().chain(args))
}

/// Returns the entries of a file without their versions.
fn entries(sandbox: &Sandbox, file: &str) -> Vec<(Vec<u8>, Value, i64)> {
    let file = Connection::open_with_flags(sandbox.path(file), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = file.prepare("select k, v, v_encoding from kv order by k").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn entries_are_set_printed_and_deleted() {
    let sandbox = Sandbox::new();
    assert_eq!(db(&sandbox, ["set", "kv.db", r#"["a", 1n]"#, "{ b: [1, , new Date(0)] }"]).stdout().len(), 21);
    assert_eq!(db(&sandbox, ["set", "kv.db", r#"["n"]"#, "new Deno.KvU64(5n)"]).stdout().len(), 21);
    assert_eq!(db(&sandbox, ["set", "kv.db", r#"["gone"]"#, "-1", "--expire-in", "0"]).stdout().len(), 21);
    let line = "[\"a\", 1n] { b: [1, , new Date(\"1970-01-01T00:00:00.000Z\")] }\n";
    assert_eq!(db(&sandbox, ["list", "kv.db"]).stdout(), format!("{line}[\"n\"] new Deno.KvU64(5n)\n"));
    assert_eq!(db(&sandbox, ["list", "kv.db", "--prefix", r#"["a"]"#]).stdout(), line);
    assert_eq!(db(&sandbox, ["list", "kv.db", "--reverse", "--limit", "1", "--keys"]).stdout(), "[\"n\"]\n");
    assert_eq!(db(&sandbox, ["get", "kv.db", r#"["n"]"#]).stdout(), "new Deno.KvU64(5n)\n");
    let json = db(&sandbox, ["get", "kv.db", r#"["n"]"#, "--json"]).stdout();
    let start = r#"{"key":[{"type":"string","value":"n"}],"value":{"type":"KvU64","value":"5"},"versionstamp":"0000"#;
    assert!(json.starts_with(start), "{json}");
    let error = db(&sandbox, ["delete", "kv.db", r#"["n"]"#, r#"["missing"]"#]).stderr();
    assert!(error.contains(r#"["missing"]: there is no such entry"#), "{error}");
    assert_eq!(db(&sandbox, ["delete", "kv.db", r#"["n"]"#, r#"["a", 1n]"#]).stdout(), "");
    assert_eq!(db(&sandbox, ["list", "kv.db"]).stdout(), "");
}

#[test]
fn expiry_is_printed_exported_and_imported() {
    let sandbox = Sandbox::new();
    db(&sandbox, ["set", "kv.db", "[1]", "{ a: 1 }", "--expire-in", "3600000"]).stdout();
    db(&sandbox, ["set", "kv.db", "[2]", "2"]).stdout();
    // As an interrupted import leaves it.
    db(&sandbox, ["set", "kv.db", r#"["\u{10ffff}openkv", "import in progress", "file"]"#, "{}"]).stdout();
    let listed = db(&sandbox, ["list", "kv.db", "--start", "[0]"]).stdout();
    let [one, two] = listed.lines().collect::<Vec<_>>()[..] else { panic!("{listed}") };
    assert!(one.starts_with("[1] { a: 1 } // expires 20") && one.ends_with('Z'), "{one}");
    assert_eq!(two, "[2] 2");
    assert_eq!(db(&sandbox, ["get", "kv.db", "[1]"]).stdout(), "{ a: 1 }\n");

    let expires_at = |file: &str, key: &str| {
        let json = db(&sandbox, ["get", file, key, "--json"]).stdout();
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["expiresAt"].as_u64()
    };
    let expected = expires_at("kv.db", "[1]").unwrap();
    assert_eq!(expires_at("kv.db", "[2]"), None);
    assert!(db(&sandbox, ["list", "kv.db", "--json"]).stdout().contains(&format!(",\"expiresAt\":{expected}}}\n")));

    assert_eq!(db(&sandbox, ["export", "kv.db", "lines"]).stdout(), "exported 2 entries\n");
    db(&sandbox, ["import", "to.db", "lines"]).stdout();
    assert!(expires_at("to.db", "[1]").unwrap().abs_diff(expected) < 600_000);
    assert_eq!(expires_at("to.db", "[2]"), None);
    sandbox
        .write("past", r#"{"key":[{"type":"number","value":2}],"value":{"type":"null","value":null},"expiresAt":1}"#);
    db(&sandbox, ["import", "to.db", "past", "--on-conflict", "replace"]).stdout();
    assert_eq!(db(&sandbox, ["list", "to.db", "--keys"]).stdout(), "[1]\n");
    sandbox.write("wrong", r#"{"key":[],"value":{"type":"null","value":null},"expiresAt":"soon"}"#);
    let error = db(&sandbox, ["import", "to.db", "wrong"]).stderr();
    assert!(error.contains("line 1 is not an entry: the time \"soon\" is not a number of milliseconds"), "{error}");
}

#[test]
fn wrong_arguments_are_errors_that_name_them() {
    let sandbox = Sandbox::new();
    fill(&sandbox, 0);
    fs::write(sandbox.path("lines"), "\n{\"key\":[]}\n").unwrap();
    for (args, expected) in [
        (&["get", "from.db", "users"][..], "error: the key users is not valid: the value \"users\" is not known"),
        (&["get", "from.db", "[null]"], "error: the key [null] is not valid: a null cannot be part of a key"),
        (&["get", "from.db", r#"["no"]"#], "error: [\"no\"]: there is no such entry"),
        (&["set", "from.db", r#"["a"]"#, "x()"], "error: the value x() is not valid"),
        (&["set", "from.db", "[]", "1"], "error: "),
        (&["list", "from.db", "--start", "7"], "error: the start 7 is not valid"),
        (&["get", "missing.db", r#"["a"]"#], "failed to open the database 'missing.db'"),
        (&["export", "from.db", "lines"], "lines: the file exists: --force overwrites it"),
        (&["export", "from.db", "no/lines"], "No such file or directory"),
        (&["import", "from.db", "missing"], "No such file or directory"),
        (&["import", "from.db", "lines"], "error: line 2 is not an entry"),
        (&["import", "from.db", "fill.ts"], "error: line 2 is not an entry"),
        (&["import", "redis://host", "lines"], "error: "),
    ] {
        let error = sandbox.openkv(["db"].iter().chain(args)).stderr();
        assert!(error.contains(expected) && !error.contains("    at "), "{args:?}: {error}");
    }
    assert!(!sandbox.path("missing.db").exists());
}

#[test]
fn export_and_import_keep_every_key_and_value() {
    let sandbox = Sandbox::new();
    fill(&sandbox, 2000);
    assert_eq!(db(&sandbox, ["export", "from.db", "all.ndjson"]).stdout(), "exported 2,145 entries\n");
    let lines = fs::read_to_string(sandbox.path("all.ndjson")).unwrap();
    assert_eq!(lines.lines().count(), 2145);
    assert!(lines.contains(r#""value":{"type":"number","value":-0},"versionstamp":"#), "not as text");
    assert_eq!(db(&sandbox, ["export", "from.db"]).stdout(), lines);
    db(&sandbox, ["import", "to.db", "all.ndjson"]).stdout();
    assert!(entries(&sandbox, "to.db") == entries(&sandbox, "from.db"));
    // Through a server, from stdin.
    let served = Served::start(&sandbox, &["served.db"]);
    let mut command = sandbox.command(["db", "import", &served.url]);
    command.env("DENO_KV_ACCESS_TOKEN", TOKEN);
    Output::of(command, &lines).stdout();
    let mut command = sandbox.command(["db", "export", &served.url, "--prefix", r#"["types"]"#]);
    command.env("DENO_KV_ACCESS_TOKEN", TOKEN);
    let without_versions = |lines: &str| {
        let cut = |line: &str| line.split("\"versionstamp\"").next().unwrap_or_default().to_owned();
        lines.lines().filter(|line| line.contains("\"types\"")).map(cut).collect::<Vec<_>>()
    };
    assert_eq!(without_versions(&Output::of(command, "").stdout()), without_versions(&lines));
}

#[test]
fn lines_of_the_library_are_imported() {
    let sandbox = Sandbox::new();
    // As @deno/kv-utils writes them.
    let lines = r#"{"key":[{"type":"Uint8Array","value":"AQI","byteLength":2},{"type":"number","value":"NaN"}],"value":{"type":"Map","value":[[{"type":"string","value":"k"},{"type":"Error","value":{"message":"m","stack":"s","cause":{"type":"null","value":null}}}]]},"versionstamp":"00000000000000010000"}
{"key":[{"type":"boolean","value":true}],"value":{"type":"Array","value":[{"type":"number","value":1},null,{"type":"undefined"}]},"versionstamp":"00000000000000020000"}"#;
    sandbox.write("lines", lines);
    db(&sandbox, ["import", "kv.db", "lines", "--prefix", "[0]"]).stdout();
    let script = "
        const kv = await Deno.openKv('kv.db');
        for await (const { key, value } of kv.list({ prefix: [] })) {
            const error = value instanceof Map ? value.get('k') : undefined;
            console.log(key, error ? [error.message, error.stack, error.cause] : value);
        }
    ";
    let expected =
        "[ 0, Uint8Array(2) [ 1, 2 ], NaN ] [ \"m\", \"s\", null ]\n[ 0, true ] [ 1, <1 empty item>, undefined ]\n";
    assert_eq!(sandbox.run(script).stdout(), expected);
}

#[test]
fn batches_of_an_import_are_within_the_limits_of_commits() {
    let sandbox = Sandbox::new();
    let long = "\u{20ac}".repeat(300);
    let line = |i| {
        let key = format!(r#"[{{"type":"string","value":"{long}"}},{{"type":"number","value":{i}}}]"#);
        format!("{{\"key\":{key},\"value\":{{\"type\":\"null\",\"value\":null}}}}\n")
    };
    let lines: String = (0..1000).map(line).collect();
    sandbox.write("lines", &lines);
    for action in ["fail", "keep", "replace"] {
        let file = format!("{action}.db");
        let imported = db(&sandbox, ["import", &file, "lines", "--on-conflict", action]).stdout();
        assert_eq!(imported, "imported 1,000 entries\n");
        assert_eq!(entries(&sandbox, &file).len(), 1000);
    }
}

#[test]
fn conflicts_fail_keep_or_replace() {
    let sandbox = Sandbox::new();
    db(&sandbox, ["set", "from.db", "[1]", "\"new\""]).stdout();
    db(&sandbox, ["set", "from.db", "[2]", "\"new\""]).stdout();
    db(&sandbox, ["export", "from.db", "lines"]).stdout();
    let import = |action: &[&str]| {
        let _ = fs::remove_file(sandbox.path("to.db"));
        db(&sandbox, ["set", "to.db", "[2]", "\"old\""]).stdout();
        let imported = sandbox.openkv(["db", "import", "to.db", "lines"].iter().chain(action));
        (imported, db(&sandbox, ["list", "to.db"]).stdout())
    };
    let (failed, listed) = import(&[]);
    let error = failed.stderr();
    assert!(error.contains("line 2: the entry [2] exists: --on-conflict keeps or replaces such entries"), "{error}");
    assert_eq!(listed, "[2] \"old\"\n");
    let (kept, listed) = import(&["--on-conflict", "keep"]);
    assert_eq!(kept.stdout(), "imported 1 entry, kept 1 entry that existed\n");
    assert_eq!(listed, "[1] \"new\"\n[2] \"old\"\n");
    let (replaced, listed) = import(&["--on-conflict", "replace"]);
    replaced.stdout();
    assert_eq!(listed, "[1] \"new\"\n[2] \"new\"\n");
}

#[test]
fn killed_import_is_completed_by_the_same_command() {
    let sandbox = Sandbox::new();
    fill(&sandbox, 50_000);
    db(&sandbox, ["export", "from.db", "lines"]).stdout();
    let imported = || {
        let file = Connection::open_with_flags(sandbox.path("to.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        file.query_row("select count(*) from kv", [], |row| row.get::<_, u32>(0)).ok()
    };
    for least in [1, 10_000, 30_000] {
        let mut command = sandbox.command(["db", "import", "to.db", "lines"]);
        let mut importing = Running(command.stderr(Stdio::null()).spawn().unwrap());
        while imported().is_none_or(|count| count <= least) {
            assert!(importing.0.try_wait().unwrap().is_none(), "the import ended before it was killed");
        }
        importing.0.kill().unwrap();
        importing.0.wait().unwrap();
    }
    // Under a prefix, it is another import, from the first line.
    let elsewhere = ["import", "to.db", "lines", "--prefix", r#"["elsewhere"]"#];
    assert_eq!(db(&sandbox, elsewhere).stdout(), "imported 50,145 entries\n");
    assert_eq!(
        db(&sandbox, ["list", "to.db", "--prefix", r#"["elsewhere"]"#, "--keys"]).stdout().lines().count(),
        50_145
    );
    let removed = Connection::open(sandbox.path("to.db")).unwrap();
    removed
        .execute("delete from kv where k >= x'02656c7365776865726500' and k < x'02656c7365776865726501'", [])
        .unwrap();
    drop(removed);
    // Without the state of the import, the entries would be conflicts.
    db(&sandbox, ["import", "to.db", "lines"]).stdout();
    assert!(entries(&sandbox, "to.db") == entries(&sandbox, "from.db"));
    let error = db(&sandbox, ["import", "to.db", "lines"]).stderr();
    assert!(error.contains("line 1: "), "{error}");
}

#[test]
fn watch_prints_changes_of_other_processes() {
    let sandbox = Sandbox::new();
    db(&sandbox, ["set", "kv.db", "[1]", "1"]).stdout();
    let mut command = sandbox.command(["db", "watch", "kv.db", "[1]", "[2]"]);
    let mut watching = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut output = BufReader::new(watching.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!([output.next().unwrap(), output.next().unwrap()], ["[1] 1", "[2] (deleted)"]);
    db(&sandbox, ["set", "kv.db", "[2]", "{ a: 2n }"]).stdout();
    assert_eq!(output.next().unwrap(), "[2] { a: 2n }");
    db(&sandbox, ["delete", "kv.db", "[1]"]).stdout();
    assert_eq!(output.next().unwrap(), "[1] (deleted)");
}
