//! A web service whose state is in one database: users with an index by name, sessions that expire, counters, a queue of mails
//! to send, and a setting that clients follow live. Scripts can use the same file.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt};
use openkv_engine::{AtomicWrite, Check, Database, Enqueue, Error, Key, Mutation, Selector, Value, key};
use serde::{Deserialize, Serialize};

/// A user, as stored and as sent to clients.
#[derive(Debug, Deserialize, Serialize)]
pub struct User {
    /// The name of the user.
    pub name: String,
    /// The unique email address of the user.
    pub email: String,
}

/// A mail to send.
#[derive(Debug, Deserialize, Serialize)]
pub struct Mail {
    to: String,
    text: String,
}

#[derive(Deserialize)]
struct Login {
    email: String,
}

#[derive(Deserialize)]
struct Page {
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Users {
    users: Vec<User>,
    /// The cursor of the next page. `None` after the last user.
    cursor: Option<String>,
}

/// The lifetime of a session.
const SESSION: Duration = Duration::from_secs(30 * 60);

/// The number of users on a page.
const PAGE: usize = 2;

/// The intervals between attempts to send a mail.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Returns the service for a database.
pub fn router(database: Database) -> Router {
    Router::new()
        .route("/users", post(add_user).get(list_users))
        .route("/users/{email}", get(find_user))
        .route("/sessions", post(log_in))
        .route("/sessions/{token}", get(session))
        .route("/hits/{page}", post(hit).get(hits))
        .route("/mails", post(queue_mail))
        .route("/theme", get(follow_theme).put(set_theme))
        .with_state(database)
}

fn user_key(email: &str) -> Key {
    key!["users", email]
}

fn name_key(user: &User) -> Key {
    key!["users_by_name", &user.name, &user.email]
}

/// Adds a user and the entry of the index in one commit, unless the email is already in use.
async fn add_user(State(database): State<Database>, Json(user): Json<User>) -> Reply<StatusCode> {
    let write = AtomicWrite::new()
        .check(Check::absent(user_key(&user.email)))
        .mutate(Mutation::set(user_key(&user.email), Value::encode(&user)?))
        .mutate(Mutation::set(name_key(&user), Value::encode(&user.email)?))
        .mutate(Mutation::sum(key!["user_count"], 1));
    database.write(write).await?.into_result()?;
    Ok(StatusCode::CREATED)
}

async fn find_user(State(database): State<Database>, Path(email): Path<String>) -> Reply<Json<User>> {
    Ok(Json(database.get_as(&user_key(&email)).await?.ok_or(Failure::NotFound)?))
}

/// Lists a page of users, ordered by name.
async fn list_users(State(database): State<Database>, Query(page): Query<Page>) -> Reply<Json<Users>> {
    let by_name = Selector::prefix(&key!["users_by_name"]);
    let mut entries = database.list(by_name.clone()).limit(PAGE);
    if let Some(cursor) = &page.cursor {
        entries = entries.cursor(cursor);
    }
    let (mut users, mut cursor) = (Vec::new(), None);
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        cursor = Some(by_name.cursor(&entry.key)?);
        users.extend(database.get_as::<User>(&user_key(&entry.decode::<String>()?)).await?);
    }
    Ok(Json(Users { users, cursor }))
}

/// Creates a session, which expires.
async fn log_in(State(database): State<Database>, Json(login): Json<Login>) -> Reply<(StatusCode, String)> {
    let user = database.get(&user_key(&login.email)).await?.ok_or(Failure::NotFound)?;
    let token = format!("{:032x}", rand::random::<u128>());
    let session = Mutation::set(key!["sessions", &token], Value::encode(&login.email)?).expire_in(SESSION);
    // The user may have been deleted in the meantime.
    let write = AtomicWrite::new().check(Check::unchanged(&user)).mutate(session);
    database.write(write).await?.into_result()?;
    Ok((StatusCode::CREATED, token))
}

async fn session(State(database): State<Database>, Path(token): Path<String>) -> Reply<Json<User>> {
    let email: String = database.get_as(&key!["sessions", token]).await?.ok_or(Failure::NotFound)?;
    find_user(State(database), Path(email)).await
}

/// Counts a hit. Concurrent requests lose none.
async fn hit(State(database): State<Database>, Path(page): Path<String>) -> Reply<StatusCode> {
    let count = AtomicWrite::new().mutate(Mutation::sum(key!["hits", page], 1));
    database.write(count).await?.into_result()?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hits(State(database): State<Database>, Path(page): Path<String>) -> Reply<Json<u64>> {
    Ok(Json(database.get_as(&key!["hits", page]).await?.unwrap_or(0)))
}

async fn queue_mail(State(database): State<Database>, Json(mail): Json<Mail>) -> Reply<StatusCode> {
    let undelivered = key!["mails_not_sent", &mail.to];
    let enqueue = Enqueue::encode(&mail)?.backoff(RETRIES).undelivered(undelivered);
    database.write(AtomicWrite::new().enqueue(enqueue)).await?.into_result()?;
    Ok(StatusCode::ACCEPTED)
}

/// Sends the mails that this or another process enqueues, until the database is closed.
///
/// # Errors
/// Permanent errors of the database.
pub async fn send_mails(database: Database) -> Result<(), Error> {
    let mut deliveries = database.deliveries();
    while let Some(delivery) = deliveries.next().await {
        let delivery = match delivery {
            Ok(delivery) => delivery,
            Err(error) if error.is_transient() => continue,
            Err(error) => return Err(error),
        };
        let sent = match delivery.decode::<Mail>() {
            Ok(mail) => send(&database, mail).await,
            Err(error) => Err(error.into()),
        };
        match sent {
            Ok(()) => delivery.done().await?,
            Err(_) => delivery.retry().await?,
        }
    }
    Ok(())
}

/// Sends a mail. This example only stores it.
async fn send(database: &Database, mail: Mail) -> Result<(), Error> {
    database.set(key!["mails_sent", &mail.to], Value::encode(&mail.text)?).await
}

async fn set_theme(State(database): State<Database>, theme: String) -> Reply<StatusCode> {
    database.set(key!["theme"], Value::encode(&theme)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends the current theme, and again whenever it changes.
async fn follow_theme(State(database): State<Database>) -> Reply<Sse<impl Stream<Item = Result<Event, Error>>>> {
    let themes = database.watch(&[key!["theme"]])?.map(|entries| {
        let theme = entries?.pop().flatten().map(|entry| entry.decode::<String>()).transpose()?;
        Ok(Event::default().data(theme.as_deref().unwrap_or("default")))
    });
    Ok(Sse::new(themes))
}

type Reply<T> = Result<T, Failure>;

/// The reason why a request failed.
enum Failure {
    NotFound,
    Database(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Database(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = match self {
            Failure::NotFound => return StatusCode::NOT_FOUND.into_response(),
            Failure::Database(error) => error,
        };
        let status = match &error {
            Error::Conflict(_) => StatusCode::CONFLICT,
            Error::InvalidCursor | Error::CursorOutOfBounds => StatusCode::BAD_REQUEST,
            error if error.is_limit() => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Closed => StatusCode::SERVICE_UNAVAILABLE,
            error if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, error.to_string()).into_response()
    }
}
