-- User identities: the persons to whom access is given. Spaces: groups of devices, such as the locks of an apartment.

alter table workspace
    -- Number of user identities that were ever created: the ordinal of the next.
    add column user_identities_made bigint not null default 0,
    -- Number of spaces that were ever created: the ordinal of the next.
    add column spaces_made bigint not null default 0;

create table user_identity (
    user_identity_id      uuid primary key,
    workspace_id          uuid not null references workspace on delete cascade,
    -- The order in which user identities were created; ids do not tell it.
    sequence              bigint generated always as identity,
    created_at            timestamptz not null,
    -- The client's key of the person.
    user_identity_key     text,
    full_name             text,
    email_address         text,
    phone_number          text,
    -- The client's key of the customer to whom the person belongs.
    customer_key          text,
    -- Devices to which the person has access without an access grant.
    device_ids            uuid[] not null default '{}',
    -- Time at which the deletion was requested, on the clock of the workspace; null: it was not.
    deletion_requested_at timestamptz,
    -- User identity into which this one was merged, which is not merged itself; null: it was not merged. The row stays,
    -- so that its id and its key find that user identity.
    merged_into           uuid
);
-- The key of a merged row stays taken. Its email address and phone number do not.
create unique index user_identity_of_key on user_identity (user_identity_key, workspace_id);
create unique index user_identity_of_email on user_identity (email_address, workspace_id) where merged_into is null;
create unique index user_identity_of_phone on user_identity (phone_number, workspace_id) where merged_into is null;
create index on user_identity (workspace_id, created_at desc, user_identity_id desc);
create index on user_identity (merged_into) where merged_into is not null;
-- Statements that look for devices find few rows or none.
create index on user_identity using gin (device_ids) with (fastupdate = off);

create table space (
    space_id              uuid primary key,
    workspace_id          uuid not null references workspace on delete cascade,
    -- The order in which spaces were created; ids do not tell it.
    sequence              bigint generated always as identity,
    created_at            timestamptz not null,
    name                  text not null,
    -- The client's key of the space.
    space_key             text,
    -- The client's key of the customer to whom the space belongs.
    customer_key          text,
    -- Address, times and time zone that the client stores for its customer.
    customer_data         jsonb not null default '{}',
    -- Devices in the space, in the order in which they were added.
    device_ids            uuid[] not null default '{}',
    -- Connected accounts that were added as a whole. Their devices are in device_ids.
    connected_account_ids uuid[] not null default '{}',
    -- Time at which the deletion was requested, on the clock of the workspace; null: it was not.
    deletion_requested_at timestamptz,
    -- Number of events of the space so far: the ordinal of the next.
    children              bigint not null default 0
);
create unique index space_of_key on space (space_key, workspace_id);
create index on space (workspace_id, created_at desc, space_id desc);
-- fastupdate off: a device is read with its spaces, and a list of pending entries would make each such read slower.
create index on space using gin (device_ids) with (fastupdate = off);

-- User identities that a client session can see.
alter table client_session add column user_identity_ids uuid[] not null default '{}';
