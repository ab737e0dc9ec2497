//! The scripts of `tests/conformance`, which check the behaviour of `Deno.Kv` and also run on Deno.

use crate::support::{Output, Sandbox, repository};

/// A backend under test.
pub struct Backend {
    /// The location of databases: in "memory", or each in a "file".
    pub place: &'static str,
    /// The options of the fake backend, "etcd" or "postgres". `None` for SQLite.
    pub fake: Option<&'static str>,
    /// The tests that it cannot pass, in lists that backends share.
    pub lacks: &'static [&'static [Lack]],
}

/// A test that a backend cannot pass.
pub struct Lack {
    pub script: &'static str,
    /// A part of the name of the test.
    pub test: &'static str,
    pub reason: &'static str,
}

pub const MEMORY: Backend = Backend { place: "memory", fake: None, lacks: &[] };
pub const FILES: Backend = Backend { place: "file", fake: None, lacks: &[] };

/// Runs a script, and checks that each of its tests passed, or was skipped for a reason.
#[track_caller]
pub fn passes(name: &str, backend: &Backend) {
    let sandbox = Sandbox::new();
    let script = repository("tests/conformance").join(name).with_extension("ts");
    let lacks: Vec<_> = backend.lacks.iter().copied().flatten().filter(|lack| lack.script == name).collect();
    let mut command = sandbox.command(["-A", script.to_str().unwrap()]);
    let fake = backend.fake.map(ToOwned::to_owned);
    let fake = if backend.fake == Some("etcd") {
        let Some(cluster) = openkv_etcd::cluster::shared() else { return };
        Some(cluster.url(name))
    } else {
        fake
    };
    #[cfg(unix)]
    let server = if backend.fake == Some("postgres") {
        let Some(server) = openkv_postgres::cluster::shared() else { return };
        Some(server)
    } else {
        None
    };
    #[cfg(unix)]
    let fake = server.as_ref().map(|server| server.url(name)).or(fake);
    // Memory is the default, as some scripts check their arguments.
    if !lacks.is_empty() || backend.place != MEMORY.place {
        command.arg(backend.place);
    }
    command.args(lacks.iter().map(|lack| lack.test)).envs(fake.map(|options| ("OPENKV_FAKE", options)));
    let output = Output::of(command, "");
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    // Errors of handlers and workers are logged to standard error.
    let logged =
        ["Exception in queue handler ", "Error: thrown by a handler", "error: Uncaught (in worker ", "    at "];
    let logged = |line: &str| logged.iter().any(|start| line.starts_with(start));
    assert!(output.stderr.lines().all(logged), "{}", output.stderr);
    let (tests, rest): (Vec<_>, Vec<_>) = output.stdout.lines().partition(|line| line.starts_with("ok "));
    let (skipped, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|line| line.starts_with("skipped "));
    assert!(!(tests.is_empty() && skipped.is_empty()) && rest.is_empty(), "{}", output.stdout);
    for Lack { test, reason, .. } in lacks {
        assert!(skipped.iter().any(|line| line.contains(test)), "no test {test:?} was skipped because {reason}");
    }
}

/// Defines a test for each of the named scripts, on a backend.
macro_rules! conformance {
    ($backend:expr, $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::passes(stringify!($name), &$backend);
            }
        )*
    };
}
pub(crate) use conformance;

/// Defines a test for each script that uses databases, on a backend.
macro_rules! kv_conformance {
    ($backend:expr) => {
        $crate::conformance::conformance!($backend, additions atomic blobs closing entries errors expiry inspect keys);
        $crate::conformance::conformance!($backend, limits list messages names options order queue staging tampering values watch);
    };
}
#[cfg(feature = "fake")]
pub(crate) use kv_conformance;

kv_conformance!(MEMORY);
conformance!(MEMORY, crypto datagrams events fetch files net open_files process quic serve web websocket workers);

mod on_files {
    kv_conformance!(super::FILES);
}
