//! Workspaces made with their accounts and locks, and removed when their time is up.

use super::app::App;
use super::retention::Retention;
use super::snapshots;
use crate::clock::{Timestamp, WorkspaceClock, machine_now};
use crate::config::Settings;
use crate::contract::quoted;
use crate::domain::access_code::lifecycle::rare_fields::Condition;
use crate::domain::caller::Visibility;
use crate::domain::device::brands::{self, Brand};
use crate::domain::device::health::DeviceHealth;
use crate::domain::device::{Device, Overrides};
use crate::domain::workspace::{SameCode, Workspace, WorkspaceSettings};
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::{Error, Result};
use crate::ids::{Ids, ordinal_after};
use crate::store::accounts::{self, NewAccount};
use crate::store::devices;
use crate::store::workspaces::{self, NewWorkspace};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// A lock to be made.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LockSpec {
    /// Seam's `device_type`.
    pub device_type: String,
    /// Its name; else its brand and number.
    pub name: Option<String>,
    /// Its id; else derived or random.
    pub device_id: Option<Uuid>,
    /// Whether it is online; it is unless told otherwise.
    pub online: Option<bool>,
    /// Whether its hub can be reached; it can unless told otherwise.
    pub hub_connected: Option<bool>,
    /// Whether its maker's account is connected; it is, or is as it was, unless told otherwise.
    pub account_connected: Option<bool>,
    /// Whether it was removed from that account; it was not unless told otherwise.
    pub removed: Option<bool>,
    /// Errors without a cause.
    #[serde(default)]
    pub(crate) errors: Vec<InjectedCondition>,
    /// Warnings without a cause.
    #[serde(default)]
    pub(crate) warnings: Vec<InjectedCondition>,
    /// What it has different from its brand.
    #[serde(flatten)]
    pub overrides: Overrides,
}

/// An account whose id or connection is chosen.
#[derive(Debug, Deserialize)]
pub(crate) struct AccountSpec {
    /// Seam's name of the maker.
    pub(crate) provider: String,
    /// Its id; `None`: one of its own.
    pub(crate) connected_account_id: Option<Uuid>,
    /// Whether it is connected.
    #[serde(default = "yes")]
    pub(crate) connected: bool,
}

fn yes() -> bool {
    true
}

/// A workspace to be made.
#[derive(Debug)]
pub(crate) struct WorkspaceParams {
    /// Its name.
    pub(crate) name: Option<String>,
    /// The seed of its ids; `None`: the ids are random, or follow from the seed of the server.
    pub(crate) seed: Option<String>,
    /// The machine's time after which it may be removed.
    pub(crate) expires_at: Option<Timestamp>,
    /// Its id; `None`: one of its own, and so with what follows.
    pub(crate) workspace_id: Option<Uuid>,
    /// Its API key.
    pub(crate) api_key: Option<String>,
    /// Its publishable key.
    pub(crate) publishable_key: Option<String>,
    /// Its personal access token.
    pub(crate) personal_access_token: Option<String>,
    /// Its clock.
    pub(crate) clock: WorkspaceClock,
    /// How long its locks take for one operation; `None`: until somebody ends it.
    pub(crate) programming: Option<TimeDelta>,
    /// Whether codes that have ended stay to be seen.
    pub(crate) keeps_expired: bool,
    /// Whether managed codes on one lock may have the same PIN.
    pub(crate) same_code: SameCode,
    /// Whether a window that has begun is refused on locks that take no start in the past.
    pub(crate) refuse_begun_windows: bool,
    /// The accounts that are asked for by themselves.
    pub(crate) accounts: Vec<AccountSpec>,
    /// Its locks, in this order.
    pub(crate) locks: Vec<LockSpec>,
}

/// A workspace that was made.
#[derive(Debug)]
pub(crate) struct CreatedWorkspace {
    /// The workspace.
    pub(crate) workspace: Workspace,
    /// Its API key.
    pub(crate) api_key: String,
    /// Its personal access token.
    pub(crate) personal_access_token: String,
    /// Its locks.
    pub(crate) devices: Vec<Device>,
}

/// An error or a warning that a tester puts on a device.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct InjectedCondition {
    #[serde(alias = "error_code", alias = "warning_code")]
    code: String,
    message: Option<String>,
}

impl InjectedCondition {
    /// The condition that it is from an instant on.
    pub(crate) fn read(self, created_at: Timestamp) -> Condition {
        let message = self.message.unwrap_or_else(|| format!("{}, as arranged by a tester.", self.code));
        Condition { code: self.code, message, created_at }
    }
}

impl LockSpec {
    /// The device, of this brand and at this place in a workspace, connected through this account.
    fn device(
        self,
        workspace: &Workspace,
        (brand, ordinal): (&'static Brand, i32),
        (connected_account_id, account_disconnected_at): (Uuid, Option<Timestamp>),
        (now, machine_now): (Timestamp, Timestamp),
    ) -> Device {
        let workspace_id = workspace.workspace_id;
        let health = self.health(now, account_disconnected_at);
        let own_id = || workspace.ids.id("device", workspace_id, i64::from(ordinal), machine_now);
        Device {
            device_id: self.device_id.unwrap_or_else(own_id),
            workspace_id,
            connected_account_id,
            brand,
            name: self.name.unwrap_or_else(|| format!("{} {}", brand.display_name, ordinal + 1)),
            ordinal,
            created_at: now,
            reachable_since: health.unreachable_since().is_none().then_some(now),
            health,
            backup_pool: None,
            overrides: self.overrides,
            custom_metadata: Map::new(),
            events_made: 0,
        }
    }

    /// A lock that is as usual for its type.
    pub(crate) fn of_type(device_type: &str) -> Self {
        Self {
            device_type: device_type.to_owned(),
            name: None,
            device_id: None,
            online: None,
            hub_connected: None,
            account_connected: None,
            removed: None,
            errors: Vec::new(),
            warnings: Vec::new(),
            overrides: Overrides::default(),
        }
    }

    /// What is wrong with the lock from the beginning.
    fn health(&self, now: Timestamp, account_disconnected_at: Option<Timestamp>) -> DeviceHealth {
        let since = |is_wrong: bool| is_wrong.then_some(now);
        let injected = |all: &[InjectedCondition]| all.iter().cloned().map(|it| it.read(now)).collect();
        DeviceHealth {
            disconnected_at: since(self.online == Some(false)),
            hub_disconnected_at: since(self.hub_connected == Some(false)),
            removed_at: since(self.removed == Some(true)),
            account_disconnected_at,
            errors: injected(&self.errors),
            warnings: injected(&self.warnings),
            ..DeviceHealth::default()
        }
    }

    /// Reads a specification that passed the contract; `place` is where in the request it stands.
    pub(crate) fn read(spec: Map<String, Value>, index: usize) -> Result<Self> {
        let wrong = |error: serde_json::Error| {
            Error::invalid("locks", format!("The lock at {index} does not fit: {}", quoted(&error.to_string())))
        };
        let mut read = Self::deserialize(Value::Object(spec)).map_err(wrong)?;
        let online = read.overrides.properties.shift_remove("online").and_then(|online| online.as_bool());
        read.online = read.online.or(online);
        read.overrides = read.overrides.normalise().map_err(wrong)?;
        Ok(read)
    }
}

/// Makes a workspace with its locks in one transaction.
///
/// # Errors
/// [`Error::InUse`] where an id, key or seed is not free.
pub(crate) async fn create(app: &App, params: WorkspaceParams) -> Result<CreatedWorkspace> {
    let mut tx = app.pool.begin(Uuid::nil()).await?;
    tx.allow_long().await?;
    let clock = params.clock;
    let created = create_in(&mut tx, &app.config, params).await?;
    snapshots::record_beginning(&mut tx, &created.workspace, clock, machine_now()).await?;
    tx.commit().await?;
    Ok(created)
}

/// The same in a transaction of the caller, who then records the beginning; after an error it can only be given up.
pub(crate) async fn create_in(
    tx: &mut PgConnection,
    config: &Settings,
    params: WorkspaceParams,
) -> Result<CreatedWorkspace> {
    let machine_now = machine_now();
    let seed = match params.seed {
        None => seed_of_server(tx, config, params.workspace_id).await?,
        chosen => chosen,
    };
    let ids = Ids::of(seed.as_deref());
    let is_seeded = seed.is_some();
    let (chose_id, chose_key) = (params.workspace_id.is_some(), params.api_key.is_some());
    let workspace_id = params.workspace_id.unwrap_or_else(|| ids.id("workspace", Uuid::nil(), 0, machine_now));
    let token = |kind: &str, prefix: &str| token(&ids, workspace_id, kind, prefix);
    let api_key = params.api_key.unwrap_or_else(|| token("api_key", "seam_test"));
    let personal_access_token =
        params.personal_access_token.unwrap_or_else(|| token("personal_access_token", "seam_at1"));
    let chose_publishable_key = params.publishable_key.is_some();
    let workspace = Workspace {
        workspace_id,
        name: params.name.unwrap_or_else(|| "Throw-away workspace".to_owned()),
        is_sandbox: true,
        publishable_key: params.publishable_key.unwrap_or_else(|| token("publishable_key", "seam_pk1")),
        ids: ids.clone(),
        has_http_faults: false,
        is_strict: false,
    };
    let settings = WorkspaceSettings {
        clock: params.clock,
        programming: params.programming,
        slow_after: config.slow_after,
        keeps_expired: params.keeps_expired,
        has_faults: false,
        rate_limits: None,
        same_code: params.same_code,
        refuse_begun_windows: params.refuse_begun_windows,
    };
    let created_at = settings.clock.now(machine_now);
    let new = NewWorkspace {
        workspace: &workspace,
        seed: seed.as_deref(),
        settings,
        created_at,
        expires_at: params.expires_at,
        api_key: &api_key,
        personal_access_token: &personal_access_token,
    };
    workspaces::insert(tx, &new).await.map_err(|error| match error {
        // What follows from a seed can only be taken by another workspace of that seed.
        Error::InUse("workspace_id") if is_seeded && !chose_id => Error::InUse("seed"),
        Error::InUse("api_key") if is_seeded && !chose_key => Error::InUse("seed"),
        Error::InUse("publishable_key") if is_seeded && !chose_publishable_key => Error::InUse("seed"),
        error => error,
    })?;
    make_accounts(tx, &workspace, params.accounts, created_at).await?;
    let devices = create_devices(tx, &workspace, 0, params.locks, created_at).await?;
    Ok(CreatedWorkspace { workspace, api_key, personal_access_token, devices })
}

/// Sets how long operations take in a workspace; `None`: until somebody ends them.
///
/// # Errors
/// [`Error::NotFound`] of the workspace.
pub(crate) async fn set_programming(app: &App, workspace_id: Uuid, takes: Option<TimeDelta>) -> Result<()> {
    let mut work = UnitOfWork::begin(app, &Visibility::all_of(workspace_id), Scope::Workspace).await?;
    workspaces::set_programming(&mut work.tx, workspace_id, takes).await?;
    work.codes.devices.iter_mut().for_each(|locked| locked.settings.programming = takes);
    // What is done sooner now is done now, not before it was asked for.
    let now = work.now;
    work.codes.all_mut().for_each(|code| code.state.as_of = code.state.as_of.max(now));
    work.run(false).await?;
    work.finish(app).await?;
    Ok(())
}

/// A credential of this kind, in the form of Seam's.
fn token(ids: &Ids, workspace_id: Uuid, kind: &str, prefix: &str) -> String {
    let short = ids.token(&format!("{kind} short"), workspace_id, 4);
    format!("{prefix}{short}_{}", ids.token(kind, workspace_id, 24))
}

/// The seed of a workspace that has none of its own, on a server that has one. With an id that was chosen it follows
/// from that, else from how many there were before.
async fn seed_of_server(
    tx: &mut PgConnection,
    config: &Settings,
    workspace_id: Option<Uuid>,
) -> Result<Option<String>> {
    let Some(seed) = &config.seed else { return Ok(None) };
    let (parent, ordinal) = match workspace_id {
        Some(workspace_id) => (workspace_id, 0),
        None => (Uuid::nil(), workspaces::next_seedless(tx).await?),
    };
    Ok(Some(Ids::of(Some(seed)).id("seed", parent, ordinal, machine_now()).to_string()))
}

/// Makes the accounts that are asked for by themselves; those that locks need besides come with the locks.
async fn make_accounts(
    tx: &mut PgConnection,
    workspace: &Workspace,
    accounts: Vec<AccountSpec>,
    now: Timestamp,
) -> Result<()> {
    if accounts.is_empty() {
        return Ok(());
    }
    let (workspace_id, machine_now) = (workspace.workspace_id, machine_now());
    let new = (0_i64..).zip(accounts).map(|(ordinal, account)| NewAccount {
        connected_account_id: account
            .connected_account_id
            .unwrap_or_else(|| workspace.ids.id("connected_account", workspace_id, ordinal, machine_now)),
        provider: account.provider,
        disconnected_at: (!account.connected).then_some(now),
    });
    let new: Vec<NewAccount> = new.collect();
    accounts::insert(tx, workspace_id, now, &new).await
}

/// Makes locks in a workspace, in this order, from this ordinal on.
pub(crate) async fn create_devices(
    tx: &mut PgConnection,
    workspace: &Workspace,
    first_ordinal: i32,
    locks: Vec<LockSpec>,
    now: Timestamp,
) -> Result<Vec<Device>> {
    let workspace_id = workspace.workspace_id;
    let machine_now = machine_now();
    let mut accounts: HashMap<String, (Uuid, Option<Timestamp>)> = accounts::list(tx, workspace_id)
        .await?
        .into_iter()
        .map(|account| (account.provider, (account.connected_account_id, account.disconnected_at)))
        .collect();
    let cut_off = locks.iter().filter(|spec| spec.account_connected == Some(false));
    let cut_off: HashSet<&str> =
        cut_off.filter_map(|spec| brands::of(&spec.device_type)).map(|brand| brand.provider).collect();
    let mut new_accounts = Vec::new();
    let mut created = Vec::with_capacity(locks.len());
    for (ordinal, spec) in (first_ordinal..).zip(locks) {
        let brand = brands::of(&spec.device_type)
            .ok_or_else(|| Error::invalid("device_type", format!("{} is no lock", spec.device_type)))?;
        let next_account = ordinal_after(accounts.len());
        let (connected_account_id, account_disconnected_at) =
            *accounts.entry(brand.provider.to_owned()).or_insert_with(|| {
                let id = workspace.ids.id("connected_account", workspace_id, next_account, machine_now);
                let disconnected_at = cut_off.contains(brand.provider).then_some(now);
                new_accounts.push(NewAccount {
                    connected_account_id: id,
                    provider: brand.provider.to_owned(),
                    disconnected_at,
                });
                (id, disconnected_at)
            });
        let account = (connected_account_id, account_disconnected_at);
        created.push(spec.device(workspace, (brand, ordinal), account, (now, machine_now)));
    }
    // The others come with their locks, in one statement.
    new_accounts.retain(|account| account.disconnected_at.is_some());
    if !new_accounts.is_empty() {
        accounts::insert(tx, workspace_id, now, &new_accounts).await?;
    }
    if !created.is_empty() {
        devices::insert(tx, workspace_id, &created).await?;
    }
    Ok(created)
}

/// Removes workspaces whose time is up, and what is older than is to be kept, until the future is dropped.
pub(crate) async fn remove_as_they_expire(app: App) {
    const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
    let mut retention = Retention::of(&app.config);
    loop {
        if let Err(error) = remove_expired(&app).await {
            tracing::error!(%error, "workspaces whose time is up could not be removed");
        }
        if let Some(retention) = &mut retention {
            retention.look(&app).await;
        }
        tokio::time::sleep(EXPIRY_INTERVAL).await;
    }
}

/// Removes workspaces whose time is up.
pub async fn remove_expired(app: &App) -> Result<()> {
    let mut failed = Ok(());
    for workspace_id in workspaces::expired(&app.background, machine_now()).await? {
        // One that cannot be removed keeps none of the others.
        match workspaces::delete(&app.background, workspace_id).await {
            Ok(()) | Err(Error::NotFound(_)) => app.workspaces.forget(workspace_id),
            Err(error) => failed = Err(error),
        }
    }
    failed
}
