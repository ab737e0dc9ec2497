//! The interface of backends: the conformance suite on those other than SQLite, and programs that handle failures on the fake backend
//! of `ext/fake`.

use crate::conformance::{Backend, Lack, kv_conformance};
use crate::support::{Output, Sandbox};

/// The tests that backends without files and synchronous reads cannot pass.
const REMOTE: &[Lack] = &[
    Lack {
        script: "additions",
        test: "the first read of an event-loop tick is done within the tick",
        reason: "every read waits for a response",
    },
    Lack { script: "closing", test: "a copy of the file is complete", reason: "its databases are not files" },
    Lack { script: "closing", test: "the file can be renamed", reason: "its databases are not files" },
    Lack { script: "closing", test: "there are no other files", reason: "its databases are not files" },
    Lack {
        script: "errors",
        test: "an error opening a file includes its path",
        reason: "paths are arbitrary names, none of which is rejected",
    },
    Lack {
        script: "errors",
        test: "a file that is not a database is rejected",
        reason: "paths are arbitrary names, none of which is rejected",
    },
    Lack { script: "names", test: "a file: URI names a database in memory", reason: "URIs are arbitrary names" },
    Lack { script: "names", test: "a file: URI names a file", reason: "URIs are arbitrary names" },
    Lack {
        script: "names",
        test: "a database that cannot be opened leaves no file",
        reason: "paths are arbitrary names, none of which is rejected",
    },
];

/// The additional tests that KV Connect cannot pass.
const CONNECT: &[Lack] = &[Lack {
    script: "watch",
    test: "raw emits an item for each write of a watched key",
    reason: "the protocol sends the states of keys, not writes",
}];

/// The additional tests that PostgreSQL cannot pass.
#[cfg(unix)]
const POSTGRES: &[Lack] = &[Lack {
    script: "entries",
    test: "reads do not wait for the writes that are in flight",
    reason: "the writes share so few transactions that they are committed before a hundred reads",
}];

/// The additional tests that etcd cannot pass.
#[cfg(unix)]
const ETCD: &[Lack] = &[Lack {
    script: "watch",
    test: "raw emits an item for each write of a watched key",
    reason: "the deletion of an absent key is no event",
}];

mod late {
    use super::*;

    const BACKEND: Backend = Backend { place: "memory", fake: Some("delay=0..5,seed=7"), lacks: &[REMOTE] };

    kv_conformance!(BACKEND);
}

mod with_entries {
    use crate::conformance::conformance;

    use super::*;

    const BACKEND: Backend =
        Backend { place: "memory", fake: Some("delay=0..5,seed=8,watch=entries"), lacks: &[REMOTE] };

    conformance!(BACKEND, watch);
}

mod connect {
    use super::*;

    const BACKEND: Backend = Backend { place: "memory", fake: Some("connect"), lacks: &[REMOTE, CONNECT] };

    kv_conformance!(BACKEND);
}

#[cfg(unix)]
mod etcd {
    use super::*;

    const BACKEND: Backend = Backend { place: "memory", fake: Some("etcd"), lacks: &[REMOTE, ETCD] };

    kv_conformance!(BACKEND);
}

#[cfg(unix)]
mod postgres {
    use super::*;

    const BACKEND: Backend = Backend { place: "memory", fake: Some("postgres"), lacks: &[REMOTE, POSTGRES] };

    kv_conformance!(BACKEND);
}

/// Runs a script on the fake backend.
fn run(sandbox: &Sandbox, fake: &str, script: &str) -> Output {
    sandbox.write("main.ts", format!("{RETRY}\n{script}"));
    let mut command = sandbox.command(["run", "-A", "main.ts"]);
    command.env("OPENKV_FAKE", fake);
    Output::of(command, "")
}

/// A program that handles failures: it retries, and reads to find out the outcome of a write.
const RETRY: &str = r#"
/** The messages of the errors so far. */
const failures = new Set<string>();

/** Retries a call until it succeeds. Rethrows errors that are not from the backend. */
async function retry<T>(call: () => Promise<T>): Promise<T> {
  while (true) {
    try {
      return await call();
    } catch (error) {
      const { constructor, name, message } = error as Error;
      if (constructor !== Error || name !== "Error") throw error;
      failures.add(message);
    }
  }
}
"#;

const FAILED: &str = "the database failed: the connection was lost (injected for a test): try again";
const UNKNOWN: &str = "the outcome of the write is unknown: the database failed: the connection was lost (injected for \
                       a test): try again: read the entries before you write them again";

#[test]
fn retrying_program_counts_exactly() {
    let script = r#"
        const kv = await retry(() => Deno.openKv());

        /** Adds one to the counter, once for each id. */
        async function add(id: number) {
          while (true) {
            const [counter, done] = await retry(() => kv.getMany<[number, boolean]>([["counter"], ["done", id]]));
            if (done.value) return;
            const write = kv.atomic().check(counter, done).set(["counter"], (counter.value ?? 0) + 1).set(["done", id], true);
            await retry(() => write.commit());
          }
        }

        for (let first = 0; first < 120; first += 8) {
          await Promise.all(Array.from({ length: 8 }, (_, i) => add(first + i)));
        }
        const counter = await retry(() => kv.get(["counter"]));
        const done = await retry(() => Array.fromAsync(kv.list({ prefix: ["done"] })));
        console.log(counter.value, done.length, await retry(() => kv.count({ prefix: ["done"] })));
        let deleted = 0, once: number;
        while ((once = await retry(() => kv.deleteRange({ prefix: ["done"] }))) > 0) deleted += once;
        console.log(deleted <= 120, await retry(() => kv.count({ prefix: ["done"] })));
        console.log([...failures].sort().join("\n"));
    "#;
    for seed in 0..3 {
        let output = run(&Sandbox::new(), &format!("delay=0..2,seed={seed},errors=0.05,lost=0.05"), script);
        assert_eq!(output.stdout(), format!("120 120 120\ntrue 0\n{FAILED}\n{UNKNOWN}\n"));
    }
}

#[test]
fn failed_watch_reports_its_error_and_can_be_restarted() {
    let script = r#"
        const kv = await retry(() => Deno.openKv());
        let errors = 0;
        const watched = (async () => {
          while (true) {
            const done = await retry(async () => {
              try {
                for await (const [entry] of kv.watch<[number]>([["n"]])) if (entry.value === -1) return true;
              } catch (error) {
                errors++;
                throw error;
              }
            });
            if (!done) throw new Error("the watch ended without an error");
            return;
          }
        })();
        for (let n = 0; n < 200 || errors === 0; n++) await retry(() => kv.set(["n"], n));
        await retry(() => kv.set(["n"], -1));
        await watched;
        console.log(failures.has(Deno.args[0]));
        const items = kv.watch([["n"]]).getReader();
        while (failures.size > 0) {
          // A pending read gets the error, and so do later ones.
          const item = await items.read().catch((error: Error) => error);
          if (item instanceof Error) {
            console.log(item.message === await items.closed.catch((error) => error.message));
            break;
          }
          await retry(() => kv.set(["n"], 0));
        }
        kv.close();
    "#;
    for events in ["changed", "entries"] {
        let options = format!("delay=0..2,seed=3,errors=0.1,watch={events}");
        let sandbox = Sandbox::new();
        let output = run(&sandbox, &options, &script.replace("Deno.args[0]", &format!("{FAILED:?}")));
        assert_eq!(output.stdout(), "true\ntrue\n");
    }
}

#[test]
fn listener_continues_after_failures() {
    let script = r#"
        const kv = await retry(() => Deno.openKv());
        const handled = new Set<unknown>();
        let resume = () => {};
        const listening = kv.listenQueue((message: number) => {
          handled.add(message);
          resume();
        });
        // Sequentially, so that there are as many deliveries as messages.
        for (let i = 0; i < 80; i++) {
          await retry(() => kv.enqueue(i));
          while (!handled.has(i)) await new Promise<void>((resolve) => resume = resolve);
        }
        kv.close();
        await listening;
        console.log(handled.size);
    "#;
    let Output { code, stdout, stderr } = run(&Sandbox::new(), "delay=0..2,seed=5,errors=0.2,lost=0.2", script);
    assert_eq!((code, stdout.as_str()), (Some(0), "80\n"), "{stderr}");
    let logged = |what: &str, why: &str| stderr.lines().any(|line| line.starts_with(what) && line.ends_with(why));
    for why in [FAILED, UNKNOWN] {
        assert!(logged("Failed to deliver queue messages, trying again: ", why), "{stderr}");
        assert!(logged("Failed to finish a queue message, which may be delivered again: ", why), "{stderr}");
    }
}

#[test]
fn early_exit_leaves_nothing_pending() {
    let endings = [
        "kv.close();",
        "kv.set(['a'], 1); kv.get(['a']); kv.close();",
        "kv.listenQueue(() => {}); kv.watch([['a']]); kv.set(['b'], 2); Deno.exit();",
        "kv.watch([['a']]).cancel(); kv.count({ prefix: [] }); kv.deleteRange({ prefix: [] });",
        "const listening = kv.listenQueue(() => {}); kv.close(); await listening;",
        "kv.list({ prefix: [] }).next(); using other = kv;",
    ];
    for ending in endings {
        let output = run(&Sandbox::new(), "delay=5..20", &format!("const kv = await Deno.openKv();\n{ending}"));
        assert_eq!(output.stdout(), "", "{ending}");
    }
}

#[test]
fn invalid_options_are_named() {
    let output =
        run(&Sandbox::new(), "delay=fast", "await Deno.openKv().catch((error) => console.log(String(error)));");
    let stdout = output.stdout();
    assert!(
        stdout.starts_with("TypeError: OPENKV_FAKE: invalid option of the fake backend: \"delay=fast\": "),
        "{stdout}"
    );
}
