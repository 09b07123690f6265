//! `/_emulator/workspaces/*`: creates, lists, changes and deletes workspaces.

use super::clock::ClockBody;
use super::programming::Programming;
use super::{Control, EmptyResult, NoParameters};
use crate::api::body;
use crate::clock::{Timestamp, WorkspaceClock, iso, machine_now};
use crate::config::Settings;
use crate::domain::device::health::DeviceStats;
use crate::domain::workspace::SameCode;
use crate::engine::device_specs::LockSpec;
use crate::engine::workspaces::{Owner, SettingsUpdate, WorkspaceParams, create as create_workspace, update_settings};
use crate::error::{Error, Result};
use crate::http::params::{duration, instant};
use crate::store::workspaces;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Parameters of a new workspace.
#[derive(Deserialize)]
pub(crate) struct Create {
    name: Option<String>,
    seed: Option<Value>,
    ttl: Option<String>,
    workspace_id: Option<Uuid>,
    api_key: Option<String>,
    personal_access_token: Option<String>,
    clock: Option<Value>,
    programming: Option<Programming>,
    keep_expired_access_codes: Option<bool>,
    #[serde(flatten)]
    settings: ChangeableSettings,
    locks: Option<Locks>,
}

/// Parameter `locks`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Locks {
    /// Number of August locks.
    Count(usize),
    Specs(Vec<Map<String, Value>>),
}

#[derive(Serialize)]
pub(super) struct Created {
    workspace: Value,
    api_key: String,
    publishable_key: String,
    person_id: Uuid,
    personal_access_token: String,
    devices: Vec<Value>,
}

pub(super) async fn create(call: Control<Create>) -> Result<Created> {
    let params = call.input.read(&call.app.config)?;
    let created = create_workspace(&call.app, params).await?;
    Ok(Created {
        workspace: body::workspace::of(&created.workspace),
        publishable_key: created.workspace.publishable_key,
        api_key: created.api_key,
        person_id: created.person.person_id,
        personal_access_token: created.person.personal_access_token,
        devices: created
            .devices
            .iter()
            .map(|device| body::device::managed_or_unmanaged(device, &DeviceStats::default()))
            .collect(),
    })
}

impl Create {
    /// Reads the parameters. The settings of the server are the defaults.
    ///
    /// # Errors
    /// An invalid instant, duration or lock.
    pub(crate) fn read(self, config: &Settings) -> Result<WorkspaceParams> {
        let machine_now = machine_now();
        let expires_at = match self.ttl.as_deref() {
            None => None,
            Some(ttl) => machine_now.checked_add_signed(duration("ttl", ttl)?),
        };
        let locks = match self.locks {
            None => Vec::new(),
            Some(Locks::Count(count)) => vec![LockSpec::of_type("august_lock"); count],
            Some(Locks::Specs(specs)) => {
                specs.into_iter().enumerate().map(|(index, spec)| LockSpec::read(spec, index)).collect::<Result<_>>()?
            }
        };
        let seed = self.seed.map(|seed| match seed {
            Value::String(seed) => seed,
            number => number.to_string(),
        });
        let (settings, of_server) = (self.settings.read()?, WorkspaceParams::of_server(config));
        Ok(WorkspaceParams {
            name: self.name,
            seed,
            expires_at,
            workspace_id: self.workspace_id,
            api_key: self.api_key,
            owner: self.personal_access_token.map_or(Owner::New, Owner::WithToken),
            clock: self.clock.map_or(Ok(config.clock), |clock| clock_setting(&clock, machine_now))?,
            programming: self.programming.map_or(Ok(config.programming.0), |programming| programming.read())?,
            keeps_expired: self.keep_expired_access_codes.unwrap_or(config.keep_expired_access_codes),
            same_code: settings.same_code.unwrap_or(of_server.same_code),
            refuse_begun_windows: settings.refuse_begun_windows.unwrap_or(of_server.refuse_begun_windows),
            late_issuance: settings.late_issuance(of_server.late_issuance),
            locks,
            ..of_server
        })
    }
}

/// Reads the parameter `clock`: an object for a held or a running clock, or else the text `live`.
fn clock_setting(setting: &Value, machine_now: Timestamp) -> Result<WorkspaceClock> {
    let instant = |text: &Value| instant("clock", text.as_str().unwrap_or_default());
    if !setting.is_object() {
        return Ok(WorkspaceClock::Live);
    }
    if let Some(at) = setting.get("held_at") {
        if setting.get("running_from").or_else(|| setting.get("rate")).is_some() {
            let message = "Give either held_at, for a held clock, or running_from with rate";
            return Err(Error::invalid("clock", message));
        }
        return Ok(WorkspaceClock::Held { at: instant(at)? });
    }
    let at = instant(setting.get("running_from").unwrap_or(&Value::Null))?;
    let rate = setting.get("rate").and_then(Value::as_f64).unwrap_or(1.0);
    Ok(WorkspaceClock::Running { at, since: machine_now, rate })
}

pub(super) async fn delete(call: Control<NoParameters>) -> Result<EmptyResult> {
    if !call.names_workspace() {
        let message = "Name the workspace to delete, or send its API key. Without both, this would be the sandbox";
        return Err(Error::invalid("workspace_id", message));
    }
    let workspace = call.workspace().await?;
    workspaces::delete(&call.app.pool, workspace.workspace_id).await?;
    call.app.callers.forget(workspace.workspace_id);
    Ok(EmptyResult {})
}

#[derive(Serialize)]
pub(super) struct Listed {
    workspaces: Vec<ListedBody>,
}

#[derive(Serialize)]
struct ListedBody {
    workspace_id: Uuid,
    name: String,
    #[serde(with = "iso")]
    created_at: Timestamp,
    #[serde(with = "iso::option")]
    expires_at: Option<Timestamp>,
    seed: Option<String>,
    clock: ClockBody,
    api_key: Option<String>,
    publishable_key: String,
    person_id: Uuid,
    personal_access_token: String,
    #[serde(flatten)]
    contents: workspaces::Contents,
}

/// Lists all workspaces on the server, or only the workspace of the API key.
pub(super) async fn list(call: Control<NoParameters>) -> Result<Listed> {
    let only = call.keyed().map(|workspace| workspace.workspace_id);
    let rows = workspaces::list(&call.app.pool, only).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.settings.workspace_id()).collect();
    let contents = workspaces::contents(&call.app.pool, &ids).await?;
    let machine_now = machine_now();
    let workspaces = rows.into_iter().zip(ids).zip(contents).map(|((row, workspace_id), contents)| {
        let (_, settings) = row.settings.try_into()?;
        Ok(ListedBody {
            workspace_id,
            name: row.name,
            created_at: row.created_at,
            expires_at: row.expires_at,
            seed: row.seed,
            clock: ClockBody::of(settings.clock, machine_now),
            api_key: row.api_key,
            publishable_key: row.publishable_key,
            person_id: row.person_id,
            personal_access_token: row.personal_access_token,
            contents,
        })
    });
    Ok(Listed { workspaces: workspaces.collect::<Result<_>>()? })
}

/// Settings that can be changed later, for cases in which the behaviour of Seam is uncertain, or is tested with other
/// times.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ChangeableSettings {
    /// True if managed codes on one lock may have the same PIN while they are not on the lock at the same time.
    allow_same_code_in_disjoint_windows: Option<bool>,
    /// True if time frames that have begun are rejected on locks that accept no start in the past.
    refuse_begun_windows: Option<bool>,
    /// Durations.
    late_issuance_lead: Option<String>,
    late_issuance_grace: Option<String>,
}

impl ChangeableSettings {
    /// Reads the settings.
    ///
    /// # Errors
    /// An invalid duration.
    fn read(&self) -> Result<SettingsUpdate> {
        let read = |name, text: &Option<String>| text.as_deref().map(|text| duration(name, text)).transpose();
        Ok(SettingsUpdate {
            same_code: self.allow_same_code_in_disjoint_windows.map(SameCode::of),
            refuse_begun_windows: self.refuse_begun_windows,
            late_issuance_lead: read("late_issuance_lead", &self.late_issuance_lead)?,
            late_issuance_grace: read("late_issuance_grace", &self.late_issuance_grace)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.allow_same_code_in_disjoint_windows.or(self.refuse_begun_windows).is_none()
            && self.late_issuance_lead.as_ref().or(self.late_issuance_grace.as_ref()).is_none()
    }
}

#[derive(Serialize)]
pub(super) struct Updated {
    settings: SettingsBody,
}

#[derive(Serialize)]
struct SettingsBody {
    allow_same_code_in_disjoint_windows: bool,
    refuse_begun_windows: bool,
    late_issuance_lead: String,
    late_issuance_grace: String,
}

pub(super) async fn update(call: Control<ChangeableSettings>) -> Result<Updated> {
    if call.input.is_empty() {
        let message = "Give allow_same_code_in_disjoint_windows, refuse_begun_windows, late_issuance_lead or \
                       late_issuance_grace";
        return Err(Error::invalid_request(message));
    }
    let update = call.input.read()?;
    let workspace_id = call.workspace().await?.workspace_id;
    let settings = update_settings(&call.app, workspace_id, update).await?;
    let settings = SettingsBody {
        allow_same_code_in_disjoint_windows: settings.same_code == SameCode::InDisjointWindows,
        refuse_begun_windows: settings.refuse_begun_windows,
        late_issuance_lead: settings.late_issuance.lead.to_string(),
        late_issuance_grace: settings.late_issuance.grace.to_string(),
    };
    Ok(Updated { settings })
}
