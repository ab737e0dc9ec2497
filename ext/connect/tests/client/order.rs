//! The order of calls.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use openkv_engine::{Error, Key, Selector};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::support::*;

/// Servers that hold their responses to a call until the test releases them.
struct Held {
    servers: Servers,
    release: Release,
}

type Release = Arc<Mutex<Vec<mpsc::UnboundedSender<bytes::Bytes>>>>;

/// Returns a script that holds the responses to calls whose path ends so.
fn hold(held: &'static str) -> (Release, impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static) {
    let release = Release::default();
    let senders = release.clone();
    let script = move |call: &Call| {
        call.path.ends_with(held).then(|| {
            let (sender, parts) = mpsc::unbounded_channel();
            senders.lock().push(sender);
            Reply::Stream(parts)
        })
    };
    (release, script)
}

impl Held {
    fn openkv(held: &'static str) -> Self {
        let (release, script) = hold(held);
        Self { servers: Servers::openkv(script), release }
    }

    fn other(held: &'static str) -> Self {
        let (release, script) = hold(held);
        Self { servers: Servers::other(script), release }
    }

    /// Responds to the oldest held request.
    fn release(&self, reply: Reply) {
        let Reply::Respond(_, _, body) = reply else { panic!("a response") };
        self.release.lock().remove(0).send(body).unwrap();
    }

    fn paths(&self) -> Vec<String> {
        self.servers.calls().into_iter().map(|call| call.path.rsplit('/').next().unwrap().to_owned()).collect()
    }
}

/// Lets all tasks run until they are idle.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn writes_are_sent_one_after_the_other() {
    let held = Held::other("/atomic_write");
    let database = held.servers.opened().await;
    let mut writes: Vec<_> = ["a", "b", "a"].into_iter().map(|key| database.write(set(key))).collect();
    for sent in 1..=3 {
        settle().await;
        assert_eq!(held.paths().len(), sent);
        held.release(done(sent as u64));
        writes.remove(0).await.unwrap().into_result().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn read_waits_for_earlier_writes_to_its_keys() {
    let held = Held::openkv("/atomic_write");
    let database = held.servers.opened().await;
    let key = |name: &str| Key::from([name]);
    let write = database.write(set("a"));
    let same_key = database.get(&key("a"));
    let counted = database.count(&Selector::prefix(&Key::new()));
    let mut watch = database.watch(&[key("a")]).unwrap();
    let other_key = database.get(&key("b"));
    other_key.await.unwrap();
    settle().await;
    assert_eq!(held.paths(), ["atomic_write", "snapshot_read"]);
    assert!(watch.next().now_or_never().is_none());

    held.release(done(1));
    write.await.unwrap().into_result().unwrap();
    same_key.await.unwrap();
    assert!(counted.await.is_err() && watch.next().await.unwrap().is_err(), "the server supports neither");
    let mut paths = held.paths().split_off(2);
    paths.sort();
    assert_eq!(paths, ["count", "snapshot_read", "watch"]);
}

#[tokio::test(start_paused = true)]
async fn write_waits_for_earlier_reads_of_its_keys() {
    let held = Held::openkv("/snapshot_read");
    let database = held.servers.opened().await;
    let read = database.get(&Key::from(["a"]));
    database.write(set("b")).await.unwrap().into_result().unwrap();
    // The caller drops the future.
    drop(database.write(set("a")));
    settle().await;
    let sent = held.paths();
    assert_eq!(sent.iter().filter(|path| *path == "atomic_write").count(), 1, "{sent:?}");
    held.release(found([None]));
    held.release.lock().clear();
    assert_eq!(read.await.unwrap(), None);
    settle().await;
    assert_eq!(held.servers.calls_of("/atomic_write").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn closing_completes_pending_calls() {
    let held = Held::other("/atomic_write");
    let database = held.servers.opened().await;
    let writes = ["a", "b"].map(|key| database.write(set(key)));
    let read = database.get(&Key::from(["b"]));
    database.close();
    database.close();
    assert!(matches!(database.write(set("c")).await, Err(Error::Closed)));
    assert!(matches!(database.get(&Key::from(["c"])).await, Err(Error::Closed)));
    assert!(matches!(database.count(&Selector::prefix(&Key::new())).await, Err(Error::Closed)));
    assert!(matches!(database.delete_range(&Selector::prefix(&Key::new())).await, Err(Error::Closed)));
    assert!(matches!(database.watch(&[Key::from(["c"])]), Err(Error::Closed)));
    assert!(database.dequeue().await.unwrap().is_empty());
    for (i, write) in writes.into_iter().enumerate() {
        settle().await;
        held.release(done(i as u64 + 1));
        write.await.unwrap().into_result().unwrap();
    }
    read.await.unwrap();
}
