//! The permissions of scripts: compares the outcomes of calls with the tables in `tests/permissions`.

use assert_cmd::Command;

use crate::support::{Output, Sandbox, TIMEOUT, read_repository, repository};

/// Runs the calls of a table with each of its sets of flags, and compares the outcomes.
#[track_caller]
fn assert_matches(table: &str) {
    let mut command = Command::new(repository("tests/permissions/run"));
    let output = command.args([table, env!("CARGO_BIN_EXE_openkv"), "run"]).timeout(TIMEOUT).output().unwrap();
    let (actual, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    let expected = read_repository(&format!("tests/permissions/{table}"));
    let (actual, expected) = (calls(&actual), calls(&expected));
    assert_eq!(actual.len(), expected.len(), "{stderr}");
    let differing: Vec<_> = actual.iter().zip(&expected).filter(|(actual, expected)| actual != expected).collect();
    let messages: Vec<_> =
        differing.iter().map(|(actual, expected)| format!("{actual}differs from\n{expected}")).collect();
    assert!(messages.is_empty(), "{}\n{stderr}", messages.join("\n"));
}

/// Splits a table into its calls, each with its outcomes.
fn calls(table: &str) -> Vec<String> {
    let mut calls: Vec<String> = Vec::new();
    for line in table.lines() {
        match calls.last_mut() {
            Some(call) if line.starts_with("  ") => *call += &format!("{line}\n"),
            _ => calls.push(format!("{line}\n")),
        }
    }
    calls
}

macro_rules! permissions {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                assert_matches(concat!(stringify!($name), ".txt"));
            }
        )*
    };
}

/// Creates a directory that scripts have no access to, with a database of one entry.
fn denied_database(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.write(
        "denied/make.ts",
        "const kv = await Deno.openKv('denied/x.db'); await kv.set(['secret'], 1); kv.close();",
    );
    assert_eq!(sandbox.openkv(["run", "-A", "denied/make.ts"]).stdout(), "");
    std::fs::remove_file(sandbox.path("denied/make.ts")).unwrap();
    sandbox.path("denied")
}

/// Returns the sorted names of the files in a directory.
fn names(directory: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[cfg(target_os = "linux")]
#[test]
fn directory_swapped_for_a_denied_one_is_not_opened() {
    let sandbox = Sandbox::new();
    let denied = denied_database(&sandbox);
    std::fs::create_dir(sandbox.path("own")).unwrap();
    let denied_name = denied.display().to_string();
    let permissions = ["read", "write"].map(|kind| format!("--deny-{kind}={denied_name}"));
    let script = repository("tests/permissions/swap.ts").display().to_string();
    let own = sandbox.path("own").display().to_string();
    let args = ["run", "--no-prompt", "--allow-read", "--allow-write", &permissions[0], &permissions[1], &script, &own];
    assert_eq!(sandbox.openkv(args.into_iter().chain([denied_name.as_str()])).stdout(), "secrets read: 0\n");
    let rows =
        rusqlite::Connection::open(denied.join("x.db"))
            .unwrap()
            .query_row("select count(*) from kv", [], |row| row.get(0));
    assert_eq!(rows, Ok(1));
    assert_eq!(names(&denied), ["x.db"]);
}

/// A journal can name any file as its super-journal, which SQLite deletes after it has rolled back the journal.
#[cfg(unix)]
#[test]
fn forged_journal_does_not_delete_denied_files() {
    let sandbox = Sandbox::new();
    let denied = denied_database(&sandbox);
    let script = "
        const [own, denied] = Deno.args;
        (await Deno.openKv(`${own}/x.db`)).close();
        while ([...Deno.readDirSync(own)].length > 1) await new Promise((resolve) => setTimeout(resolve, 1));
        const magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
        const name = new TextEncoder().encode(denied);
        const bytes = (...numbers) => numbers.flatMap((n) => [n >> 24, n >> 16, n >> 8, n]);
        const header = [...magic, ...bytes(0, 0, Deno.statSync(`${own}/x.db`).size / 4096, 512, 4096)];
        const sum = name.reduce((sum, byte) => sum + byte, 0);
        const end = [...bytes(0x40000000 / 4096 + 1), ...name, ...bytes(name.length, sum), ...magic];
        const journal = new Uint8Array(512 + end.length);
        journal.set(header);
        journal.set(end, 512);
        Deno.writeFileSync(`${own}/x.db-journal`, journal);
        for (let i = 0; i < 2; i++) {
            try {
                (await Deno.openKv(`${own}/x.db`)).close();
            } catch (error) {
                console.log(error.message);
            }
        }
    ";
    sandbox.write("forge.ts", script);
    std::fs::create_dir(sandbox.path("own")).unwrap();
    let own = sandbox.path("own").display().to_string();
    let permissions = ["read", "write"].map(|kind| format!("--allow-{kind}={own}"));
    let file = denied.join("x.db").display().to_string();
    sandbox.openkv(["run", "--no-prompt", &permissions[0], &permissions[1], "forge.ts", &own, &file]).stdout();
    assert_eq!(names(&denied), ["x.db"]);
    assert!(!sandbox.path("own/x.db-journal").exists(), "the journal was rolled back");
}

/// Runs a script that changes its environment and then calls `open`, in a directory with `home` and `other`.
fn with_environment(sandbox: &Sandbox, set: &[(&str, &str)], change: &str, flags: &[&str], open: &str) -> String {
    for directory in ["home", "other"] {
        std::fs::create_dir_all(sandbox.path(directory)).unwrap();
    }
    let script = format!(
        "{change};
        try {{ await {open}; console.log('done'); }} catch (error) {{ console.log(error.message.split(/[\"(]/)[0].trim()); }}"
    );
    sandbox.write("main.ts", script);
    let mut command = sandbox.command(["run", "--no-prompt"].iter().chain(flags).chain(&["main.ts"]));
    command.env_remove("DENO_DIR").env("HOME", sandbox.path("home")).env_remove("XDG_CACHE_HOME");
    let output = command.envs(set.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn default_database_is_determined_by_the_initial_environment() {
    let open = "Deno.openKv()";
    for (set, change, flags, place) in [
        (
            &[][..],
            "Deno.env.set('DENO_DIR', Deno.env.get('HOME') + '/../other')",
            &["--allow-env"][..],
            "home/.cache/deno",
        ),
        (
            &[],
            "Deno.env.set('XDG_CACHE_HOME', Deno.env.get('HOME') + '/../other')",
            &["--allow-env"],
            "home/.cache/deno",
        ),
        (&[], "Deno.env.set('HOME', Deno.env.get('HOME') + '/../other')", &["--allow-env"], "home/.cache/deno"),
        (&[("XDG_CACHE_HOME", "xdg")], "Deno.env.delete('XDG_CACHE_HOME')", &["--allow-env"], "xdg/deno"),
        (&[("DENO_DIR", "dir")], "Deno.env.delete('DENO_DIR')", &["--allow-env"], "dir"),
        (&[("DENO_DIR", "dir")], "Deno.chdir('other')", &["--allow-read"], "dir"),
    ] {
        let sandbox = Sandbox::new();
        assert_eq!(with_environment(&sandbox, set, change, flags, open), "done\n", "{change}");
        assert!(sandbox.path(place).join("location_data").is_dir(), "{change}");
        assert_eq!(names(&sandbox.path("other")), [""; 0], "{change}");
    }
}

/// As on Deno, these variables are read when a database is opened, and their paths need permission.
#[test]
fn database_that_a_variable_names_needs_permission() {
    for (change, open, expected) in [
        ("Deno.env.set('DENO_KV_DEFAULT_PATH', 'other/x.db')", "Deno.openKv()", "Requires read access to\n"),
        ("Deno.env.set('DENO_KV_PATH_PREFIX', 'other/')", "Deno.openKv('x.db')", "Requires read access to\n"),
        ("Deno.env.set('DENO_KV_PATH_PREFIX', 'other/')", "Deno.openKv(':memory:')", "Requires read access to\n"),
        ("Deno.env.set('DENO_KV_DB_MODE', 'memory')", "Deno.openKv('other/x.db')", "done\n"),
        ("Deno.env.set('DENO_KV_DB_MODE', 'disk')", "Deno.openKv('other/x.db')", "Requires read access to\n"),
    ] {
        let sandbox = Sandbox::new();
        assert_eq!(with_environment(&sandbox, &[], change, &["--allow-env"], open), expected, "{change}");
        assert_eq!(names(&sandbox.path("other")), [""; 0], "{change}");
    }
}

/// Scripts cannot read files or change the trusted certificates by setting variables.
#[test]
fn trusted_certificates_are_determined_by_the_initial_environment() {
    let connect = "Deno.connectTls({ hostname: '127.0.0.1', port: 4 })";
    for change in ["Deno.env.set('DENO_CERT', 'main.ts')", "Deno.env.set('DENO_TLS_CA_STORE', 'unknown')"] {
        let flags = ["--allow-env", "--allow-net"];
        let output = with_environment(&Sandbox::new(), &[], change, &flags, connect);
        assert_eq!(output, "Connection refused\n", "{change}");
        let name = change.split('\'').nth(1).unwrap();
        let set = [(name, "unknown")];
        let output = with_environment(&Sandbox::new(), &set, &format!("Deno.env.delete('{name}')"), &flags, connect);
        assert_ne!(output, "Connection refused\n", "{name}");
    }
}

/// `NODE_EXTRA_CA_CERTS` adds authorities to those of `DENO_TLS_CA_STORE`. A file that cannot be used is ignored.
#[test]
fn extra_certificates_are_trusted() {
    let sandbox = Sandbox::new();
    let certificates = read_repository("tests/certificate.ts");
    let authority = certificates.split('`').nth(1).unwrap();
    sandbox.write("authority.pem", authority);
    sandbox.write("certificate.ts", &certificates);
    let script = "import { cert, key } from './certificate.ts';
        const server = Deno.serve({ port: 0, cert, key, onListen() {} }, () => new Response('trusted'));
        const request = fetch(`https://localhost:${server.addr.port}/`).then((response) => response.text());
        console.log(await request.catch((error) => error.cause.message.includes('UnknownIssuer')));
        await server.shutdown();";
    sandbox.write("main.ts", script);
    let run = |file: Option<&str>| {
        let mut command = sandbox.command(["run", "-N", "main.ts"]);
        command.env_remove("NODE_EXTRA_CA_CERTS").env("NO_PROXY", "localhost");
        command.envs(file.map(|file| ("NODE_EXTRA_CA_CERTS", file)));
        Output::of(command, "")
    };
    assert_eq!(run(Some("authority.pem")).stdout(), "trusted\n");
    assert_eq!(run(None).stdout(), "true\n");
    let output = run(Some("missing.pem"));
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "true\n"));
    assert!(output.stderr.starts_with("Warning NODE_EXTRA_CA_CERTS is ignored: "), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
}

permissions!(dns env ffi import net no_permission query read read_and_write run sys unix write);
permissions!(node_files node_net node_system);

#[cfg(unix)]
mod terminal {
    use std::time::Instant;

    use rexpect::session::{PtySession, spawn_command};

    use crate::support::{Sandbox, TIMEOUT};

    /// Starts a script that reads a file, for which the user is prompted on a terminal.
    fn prompting(sandbox: &Sandbox) -> PtySession {
        sandbox.write("file", "text");
        sandbox.write(
            "main.ts",
            "try { console.log('read', Deno.readTextFileSync('file')); } catch (error) { console.log(error.message); }",
        );
        // A short timeout, as input before the prompt is complete is discarded.
        spawn_command(sandbox.command(["run", "main.ts"]), Some(300)).unwrap()
    }

    /// Types an answer repeatedly, until the expected output is printed.
    #[track_caller]
    fn answer(session: &mut PtySession, answer: &str, expected: &str) {
        let start = Instant::now();
        while session.exp_string(expected).is_err() {
            assert!(start.elapsed() < TIMEOUT, "\"{expected}\" is not printed");
            session.send_line(answer).unwrap();
        }
    }

    #[test]
    fn user_grants_permission_at_the_prompt() {
        let sandbox = Sandbox::new();
        let mut session = prompting(&sandbox);
        answer(&mut session, "y", "Granted read access to \"file\".");
        answer(&mut session, "", "read text");
    }

    #[test]
    fn user_denies_permission_at_the_prompt() {
        let sandbox = Sandbox::new();
        let mut session = prompting(&sandbox);
        answer(&mut session, "n", "Denied read access to \"file\".");
        answer(&mut session, "", "Requires read access to \"file\", run again with the --allow-read flag");
    }
}
