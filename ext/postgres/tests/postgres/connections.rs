//! Lost connections, wrong addresses, and other failures.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use openkv_engine::{AtomicWrite, Database, Enqueue, Error, Mutation, Value};
use openkv_postgres::cluster::Server;
use openkv_postgres::{Address, Environment, Options};

use crate::support::{Place, commit, key, open, options, value};

/// A proxy of a server, which cuts the connection after a number of bytes from the server, or before it passes some to it.
struct Proxy {
    port: u16,
    /// The number of bytes that may still pass. Once it is 0, connections are cut, and new ones pass everything.
    left: Arc<AtomicU64>,
    held: Arc<Held>,
}

/// What a proxy holds back.
#[derive(Default)]
struct Held {
    /// What the bytes contain that are held back, for the next time.
    pattern: Mutex<Option<&'static [u8]>>,
    /// The bytes, and the connection to the server, which stays open. That to the client is cut.
    bytes: Mutex<Option<(Vec<u8>, TcpStream)>>,
}

impl Held {
    /// Passes bytes of a client, until it has some to hold back.
    fn copy(&self, mut client: TcpStream, mut server: TcpStream) {
        let mut buffer = [0; 64 * 1024];
        loop {
            let read = client.read(&mut buffer).unwrap_or_default();
            let bytes = &buffer[..read];
            let mut pattern = self.pattern.lock().unwrap();
            if pattern.is_some_and(|pattern| bytes.windows(pattern.len()).any(|window| window == pattern)) {
                *pattern = None;
                *self.bytes.lock().unwrap() = Some((bytes.to_vec(), server));
                let _ = client.shutdown(std::net::Shutdown::Both);
                return;
            }
            if read == 0 || server.write_all(bytes).is_err() {
                let _ = (client.shutdown(std::net::Shutdown::Both), server.shutdown(std::net::Shutdown::Both));
                return;
            }
        }
    }
}

const ENDLESS: u64 = u64::MAX / 2;

impl Proxy {
    fn new(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (left, held) = (Arc::new(AtomicU64::new(ENDLESS)), Arc::<Held>::default());
        let shared = (left.clone(), held.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
                let [(c1, c2), (s1, s2)] =
                    [&client, &server].map(|stream| (stream.try_clone().unwrap(), stream.try_clone().unwrap()));
                let (left, held) = shared.clone();
                thread::spawn(move || held.copy(c1, s1));
                thread::spawn(move || copy(s2, c2, &left));
            }
        });
        Self { port, left, held }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, left: &AtomicU64) {
    let mut byte = [0; 1];
    // Byte by byte, so that the connection can be cut anywhere.
    while let Ok(1) = from.read(&mut byte) {
        let may_pass = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if may_pass.is_err() {
            left.store(ENDLESS, Ordering::SeqCst);
            break;
        }
        if to.write_all(&byte).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
}

#[test]
fn write_is_committed_once_wherever_the_connection_is_lost() {
    let Some(place) = Place::new() else { return };
    let proxy = Proxy::new(place.server.port);
    let url = format!("postgres://openkv@127.0.0.1:{}/postgres?schema={}&sslmode=disable", proxy.port, place.schema);
    let database = open(&url).unwrap();
    let add = || AtomicWrite::new().mutate(Mutation::sum(key(0), 1)).mutate(Mutation::sum(key(1), 1));
    let mut last = commit(&database, add());
    // The responses of the two round trips have some hundred bytes.
    for (bytes, count) in (0..400).step_by(6).zip(2..) {
        proxy.left.store(bytes, Ordering::SeqCst);
        let version = commit(&database, add());
        assert!(version > last);
        last = version;
        assert_eq!(value(&database, 0), Some(count), "after {bytes} bytes");
    }
    assert_eq!(block_on(database.delete_range(&crate::support::numbers())).unwrap(), 2);
}

#[test]
fn set_has_the_version_that_was_returned_wherever_the_connection_is_lost() {
    let Some(place) = Place::new() else { return };
    let proxy = Proxy::new(place.server.port);
    let url = format!("postgres://openkv@127.0.0.1:{}/postgres?schema={}&sslmode=disable", proxy.port, place.schema);
    let database = open(&url).unwrap();
    let mut last = None;
    // The responses of the only round trip have some hundred bytes. Entries alone take one statement, and with a message several.
    for (bytes, has_message) in (0..400).step_by(6).zip([false, true].into_iter().cycle()) {
        proxy.left.store(bytes, Ordering::SeqCst);
        let set = |number| AtomicWrite::new().mutate(Mutation::set(key(number), Value::U64(bytes)));
        let message = Enqueue::new(b"\xff\x0f_".to_vec());
        let second = if has_message { set(1).enqueue(message) } else { set(1) };
        let writes = [set(0), second, set(2)].map(|write| database.write(write));
        for (number, write) in writes.into_iter().enumerate() {
            let version = block_on(write).unwrap().versionstamp();
            assert!(version > last, "after {bytes} bytes");
            let entry = database.get_blocking(&key(number as u64)).unwrap().unwrap();
            assert_eq!((entry.value, Some(entry.versionstamp)), (Value::U64(bytes), version), "after {bytes} bytes");
            last = version;
        }
    }
    assert_eq!(place.query("select count(*) from SCHEMA.queue"), "33");
}

#[test]
fn write_that_arrives_after_its_repetition_has_no_effect() {
    let Some(place) = Place::new() else { return };
    let proxy = Proxy::new(place.server.port);
    let (port, schema) = (proxy.port, &place.schema);
    let url = format!(
        "postgres://openkv@127.0.0.1:{port}/postgres?schema={schema}&sslmode=disable&application_name={schema}"
    );
    let database = open(&url).unwrap();
    let set = |value: &[u8]| AtomicWrite::new().mutate(Mutation::set(key(0), Value::Bytes(value.to_vec())));
    let sessions =
        || place.query("select count(*) from pg_stat_activity where application_name = 'SCHEMA'").parse::<u32>();
    // Entries alone take one statement, and with a message several.
    for (i, write) in [set(b"late"), set(b"late").enqueue(Enqueue::new(b"\xff\x0f_".to_vec()))].into_iter().enumerate()
    {
        *proxy.held.pattern.lock().unwrap() = Some(b"late");
        commit(&database, write);
        let last = commit(&database, set(b"last"));
        let (bytes, mut server) = proxy.held.bytes.lock().unwrap().take().unwrap();
        let before = sessions().unwrap();
        server.write_all(&bytes).unwrap();
        // The session ends once the server has responded, as there is no client.
        while sessions().unwrap() >= before {
            thread::yield_now();
        }
        let entry = database.get_blocking(&key(0)).unwrap().unwrap();
        assert_eq!((entry.value, entry.versionstamp), (Value::Bytes(b"last".to_vec()), last));
        assert_eq!(place.query("select count(*) from SCHEMA.queue"), i.to_string());
    }
}

#[test]
fn deletion_removes_what_was_committed_while_it_waited() {
    let Some(place) = Place::new() else { return };
    let database = place.open_named();
    let waiting =
        "select exists (select from pg_stat_activity where application_name = 'SCHEMA' and wait_event_type = 'Lock')";
    // A write of another program, in the layout of ours.
    let write = "begin; update SCHEMA.state set version = version + 1; insert into SCHEMA.entries \
                 select decode('KEY', 'hex'), '', 3, version from SCHEMA.state";
    let hex: String = key(1).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut other = Command::start(&place.server, &write.replace("SCHEMA", &place.schema).replace("KEY", &hex));
    let sets_and_deletes = AtomicWrite::new()
        .mutate(Mutation::set(key(2), Value::U64(2)))
        .mutate(Mutation::delete(key(1)))
        .mutate(Mutation::set(key(3), Value::U64(3)));
    let deleted = database.write(sets_and_deletes);
    while place.query(waiting) != "t" {
        std::thread::yield_now();
    }
    other.run("commit");
    block_on(deleted).unwrap().into_result().unwrap();
    assert_eq!([1, 2, 3].map(|number| value(&database, number)), [None, Some(2), Some(3)]);
    other.end();
}

#[test]
fn terminated_backends_lose_and_repeat_nothing() {
    let Some(place) = Place::new() else { return };
    let database = place.open_named();
    let add = |database: &Database| database.write(AtomicWrite::new().mutate(Mutation::sum(key(0), 1)));
    let mut count = 0;
    for _ in 0..20 {
        let writes: Vec<_> = (0..50).map(|_| add(&database)).collect();
        place.disconnect();
        count += writes.len() as u64;
        for write in writes {
            block_on(write).unwrap().into_result().unwrap();
        }
        assert_eq!(value(&database, 0), Some(count));
    }
}

#[test]
fn paused_client_does_not_hold_the_lock() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    let setting = place.query("select setting from pg_settings where name = 'idle_in_transaction_session_timeout'");
    assert_eq!(setting, "0", "it is set by the session alone");
    // A client that stops within its transaction, with the timeout of our sessions, but shorter.
    let lock =
        "set idle_in_transaction_session_timeout = '300ms'; begin; update SCHEMA.state set version = version + 1";
    let mut stopped = Command::start(&place.server, &lock.replace("SCHEMA", &place.schema));
    database.set_blocking(key(0), Value::U64(1)).unwrap();
    stopped.end();
}

/// A `psql` that stays within a session.
struct Command(std::process::Child);

impl Command {
    fn start(server: &Server, sql: &str) -> Self {
        let mut psql = std::process::Command::new("psql");
        psql.args(["-X", "-q", "-h", "127.0.0.1", "-U", "openkv", "-d", "postgres", "-p", &server.port.to_string()]);
        let mut child = psql
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{sql};\n\\echo ready").unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
        child.stdin = Some(stdin);
        Self(child)
    }

    fn run(&mut self, sql: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{sql};").unwrap();
    }

    fn end(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn statement_timeout_is_an_error_that_says_what_to_do() {
    let Some(place) = Place::new() else { return };
    let name = format!("{}_user", place.schema);
    place.open();
    place.query(&format!("create role {name} login superuser; alter role {name} set statement_timeout = '200ms'"));
    let database = open(&place.url().replace("openkv@", &format!("{name}@"))).unwrap();
    let mut holder =
        Command::start(&place.server, &format!("begin; update {}.state set version = version", place.schema));
    let error = database.set_blocking(key(0), Value::U64(1)).unwrap_err();
    assert!(matches!(error, Error::Storage(_)), "{error:?}");
    assert!(error.to_string().contains("raise statement_timeout"), "{error}");
    holder.end();
    database.set_blocking(key(0), Value::U64(2)).unwrap();
    assert_eq!(value(&database, 0), Some(2));
}

#[test]
fn wrong_addresses_are_errors_that_name_them() {
    let Some(place) = Place::new() else { return };
    let failure = |url: &str| {
        let environment = Environment::default();
        let opened = openkv_postgres::open(
            Address::parse(url).unwrap(),
            options().environment(environment).retry_for(Duration::ZERO),
        );
        block_on(opened).unwrap_err().to_string()
    };
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = failure(&format!("postgres://user:secret@127.0.0.1:{unused}/postgres"));
    assert!(
        error.starts_with(&format!("unable to connect to 'postgres://user@127.0.0.1:{unused}/postgres': ")),
        "{error}"
    );
    assert!(!error.contains("secret"));
    let error = failure(&place.url().replace("/postgres?", "/missing?"));
    assert!(error.contains("database \"missing\" does not exist"), "{error}");
    let error = failure(&place.url().replace("openkv@", "nobody_here@"));
    assert!(error.contains("check the user and the password"), "{error}");
    let error = failure(&format!("{}&sslmode=require", place.url()));
    assert!(error.contains("TLS"), "{error}");
}

#[test]
fn pooler_of_transactions_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // What PgBouncer sends.
    let pooler = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut [0; 4096]).unwrap();
        let fields = b"SERROR\0C08P01\0Munsupported startup parameter: options\0\0";
        let message = [&b"E"[..], &(fields.len() as u32 + 4).to_be_bytes(), fields].concat();
        client.write_all(&message).unwrap();
    });
    let error = open(&format!("postgres://user@127.0.0.1:{port}/db?sslmode=disable")).unwrap_err().to_string();
    assert!(error.contains("is a connection pooler such as PgBouncer"), "{error}");
    pooler.join().unwrap();
}

#[test]
fn passwords_come_from_the_url_the_environment_or_a_file() {
    let Some(programs) = openkv_postgres::cluster::installed() else { return };
    let server = Server::primary(&programs, "fsync = off").unwrap();
    server.query("create role app login superuser password 'right'").unwrap();
    let hba = "host all openkv 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(server.data().join("pg_hba.conf"), hba).unwrap();
    server.query("select pg_reload_conf()").unwrap();
    let url = format!("postgres://app@{}/postgres", server.host());
    let open = |url: &str, environment: Environment| {
        let opened = openkv_postgres::open(Address::parse(url).unwrap(), options().environment(environment));
        block_on(opened).map(drop).map_err(|error| error.to_string())
    };
    let with = |password: &str| {
        let mut environment = Environment::default();
        environment.password = Some(password.to_owned());
        environment
    };
    assert!(open(&url, Environment::default()).unwrap_err().contains("the server requires a password"));
    assert!(open(&url, with("wrong")).unwrap_err().contains("check the user and the password"));
    open(&url, with("right")).unwrap();
    open(&url.replace("app@", "app:right@"), with("wrong")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pgpass");
    fs::write(&file, format!("127.0.0.1:{}:postgres:app:right\n", server.port)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut environment = Environment::default();
    environment.password_file = Some(file);
    open(&url, environment).unwrap();
}

#[test]
fn certificates_are_verified_if_the_url_says_so() {
    let Some(programs) = openkv_postgres::cluster::installed() else { return };
    let server = Server::primary(&programs, "fsync = off").unwrap();
    let (key_file, certificate) = (server.data().join("server.key"), server.data().join("server.crt"));
    let created = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
        ])
        .arg(&key_file)
        .arg("-out")
        .arg(&certificate)
        .output();
    if !created.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: openssl is not installed");
        return;
    }
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(server.data()).unwrap());
    for file in [&key_file, &certificate] {
        std::os::unix::fs::chown(file, Some(owner), None).unwrap();
    }
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    server.query("alter system set ssl = on").unwrap();
    server.query("select pg_reload_conf()").unwrap();
    let port = server.port;
    let open = |host: &str, parameters: &str| {
        let url = format!("postgres://openkv@{host}:{port}/postgres?{parameters}");
        let opened =
            openkv_postgres::open(Address::parse(&url).unwrap(), Options::default().retry_for(Duration::from_secs(1)));
        block_on(opened).map_err(|error| error.to_string())
    };
    let root = format!("sslrootcert={}", certificate.display());
    open("127.0.0.1", "sslmode=require").unwrap();
    let ssl =
        "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'openkv'";
    let database = open("localhost", &format!("sslmode=verify-full&{root}")).unwrap();
    assert_eq!(server.query(ssl).unwrap(), "t");
    database.set_blocking(key(0), Value::U64(1)).unwrap();
    let error = open("127.0.0.1", &format!("sslmode=verify-full&{root}")).unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    let error = open("localhost", "sslmode=verify-full").unwrap_err();
    assert!(error.contains("this program has no certificates"), "{error}");
}

#[test]
fn tables_are_created_once_by_concurrent_processes() {
    let Some(place) = Place::new() else { return };
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let url = place.url();
            thread::spawn(move || open(&url).unwrap())
        })
        .collect();
    let databases: Vec<_> = opening.into_iter().map(|opening| opening.join().unwrap()).collect();
    for database in &databases {
        commit(database, AtomicWrite::new().mutate(Mutation::sum(key(0), 1)));
    }
    assert_eq!(value(&databases[0], 0), Some(8));
}

#[test]
fn newer_layout_is_refused() {
    let Some(place) = Place::new() else { return };
    let database = place.open();
    place.query("update SCHEMA.state set layout = 99");
    for error in [open(&place.url()).unwrap_err(), database.set_blocking(key(0), Value::U64(1)).unwrap_err()] {
        let error = error.to_string();
        assert!(error.contains("have layout version 99") && error.contains("use a newer one"), "{error}");
    }
}
