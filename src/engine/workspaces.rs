//! Creation of workspaces with their accounts and devices, and removal of expired workspaces.

use super::app::App;
use super::device_specs::{AccountSpec, LockSpec};
use super::retention::Retention;
use super::snapshots;
use crate::clock::{Timestamp, WorkspaceClock, machine_now};
use crate::config::Settings;
use crate::domain::caller::{self, Visibility};
use crate::domain::connected_account::AccountFields;
use crate::domain::device::Device;
use crate::domain::device::brands;
use crate::domain::event::{NewEvent, event_type};
use crate::domain::workspace::{LateIssuanceLimits, SameCode, Workspace, WorkspaceSettings};
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::store::accounts::{self, AutomaticAccounts, NewAccount};
use crate::store::changes::{self, Changes};
use crate::store::devices;
use crate::store::persons::{self, Person};
use crate::store::workspaces::{self, NewWorkspace};
use chrono::TimeDelta;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// Parameters of a new workspace.
#[derive(Debug)]
pub(crate) struct WorkspaceParams {
    pub(crate) name: Option<String>,
    /// Seed of the ids; `None`: derived from the seed of the server, or random ids if the server has none.
    pub(crate) seed: Option<String>,
    /// Time on the machine's clock after which the workspace may be removed.
    pub(crate) expires_at: Option<Timestamp>,
    /// `None`: derived from the seed, or random; the same applies to the two keys below.
    pub(crate) workspace_id: Option<Uuid>,
    pub(crate) api_key: Option<String>,
    pub(crate) publishable_key: Option<String>,
    pub(crate) owner: Owner,
    pub(crate) profile: Profile,
    pub(crate) clock: WorkspaceClock,
    /// Duration of one programming operation; `None`: until a client ends it manually.
    pub(crate) programming: Option<TimeDelta>,
    /// Time after which an unfinished operation counts as slow.
    pub(crate) slow_after: TimeDelta,
    /// True if ended codes stay visible.
    pub(crate) keeps_expired: bool,
    /// Rule for managed codes with the same PIN on one lock.
    pub(crate) same_code: SameCode,
    /// True to reject a time frame that has already begun, if the lock accepts no start in the past.
    pub(crate) refuse_begun_windows: bool,
    /// Times after which a code of an access grant is late.
    pub(crate) late_issuance: LateIssuanceLimits,
    /// Accounts that are specified explicitly.
    pub(crate) accounts: Vec<AccountSpec>,
    /// Devices, in the order of creation.
    pub(crate) locks: Vec<LockSpec>,
}

impl WorkspaceParams {
    /// Returns the parameters of a workspace of a new person, with the settings of the server and without devices.
    pub(crate) fn of_server(config: &Settings) -> Self {
        Self {
            name: None,
            seed: None,
            expires_at: None,
            workspace_id: None,
            api_key: None,
            publishable_key: None,
            owner: Owner::New,
            profile: Profile::default(),
            clock: config.clock,
            programming: config.programming.0,
            slow_after: config.slow_after,
            keeps_expired: config.keep_expired_access_codes,
            same_code: SameCode::of(config.allow_same_code_in_disjoint_windows),
            refuse_begun_windows: config.refuse_begun_windows,
            late_issuance: LateIssuanceLimits::USUAL,
            accounts: Vec::new(),
            locks: Vec::new(),
        }
    }

    /// Returns the settings of the new workspace.
    fn settings(&self) -> WorkspaceSettings {
        WorkspaceSettings {
            clock: self.clock,
            programming: self.programming,
            slow_after: self.slow_after,
            keeps_expired: self.keeps_expired,
            has_faults: false,
            has_webhooks: false,
            rate_limits: None,
            same_code: self.same_code,
            refuse_begun_windows: self.refuse_begun_windows,
            late_issuance: self.late_issuance,
        }
    }
}

/// Person to whom a new workspace belongs.
#[derive(Debug, Default)]
pub(crate) enum Owner {
    /// A new person, with a token that is derived from the seed, or random.
    #[default]
    New,
    /// The person with this personal access token, or a new person with it.
    WithToken(String),
    /// An existing person; the id.
    Existing(Uuid),
}

/// Properties of a new workspace that have no effect on locks and access codes.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) is_sandbox: bool,
    pub(crate) connect_partner_name: Option<String>,
    pub(crate) connect_webview_customization: Map<String, Value>,
    pub(crate) organization_id: Option<Uuid>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            is_sandbox: true,
            connect_partner_name: None,
            connect_webview_customization: Map::new(),
            organization_id: None,
        }
    }
}

/// A created workspace with its credentials and devices.
#[derive(Debug)]
pub(crate) struct CreatedWorkspace {
    pub(crate) workspace: Workspace,
    pub(crate) api_key: String,
    pub(crate) person: Person,
    pub(crate) devices: Vec<Device>,
}

/// Creates a workspace with its devices in one transaction.
///
/// # Errors
/// [`Error::InUse`] if an id, key or seed is in use.
pub(crate) async fn create(app: &App, params: WorkspaceParams) -> Result<CreatedWorkspace> {
    let mut tx = app.pool.begin(Uuid::nil()).await?;
    tx.allow_long().await?;
    let clock = params.clock;
    let created = create_in(&mut tx, &app.config, params).await?;
    snapshots::store_initial_state(&mut tx, &created.workspace, clock, machine_now()).await?;
    tx.commit().await?;
    Ok(created)
}

/// Like [`create`], in the caller's transaction. The caller stores the initial state afterwards. After an error the
/// transaction can only be rolled back.
pub(crate) async fn create_in(
    tx: &mut PgConnection,
    config: &Settings,
    params: WorkspaceParams,
) -> Result<CreatedWorkspace> {
    let (machine_now, settings) = (machine_now(), params.settings());
    let seed = match params.seed {
        None => seed_of_server(tx, config, params.workspace_id).await?,
        seed => seed,
    };
    let ids = Ids::of(seed.as_deref());
    let is_seeded = seed.is_some();
    let (has_own_id, has_own_key) = (params.workspace_id.is_some(), params.api_key.is_some());
    let workspace_id = params.workspace_id.unwrap_or_else(|| ids.id("workspace", Uuid::nil(), 0, machine_now));
    let token = |kind: &str, prefix: &str| ids.credential(kind, prefix, workspace_id);
    let api_key = params.api_key.unwrap_or_else(|| token("api_key", "seam_test"));
    let chose_publishable_key = params.publishable_key.is_some();
    let in_use = |error| match error {
        // A value derived from a seed is in use only if another workspace has the same seed.
        Error::InUse("workspace_id") if is_seeded && !has_own_id => Error::InUse("seed"),
        Error::InUse("api_key") if is_seeded && !has_own_key => Error::InUse("seed"),
        Error::InUse("publishable_key") if is_seeded && !chose_publishable_key => Error::InUse("seed"),
        error => error,
    };
    let person = person(tx, &ids, workspace_id, params.owner).await.map_err(in_use)?;
    let workspace = Workspace {
        workspace_id,
        name: params.name.unwrap_or_else(|| "Throw-away workspace".to_owned()),
        is_sandbox: params.profile.is_sandbox,
        connect_partner_name: params.profile.connect_partner_name,
        connect_webview_customization: params.profile.connect_webview_customization,
        is_suspended: false,
        is_publishable_key_auth_enabled: true,
        organization_id: params.profile.organization_id,
        publishable_key: params.publishable_key.unwrap_or_else(|| token("publishable_key", "seam_pk1")),
        ids: ids.clone(),
        has_http_faults: false,
        is_strict: false,
    };
    let created_at = settings.clock.now(machine_now);
    let new = NewWorkspace {
        workspace: &workspace,
        seed: seed.as_deref(),
        settings,
        created_at,
        expires_at: params.expires_at,
        api_key: &api_key,
        person_id: person.person_id,
    };
    workspaces::insert(tx, &new).await.map_err(in_use)?;
    create_accounts(tx, &workspace, params.accounts, (created_at, settings.clock)).await?;
    let (devices, _) = create_devices(tx, &workspace, 0, params.locks, (created_at, settings.clock)).await?;
    Ok(CreatedWorkspace { workspace, api_key, person, devices })
}

/// Returns the person to whom a new workspace with this id belongs, who stays until the transaction ends.
async fn person(tx: &mut PgConnection, ids: &Ids, workspace_id: Uuid, owner: Owner) -> Result<Person> {
    let personal_access_token = match owner {
        Owner::Existing(person_id) => {
            return persons::lock(tx, person_id).await?.ok_or(caller::NO_METHOD_SUCCEEDED);
        }
        Owner::WithToken(token) => token,
        Owner::New => ids.credential("personal_access_token", "seam_at1", workspace_id),
    };
    let person_id = ids.id("person", workspace_id, 0, machine_now());
    persons::find_or_insert(tx, Person { person_id, personal_access_token }).await
}

/// Sets the duration of one programming operation in a workspace; `None`: until a client ends it manually.
///
/// # Errors
/// [`Error::NotFound`] of the workspace.
pub(crate) async fn set_programming(app: &App, workspace_id: Uuid, duration: Option<TimeDelta>) -> Result<()> {
    let mut work = UnitOfWork::begin(app, &Visibility::all_of(workspace_id), Scope::Workspace).await?;
    workspaces::set_programming(&mut work.tx, workspace_id, duration).await?;
    work.codes.devices.iter_mut().for_each(|locked| locked.settings.programming = duration);
    // An operation that a shorter duration completes is completed now, not in the past.
    let now = work.now;
    work.codes.iter_mut().for_each(|code| code.state.as_of = code.state.as_of.max(now));
    work.run(false).await?;
    work.finish(app).await?;
    Ok(())
}

/// Changes of the settings of a workspace; `None` keeps a setting.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SettingsUpdate {
    pub(crate) same_code: Option<SameCode>,
    pub(crate) refuse_begun_windows: Option<bool>,
    pub(crate) late_issuance_lead: Option<TimeDelta>,
    pub(crate) late_issuance_grace: Option<TimeDelta>,
}

impl SettingsUpdate {
    /// Returns the times after which a code is late, with these changes.
    pub(crate) fn late_issuance(&self, before: LateIssuanceLimits) -> LateIssuanceLimits {
        LateIssuanceLimits {
            lead: self.late_issuance_lead.unwrap_or(before.lead),
            grace: self.late_issuance_grace.unwrap_or(before.grace),
        }
    }
}

/// Changes the settings of a workspace, and returns all of them. Codes that are late by the new settings are reported
/// now.
///
/// # Errors
/// [`Error::NotFound`] of the workspace.
pub(crate) async fn update_settings(
    app: &App,
    workspace_id: Uuid,
    update: SettingsUpdate,
) -> Result<WorkspaceSettings> {
    let mut work = UnitOfWork::begin(app, &Visibility::all_of(workspace_id), Scope::Workspace).await?;
    let (_, mut settings) = workspaces::settings(&mut work.tx, workspace_id).await?;
    settings.same_code = update.same_code.unwrap_or(settings.same_code);
    settings.refuse_begun_windows = update.refuse_begun_windows.unwrap_or(settings.refuse_begun_windows);
    settings.late_issuance = update.late_issuance(settings.late_issuance);
    workspaces::update_settings(&mut work.tx, workspace_id, &settings).await?;
    work.codes.devices.iter_mut().for_each(|locked| locked.settings.late_issuance = settings.late_issuance);
    work.run(false).await?;
    work.finish(app).await?;
    Ok(settings)
}

/// Returns the seed for a workspace that has none of its own; `None` if the server has no seed. The seed is derived
/// from the seed of the server and the chosen workspace id. Without a chosen id, it is derived from the number of
/// workspaces that were created in this way before.
async fn seed_of_server(
    tx: &mut PgConnection,
    config: &Settings,
    workspace_id: Option<Uuid>,
) -> Result<Option<String>> {
    let Some(seed) = config.seed() else { return Ok(None) };
    let (parent, ordinal) = match workspace_id {
        Some(workspace_id) => (workspace_id, 0),
        None => (Uuid::nil(), workspaces::next_unseeded_ordinal(tx).await?),
    };
    Ok(Some(Ids::of(Some(seed)).id("seed", parent, ordinal, machine_now()).to_string()))
}

/// Creates the explicitly specified accounts. Other accounts that devices need are created with the devices.
async fn create_accounts(
    tx: &mut PgConnection,
    workspace: &Workspace,
    accounts: Vec<AccountSpec>,
    (now, clock): (Timestamp, WorkspaceClock),
) -> Result<()> {
    let (workspace_id, machine_now) = (workspace.workspace_id, machine_now());
    let new = (0_i64..).zip(accounts).map(|(ordinal, account)| NewAccount {
        connected_account_id: account
            .connected_account_id
            .unwrap_or_else(|| workspace.ids.id("connected_account", workspace_id, ordinal, machine_now)),
        provider: account.provider,
        disconnected_at: (!account.connected).then_some(now),
    });
    let new: Vec<NewAccount> = new.collect();
    let events = insert_accounts(tx, workspace, &new, (now, clock)).await?;
    changes::write(tx, Changes { events, ..Changes::default() }).await
}

/// Inserts new accounts, and returns the events of their creation.
async fn insert_accounts(
    tx: &mut PgConnection,
    workspace: &Workspace,
    new: &[NewAccount],
    (now, clock): (Timestamp, WorkspaceClock),
) -> Result<Vec<NewEvent>> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    accounts::insert_automatic(tx, workspace.workspace_id, now, new).await?;
    let machine_now = machine_now();
    let instants = (now, clock.recorded_at(now, machine_now));
    let of_workspace = (workspace.workspace_id, &workspace.ids);
    let event = |account: &NewAccount| {
        NewEvent::of_new_account(account.connected_account_id, of_workspace, instants, machine_now)
    };
    Ok(new.iter().map(event).collect())
}

/// Creates devices in a workspace, in this order, with ordinals from `first_ordinal` on. Also creates the connected
/// accounts that they need and that do not exist yet. Writes the events of these accounts and of the managed devices,
/// and returns them with the devices.
pub(crate) async fn create_devices(
    tx: &mut PgConnection,
    workspace: &Workspace,
    first_ordinal: i32,
    locks: Vec<LockSpec>,
    (now, clock): (Timestamp, WorkspaceClock),
) -> Result<(Vec<Device>, Vec<NewEvent>)> {
    let workspace_id = workspace.workspace_id;
    let machine_now = machine_now();
    let AutomaticAccounts { by_provider: mut accounts, mut next_ordinal } =
        accounts::automatic(tx, workspace_id).await?;
    let disconnected = locks.iter().filter(|spec| spec.account_connected == Some(false));
    let disconnected: HashSet<&str> =
        disconnected.filter_map(|spec| brands::of(&spec.device_type)).map(|brand| brand.provider).collect();
    let mut new_accounts = Vec::new();
    let mut created = Vec::with_capacity(locks.len());
    for (ordinal, spec) in (first_ordinal..).zip(locks) {
        let brand = brands::of(&spec.device_type)
            .ok_or_else(|| Error::invalid("device_type", format!("{} is not a lock", spec.device_type)))?;
        let (connected_account_id, account_disconnected_at) =
            *accounts.entry(brand.provider.to_owned()).or_insert_with(|| {
                let id = workspace.ids.id("connected_account", workspace_id, next_ordinal, machine_now);
                next_ordinal += 1;
                let disconnected_at = disconnected.contains(brand.provider).then_some(now);
                new_accounts.push(NewAccount {
                    connected_account_id: id,
                    provider: brand.provider.to_owned(),
                    disconnected_at,
                });
                (id, disconnected_at)
            });
        let account = (connected_account_id, account_disconnected_at);
        created.push(spec.device((workspace_id, &workspace.ids), (brand, ordinal), account, (now, machine_now))?);
    }
    let mut events = insert_accounts(tx, workspace, &new_accounts, (now, clock)).await?;
    let instants = (now, clock.recorded_at(now, machine_now));
    let account = AccountFields::default();
    for device in created.iter_mut().filter(|device| device.is_managed) {
        let added = event_type::DEVICE_ADDED;
        events.push(NewEvent::of_unlocked_device((device, &account), &workspace.ids, added, instants, machine_now));
    }
    if !created.is_empty() {
        devices::insert(tx, &created).await?;
    }
    changes::write(tx, Changes { events: events.clone(), ..Changes::default() }).await?;
    Ok((created, events))
}

/// Removes expired workspaces every second and, if a retention period is set, older rows at the interval of
/// [`Retention`]. Runs until the future is dropped.
pub(crate) async fn run_cleanup(app: App) {
    const CLEANUP_INTERVAL: Duration = Duration::from_secs(1);
    let mut retention = Retention::of(&app.config);
    loop {
        if let Err(error) = remove_expired_workspaces(&app).await {
            tracing::error!(%error, "could not delete expired workspaces");
        }
        if let Some(retention) = &mut retention {
            retention.run_if_due(&app).await;
        }
        tokio::time::sleep(CLEANUP_INTERVAL).await;
    }
}

/// Removes expired workspaces. Returns the last error, after trying all of them.
pub async fn remove_expired_workspaces(app: &App) -> Result<()> {
    let mut result = Ok(());
    for workspace_id in workspaces::expired(&app.background, machine_now()).await? {
        match workspaces::delete(&app.background, workspace_id).await {
            Ok(()) | Err(Error::NotFound(_)) => app.callers.forget(workspace_id),
            Err(error) => result = Err(error),
        }
    }
    result
}
