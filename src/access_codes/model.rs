//! An access code: the facts that are stored, and what the API shows of them.

use super::lifecycle::{Entry, Life, PendingMutation, Status, Window};
use crate::clock::{Instant, iso};
use crate::devices::brands::{Brand, NameStyle};
use crate::devices::model::{DeviceError, DeviceSummary};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

/// One access code.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessCode {
    /// Its id.
    pub access_code_id: Uuid,
    /// The workspace it belongs to.
    pub workspace_id: Uuid,
    /// The lock it is for.
    pub device_id: Uuid,
    /// The key of the group of codes that share its PIN.
    pub common_code_key: Option<String>,
    /// Whether somebody at the lock may change it without Seam putting it right again.
    pub is_external_modification_allowed: bool,
    /// Its life so far.
    pub life: Life,
    /// Events and action attempts so far: the ordinal of the next one's id.
    pub children: u32,
}

impl AccessCode {
    /// The ordinal for the next event or action attempt of this code.
    pub fn next_child(&mut self) -> u64 {
        self.children += 1;
        u64::from(self.children - 1)
    }

    /// The code as the API shows it on this device.
    pub fn to_body(&self, device: &DeviceSummary) -> AccessCodeBody {
        let life = &self.life;
        let asked = &life.asked;
        AccessCodeBody {
            access_code_id: self.access_code_id,
            device_id: self.device_id,
            workspace_id: self.workspace_id,
            name: asked.name.clone(),
            code: Some(asked.code.clone()),
            common_code_key: self.common_code_key.clone(),
            r#type: if asked.window.is_some() { "time_bound" } else { "ongoing" },
            status: life.status(),
            starts_at: asked.window.map(|window| window.starts_at),
            ends_at: asked.window.map(|window| window.ends_at),
            created_at: life.created_at,
            errors: device.errors(),
            warnings: warnings(life),
            pending_mutations: life.pending_mutation().map(PendingMutationBody::from).into_iter().collect(),
            appearance: life.held.as_ref().and_then(|held| appearance(held, device.brand)),
            is_managed: true,
            is_backup: false,
            is_backup_access_code_available: false,
            pulled_backup_access_code_id: None,
            is_external_modification_allowed: self.is_external_modification_allowed,
            is_offline_access_code: false,
            is_one_time_use: false,
            is_scheduled_on_device: life.is_scheduled_on_device(),
            is_waiting_for_code_assignment: false,
        }
    }
}

/// Seam's `access_code`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the properties are documented in openapi.json")]
#[expect(clippy::struct_excessive_bools, reason = "Seam's object has them")]
pub struct AccessCodeBody {
    pub access_code_id: Uuid,
    pub device_id: Uuid,
    pub workspace_id: Uuid,
    pub name: Option<String>,
    pub code: Option<String>,
    pub common_code_key: Option<String>,
    pub r#type: &'static str,
    pub status: Status,
    #[serde(with = "iso::option")]
    pub starts_at: Option<Instant>,
    #[serde(with = "iso::option")]
    pub ends_at: Option<Instant>,
    #[serde(with = "iso")]
    pub created_at: Instant,
    pub errors: Vec<DeviceError>,
    pub warnings: Vec<Warning>,
    pub pending_mutations: Vec<PendingMutationBody>,
    pub appearance: Option<Appearance>,
    pub is_managed: bool,
    pub is_backup: bool,
    pub is_backup_access_code_available: bool,
    pub pulled_backup_access_code_id: Option<Uuid>,
    pub is_external_modification_allowed: bool,
    pub is_offline_access_code: bool,
    pub is_one_time_use: bool,
    pub is_scheduled_on_device: bool,
    pub is_waiting_for_code_assignment: bool,
}

/// One of Seam's `warnings` on a code.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the properties are documented in openapi.json")]
pub struct Warning {
    pub warning_code: &'static str,
    pub message: &'static str,
    #[serde(with = "iso")]
    pub created_at: Instant,
}

fn warnings(life: &Life) -> Vec<Warning> {
    let being_deleted = life.removing_since().map(|created_at| Warning {
        warning_code: "being_deleted",
        message: "The access code is being removed from the device.",
        created_at,
    });
    being_deleted.into_iter().collect()
}

/// One of Seam's `pending_mutations`.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the properties are documented in openapi.json")]
pub struct PendingMutationBody {
    pub mutation_code: &'static str,
    pub message: &'static str,
    #[serde(with = "iso")]
    pub created_at: Instant,
    #[serde(with = "iso::option", skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Instant>,
}

impl From<(Instant, PendingMutation)> for PendingMutationBody {
    fn from((created_at, mutation): (Instant, PendingMutation)) -> Self {
        let (mutation_code, message, scheduled_at) = match mutation {
            PendingMutation::Creating => ("creating", "The access code is being put on the device.", None),
            PendingMutation::DeferringCreation { scheduled_at } => (
                "deferring_creation",
                "The access code will be put on the device nearer its start.",
                Some(scheduled_at),
            ),
            PendingMutation::Deleting => ("deleting", "The access code is being removed from the device.", None),
        };
        Self { mutation_code, message, created_at, scheduled_at }
    }
}

/// How the lock shows the name of a code on it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Appearance {
    name: String,
    first_name: Option<String>,
    last_name: Option<String>,
}

fn appearance(held: &Entry, brand: &Brand) -> Option<Appearance> {
    let full = held.name.as_deref()?;
    let (_, longest) = brand.name_length;
    let name: String =
        full.chars().take(longest.and_then(|longest| usize::try_from(longest).ok()).unwrap_or(usize::MAX)).collect();
    let (first_name, last_name) = match brand.name_style {
        NameStyle::Whole => (None, None),
        NameStyle::FirstAndLast => {
            let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
            (Some(first.to_owned()), Some(last.to_owned()))
        }
    };
    Some(Appearance { name, first_name, last_name })
}

/// Declares a row together with the list of its columns, which are read by their place: looking each up by its name
/// took a fifth of the time of a list of codes.
macro_rules! row_by_place {
    ($(#[$attribute:meta])* $row:ident { $first:ident: $first_type:ty, $($column:ident: $type:ty,)* }) => {
        $(#[$attribute])*
        pub struct $row { pub $first: $first_type, $(pub $column: $type,)* }

        impl $row {
            /// Its columns, of a table or alias `a`, for a `select` that begins with them.
            pub const COLUMNS: &str = concat!("a.", stringify!($first), $(", a.", stringify!($column),)*);
            /// How many they are: the place of the first column behind them.
            pub const COUNT: usize = 1 $(+ { let _ = stringify!($column); 1 })*;
        }

        impl FromRow<'_, PgRow> for $row {
            fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
                let mut places = 0..;
                let mut place = || places.next().unwrap_or_default();
                Ok(Self { $first: row.try_get(place())?, $($column: row.try_get(place())?,)* })
            }
        }
    };
}

row_by_place! {
    /// An access code as its row has it.
    #[derive(Debug)]
    #[expect(missing_docs, reason = "the columns are documented in the migration")]
    AccessCodeRow {
        access_code_id: Uuid,
        workspace_id: Uuid,
        device_id: Uuid,
        created_at: Instant,
        name: Option<String>,
        code: String,
        starts_at: Option<Instant>,
        ends_at: Option<Instant>,
        common_code_key: Option<String>,
        is_natively_scheduled: bool,
        is_external_modification_allowed: bool,
        deletion_requested_at: Option<Instant>,
        held_name: Option<String>,
        held_code: Option<String>,
        held_starts_at: Option<Instant>,
        held_ends_at: Option<Instant>,
        first_held_at: Option<Instant>,
        as_of: Instant,
        working_since: Option<Instant>,
        due_at: Option<Instant>,
        wake_at: Option<Instant>,
        gone_at: Option<Instant>,
        children: i32,
    }
}

/// A window from its two columns.
pub fn window(starts_at: Option<Instant>, ends_at: Option<Instant>) -> Option<Window> {
    Some(Window { starts_at: starts_at?, ends_at: ends_at? })
}

impl From<AccessCodeRow> for AccessCode {
    fn from(row: AccessCodeRow) -> Self {
        let held_window = window(row.held_starts_at, row.held_ends_at);
        let held_name = row.held_name;
        let life = Life {
            created_at: row.created_at,
            asked: Entry { name: row.name, code: row.code, window: window(row.starts_at, row.ends_at) },
            is_natively_scheduled: row.is_natively_scheduled,
            deletion_requested_at: row.deletion_requested_at,
            held: row.held_code.map(|code| Entry { name: held_name, code, window: held_window }),
            first_held_at: row.first_held_at,
            as_of: row.as_of,
            working_since: row.working_since,
            gone_at: row.gone_at,
        };
        Self {
            access_code_id: row.access_code_id,
            workspace_id: row.workspace_id,
            device_id: row.device_id,
            common_code_key: row.common_code_key,
            is_external_modification_allowed: row.is_external_modification_allowed,
            life,
            children: u32::try_from(row.children).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::brands;
    use serde_json::json;

    #[test]
    fn a_name_appears_as_the_lock_shows_it() {
        let shown = |device_type, name: &str| {
            let held = Entry { name: Some(name.to_owned()), code: "1357".to_owned(), window: None };
            serde_json::to_value(appearance(&held, brands::of(device_type).unwrap())).unwrap()
        };
        assert_eq!(
            shown("august_lock", "my ongoing code"),
            json!({ "name": "my ongoing code", "first_name": "my", "last_name": "ongoing code" })
        );
        assert_eq!(
            shown("schlage_lock", "my ongoing code"),
            json!({ "name": "my ongoin", "first_name": null, "last_name": null })
        );
    }
}
