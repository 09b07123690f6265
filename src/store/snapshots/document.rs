//! Format of a snapshot: one JSON document. It is read from text and written to text, and only one row at a time is
//! parsed.

use super::raw::{self, Members, is_object};
use super::tables::TABLES;
use crate::clock::{Timestamp, WorkspaceClock, from_iso, to_iso};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// Name of the member with the checksum.
pub(crate) const CHECKSUM: &str = "checksum";

/// Value of `format` in every snapshot.
pub(crate) const FORMAT: &str = "latchkey-snapshot";

/// Version of the snapshots that this program writes. Raise it if this program would read an older snapshot wrongly. A
/// new column with a default does not need a new version: it may be missing in a snapshot. Version 1 uses a different
/// checksum.
pub(crate) const VERSION: u64 = 2;

/// Oldest version that this program reads.
const OLDEST_VERSION: u64 = 1;

/// State of the clock of the workspace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Clock {
    mode: Mode,
    now: String,
    rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Live,
    Running,
    Held,
}

impl Clock {
    /// Returns the state of a clock when the machine time is `machine_now`.
    pub(crate) fn of(clock: WorkspaceClock, machine_now: Timestamp) -> Self {
        let (mode, rate) = match clock {
            WorkspaceClock::Live => (Mode::Live, None),
            WorkspaceClock::Running { rate, .. } => (Mode::Running, Some(rate)),
            WorkspaceClock::Held { .. } => (Mode::Held, None),
        };
        Self { mode, now: to_iso(clock.now(machine_now)), rate }
    }

    /// Returns the instant on the workspace's clock; `None` if it cannot be parsed.
    pub(crate) fn instant(&self) -> Option<Timestamp> {
        from_iso(&self.now)
    }

    /// Returns the clock that continues from this state; `None` if the state is invalid.
    pub(crate) fn continued(&self, machine_now: Timestamp) -> Option<WorkspaceClock> {
        let at = self.instant()?;
        Some(match (self.mode, self.rate) {
            (Mode::Live, _) => WorkspaceClock::Live,
            (Mode::Held, _) => WorkspaceClock::Held { at },
            (Mode::Running, Some(rate)) if rate > 0.0 => WorkspaceClock::Running { at, since: machine_now, rate },
            (Mode::Running, _) => return None,
        })
    }
}

/// Message that says what is wrong with a document, and where.
pub(crate) type DocumentError = String;

/// Parsed document of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Document<'a> {
    /// All members of the document.
    pub(crate) members: Members<'a>,
    /// Version of the format.
    pub(crate) version: u64,
    /// Workspace of which the snapshot was taken.
    pub(crate) workspace_id: Uuid,
    /// State of the clock of the workspace.
    pub(crate) clock: Clock,
    /// Row of the workspace.
    pub(crate) workspace: &'a RawValue,
    /// Lists of rows that the document contains, by table; the checksum covers these.
    pub(crate) lists: Members<'a>,
    /// List of rows for each of [`TABLES`]; empty for a table that the document does not contain.
    pub(crate) tables: Vec<&'a RawValue>,
}

impl<'a> Document<'a> {
    /// Parses a document. Each member that is parsed as a whole may have at most `most` bytes.
    ///
    /// # Errors
    /// The document does not have the format of a snapshot.
    pub(crate) fn read(document: &'a RawValue, most: usize) -> Result<Self, DocumentError> {
        let members = Members::of(document).map_err(|error| error.to_string())?;
        let member = |name: &str| members.get(name).map(|text| raw::value(text, most, || name.to_owned())).transpose();
        if member("format")?.as_ref().and_then(Value::as_str) != Some(FORMAT) {
            return Err(format!("format is not {FORMAT}: this is not a snapshot of Latchkey"));
        }
        let version = member("version")?.unwrap_or_default();
        let known = version.as_u64().filter(|version| (OLDEST_VERSION..=VERSION).contains(version));
        let version = known.ok_or_else(|| {
            format!(
                "version {version} is unknown: this version of Latchkey reads versions {OLDEST_VERSION} to \
                     {VERSION}"
            )
        })?;
        let missing = |name: &str| format!("{name} is missing");
        let workspace_id = member("workspace_id")?.ok_or_else(|| missing("workspace_id"))?;
        let workspace_id = workspace_id.as_str().and_then(|id| Uuid::parse_str(id).ok());
        let clock = member("clock")?.ok_or_else(|| missing("clock"))?;
        let clock = Clock::deserialize(clock).map_err(|error| format!("clock: {error}"))?;
        let workspace = members.get("workspace").ok_or_else(|| missing("workspace"))?;
        let tables = members.get("tables").ok_or_else(|| missing("tables"))?;
        if !is_object(tables) {
            return Err("tables is not an object".to_owned());
        }
        let lists = Members::of(tables).map_err(|error| format!("tables: {error}"))?;
        let tables = lists_of_rows(&lists)?;
        let workspace_id = workspace_id.ok_or("workspace_id is not a UUID")?;
        Ok(Self { members, version, workspace_id, clock, workspace, lists, tables })
    }

    /// Returns the checksum in the document.
    pub(crate) fn stored_checksum(&self) -> Option<String> {
        serde_json::from_str(self.members.get(CHECKSUM)?.get()).ok()
    }
}

/// Returns the list of rows for each of [`TABLES`].
///
/// # Errors
/// A member is not a list, or not one of the tables.
fn lists_of_rows<'a>(lists: &Members<'a>) -> Result<Vec<&'a RawValue>, DocumentError> {
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        match lists.get(table.name) {
            // A snapshot that is older than the table has no rows of it.
            None => tables.push(serde_json::from_str("[]").map_err(|error| error.to_string())?),
            Some(rows) if rows.get().starts_with('[') => tables.push(rows),
            Some(_) => return Err(format!("tables.{} is not a list", table.name)),
        }
    }
    match lists.iter().find(|(name, _)| TABLES.iter().all(|table| table.name != *name)) {
        Some((unknown, _)) => Err(format!(
            "tables.{unknown} is unknown. Import it into the version of Latchkey that \
                                           exported it"
        )),
        None => Ok(tables),
    }
}
