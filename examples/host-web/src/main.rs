//! A deno_core host with Deno's web extensions, which starts from a snapshot. Its scripts can open the databases of one directory with
//! the extension `.db`; Rust code uses one of them at the same time.
//!
//! Usage: `host-web SCRIPT DIRECTORY`

mod extensions;

use std::env;
use std::error::Error;
use std::path::Path;
use std::rc::Rc;

use deno_core::{FsModuleLoader, JsRuntime, PollEventLoopOptions, RuntimeOptions, resolve_path};
use openkv_ext::engine::sqlite::{self, Location};
use openkv_ext::engine::{AtomicWrite, Database, Enqueue, Entry, Key, Value};
use openkv_ext::{Options, permissions};

static SNAPSHOT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/snapshot.bin"));

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let [script, directory] =
        env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: host-web SCRIPT DIRECTORY")?;
    let directory = Path::new(&directory);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio.block_on(async {
        let database = sqlite::open(Location::file(directory.join("game.db")), Default::default())?;
        tokio::try_join!(run(&script, directory), play(&database))?;
        for delivery in database.dequeue().await? {
            println!("rust: message {}", delivery.decode::<String>()?);
            delivery.done().await?;
        }
        Ok(())
    })
}

/// Returns the options, which restrict scripts to files in the directory with the extension `.db`.
fn kv_options(directory: &Path) -> Options {
    let within = permissions::within(directory);
    Options::file(directory.join("default.db")).permissions(move |state, path| {
        if path.extension().is_some_and(|extension| extension == "db") {
            within(state, path)
        } else {
            Err(permissions::denied(path))
        }
    })
}

/// Runs a script to completion.
async fn run(script: &str, directory: &Path) -> Result<()> {
    let mut js = JsRuntime::new(RuntimeOptions {
        extensions: extensions::extensions(kv_options(directory)),
        module_loader: Some(Rc::new(FsModuleLoader)),
        startup_snapshot: Some(SNAPSHOT),
        ..RuntimeOptions::default()
    });
    let main = resolve_path(script, &env::current_dir()?)?;
    let module = js.load_main_es_module(&main).await?;
    let evaluated = js.mod_evaluate(module);
    js.run_event_loop(PollEventLoopOptions::default()).await?;
    Ok(evaluated.await?)
}

/// Returns each ping of the script with a pong of the same number, and ends the game with a message.
async fn play(database: &Database) -> Result<()> {
    let [ping, pong] = ["ping", "pong"].map(|name| Key::from([name]));
    let mut watch = database.watch(std::slice::from_ref(&ping))?;
    let mut last = 0;
    while last < 3 {
        let entries = watch.next().await.ok_or("the database was closed")??;
        if let Some(Entry { value: Value::U64(number), .. }) = entries.into_iter().flatten().next() {
            last = number;
            database.set(pong.clone(), Value::U64(number)).await?;
        }
    }
    database.write(AtomicWrite::new().enqueue(Enqueue::encode("game over")?)).await?.into_result()?;
    Ok(())
}
