//! The delivery and redelivery of messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use denokv_proto::{Database, Enqueue, QueueMessageHandle};
use openkv_engine::denokv::{DenoKv, Message};
use openkv_engine::sqlite::Location;

use crate::support::*;

async fn next(database: &DenoKv) -> (String, Message) {
    let mut message = soon(database.dequeue_next_message()).await.unwrap().expect("the database is closed");
    let payload = message.take_payload().await.unwrap();
    (String::from_utf8(payload).unwrap(), message)
}

#[tokio::test]
async fn messages_are_delivered_one_by_one() {
    let clock = Arc::new(ManualClock::default());
    let database = open(Location::Memory, &clock);
    let late = Enqueue { deadline: time(7), ..message("late") };
    let early = Enqueue { deadline: time(-7), ..message("early") };
    commit(&database, enqueue(vec![late, message("a"), message("b"), early])).await;
    for expected in ["a", "b", "early"] {
        let (text, mut message) = next(&database).await;
        assert_eq!(text, expected);
        assert_eq!(rejected(message.take_payload().await), type_error("the message was taken already"));
        message.finish(true).await.unwrap();
        message.finish(false).await.unwrap();
    }
    let (late, ()) = tokio::join!(next(&database), async {
        clock.set(7);
        // Makes the writer read the clock.
        commit(&database, empty()).await;
    });
    assert_eq!(late.0, "late");
}

#[tokio::test]
async fn failed_message_is_redelivered_and_then_stored_under_its_keys() {
    let clock = Arc::new(ManualClock::default());
    let database = open(Location::Memory, &clock);
    let failing = Enqueue {
        backoff_schedule: Some(vec![10, 20]),
        keys_if_undelivered: vec![key("dead"), key("letter")],
        ..message("m")
    };
    commit(&database, enqueue(vec![failing])).await;
    for now in [0, 10, 30] {
        assert_eq!(value(&database, "dead").await, None);
        clock.set(now);
        let (text, message) = next(&database).await;
        assert_eq!(text, "m");
        message.finish(false).await.unwrap();
    }
    for name in ["dead", "letter"] {
        assert_eq!(value(&database, name).await.unwrap(), "V8([109])");
    }
}

#[tokio::test]
async fn dropped_message_is_redelivered() {
    let clock = Arc::new(ManualClock::default());
    let database = open(Location::Memory, &clock);
    commit(&database, enqueue(vec![Enqueue { backoff_schedule: Some(vec![0]), ..message("m") }])).await;
    drop(next(&database).await);
    clock.set(60_000);
    assert_eq!(next(&database).await.0, "m");
}

#[tokio::test]
async fn closed_handle_keeps_only_delivered_messages() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let (first, second) = (open(file(&directory), &clock), open(file(&directory), &clock));
    // Without a second attempt, so that an attempt must not count for undelivered messages.
    let once = |i: u64| Enqueue { backoff_schedule: Some(vec![]), ..message(&i.to_string()) };
    commit(&second, enqueue((0..3).map(once).collect())).await;
    let (text, handled) = next(&first).await;
    first.close();
    assert_eq!(text, "0");
    assert!(soon(first.dequeue_next_message()).await.unwrap().is_none());
    handled.finish(true).await.unwrap();
    for expected in ["1", "2"] {
        assert_eq!(next(&second).await.0, expected);
    }
}

#[tokio::test]
async fn messages_are_delivered_to_one_of_several_listeners() {
    const MESSAGES: usize = 40;
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let database = open(file(&directory), &clock);
    let listeners = [database.clone(), database.clone(), open(file(&directory), &clock)];
    let messages = (0..MESSAGES).map(|i| message(&i.to_string()));
    commit(&database, enqueue(messages.collect())).await;

    let received = std::cell::RefCell::new(Vec::new());
    let listen = async |listener: &DenoKv| {
        while let Some(mut message) = soon(listener.dequeue_next_message()).await.unwrap() {
            let payload = message.take_payload().await.unwrap();
            received.borrow_mut().push(String::from_utf8(payload).unwrap());
            message.finish(true).await.unwrap();
            if received.borrow().len() == MESSAGES {
                listeners.iter().for_each(|listener| listener.close());
            }
        }
    };
    tokio::join!(listen(&listeners[0]), listen(&listeners[1]), listen(&listeners[2]));
    let different: BTreeSet<_> = received.borrow().iter().cloned().collect();
    assert_eq!((received.borrow().len(), different.len()), (MESSAGES, MESSAGES));
}

#[tokio::test]
async fn close_ends_the_wait_for_a_message() {
    let database = memory();
    let (first, second) = (database.clone(), database.clone());
    let (first, second, ()) =
        tokio::join!(soon(first.dequeue_next_message()), soon(second.dequeue_next_message()), async {
            database.close()
        });
    assert!(first.unwrap().is_none());
    assert!(second.unwrap().is_none());
}
