//! Opening databases, and the metadata exchange.

use std::time::Duration;

use openkv_connect::client::{Options, connect};
use openkv_engine::{Cause, Error, Key};
use tokio::time::Instant;

use crate::support::*;

const INVALID: &str = "Could not open Deno KV database: 'http://kv.test/db' is not a valid KV Connect endpoint ";

/// Opens a database whose metadata exchange gets a reply. Returns the message of the error.
async fn open_error(reply: impl Fn() -> Reply + Send + Sync + 'static) -> String {
    let error = Servers::new(move |_| reply()).open().await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn error_status_is_reported_with_its_body() {
    let status = "Could not open Deno KV database: the metadata endpoint at 'http://kv.test/db' responded with status ";
    for (reply, end) in [
        ((401, "unauthorized: no\n"), "401 Unauthorized: unauthorized: no"),
        ((404, ""), "404 Not Found"),
        ((500, "boom"), "500 Internal Server Error: boom"),
        ((204, ""), "204 No Content"),
        ((302, ""), "302 Found"),
    ] {
        assert_eq!(open_error(move || Reply::status(reply.0, reply.1)).await, format!("{status}{end}"));
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_metadata_are_rejected() {
    let other = |text: &'static str| open_error(move || Reply::ok(text).with("content-type", "text/html"));
    let version = "(failed to read the metadata version: ";
    assert_eq!(other("<html>").await, format!("{INVALID}{version}expected value at line 1 column 1)"));
    assert_eq!(other("").await, format!("{INVALID}{version}EOF while parsing a value at line 1 column 0)"));
    assert_eq!(
        other(r#"{"version":3}"#).await,
        format!("{INVALID}(failed to parse metadata response: missing field `databaseId` at line 1 column 13)")
    );
    assert_eq!(
        other(r#"{"version":9}"#).await,
        "Could not open Deno KV database: 'http://kv.test/db' reported unsupported KV Connect metadata version 9"
    );
    assert_eq!(
        open_error(|| Reply::ok(&b"\xff\xfe"[..])).await,
        "Could not open Deno KV database: failed to read the metadata response from 'http://kv.test/db': invalid utf-8 \
         sequence of 1 bytes from index 0"
    );
    let unreadable = "Could not open Deno KV database: failed to read the metadata response from 'http://kv.test/db': ";
    let message = open_error(|| Reply::CutAfter("{".into())).await;
    assert!(message.starts_with(unreadable), "{message}");
    let token =
        |token: &str| metadata(3, HOUR).encode().replace(r#""token":"token""#, &format!(r#""token":"{token}""#));
    let broken = token("a\\nb");
    assert!(open_error(move || Reply::ok(broken.clone())).await.starts_with(INVALID));
    for url in ["file:///v3", "http://", "http://[", "ftp://kv.test/v3"] {
        let endpoint = metadata(3, HOUR).encode().replace(r#""url":"/v3""#, &format!(r#""url":"{url}""#));
        let message = open_error(move || Reply::ok(endpoint.clone())).await;
        assert!(message.starts_with(INVALID) && message.contains("invalid endpoint URL"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn unreachable_server_is_reported() {
    let servers = Servers::openkv(|_| None);
    servers.refuse(usize::MAX);
    let error = servers.open().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Could not open Deno KV database: failed to connect to 'http://kv.test/db': error sending request for url \
         (http://kv.test/db): client error (Connect): tcp connect error: Connection refused (os error 111)"
    );
    let message = open_error(|| Reply::Cut).await;
    assert!(message.starts_with("Could not open Deno KV database: failed to connect to "), "{message}");
}

#[tokio::test(start_paused = true)]
async fn silent_server_times_out() {
    let start = Instant::now();
    assert_eq!(
        open_error(|| Reply::Stall).await,
        "Could not open Deno KV database: timed out connecting to the metadata endpoint at 'http://kv.test/db' after 30 \
         seconds"
    );
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn url_and_token_are_validated() {
    let servers = Servers::openkv(|_| None);
    for url in ["http://", "https://[", "kv.test", "ftp://kv.test/", ""] {
        assert_eq!(message(connect(url, servers.options()).await), format!("Invalid database url: {url}"));
    }
    let needs_tls = message(connect("https://kv.test/db", servers.options()).await);
    assert_eq!(
        needs_tls,
        "Could not open Deno KV database: 'https://kv.test/db' needs TLS, for which this program has no certificates"
    );
    let options = Options::new("a\nb").network(servers.clone());
    assert!(message(connect(URL, options).await).contains("the access token has characters that cannot be sent"));
    assert!(servers.calls().is_empty());
    assert!(!format!("{:?}", servers.options()).contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn exchange_sends_the_expected_request() {
    let servers = Servers::openkv(|_| None);
    servers.open().await.unwrap();
    let [call] = &servers.calls()[..] else { panic!("{:?}", servers.calls()) };
    assert_eq!(call.header("authorization"), Some("Bearer secret"));
    assert_eq!(call.header("content-type"), Some("application/json"));
    assert_eq!(call.header("x-openkv-protocol"), Some("1"));
    assert_eq!(call.body, r#"{"supportedVersions":[1,2,3]}"#);
    assert_eq!(call.version, http::Version::HTTP_2);
}

#[tokio::test(start_paused = true)]
async fn http1_server_is_detected() {
    let servers = Servers::openkv(|_| None).http1_only();
    let database = servers.open().await.unwrap();
    assert_eq!(database.get(&Key::from(["a"])).await.unwrap(), None);
    let versions: Vec<_> = servers.calls().iter().map(|call| call.version).collect();
    assert_eq!(versions, [http::Version::HTTP_11; 2]);
}

#[tokio::test(start_paused = true)]
async fn redirect_is_followed_on_the_same_host() {
    let servers = Servers::openkv(|call| {
        (call.path == "/db").then(|| Reply::status(308, "").with("location", "/moved/db")).or_else(|| {
            (call.path == "/moved/db").then(|| {
                let mut metadata = metadata(3, HOUR);
                metadata.endpoints[0].url = "v3".into();
                metadata_reply(&metadata, true)
            })
        })
    });
    let database = servers.open().await.unwrap();
    assert!(matches!(database.get(&Key::from(["a"])).await, Err(Error::Storage(_))));
    let paths: Vec<_> = servers.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths, ["/db", "/moved/db", "/moved/v3/snapshot_read"]);
}

#[tokio::test(start_paused = true)]
async fn token_is_not_sent_to_another_host() {
    for location in ["http://other.test/db", "http://kv.test:81/db", "ftp://kv.test/db", "http://["] {
        let servers = Servers::new(move |_| Reply::status(307, "").with("location", location));
        let message = message(servers.open().await);
        assert!(message.contains(&format!("redirects to '{location}', which is not the same host")), "{message}");
        assert_eq!(servers.calls().len(), 1);
    }
    let message = open_error(|| Reply::status(307, "").with("location", "/db")).await;
    assert_eq!(message, format!("{INVALID}(more than 5 redirects)"));
}

#[derive(Debug, thiserror::Error)]
#[error("denied")]
struct Denied;

#[tokio::test(start_paused = true)]
async fn permission_is_checked_for_every_host() {
    let servers = Servers::openkv(|call| {
        (call.path == "/db").then(|| {
            let mut metadata = metadata(3, HOUR);
            metadata.endpoints[0].url = "http://data.test/v3".into();
            metadata_reply(&metadata, true)
        })
    });
    let permit = |denied: &'static str| {
        move |url: &url::Url| {
            if url.host_str() == Some(denied) { Err(Error::Denied(Cause::new(Denied))) } else { Ok(()) }
        }
    };
    let error = connect(URL, servers.options().permit(permit("kv.test"))).await.unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert!(servers.calls().is_empty());
    let database = connect(URL, servers.options().permit(permit("data.test"))).await.unwrap();
    let key = Key::from(["a"]);
    assert!(matches!(database.get(&key).await, Err(Error::Denied(_))));
    assert!(matches!(database.write(set("a")).await, Err(Error::Denied(_))));
    let mut watch = database.watch(&[key]).unwrap();
    assert!(matches!(watch.next().await, Some(Err(Error::Denied(_)))));
    assert_eq!(servers.calls().len(), 1);
}

#[test]
fn blocking_calls_need_no_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let servers = Servers::openkv(|_| None);
    let options = {
        let _entered = runtime.enter();
        servers.options()
    };
    let database = futures_executor::block_on(connect(URL, options)).unwrap();
    assert_eq!(database.get_blocking(&Key::from(["a"])).unwrap(), None);
    drop(database);
    runtime.shutdown_timeout(Duration::ZERO);
}
