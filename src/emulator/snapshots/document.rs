//! A snapshot as one JSON document: what it looks like. It is read from text and written to text; only a row at a time is
//! taken apart.

use super::raw::{Members, is_object, small};
use super::tables::TABLES;
use super::{checksum, raw};
use crate::clock::{Instant, WorkspaceClock, from_iso, to_iso};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// What every snapshot says it is.
pub(super) const FORMAT: &str = "latchkey-snapshot";

/// The version of the snapshots that this program writes. To be raised where an old one would be read wrongly; a column
/// with a default may be missing from one. Version 1 differs in its checksum.
pub(super) const VERSION: u64 = 2;

/// The oldest version that this program reads.
const OLDEST_VERSION: u64 = 1;

/// How the time went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Clock {
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
    pub(super) fn of(clock: WorkspaceClock, machine_now: Instant) -> Self {
        let (mode, rate) = match clock {
            WorkspaceClock::Live => (Mode::Live, None),
            WorkspaceClock::Running { rate, .. } => (Mode::Running, Some(rate)),
            WorkspaceClock::Held { .. } => (Mode::Held, None),
        };
        Self { mode, now: to_iso(clock.now(machine_now)), rate }
    }

    /// The instant of the workspace's time.
    pub(super) fn instant(&self) -> Option<Instant> {
        from_iso(&self.now)
    }

    /// The clock that goes on from there; `None` where there is no such clock.
    pub(super) fn going_on(&self, machine_now: Instant) -> Option<WorkspaceClock> {
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
pub(super) type Wrong = String;

/// A snapshot.
#[derive(Clone, Debug)]
pub(super) struct Document<'a> {
    /// All that stands in it.
    pub(super) members: Members<'a>,
    /// How it is to be read.
    pub(super) version: u64,
    /// The workspace it was taken of.
    pub(super) workspace_id: Uuid,
    /// How the time went.
    pub(super) clock: Clock,
    /// The workspace's own row.
    pub(super) workspace: &'a RawValue,
    /// The lists of rows that are in it, by table.
    pub(super) lists: Members<'a>,
    /// The list of rows of each of [`TABLES`].
    pub(super) tables: Vec<&'a RawValue>,
}

impl<'a> Document<'a> {
    /// Reads a document whose text takes as many as `most` bytes for whatever is read as a whole.
    ///
    /// # Errors
    /// What about its shape is wrong.
    pub(super) fn read(document: &'a RawValue, most: usize) -> Result<Self, Wrong> {
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
    pub(super) fn promised(&self) -> Option<String> {
        serde_json::from_str(self.members.get(checksum::NAME)?.get()).ok()
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

/// A document that is being written: everything in its order, the rows one after the other.
#[derive(Debug)]
pub(super) struct Written(Vec<u8>);

impl Written {
    /// Begins a document behind what is written already.
    pub(super) fn begin(
        mut text: Vec<u8>,
        workspace_id: Uuid,
        clock: &Clock,
        workspace: &Value,
    ) -> serde_json::Result<Self> {
        let clock = serde_json::to_string(clock)?;
        let head = format!(
            "{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"workspace_id\":\"{workspace_id}\",\"clock\":{clock},\
             \"workspace\":{workspace},\"tables\":{{"
        );
        text.extend_from_slice(head.as_bytes());
        Ok(Self(text))
    }

    /// Begins the table at this place of [`TABLES`].
    pub(super) fn table(&mut self, place: usize, name: &str) {
        self.0.extend_from_slice(format!("{}\"{name}\":[", if place > 0 { "]," } else { "" }).as_bytes());
    }

    /// The next row of the table that was begun.
    pub(super) fn row(&mut self, number: usize, row: &Value) -> serde_json::Result<()> {
        if number > 0 {
            self.0.push(b',');
        }
        serde_json::to_writer(&mut self.0, row)
    }

    /// Ends the document.
    pub(super) fn end(mut self, checksum: Option<&str>) -> Vec<u8> {
        self.0.extend_from_slice(b"]}");
        if let Some(checksum) = checksum {
            self.0.extend_from_slice(format!(",\"{}\":\"{checksum}\"", checksum::NAME).as_bytes());
        }
        self.0.push(b'}');
        self.0
    }
}

impl Document<'_> {
    /// Writes it with its checksum behind what is written already.
    ///
    /// # Errors
    /// What in it is no JSON.
    pub(super) async fn write(&self, before: Vec<u8>) -> Result<Vec<u8>, Wrong> {
        let checksum = checksum::of(self, usize::MAX).await?;
        let said = |error: serde_json::Error| error.to_string();
        let workspace = small(self.workspace).map_err(said)?;
        let mut written = Written::begin(before, self.workspace_id, &self.clock, &workspace).map_err(said)?;
        for (place, (table, rows)) in TABLES.iter().zip(&self.tables).enumerate() {
            written.table(place, table.name);
            raw::each(rows, |number, row| written.row(number, &serde_json::from_str(row.get())?))
                .await
                .map_err(said)?;
        }
        Ok(written.end(Some(&checksum)))
    }
}
