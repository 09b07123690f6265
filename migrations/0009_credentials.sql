-- Credentials: persons with their personal access tokens, and client sessions. What `/workspaces/update` changes.

create table person (
    person_id             uuid primary key,
    -- Token that opens every workspace of the person.
    personal_access_token text not null unique
);

-- Until now each workspace had a token of its own: it becomes that of a person of its own.
insert into person (person_id, personal_access_token)
select w.workspace_id, coalesce(min(c.token), 'seam_at1' || replace(gen_random_uuid()::text, '-', ''))
from workspace w
left join credential c on c.workspace_id = w.workspace_id and c.kind = 'personal_access_token'
group by w.workspace_id;

-- The token of the sandbox is a constant from now on, as its API key is.
update person set personal_access_token = 'seam_at1sand_LatchkeySandbox'
where person_id = '00000000-0000-4000-8000-000000000001'
  and exists (select from credential where token = 'seam_testsand_LatchkeySandbox' and workspace_id = person_id)
  and not exists (select from person where personal_access_token = 'seam_at1sand_LatchkeySandbox');

-- Only API keys remain.
delete from credential where kind <> 'api_key';
alter table credential drop column kind;

alter table workspace
    -- Person to whom the workspace belongs. The person is deleted with the last workspace.
    add column person_id uuid,
    -- Name that connect webviews show; null: the name of the workspace.
    add column connect_partner_name text,
    -- Look of connect webviews, as the API returns it; members that are not set are missing.
    add column connect_webview_customization jsonb not null default '{}',
    -- True if a client marked the workspace as suspended. Nothing else depends on it.
    add column is_suspended boolean not null default false,
    -- True if the publishable key can create client sessions.
    add column is_publishable_key_auth_enabled boolean not null default true,
    -- Organization of the workspace; null: none.
    add column organization_id uuid,
    -- Number of client sessions that were ever created: the ordinal of the next one.
    add column client_sessions_made bigint not null default 0,
    -- Number of resets by `/workspaces/reset_sandbox`: the ordinal of the next one. Not part of a snapshot.
    add column resets_made bigint not null default 0;
update workspace set person_id = workspace_id;
alter table workspace
    alter column person_id set not null,
    add foreign key (person_id) references person;
create index workspace_of_person on workspace (person_id);

create table client_session (
    client_session_id     uuid primary key,
    workspace_id          uuid not null references workspace on delete cascade,
    -- Order of creation.
    sequence              bigint generated always as identity,
    token                 text not null unique,
    -- Name that the caller has given to the user of the session; null: none.
    user_identifier_key   text,
    -- Customer to whom the session belongs; null: it is a client session without a customer.
    customer_key          text,
    -- True if the session of a customer can only read.
    is_read_only          boolean not null default false,
    -- Connected accounts and connect webviews to which the session has access.
    connected_account_ids uuid[] not null,
    connect_webview_ids   uuid[] not null,
    created_at            timestamptz not null,
    expires_at            timestamptz not null,
    -- Instant of the revocation; null: not revoked.
    revoked_at            timestamptz,
    check (customer_key is not null or not is_read_only)
);
create index client_session_in_order on client_session (workspace_id, sequence);
create index client_session_of_user on client_session (user_identifier_key) where user_identifier_key is not null;

-- An attempt to reset the sandbox belongs to no device.
alter table action_attempt alter column device_id drop not null;
