//! Serves on a port until Ctrl+C is pressed:
//!
//! ```sh
//! cargo run --package axum-service -- service.sqlite3 8000
//! curl -X POST localhost:8000/users -H 'content-type: application/json' -d '{"name": "Alice", "email": "a@example.com"}'
//! ```

use std::error::Error;

use axum_service::{router, send_mails};
use openkv_engine::sqlite::{self, Location, Options};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(port)) = (arguments.next(), arguments.next()) else {
        return Err("usage: axum-service FILE PORT".into());
    };
    let database = sqlite::open(Location::file(path), Options::default())?;
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    println!("listening on {}", listener.local_addr()?);

    let mails = tokio::spawn(send_mails(database.clone()));
    // Closing the database ends watches, and with them the event-stream responses.
    let interrupted = {
        let database = database.clone();
        async move {
            if let Err(error) = tokio::signal::ctrl_c().await {
                eprintln!("failed to wait for a signal: {error}");
            }
            database.close();
        }
    };
    axum::serve(listener, router(database)).with_graceful_shutdown(interrupted).await?;
    Ok(mails.await??)
}
