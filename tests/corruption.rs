//! Corrupt and malicious database files: scripts get an error, and continue.

use rusqlite::Connection;

use crate::support::Sandbox;

/// Returns a host object in V8's format, with the serialized value `ty` as its type.
fn host_object(ty: &[u8]) -> Vec<u8> {
    [b"\xff\x0f\\\xff\xff\xff\xff\x0fo\"\x04type", ty, b"{\x01"].concat()
}

/// Returns objects of unknown types, named by a string and by another value, with the expected error messages.
fn unknown_objects() -> [(Vec<u8>, &'static str); 2] {
    let named = r#"could not deserialize value: this host has no "None""#;
    [(host_object(b"\"\x04None"), named), (host_object(b"o{\x00"), "could not deserialize value")]
}

/// Creates a database with a script, and changes its file.
fn database(sandbox: &Sandbox, script: &str, change: impl FnOnce(&Connection)) {
    let script = format!(r#"const kv = await Deno.openKv("db"); {script}; kv.close();"#);
    sandbox.run(&script).stdout();
    change(&Connection::open(sandbox.path("db")).unwrap());
}

#[test]
fn stored_object_of_an_unknown_type_is_an_error() {
    for (bytes, message) in unknown_objects() {
        let sandbox = Sandbox::new();
        database(&sandbox, r#"await kv.set(["a"], 1); await kv.set(["b"], 2)"#, |file| {
            assert_eq!(file.execute("update kv set v = ?1 where version = 1", [&bytes]).unwrap(), 1);
        });
        let script = r#"
            const kv = await Deno.openKv("db");
            await kv.get(["a"]).catch((error) => console.log(error.name, error.message));
            console.log((await kv.get(["b"])).value);
            kv.close();
        "#;
        assert_eq!(sandbox.run(script).stdout(), format!("RangeError {message}\n2\n"));
    }
}

#[test]
fn corrupt_value_is_the_same_error_in_a_list() {
    // Each is the value between two others.
    let values: [&[u8]; 9] = [
        b"\xff\x10o\"\x01aI",
        b"\xff\x10o\"\x01aI\x02{\x02",
        b"\xff\x10A\xff\xff\xff\xff\x0fI\x02$\x00\xff\xff\xff\xff\x0f",
        b"\xff\x10;I\x02:\x01",
        b"\xff\x10-",
        b"\xff\x10",
        b"\xff\x11I\x02",
        // What follows a value is ignored.
        b"\xff\x10I\x02I\x04",
        b"\xff\x10I\x02$\x00\x03",
    ];
    for bytes in values {
        let sandbox = Sandbox::new();
        let script = r#"for (const key of ["a", "b", "c"]) await kv.set([key], { key })"#;
        database(&sandbox, script, |file| {
            assert_eq!(file.execute("update kv set v = ?1 where version = 2", [&bytes]).unwrap(), 1);
        });
        let script = r#"
            const kv = await Deno.openKv("db");
            const outcome = (promise) => promise.then(Deno.inspect, String);
            const values = async (selector) => (await Array.fromAsync(kv.list(selector))).map((entry) => entry.value);
            const got = await outcome(kv.get(["b"]).then((entry) => [{ key: "a" }, entry.value, { key: "c" }]));
            const listed = await outcome(values({ prefix: [] }));
            console.log(got === listed, listed);
            console.log(await values({ start: ["c"], end: ["d"] }));
            kv.close();
        "#;
        let output = sandbox.run(script).stdout();
        assert!(output.starts_with("true ") && output.ends_with("\n[ { key: \"c\" } ]\n"), "{bytes:?}: {output}");
    }
}

#[test]
fn message_of_an_unknown_type_fails_its_handler() {
    for (bytes, message) in unknown_objects() {
        let sandbox = Sandbox::new();
        let enqueue = r#"await kv.enqueue(1, { backoffSchedule: [], keysIfUndelivered: [["undelivered"]] })"#;
        database(&sandbox, enqueue, |file| {
            assert_eq!(file.execute("update queue set data = ?1", [&bytes]).unwrap(), 1);
        });
        let script = r#"
            const kv = await Deno.openKv("db");
            const handled = kv.listenQueue((message) => console.log("handled", message));
            const watched = kv.watch([["undelivered"]], { raw: true }).getReader();
            try {
                while (!(await watched.read()).done);
            } catch (error) {
                console.log("undelivered:", error.name);
            }
            kv.close();
            await handled;
        "#;
        let output = sandbox.run(script);
        assert_eq!((output.code, output.stdout.as_str()), (Some(0), "undelivered: RangeError\n"), "{}", output.stderr);
        let expected = format!("Exception in queue handler RangeError: {message}\n");
        assert!(output.stderr.starts_with(&expected), "{}", output.stderr);
    }
}

#[test]
fn schema_of_a_file_runs_no_code() {
    let sandbox = Sandbox::new();
    database(&sandbox, r#"await kv.set(["a"], 1); await kv.set(["b"], 2)"#, |file| {
        let trigger = "create trigger forget after update on data_version begin delete from kv; end";
        file.execute_batch(trigger).unwrap();
    });
    let script = r#"
        const kv = await Deno.openKv("db");
        await kv.set(["a"], 3);
        console.log((await kv.get(["a"])).value, (await kv.get(["b"])).value);
    "#;
    assert_eq!(sandbox.run(script).stdout(), "3 2\n");

    let sandbox = Sandbox::new();
    database(&sandbox, r#"await kv.set(["a"], 1)"#, |file| {
        file.execute_batch("alter table kv rename to hidden; create view kv as select * from hidden").unwrap();
    });
    let script = r#"await Deno.openKv("db").catch((error) => console.log(error.name, error.message));"#;
    let refused = "Error db: the file contains an object that is not part of the Deno KV format, view kv: drop it, or salvage the file\n";
    assert_eq!(sandbox.run(script).stdout(), refused);
}
