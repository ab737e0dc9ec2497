//! The files after a script has exited, and after `close()`.

use rusqlite::Connection;

use crate::support::{Output, Sandbox};

const FILE: &str = "kv.sqlite3";

/// Runs a script with a database opened as `kv`.
fn run(sandbox: &Sandbox, script: &str) -> Output {
    sandbox.run(&format!("const kv = await Deno.openKv('{FILE}');\n{script}"))
}

fn count(sandbox: &Sandbox, table: &str) -> i64 {
    let file = Connection::open(sandbox.path(FILE)).unwrap();
    file.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0)).unwrap()
}

fn has_wal(sandbox: &Sandbox) -> bool {
    sandbox.path(&format!("{FILE}-wal")).exists()
}

#[test]
fn every_exit_leaves_a_single_file() {
    let endings = [
        ("", 0),
        ("kv.set(['b'], 2);", 0),
        ("kv.set(['b'], 2); Deno.exit(3);", 3),
        ("kv.set(['b'], 2); throw new Error('thrown');", 1),
        ("kv.set(['b'], 2); Promise.reject(new Error('rejected')); await new Promise(() => {});", 1),
        ("kv.listenQueue(() => {}); kv.watch([['a']]); kv.set(['b'], 2); Deno.exit();", 0),
        ("setTimeout(() => { kv.set(['b'], 2); Deno.exit(); }); for await (const _ of kv.watch([['a']]));", 0),
        (
            "Deno.addSignalListener('SIGTERM', () => Deno.exit(4)); Deno.kill(Deno.pid, 'SIGTERM'); setTimeout(() => {}, 1e5);",
            4,
        ),
    ];
    for (ending, code) in endings {
        let sandbox = Sandbox::new();
        let output = run(&sandbox, &format!("await kv.set(['a'], 1); await kv.get(['a']);\n{ending}"));
        assert_eq!(output.code, Some(code), "{ending}: {}", output.stderr);
        assert!(!has_wal(&sandbox), "{ending}");
        assert_eq!(count(&sandbox, "kv"), if ending.contains("'b'") { 2 } else { 1 }, "{ending}");
    }
}

#[test]
fn exiting_listener_loses_no_message() {
    let sandbox = Sandbox::new();
    let enqueue = "for (let i = 0; i < 20; i++) await kv.enqueue(i, { backoffSchedule: [] });";
    assert_eq!(run(&sandbox, enqueue).code, Some(0));
    // The handler of the first message terminates the process, with more messages claimed.
    let endings = ["Deno.exit()", "queueMicrotask(() => { throw 0; })", "Deno.kill(Deno.pid, 'SIGKILL')"];
    let mut handled = std::collections::BTreeSet::new();
    for i in 0.. {
        if handled.len() == 20 {
            break;
        }
        assert!(i < 60, "{handled:?} were handled");
        let script = format!("kv.listenQueue((i) => {{ console.log(i); {}; }});", endings[i % endings.len()]);
        for line in run(&sandbox, &script).stdout.lines() {
            handled.insert(line.parse::<u32>().unwrap());
        }
    }
}

#[test]
fn handler_finishes_its_message_after_close() {
    let sandbox = Sandbox::new();
    let script = "
        await kv.enqueue('message', { keysIfUndelivered: [['undelivered']] });
        const { promise: closed, resolve: close } = Promise.withResolvers();
        const listening = kv.listenQueue(async () => { kv.close(); await closed; });
        await listening;
        // The file is complete now.
        Deno.copyFileSync('kv.sqlite3', 'copy.sqlite3');
        close();
    ";
    run(&sandbox, script).stdout();
    assert_eq!((count(&sandbox, "queue"), count(&sandbox, "queue_running")), (0, 0));
    assert!(!has_wal(&sandbox));
    let copy = Connection::open(sandbox.path("copy.sqlite3")).unwrap();
    let running: i64 = copy.query_row("select count(*) from queue_running", [], |row| row.get(0)).unwrap();
    assert_eq!(running, 1);
}

#[test]
fn exit_with_running_handlers_leaves_a_single_file() {
    for close in ["kv.close();", ""] {
        for end in ["", "throw 0;", "Deno.exit();"] {
            if (close, end) == ("", "") {
                // It would listen forever.
                continue;
            }
            let sandbox = Sandbox::new();
            let script = format!(
                "for (let i = 0; i < 5; i++) await kv.enqueue(i, {{ backoffSchedule: [7, 8] }});
                 let started = 0;
                 await new Promise((resolve) => {{
                   kv.listenQueue(() => {{ if (++started === 5) resolve(); return new Promise(() => {{}}); }});
                 }});
                 {close} {end}"
            );
            run(&sandbox, &script);
            assert!(!has_wal(&sandbox), "{close} {end}");
            // One attempt of each message counts.
            let file = Connection::open(sandbox.path(FILE)).unwrap();
            let left: i64 = file
                .query_row("select count(*) from queue where backoff_schedule = '[8]'", [], |row| row.get(0))
                .unwrap();
            assert_eq!(left, 5, "{close} {end}");
        }
    }
}

#[test]
fn close_stops_running_reads() {
    let sandbox = Sandbox::new();
    run(&sandbox, "").stdout();
    let mut file = Connection::open(sandbox.path(FILE)).unwrap();
    let insert = file.transaction().unwrap();
    for i in 0..100_000_u32 {
        let sql = "insert into kv (k, v, v_encoding, version, expiration_ms) values (?1, x'', 3, 1, 1)";
        insert
            .prepare_cached(sql)
            .unwrap()
            .execute([[&[2][..], &i.to_be_bytes().map(|byte| byte | 1), &[0]].concat()])
            .ok();
    }
    insert.commit().unwrap();
    drop(file);
    let script = "
        const reads = [kv.list({ prefix: [] }, { limit: 1 }).next(), kv.count({ prefix: [] })];
        await kv.set(['late'], 1);
        kv.close();
        Deno.copyFileSync('kv.sqlite3', 'copy.sqlite3');
        for (const result of await Promise.allSettled(reads)) {
          if (result.reason) console.log(result.reason.name);
        }
    ";
    let output = run(&sandbox, script).stdout();
    assert!(output.lines().all(|line| line == "BadResource"), "{output}");
    assert!(!has_wal(&sandbox));
    let copy = Connection::open(sandbox.path("copy.sqlite3")).unwrap();
    let late: i64 = copy.query_row("select count(*) from kv where expiration_ms < 0", [], |row| row.get(0)).unwrap();
    assert_eq!(late, 1);
}

#[test]
fn close_in_a_handler_requeues_claimed_messages() {
    let sandbox = Sandbox::new();
    let script = "
        for (let i = 0; i < 10; i++) await kv.enqueue(i, { backoffSchedule: [] });
        await kv.listenQueue((i) => { console.log(i); kv.close(); });
    ";
    assert_eq!(run(&sandbox, script).stdout(), "0\n");
    assert_eq!((count(&sandbox, "queue"), count(&sandbox, "queue_running")), (9, 0));
}

#[test]
fn close_does_not_wait_for_locks_of_other_processes() {
    let sandbox = Sandbox::new();
    run(&sandbox, "await kv.set(['a'], 1);").stdout();
    let other = Connection::open(sandbox.path(FILE)).unwrap();
    other.execute_batch("begin immediate").unwrap();
    sandbox.write(
        "close.ts",
        "
        const kv = await Deno.openKv('kv.sqlite3');
        const written = kv.set(['b'], 2);
        const start = performance.now();
        kv.close();
        console.log(performance.now() - start < 1000 ? 'closed' : 'waited');
        console.log((await written).ok);
        ",
    );
    let mut command = sandbox.command(["run", "-A", "close.ts"]);
    let mut script = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(script.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "closed");
    other.execute_batch("rollback").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "true");
    assert!(script.wait().unwrap().success());
    drop(other);
    assert_eq!(count(&sandbox, "kv"), 2);
}
