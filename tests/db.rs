//! `openkv db`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use rusqlite::Connection;

use crate::support::{Output, Running, Sandbox, repository};

/// Starts a script, and waits for its first line.
fn start(sandbox: &Sandbox, script: &Path, args: &[&str]) -> Running {
    let mut command = sandbox.command(["run", "-A"]);
    let mut running = Running(command.arg(script).args(args).stdout(Stdio::piped()).spawn().expect("openkv starts"));
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "writing\n");
    running
}

fn db<const N: usize>(sandbox: &Sandbox, args: [&str; N]) -> Output {
    sandbox.openkv(["db"].into_iter().chain(args))
}

/// Writes entries of every encoding, one that expires, and messages.
fn fill(sandbox: &Sandbox, file: &str) {
    let script = "
        const kv = await Deno.openKv(Deno.args[0]);
        for (let i = 0; i < 300; i++) await kv.set(['text', i], 'x'.repeat(1000));
        await kv.atomic().sum(['number'], 5n).set(['bytes'], new Uint8Array(10)).commit();
        await kv.set(['soon'], 1, { expireIn: 3_600_000 });
        await kv.enqueue('later', { delay: 3_600_000 });
        await kv.enqueue('now');
        kv.close();
    ";
    sandbox.write("fill.ts", script);
    assert_eq!(sandbox.openkv(["run", "-A", "fill.ts", file]).stdout(), "");
}

fn numbers(file: &Path) -> [i64; 2] {
    let file = Connection::open(file).unwrap();
    [&b"\x02first\0"[..], b"\x02second\0"].map(|key| {
        let value = file.query_row("select v from kv where k = ?1", [key], |row| row.get::<_, [u8; 8]>(0));
        i64::from_le_bytes(value.unwrap())
    })
}

#[test]
fn backups_are_consistent_under_load() {
    let sandbox = Sandbox::new();
    let script = repository("tests/processes/pairs.ts");
    let _writers = [0, 1].map(|_| start(&sandbox, &script, &["kv.sqlite3"]));
    let mut last = 0;
    for i in 0..8 {
        let name = format!("backup{i}.sqlite3");
        let printed = db(&sandbox, ["backup", "kv.sqlite3", &name]).stdout();
        assert!(printed.starts_with(&format!("{name}: ")), "{printed}");
        let [first, second] = numbers(&sandbox.path(&name));
        assert_eq!(first, second, "backup {i}");
        assert!(first >= last, "backup {i}");
        last = first;
        let checked = db(&sandbox, ["check", &name]).stdout();
        assert!(checked.starts_with("ok: "), "{checked}");
        // The writers continue.
        while numbers(&sandbox.path("kv.sqlite3"))[0] <= last {}
    }
    assert!(db(&sandbox, ["check", "kv.sqlite3"]).stdout().starts_with("ok: "));
    assert!(!sandbox.path("backup0.sqlite3-wal").exists());
    let script = "const kv = await Deno.openKv('backup0.sqlite3'); console.log((await kv.get(['first'])).value > 0n);";
    assert_eq!(sandbox.run(script).stdout(), "true\n");
}

#[test]
fn info_counts_entries_and_messages() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "kv.sqlite3");
    let before = std::fs::read(sandbox.path("kv.sqlite3")).unwrap();
    let shown = db(&sandbox, ["info", "kv.sqlite3"]).stdout();
    for line in [
        "format version        3",
        "entries               303",
        "  V8 values           301",
        "  64-bit integers     1",
        "  bytes               1",
        "expired entries       0, to be removed",
        "messages waiting      2, 1 of them ready",
        "messages in flight    0",
        "commit ids            0",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert!(shown.contains("next expiry           in "), "{shown}");

    let json = db(&sandbox, ["info", "kv.sqlite3", "--json"]).stdout();
    sandbox.write("info.json", json);
    let script = "
        const info = JSON.parse(Deno.readTextFileSync('info.json'));
        const { formatVersion, entries, encodings, messagesWaiting, messagesReady } = info;
        console.log(JSON.stringify({ formatVersion, entries, encodings, messagesWaiting, messagesReady }));
        const kv = await Deno.openKv('kv.sqlite3');
        console.log(Math.abs(info.nextExpiry - Date.now() - 3_600_000) < 600_000);
        const { versionstamp } = await kv.get(['soon']);
        console.log(info.lastVersionstamp > versionstamp, info.fileBytes === Deno.statSync('kv.sqlite3').size);
    ";
    let expected = "{\"formatVersion\":3,\"entries\":303,\"encodings\":{\"v8\":301,\"u64\":1,\"bytes\":1,\"unknown\":0},\
        \"messagesWaiting\":2,\"messagesReady\":1}\ntrue\ntrue true\n";
    assert!(std::fs::read(sandbox.path("kv.sqlite3")).unwrap() == before);
    assert_eq!(sandbox.run(script).stdout(), expected);
}

#[test]
fn queue_prints_messages() {
    let sandbox = Sandbox::new();
    let script = "
        const kv = await Deno.openKv('kv.sqlite3');
        await kv.enqueue('later', { delay: 7_200_000, backoffSchedule: [1, 2], keysIfUndelivered: [['failed', 1n]] });
        await kv.enqueue('now', { backoffSchedule: [] });
        kv.close();
    ";
    sandbox.run(script).stdout();
    let shown = db(&sandbox, ["queue", "kv.sqlite3"]).stdout();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0], "due, 7 bytes, up to 0 retries");
    assert!(lines[1].starts_with("due in 2 hours, "), "{shown}");
    assert!(lines[1].ends_with(", 9 bytes, up to 2 retries, then to [\"failed\", 1n]"), "{shown}");
    assert_eq!(db(&sandbox, ["queue", "kv.sqlite3", "--limit", "1"]).stdout().lines().count(), 1);

    // A message in flight.
    let script = "
        const kv = await Deno.openKv('kv.sqlite3');
        kv.listenQueue(async () => {
            const command = new Deno.Command(Deno.execPath(), { args: ['db', 'queue', '--json', 'kv.sqlite3'] });
            const { inFlight, waiting } = JSON.parse(new TextDecoder().decode((await command.output()).stdout));
            console.log(inFlight.length, atob(inFlight[0].message).endsWith('now'), inFlight[0].time > Date.now());
            console.log(waiting.length, waiting[0].backoffSchedule, waiting[0].keysIfUndelivered);
            kv.close();
        });
    ";
    assert_eq!(sandbox.run(script).stdout(), "1 true true\n1 [ 1, 2 ] [ '[\"failed\", 1n]' ]\n");
}

#[test]
fn restore_rejects_open_files_and_keeps_versionstamps_increasing() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "kv.sqlite3");
    db(&sandbox, ["backup", "kv.sqlite3", "backup.sqlite3"]).stdout();
    let script = "
        const kv = await Deno.openKv('kv.sqlite3');
        const { versionstamp } = await kv.set(['lost'], 1);
        console.log(versionstamp);
    ";
    let seen = sandbox.run(script).stdout();

    // Another process has the file open, but is idle.
    sandbox.write(
        "idle.ts",
        "const kv = await Deno.openKv('kv.sqlite3'); await kv.get(['a']); console.log('writing'); setInterval(() => kv, 1e6);",
    );
    let idle = start(&sandbox, Path::new("idle.ts"), &[]);
    let error = db(&sandbox, ["restore", "backup.sqlite3", "kv.sqlite3", "--force"]).stderr();
    assert_eq!(error, "error: kv.sqlite3: another process has it open: stop it first\n");
    drop(idle);

    let refused = db(&sandbox, ["restore", "backup.sqlite3", "kv.sqlite3"]).stderr();
    assert_eq!(refused, "error: kv.sqlite3: the file already exists: --force overwrites it\n");
    db(&sandbox, ["restore", "backup.sqlite3", "kv.sqlite3", "--force"]).stdout();
    sandbox.write("seen", seen);
    let script = "
        const kv = await Deno.openKv('kv.sqlite3');
        console.log((await kv.get(['lost'])).value, (await kv.get(['number'])).value);
        const { versionstamp } = await kv.set(['next'], 1);
        console.log(versionstamp > Deno.readTextFileSync('seen').trim());
    ";
    assert_eq!(sandbox.run(script).stdout(), "null [Deno.KvU64: 5n]\ntrue\n");

    db(&sandbox, ["restore", "backup.sqlite3", "new.sqlite3"]).stdout();
    assert_eq!(db(&sandbox, ["check", "new.sqlite3"]).stdout(), "ok: 303 entries, 2 messages\n");
}

#[test]
fn compact_shrinks_an_open_file() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "kv.sqlite3");
    let script = "
        const kv = await Deno.openKv('kv.sqlite3');
        for (let i = 0; i < 300; i++) await kv.delete(['text', i]);
        const compact = new Deno.Command(Deno.execPath(), { args: ['db', 'compact', 'kv.sqlite3'] });
        const size = () => Deno.statSync('kv.sqlite3').size;
        const before = size();
        const { code, stdout } = await compact.output();
        console.log(code, size() < before / 4, new TextDecoder().decode(stdout).split('\\n')[0]);
        console.log((await kv.set(['more'], 1)).ok, (await kv.get(['number'])).value);
    ";
    let expected = "0 true expired entries removed: 0\ntrue [Deno.KvU64: 5n]\n";
    assert_eq!(sandbox.run(script).stdout(), expected);
    assert_eq!(db(&sandbox, ["check", "kv.sqlite3"]).stdout(), "ok: 4 entries, 2 messages\n");
}

#[test]
fn check_names_corruption_and_salvage_saves_the_rest() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "kv.sqlite3");
    let whole = std::fs::read(sandbox.path("kv.sqlite3")).unwrap();
    for offset in (0..whole.len()).step_by(whole.len() / 15) {
        let mut bytes = whole.clone();
        bytes[offset] ^= 0x55;
        sandbox.write("corrupt.sqlite3", bytes);
        let checked = db(&sandbox, ["check", "corrupt.sqlite3"]);
        assert!(matches!(checked.code, Some(0 | 1)), "{offset}: {checked:?}");
        assert_eq!(checked.code == Some(0), checked.stdout.starts_with("ok: "), "{offset}: {checked:?}");
        assert!(!checked.stderr.contains("panicked"), "{offset}: {checked:?}");
    }

    let mut bytes = whole;
    let middle = bytes.len() / 8192 * 4096;
    bytes[middle..][..4096].fill(0);
    sandbox.write("corrupt.sqlite3", bytes);
    let checked = db(&sandbox, ["check", "corrupt.sqlite3"]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(1), ""));
    assert!(checked.stdout.contains("; restore a backup, or salvage\n"), "{}", checked.stdout);
    assert!(checked.stdout.ends_with("See docs/recovery.md.\n"), "{}", checked.stdout);
    let refused = db(&sandbox, ["restore", "corrupt.sqlite3", "new.sqlite3"]).stderr();
    assert!(refused.starts_with("error: corrupt.sqlite3: the file is corrupt: "), "{refused}");
    assert!(!sandbox.path("new.sqlite3").exists());

    let saved = db(&sandbox, ["salvage", "corrupt.sqlite3", "saved.sqlite3"]);
    assert_eq!((saved.code, saved.stderr.as_str()), (Some(1), ""));
    let lost = saved.stdout.lines().filter(|line| line.starts_with("entry [\"text\", ")).count();
    assert!(lost > 0, "{}", saved.stdout);
    let last = format!("saved.sqlite3: {} entries, 2 messages saved\n", 303 - lost);
    assert!(saved.stdout.ends_with(&last), "{}", saved.stdout);
    let expected = format!("ok: {} entries, 2 messages\n", 303 - lost);
    assert_eq!(db(&sandbox, ["check", "saved.sqlite3"]).stdout(), expected);
}

#[test]
fn errors_name_the_file_and_create_none() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "kv.sqlite3");
    sandbox.write("directory/file", "");
    sandbox.write("text", "A text that is longer than the header of a database. ".repeat(20));
    for command in ["info", "queue", "check", "compact"] {
        let error = |file| db(&sandbox, [command, file]);
        assert_eq!(error("missing").stderr(), "error: missing: no such file\n");
        assert_eq!(error("directory").stderr(), "error: directory: this is a directory, not a file\n");
        let text = error("text");
        assert_eq!(text.code, Some(1), "{text:?}");
        let said = format!("{}{}", text.stdout, text.stderr);
        assert!(said.contains("this is not an SQLite database, or its first page is corrupt"), "{said}");
    }
    for command in ["backup", "restore", "salvage"] {
        assert_eq!(db(&sandbox, [command, "missing", "to"]).stderr(), "error: missing: no such file\n");
        let same = db(&sandbox, [command, "kv.sqlite3", "kv.sqlite3", "--force"]).stderr();
        assert_eq!(same, "error: kv.sqlite3: this is the file to read from\n");
        let directory = db(&sandbox, [command, "kv.sqlite3", "directory", "--force"]).stderr();
        assert_eq!(directory, "error: directory: this is a directory, not a file\n");
        let exists = db(&sandbox, [command, "kv.sqlite3", "text"]).stderr();
        assert_eq!(exists, "error: text: the file already exists: --force overwrites it\n");
    }
    assert!(!sandbox.path("missing").exists() && !sandbox.path("to").exists());
    let connection = Connection::open(sandbox.path("kv.sqlite3")).unwrap();
    connection.execute("update migration_state set version = 4", []).unwrap();
    let newer = "error: kv.sqlite3: the database file has format version 4, and this program supports versions up to 3: use a \
        newer one\n";
    assert_eq!(db(&sandbox, ["info", "kv.sqlite3"]).stderr(), newer);
    assert_eq!(db(&sandbox, ["backup", "kv.sqlite3", "to"]).stderr(), newer);
}

#[cfg(unix)]
#[test]
fn failed_backup_leaves_no_files() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "kv.sqlite3");
    // The file size limit of the shell, in blocks of 512 bytes or 1 KiB, simulates a full disk.
    let limited = "trap '' XFSZ; ulimit -f 100; exec \"$0\" db backup kv.sqlite3 to.sqlite3";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_openkv")]).current_dir(sandbox.path("")).env("NO_COLOR", "1");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "), "{output:?}");
    let names = std::fs::read_dir(sandbox.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("to.sqlite3")));
}

/// Returns the files in progress, or left over, of commands that create `to.sqlite3`.
#[cfg(unix)]
fn partial(sandbox: &Sandbox) -> Vec<String> {
    let entries = std::fs::read_dir(sandbox.path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("to.sqlite3")).collect()
}

/// Starts a command that creates `to.sqlite3`, and sends it a signal once it has started to. Returns its exit code, or `None` if the
/// signal terminated it.
#[cfg(unix)]
fn interrupt(sandbox: &Sandbox, args: &[&str], signal: &str) -> Option<i32> {
    let before = partial(sandbox);
    let mut command = sandbox.command(["db"].iter().chain(args));
    // The tests may run in the background, or under `nohup`, where these signals are ignored.
    let reset = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
            // SAFETY: it is allowed between `fork` and `exec`.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: see above.
    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, reset) };
    let mut running = Running(command.stdout(Stdio::null()).spawn().unwrap());
    while partial(sandbox) == before && running.0.try_wait().unwrap().is_none() {}
    let pid = running.0.id().to_string();
    std::process::Command::new("kill").args([signal, &pid]).stderr(Stdio::null()).status().unwrap();
    running.0.wait().unwrap().code()
}

#[cfg(unix)]
#[test]
fn interrupted_salvage_leaves_no_files() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "kv.sqlite3");
    // Salvage waits for the lock, with its files in progress.
    let lock = Connection::open(sandbox.path("kv.sqlite3")).unwrap();
    lock.execute_batch("pragma locking_mode = exclusive; begin immediate").unwrap();
    let salvage = ["salvage", "kv.sqlite3", "to.sqlite3"];
    for (signal, code) in [("-HUP", 129), ("-INT", 130), ("-TERM", 143)] {
        assert_eq!(interrupt(&sandbox, &salvage, signal), Some(code));
        assert!(partial(&sandbox).is_empty(), "{signal}: {:?}", partial(&sandbox));
    }
    assert_eq!(interrupt(&sandbox, &salvage, "-KILL"), None);
    assert_eq!(partial(&sandbox).len(), 1);
    // The next command removes the leftovers of a killed one, but not the files of a running one.
    let mut command = sandbox.command(["db"].iter().chain(&salvage));
    let mut running = Running(command.stdout(Stdio::null()).spawn().unwrap());
    let left = partial(&sandbox);
    while partial(&sandbox) == left || partial(&sandbox).len() != 1 {}
    let live = partial(&sandbox);
    assert_eq!(interrupt(&sandbox, &salvage, "-KILL"), None);
    assert!(partial(&sandbox).contains(&live[0]), "{:?}", partial(&sandbox));
    drop(lock);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    db(&sandbox, ["backup", "kv.sqlite3", "to.sqlite3", "--force"]).stdout();
    assert_eq!(partial(&sandbox), ["to.sqlite3"]);
}

#[cfg(unix)]
#[test]
fn interrupted_backup_and_restore_leave_no_files() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "kv.sqlite3");
    let file = Connection::open(sandbox.path("kv.sqlite3")).unwrap();
    file.execute_batch("create table other (c); insert into other values (zeroblob(50000000))").unwrap();
    drop(file);
    for command in ["backup", "restore"] {
        // A command may be done before the signal arrives.
        let interrupted = (0..20).any(|_| {
            let code = interrupt(&sandbox, &[command, "kv.sqlite3", "to.sqlite3"], "-TERM");
            let left = partial(&sandbox);
            match code {
                Some(143) if left.is_empty() => true,
                Some(0 | 143) if left == ["to.sqlite3"] => {
                    std::fs::remove_file(sandbox.path("to.sqlite3")).unwrap();
                    code == Some(143)
                }
                code => panic!("{command}: {code:?}, {left:?}"),
            }
        });
        assert!(interrupted, "{command}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn foreign_objects_and_hard_links_are_rejected() {
    let sandbox = Sandbox::new();
    fill(&sandbox, "kv.sqlite3");
    std::fs::hard_link(sandbox.path("kv.sqlite3"), sandbox.path("link.sqlite3")).unwrap();
    let linked = |file: &str| {
        format!(
            "error: {file}: this file has hard links, and opening it by two names would corrupt it: remove the other names, or copy it\n"
        )
    };
    assert_eq!(db(&sandbox, ["backup", "link.sqlite3", "to"]).stderr(), linked("link.sqlite3"));
    assert_eq!(db(&sandbox, ["compact", "kv.sqlite3"]).stderr(), linked("kv.sqlite3"));
    let script = "try { await Deno.openKv('kv.sqlite3'); } catch (error) { console.log(`error: ${error.message}`); }";
    assert_eq!(sandbox.run(script).stdout(), linked("kv.sqlite3"));
    // Reading a backup with several names is allowed.
    assert!(db(&sandbox, ["check", "link.sqlite3"]).stdout().starts_with("ok: "));
    std::fs::remove_file(sandbox.path("link.sqlite3")).unwrap();

    let file = Connection::open(sandbox.path("kv.sqlite3")).unwrap();
    file.execute_batch("create index costly on kv (length(randomblob(length(v))))").unwrap_err();
    file.execute_batch("create index costly on kv (length(hex(v)))").unwrap();
    let foreign = "error: kv.sqlite3: the file contains an object that is not part of the Deno KV format, index costly: drop it, or salvage the file\n";
    for command in ["info", "queue", "check", "compact"] {
        assert_eq!(db(&sandbox, [command, "kv.sqlite3"]).stderr(), foreign, "{command}");
    }
    assert_eq!(sandbox.run(script).stdout(), foreign);
    db(&sandbox, ["salvage", "kv.sqlite3", "saved.sqlite3"]).stdout();
    assert!(db(&sandbox, ["check", "saved.sqlite3"]).stdout().starts_with("ok: 303 entries, 2 messages"));
}
