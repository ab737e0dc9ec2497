//! Tests the service over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use axum_service::{router, send_mails};
use openkv_engine::sqlite::{self, Location, Options};
use openkv_engine::{Database, key};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

async fn serve() -> (Database, SocketAddr) {
    let database = sqlite::open(Location::Memory, Options::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(database.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (database, address)
}

async fn connect(address: SocketAddr, method: &str, path: &str, kind: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Sends a request. Returns the status and the body of the response.
async fn request(address: SocketAddr, method: &str, path: &str, body: Value) -> (u16, String) {
    let mut stream = connect(address, method, path, "application/json", &body.to_string()).await;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn parsed((status, body): (u16, String)) -> (u16, Value) {
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn users_have_unique_emails_and_sessions() {
    let (_database, address) = serve().await;
    let user = |name: &str, email: &str| json!({ "name": name, "email": email });
    for (name, email) in [("Carol", "c@x"), ("Alice", "a@x"), ("Bob", "b@x")] {
        assert_eq!(request(address, "POST", "/users", user(name, email)).await.0, 201);
    }
    let (status, why) = request(address, "POST", "/users", user("Mallory", "a@x")).await;
    assert_eq!((status, &*why), (409, "nothing was written: check 0 failed: read the entries again"));
    assert_eq!(parsed(request(address, "GET", "/users/a@x", Value::Null).await), (200, user("Alice", "a@x")));
    assert_eq!(request(address, "GET", "/users/m@x", Value::Null).await.0, 404);

    let (_, first) = parsed(request(address, "GET", "/users", Value::Null).await);
    assert_eq!(first["users"], json!([user("Alice", "a@x"), user("Bob", "b@x")]));
    let rest = format!("/users?cursor={}", first["cursor"].as_str().unwrap());
    assert_eq!(parsed(request(address, "GET", &rest, Value::Null).await).1["users"], json!([user("Carol", "c@x")]));
    assert_eq!(request(address, "GET", "/users?cursor=!", Value::Null).await.0, 400);

    let (status, token) = request(address, "POST", "/sessions", json!({ "email": "a@x" })).await;
    assert_eq!(status, 201);
    let session = format!("/sessions/{token}");
    assert_eq!(parsed(request(address, "GET", &session, Value::Null).await), (200, user("Alice", "a@x")));
    assert_eq!(request(address, "GET", "/sessions/0", Value::Null).await.0, 404);
    let large = user("Alice", &"a".repeat(5000));
    assert_eq!(request(address, "POST", "/users", large).await.0, 413);
}

#[tokio::test]
async fn concurrent_hits_are_all_counted() {
    let (_database, address) = serve().await;
    let hits: Vec<_> = (0..20)
        .map(|_| tokio::spawn(async move { request(address, "POST", "/hits/home", Value::Null).await.0 }))
        .collect();
    for hit in hits {
        assert_eq!(hit.await.unwrap(), 204);
    }
    assert_eq!(request(address, "GET", "/hits/home", Value::Null).await.1, "20");
    assert_eq!(request(address, "GET", "/hits/other", Value::Null).await.1, "0");
}

#[tokio::test]
async fn queued_mail_is_sent() {
    let (database, address) = serve().await;
    let sent = key!["mails_sent", "a@x"];
    let mut watch = database.watch(std::slice::from_ref(&sent)).unwrap();
    let sending = tokio::spawn(send_mails(database.clone()));
    assert_eq!(request(address, "POST", "/mails", json!({ "to": "a@x", "text": "hello" })).await.0, 202);
    while watch.next().await.unwrap().unwrap()[0].is_none() {}
    assert_eq!(database.get_as::<String>(&sent).await.unwrap().as_deref(), Some("hello"));
    database.close();
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn theme_is_followed() {
    let (database, address) = serve().await;
    let follow = connect(address, "GET", "/theme", "text/plain", "").await;
    let mut lines = BufReader::new(follow).lines();
    let mut next = async || loop {
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.unwrap().unwrap();
        let line = line.expect("the stream is open");
        if let Some(theme) = line.strip_prefix("data: ") {
            break theme.to_owned();
        }
    };
    assert_eq!(next().await, "default");
    let mut set = connect(address, "PUT", "/theme", "text/plain", "dark").await;
    set.read_to_string(&mut String::new()).await.unwrap();
    assert_eq!(next().await, "dark");
    database.close();
}
