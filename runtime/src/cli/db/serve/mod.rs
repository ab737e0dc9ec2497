//! `openkv db serve`: serves databases over the network.

mod config;
mod log;
mod run;
mod signals;
mod tokens;

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use self::config::{Config, LogFormat, Tls};
use crate::cli::arguments;
use crate::cli::outcome::Outcome;

/// The default address. The port is that of the `denokv` server.
const ADDR: &str = "127.0.0.1:4512";

/// The name of a single database. Clients open it by the URL of the server, with or without the name.
const NAME: &str = "main";

const AFTER_HELP: &str = "\
Clients open the database with Deno.openKv(\"http://127.0.0.1:4512\"), and send the token in their environment variable \
DENO_KV_ACCESS_TOKEN. Without tokens, every client that can reach the address may read and write, so the server only \
listens on loopback addresses. See docs/serving.md.";

/// The arguments of the command.
pub(crate) struct Serve {
    database: Option<String>,
    config: Option<PathBuf>,
    addr: Option<String>,
    tokens: tokens::Flags,
    tls: Option<Tls>,
    metrics: Option<String>,
    log_format: Option<LogFormat>,
}

/// The combined settings of the command line and the configuration.
#[derive(Debug)]
struct Plan {
    addr: SocketAddr,
    /// The locations of the databases by name.
    databases: BTreeMap<String, String>,
    tokens: Vec<tokens::Token>,
    tls: Option<Tls>,
    metrics: Option<SocketAddr>,
    log_format: LogFormat,
}

pub(super) fn declare() -> Command {
    let path = |name, value| arguments::one(name, value).value_parser(value_parser!(PathBuf));
    let many = |name, value| arguments::one(name, value).action(ArgAction::Append);
    Command::new("serve")
        .about("Serves databases to other programs: Deno, OpenKV, and Node with @deno/kv")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("database")
                .value_name("DATABASE")
                .value_parser(NonEmptyStringValueParser::new())
                .required_unless_present("config")
                .conflicts_with("config")
                .help("The database: a file, :memory:, or a URL"),
        )
        .arg(
            path("config", "FILE")
                .help("A JSON file with several databases and, optionally, the settings of the flags"),
        )
        .arg(
            arguments::one("addr", "HOST:PORT")
                .help(format!("The address to listen on, {ADDR} by default; port 0 chooses a free port")),
        )
        .arg(
            many("token", "NAME=TOKEN")
                .help("A token of clients. Other users of the machine can see it in the process list"),
        )
        .arg(many("token-file", "NAME=FILE").help("A file that contains a token of clients"))
        .arg(many("read-only", "NAME").help("The name of a token that grants only read access"))
        .arg(
            path("cert", "FILE")
                .requires("key")
                .help("The certificate chain for TLS, in PEM format; reloaded on SIGHUP"),
        )
        .arg(path("key", "FILE").requires("cert").help("The private key for TLS, in PEM format"))
        .arg(arguments::one("metrics", "HOST:PORT").help("The address to serve /healthz, /readyz and /metrics on"))
        .arg(
            arguments::one("log-format", "FORMAT")
                .value_parser(value_parser!(LogFormat))
                .help("The format of the log on standard error"),
        )
}

pub(super) fn read(matches: &mut ArgMatches) -> Serve {
    let mut many = |name| matches.remove_many(name).into_iter().flatten().collect();
    let tokens = tokens::Flags { tokens: many("token"), files: many("token-file"), read_only: many("read-only") };
    let (cert, key) = (matches.remove_one("cert"), matches.remove_one("key"));
    Serve {
        database: matches.remove_one("database"),
        config: matches.remove_one("config"),
        addr: matches.remove_one("addr"),
        tokens,
        tls: cert.zip(key).map(|(cert, key)| Tls { cert, key }),
        metrics: matches.remove_one("metrics"),
        log_format: matches.remove_one("log-format"),
    }
}

impl Serve {
    pub(super) fn execute(self) -> Outcome {
        let plan = self.plan(|name| std::env::var(name).ok())?;
        log::install(plan.log_format);
        run::run(plan)
    }

    /// Combines the flags and the configuration. Flags take precedence.
    fn plan(self, environment: impl Fn(&str) -> Option<String>) -> Result<Plan, String> {
        let mut config = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
        config.databases.extend(self.database.map(|location| (NAME.into(), location)));
        let tokens = tokens::collect(config.tokens, &self.tokens, environment)?;
        let addr = resolve("--addr", &self.addr.or(config.addr).unwrap_or(ADDR.into()))?;
        if tokens.is_empty() && !addr.ip().is_loopback() {
            return Err(format!(
                "serving on {addr} without a token would let everyone read and write: set {}, add --token-file or --token, or \
                 listen on a loopback address such as {ADDR}",
                tokens::VARIABLE
            ));
        }
        let metrics = self.metrics.or(config.metrics).map(|metrics| resolve("--metrics", &metrics)).transpose()?;
        Ok(Plan {
            addr,
            databases: config.databases,
            tokens,
            tls: self.tls.or(config.tls),
            metrics,
            log_format: self.log_format.or(config.log_format).unwrap_or_default(),
        })
    }
}

/// Resolves `HOST:PORT` to its first address.
fn resolve(flag: &str, addr: &str) -> Result<SocketAddr, String> {
    let failed = |why: String| format!("{flag} {addr}: {why}: pass HOST:PORT, such as {ADDR}");
    let mut addresses = addr.to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    addresses.next().ok_or_else(|| failed("the host has no address".into()))
}
