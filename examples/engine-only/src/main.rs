//! Shares a file with `script.ts`, which runs in another process: reads the values of the script, handles its requests for
//! greetings, and exits when the script is done. Start them in either order:
//!
//! ```sh
//! cargo run --package engine-only -- kv.sqlite3
//! openkv -A examples/engine-only/script.ts kv.sqlite3
//! ```

use std::collections::HashMap;
use std::error::Error;

use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::v8::Date;
use openkv_engine::{AtomicWrite, Database, Key, Mutation, Selector, Value};
use serde::{Deserialize, Serialize};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A user that the script stores.
#[derive(Debug, Deserialize)]
struct User {
    name: String,
    age: u32,
    born: Date,
    /// A `Set` in the script.
    languages: Vec<String>,
    /// A `Map` in the script.
    scores: HashMap<String, f64>,
    nickname: Option<String>,
}

/// A message of the script.
#[derive(Deserialize)]
struct Task {
    greet: String,
}

/// The greeting that the script waits for.
#[derive(Serialize)]
struct Greeting {
    text: String,
    at: Date,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).ok_or("usage: engine-only FILE")?;
    let database = sqlite::open(Location::file(path), Options::default())?;

    // The script stores the user last: the other entries exist.
    let user: User = wait_for(&database, &Key::from(["users", "alice"])).await?.decode()?;
    let User { name, age, born, mut languages, scores, nickname } = user;
    languages.sort();
    println!("{name} is {age}, born {} ms after 1970, speaks {}", born.0, languages.join(" and "));
    println!("scores {} in go, has {}", scores["go"], nickname.as_deref().unwrap_or("no nickname"));

    let mut visits = database.list(Selector::prefix(&Key::from(["visits"])));
    while let Some(entry) = visits.next().await {
        let entry = entry?;
        println!("{}: {:?}", entry.key, entry.value);
    }

    let done = Key::from(["done"]);
    tokio::select! {
        served = serve(&database) => served?,
        value = wait_for(&database, &done) => println!("{}", value?.decode::<String>()?),
    }
    database.close();
    Ok(())
}

/// Waits until a key has a value.
async fn wait_for(database: &Database, key: &Key) -> Result<Value> {
    let mut watch = database.watch(std::slice::from_ref(key))?;
    while let Some(entries) = watch.next().await {
        if let Some(entry) = entries?.into_iter().flatten().next() {
            return Ok(entry.value);
        }
    }
    Err("the database was closed".into())
}

/// Handles messages.
async fn serve(database: &Database) -> Result<()> {
    let mut deliveries = database.deliveries();
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery?;
        let greeted = match delivery.decode::<Task>() {
            Ok(task) => greet(database, &task.greet).await,
            Err(error) => Err(error.into()),
        };
        match greeted {
            Ok(()) => delivery.done().await?,
            // It will be redelivered.
            Err(_) => delivery.retry().await?,
        }
    }
    Ok(())
}

async fn greet(database: &Database, name: &str) -> Result<()> {
    let greeting = Greeting { text: format!("Hello, {name}!"), at: Date(database.now() as f64) };
    let write = AtomicWrite::new()
        .mutate(Mutation::set(Key::from(["greetings", name]), Value::encode(&greeting)?))
        .mutate(Mutation::sum(Key::from(["greeted"]), 1));
    database.write(write).await?.into_result()?;
    println!("greeted {name}");
    Ok(())
}
