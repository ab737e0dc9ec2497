//! `openkv task`.

use crate::support::{Output, Sandbox};

const CONFIG: &str = r#"{ "tasks": {
    "a": "echo A $1 $FOO",
    "b": { "description": "does b\nand more", "command": "echo B && exit 3", "dependencies": ["a"] },
    "both": { "dependencies": ["a", "b"] },
    "cycle": { "command": "echo", "dependencies": ["back"] },
    "back": { "command": "echo", "dependencies": ["cycle"] },
    "missing": { "dependencies": ["nothing"] },
    "where": "echo $INIT_CWD $PWD",
    "shell": "echo 1 | cat; X=1 && echo $X; exit 0 || echo never",
    "script": "deno run -A main.ts && openkv eval 'console.log(2)'",
    "quote": "echo \"",
    "e:1": "echo one",
    "e:2": "echo two >&2"
} }"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("deno.json", CONFIG);
    sandbox.write(
        "package.json",
        r#"{ "scripts": { "a": "echo never", "prefull": "echo pre", "full": "echo S", "postfull": "echo post" } }"#,
    );
    sandbox
}

#[track_caller]
fn assert_output(output: Output, code: i32, stdout: &str, stderr: &str) {
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (Some(code), stdout, stderr));
}

#[test]
fn task_runs_with_its_arguments() {
    let sandbox = sandbox();
    assert_output(
        sandbox.openkv(["task", "a", "x", "--help"]),
        0,
        "A x --help\n",
        "Task a echo A $1 $FOO 'x' '--help'\n",
    );
    assert_output(sandbox.openkv(["task", "-q", "a", "it's", ""]), 0, "A it's \n", "");
    assert_output(sandbox.openkv(["task", "-q", "shell"]), 0, "1\n1\n", "");
    assert_output(sandbox.openkv(["task", "--eval", "echo $0 && exit 4"]), 4, "\n", "Task  echo $0 && exit 4\n");
}

#[test]
fn dependencies_run_first_and_once() {
    let sandbox = sandbox();
    let stderr = "Task a echo A $1 $FOO\nTask b echo B && exit 3\n";
    assert_output(sandbox.openkv(["task", "b"]), 3, "A\nB\n", stderr);
    assert_output(sandbox.openkv(["task", "both"]), 3, "A\nB\n", stderr);
    assert_output(sandbox.openkv(["task", "cycle"]), 1, "", "Task cycle detected: cycle -> back -> cycle\n");
    let output = sandbox.openkv(["task", "missing"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    assert!(output.stderr.starts_with("Task not found: nothing\nAvailable tasks:\n"), "{output:?}");
}

#[test]
fn package_scripts_have_hooks_and_rank_below_tasks() {
    let sandbox = sandbox();
    let stderr = "Task prefull echo pre '1'\nTask full echo S '1'\nTask postfull echo post '1'\n";
    assert_output(sandbox.openkv(["task", "full", "1"]), 0, "pre 1\nS 1\npost 1\n", stderr);
    assert_eq!(sandbox.openkv(["task", "-q", "a"]).stdout(), "A\n");
    // Programs of npm packages are found.
    let program = sandbox.write("node_modules/.bin/installed", "#!/bin/sh\necho installed $1\n");
    #[cfg(unix)]
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    sandbox.write("package.json", r#"{ "scripts": { "run": "installed x" } }"#);
    assert_eq!(sandbox.openkv(["task", "-q", "run"]).stdout(), "installed x\n");
}

#[test]
fn concurrent_tasks_have_their_names_before_each_line() {
    let sandbox = sandbox();
    let output = sandbox.openkv(["task", "-q", "e:*"]);
    assert_output(output, 0, "[e:1] one\n", "[e:2] two\n");
    assert_output(sandbox.openkv(["task", "-q", "--no-prefix", "-j", "1", "e:*"]), 0, "one\n", "two\n");
    // A failure terminates the others.
    sandbox.write("deno.json", r#"{ "tasks": { "x:1": "sleep 1000", "x:2": "exit 5" } }"#);
    assert_output(sandbox.openkv(["task", "-q", "-j2", "x:*"]), 5, "", "");
}

#[test]
fn tasks_run_in_the_directory_of_their_file() {
    let sandbox = sandbox();
    sandbox.write("inner/file", "");
    let root = sandbox.path("").canonicalize().unwrap();
    let (root, inner) = (root.display(), root.join("inner"));
    let inner = inner.display();
    let mut command = sandbox.command(["task", "-q", "where"]);
    command.current_dir(sandbox.path("inner")).env_remove("INIT_CWD");
    assert_eq!(Output::of(command, "").stdout(), format!("{inner} {root}\n"));
    let mut command = sandbox.command(["task", "-q", "--cwd=inner", "where"]);
    command.env_remove("INIT_CWD");
    assert_eq!(Output::of(command, "").stdout(), format!("{root} {inner}\n"));
    let stderr = sandbox.openkv(["task", "--cwd=nothing", "where"]).stderr();
    assert!(stderr.starts_with("error: No such directory: "), "{stderr}");
}

#[test]
fn deno_in_a_task_is_this_program() {
    let sandbox = sandbox();
    sandbox.write("main.ts", "console.log(1, 'KvListIterator' in Deno)");
    let mut command = sandbox.command(["task", "-q", "script"]);
    // There is no other one.
    command.env("PATH", sandbox.path("nothing"));
    assert_eq!(Output::of(command, "").stdout(), "1 true\n2\n");
}

#[test]
fn tasks_are_listed() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "deno.json",
        r#"{ "workspace": ["./member"], "tasks": { "root": "echo root", "hidden": "echo \u001b[8m" } }"#,
    );
    sandbox.write(
        "member/deno.json",
        r#"{ "tasks": { "a": "echo a\necho b", "b": { "description": "does b", "dependencies": ["a", "root"] } } }"#,
    );
    sandbox.write("member/package.json", r#"{ "scripts": { "s": "echo s" } }"#);
    let mut command = sandbox.command(["task"]);
    command.current_dir(sandbox.path("member"));
    let list = "Available tasks:\n- a\n    echo a\n    echo b\n- b\n    // does b\n    depends on: a, root\n\
        - s (package.json)\n    echo s\n- root (workspace)\n    echo root\n- hidden (workspace)\n    echo [8m\n";
    assert_eq!(Output::of(command, "").stdout(), list);
    assert_output(sandbox.openkv(["task", "--if-present", "nothing"]), 0, "", "");
    let output = sandbox.openkv(["task", "nothing"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""));
    assert!(output.stderr.starts_with("Task not found: nothing\nAvailable tasks:\n- root\n"), "{output:?}");
}

#[test]
fn workspace_members_are_selected() {
    let sandbox = Sandbox::new();
    sandbox
        .write("deno.json", r#"{ "workspace": ["./a", "./b"], "tasks": { "t": "echo root", "only": "echo only" } }"#);
    sandbox.write("a/deno.json", r#"{ "name": "@x/a", "exports": "./m.ts", "tasks": { "t": "echo a" } }"#);
    let b = r#"{ "name": "@x/b", "exports": "./m.ts", "tasks": { "t": { "command": "echo b", "dependencies": ["u"] }, "u": "echo u" } }"#;
    sandbox.write("b/deno.json", b);
    let lines = |args: &[&str]| {
        let stdout = sandbox.openkv(["task", "-q"].iter().chain(args)).stdout();
        let mut lines: Vec<_> = stdout.lines().map(String::from).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&["-r", "t"]), ["     [t] root", "[@x/a#t] a", "[@x/b#t] b", "[@x/b#u] u"]);
    assert_eq!(lines(&["--members", "t"]), ["[@x/a#t] a", "[@x/b#t] b", "[@x/b#u] u"]);
    assert_eq!(lines(&["-f", "@x/a", "t"]), ["a"]);
    assert_eq!(lines(&["--filter=@x/*", "--no-prefix", "t"]), ["a", "b", "u"]);
    assert_eq!(lines(&["only"]), ["only"]);
    let output = sandbox.openkv(["task", "-r", "nothing"]);
    assert_output(output, 0, "", "No matching task or script 'nothing' found in selected packages.\n");
}

#[test]
fn errors_of_tasks_are_one_message() {
    let sandbox = sandbox();
    let output = sandbox.openkv(["task", "-q", "quote"]);
    let message = "error: Error parsing script 'quote'.\n\nCaused by:\n    Expected closing double quote.\n";
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.starts_with(message), "{output:?}");
    sandbox.write("deno.json", r#"{ "tasks": { "a": 1 } }"#);
    assert!(sandbox.openkv(["task", "a"]).stderr().starts_with("error: "), "an entry of the wrong type");
    let empty = Sandbox::new();
    for args in [&["task"][..], &["task", "a"]] {
        let stderr = empty.openkv(args).stderr();
        assert!(stderr.starts_with("error: openkv task couldn't find deno.json(c) or package.json."), "{stderr}");
    }
    for args in [&["task", "--jobs=0", "a"][..], &["task", "--nothing", "a"]] {
        assert_eq!(sandbox.openkv(args).code, Some(2), "{args:?}");
    }
}

#[cfg(unix)]
#[test]
fn signals_are_forwarded_to_the_processes_of_a_task() {
    use std::io::{BufRead, BufReader};

    let sandbox = Sandbox::new();
    sandbox.write("deno.json", r#"{ "tasks": { "wait": "deno run -A main.ts" } }"#);
    let script = "Deno.addSignalListener('SIGTERM', () => { console.log('terminated'); Deno.exit(9); });
        console.log('ready'); setInterval(() => {}, 1000);";
    sandbox.write("main.ts", script);
    let mut command = sandbox.command(["task", "-q", "wait"]);
    command.stdout(std::process::Stdio::piped());
    let mut process = crate::support::Running(command.spawn().unwrap());
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    // SAFETY: the process is a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(process.0.id() as i32, libc::SIGTERM) }, 0);
    assert_eq!(lines.next().unwrap().unwrap(), "terminated");
    assert_ne!(process.0.wait().unwrap().code(), Some(0));
}
