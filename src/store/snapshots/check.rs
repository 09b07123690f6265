//! Whether a document that comes from outside can be believed. It is brought into its usual form on the way.

use super::agreement::Agreement;
use super::document::{Document, Wrong};
use super::raw;
use super::tables::{COLUMNS_LEFT_OUT, TABLES, Table, WORKSPACE};
use super::written::Written;
use crate::clock::{Timestamp, from_iso, to_iso};
use chrono::DateTime;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What counts something: no more than this, so that counting on does not overflow.
const MAX_COUNTER: i64 = 1_000_000_000;

/// A column as the database has it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Column {
    /// The table.
    pub(crate) table: String,
    /// Its name.
    pub(crate) name: String,
    /// Its type, as PostgreSQL writes it.
    pub(crate) kind: String,
    /// Whether it can be null.
    pub(crate) is_nullable: bool,
    /// Whether the database has a value where none is given.
    pub(crate) has_default: bool,
}

/// The columns of these tables that a snapshot has.
pub(crate) type Columns = HashMap<String, Vec<Column>>;

/// Checks everything that the code which reads rows relies on. Gives the document as one of the workspace `workspace_id`,
/// with instants and ids in their usual form. Besides what is told by columns, answers that are kept name the workspace.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) async fn normalize(
    document: &Document<'_>,
    columns: &Columns,
    workspace_id: Uuid,
    (most, room): (usize, usize),
) -> Result<Vec<u8>, Wrong> {
    if document.clock.going_on(DateTime::UNIX_EPOCH).is_none() {
        return Err("clock: there is no such clock".to_owned());
    }
    let said = |error: serde_json::Error| error.to_string();
    let (from, to) = (document.workspace_id.to_string(), workspace_id.to_string());
    let mut workspace = raw::value(document.workspace, most, || "workspace".to_owned())?;
    Rows::of(&WORKSPACE, columns).check(&mut workspace, &|| "workspace".to_owned())?;
    let mut agreement = Agreement::of(&workspace);
    let mut keys = Keys::default();
    let mut written =
        Written::begin(Vec::with_capacity(room), workspace_id, &document.clock, &workspace).map_err(said)?;
    drop(workspace);
    for (index, (table, rows)) in TABLES.iter().zip(&document.tables).enumerate() {
        written.table(index, table.name);
        let mut checked = Rows::of(table, columns);
        keys.begin(table);
        raw::each(rows, |number, row| {
            let location = || format!("tables.{}[{number}]", table.name);
            let mut row = raw::value(row, most, location)?;
            checked.check(&mut row, &location)?;
            keys.note(table, number, &row)?;
            agreement.note(table, number, &row)?;
            if from != to {
                rename(&mut row, &from, &to);
            }
            written.row(number, &row).map_err(said)
        })
        .await?;
        keys.end(table)?;
    }
    agreement.check()?;
    Ok(written.end(None))
}

fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, from, to)),
        _ => {}
    }
}

/// What tells a row apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// A UUID, as nearly everywhere.
    Id(Uuid),
    /// Any text.
    Text(Box<str>),
}

impl Key {
    fn of(text: &str) -> Self {
        Uuid::parse_str(text).map_or_else(|_| Self::Text(text.into()), Self::Id)
    }
}

/// The keys of the rows that were seen: each may be there once, and whatever is referred to is to be there.
#[derive(Default)]
struct Keys {
    /// Of the tables that others refer to.
    by_table: HashMap<&'static str, HashSet<Key>>,
    /// Of the table that is being read.
    of_table: HashSet<Key>,
    /// References of its rows to rows of its own that were not seen yet: the row, the column, the key.
    pending: Vec<(usize, &'static str, Key)>,
}

impl Keys {
    fn begin(&mut self, table: &Table) {
        self.pending.clear();
        self.of_table = HashSet::new();
        debug_assert!(!self.by_table.contains_key(table.name));
    }

    fn note(&mut self, table: &Table, number: usize, row: &Value) -> Result<(), Wrong> {
        let key = row[table.key].as_str().unwrap_or_default();
        if !self.of_table.insert(Key::of(key)) {
            return Err(format!("tables.{}[{number}].{}: {key} is there twice", table.name, table.key));
        }
        for (column, other) in table.refers {
            let Some(text) = row[*column].as_str() else { continue };
            let key = Key::of(text);
            if *other == table.name {
                if !self.of_table.contains(&key) {
                    self.pending.push((number, column, key));
                }
            } else if !self.by_table.get(other).is_some_and(|keys| keys.contains(&key)) {
                return Err(refers_to_nothing(table, number, column, other, text));
            }
        }
        Ok(())
    }

    fn end(&mut self, table: &Table) -> Result<(), Wrong> {
        if let Some((number, column, key)) = self.pending.iter().find(|(_, _, key)| !self.of_table.contains(key)) {
            let key = match key {
                Key::Id(id) => id.to_string(),
                Key::Text(text) => text.to_string(),
            };
            return Err(refers_to_nothing(table, *number, column, table.name, &key));
        }
        let of_table = std::mem::take(&mut self.of_table);
        if TABLES.iter().flat_map(|it| it.refers).any(|(_, other)| *other == table.name) {
            self.by_table.insert(table.name, of_table);
        }
        Ok(())
    }
}

fn refers_to_nothing(table: &Table, number: usize, column: &str, other: &str, key: &str) -> Wrong {
    format!("tables.{}[{number}].{column}: there is no {other} {key} in the snapshot", table.name)
}

/// The rows of one table, which all tell of the same columns.
struct Rows<'a> {
    table: &'static Table,
    columns: &'a [Column],
    /// The columns of the first one.
    first: Option<Vec<String>>,
}

impl<'a> Rows<'a> {
    fn of(table: &'static Table, columns: &'a Columns) -> Self {
        Self { table, columns: columns.get(table.name).map_or(&[][..], Vec::as_slice), first: None }
    }

    fn check(&mut self, row: &mut Value, location: &dyn Fn() -> String) -> Result<(), Wrong> {
        let Value::Object(fields) = row else { return Err(format!("{} is no object", location())) };
        let mut names: Vec<&String> = fields.keys().collect();
        names.sort_unstable();
        match &self.first {
            Some(first) if !first.iter().eq(names.iter().copied()) => {
                return Err(format!("{} has other columns than the rows before it", location()));
            }
            Some(_) => {}
            None => {
                if let Some(unknown) = names.iter().find(|name| self.columns.iter().all(|it| it.name != ***name)) {
                    return Err(format!("{}.{unknown} is unknown: was it made by a newer Latchkey?", location()));
                }
                self.first = Some(names.into_iter().cloned().collect());
            }
        }
        self.columns.iter().try_for_each(|column| {
            let wrong = |what: String| format!("{}.{}: {what}", location(), column.name);
            check_column(self.table, column, fields).map_err(wrong)
        })
    }
}

fn check_column(table: &Table, column: &Column, fields: &mut Map<String, Value>) -> Result<(), Wrong> {
    match fields.get_mut(&column.name) {
        None if column.is_nullable || column.has_default => Ok(()),
        None => Err("is missing".to_owned()),
        Some(Value::Null) if column.is_nullable => Ok(()),
        Some(value) => {
            check_type(column, value)?;
            let mut checks = table.checks.iter().filter(|(checked, _)| *checked == column.name);
            checks.try_for_each(|(_, check)| check(value))
        }
    }
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
                if value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) != Some(instant) {
                    *value = json!(to_iso(instant));
                }
                return Ok(());
            }
            "an instant between the years 1 and 9999"
        }
        "integer" | "bigint" => {
            let most = if column.name.ends_with("_ms") { i64::MAX } else { MAX_COUNTER };
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
        Value::String(text) if text.starts_with(['+', '-']) && text.parse::<Timestamp>().is_ok() => {
            Err(format!("{text} is not between the years 1 and 9999"))
        }
        Value::Array(items) => items.iter().try_for_each(check_instants),
        Value::Object(fields) => fields.values().try_for_each(check_instants),
        _ => Ok(()),
    }
}

/// Whether a snapshot has this column.
pub(crate) fn is_held(column: &str) -> bool {
    !COLUMNS_LEFT_OUT.contains(&column)
}
