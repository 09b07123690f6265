//! A snapshot as one JSON document: what it looks like. It is read from text and written to text; only a row at a time is
//! taken apart.

use super::raw::{self, Members, is_object};
use super::tables::TABLES;
use crate::clock::{Timestamp, WorkspaceClock, from_iso, to_iso};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// The member that tells the checksum.
pub(crate) const CHECKSUM: &str = "checksum";

/// What every snapshot says it is.
pub(crate) const FORMAT: &str = "latchkey-snapshot";

/// The version of the snapshots that this program writes. To be raised where an old one would be read wrongly; a column
/// with a default may be missing from one. Version 1 differs in its checksum.
pub(crate) const VERSION: u64 = 2;

/// The oldest version that this program reads.
const OLDEST_VERSION: u64 = 1;

/// How the time went.
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
    /// How a clock stands when the machine's time is `machine_now`.
    pub(crate) fn of(clock: WorkspaceClock, machine_now: Timestamp) -> Self {
        let (mode, rate) = match clock {
            WorkspaceClock::Live => (Mode::Live, None),
            WorkspaceClock::Running { rate, .. } => (Mode::Running, Some(rate)),
            WorkspaceClock::Held { .. } => (Mode::Held, None),
        };
        Self { mode, now: to_iso(clock.now(machine_now)), rate }
    }

    /// The instant of the workspace's time.
    pub(crate) fn instant(&self) -> Option<Timestamp> {
        from_iso(&self.now)
    }

    /// The clock that goes on from there; `None` where there is no such clock.
    pub(crate) fn going_on(&self, machine_now: Timestamp) -> Option<WorkspaceClock> {
        let at = self.instant()?;
        Some(match (self.mode, self.rate) {
            (Mode::Live, _) => WorkspaceClock::Live,
            (Mode::Held, _) => WorkspaceClock::Held { at },
            (Mode::Running, Some(rate)) if rate > 0.0 => WorkspaceClock::Running { at, since: machine_now, rate },
            (Mode::Running, _) => return None,
        })
    }
}

/// What is wrong with a document, and where.
pub(crate) type Wrong = String;

/// A snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Document<'a> {
    /// All that stands in it.
    pub(crate) members: Members<'a>,
    /// How it is to be read.
    pub(crate) version: u64,
    /// The workspace it was taken of.
    pub(crate) workspace_id: Uuid,
    /// How the time went.
    pub(crate) clock: Clock,
    /// The workspace's own row.
    pub(crate) workspace: &'a RawValue,
    /// The lists of rows that are in it, by table.
    pub(crate) lists: Members<'a>,
    /// The list of rows of each of [`TABLES`].
    pub(crate) tables: Vec<&'a RawValue>,
}

impl<'a> Document<'a> {
    /// Reads a document whose text takes as many as `most` bytes for whatever is read as a whole.
    ///
    /// # Errors
    /// What about its shape is wrong.
    pub(crate) fn read(document: &'a RawValue, most: usize) -> Result<Self, Wrong> {
        let members = Members::of(document).map_err(|error| error.to_string())?;
        let one = |name: &str| members.get(name).map(|it| raw::value(it, most, || name.to_owned())).transpose();
        if one("format")?.as_ref().and_then(Value::as_str) != Some(FORMAT) {
            return Err(format!("format is not {FORMAT}: this is none of Latchkey's snapshots"));
        }
        let version = one("version")?.unwrap_or_default();
        let known = version.as_u64().filter(|version| (OLDEST_VERSION..=VERSION).contains(version));
        let version = known.ok_or_else(|| {
            format!("version {version} is unknown: this Latchkey reads versions {OLDEST_VERSION} to {VERSION}")
        })?;
        let missing = |name: &str| format!("{name} is missing");
        let workspace_id = one("workspace_id")?.ok_or_else(|| missing("workspace_id"))?;
        let workspace_id = workspace_id.as_str().and_then(|id| Uuid::parse_str(id).ok());
        let clock = one("clock")?.ok_or_else(|| missing("clock"))?;
        let clock = Clock::deserialize(clock).map_err(|error| format!("clock: {error}"))?;
        let workspace = members.get("workspace").ok_or_else(|| missing("workspace"))?;
        let tables = members.get("tables").ok_or_else(|| missing("tables"))?;
        if !is_object(tables) {
            return Err("tables is no object".to_owned());
        }
        let lists = Members::of(tables).map_err(|error| format!("tables: {error}"))?;
        let tables = lists_of_rows(&lists)?;
        let workspace_id = workspace_id.ok_or("workspace_id is no UUID")?;
        Ok(Self { members, version, workspace_id, clock, workspace, lists, tables })
    }

    /// The checksum that comes with it.
    pub(crate) fn promised(&self) -> Option<String> {
        serde_json::from_str(self.members.get(CHECKSUM)?.get()).ok()
    }
}

/// The list of rows of each of [`TABLES`].
fn lists_of_rows<'a>(lists: &Members<'a>) -> Result<Vec<&'a RawValue>, Wrong> {
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        match lists.get(table.name) {
            // A snapshot from before there was such a table has no such rows.
            None => tables.push(serde_json::from_str("[]").map_err(|error| error.to_string())?),
            Some(rows) if rows.get().starts_with('[') => tables.push(rows),
            Some(_) => return Err(format!("tables.{} is no list", table.name)),
        }
    }
    match lists.iter().find(|(name, _)| TABLES.iter().all(|table| table.name != *name)) {
        Some((unknown, _)) => Err(format!("tables.{unknown} is unknown: was it made by a newer Latchkey?")),
        None => Ok(tables),
    }
}
