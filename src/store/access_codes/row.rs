//! Row of an access code, and its conversion to and from the domain type.

use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{CodeState, LockCode, RareFields, Window};
use crate::domain::locked_device::LockedDevice;
use crate::error::{Error, Result};
use crate::store::row::row;
use sqlx::types::Json;
use uuid::Uuid;

row! {
    /// Row of an access code.
    #[derive(Debug)]
    pub AccessCodeRow of access_code {
        access_code_id: Uuid,
        fixed {
            workspace_id: Uuid,
            device_id: Uuid,
            created_at: Timestamp,
            is_offline: bool,
            is_backup: bool,
        }
        changing {
            name: Option<String>,
            code: String,
            starts_at: Option<Timestamp>,
            ends_at: Option<Timestamp>,
            common_code_key: Option<String>,
            is_natively_scheduled: bool,
            is_external_modification_allowed: bool,
            is_managed: bool,
            deletion_requested_at: Option<Timestamp>,
            held_name: Option<String>,
            held_code: Option<String>,
            held_starts_at: Option<Timestamp>,
            held_ends_at: Option<Timestamp>,
            first_held_at: Option<Timestamp>,
            as_of: Timestamp,
            working_since: Option<Timestamp>,
            due_at: Option<Timestamp>,
            wake_at: Option<Timestamp>,
            gone_at: Option<Timestamp>,
            children: i32,
            pool_device_id: Option<Uuid>,
            pulled_backup_access_code_id: Option<Uuid>,
            particulars: Option<Json<RareFields>>,
            blocked_on: Option<Uuid>,
            access_method_id: Option<Uuid>,
        }
        generated {
            sequence: i64,
        }
    }
}

/// Access code with the due times derived from its state, as stored in its row.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCode {
    pub code: AccessCode,
    /// Instant at which the next step is due, by the clock of the workspace; `None` if no step becomes due by the
    /// passing of time.
    pub due_at: Option<Timestamp>,
    /// `due_at` in machine time; `None` if the clock never reaches it by itself, for example while it is held.
    pub wake_at: Option<Timestamp>,
}

impl StoredCode {
    /// Returns the instant at which the next step of a code on this lock is due: in the time of the workspace, and in
    /// machine time if the clock reaches that instant by itself.
    pub fn due_times(code: &AccessCode, locked: &LockedDevice) -> (Option<Timestamp>, Option<Timestamp>) {
        let due_at = code.state.next(&locked.device.lock(&locked.settings)).map(|(due_at, _)| due_at);
        (due_at, due_at.and_then(|due_at| locked.settings.clock.machine_time_of(due_at)))
    }

    /// Returns the PIN group that the code has left, with its workspace; `None` if it has not left one. A code leaves
    /// its group when it loses its key, and when it is gone.
    pub fn left_group(&self) -> Option<(Uuid, String)> {
        let is_gone = self.code.state.gone_at.is_some();
        let key = self.code.left_group.as_ref().or(self.code.common_code_key.as_ref().filter(|_| is_gone))?;
        Some((self.code.workspace_id, key.clone()))
    }
}

/// Builds the window from its two columns.
///
/// # Errors
/// Only one of the columns is set.
pub(super) fn window(
    (starts_at, ends_at): (Option<Timestamp>, Option<Timestamp>),
    (access_code_id, column): (Uuid, &str),
) -> Result<Option<Window>> {
    match (starts_at, ends_at) {
        (None, None) => Ok(None),
        (Some(starts_at), Some(ends_at)) => Ok(Some(Window { starts_at, ends_at })),
        _ => Err(Error::inconsistent("access_code", access_code_id, column)),
    }
}

impl TryFrom<AccessCodeRow> for StoredCode {
    type Error = Error;

    fn try_from(row: AccessCodeRow) -> Result<Self> {
        let id = row.access_code_id;
        let held_window = window((row.held_starts_at, row.held_ends_at), (id, "held_starts_at"))?;
        let held_name = row.held_name;
        let state = CodeState {
            created_at: row.created_at,
            requested: LockCode {
                name: row.name,
                code: row.code,
                window: window((row.starts_at, row.ends_at), (id, "starts_at"))?,
            },
            is_managed: row.is_managed,
            is_natively_scheduled: row.is_natively_scheduled,
            is_offline: row.is_offline,
            is_backup: row.is_backup,
            deletion_requested_at: row.deletion_requested_at,
            held: row.held_code.map(|code| LockCode { name: held_name, code, window: held_window }),
            first_held_at: row.first_held_at,
            as_of: row.as_of,
            operation_started_at: row.working_since,
            gone_at: row.gone_at,
            rare_fields: row.particulars.map(|json| json.0).unwrap_or_default(),
        };
        let code = AccessCode {
            access_code_id: id,
            workspace_id: row.workspace_id,
            device_id: row.device_id,
            sequence: row.sequence,
            common_code_key: row.common_code_key,
            left_group: None,
            is_external_modification_allowed: row.is_external_modification_allowed,
            pool_device_id: row.pool_device_id,
            pulled_backup_access_code_id: row.pulled_backup_access_code_id,
            access_method_id: row.access_method_id,
            state,
            children: row.children,
        };
        Ok(Self { code, due_at: row.due_at, wake_at: row.wake_at })
    }
}

impl From<StoredCode> for AccessCodeRow {
    fn from(StoredCode { code, due_at, wake_at }: StoredCode) -> Self {
        let blocked_on = code.blocked_on();
        let AccessCode { state, .. } = code;
        let (held_name, held_code, held_window) =
            state.held.map_or((None, None, None), |held| (held.name, Some(held.code), held.window));
        Self {
            access_code_id: code.access_code_id,
            workspace_id: code.workspace_id,
            device_id: code.device_id,
            created_at: state.created_at,
            is_offline: state.is_offline,
            is_backup: state.is_backup,
            name: state.requested.name,
            code: state.requested.code,
            starts_at: state.requested.window.map(|window| window.starts_at),
            ends_at: state.requested.window.map(|window| window.ends_at),
            // Linked codes find each other by this key. A code that is gone is no longer one of them.
            common_code_key: code.common_code_key.filter(|_| state.gone_at.is_none()),
            is_natively_scheduled: state.is_natively_scheduled,
            is_external_modification_allowed: code.is_external_modification_allowed,
            is_managed: state.is_managed,
            deletion_requested_at: state.deletion_requested_at,
            held_name,
            held_code,
            held_starts_at: held_window.map(|window| window.starts_at),
            held_ends_at: held_window.map(|window| window.ends_at),
            first_held_at: state.first_held_at,
            as_of: state.as_of,
            working_since: state.operation_started_at,
            due_at,
            wake_at,
            gone_at: state.gone_at,
            children: code.children,
            pool_device_id: code.pool_device_id,
            pulled_backup_access_code_id: code.pulled_backup_access_code_id,
            particulars: (state.rare_fields != RareFields::default()).then_some(Json(state.rare_fields)),
            blocked_on,
            access_method_id: code.access_method_id,
            sequence: code.sequence,
        }
    }
}
