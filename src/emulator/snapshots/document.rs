//! A snapshot as one JSON document: what it looks like, and whether one that comes from outside can be believed.

use super::agreement;
use super::tables::{COLUMNS_LEFT_OUT, TABLES, Table, WORKSPACE};
use crate::clock::{Instant, WorkspaceClock, from_iso, to_iso};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What every snapshot says it is.
pub(super) const FORMAT: &str = "latchkey-snapshot";

/// The version of the snapshots that this program writes. To be raised where an old one would be read wrongly; a column
/// with a default may be missing from one. Version 1 differs in its checksum.
pub(super) const VERSION: u64 = 2;

/// The oldest version that this program reads.
const OLDEST_VERSION: u64 = 1;

/// What counts something: no more than this, so that counting on does not overflow.
const MOST: i64 = 1_000_000_000;

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

/// A snapshot.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// The workspace it was taken of.
    pub(super) workspace_id: Uuid,
    /// How the time went.
    pub(super) clock: Clock,
    /// The workspace's own row.
    pub(super) workspace: Value,
    /// The rows of each of [`TABLES`].
    pub(super) rows: Vec<Vec<Value>>,
}

/// A column as the database has it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Column {
    pub(super) table: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_nullable: bool,
    pub(super) has_default: bool,
}

/// The columns of these tables that a snapshot has.
pub(super) type Columns = HashMap<String, Vec<Column>>;

fn version(document: &Map<String, Value>) -> Option<u64> {
    document.get("version").and_then(Value::as_u64)
}

/// What is wrong with a document, and where.
type Wrong = String;

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// What about its shape is wrong.
    pub(super) fn read(mut document: Map<String, Value>) -> Result<Self, Wrong> {
        if document.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(format!("format is not {FORMAT}: this is none of Latchkey's snapshots"));
        }
        if !version(&document).is_some_and(|version| (OLDEST_VERSION..=VERSION).contains(&version)) {
            let version = document.get("version").unwrap_or(&Value::Null);
            return Err(format!(
                "version {version} is unknown: this Latchkey reads versions {OLDEST_VERSION} to {VERSION}"
            ));
        }
        let mut take = |name: &str| document.remove(name).ok_or_else(|| format!("{name} is missing"));
        let workspace_id = take("workspace_id")?;
        let workspace_id = workspace_id.as_str().and_then(|id| Uuid::parse_str(id).ok());
        let clock = Clock::deserialize(take("clock")?).map_err(|error| format!("clock: {error}"))?;
        let workspace = take("workspace")?;
        let Value::Object(mut tables) = take("tables")? else { return Err("tables is no object".to_owned()) };
        let mut rows = Vec::with_capacity(TABLES.len());
        for table in &TABLES {
            // A snapshot from before there was such a table has no such rows.
            match tables.remove(table.name).unwrap_or(json!([])) {
                Value::Array(of_table) => rows.push(of_table),
                _ => return Err(format!("tables.{} is no list", table.name)),
            }
        }
        if let Some(unknown) = tables.keys().next() {
            return Err(format!("tables.{unknown} is unknown: was it made by a newer Latchkey?"));
        }
        Ok(Self { workspace_id: workspace_id.ok_or("workspace_id is no UUID")?, clock, workspace, rows })
    }

    /// Makes a document that was taken of another workspace one of this one. Besides what is told by columns, answers that
    /// are kept name the workspace.
    pub(super) fn adopt(&mut self, workspace_id: Uuid) {
        let (from, to) = (self.workspace_id.to_string(), workspace_id.to_string());
        self.workspace_id = workspace_id;
        if from != to {
            self.rows.iter_mut().flatten().for_each(|row| rename(row, &from, &to));
        }
    }

    /// As JSON.
    pub(super) fn to_json(&self) -> Value {
        let tables: Map<String, Value> =
            TABLES.iter().zip(&self.rows).map(|(table, rows)| (table.name.to_owned(), json!(rows))).collect();
        json!({ "format": FORMAT, "version": VERSION, "workspace_id": self.workspace_id, "clock": self.clock,
                "workspace": self.workspace, "tables": tables })
    }

    /// Checks everything that the code which reads rows relies on, and brings instants and ids into their usual form.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn check(&mut self, columns: &Columns) -> Result<(), Wrong> {
        if self.clock.going_on(DateTime::UNIX_EPOCH).is_none() {
            return Err("clock: there is no such clock".to_owned());
        }
        let mut keys: HashMap<&str, HashSet<String>> = HashMap::new();
        check_rows(&WORKSPACE, columns, std::slice::from_mut(&mut self.workspace), |_| "workspace".to_owned())?;
        for (table, rows) in TABLES.iter().zip(&mut self.rows) {
            let place = |row: usize| format!("tables.{}[{row}]", table.name);
            check_rows(table, columns, rows, place)?;
            let mut seen = HashSet::new();
            for (number, row) in rows.iter().enumerate() {
                let key = row[table.key].as_str().unwrap_or_default().to_owned();
                if seen.contains(&key) {
                    return Err(format!("{}.{}: {key} is there twice", place(number), table.key));
                }
                seen.insert(key);
            }
            keys.insert(table.name, seen);
        }
        for (table, rows) in TABLES.iter().zip(&self.rows) {
            for (number, row) in rows.iter().enumerate() {
                for (column, other) in table.refers {
                    let Some(key) = row[*column].as_str() else { continue };
                    if !keys.get(other).is_some_and(|keys| keys.contains(key)) {
                        let place = format!("tables.{}[{number}].{column}", table.name);
                        return Err(format!("{place}: there is no {other} {key} in the snapshot"));
                    }
                }
            }
        }
        agreement::check(self)
    }
}

fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, from, to)),
        _ => {}
    }
}

fn check_rows(
    table: &Table,
    columns: &Columns,
    rows: &mut [Value],
    place: impl Fn(usize) -> String,
) -> Result<(), Wrong> {
    let columns = columns.get(table.name).map_or(&[][..], Vec::as_slice);
    let mut first: Option<Vec<String>> = None;
    for (number, row) in rows.iter_mut().enumerate() {
        let Value::Object(fields) = row else { return Err(format!("{} is no object", place(number))) };
        let mut names: Vec<String> = fields.keys().cloned().collect();
        names.sort_unstable();
        if *first.get_or_insert_with(|| names.clone()) != names {
            return Err(format!("{} has other columns than the rows before it", place(number)));
        }
        if let Some(unknown) = names.iter().find(|name| columns.iter().all(|column| column.name != **name)) {
            return Err(format!("{}.{unknown} is unknown: was it made by a newer Latchkey?", place(number)));
        }
        for column in columns {
            let name = &column.name;
            let wrong = |what: String| Err(format!("{}.{name}: {what}", place(number)));
            match fields.get_mut(name) {
                None if column.is_nullable || column.has_default => {}
                None => return wrong("is missing".to_owned()),
                Some(Value::Null) if column.is_nullable => {}
                Some(value) => {
                    check_type(column, value).or_else(wrong)?;
                    for (_, check) in table.checks.iter().filter(|(checked, _)| checked == name) {
                        check(value).or_else(wrong)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn check_type(column: &Column, value: &mut Value) -> Result<(), Wrong> {
    let expected = match column.kind.as_str() {
        "uuid" => {
            let id = value.as_str().and_then(|id| Uuid::parse_str(id).ok());
            if let Some(id) = id {
                *value = json!(id);
                return Ok(());
            }
            "a UUID"
        }
        "timestamp with time zone" => {
            if let Some(instant) = value.as_str().and_then(from_iso) {
                // Cut to milliseconds, as all instants are; what needs no cut stays as it is written.
                if value.as_str().and_then(|text| text.parse::<Instant>().ok()) != Some(instant) {
                    *value = json!(to_iso(instant));
                }
                return Ok(());
            }
            "an instant between the years 1 and 9999"
        }
        "integer" | "bigint" => {
            let most = if column.name.ends_with("_ms") { i64::MAX } else { MOST };
            if value.as_i64().is_some_and(|number| (0..=most).contains(&number)) {
                return Ok(());
            }
            "a number from 0 to a thousand million"
        }
        "text" if value.is_string() => return Ok(()),
        "text" => "a text",
        "boolean" if value.is_boolean() => return Ok(()),
        "boolean" => "true or false",
        "jsonb" => return check_instants(value),
        // The database knows.
        _ => return Ok(()),
    };
    Err(format!("is not {expected}"))
}

/// Refuses instants that can be read, and not be written any more.
fn check_instants(value: &Value) -> Result<(), Wrong> {
    match value {
        Value::String(text) if text.starts_with(['+', '-']) && text.parse::<Instant>().is_ok() => {
            Err(format!("{text} is not between the years 1 and 9999"))
        }
        Value::Array(items) => items.iter().try_for_each(check_instants),
        Value::Object(fields) => fields.values().try_for_each(check_instants),
        _ => Ok(()),
    }
}

/// Whether a snapshot has this column.
pub(super) fn is_held(column: &str) -> bool {
    !COLUMNS_LEFT_OUT.contains(&column)
}
