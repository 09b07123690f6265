-- Connect webviews, and connected accounts as their users log in to them.

alter table workspace
    -- Number of connect webviews that were ever created: the ordinal of the next.
    add column connect_webviews_made bigint not null default 0;

alter table connected_account
    drop constraint connected_account_workspace_id_provider_key,
    -- Email address or user name by which the provider knows the user. The default is the user of the accounts that
    -- Latchkey creates itself, for the locks of the control plane: at most one per provider.
    add column user_identifier text not null default 'sandbox@example.com',
    -- Name that a client gave the account; null: the user_identifier.
    add column display_name text,
    -- The client's key of the customer to whom the account belongs.
    add column customer_key text,
    -- Metadata that clients of the API set.
    add column custom_metadata jsonb not null default '{}',
    -- Whether devices that appear in the account are managed.
    add column automatically_manage_new_devices boolean not null default true,
    -- List of the kinds of devices that the account may bring.
    add column accepted_capabilities jsonb not null default '["lock"]',
    -- Time at which the account was deleted, on the clock of the workspace; null: it exists. The row stays, because
    -- its devices refer to it, and because its ordinal is taken.
    add column deleted_at timestamptz;
create index connected_account_in_workspace on connected_account (workspace_id);
create unique index connected_account_of_user on connected_account (user_identifier, provider, workspace_id)
    where deleted_at is null;

create table connect_webview (
    connect_webview_id               uuid primary key,
    workspace_id                     uuid not null references workspace on delete cascade,
    -- The order in which webviews were created; ids do not tell it.
    sequence                         bigint generated always as identity,
    created_at                       timestamptz not null,
    -- Secret in the URL of the page.
    auth_token                       text not null,
    -- Providers to choose from, as a list.
    accepted_providers               jsonb not null,
    -- True if the request restricted the providers neither by name nor by category.
    any_provider_allowed             boolean not null,
    accepted_capabilities            jsonb not null,
    automatically_manage_new_devices boolean not null,
    wait_for_device_creation         boolean not null,
    device_selection_mode            text not null,
    custom_redirect_url              text,
    custom_redirect_failure_url      text,
    custom_metadata                  jsonb not null,
    customer_key                     text,
    -- failed: the latest login had wrong credentials; it may be tried again. authorized: the login is done.
    status                           text not null check (status in ('pending', 'failed', 'authorized')),
    -- Provider of the latest login.
    selected_provider                text,
    -- Account of the login. It stays when the account is deleted.
    connected_account_id             uuid,
    authorized_at                    timestamptz,
    -- Number of events of the webview so far: the ordinal of the next.
    events_made                      bigint not null default 0,
    check ((status = 'authorized') = (authorized_at is not null))
);
create index on connect_webview (workspace_id, created_at desc, connect_webview_id desc);

-- Webview of events of webviews and of their logins.
alter table event add column connect_webview_id uuid;
