//! The seed of the fake: its well-known tokens, and the workspaces that it begins with.

use super::devices::{SENSOR, THERMOSTAT};
use super::ids::{
    ASSA_ABLOY_ACCOUNT, AUGUST_1, AUGUST_2, CLIENT_SESSION, CONNECT_WEBVIEW, ECOBEE, JANE_ACCOUNT, JOHN, JOHN_ACCOUNT,
    JOHN_IDENTITY, MINUT, SCHLAGE, WORKSPACE_1, WORKSPACE_2, WORKSPACES,
};
use crate::clock::{Timestamp, machine_now};
use crate::domain::client_session::ClientSession;
use crate::domain::connect_webview::{AcceptedProviders, ConnectWebview, WebviewSettings, WebviewStatus};
use crate::domain::connected_account::{CAPABILITIES, ConnectedAccount};
use crate::domain::device::{Device, Overrides, brands};
use crate::domain::event::{NewEvent, event_type};
use crate::domain::user_identity::UserIdentity;
use crate::domain::workspace::Workspace;
use crate::engine::app::App;
use crate::engine::device_specs::LockSpec;
use crate::engine::snapshots::store_initial_state;
use crate::engine::workspaces::{Owner, WorkspaceParams, create_in};
use crate::error::{Error, Result};
use crate::store::changes::{self, Changes};
use crate::store::persons::{self, Person};
use crate::store::{accounts, client_sessions, connect_webviews, devices, user_identities, workspaces};
use chrono::TimeDelta;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use uuid::Uuid;

pub(super) const API_KEY_1: &str = "seam_apikey1_token";
pub(super) const API_KEY_2: &str = "seam_apikey2_token";
pub(super) const PERSONAL_ACCESS_TOKEN: &str = "seam_at1_longtoken";
const CLIENT_SESSION_TOKEN: &str = "seam_cst1_token";
const PUBLISHABLE_KEY: &str = "seam_pk1_token";

/// Tokens that everybody knows.
pub(super) const PUBLIC_TOKENS: [&str; 5] =
    [API_KEY_1, API_KEY_2, PERSONAL_ACCESS_TOKEN, CLIENT_SESSION_TOKEN, PUBLISHABLE_KEY];

/// Secret with which console sessions are signed, and the claims of those of the seed's user.
pub(super) const CONSOLE_SECRET: &str = "secret";
pub(super) const USER_ID: &str = "john_user_id";
pub(super) const CONSOLE_KEY: &str = "john_user_key";

const USER_IDENTIFIER_KEY: &str = "john_user_identifier_key";

/// Names of the seed with their values, as `/_fake/default_seed` returns them.
const NAMES: [(&str, &str); 22] = [
    ("john_connected_account_id", "john_connected_account_id"),
    ("jane_connected_account_id", "jane_connected_account_id"),
    ("john_assa_cs_connected_account_id", "john_assa_cs_connected_account_id"),
    ("seed_workspace_1", "seed_workspace_1"),
    ("seed_workspace_2", "seed_workspace_2"),
    ("john_user_workspace_1", "john_user_workspace_1"),
    ("august_device_1", "august_device_1"),
    ("august_device_2", "august_device_2"),
    ("ecobee_device_1", "ecobee_device_1"),
    ("minut_device_1", "minut_device_1"),
    ("schlage_device_1", "schlage_device_id"),
    ("seam_apikey1_token", API_KEY_1),
    ("seam_apikey2_token", API_KEY_2),
    ("seam_cst1_token", CLIENT_SESSION_TOKEN),
    ("seam_pk1_token", PUBLISHABLE_KEY),
    ("seam_at1_token", PERSONAL_ACCESS_TOKEN),
    ("john_user_identifier_key", USER_IDENTIFIER_KEY),
    ("john_user_identity_id", "john_user_identity_id"),
    ("john_user_id", USER_ID),
    ("john_user_key", CONSOLE_KEY),
    ("visionline_acs_system_1", "visionline_acs_system_1"),
    ("bridge_client_session_token", "bcs1_token"),
];

/// Devices: id, account, type of the lock, name, and the name that the properties have, if it is another one. The
/// thermostat and the noise sensor are stored as locks, see [`super::devices`].
const DEVICES: [(Uuid, Uuid, &str, &str, Option<&str>); 5] = [
    (AUGUST_1, JOHN_ACCOUNT, "august_lock", "Front Door", Some("Fake August Lock 1")),
    (AUGUST_2, JOHN_ACCOUNT, "august_lock", "Back Door", Some("Fake August Lock 2")),
    (ECOBEE, JOHN_ACCOUNT, THERMOSTAT.stored_type, "Thermostat 1", None),
    (MINUT, JOHN_ACCOUNT, SENSOR.stored_type, "Minut Sensor 1", None),
    (SCHLAGE, JANE_ACCOUNT, "schlage_lock", "Bathroom Door", None),
];

/// Duration of operations that never finish, and time after which they count as slow: longer than any test.
const NEVER: TimeDelta = TimeDelta::days(36_500);

/// Lifetime of the client session.
const SESSION_LIFETIME: TimeDelta = TimeDelta::days(365);

/// Returns the names of the seed with their values.
pub(super) fn names() -> Map<String, Value> {
    NAMES.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
}

/// Creates the workspaces of the seed. Those of an earlier start are deleted, with everything in them.
///
/// # Errors
/// [`Error::InUse`] if another workspace has one of the ids or tokens; the errors of the database.
pub async fn load(app: &App) -> Result<()> {
    for workspace_id in WORKSPACES {
        match workspaces::delete(&app.pool, workspace_id).await {
            Ok(()) | Err(Error::NotFound(_)) => app.callers.forget(workspace_id),
            Err(error) => return Err(error),
        }
    }
    let mut tx = app.pool.begin(Uuid::nil()).await?;
    tx.allow_long().await?;
    let john = Person { person_id: JOHN, personal_access_token: PERSONAL_ACCESS_TOKEN.to_owned() };
    let owner = persons::find_or_insert(&mut tx, john).await?.person_id;
    for (workspace_id, name, api_key, publishable_key) in [
        (WORKSPACE_1, "My Workspace", API_KEY_1, Some(PUBLISHABLE_KEY)),
        (WORKSPACE_2, "Empty Workspace", API_KEY_2, None),
    ] {
        let params = WorkspaceParams {
            name: Some(name.to_owned()),
            workspace_id: Some(workspace_id),
            api_key: Some(api_key.to_owned()),
            publishable_key: publishable_key.map(str::to_owned),
            owner: Owner::Existing(owner),
            // No lock operation finishes, except for requests that wait for the lock, and access codes stay after their
            // end.
            programming: Some(NEVER),
            slow_after: NEVER,
            keeps_expired: true,
            ..WorkspaceParams::of_server(&app.config)
        };
        let clock = params.clock;
        let created = create_in(&mut tx, &app.config, params).await?;
        if workspace_id == WORKSPACE_1 {
            fill(&mut tx, &created.workspace, clock.now(machine_now())).await?;
        }
        store_initial_state(&mut tx, &created.workspace, clock, machine_now()).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Inserts what the first workspace contains.
async fn fill(tx: &mut PgConnection, workspace: &Workspace, now: Timestamp) -> Result<()> {
    let workspace_id = workspace.workspace_id;
    let accounts = [
        (JOHN_ACCOUNT, "august", "john@example.com"),
        (JANE_ACCOUNT, "schlage", "jane@example.com"),
        (ASSA_ABLOY_ACCOUNT, "assa_abloy_credential_service", "john@example.com"),
    ];
    for (id, provider, user) in accounts {
        accounts::insert(tx, workspace_id, account(id, provider, user, now)).await?;
    }
    let created = (0..).zip(DEVICES).map(|(ordinal, new)| device(workspace, ordinal, new, now));
    let mut created = created.collect::<Result<Vec<Device>>>()?;
    if let Some(first) = created.first_mut() {
        let account = account(JOHN_ACCOUNT, "august", "john@example.com", now).fields();
        let connected = event_type::DEVICE_CONNECTED;
        let machine_now = machine_now();
        let event = NewEvent::of_unlocked_device((first, &account), &workspace.ids, connected, (now, now), machine_now);
        changes::write(tx, Changes { events: vec![event], ..Changes::default() }).await?;
    }
    devices::insert(tx, &created).await?;
    connect_webviews::insert(tx, webview(workspace, now)).await?;
    user_identities::insert(tx, &identity(workspace_id, now)).await?;
    client_sessions::insert(tx, &session(workspace_id, now)).await
}

fn account(connected_account_id: Uuid, provider: &str, user: &str, now: Timestamp) -> ConnectedAccount {
    ConnectedAccount {
        connected_account_id,
        provider: provider.to_owned(),
        user_identifier: user.to_owned(),
        display_name: None,
        customer_key: None,
        custom_metadata: Map::new(),
        automatically_manage_new_devices: true,
        accepted_capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
        created_at: now,
        disconnected_at: None,
        events_made: 0,
        deleted_at: None,
    }
}

fn device(
    workspace: &Workspace,
    ordinal: i32,
    (device_id, account_id, device_type, name, shown_name): (Uuid, Uuid, &str, &str, Option<&str>),
    now: Timestamp,
) -> Result<Device> {
    let brand =
        brands::of(device_type).ok_or_else(|| Error::Internal(format!("{device_type} is no type of a lock").into()))?;
    let is_lock = ![ECOBEE, MINUT].contains(&device_id);
    let overrides = Overrides {
        can_program_online_access_codes: (!is_lock).then_some(false),
        can_program_offline_access_codes: (!is_lock).then_some(false),
        ..Overrides::default()
    };
    let spec = LockSpec {
        name: Some(name.to_owned()),
        device_id: Some(device_id),
        overrides,
        ..LockSpec::of_type(device_type)
    };
    let of_workspace = (workspace.workspace_id, &workspace.ids);
    let mut device = spec.device(of_workspace, (brand, ordinal), (account_id, None), (now, machine_now()))?;
    device.nickname = shown_name.map(str::to_owned);
    Ok(device)
}

/// Returns the webview at which John has connected his account.
fn webview(workspace: &Workspace, now: Timestamp) -> ConnectWebview {
    ConnectWebview {
        connect_webview_id: CONNECT_WEBVIEW,
        workspace_id: workspace.workspace_id,
        created_at: now,
        auth_token: workspace.ids.token("connect_webview auth_token", CONNECT_WEBVIEW, 33),
        settings: WebviewSettings {
            accepted_providers: AcceptedProviders::of(Some(vec!["august".to_owned()]), None, &[]),
            accepted_capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            automatically_manage_new_devices: true,
            wait_for_device_creation: false,
            device_selection_mode: "none".to_owned(),
            custom_redirect_url: None,
            custom_redirect_failure_url: None,
            custom_metadata: Map::new(),
            customer_key: None,
        },
        status: WebviewStatus::Authorized,
        selected_provider: Some("august".to_owned()),
        connected_account_id: Some(JOHN_ACCOUNT),
        authorized_at: Some(now),
        events_made: 0,
    }
}

fn identity(workspace_id: Uuid, now: Timestamp) -> UserIdentity {
    UserIdentity {
        user_identity_id: JOHN_IDENTITY,
        workspace_id,
        user_identity_key: Some(USER_IDENTIFIER_KEY.to_owned()),
        full_name: None,
        email_address: Some("jane@example.com".to_owned()),
        phone_number: None,
        customer_key: None,
        device_ids: Vec::new(),
        created_at: now,
        deletion_requested_at: None,
        merged_user_identity_ids: Vec::new(),
        merged_user_identity_keys: Vec::new(),
    }
}

fn session(workspace_id: Uuid, now: Timestamp) -> ClientSession {
    ClientSession {
        client_session_id: CLIENT_SESSION,
        workspace_id,
        token: CLIENT_SESSION_TOKEN.to_owned(),
        user_identifier_key: Some(USER_IDENTIFIER_KEY.to_owned()),
        customer_key: None,
        is_read_only: false,
        connected_account_ids: vec![JOHN_ACCOUNT],
        connect_webview_ids: vec![CONNECT_WEBVIEW],
        user_identity_ids: vec![JOHN_IDENTITY],
        created_at: now,
        expires_at: now.checked_add_signed(SESSION_LIFETIME).unwrap_or(now),
        revoked_at: None,
    }
}
