-- What a workspace's requests meet at the edge of the API: HTTP faults, limits, strictness.

alter table workspace
    -- Whether there is any row in http_fault: most workspaces need not look.
    add column has_http_faults boolean not null default false,
    -- How many were ever made: the ordinal of the next.
    add column http_faults_made bigint not null default 0,
    -- Whether parameters that the contract does not know are refused.
    add column is_strict boolean not null default false,
    -- How often devices take requests, see action_attempts::limits::RateLimits; null: as often as they come.
    add column rate_limits jsonb;

-- What is to become of requests. The first that applies does, in the order in which they were made.
create table http_fault (
    http_fault_id uuid primary key,
    workspace_id  uuid not null references workspace on delete cascade,
    sequence      bigint generated always as identity,
    -- Null: any. A path may end in *, which stands for whatever follows.
    path          text,
    method        text,
    outcome       jsonb not null,
    -- How many requests it strikes; null: all.
    times         integer check (times > 0),
    -- How likely it strikes one; null: surely.
    probability   double precision check (probability > 0 and probability <= 1),
    -- How many requests it was considered for, and how many of them it struck.
    asked         bigint not null default 0,
    used          integer not null default 0,
    created_at    timestamptz not null
);
create index on http_fault (workspace_id, sequence);
