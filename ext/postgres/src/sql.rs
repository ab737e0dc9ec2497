//! The tables, and the statements on them.
//!
//! Times are in milliseconds since the Unix epoch, by the clock of the server.

/// The version of the layout of the tables that this program creates and supports.
pub(crate) const LAYOUT: i32 = 1;

/// How long after its last renewal a claim of a message ends, in milliseconds.
const LEASE: u64 = 5000;

/// When the statement began.
const NOW: &str = "(extract(epoch from statement_timestamp()) * 1000)::bigint";

/// The time when the expression is evaluated, as after waiting for a lock.
const CLOCK: &str = "(extract(epoch from clock_timestamp()) * 1000)::bigint";

/// What each connection asks first: whether the server is a standby, whether it is read-only, whether it has received the options
/// of the session, its clock, and how commits wait.
pub(crate) const HELLO: &str = "select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', \
     current_setting('openkv.session', true), (extract(epoch from clock_timestamp()) * 1000)::bigint, \
     current_setting('synchronous_commit')";

/// Locks the schemas of a database while one is created or migrated. The number is arbitrary, and fixed.
pub(crate) const LOCK_SCHEMAS: &str = "select pg_advisory_xact_lock(7309940837640245)";

/// Whether a schema has tables.
pub(crate) const EXISTS: &str = "select exists (select from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace \
     where n.nspname = $1 and c.relname = 'state')";

/// How long after its last commit the marker of a session is kept, in milliseconds.
const SESSION_KEPT: u64 = 24 * 60 * 60 * 1000;

/// How many rows a sweep removes from a table at a time.
pub(crate) const SWEPT: u64 = 1000;

/// The statements of a database.
pub(crate) struct Sql {
    /// The statements that create the layout of each version from the one before.
    pub layouts: Vec<String>,
    pub channel: String,
    pub listen: String,

    pub state: String,
    pub version: String,
    pub get: String,
    pub get_many: String,
    pub expiries: String,
    pub count: String,
    pub page_of_entries: String,
    pub page_of_messages: String,
    pub raise_version: String,
    pub expiry: String,
    pub expires: String,

    pub lock: String,
    pub marker: String,
    pub mark: String,
    pub ids: String,
    pub add_ids: String,
    pub versions: String,
    pub values: String,
    pub put: String,
    pub delete: String,
    pub delete_range: String,
    pub enqueue: String,
    pub notify: String,
    pub notify_commit: String,
    pub commit_puts: String,

    pub claim: String,
    pub take_over: String,
    pub abandoned: String,
    pub started: String,
    pub renew: String,
    pub done: String,
    pub unclaim: String,
    pub give_up: String,
    pub retry: String,
    pub next_due: String,

    pub sweep_entries: String,
    pub sweep_ids: String,
    pub sweep_sessions: String,

    schema: String,
}

/// Another layout makes the version null, which its column does not allow.
const LOCK: &str =
    "update SCHEMA.state set version = case layout when LAYOUT then version + COUNT end returning version, CLOCK";

/// The versions of the new entries end with that of STATE.
const PUT: &str = "insert into SCHEMA.entries (key, value, encoding, version, expires_at) \
     select new.key, new.value, new.encoding, state.version - $6 + new.version, new.expires_at \
     from unnest($1::bytea[], $2::bytea[], $3::smallint[], $4::bigint[], $5::bigint[]) \
     as new (key, value, encoding, version, expires_at), STATE \
     on conflict (key) do update set value = excluded.value, encoding = excluded.encoding, \
     version = excluded.version, expires_at = excluded.expires_at";

/// Raises the marker of a session to a batch. Returns no row if it is not lower: then the statement arrives late, after the batch was
/// sent again over another connection, and must fail.
const MARK: &str = "insert into SCHEMA.sessions (id, batch, version, at) select SESSION, BATCH, version, NOW from STATE \
     on conflict (id) do update set batch = excluded.batch, version = excluded.version, at = excluded.at \
     where sessions.batch < excluded.batch returning id";

/// Divides by zero if there is no row.
const MARKED: &str = "1 / (select count(*) from marked)";

const LIVE: &str = "(expires_at is null or expires_at > NOW)";

impl Sql {
    pub fn new(schema: &str) -> Self {
        let sql = |text: &str| {
            text.replace("LIVE", LIVE)
                .replace("NOW", NOW)
                .replace("CLOCK", CLOCK)
                .replace("LAYOUT", &LAYOUT.to_string())
                .replace("LEASE", &LEASE.to_string())
                .replace("SWEPT", &SWEPT.to_string())
                .replace("SCHEMA", &format!("\"{schema}\""))
        };
        Self {
            layouts: vec![sql(include_str!("layout1.sql"))],
            channel: format!("openkv:{schema}"),
            listen: format!("listen \"openkv:{schema}\""),

            state: sql("select layout, id, version from SCHEMA.state"),
            version: sql("select version from SCHEMA.state"),
            get: sql("select key, version, value, encoding from SCHEMA.entries where key = $1 and LIVE"),
            get_many: sql("select key, version, value, encoding from SCHEMA.entries where key = any($1) and LIVE"),
            expiries: sql("select key, version, expires_at from SCHEMA.entries where key = any($1) and LIVE"),
            count: sql("select count(*) from SCHEMA.entries where key >= $1 and key < $2 and LIVE"),
            page_of_entries: sql("select key, version, value, encoding, expires_at from \
                 (select *, sum(octet_length(value)) over (order by key) - octet_length(value) as before \
                 from (select * from SCHEMA.entries where key > $1 and LIVE order by key limit $2) as rows) as sized \
                 where before < $3 order by key"),
            page_of_messages: sql(
                "select id, due, message, schedule, undelivered, claimant is not null and started from \
                 (select *, sum(octet_length(message)) over (order by id) - octet_length(message) as before \
                 from (select * from SCHEMA.queue where id > $1 order by id limit $2) as rows) as sized \
                 where before < $3 order by id",
            ),
            raise_version: sql("update SCHEMA.state set version = greatest(version, $1) returning version"),
            expiry: sql("select key, expires_at, NOW from SCHEMA.entries where key = any($1) and expires_at > NOW \
                 order by expires_at limit 1"),
            expires: sql("select exists (select from SCHEMA.entries where key = any($1) and expires_at is not null)"),

            lock: sql(&LOCK.replace("COUNT", "$1")),
            marker: sql("select batch, version from SCHEMA.sessions where id = $1"),
            mark: {
                let mark = MARK.replace("SESSION", "$1").replace("BATCH", "$2").replace("STATE", "SCHEMA.state");
                sql(&format!("with marked as ({mark}) select {MARKED}"))
            },
            ids: sql("select id, version from SCHEMA.commit_ids where id = any($1)"),
            add_ids: sql("insert into SCHEMA.commit_ids (id, version, at) \
                 select id, version, $3 from unnest($1::bytea[], $2::bigint[]) as new (id, version)"),
            versions: sql("select key, version, expires_at from SCHEMA.entries where key = any($1)"),
            values: sql("select key, version, expires_at, value, encoding from SCHEMA.entries where key = any($1)"),
            put: sql(&PUT.replace("STATE", "SCHEMA.state")),
            delete: sql("delete from SCHEMA.entries where key = any($1)"),
            delete_range: sql("with chosen as materialized (select key from SCHEMA.entries \
                 where key >= $1 and key < $2 and (expires_at is null or expires_at > $4) order by key limit $3) \
                 delete from SCHEMA.entries where key in (select key from chosen)"),
            enqueue: sql("insert into SCHEMA.queue (due, message, schedule, undelivered) \
                 select due, message, schedule::bigint[], undelivered::bytea[] \
                 from unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[]) as new (due, message, schedule, undelivered)"),
            notify: "select pg_notify($1, $2)".to_owned(),
            notify_commit: sql("select pg_notify($1, version::text || $2) from SCHEMA.state"),
            commit_puts: {
                let lock = LOCK.replace("COUNT", "$6");
                let put = PUT.replace("STATE", "locked as state");
                let mark = MARK.replace("SESSION", "$7").replace("BATCH", "$8").replace("STATE", "locked");
                sql(&format!(
                    "with locked (version, now) as ({lock}), put as ({put}), marked as ({mark}) \
                     select version, now, pg_notify($9, version::text || $10), {MARKED} from locked"
                ))
            },

            claim: sql("update SCHEMA.queue as q set claimant = $1, lease_until = NOW + LEASE, started = false \
                 from (select id from SCHEMA.queue where claimant is null and due <= NOW \
                 and id <> all($3) order by due, id limit $2 for update skip locked) as ready \
                 where q.id = ready.id returning q.id, q.due, q.message"),
            take_over: sql("update SCHEMA.queue as q set claimant = $1, lease_until = NOW + LEASE \
                 from (select id from SCHEMA.queue where claimant is not null and lease_until <= NOW \
                 order by lease_until limit SWEPT for update skip locked) as dead \
                 where q.id = dead.id returning q.id, q.started"),
            abandoned: sql("update SCHEMA.queue set claimant = null, lease_until = null \
                 where claimant = $1 and id <> all($2)"),
            started: sql("update SCHEMA.queue set started = true where claimant = $1 and id = any($2)"),
            renew: sql("update SCHEMA.queue set lease_until = NOW + LEASE where claimant = $1 and id = any($2)"),
            done: sql("delete from SCHEMA.queue where claimant = $1 and id = any($2)"),
            unclaim: sql("update SCHEMA.queue set claimant = null, lease_until = null \
                 where claimant = $1 and id = any($2)"),
            give_up: sql(
                "delete from SCHEMA.queue where claimant = $1 and id = any($2) and cardinality(schedule) = 0 \
                 returning id, message, undelivered",
            ),
            retry: sql("update SCHEMA.queue set claimant = null, lease_until = null, due = NOW + schedule[1], \
                 schedule = schedule[2:] where claimant = $1 and id = any($2)"),
            next_due: sql("select (select min(due) from SCHEMA.queue where claimant is null), NOW"),

            sweep_entries: sql("delete from SCHEMA.entries where key in (select key from SCHEMA.entries \
                 where expires_at <= NOW order by expires_at limit SWEPT for update skip locked)"),
            sweep_ids: sql(&format!(
                "delete from SCHEMA.commit_ids where id in (select id from SCHEMA.commit_ids \
                 where at < NOW - {} order by at limit SWEPT for update skip locked)",
                2 * openkv_engine::CommitId::REMEMBERED
            )),
            sweep_sessions: sql(&format!(
                "delete from SCHEMA.sessions where id in (select id from SCHEMA.sessions \
                 where at < NOW - {SESSION_KEPT} limit SWEPT for update skip locked)"
            )),

            schema: format!("\"{schema}\""),
        }
    }

    /// Returns the statement that reads one range. Its parameters are the first key, the key past the last, and the limit.
    pub fn range(&self, reverse: bool, values: bool) -> String {
        self.arm(0, 1, reverse, values)
    }

    /// Returns a part of a statement that reads several ranges. Each row begins with the number of the range.
    pub fn arm(&self, number: usize, parameter: usize, reverse: bool, values: bool) -> String {
        let value = if values { "value" } else { "null::bytea" };
        let order = if reverse { " desc" } else { "" };
        let text = format!(
            "select key, version, {value}, encoding, {number} from SCHEMA.entries where key >= ${parameter} and key < ${} \
             and LIVE order by key{order} limit ${}",
            parameter + 1,
            parameter + 2
        );
        text.replace("LIVE", LIVE).replace("NOW", NOW).replace("SCHEMA", &self.schema)
    }
}
