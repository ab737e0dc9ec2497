//! The examples of docs/embedding.md. Those in Rust are also in this file, so that the compiler checks them.

use std::error::Error;
use std::{env, fs};

const PAGE: &str = include_str!("../../../docs/embedding.md");

/// The main module of the example, `src/main.rs`.
mod host {
    use std::rc::Rc;

    use deno_core::{FsModuleLoader, JsRuntime, PollEventLoopOptions, RuntimeOptions, resolve_path};
    use openkv_ext::Options;

    fn main() -> Result<(), Box<dyn std::error::Error>> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio.block_on(async {
            let mut js = JsRuntime::new(RuntimeOptions {
                extensions: vec![openkv_ext::init(Options::file("data/app.sqlite3"))],
                module_loader: Some(Rc::new(FsModuleLoader)),
                ..RuntimeOptions::default()
            });
            let main = resolve_path("main.js", &std::env::current_dir()?)?;
            let module = js.load_main_es_module(&main).await?;
            let evaluated = js.mod_evaluate(module);
            js.run_event_loop(PollEventLoopOptions::default()).await?;
            Ok(evaluated.await?)
        })
    }

    pub fn run() -> Result<(), Box<dyn std::error::Error>> {
        main()
    }
}

/// The example of a snapshot. It is only compiled: the tests of `examples/host-web` run a host with a snapshot.
#[allow(dead_code, unused_variables)]
fn snapshot() -> Result<(), Box<dyn Error>> {
    use deno_core::snapshot::{CreateSnapshotOptions, create_snapshot};
    use deno_core::{JsRuntime, RuntimeOptions};
    use openkv_ext::Options;

    /// In a host, the file that the build script writes.
    const SNAPSHOT: &[u8] = &[];

    // build.rs
    let options = CreateSnapshotOptions {
        cargo_manifest_dir: env!("CARGO_MANIFEST_DIR"),
        startup_snapshot: None,
        skip_op_registration: false,
        extensions: vec![openkv_ext::init(Options::memory())],
        extension_transpiler: None,
        with_runtime_cb: None,
    };
    let snapshot = create_snapshot(options, None)?;

    // main.rs
    let js = JsRuntime::new(RuntimeOptions {
        extensions: vec![openkv_ext::init(Options::file("data/app.sqlite3"))],
        startup_snapshot: Some(SNAPSHOT),
        ..RuntimeOptions::default()
    });
    Ok(())
}

fn permissions() {
    use openkv_ext::{Options, permissions};

    let within = permissions::within("data/scripts");
    let options = Options::file("data/app.sqlite3").permissions(move |state, path| {
        if path.extension().is_some_and(|extension| extension == "db") {
            within(state, path)
        } else {
            Err(permissions::denied(path))
        }
    });
    drop(options);
}

fn limits() {
    use openkv_ext::Options;
    use openkv_ext::engine::{Limits, SystemClock};

    let mut limits = Limits::default();
    (limits.value_size, limits.write_size) = (1024 * 1024, 8 * 1024 * 1024);
    let options = Options::memory().limits(limits).clock(SystemClock);
    drop(options);
}

async fn share() -> Result<(), Box<dyn Error>> {
    use openkv_ext::engine::sqlite::{self, Location};
    use openkv_ext::engine::{Key, Value};

    let database = sqlite::open(Location::file("data/app.sqlite3"), Default::default())?;
    let visits = Key::from(["visits"]);
    database.set(visits.clone(), Value::U64(1)).await?;
    let entry = database.get(&visits).await?;

    let mut watch = database.watch(&[visits])?;
    let entries = watch.next().await.transpose()?;

    let mut deliveries = database.deliveries();
    if let Some(delivery) = deliveries.next().await {
        delivery?.done().await?;
    }
    assert!(entry.is_some() && entries.is_some());
    Ok(())
}

/// Returns the text of the blocks of the page in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// Returns the lines without their indentation.
fn unindented(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn examples_in_rust_are_in_this_file() {
    let code = unindented(include_str!("book.rs"));
    for block in blocks("rust") {
        assert!(code.contains(&unindented(block)), "docs/embedding.md has another example:\n{block}");
    }
}

#[test]
fn versions_are_those_of_the_workspace() {
    let manifest = include_str!("../../../Cargo.toml");
    let [example] = blocks("toml")[..] else { panic!("the page has one manifest") };
    for line in example.lines().filter(|line| line.starts_with("deno_")) {
        assert!(manifest.contains(line), "docs/embedding.md names another version: {line}");
    }
}

#[test]
fn examples_run() {
    let directory = tempfile::tempdir().unwrap();
    env::set_current_dir(&directory).unwrap();
    fs::write("main.js", blocks("js")[0]).unwrap();
    host::run().unwrap();
    host::run().unwrap();
    // The script of the page counts its runs.
    let check = "const kv = await Deno.openKv(); await kv.enqueue('hello');
        const { value } = await kv.get(['runs']); kv.close(); if (value !== 2) throw new Error(`${value} runs`);";
    fs::write("main.js", check).unwrap();
    host::run().unwrap();
    permissions();
    limits();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(share()).unwrap();
}
