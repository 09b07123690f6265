-- What goes by itself, in which order there are workspaces, and seeds for those that are given none.

alter table workspace
    -- The order in which workspaces were made; neither ids nor their own times tell it.
    add column sequence bigint generated always as identity;
create unique index workspace_in_order on workspace (sequence);
-- What is to be removed is looked for all the time.
create index workspace_expires on workspace (expires_at) where expires_at is not null;

-- On a server with a seed: which of the workspaces that chose neither seed nor id the next one is.
create sequence seedless_workspace;
