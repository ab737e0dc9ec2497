-- One row. A transaction that commits writes locks it first, so that versions have the order of commits.
create table SCHEMA.state (
    singleton boolean primary key default true check (singleton),
    layout integer not null,
    id bytea not null,
    version bigint not null
);
insert into SCHEMA.state (layout, id, version)
    values (1, decode(replace(gen_random_uuid()::text, '-', ''), 'hex'), 0);

create table SCHEMA.entries (
    key bytea primary key,
    value bytea not null,
    encoding smallint not null,
    version bigint not null,
    expires_at bigint
);
create index entries_expires_at on SCHEMA.entries (expires_at) where expires_at is not null;

-- The last committed batch of each open database and its version, with which it finds out the outcome of a commit whose reply was
-- lost.
create table SCHEMA.sessions (
    id bytea primary key,
    batch bigint not null,
    version bigint not null,
    at bigint not null
);

-- What was committed under the id of a write.
create table SCHEMA.commit_ids (
    id bytea primary key,
    version bigint not null,
    at bigint not null
);
create index commit_ids_at on SCHEMA.commit_ids (at);

create table SCHEMA.queue (
    id bigint generated always as identity primary key,
    due bigint not null,
    message bytea not null,
    schedule bigint[] not null,
    undelivered bytea[] not null,
    -- The session that has claimed the message, until its lease ends.
    claimant bytea,
    lease_until bigint,
    started boolean not null default false
);
create index queue_due on SCHEMA.queue (due, id) where claimant is null;
create index queue_lease_until on SCHEMA.queue (lease_until) where claimant is not null;
