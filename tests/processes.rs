//! Several processes on one file.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use openkv_engine::sqlite::{self, Location, Options, wait_closed};
use openkv_engine::{AtomicWrite, Enqueue, Key, Mutation, Value};
use rusqlite::Connection;

use crate::support::{Sandbox, TIMEOUT, repository};

/// Starts a script of `tests/processes`.
fn start(sandbox: &Sandbox, script: &str, args: &[&str]) -> Child {
    let script = repository("tests/processes").join(script);
    let mut command = Command::new(env!("CARGO_BIN_EXE_openkv"));
    command.arg("-A").arg(script).args(args).current_dir(sandbox.path("")).env("NO_COLOR", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("openkv starts")
}

/// Waits for a script to succeed. Returns what it printed.
#[track_caller]
fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{}: {stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Counts the messages that are in the queue or in flight.
fn messages(sandbox: &Sandbox) -> i64 {
    let file = Connection::open(sandbox.path("kv.sqlite3")).unwrap();
    let count = "select (select count(*) from queue) + (select count(*) from queue_running)";
    file.query_row(count, [], |row| row.get(0)).unwrap()
}

#[test]
fn racing_writers_lose_nothing_and_observers_see_it() {
    let sandbox = Sandbox::new();
    let mut observer = start(&sandbox, "observe.ts", &["kv.sqlite3", "50"]);
    let mut printed = BufReader::new(observer.stdout.take().unwrap()).lines();
    assert_eq!(printed.next().unwrap().unwrap(), "ready");

    let writers: Vec<_> = (0..8).map(|_| start(&sandbox, "increment.ts", &["kv.sqlite3", "200"])).collect();
    finish(start(&sandbox, "ping.ts", &["kv.sqlite3", "50"]));
    writers.into_iter().for_each(|writer| drop(finish(writer)));
    let number =
        sandbox.run("const kv = await Deno.openKv('kv.sqlite3'); console.log((await kv.get(['number'])).value);");
    assert_eq!(number.stdout(), "1600\n");

    let delays: Vec<Vec<u32>> =
        printed.map(|line| line.unwrap().split(' ').map(|number| number.parse().unwrap()).collect()).collect();
    assert!(observer.wait().unwrap().success());
    let [watched, received] = delays.try_into().unwrap();
    // A watch may skip overwritten values, a queue must not skip messages.
    assert!(watched[0] >= 25 && received[0] == 50, "{watched:?} {received:?}");
    // Only the median, because test machines are under load.
    assert!(watched[1] < 100 && received[1] < 100, "{watched:?} {received:?}");
}

#[test]
fn every_message_is_delivered_once() {
    let sandbox = Sandbox::new();
    finish(start(&sandbox, "fill.ts", &["kv.sqlite3", "2000"]));
    finish(start(&sandbox, "drain.ts", &["kv.sqlite3", "2000"]));
    assert_eq!(finish(start(&sandbox, "deliveries.ts", &["kv.sqlite3"])), "2000 2000n\n");
    assert_eq!(messages(&sandbox), 0);
}

#[test]
fn every_message_is_delivered_after_the_listener_is_killed() {
    let sandbox = Sandbox::new();
    finish(start(&sandbox, "fill.ts", &["kv.sqlite3", "2000"]));
    let mut listener = start(&sandbox, "drain.ts", &["kv.sqlite3", "2000"]);
    while messages(&sandbox) > 1500 {
        assert!(listener.try_wait().unwrap().is_none(), "the listener exited before it was killed");
    }
    listener.kill().unwrap();
    listener.wait().unwrap();

    let left = messages(&sandbox);
    assert!(left > 0, "the listener was killed too late");
    finish(start(&sandbox, "drain.ts", &["kv.sqlite3", &left.to_string()]));
    let deliveries = finish(start(&sandbox, "deliveries.ts", &["kv.sqlite3"]));
    assert!(deliveries.starts_with("2000 "), "{deliveries}");
    assert_eq!(messages(&sandbox), 0);
}

#[test]
fn listeners_of_several_processes_share_messages() {
    let sandbox = Sandbox::new();
    finish(start(&sandbox, "fill.ts", &["kv.sqlite3", "1000"]));
    let mut listeners: Vec<_> = (0..3).map(|_| start(&sandbox, "drain.ts", &["kv.sqlite3", "1000"])).collect();
    while messages(&sandbox) > 0 {
        assert!(listeners.iter_mut().all(|listener| listener.try_wait().unwrap().is_none()));
    }
    for listener in &mut listeners {
        listener.kill().unwrap();
        listener.wait().unwrap();
    }
    assert_eq!(finish(start(&sandbox, "deliveries.ts", &["kv.sqlite3"])), "1000 1000n\n");
}

#[test]
fn processes_create_a_database_concurrently() {
    let sandbox = Sandbox::new();
    for file in ["1.sqlite3", "2.sqlite3", "3.sqlite3"] {
        let writers: Vec<_> = (0..8).map(|_| start(&sandbox, "increment.ts", &[file, "5"])).collect();
        writers.into_iter().for_each(|writer| drop(finish(writer)));
        let script = format!("const kv = await Deno.openKv('{file}'); console.log((await kv.get(['number'])).value);");
        assert_eq!(sandbox.run(&script).stdout(), "40\n");
    }
}

#[test]
fn blobs_keep_their_contents_in_other_processes() {
    let sandbox = Sandbox::new();
    finish(start(&sandbox, "blobs.ts", &["kv.sqlite3", "write"]));
    let read = finish(start(&sandbox, "blobs.ts", &["kv.sqlite3", "read"]));
    let expected = "blob 7 text/plain in blob\nfile true n.txt text/x 5 blob!\nnested in\nkey 1,2,3\n\
        exception AbortError: message\nmessage in blob\n";
    assert_eq!(read, expected);
}

/// Returns a `Blob` of 5 bytes as Deno stores it, with the id of a part in the memory of a process.
fn blob_of_another_process() -> Vec<u8> {
    let mut bytes = b"\xff\x10\\\xff\xff\xff\xff\x0fo".to_vec();
    bytes.extend(b"\"\x04type\"\x04Blob\"\x08mimeType\"\x00\"\x05partsA\x01o");
    bytes.extend(b"\"\x04uuid\"\x24ae73abef-29f0-40df-9ee7-0c8135666222\"\x04sizeI\x0a{\x02$\x00\x01");
    bytes.extend(b"\"\x04sizeI\x0a{\x04");
    bytes
}

#[test]
fn blob_without_contents_fails_by_itself() {
    let sandbox = Sandbox::new();
    let database = sqlite::open(Location::file(sandbox.path("kv.sqlite3")), Options::default()).unwrap();
    let write = AtomicWrite::new()
        .mutate(Mutation::set(Key::from(["a"]), Value::V8(blob_of_another_process())))
        .mutate(Mutation::set(Key::from(["b"]), Value::U64(5)))
        .enqueue(Enqueue::new(blob_of_another_process()));
    database.write_blocking(write).unwrap().into_result().unwrap();
    drop(database);
    wait_closed(TIMEOUT);

    let script = r#"
        const kv = await Deno.openKv("kv.sqlite3");
        const outcome = (call) => call.catch((error) => `${error.name}: ${error.message}`);
        for await (const { value } of kv.list({ prefix: [] })) {
            console.log(value, value instanceof Blob ? await outcome(value.text()) : "");
        }
        const { value } = await kv.get(["a"]);
        console.log(await outcome(kv.set(["c"], value)), (await kv.get(["c"])).versionstamp);
        const message = await new Promise((resolve) => kv.listenQueue(resolve));
        console.log(message, await outcome(message.text()));
        kv.close();
    "#;
    let lost = "TypeError: Blob part not found";
    let blob = "Blob { size: 5, type: \"\" }";
    let expected = format!("{blob} {lost}\n[Deno.KvU64: 5n] \n{lost} null\n{blob} {lost}\n");
    assert_eq!(sandbox.run(script).stdout(), expected);
}
