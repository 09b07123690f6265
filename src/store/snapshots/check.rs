//! Validation and normalization of imported documents.

use super::consistency::Consistency;
use super::document::{Document, DocumentError};
use super::raw;
use super::tables::{TABLES, Table, WORKSPACE, columns_left_out};
use super::writer::DocumentWriter;
use crate::clock::{Timestamp, from_iso, to_iso};
use chrono::DateTime;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Maximum value of a counter, so that incrementing it does not overflow.
const MAX_COUNTER: i64 = 1_000_000_000;

/// Column of the database.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Column {
    pub(crate) table: String,
    pub(crate) name: String,
    /// Type, as PostgreSQL writes it.
    pub(crate) kind: String,
    /// True if the column can be null.
    pub(crate) is_nullable: bool,
    /// True if the database has a default value.
    pub(crate) has_default: bool,
}

/// Columns of a snapshot, by table.
pub(crate) type Columns = HashMap<String, Vec<Column>>;

/// Checks everything that the code reading the rows relies on. Returns the document as one of the workspace
/// `workspace_id`, without a checksum, and with instants and ids in their usual form. The old id of the workspace is
/// replaced in all values of the rows, because JSON columns may contain it too. A row may have at most `most` bytes;
/// `room` is the expected size of the result.
///
/// # Errors
/// The first violation.
pub(crate) async fn normalize(
    document: &Document<'_>,
    columns: &Columns,
    workspace_id: Uuid,
    (most, room): (usize, usize),
) -> Result<Vec<u8>, DocumentError> {
    if document.clock.continued(DateTime::UNIX_EPOCH).is_none() {
        return Err("clock: is not a valid clock".to_owned());
    }
    let message = |error: serde_json::Error| error.to_string();
    let (from, to) = (document.workspace_id.to_string(), workspace_id.to_string());
    let mut workspace = raw::value(document.workspace, most, || "workspace".to_owned())?;
    Rows::of(&WORKSPACE, columns).check(&mut workspace, &|| "workspace".to_owned())?;
    let mut consistency = Consistency::of(&workspace);
    let mut keys = Keys::default();
    let mut writer =
        DocumentWriter::begin(Vec::with_capacity(room), workspace_id, &document.clock, &workspace).map_err(message)?;
    drop(workspace);
    for (index, (table, rows)) in TABLES.iter().zip(&document.tables).enumerate() {
        writer.begin_table(index, table.name);
        let mut checked = Rows::of(table, columns);
        keys.begin(table);
        raw::each(rows, |number, row| {
            let location = || format!("tables.{}[{number}]", table.name);
            let mut row = raw::value(row, most, location)?;
            checked.check(&mut row, &location)?;
            keys.add(table, number, &row)?;
            consistency.add(table, number, &row)?;
            if from != to {
                replace_string(&mut row, &from, &to);
            }
            writer.write_row(number, &row).map_err(message)
        })
        .await?;
        keys.end(table)?;
    }
    consistency.check()?;
    Ok(writer.end(None))
}

fn replace_string(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_string(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|value| replace_string(value, from, to)),
        _ => {}
    }
}

/// Key of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// UUID, in nearly all tables.
    Id(Uuid),
    /// Other text.
    Text(Box<str>),
}

impl Key {
    fn of(text: &str) -> Self {
        Uuid::parse_str(text).map_or_else(|_| Self::Text(text.into()), Self::Id)
    }
}

/// Keys of the rows read so far. Each key may occur once in its table, and the target of a reference must exist.
#[derive(Default)]
struct Keys {
    /// Keys of completed tables that other tables refer to.
    by_table: HashMap<&'static str, HashSet<Key>>,
    /// Keys of the current table.
    of_table: HashSet<Key>,
    /// References of rows of the current table to rows of the same table that were not read yet: row number, column,
    /// key.
    pending: Vec<(usize, &'static str, Key)>,
}

impl Keys {
    fn begin(&mut self, table: &Table) {
        self.pending.clear();
        self.of_table = HashSet::new();
        debug_assert!(!self.by_table.contains_key(table.name));
    }

    fn add(&mut self, table: &Table, number: usize, row: &Value) -> Result<(), DocumentError> {
        let key = row[table.key].as_str().unwrap_or_default();
        if !self.of_table.insert(Key::of(key)) {
            return Err(format!("tables.{}[{number}].{}: {key} is a duplicate", table.name, table.key));
        }
        for (column, other) in table.references {
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

    fn end(&mut self, table: &Table) -> Result<(), DocumentError> {
        if let Some((number, column, key)) = self.pending.iter().find(|(_, _, key)| !self.of_table.contains(key)) {
            let key = match key {
                Key::Id(id) => id.to_string(),
                Key::Text(text) => text.to_string(),
            };
            return Err(refers_to_nothing(table, *number, column, table.name, &key));
        }
        let of_table = std::mem::take(&mut self.of_table);
        if TABLES.iter().flat_map(|table| table.references).any(|(_, other)| *other == table.name) {
            self.by_table.insert(table.name, of_table);
        }
        Ok(())
    }
}

fn refers_to_nothing(table: &Table, number: usize, column: &str, other: &str, key: &str) -> DocumentError {
    format!("tables.{}[{number}].{column}: there is no {other} {key} in the snapshot", table.name)
}

/// Rows of one table, which must all have the same columns.
struct Rows<'a> {
    table: &'static Table,
    columns: &'a [Column],
    /// Columns of the first row.
    first: Option<Vec<String>>,
}

impl<'a> Rows<'a> {
    fn of(table: &'static Table, columns: &'a Columns) -> Self {
        Self { table, columns: columns.get(table.name).map_or(&[][..], Vec::as_slice), first: None }
    }

    /// Checks a row, and brings its ids and instants into their usual form.
    fn check(&mut self, row: &mut Value, location: &dyn Fn() -> String) -> Result<(), DocumentError> {
        let Value::Object(fields) = row else { return Err(format!("{} is not an object", location())) };
        let mut names: Vec<&String> = fields.keys().collect();
        names.sort_unstable();
        match &self.first {
            Some(first) if !first.iter().eq(names.iter().copied()) => {
                return Err(format!("{} has other columns than the rows before it", location()));
            }
            Some(_) => {}
            None => {
                if let Some(unknown) =
                    names.iter().find(|name| self.columns.iter().all(|column| column.name != ***name))
                {
                    return Err(format!(
                        "{}.{unknown} is unknown. Import it into the version of Latchkey that exported it",
                        location()
                    ));
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

fn check_column(table: &Table, column: &Column, fields: &mut Map<String, Value>) -> Result<(), DocumentError> {
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

fn check_type(column: &Column, value: &mut Value) -> Result<(), DocumentError> {
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
                // Truncated to milliseconds, as all instants are. An instant that needs no truncation keeps its
                // spelling.
                if value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) != Some(instant) {
                    *value = json!(to_iso(instant));
                }
                return Ok(());
            }
            "an instant between the years 1 and 9999"
        }
        "integer" | "bigint" => {
            // A duration in milliseconds is not a counter.
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
        // Values of other types are checked by the database.
        _ => return Ok(()),
    };
    Err(format!("is not {expected}"))
}

/// Rejects instants that can be parsed but not written again.
fn check_instants(value: &Value) -> Result<(), DocumentError> {
    match value {
        Value::String(text) if text.starts_with(['+', '-']) && text.parse::<Timestamp>().is_ok() => {
            Err(format!("{text} is not between the years 1 and 9999"))
        }
        Value::Array(items) => items.iter().try_for_each(check_instants),
        Value::Object(fields) => fields.values().try_for_each(check_instants),
        _ => Ok(()),
    }
}

/// Returns true if the column is part of a snapshot.
pub(crate) fn is_in_snapshot(table: &str, column: &str) -> bool {
    columns_left_out(table).all(|left_out| left_out != column)
}
