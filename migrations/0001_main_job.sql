-- The main job: workspaces, their locks, and the access codes on them.
--
-- Every instant in here is in the time of its workspace, except where a comment says "machine time".
-- Nothing has a default that reads a clock: each instant is handed in.

create table workspace (
    workspace_id    uuid primary key,
    name            text not null,
    is_sandbox      boolean not null,
    publishable_key text not null unique,
    -- What ids, PINs and keys of this workspace are derived from; null where they are random.
    seed            text unique,
    created_at      timestamptz not null,
    -- How long the workspace's locks take for one operation.
    programming_ms  bigint not null check (programming_ms >= 0),
    -- live: the machine's time. held: stands still at clock_at. running: was clock_at when the machine's time
    -- was clock_since, and passes clock_rate times as fast.
    clock_mode      text not null check (clock_mode in ('live', 'running', 'held')),
    clock_at        timestamptz,
    clock_since     timestamptz,
    clock_rate      double precision check (clock_rate > 0),
    -- Machine time after which the workspace may be removed; null: it stays.
    expires_at      timestamptz,
    check ((clock_mode = 'live') = (clock_at is null)),
    check ((clock_mode = 'running') = (clock_since is not null)),
    check ((clock_mode = 'running') = (clock_rate is not null))
);

create table credential (
    token        text primary key,
    workspace_id uuid not null references workspace on delete cascade,
    kind         text not null check (kind in ('api_key', 'personal_access_token'))
);
create index on credential (workspace_id);

create table connected_account (
    connected_account_id uuid primary key,
    workspace_id         uuid not null references workspace on delete cascade,
    provider             text not null,
    created_at           timestamptz not null,
    unique (workspace_id, provider)
);

create table device (
    device_id            uuid primary key,
    workspace_id         uuid not null references workspace on delete cascade,
    connected_account_id uuid not null references connected_account on delete cascade,
    device_type          text not null,
    name                 text not null,
    -- The place in the order in which the workspace's devices were made.
    ordinal              integer not null,
    created_at           timestamptz not null,
    -- Since when the lock can be reached, or since when it cannot: one of them is null.
    reachable_since      timestamptz,
    unreachable_since    timestamptz,
    -- What whoever made the device wants different from its brand.
    overrides            jsonb not null,
    custom_metadata      jsonb not null,
    -- How many access codes were ever made here: the ordinal of the next.
    access_code_ordinal  bigint not null default 0,
    unique (workspace_id, ordinal),
    check ((reachable_since is null) <> (unreachable_since is null))
);
create index on device (connected_account_id);

-- Codes of one common_code_key share one PIN. The row is what two first requests with one new key meet on.
create table pin_group (
    workspace_id    uuid not null references workspace on delete cascade,
    common_code_key text not null,
    -- Null until the first code is made.
    code            text,
    primary key (workspace_id, common_code_key)
);

create table access_code (
    access_code_id                   uuid primary key,
    workspace_id                     uuid not null,
    -- No foreign key: a code is written only under the lock of its device's row, and the check would read it again.
    device_id                        uuid not null,
    created_at                       timestamptz not null,

    -- Asked for.
    name                             text,
    code                             text not null,
    starts_at                        timestamptz,
    ends_at                          timestamptz,
    common_code_key                  text,
    -- Decided when the code is made, by what is preferred and what the lock can do.
    is_natively_scheduled            boolean not null,
    is_external_modification_allowed boolean not null,
    deletion_requested_at            timestamptz,

    -- Held by the lock; held_code is null while it holds nothing.
    held_name                        text,
    held_code                        text,
    held_starts_at                   timestamptz,
    held_ends_at                     timestamptz,
    first_held_at                    timestamptz,

    -- How far the code's life has been lived: reads go by as_of, not by the clock, so that no answer runs
    -- ahead of the events.
    as_of                            timestamptz not null,
    -- Since when the lock is busy with this code.
    working_since                    timestamptz,
    -- When the next step of its life falls due. Follows from the columns above; stored to be found by.
    due_at                           timestamptz,
    -- The same in machine time; null where no passing of time leads there, as on a held clock.
    wake_at                          timestamptz,
    -- When it left the lock for good. Kept for action attempts and events that still speak of it.
    gone_at                          timestamptz,
    -- Events and action attempts of this code so far: the ordinal of the next.
    children                         integer not null,

    check ((starts_at is null) = (ends_at is null)),
    check (ends_at > starts_at)
);
-- One index for each way to look codes up, and no two that begin with the same column: statements are planned once,
-- while the tables may still be empty, and then nothing tells a good index from a bad one. A statement names the
-- column its index begins with in an equation, and further ones with `is not distinct from`, which no index serves.
create index access_code_on_device on access_code (device_id, code) where gone_at is null;
create index access_code_wake on access_code (wake_at) where wake_at is not null;
create index access_code_due on access_code (workspace_id, due_at);
create index access_code_linked on access_code (common_code_key) where common_code_key is not null and gone_at is null;

create table action_attempt (
    action_attempt_id uuid primary key,
    workspace_id      uuid not null,
    action_type       text not null,
    device_id         uuid not null,
    access_code_id    uuid,
    created_at        timestamptz not null,
    -- Set where the attempt was over when it was made; otherwise its outcome follows from the code's life.
    resolved_at       timestamptz
);
create index on action_attempt (workspace_id, created_at desc, action_attempt_id desc);

create table event (
    -- The order in which events were recorded; ids do not tell it.
    sequence             bigint generated always as identity,
    event_id             uuid primary key,
    workspace_id         uuid not null,
    event_type           text not null,
    occurred_at          timestamptz not null,
    created_at           timestamptz not null,
    device_id            uuid,
    connected_account_id uuid,
    access_code_id       uuid,
    -- The PIN that some types carry.
    code                 text
);
create index on event (workspace_id, occurred_at, sequence);
create index on event (access_code_id) where access_code_id is not null;
