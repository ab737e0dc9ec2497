//! `openkv db serve`: makes databases available to other programs, over the network.

mod config;
mod log;
mod places;
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

/// Where the `denokv` server listens, too, though on all addresses.
const ADDR: &str = "127.0.0.1:4512";

/// The name of a database that stands alone: clients open it by the URL of the server, with or without its name.
const NAME: &str = "main";

const AFTER_HELP: &str = "\
Clients open the database by Deno.openKv(\"http://127.0.0.1:4512\"), and send the token that their environment has in \
DENO_KV_ACCESS_TOKEN. Without any token here, every client that can reach the address may read and write, so only \
loopback addresses can be listened on. See docs/serving.md.";

/// What the command line says.
pub(crate) struct Serve {
    database: Option<String>,
    config: Option<PathBuf>,
    addr: Option<String>,
    tokens: tokens::Flags,
    tls: Option<Tls>,
    metrics: Option<String>,
    log_format: Option<LogFormat>,
}

/// What to serve, and how, by the command line and the configuration.
#[derive(Debug)]
struct Plan {
    addr: SocketAddr,
    /// Where the databases are, by their names.
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
        .about("Makes databases available to other programs: Deno, OpenKV, and Node with @deno/kv")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("database")
                .value_name("DATABASE")
                .value_parser(NonEmptyStringValueParser::new())
                .required_unless_present("config")
                .conflicts_with("config")
                .help("The database: a file, :memory:, or a URL"),
        )
        .arg(path("config", "FILE").help("A JSON file that names several databases, and may say all that flags do"))
        .arg(
            arguments::one("addr", "HOST:PORT")
                .help(format!("Where to listen, {ADDR} by default; port 0 takes a free one")),
        )
        .arg(
            many("token", "NAME=TOKEN")
                .help("A token that clients may send. Other users of the machine can see it here"),
        )
        .arg(many("token-file", "NAME=FILE").help("A file that holds a token"))
        .arg(many("read-only", "NAME").help("The name of a token that may only read"))
        .arg(path("cert", "FILE").requires("key").help("The certificate chain for TLS, in PEM; read again on SIGHUP"))
        .arg(path("key", "FILE").requires("cert").help("The private key for TLS, in PEM"))
        .arg(arguments::one("metrics", "HOST:PORT").help("Where to serve /healthz, /readyz and /metrics"))
        .arg(
            arguments::one("log-format", "FORMAT")
                .value_parser(value_parser!(LogFormat))
                .help("What the lines of the log look like, on the standard error"),
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

    /// Joins what flags and the configuration say. Flags count where both do.
    fn plan(self, environment: impl Fn(&str) -> Option<String>) -> Result<Plan, String> {
        let mut config = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
        config.databases.extend(self.database.map(|place| (NAME.into(), place)));
        let tokens = tokens::collect(config.tokens, &self.tokens, environment)?;
        let addr = resolve("--addr", &self.addr.or(config.addr).unwrap_or(ADDR.into()))?;
        if tokens.is_empty() && !addr.ip().is_loopback() {
            return Err(format!(
                "whoever can reach {addr} could read and write: set {}, or give --token-file or --token, or listen on a loopback \
                 address such as {ADDR}",
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

/// Returns the first address of a name.
fn resolve(flag: &str, addr: &str) -> Result<SocketAddr, String> {
    let failed = |why: String| format!("{flag} {addr}: {why}: it takes HOST:PORT, such as {ADDR}");
    let mut addresses = addr.to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    addresses.next().ok_or_else(|| failed("it has no address".into()))
}
