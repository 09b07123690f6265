-- Webhooks of workspaces, and the deliveries of events to them.

alter table workspace
    -- True if the workspace has webhooks. Otherwise its events are written without looking for any.
    add column has_webhooks boolean not null default false,
    -- Number of webhooks created so far: the ordinal of the last.
    add column webhooks_made bigint not null default 0;

create table webhook (
    webhook_id    uuid primary key,
    workspace_id  uuid not null references workspace on delete cascade,
    -- Order of creation.
    sequence      bigint generated always as identity,
    url           text not null,
    -- Event types that are sent; * stands for all types.
    event_types   text[] not null,
    -- Key of the signatures, whsec_ and base64. Null only inside the transaction that restores a snapshot.
    secret        text,
    -- On the clock of the workspace.
    created_at    timestamptz not null,
    -- Machine time of the first failed attempt since the last successful one; null: the last attempt was successful.
    failing_since timestamptz,
    -- Machine time at which the webhook was disabled, because all attempts failed for days; null: it is enabled.
    disabled_at   timestamptz,
    -- Process that sends the deliveries, and the machine time until which no other process may take over.
    leased_by     uuid,
    leased_until  timestamptz,
    check ((leased_by is null) = (leased_until is null))
);
create index on webhook (workspace_id, sequence);

-- A row is written by the statement that writes its event. No foreign keys: the webhook exists, because its creation
-- and its deletion lock the devices whose events are written, and a check would lock its row for each event.
create table webhook_delivery (
    -- Derived from the event and the webhook.
    webhook_delivery_id uuid primary key,
    workspace_id        uuid not null,
    webhook_id          uuid not null,
    event_id            uuid not null,
    -- That of the event: the order in which the deliveries of a webhook are sent.
    sequence            bigint not null,
    status              text not null default 'pending' check (status in ('pending', 'succeeded', 'failed')),
    -- Machine time of the next attempt: the epoch for the first attempt, which is due at once; null: none is planned.
    due_at              timestamptz,
    -- Number of attempts so far.
    attempts            integer not null default 0,
    -- Number of failed attempts on the retry schedule, which begins again with a redelivery.
    failures            integer not null default 0,
    -- Number of redeliveries that were requested. The result of an attempt from before the last one is only logged.
    redeliveries        integer not null default 0,
    -- The latest attempts, the oldest first, see domain::webhook::Attempt.
    attempt_log         jsonb not null default '[]'
);
create index on webhook_delivery (workspace_id, sequence);
-- The deliveries of a webhook that are due, in the order in which they are sent.
create index webhook_delivery_due on webhook_delivery (webhook_id, due_at, sequence) where due_at is not null;
