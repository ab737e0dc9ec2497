use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, Method};
use openkv_connect::server::{Access, Served, Server, StartError, Token};
use openkv_connect::wire::datapath::SnapshotRead;
use openkv_connect::wire::metadata::Metadata;
use openkv_engine::sqlite::{self, Location};
use tokio::net::TcpListener;

use crate::support::{
    Client, Connection, ManualClock, READER, Reply, WRITER, bearer, listen, memory, options, serve, start,
};

const ALL: &str = r#"{"supportedVersions":[1,2,3]}"#;

async fn exchange(connection: &mut Connection, path: &str, token: &str, body: &'static str) -> Reply {
    connection.send(Method::POST, path, &bearer(token), body).await
}

#[tokio::test]
async fn response_has_the_fields_that_clients_check() {
    let running = start(options()).await;
    let mut connections = [Connection::http1(running.address).await, Connection::http2(running.address).await];
    for connection in &mut connections {
        let reply = exchange(connection, "/", WRITER, ALL).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, Some("application/json")));
        assert_eq!(reply.header("x-openkv-protocol"), None);
        let json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&reply.body).unwrap();
        let mut names: Vec<_> = json.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["databaseId", "endpoints", "expiresAt", "token", "version"]);
        assert_eq!(json["version"], 3);
        assert_eq!(json["endpoints"], serde_json::json!([{ "url": "./v3", "consistency": "strong" }]));
        let id = json["databaseId"].as_str().unwrap();
        assert_eq!((id.len(), id), (36, id.to_lowercase().as_str()));
        assert!(json["expiresAt"].as_str().unwrap().ends_with('Z'), "{json:?}");
    }
}

#[tokio::test]
async fn latest_common_version_is_chosen() {
    let running = start(options()).await;
    let mut connection = Connection::http2(running.address).await;
    for (body, version, url) in [
        ("", 1, format!("http://{}/v1", running.address)),
        (r#"{"supportedVersions":[1,2]}"#, 2, "./v2".into()),
        (r#"{"supportedVersions":[3,4]}"#, 3, "./v3".into()),
    ] {
        let reply = exchange(&mut connection, "/", WRITER, body).await;
        let metadata = Metadata::decode(&reply.body).unwrap();
        assert_eq!((metadata.version, &metadata.endpoints[0].url), (version, &url));
    }
    for body in [r#"{"supportedVersions":[4]}"#, "{}", "[", "\u{ff}"] {
        assert_eq!(exchange(&mut connection, "/", WRITER, body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn extension_is_announced_on_request() {
    let running = start(options()).await;
    let mut connection = Connection::http2(running.address).await;
    let mut headers = bearer(WRITER);
    headers.insert("x-openkv-protocol", "1".parse().unwrap());
    let reply = connection.send(Method::POST, "/", &headers, ALL).await;
    assert_eq!(reply.header("x-openkv-protocol"), Some("1"));
}

#[tokio::test]
async fn exchange_requires_a_token() {
    let running = start(options()).await;
    let mut connection = Connection::http2(running.address).await;
    assert_eq!(exchange(&mut connection, "/", "guess", ALL).await.status, 401);
    assert_eq!(exchange(&mut connection, "/main", READER, ALL).await.status, 200);
    let reply = connection.send(Method::POST, "/", &HeaderMap::new(), ALL).await;
    assert_eq!((reply.status.as_u16(), reply.header("www-authenticate")), (401, Some("Bearer")));
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Basic {WRITER}").parse().unwrap());
    assert_eq!(connection.send(Method::POST, "/", &headers, ALL).await.status, 401);
}

#[tokio::test]
async fn databases_have_separate_names_tokens_and_ids() {
    let mut options = options();
    options.tokens = vec![Token::new("all", WRITER), Token::new("a", READER).access(Access::ReadOnly).databases(["a"])];
    let served = || ["a", "b"].map(|name| Served::new(name, memory())).to_vec();
    let server = Server::new(served(), options).await.unwrap();
    let address = listen(&server).await;
    let mut connection = Connection::http2(address).await;
    assert_eq!(exchange(&mut connection, "/", WRITER, ALL).await.status, 404);
    assert_eq!(exchange(&mut connection, "/c", WRITER, ALL).await.status, 404);
    assert_eq!(exchange(&mut connection, "/b", READER, ALL).await.status, 403);
    let metadata = |reply: Reply| Metadata::decode(&reply.body).unwrap();
    let a = metadata(exchange(&mut connection, "/a", READER, ALL).await);
    let b = metadata(exchange(&mut connection, "/b", WRITER, ALL).await);
    assert_eq!(a.endpoints[0].url, "./a/v3");
    assert_ne!(a.database_id, b.database_id);

    // An access token and an id are valid only for their database.
    for (token, id, path, status) in [
        (&a.token, a.database_id, "/a/v3/snapshot_read", 200),
        (&a.token, b.database_id, "/b/v3/snapshot_read", 401),
        (&b.token, a.database_id, "/b/v3/snapshot_read", 401),
        (&b.token, b.database_id, "/v3/snapshot_read", 404),
    ] {
        let mut headers = bearer(token);
        headers.insert("x-denokv-database-id", id.to_string().parse().unwrap());
        assert_eq!(connection.send(Method::POST, path, &headers, "").await.status, status, "{path}");
    }
}

#[tokio::test]
async fn access_tokens_are_accepted_ten_minutes_past_their_expiry() {
    let (mut options, clock) = (options(), ManualClock::at(1_700_000_000_000));
    options.clock = clock.clone();
    let running = start(options).await;
    let mut client = Client::open(&running, READER).await;
    for (minutes, status) in [(69, 200), (70, 401)] {
        clock.0.store(1_700_000_000_000 + minutes * 60_000, Ordering::Relaxed);
        assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, status);
    }
    // The client can get another one.
    let mut client = Client::with(client.connection, READER).await;
    assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, 200);
}

#[tokio::test]
async fn requests_for_another_database_are_rejected() {
    let running = start(options()).await;
    let mut client = Client::open(&running, WRITER).await;
    let mut with_id = async |id: Option<&str>| {
        client.headers.remove("x-denokv-database-id");
        if let Some(id) = id {
            client.headers.insert("x-denokv-database-id", id.parse().unwrap());
        }
        client.call("snapshot_read", &SnapshotRead::default()).await.status.as_u16()
    };
    assert_eq!(with_id(Some("00000000-0000-0000-0000-000000000000")).await, 401);
    assert_eq!(with_id(Some("main")).await, 401);
    assert_eq!(with_id(None).await, 400);
}

#[tokio::test]
async fn id_of_a_file_is_persistent() {
    let directory = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let location = openkv_engine::sqlite::Location::file(directory.path().join("kv.sqlite3"));
        let database = openkv_engine::sqlite::open(location, openkv_engine::sqlite::Options::default()).unwrap();
        let running = serve(database, options()).await;
        ids.push(Client::open(&running, WRITER).await.headers["x-denokv-database-id"].clone());
        running.server.shutdown().await;
        running.database.close();
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn server_without_tokens_listens_only_on_loopback() {
    let server = Server::new(vec![Served::new("main", memory())], openkv_connect::server::Options::default());
    let server = server.await.unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    assert!(matches!(server.listen(listener), Err(StartError::Unprotected(_))));

    let address = listen(&server).await;
    let mut client = Client::with(Connection::http2(address).await, "anything").await;
    client.headers.remove("authorization");
    assert_eq!(client.call("snapshot_read", &SnapshotRead::default()).await.status, 200);
}

#[tokio::test]
async fn invalid_configurations_are_rejected() {
    let start_error = async |names: &[&str], tokens: Vec<Token>| {
        let mut options = options();
        options.tokens = tokens;
        let databases = names.iter().map(|name| Served::new(*name, memory())).collect();
        Server::new(databases, options).await.unwrap_err()
    };
    assert!(matches!(start_error(&[], vec![]).await, StartError::NoDatabase));
    assert!(matches!(start_error(&["a", "a"], vec![]).await, StartError::DuplicateName(_)));
    assert!(matches!(start_error(&["a/b"], vec![]).await, StartError::InvalidName(_)));
    assert!(matches!(start_error(&["a"], vec![Token::new("empty", "")]).await, StartError::EmptyToken(_)));
    let token = Token::new("reader", READER).databases(["b"]);
    assert!(matches!(start_error(&["a"], vec![token]).await, StartError::UnknownDatabase { .. }));
}

#[tokio::test]
async fn copies_of_a_database_are_not_served_together() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["one.sqlite3", "two.sqlite3"].map(|name| directory.path().join(name));
    let open = |path| sqlite::open(Location::file(path), sqlite::Options::default()).unwrap();
    let database = open(&paths[0]);
    database.id().await.unwrap();
    database.close();
    sqlite::wait_closed(Duration::from_secs(60));
    std::fs::copy(&paths[0], &paths[1]).unwrap();
    let databases = ["one", "two"].into_iter().zip(&paths).map(|(name, path)| Served::new(name, open(path))).collect();
    let refused = Server::new(databases, options()).await.unwrap_err();
    let StartError::DuplicateId { name, other } = &refused else { panic!("{refused}") };
    assert_eq!((&**name, &**other), ("two", "one"));
    assert!(refused.to_string().contains("one is a copy of the other"));
}
