//! Compatibility with database files of Deno: see `testdata/databases/make`.

use std::fs;

use rusqlite::Connection;

use crate::support::{Sandbox, read_repository, repository};

/// Copies a database of Deno into the sandbox. Returns its path.
fn denos_database(sandbox: &Sandbox) -> String {
    let path = sandbox.path("deno.sqlite3");
    fs::copy(repository("testdata/databases/deno.sqlite3"), &path).unwrap();
    path.to_str().unwrap().to_owned()
}

fn read(sandbox: &Sandbox, database: &str) -> String {
    let script = repository("testdata/databases/read.ts");
    sandbox.openkv(["-A", script.to_str().unwrap(), database]).stdout()
}

#[test]
fn reads_what_deno_wrote() {
    let sandbox = Sandbox::new();
    let database = denos_database(&sandbox);
    assert_eq!(read(&sandbox, &database), read_repository("testdata/databases/deno.txt"));
}

#[test]
fn continues_the_versions_of_deno() {
    let sandbox = Sandbox::new();
    let database = denos_database(&sandbox);
    let script = r#"
        const kv = await Deno.openKv(Deno.args[0]);
        const counter = await kv.get<Deno.KvU64>(["counter"]);
        const { versionstamp } = await kv.atomic().check(counter).sum(["counter"], 1n).commit();
        console.log((await kv.get(["counter"])).value, versionstamp > counter.versionstamp);
        kv.close();
    "#;
    sandbox.write("main.ts", script);
    assert_eq!(sandbox.openkv(["-A", "main.ts", &database]).stdout(), "[Deno.KvU64: 43n] true\n");
}

#[test]
fn file_has_the_tables_and_bytes_of_deno() {
    let sandbox = Sandbox::new();
    let ours = sandbox.path("ours.sqlite3");
    let script = repository("testdata/databases/write.ts");
    sandbox.openkv(["-A", script.to_str().unwrap(), ours.to_str().unwrap()]).stdout();

    let [ours, theirs] =
        [ours.to_str().unwrap(), &denos_database(&sandbox)].map(|path| Connection::open(path).unwrap());
    let dump = |file: &Connection, sql: &str| -> Vec<Vec<rusqlite::types::Value>> {
        let mut statement = file.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|i| row.get(i)).collect()).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for sql in [
        "select type, name, tbl_name from sqlite_schema order by name",
        "select t.name, c.* from sqlite_schema t, pragma_table_info(t.name) c where t.type = 'table' order by 1, 2",
        "select t.name, i.seqno, i.name from sqlite_schema t, pragma_index_info(t.name) i where t.type = 'index' order by 1, 2",
        "select * from migration_state",
        "pragma journal_mode",
        // A stored error contains the path of the script that created it, and expiry depends on the time of writing.
        "select k, v, v_encoding, seq, expiration_ms > 0 from kv where k <> x'0276616c756500026572726f7200' order by k",
    ] {
        let rows = dump(&theirs, sql);
        assert!(!rows.is_empty(), "{sql}");
        assert_eq!(dump(&ours, sql), rows, "{sql}");
    }
}
