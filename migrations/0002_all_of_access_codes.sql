-- All of access codes: what goes wrong on the way, backups, offline codes, codes that are not ours.

alter table workspace
    -- Null: the workspace's locks do nothing but what is done by hand.
    alter column programming_ms drop not null,
    -- After how long an operation that is not done is unusually slow.
    add column slow_after_ms bigint not null default 60000 check (slow_after_ms >= 0),
    -- Whether codes that have ended stay to be seen.
    add column keeps_expired boolean not null default false,
    -- Whether there is any row in fault: most workspaces need not look.
    add column has_faults boolean not null default false,
    -- How many faults were ever made: the ordinal of the next.
    add column faults_made bigint not null default 0;

alter table connected_account
    add column disconnected_at timestamptz,
    -- How many events of its own it has: the ordinal of the next.
    add column events_made bigint not null default 0;

alter table device
    -- What is wrong with it, see devices::model::Trouble; null: nothing. Replaces unreachable_since.
    add column trouble jsonb,
    -- Its pool of backup codes, see devices::model::BackupPool; null: it has none.
    add column backup_pool jsonb,
    -- How many events of its own it has: the ordinal of the next.
    add column events_made bigint not null default 0;
update device
set trouble = jsonb_build_object('disconnected_at',
                                 to_char(unreachable_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
where unreachable_since is not null;
alter table device
    drop column unreachable_since,
    add check (reachable_since is not null or trouble is not null);

alter table access_code
    -- The order in which codes were made; ids do not tell it.
    add column sequence bigint generated always as identity,
    -- False: somebody else put it on the lock. What is asked for is then what the lock holds.
    add column is_managed boolean not null default true,
    -- Registered with the lock's maker, who computes the PIN; the lock itself is not contacted.
    add column is_offline boolean not null default false,
    add column is_backup boolean not null default false,
    -- The device whose pool a backup waits in; null once it was pulled.
    add column pool_device_id uuid,
    add column pulled_backup_access_code_id uuid,
    -- Facts that few codes have, see lifecycle::Particulars; null: none.
    add column particulars jsonb,
    -- The lock, while something in its memory stands in the way of this code.
    add column blocked_on uuid;
-- Codes that are gone have no key any more: with `gone_at is null` in here the planner of an empty table would as
-- soon read all of access_code_on_device.
update access_code set common_code_key = null where gone_at is not null;
drop index access_code_linked;
create index access_code_linked on access_code (common_code_key) where common_code_key is not null;
create index access_code_in_pool on access_code (pool_device_id) where pool_device_id is not null;
create index access_code_blocked on access_code (blocked_on) where blocked_on is not null;
-- While a PIN is being changed both the old and the new one are taken.
create index access_code_held_otherwise on access_code (held_code) where held_code <> code and gone_at is null;

-- What the outcome of an attempt is where it does not follow from the code's life: {"result"} or {"error"}.
alter table action_attempt add column outcome jsonb;

-- What an event of its type carries beyond the columns.
alter table event add column payload jsonb;

-- What is to become of operations of locks. The first that applies does, in the order in which they were made.
create table fault (
    fault_id     uuid primary key,
    workspace_id uuid not null references workspace on delete cascade,
    sequence     bigint generated always as identity,
    operation    text not null,
    -- Null: any.
    device_id    uuid,
    device_type  text,
    outcome      jsonb not null,
    -- How many operations are let pass first, and how many are hit then; null: all.
    after        integer not null check (after >= 0),
    times        integer check (times > 0),
    -- How many operations were counted so far.
    seen         integer not null default 0,
    created_at   timestamptz not null
);
create index on fault (workspace_id, sequence);
