//! Storage faults in scripts. `torture faults` makes each call of SQLite to the disk fail, below the engine.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use rusqlite::Connection;

use crate::support::{Running, Sandbox, repository};

/// Runs all operations on a database: see `tests/faults/probe.ts`.
fn probe(sandbox: &Sandbox, path: &str) -> String {
    sandbox.openkv(["-A", script("probe.ts").as_str(), path]).stdout()
}

fn script(name: &str) -> String {
    repository("tests/faults").join(name).to_str().unwrap().to_owned()
}

/// Creates a database of 300 entries, in a file with this name.
fn database(sandbox: &Sandbox, name: &str) -> Vec<u8> {
    sandbox.openkv(["-A", script("make.ts").as_str(), name]).stdout();
    fs::read(sandbox.path(name)).unwrap()
}

#[test]
fn open_error_states_the_reason() {
    let sandbox = Sandbox::new();
    let good = database(&sandbox, "good.sqlite3");
    fs::create_dir(sandbox.path("directory")).unwrap();
    sandbox.write("text", "This is not a database, but a text. ".repeat(200));
    sandbox.write("short", "short");
    sandbox.write("truncated", &good[..20_000]);
    sandbox.write("empty pages", [&good[..4096], &vec![0; good.len() - 4096]].concat());
    sandbox.write("newer", &good);
    let newer = Connection::open(sandbox.path("newer")).unwrap();
    newer.execute("update migration_state set version = 9", []).unwrap();
    drop(newer);

    let corrupt = "it is corrupt: check it, and restore it from a backup";
    for (path, error) in [
        ("directory", "unable to open database file: directory: it is a directory".to_owned()),
        ("missing/kv", "unable to open database file: missing/kv: directory missing does not exist".into()),
        ("text/kv", "unable to open database file: text/kv: text is not a directory".into()),
        ("text", "file is not a database: text".into()),
        ("short", "file is not a database: short".into()),
        ("truncated", format!("database disk image is malformed: truncated: {corrupt}")),
        ("empty pages", format!("database disk image is malformed: empty pages: {corrupt}")),
        (
            "newer",
            "the database file has format version 9, and this program supports versions up to 3: use a newer one"
                .into(),
        ),
    ] {
        assert_eq!(probe(&sandbox, path), format!("open: Error: {error}\n"), "{path}");
    }

    // Without the fault, all operations succeed.
    fs::create_dir(sandbox.path("missing")).unwrap();
    fs::write(sandbox.path("truncated"), &good).unwrap();
    for path in ["missing/kv", "truncated"] {
        assert!(!probe(&sandbox, path).contains("Error"), "{path}");
    }
}

#[test]
fn flipped_bits_never_crash_the_process() {
    let sandbox = Sandbox::new();
    let good = database(&sandbox, "good.sqlite3");
    // The pattern covers page headers, cell pointers, keys and values.
    let files = (0..120).map(|i: usize| {
        let mut bad = good.clone();
        for j in 0..1 + i % 8 {
            let at = (i * 7919 + j * 104_729 + (i % 5) * 4096) % bad.len();
            bad[at] ^= 1 << ((i + j) % 8);
            // The header of a page is the most sensitive.
            let at = at / 4096 * 4096 + (i + j) % 16;
            bad[at] ^= 0x55;
        }
        let name = format!("{i}.sqlite3");
        sandbox.write(&name, bad);
        name
    });
    let files: Vec<_> = files.collect();
    let args = ["-A".to_owned(), script("probe.ts")].into_iter().chain(files);
    let stdout = sandbox.openkv(args).stdout();
    let errors: Vec<_> = stdout.lines().filter(|line| line.contains("Error: ")).collect();
    assert!(errors.len() > 20, "{stdout}");
    for error in errors {
        let known = [
            "Error: the database is corrupt: ",
            "Error: the database failed: ",
            "Error: a stored value of ",
            "Error: a stored key is corrupt: ",
            "RangeError: could not deserialize value",
            "open: Error: file is not a database: ",
            "open: Error: database disk image is malformed: ",
        ];
        assert!(known.iter().any(|known| error.contains(known)), "{error}");
    }
}

/// Runs the probe as an unprivileged user: root runs it without the capabilities that override file modes.
fn probe_unprivileged(sandbox: &Sandbox, path: &str) -> String {
    let args = ["-A".to_owned(), script("probe.ts"), path.to_owned()];
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-dac_override,-dac_read_search", env!("CARGO_BIN_EXE_openkv")]).args(args);
        command.current_dir(sandbox.path("")).env("NO_COLOR", "1").env("DENO_DIR", sandbox.path("deno_dir"));
        command
    } else {
        sandbox.command(args)
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn read_only_file_can_be_read_but_not_written() {
    let sandbox = Sandbox::new();
    let allow = |name: &str, mode| fs::set_permissions(sandbox.path(name), PermissionsExt::from_mode(mode)).unwrap();
    database(&sandbox, "kv.sqlite3");
    fs::create_dir(sandbox.path("directory")).unwrap();
    fs::copy(sandbox.path("kv.sqlite3"), sandbox.path("directory/kv.sqlite3")).unwrap();
    allow("kv.sqlite3", 0o444);
    allow("directory/kv.sqlite3", 0o666);
    allow("directory", 0o555);

    let error = "TypeError: Can not write to a read-only database.";
    let stdout = probe_unprivileged(&sandbox, "kv.sqlite3");
    let expected = format!(
        "open: ok\nget: ok 1\nlist: ok 301\nset: {error}\nsum: {error}\nenqueue: {error}\nwatch: ok 1\nclose: ok\n"
    );
    assert_eq!(stdout, expected);

    let stdout = probe_unprivileged(&sandbox, "directory/kv.sqlite3");
    let reason = "directory/kv.sqlite3: both the file and its directory must be writable";
    assert_eq!(stdout, format!("open: Error: attempt to write a readonly database: {reason}\n"));
    let stdout = probe_unprivileged(&sandbox, "directory/new.sqlite3");
    let reason = "directory/new.sqlite3: this user has no permission to open or create it";
    assert_eq!(stdout, format!("open: Error: unable to open database file: {reason}\n"));

    allow("directory", 0o777);
    assert!(!probe_unprivileged(&sandbox, "directory/kv.sqlite3").contains("Error"));
}

#[test]
fn full_disk_is_an_error_until_there_is_space() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("disk")).unwrap();
    let run = format!(
        "mount -t tmpfs -o size=4M none disk && head -c 1000000 /dev/zero > disk/ballast && exec '{}' -A '{}'",
        env!("CARGO_BIN_EXE_openkv"),
        script("full.ts")
    );
    // Mounts a small disk in a new namespace. Systems that do not allow this skip the test.
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", &run]).current_dir(sandbox.path("")).env("NO_COLOR", "1");
    let output = match command.output() {
        Ok(output) if !["unshare: ", "mount: "].iter().any(|by| output.stderr.starts_with(by.as_bytes())) => output,
        other => return eprintln!("skipped: failed to mount a small disk: {other:?}"),
    };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let full = "Error: the disk is full: database or disk is full";
    let expected = format!(
        "set: {full}\nall stored entries are listed: true\nget: ok 60000\nset: {full}\nlarge set: {full}\nspace\nset: \
         ok\nlarge set: ok\nall stored entries are listed: true\n"
    );
    assert_eq!(stdout, expected);
}

#[test]
fn deleted_or_replaced_file_rejects_writes() {
    let sandbox = Sandbox::new();
    let stdout = sandbox.openkv(["-A", script("gone.ts").as_str()]).stdout();
    let gone = "Error: the database file was deleted or moved while it was open: kv.sqlite3";
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(
        lines,
        [
            &format!("set in a deleted file: {gone}"),
            &format!("enqueue to a deleted file: {gone}"),
            "set in a new file: ok",
            "get from a deleted file: ok 0",
            &format!("set in a replaced file: {gone}"),
            "get from the replacement: ok 1",
        ]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn acknowledged_writes_survive_the_loss_of_the_wal() {
    let sandbox = Sandbox::new();
    for suffix in ["wal", "shm"] {
        for action in ["kill", "write", "close"] {
            let name = format!("{suffix}-{action}.sqlite3");
            let output = sandbox.openkv(["-A", script("companions.ts").as_str(), suffix, action]);
            assert_eq!((output.code, output.stderr.as_str()), ((action != "kill").then_some(0), ""), "{name}");
            let refused = format!(
                "write: Error: {name}-{suffix} was deleted or replaced while the database was open, and writes are no longer \
                 possible: all earlier writes are saved: close the database, and open it again\n"
            );
            assert_eq!(output.stdout, if action == "close" { "" } else { &refused }, "{name}");
            let read = "const kv = await Deno.openKv(Deno.args[0]);
                const entries = await kv.getMany([['before'], ['other'], ['after']]);
                console.log(...entries.map(({ value }) => value));";
            sandbox.write("read.ts", read);
            let expected = if suffix == "shm" { "1 1 null\n" } else { "1 null null\n" };
            assert_eq!(sandbox.openkv(["-A", "read.ts", &name]).stdout(), expected, "{name}");
        }
    }
}

#[cfg(unix)]
#[test]
fn locked_file_does_not_block_other_files() {
    use std::io::{BufRead, BufReader};

    let sandbox = Sandbox::new();
    let lock = Connection::open(sandbox.path("locked.sqlite3")).unwrap();
    lock.execute_batch("create table t (c); begin exclusive").unwrap();
    let text = "
        const locked = Deno.openKv('locked.sqlite3').then(() => 'locked', (error) => error.message);
        const other = Deno.openKv('other.sqlite3').then(async (kv) => (await kv.set(['a'], 1), 'other'));
        console.log(await Promise.race([locked, other]));
        console.log(await locked);
        Deno.exit(0);
    ";
    sandbox.write("main.ts", text);
    let mut command = sandbox.command(["-A", "main.ts"]);
    let mut running = Running(command.stdout(std::process::Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("other"));
    lock.execute_batch("commit").unwrap();
    assert_eq!(lines.next().as_deref(), Some("locked"));
}

#[test]
fn open_database_needs_no_further_descriptors() {
    let sandbox = Sandbox::new();
    let command = format!("ulimit -n 64; exec {} run -A {}", env!("CARGO_BIN_EXE_openkv"), script("descriptors.ts"));
    let output = Command::new("sh").args(["-c", &command]).current_dir(sandbox.path("")).output().unwrap();
    let expected = "Too many open files (os error 24): open '/dev/null'
1 2
1 0
true 2
true 1 unable to open database file: FILE: too many open files: close some, or raise the limit of the process
true
true 1 unable to open database file: FILE: too many open files: close some, or raise the limit of the process
";
    let printed = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(printed, (expected.into(), String::new()));
}
