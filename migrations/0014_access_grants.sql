-- Access grants and their access methods. The codes of a method are ordinary access codes.

alter table workspace
    -- Number of access grants that were ever created: the ordinal of the next.
    add column access_grants_made bigint not null default 0;

create table access_grant (
    access_grant_id          uuid primary key,
    workspace_id             uuid not null references workspace on delete cascade,
    -- Order of creation.
    sequence                 bigint generated always as identity,
    -- Identity that gets the access. Changes if its identity is merged into another one.
    user_identity_id         uuid not null,
    -- Keys that the client has chosen; null: none.
    access_grant_key         text,
    reservation_key          text,
    -- Name that the client has given; null: none.
    name                     text,
    customization_profile_id uuid,
    -- Locks that the client named, and spaces whose locks the grant covers, as JSON arrays of ids.
    device_ids               jsonb not null,
    space_ids                jsonb not null,
    starts_at                timestamptz not null,
    -- Null: no end.
    ends_at                  timestamptz,
    created_at               timestamptz not null,
    -- Entries of requested_access_methods, in their order, see domain::access_grant::RequestedAccessMethod.
    requested_access_methods jsonb not null,
    -- What went wrong when codes were created, see domain::access_grant::Conditions; null: nothing.
    conditions               jsonb,
    -- Times before a change that not all methods have yet, see domain::access_grant::TimesChange; null: no such change.
    changing_times           jsonb,
    -- Instant at which all methods were issued for the first time.
    granted_at               timestamptz,
    deletion_requested_at    timestamptz,
    -- Number of methods and events made for the grant: the ordinal of the next.
    children                 bigint not null default 0
);
create index access_grant_in_order on access_grant (workspace_id, created_at desc, access_grant_id desc);
create unique index access_grant_by_key on access_grant (workspace_id, access_grant_key)
    where access_grant_key is not null;
create index access_grant_of_reservation on access_grant (reservation_key) where reservation_key is not null;
create index access_grant_of_identity on access_grant (user_identity_id);
create index access_grant_of_devices on access_grant using gin (device_ids);
create index access_grant_of_spaces on access_grant using gin (space_ids);

create table access_method (
    access_method_id          uuid primary key,
    workspace_id              uuid not null references workspace on delete cascade,
    -- Order of creation.
    sequence                  bigint generated always as identity,
    access_grant_id           uuid not null references access_grant on delete cascade,
    -- Position in requested_access_methods of the entry for which the method was made.
    request                   integer not null,
    -- Method from which a lock with a backup code was split off; null: none.
    original_access_method_id uuid,
    created_at                timestamptz not null,
    -- PIN; null: the provider has not chosen it yet.
    code                      text,
    -- Key that links the codes of the method.
    common_code_key           text,
    -- Instant of the last issuance; null: not issued now.
    issued_at                 timestamptz,
    -- True if the method was issued before: the next issuance is a reissue.
    was_issued                boolean not null default false,
    -- Instant at which a backup code took the place of the last usable code.
    backup_pulled_at          timestamptz,
    -- Instants at which the issuance was reported as late, and as failed; null: it was not, or it succeeded since.
    delayed_at                timestamptz,
    failed_at                 timestamptz,
    -- Times before a change that the method does not have yet, see domain::access_grant::TimesChange.
    changing_times            jsonb,
    deletion_requested_at     timestamptz,
    -- Number of events of the method: the ordinal of the next.
    children                  bigint not null default 0
);
create index access_method_of_grant on access_method (access_grant_id);
create index access_method_in_order on access_method (workspace_id, created_at desc, access_method_id desc);

alter table access_code
    -- Access method that the code carries; null: the code belongs to no access grant.
    add column access_method_id uuid;
create index access_code_of_method on access_code (access_method_id) where access_method_id is not null;
