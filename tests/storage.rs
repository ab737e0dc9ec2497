//! `localStorage` and `sessionStorage`.

use crate::support::Sandbox;

#[test]
fn entries_are_accessible_as_properties_and_items() {
    let sandbox = Sandbox::new();
    let script = r#"
        const attempt = (run) => { try { return run(); } catch (e) { return `${e.name}: ${e.message}`; } };
        for (const storage of [localStorage, sessionStorage]) {
            console.log(storage.length, storage.getItem("a"), storage.a, storage.key(0), "a" in storage);
            storage.setItem("a", 1);
            storage.b = { toString: () => "object" };
            storage.getItem = "kept";
            console.log(storage.a, typeof storage.getItem, storage.getItem("getItem"), storage.length, storage.key(1));
            console.log(Object.keys(storage), JSON.stringify(storage), "a" in storage, Object.hasOwn(storage, "c"));
            console.log(delete storage.a, storage.removeItem("getItem"), storage);
            storage["x\0y"] = "\ud800";
            console.log([storage.key(1), storage["x\0y"]], storage instanceof Storage, storage.toString === undefined);
            storage[Symbol.for("s")] = 1;
            Object.defineProperty(storage, "d", { value: 5 });
            console.log(storage[Symbol.for("s")], { ...storage }.d, storage.key(99), storage.key(-1));
            storage.clear();
            console.log(storage.length, attempt(() => storage.getItem()), attempt(() => storage.setItem("a")));
            console.log(attempt(() => storage.setItem(Symbol("x"), "")), attempt(() => storage.setItem.call({}, "a", "b")));
        }
        console.log(attempt(() => new Storage()), localStorage === globalThis.localStorage);
        localStorage = 1;
        console.log(typeof localStorage, Object.getOwnPropertyDescriptor(globalThis, "Storage").enumerable);"#;
    let each = "0 null undefined null false\n1 function kept 3 b\n[ \"a\", \"b\" ] {\"a\":\"1\",\"b\":\"object\"} true false\n\
        true undefined Storage { b: \"object\", length: 1 }\n[ \"x\\x00y\", \"\u{fffd}\" ] true false\n1 5 null null\n\
        0 TypeError: Failed to execute 'getItem' on 'Storage': 1 argument required, but only 0 present \
        TypeError: Failed to execute 'setItem' on 'Storage': 2 arguments required, but only 1 present\n";
    let stdout = sandbox.run(script).stdout();
    assert_eq!(stdout.matches(each).count(), 2, "{stdout}");
    assert!(stdout.ends_with("TypeError: Illegal constructor true\nobject false\n"), "{stdout}");
}

#[test]
fn local_entries_persist_for_their_origin() {
    let sandbox = Sandbox::new();
    let count = "localStorage.runs = Number(localStorage.runs ?? 0) + 1; sessionStorage.runs = Number(sessionStorage.runs ?? 0) + 1;
        console.log(localStorage.runs, sessionStorage.runs);";
    sandbox.write("a.ts", count);
    sandbox.write("b.ts", count);
    let run = |args: &[&str]| sandbox.openkv(["run"].iter().chain(args)).stdout();
    assert_eq!(run(&["a.ts"]), "1 1\n");
    assert_eq!(run(&["a.ts"]), "2 1\n");
    assert_eq!(run(&["b.ts"]), "1 1\n", "another script has entries of its own");
    let example = "--location=https://example.com/a";
    assert_eq!(run(&[example, "a.ts"]), "1 1\n");
    assert_eq!(run(&["--location=https://example.com/b", "b.ts"]), "2 1\n");
    assert_eq!(run(&["--location=https://example.org/", "b.ts"]), "1 1\n");
    sandbox.write("deno.json", "{}");
    assert_eq!(run(&["a.ts"]), "1 1\n");
    assert_eq!(run(&["b.ts"]), "2 1\n", "scripts of a project share their entries");

    // The file is compatible with Deno.
    let directories = std::fs::read_dir(sandbox.path("deno_dir/location_data")).unwrap();
    let files: Vec<_> = directories.map(|entry| entry.unwrap().path().join("local_storage")).collect();
    assert_eq!(files.len(), 5);
    for file in files {
        assert!(!file.with_file_name("local_storage-wal").exists(), "the file was not closed at the end of the script");
        let connection = rusqlite::Connection::open(file).unwrap();
        let read = "SELECT count(*) FROM data WHERE key = 'runs'";
        assert_eq!(connection.query_row(read, [], |row| row.get::<_, u32>(0)), Ok(1));
    }
}

#[test]
fn storage_is_limited_to_10_mib() {
    let sandbox = Sandbox::new();
    let script = r#"const megabyte = "x".repeat(1 << 20);
        try { localStorage.a = megabyte.repeat(10); } catch (e) { console.log(e.name, e instanceof DOMException, e.message); }
        let count = 0;
        try { for (;;) { localStorage[count] = megabyte; count++; } } catch (e) { console.log(e.name, count); }
        localStorage.clear();
        localStorage.a = megabyte;
        console.log(localStorage.length);"#;
    let stdout = sandbox.run(script).stdout();
    let expected = "QuotaExceededError true Exceeded maximum storage size\nQuotaExceededError 10\n1\n";
    assert_eq!(stdout, expected);
}

#[test]
fn corrupt_file_throws_a_catchable_error() {
    let sandbox = Sandbox::new();
    let script = "try { localStorage.a = 1; console.log('stored'); } catch (e) { console.log(e.name, e.message); }";
    assert_eq!(sandbox.run(script).stdout(), "stored\n");
    let directory = std::fs::read_dir(sandbox.path("deno_dir/location_data")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(directory.join("local_storage"), "x".repeat(8192)).unwrap();
    let stdout = sandbox.run(script).stdout();
    assert!(stdout.starts_with("Error failed to open the file of localStorage \""), "{stdout}");
    assert!(stdout.ends_with("file is not a database\n"), "{stdout}");
}
