//! The privileges that a user needs: see docs/postgres.md.

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Enqueue, Error, Value};

use crate::support::{Place, commit, key, numbers, open, value};

#[test]
fn documented_grants_are_enough() {
    let Some(place) = Place::new() else { return };
    let [owner, user, reader] = ["owner", "user", "reader"].map(|name| format!("{}_{name}", place.schema));
    place.query(&format!("create role {owner} login; create role {user} login; create role {reader} login"));
    let url = |user: &str| place.url().replace("openkv@", &format!("{user}@"));
    let failure = |user: &str| open(&url(user)).unwrap_err().to_string();
    assert!(failure(&owner).contains("open it once as a user who may create the schema"), "{}", failure(&owner));
    // The schema belongs to the owner, who creates the tables.
    place.query(&format!("create schema SCHEMA authorization {owner}"));
    let database = open(&url(&owner)).unwrap();
    assert!(failure(&user).contains("grant the user access"), "{}", failure(&user));
    place.query(&format!(
        "grant usage on schema SCHEMA to {user}, {reader}; grant select, insert, update, delete on all tables in schema SCHEMA to \
         {user}; grant select on all tables in schema SCHEMA to {reader}"
    ));

    let used = open(&url(&user)).unwrap();
    let mut watch = used.watch(&[key(0)]).unwrap();
    assert!(block_on(watch.next()).unwrap().unwrap()[0].is_none());
    commit(&used, AtomicWrite::new().mutate(openkv_engine::Mutation::sum(key(0), 1)).enqueue(Enqueue::new(vec![1])));
    assert!(block_on(watch.next()).unwrap().unwrap()[0].is_some());
    let delivery = block_on(used.dequeue_one()).unwrap().unwrap();
    block_on(delivery.done()).unwrap();
    assert_eq!(block_on(used.delete_range(&numbers())).unwrap(), 1);
    used.set_blocking(key(1), Value::U64(1)).unwrap();

    let read = open(&url(&reader)).unwrap();
    assert_eq!(value(&read, 1), Some(1));
    let error = read.set_blocking(key(1), Value::U64(2)).unwrap_err();
    assert!(matches!(error, Error::Storage(_)) && error.to_string().contains("grant the user access"), "{error}");
    assert_eq!(value(&database, 1), Some(1));
}
