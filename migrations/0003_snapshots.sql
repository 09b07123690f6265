-- Workspaces as they were, to go back to.

alter table workspace
    -- How many snapshots were ever taken or imported: the ordinal of the last. No part of what a snapshot holds.
    add column snapshots_made bigint not null default 0;

create table snapshot (
    snapshot_id  uuid primary key,
    workspace_id uuid not null references workspace on delete cascade,
    -- 0: how the workspace began, which is neither listed nor deleted.
    ordinal      bigint not null,
    -- When it came to the workspace, and the instant it leads back to.
    created_at   timestamptz not null,
    instant      timestamptz not null,
    is_imported  boolean not null,
    -- See emulator::snapshots::document. Not jsonb: that takes a quarter of a gigabyte and no more.
    document     json not null,
    unique (workspace_id, ordinal)
);
