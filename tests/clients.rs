//! KV Connect with other programs: Deno, and Node with `@deno/kv`, as clients of `openkv db serve`, and our client of the `denokv`
//! server. Each runs the conformance suite, with known failures.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::{env, thread};

use crate::db_serve::{Served, TOKEN};
use crate::support::{Output, Sandbox, repository, say, skip};

/// The number of databases of a server: more than any script opens.
const DATABASES: usize = 300;

/// A known failure of tests with a client.
struct Failure {
    /// Part of the name of the script.
    script: &'static str,
    /// Part of the name of the test, or of its message.
    text: &'static str,
    reason: &'static str,
}

/// Tests that are not run, because they would not terminate, or may pass by chance.
struct Skipped {
    script: &'static str,
    /// Parts of the names of the tests.
    tests: &'static [&'static str],
    reason: &'static str,
}

/// A client with its known failures.
struct Client {
    name: &'static str,
    scripts: &'static [&'static str],
    failures: &'static [Failure],
    skipped: &'static [Skipped],
}

/// The results of the suite with a client.
#[derive(Default)]
struct Tally {
    passed: usize,
    /// Known differences of the client with any database.
    different: usize,
    skipped: usize,
    /// The number of tests that fail for each of the known reasons.
    known: Vec<usize>,
    unknown: Vec<String>,
}

impl Client {
    /// Runs all scripts, and prints how many tests passed. `command` returns the command of a script, with the server that it keeps
    /// running.
    fn run(&self, command: impl Fn(&Sandbox, &str) -> (Command, Option<Served>) + Sync) {
        let tally = Mutex::new(Tally { known: vec![0; self.failures.len()], ..Tally::default() });
        let scripts = Mutex::new(self.scripts.iter());
        let next = || scripts.lock().unwrap().next();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(script) = next() {
                        self.run_script(script, &command, &tally);
                    }
                });
            }
        });
        let mut tally = tally.into_inner().unwrap();
        let Tally { passed, different, skipped, .. } = tally;
        let lacking = tally.known.iter().sum::<usize>();
        say(&format!(
            "{}: {passed} passed, {different} differ, {lacking} known failures, {skipped} skipped",
            self.name
        ));
        for (Failure { script, text, reason }, count) in self.failures.iter().zip(&tally.known) {
            say(&format!("  {count} of {script:?}, {text:?}: {reason}"));
            if *count == 0 {
                tally.unknown.push(format!("no test of {script:?} failed with {text:?}, because {reason}"));
            }
        }
        assert!(tally.unknown.is_empty() && passed > 0, "{}:\n{}", self.name, tally.unknown.join("\n"));
    }

    fn run_script(
        &self,
        script: &str,
        command: &(impl Fn(&Sandbox, &str) -> (Command, Option<Served>) + Sync),
        tally: &Mutex<Tally>,
    ) {
        let sandbox = Sandbox::new();
        let skipped: Vec<_> = self.skipped.iter().filter(|skipped| skipped.script == script).collect();
        let (mut command, _server) = command(&sandbox, script);
        command.args(skipped.iter().flat_map(|skipped| skipped.tests));
        command.env("NO_COLOR", "1").current_dir(sandbox.path(""));
        let Output { code, stdout, stderr } = Output::of(command, "");

        let mut tally = tally.lock().unwrap();
        let failures = tally.unknown.len() + tally.known.iter().sum::<usize>();
        for block in blocks(&stdout) {
            match block.split_once(' ') {
                Some(("ok", _)) => tally.passed += 1,
                Some(("DIFFERENCE", _)) => tally.different += 1,
                Some(("skipped", _)) => tally.skipped += 1,
                _ => match self.failures.iter().position(|known| known.is(script, &block)) {
                    Some(i) => tally.known[i] += 1,
                    None => tally.unknown.push(format!("{script}: {block}")),
                },
            }
        }
        let has_failed = tally.unknown.len() + tally.known.iter().sum::<usize>() > failures;
        if code != Some(i32::from(has_failed)) {
            tally.unknown.push(format!("{script} exits with {code:?}: {stderr}"));
        }
        for Skipped { tests, reason, .. } in skipped {
            let is_skipped =
                |test: &&&str| stdout.lines().any(|line| line.starts_with("skipped ") && line.contains(**test));
            for test in tests.iter().filter(|test| !is_skipped(test)) {
                tally.unknown.push(format!("{script}: no test {test:?} was skipped because {reason}"));
            }
        }
    }
}

/// Starts a server of ours for a script of a client.
fn serve(sandbox: &Sandbox, client: &str, mut command: Command) -> (Command, Option<Served>) {
    let databases: Vec<_> = (0..DATABASES).map(|i| format!("\"{i}\": \":memory:\"")).collect();
    sandbox.write("serve.json", format!("{{ \"databases\": {{ {} }} }}", databases.join(", ")));
    let server = Served::start(sandbox, &["--config", "serve.json"]);
    command.args([&format!("remote-{client}"), &server.url]).env("DENO_KV_ACCESS_TOKEN", TOKEN);
    (command, Some(server))
}

impl Failure {
    fn is(&self, script: &str, block: &str) -> bool {
        script.contains(self.script) && block.contains(self.text)
    }
}

/// Splits the output into the lines of each test: the first is the result, the others the reason.
fn blocks(printed: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    for line in printed.lines() {
        match blocks.last_mut() {
            Some(block)
                if !["ok ", "not ok ", "DIFFERENCE ", "skipped "].iter().any(|start| line.starts_with(start)) =>
            {
                *block += "\n";
                *block += line;
            }
            _ => blocks.push(line.to_owned()),
        }
    }
    blocks
}

/// Returns whether a command can be run.
pub fn runs(command: &str) -> bool {
    Command::new(command).arg("--help").output().is_ok_and(|output| output.status.success())
}

/// Without the scripts `additions` and `messages`, which test classes, `queue`, which Deno does not support, and `order`, which
/// Deno does not guarantee here.
const DENO: Client = Client {
    name: "deno",
    scripts: &[
        "atomic", "blobs", "entries", "errors", "expiry", "inspect", "keys", "limits", "list", "options", "staging",
        "values", "watch",
    ],
    failures: &[
        Failure {
            script: "",
            text: "Enqueue operations are not supported in KV Connect",
            reason: "Deno does not support enqueue for remote databases",
        },
        Failure {
            script: "errors",
            text: "KV Connect failed to call ",
            reason: "Deno throws an Error for any rejection, which ends with the message of the server",
        },
        Failure {
            script: "watch",
            text: "raw emits an item for each write of a watched key, even without a change",
            reason: "the protocol reports changed keys, and deleting a missing key changes none",
        },
        Failure {
            script: "watch",
            text: "ten keys may be watched, and no more",
            reason: "a watch of no keys never ends for Deno, which opens its stream again, so the server refuses it",
        },
    ],
    skipped: &[
        Skipped {
            script: "blobs",
            tests: &["is restored from a queue"],
            reason: "it waits for a message that Deno cannot enqueue",
        },
        Skipped {
            script: "entries",
            tests: &["writes that are not awaited are committed in order"],
            reason: "Deno sends calls concurrently, so that they may overtake each other",
        },
        Skipped {
            script: "watch",
            tests: &["a slow reader misses items"],
            reason: "Deno buffers all items that the server sends, whose number depends on the speed of the machine",
        },
    ],
};

#[test]
fn deno_conforms_except_for_known_failures() {
    if !runs("deno") {
        return skip("deno", "as a client: it is not on the PATH");
    }
    DENO.run(|sandbox, script| {
        let mut command = Command::new("deno");
        command.args(["run", "-A", "--quiet", "--unstable-kv"]);
        command.arg(repository("tests/conformance").join(script).with_extension("ts"));
        serve(sandbox, DENO.name, command)
    });
}

/// Without the scripts `additions`, `errors`, `inspect`, `messages` and `options`, which test classes that differ in `@deno/kv`;
/// `queue` and `staging`, which need a listener; `blobs`, which Node does not serialize; `order`, which `@deno/kv` does not
/// guarantee; and `list`, which makes it loop endlessly over batches of one within a key that has a value itself.
const NODE: Client = Client {
    name: "node",
    scripts: &["atomic", "entries", "expiry", "keys", "limits", "values", "watch"],
    failures: &[
        Failure { script: "", text: "kv.commitVersionstamp is not a function", reason: "@deno/kv lacks it" },
        Failure { script: "atomic", text: "an operation is not a promise", reason: "@deno/kv does not check it" },
        Failure {
            script: "atomic",
            text: "a KvU64 holds 64 bits",
            reason: "the KvU64 of @deno/kv does not print its number",
        },
        Failure { script: "entries", text: "after '.close' is called", reason: "@deno/kv rejects a second close" },
        Failure { script: "expiry", text: "an expiry has a maximum", reason: "@deno/kv does not check it" },
        Failure {
            script: "limits",
            text: "rejects an empty key",
            reason: "@deno/kv rejects it earlier, or not at all",
        },
        Failure {
            script: "limits",
            text: "accepts keys of ",
            reason: "@deno/kv reads a range that ends with a shorter key",
        },
        Failure { script: "keys", text: "", reason: "@deno/kv checks keys itself, and treats -0 as 0" },
        Failure { script: "values", text: "", reason: "Node serializes and rejects other objects than Deno" },
    ],
    skipped: &[
        Skipped {
            script: "entries",
            tests: &["writes that are not awaited are committed in order"],
            reason: "each call uses its own connection, so that calls may overtake each other",
        },
        Skipped {
            script: "expiry",
            tests: &["an operation that checks an expired value enqueues"],
            reason: "@deno/kv does not support listeners",
        },
        Skipped {
            script: "watch",
            tests: &[
                "a change of one key",
                "commits that change no watched key",
                "raw emits an item",
                "several keys changed",
                "a slow reader",
                "a failed commit emits no item",
                "cancel closes",
                "closing the database",
                "disposing the database",
                "a loop ",
                "two watchers",
                "the keys are copied",
                "may be watched",
                "invalid keys and closed databases",
            ],
            reason: "@deno/kv yields no first item if no key has a value, or never closes a stream",
        },
    ],
};

#[test]
fn node_conforms_except_for_known_failures() {
    let modules = node_modules();
    if !modules.join("@deno/kv").is_dir() || !modules.join("esbuild").is_dir() {
        return skip(
            "node",
            &format!("as a client: {} lacks @deno/kv or esbuild: .ci/run installs them", modules.display()),
        );
    }
    if !runs("node") {
        return skip("node", "as a client: it is not on the PATH");
    }
    NODE.run(|sandbox, script| {
        let bundle = sandbox.path("bundle.mjs");
        let mut esbuild = Command::new(modules.join(".bin/esbuild"));
        esbuild.arg(repository("tests/conformance").join(script).with_extension("ts"));
        esbuild.args(["--bundle", "--format=esm", "--platform=node", "--target=node20", "--log-level=error"]);
        let bundled = esbuild.arg(format!("--outfile={}", bundle.display())).status().unwrap();
        assert!(bundled.success());
        let mut command = Command::new("node");
        command.arg("--import").arg(repository("tests/clients/node.mjs")).arg(bundle).env("NODE_MODULES", &modules);
        serve(sandbox, NODE.name, command)
    });
}

/// Returns the directory where `.ci/run` installs packages for Node.
pub fn node_modules() -> PathBuf {
    let named = env::var_os("OPENKV_NODE_MODULES").map(PathBuf::from);
    named.unwrap_or_else(|| repository("target/tools/node_modules"))
}

/// Our client of the `denokv` server, which serves one database per process: each database that a script opens is that of another.
/// Without the scripts `closing` and `names`, as its databases are not files; `queue`, as it has no listeners; and `messages`, which
/// opens two thousand databases.
#[cfg(feature = "fake")]
const DENOKV: Client = Client {
    name: "denokv",
    scripts: &[
        "additions",
        "atomic",
        "blobs",
        "entries",
        "errors",
        "expiry",
        "inspect",
        "keys",
        "limits",
        "list",
        "options",
        "order",
        "staging",
        "tampering",
        "values",
        "watch",
    ],
    failures: &[
        Failure { script: "additions", text: "getExpiries", reason: "the server cannot tell when entries expire" },
        Failure {
            script: "additions",
            text: "count excludes expired entries",
            reason: "the server returns expired entries until it removes them",
        },
        Failure {
            script: "atomic",
            text: "a commit that rejects ",
            reason: "the server commits the other mutations of a write that it rejects",
        },
        Failure {
            script: "errors",
            text: "an invalid operand writes nothing",
            reason: "the server commits the other mutations of a write that it rejects",
        },
        Failure {
            script: "errors",
            text: "an error opening a file includes its path",
            reason: "its databases are not files",
        },
        Failure {
            script: "errors",
            text: "a file that is not a database is rejected",
            reason: "its databases are not files",
        },
        Failure { script: "expiry", text: "", reason: "the server returns expired entries until it removes them" },
        Failure {
            script: "limits",
            text: "an operation has 100 checks at most",
            reason: "the server accepts 10 checks in a write",
        },
        Failure {
            script: "limits",
            text: "Too many dead letter keys for a single queue message",
            reason: "the server accepts 10 keys of an undelivered message",
        },
        Failure {
            script: "staging",
            text: "cannot deliver the messages of the queue",
            reason: "the server has no listeners",
        },
        Failure {
            script: "watch",
            text: "raw emits an item for each write of a watched key, even without a change",
            reason: "the protocol sends the states of keys, not writes",
        },
        Failure {
            script: "watch",
            text: "a watched key that expires emits an item",
            reason: "the server returns expired entries until it removes them",
        },
    ],
    skipped: &[
        Skipped {
            script: "additions",
            tests: &["the first read of an event-loop tick is done within the tick"],
            reason: "every read waits for a response",
        },
        Skipped {
            script: "blobs",
            tests: &["is restored from a queue", "a blob is copied when it is passed"],
            reason: "the server has no listeners",
        },
        Skipped {
            script: "expiry",
            tests: &["an operation that checks an expired value enqueues"],
            reason: "the server has no listeners",
        },
        Skipped {
            script: "options",
            tests: &["is not an option of a call without options"],
            reason: "the server has no listeners",
        },
    ],
};

#[cfg(feature = "fake")]
#[test]
fn denokv_serves_our_client_except_for_known_failures() {
    let program = env::var("OPENKV_DENOKV").unwrap_or_else(|_| "denokv".into());
    if !runs(&program) {
        return skip("denokv", "it is neither on the PATH nor named by OPENKV_DENOKV: install it with cargo");
    }
    DENOKV.run(|sandbox, script| {
        let script = repository("tests/conformance").join(script).with_extension("ts");
        let mut command = sandbox.command(["-A", script.to_str().unwrap(), "memory"]);
        command.envs([("OPENKV_FAKE", "denokv"), ("OPENKV_DENOKV", &program)]);
        (command, None)
    });
}
