//! `/_emulator/workspaces/*`: throw-away worlds.

use super::Control;
use super::programming::Programming;
use super::snapshots;
use crate::app::App;
use crate::clock::{Instant, WorkspaceClock, duration_from_iso, from_iso, machine_now};
use crate::devices::brands;
use crate::devices::model::{Device, Overrides};
use crate::devices::store as devices;
use crate::devices::trouble::{Census, Trouble};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::postgres;
use crate::workspaces::store::{self, NewWorkspace};
use crate::workspaces::{Workspace, World};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// A lock to be made.
#[derive(Clone, Debug, Deserialize)]
pub struct LockSpec {
    /// Seam's `device_type`.
    pub device_type: String,
    /// Its name; else its brand and number.
    pub name: Option<String>,
    /// Its id; else derived or random.
    pub device_id: Option<Uuid>,
    /// Whether it is online; it is unless told otherwise.
    pub online: Option<bool>,
    /// What it has different from its brand.
    #[serde(flatten)]
    pub overrides: Overrides,
}

/// A workspace to be made.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) seed: Option<String>,
    pub(super) expires_at: Option<Instant>,
    pub(super) workspace_id: Option<Uuid>,
    pub(super) api_key: Option<String>,
    pub(super) clock: WorkspaceClock,
    pub(super) programming: Option<TimeDelta>,
    pub(super) keeps_expired: bool,
    pub(super) locks: Vec<LockSpec>,
}

/// A workspace that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) workspace: Workspace,
    pub(super) api_key: String,
    pub(super) personal_access_token: String,
    pub(super) devices: Vec<Device>,
}

#[derive(Deserialize)]
pub(super) struct Create {
    name: Option<String>,
    seed: Option<Value>,
    ttl: Option<String>,
    workspace_id: Option<Uuid>,
    api_key: Option<String>,
    clock: Option<Value>,
    programming: Option<Programming>,
    keep_expired_access_codes: Option<bool>,
    locks: Option<Locks>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Locks {
    Some(usize),
    These(Vec<Map<String, Value>>),
}

#[derive(Serialize)]
pub(super) struct Created {
    workspace: Value,
    api_key: String,
    publishable_key: String,
    personal_access_token: String,
    devices: Vec<Value>,
}

pub(super) async fn create(call: Control<Create>) -> Result<Created> {
    let input = call.input;
    let machine_now = machine_now();
    let expires_at = match input.ttl.as_deref() {
        None => None,
        Some(ttl) => {
            let ttl = duration_from_iso(ttl)
                .ok_or_else(|| Error::invalid("ttl", "Invalid duration: give ISO 8601, like PT1H"))?;
            machine_now.checked_add_signed(ttl)
        }
    };
    let locks = match input.locks {
        None => Vec::new(),
        Some(Locks::Some(count)) => vec![LockSpec::of_type("august_lock"); count],
        Some(Locks::These(specs)) => {
            specs.into_iter().enumerate().map(|(place, spec)| LockSpec::read(spec, place)).collect::<Result<_>>()?
        }
    };
    let seed = input.seed.map(|seed| match seed {
        Value::String(seed) => seed,
        number => number.to_string(),
    });
    let clock = clock_setting(input.clock.as_ref(), machine_now)?;
    let wanted = Wanted {
        name: input.name,
        seed,
        expires_at,
        workspace_id: input.workspace_id,
        api_key: input.api_key,
        clock,
        programming: input.programming.map_or(Ok(Some(call.app.config.programming)), |it| it.read())?,
        keeps_expired: input.keep_expired_access_codes.unwrap_or(call.app.config.keep_expired_access_codes),
        locks,
    };
    let made = make(&call.app, wanted).await?;
    Ok(Created {
        workspace: made.workspace.to_json(),
        publishable_key: made.workspace.publishable_key,
        api_key: made.api_key,
        personal_access_token: made.personal_access_token,
        devices: made.devices.iter().map(|device| device.to_json(&Census::default())).collect(),
    })
}

fn clock_setting(setting: Option<&Value>, machine_now: Instant) -> Result<WorkspaceClock> {
    let instant = |text: &Value| {
        text.as_str()
            .and_then(from_iso)
            .ok_or_else(|| Error::invalid("clock", "Invalid datetime: give ISO 8601, like 2026-01-31T15:00:00Z"))
    };
    let Some(setting) = setting.filter(|setting| setting.is_object()) else {
        return Ok(WorkspaceClock::Live);
    };
    if let Some(at) = setting.get("held_at") {
        return Ok(WorkspaceClock::Held { at: instant(at)? });
    }
    let at = instant(setting.get("running_from").unwrap_or(&Value::Null))?;
    let rate = setting.get("rate").and_then(Value::as_f64).unwrap_or(1.0);
    Ok(WorkspaceClock::Running { at, since: machine_now, rate })
}

impl LockSpec {
    fn of_type(device_type: &str) -> Self {
        Self {
            device_type: device_type.to_owned(),
            name: None,
            device_id: None,
            online: None,
            overrides: Overrides::default(),
        }
    }

    /// Reads a specification that passed the contract; `place` is where in the request it stands.
    pub(super) fn read(spec: Map<String, Value>, place: usize) -> Result<Self> {
        let wrong =
            |error: serde_json::Error| Error::invalid("locks", format!("The lock at {place} does not fit: {error}"));
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
/// [`Error::Conflict`] where an id, key or seed is not free.
pub(super) async fn make(app: &App, wanted: Wanted) -> Result<Made> {
    let machine_now = machine_now();
    let ids = Ids::of(wanted.seed.as_deref());
    let is_seeded = wanted.seed.is_some();
    let (chose_id, chose_key) = (wanted.workspace_id.is_some(), wanted.api_key.is_some());
    let workspace_id = wanted.workspace_id.unwrap_or_else(|| ids.id("workspace", Uuid::nil(), 0, machine_now));
    let token = |kind: &str, prefix: &str| {
        format!(
            "{prefix}{}_{}",
            ids.token(&format!("{kind} short"), workspace_id, 4),
            ids.token(kind, workspace_id, 24)
        )
    };
    let api_key = wanted.api_key.unwrap_or_else(|| token("api_key", "seam_test"));
    let personal_access_token = token("personal_access_token", "seam_at1");
    let workspace = Workspace {
        workspace_id,
        name: wanted.name.unwrap_or_else(|| "Throw-away workspace".to_owned()),
        is_sandbox: true,
        publishable_key: token("publishable_key", "seam_pk1"),
        ids,
        has_http_faults: false,
        is_strict: false,
    };
    let world = World {
        clock: wanted.clock,
        programming: wanted.programming,
        slow_after: app.config.slow_after,
        keeps_expired: wanted.keeps_expired,
        has_faults: false,
        rate_limits: None,
    };
    let created_at = world.clock.now(machine_now);
    let mut tx = postgres::begin(&app.pool).await?;
    let new = NewWorkspace {
        workspace: &workspace,
        seed: wanted.seed.as_deref(),
        world,
        created_at,
        expires_at: wanted.expires_at,
        api_key: &api_key,
        personal_access_token: &personal_access_token,
    };
    store::insert(&mut tx, &new).await.map_err(|error| match not_free(&error) {
        // What follows from a seed can only be taken by another world of that seed.
        Some("workspace_id") if is_seeded && !chose_id => in_use("seed"),
        Some("api_key") if is_seeded && !chose_key => in_use("seed"),
        Some("publishable_key") if is_seeded => in_use("seed"),
        Some(what) => in_use(what),
        None => error.into(),
    })?;
    let devices = make_devices(&mut tx, &workspace, 0, wanted.locks, created_at).await?;
    snapshots::record_beginning(&mut tx, &workspace, world.clock, machine_now).await?;
    tx.commit().await?;
    Ok(Made { workspace, api_key, personal_access_token, devices })
}

/// Makes locks in a workspace, in this order, from this ordinal on.
pub(super) async fn make_devices(
    tx: &mut PgConnection,
    workspace: &Workspace,
    first_ordinal: i32,
    locks: Vec<LockSpec>,
    now: Instant,
) -> Result<Vec<Device>> {
    let workspace_id = workspace.workspace_id;
    let machine_now = machine_now();
    let mut accounts: HashMap<String, (Uuid, Option<Instant>)> = devices::accounts(tx, workspace_id)
        .await?
        .into_iter()
        .map(|account| (account.provider, (account.connected_account_id, account.disconnected_at)))
        .collect();
    let mut made = Vec::with_capacity(locks.len());
    for (ordinal, spec) in (u64::try_from(first_ordinal).unwrap_or(0)..).zip(locks) {
        let brand = brands::of(&spec.device_type)
            .ok_or_else(|| Error::invalid("device_type", format!("{} is no lock", spec.device_type)))?;
        let next_account = accounts.len() as u64;
        let (connected_account_id, account_disconnected_at) = *accounts
            .entry(brand.provider.to_owned())
            .or_insert_with(|| (workspace.ids.id("connected_account", workspace_id, next_account, machine_now), None));
        let disconnected_at = (!spec.online.unwrap_or(true)).then_some(now);
        let trouble = Trouble { disconnected_at, account_disconnected_at, ..Trouble::default() };
        made.push(Device {
            device_id: spec.device_id.unwrap_or_else(|| workspace.ids.id("device", workspace_id, ordinal, machine_now)),
            workspace_id,
            connected_account_id,
            brand,
            name: spec.name.unwrap_or_else(|| format!("{} {}", brand.display_name, ordinal + 1)),
            ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
            created_at: now,
            reachable_since: trouble.unreachable_since().is_none().then_some(now),
            trouble,
            backup_pool: None,
            overrides: spec.overrides,
            custom_metadata: Map::new(),
            events_made: 0,
        });
    }
    if !made.is_empty() {
        devices::insert(tx, workspace_id, first_ordinal, &made)
            .await
            .map_err(|error| not_free(&error).map_or_else(|| error.into(), in_use))?;
    }
    Ok(made)
}

/// Which of the caller's choices was taken already, if that is what went wrong.
fn not_free(error: &sqlx::Error) -> Option<&'static str> {
    let error = error.as_database_error().filter(|error| error.is_unique_violation())?;
    match error.constraint()? {
        "workspace_pkey" => Some("workspace_id"),
        "workspace_seed_key" => Some("seed"),
        "credential_pkey" => Some("api_key"),
        "device_pkey" => Some("device_id"),
        "workspace_publishable_key_key" => Some("publishable_key"),
        _ => None,
    }
}

fn in_use(what: &str) -> Error {
    Error::Conflict(format!(
        "this {what} is in use on this server. Choose another, or delete the workspace that has it."
    ))
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

/// An answer without content.
#[derive(Serialize)]
pub(super) struct Done {}

pub(super) async fn delete(call: Control<Nothing>) -> Result<Done> {
    let workspace = call.workspace().await?;
    if !store::delete(&call.app.pool, workspace.workspace_id).await? {
        return Err(Error::WorkspaceNotFound);
    }
    call.app.workspaces.forget(workspace.workspace_id);
    Ok(Done {})
}

/// Removes workspaces whose time is up, until the future is dropped.
pub async fn remove_as_they_expire(app: App) {
    const EVERY: Duration = Duration::from_secs(1);
    loop {
        if let Err(error) = remove_expired(&app).await {
            tracing::error!(%error, "workspaces whose time is up could not be removed");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Removes workspaces whose time is up.
pub async fn remove_expired(app: &App) -> Result<()> {
    for workspace_id in store::expired(&app.pool, machine_now()).await? {
        store::delete(&app.pool, workspace_id).await?;
        app.workspaces.forget(workspace_id);
    }
    Ok(())
}
