//! A minimal deno_core host. Its script uses `Deno.openKv`, and Rust code uses the same database.
//!
//! Usage: `host-minimal SCRIPT DATABASE`

use std::env;
use std::error::Error;
use std::rc::Rc;

use deno_core::{FsModuleLoader, JsRuntime, PollEventLoopOptions, RuntimeOptions, resolve_path};
use openkv_ext::Options;
use openkv_ext::engine::sqlite::{self, Location};
use openkv_ext::engine::{AtomicWrite, Database, Enqueue, Key, Value, key};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let [script, file] =
        env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: host-minimal SCRIPT DATABASE")?;
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio.block_on(async {
        let database = sqlite::open(Location::file(&file), Default::default())?;
        let stock = Key::from(["stock", "pens"]);
        database.set(stock.clone(), Value::U64(10)).await?;

        tokio::try_join!(run(&script, file), take_order(&database))?;

        println!("rust: stock {:?}", database.get_blocking(&stock)?.map(|entry| entry.value));
        for delivery in database.dequeue().await? {
            println!("rust: message {}", delivery.decode::<String>()?);
            delivery.done().await?;
        }
        Ok(())
    })
}

/// Runs a script to completion.
async fn run(script: &str, file: String) -> Result<()> {
    let mut js = JsRuntime::new(RuntimeOptions {
        extensions: vec![openkv_ext::init(Options::file(file))],
        module_loader: Some(Rc::new(FsModuleLoader)),
        ..RuntimeOptions::default()
    });
    let main = resolve_path(script, &env::current_dir()?)?;
    let module = js.load_main_es_module(&main).await?;
    let evaluated = js.mod_evaluate(module);
    js.run_event_loop(PollEventLoopOptions::default()).await?;
    Ok(evaluated.await?)
}

/// Waits for the order of the script, and confirms it through the queue.
async fn take_order(database: &Database) -> Result<()> {
    let mut watch = database.watch(&[key!["orders", 1]])?;
    while watch.next().await.ok_or("the database was closed")??.contains(&None) {}
    database.write(AtomicWrite::new().enqueue(Enqueue::encode("confirmed")?)).await?.into_result()?;
    Ok(())
}
