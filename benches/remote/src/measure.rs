//! Takes samples of the measures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use openkv_engine::{AtomicWrite, Database, Mutation, Value};

use crate::store::{LIMIT, LISTS, Result, Store, VALUE, key, selector};

/// The minimum duration of a sample.
const DURATION: Duration = Duration::from_secs(1);

/// The entries in a write that fills a list, of which each size is a multiple, and the number of these writes in flight.
const BATCH: u64 = 500;
const FILLING: usize = 4;

/// Returns the operations per second. The lists are in the database of the backend.
pub async fn measure(name: &str, store: &impl Store, database: &Database) -> Result<f64> {
    match name {
        "set" => repeat(20, async |numbers| for_each(numbers, async |number| store.set(number).await).await).await,
        "set-in-1000000" => {
            fill(database, 1_000_000).await?;
            let set = async |number| store.set_by_transaction(number).await;
            repeat(20, async |numbers| for_each(numbers, set).await).await
        }
        "set-100-in-flight" => repeat(2_000, async |numbers| store.set_all(numbers).await).await,
        "get" | "get-eventual" => {
            fill(database, LISTS[0]).await?;
            let is_eventual = name == "get-eventual";
            let get = async |number| found(store.get(number % LISTS[0], is_eventual).await?);
            repeat(100, async |numbers| for_each(numbers, get).await).await
        }
        "watch" => repeat(50, async |numbers| store.watch(numbers.end - numbers.start).await).await,
        "queue" => repeat(500, async |numbers| store.queue(numbers.end - numbers.start).await).await,
        _ => {
            let (size, is_reverse) = list(name).ok_or_else(|| format!("unknown measure {name:?}"))?;
            fill(database, size).await?;
            repeat(1, async |_| found(store.list(size, is_reverse).await? == LIMIT)).await
        }
    }
}

/// Parses `list-SIZE` and `list-SIZE-reverse`.
fn list(name: &str) -> Option<(u64, bool)> {
    let name = name.strip_prefix("list-")?;
    let forwards = name.strip_suffix("-reverse");
    let size = forwards.unwrap_or(name).parse().ok()?;
    LISTS.contains(&size).then_some((size, forwards.is_some()))
}

fn found(is_found: bool) -> Result {
    if is_found { Ok(()) } else { Err("entries are missing".into()) }
}

async fn for_each(numbers: std::ops::Range<u64>, run: impl AsyncFn(u64) -> Result) -> Result {
    for number in numbers {
        run(number).await?;
    }
    Ok(())
}

/// Returns the rate of operations, which run in groups of `size` with consecutive numbers. The first group is not timed.
async fn repeat(size: u64, run: impl AsyncFn(std::ops::Range<u64>) -> Result) -> Result<f64> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let numbers = || {
        let first = NEXT.fetch_add(size, Ordering::Relaxed);
        first..first + size
    };
    run(numbers()).await?;
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < DURATION {
        run(numbers()).await?;
        count += size;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Stores the entries of a list, unless they are stored.
async fn fill(database: &Database, size: u64) -> Result {
    if database.get(&key(size, size - 1)).await?.is_some() {
        return Ok(());
    }
    let set = |number| Mutation::set(key(size, number), Value::Bytes(VALUE.to_vec()));
    let batch = |first| (first..first + BATCH).map(set).fold(AtomicWrite::new(), AtomicWrite::mutate);
    let last = size - BATCH;
    let write = async |first| -> Result {
        database.write(batch(first)).await?.into_result()?;
        Ok(())
    };
    // The last one shows that all others are stored.
    let firsts = (0..last).step_by(BATCH as usize);
    stream::iter(firsts).map(write).buffer_unordered(FILLING).try_collect::<()>().await?;
    write(last).await?;
    let listed = database.count(&selector(size)).await?;
    found(listed == size)
}
