//! Other clients of `openkv db serve`: Deno, and Node with `@deno/kv`. Each runs the conformance suite, with what it lacks.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::{env, io, thread};

use crate::serve::{Served, TOKEN};
use crate::support::{Output, Sandbox, repository};

/// How many databases a server has: no script opens as many.
const DATABASES: usize = 300;

/// What a client cannot do: tests that fail for it, in a known way.
struct Failure {
    /// Part of the names of the scripts.
    script: &'static str,
    /// Part of the name of the test, or of what it says when it fails.
    text: &'static str,
    reason: &'static str,
}

/// Tests that are not run, as they would not end, or may pass by chance.
struct Skipped {
    script: &'static str,
    /// Parts of their names.
    tests: &'static [&'static str],
    reason: &'static str,
}

/// A client, and what it cannot do.
struct Client {
    name: &'static str,
    scripts: &'static [&'static str],
    failures: &'static [Failure],
    skipped: &'static [Skipped],
}

/// What a client made of the suite.
#[derive(Default)]
struct Tally {
    passed: usize,
    /// What the client does differently, whatever it is a client of.
    different: usize,
    skipped: usize,
    /// How many tests fail for which of the reasons.
    known: Vec<usize>,
    unknown: Vec<String>,
}

impl Client {
    /// Runs all scripts, each with a server of its own, and says how many tests passed.
    fn run(&self, command: impl Fn(&Sandbox, &str) -> Command + Sync) {
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
        say(&format!("{}: {passed} passed, {different} differ, {lacking} fail as known, {skipped} skipped", self.name));
        for (Failure { script, text, reason }, count) in self.failures.iter().zip(&tally.known) {
            say(&format!("  {count} of {script:?}, {text:?}: {reason}"));
            if *count == 0 {
                tally.unknown.push(format!("no test of {script:?} failed with {text:?}, because {reason}"));
            }
        }
        assert!(tally.unknown.is_empty() && passed > 0, "{}:\n{}", self.name, tally.unknown.join("\n"));
    }

    fn run_script(&self, script: &str, command: &(impl Fn(&Sandbox, &str) -> Command + Sync), tally: &Mutex<Tally>) {
        let sandbox = Sandbox::new();
        let databases: Vec<_> = (0..DATABASES).map(|i| format!("\"{i}\": \":memory:\"")).collect();
        sandbox.write("serve.json", format!("{{ \"databases\": {{ {} }} }}", databases.join(", ")));
        let server = Served::start(&sandbox, &["--config", "serve.json"]);
        let skipped: Vec<_> = self.skipped.iter().filter(|skipped| skipped.script == script).collect();
        let mut command = command(&sandbox, script);
        command
            .args([&format!("remote-{}", self.name), &server.url])
            .args(skipped.iter().flat_map(|skipped| skipped.tests));
        command.env("DENO_KV_ACCESS_TOKEN", TOKEN).env("NO_COLOR", "1").current_dir(sandbox.path(""));
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

impl Failure {
    fn is(&self, script: &str, block: &str) -> bool {
        script.contains(self.script) && block.contains(self.text)
    }
}

/// The lines of each test: the first one says how it ended, and the rest why.
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

/// Prints a line that is not held back, as those of tests that pass are.
fn say(line: &str) {
    // Without a standard error, nobody reads it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says why a client is not tried.
///
/// # Panics
/// Where the client is required: `cargo xtask test --require-deno` and `--require-node` say so by `OPENKV_REQUIRE`.
fn skip(client: &str, why: &str) {
    let required = env::var("OPENKV_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == client), "{client} is required: {why}");
    say(&format!("{client} was not tried as a client of the server: {why}"));
}

/// Whether a command is there.
fn runs(command: &str) -> bool {
    Command::new(command).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Not among its scripts: `additions` and `messages` are about classes, `queue` about what it refuses, and `order` about what it does not
/// promise here.
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
            reason: "Deno refuses to enqueue in remote databases",
        },
        Failure {
            script: "errors",
            text: "KV Connect failed to call ",
            reason: "Deno makes an Error of what a server refuses, which has the text of the server at its end",
        },
        Failure {
            script: "watch",
            text: "raw emits an item for each write of a watched key, even without a change",
            reason: "the protocol tells which keys have changed, and a deletion of nothing changes none",
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
            reason: "it waits for a message that Deno refuses to enqueue",
        },
        Skipped {
            script: "entries",
            tests: &["writes that are not awaited are committed in order"],
            reason: "Deno sends calls at the same time, so that they may overtake each other",
        },
        Skipped {
            script: "watch",
            tests: &["a slow reader misses items"],
            reason: "Deno keeps all items that the server sends, however many a slow machine makes of them",
        },
    ],
};

#[test]
fn deno_conforms_but_for_what_it_refuses() {
    if !runs("deno") {
        return skip("deno", "it is not on the PATH");
    }
    DENO.run(|_, script| {
        let mut command = Command::new("deno");
        command.args(["run", "-A", "--quiet", "--unstable-kv"]);
        command.arg(repository("tests/conformance").join(script).with_extension("ts"));
        command
    });
}

/// Not among its scripts: `additions`, `errors`, `inspect`, `messages` and `options` are about classes, which are its own; `queue` and
/// `staging` need a listener, which it refuses; `blobs` is about what Node does not serialize, `order` about what it does not promise;
/// and `list` asks for batches of one below a key that has a value itself, which it reads again and again.
const NODE: Client = Client {
    name: "node",
    scripts: &["atomic", "entries", "expiry", "keys", "limits", "values", "watch"],
    failures: &[
        Failure { script: "", text: "kv.commitVersionstamp is not a function", reason: "@deno/kv does not have it" },
        Failure { script: "atomic", text: "an operation is not a promise", reason: "@deno/kv does not mind" },
        Failure { script: "atomic", text: "a KvU64 holds 64 bits", reason: "that of @deno/kv shows no number" },
        Failure { script: "entries", text: "after '.close' is called", reason: "@deno/kv refuses to close twice" },
        Failure { script: "expiry", text: "an expiry has a maximum", reason: "@deno/kv does not check it" },
        Failure {
            script: "limits",
            text: "rejects an empty key",
            reason: "@deno/kv refuses it earlier, or not at all",
        },
        Failure {
            script: "limits",
            text: "accepts keys of ",
            reason: "@deno/kv reads a range that ends with a shorter key",
        },
        Failure { script: "keys", text: "", reason: "@deno/kv checks keys itself, and takes -0 for 0" },
        Failure { script: "values", text: "", reason: "Node serializes, and refuses, other objects than Deno" },
    ],
    skipped: &[
        Skipped {
            script: "entries",
            tests: &["writes that are not awaited are committed in order"],
            reason: "each call has a connection of its own, so that they may overtake each other",
        },
        Skipped {
            script: "expiry",
            tests: &["an operation that checks an expired value enqueues"],
            reason: "@deno/kv refuses to listen",
        },
        Skipped {
            script: "watch",
            tests: &[
                "a change of one key",
                "commits that change no watched key",
                "raw emits an item",
                "several keys changed",
                "a slow reader",
                "a failed commit",
                "cancel closes",
                "closing the database",
                "disposing the database",
                "a loop ",
                "two watchers",
                "the keys are copied",
                "may be watched",
                "invalid keys and closed databases",
            ],
            reason: "@deno/kv gives no first item where no key has a value, or never ends a stream",
        },
    ],
};

#[test]
fn node_conforms_but_for_what_it_lacks() {
    let modules = node_modules();
    if !modules.join("@deno/kv").is_dir() || !modules.join("esbuild").is_dir() {
        return skip("node", &format!("{} has not @deno/kv and esbuild: .ci/run installs them", modules.display()));
    }
    if !runs("node") {
        return skip("node", "it is not on the PATH");
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
        command
    });
}

/// Where `.ci/run` installs packages for Node.
fn node_modules() -> PathBuf {
    let named = env::var_os("OPENKV_NODE_MODULES").map(PathBuf::from);
    named.unwrap_or_else(|| repository("target/tools/node_modules"))
}
