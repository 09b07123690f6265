//! Check that the rows of a document are consistent with each other as far as the code relies on it.

use super::document::DocumentError;
use super::tables::Table;
use crate::domain::offline::OfflineKind;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// Function that returns the id of the row whose counter counts the given row; `None` if the row is not counted.
type Owner = fn(&Value) -> Option<&str>;

/// Counter whose value is the ordinal of the next derived id: it must not be lower than the number of rows that it
/// counts.
struct Counter {
    table: &'static str,
    column: &'static str,
    /// Tables whose rows are counted.
    counted: &'static [(&'static str, Owner)],
}

const COUNTERS: [Counter; 8] = [
    Counter {
        table: "access_code",
        column: "children",
        counted: &[("event", code_of_event), ("action_attempt", |attempt| attempt["access_code_id"].as_str())],
    },
    Counter {
        table: "device",
        column: "events_made",
        counted: &[("event", device_of_event), ("action_attempt", device_of_attempt)],
    },
    Counter {
        table: "device",
        column: "access_code_ordinal",
        counted: &[("access_code", |code| code["device_id"].as_str())],
    },
    Counter { table: "connected_account", column: "events_made", counted: &[("event", account_of_event)] },
    Counter { table: "connect_webview", column: "events_made", counted: &[("event", webview_of_event)] },
    Counter {
        table: "access_grant",
        column: "children",
        counted: &[("access_method", grant_of_method), ("event", grant_of_event)],
    },
    Counter { table: "access_method", column: "children", counted: &[("event", method_of_event)] },
    Counter { table: "space", column: "children", counted: &[("event", space_of_event)] },
];

fn is_of(event: &Value, resource: &str) -> bool {
    event["event_type"].as_str().is_some_and(|event_type| event_type.starts_with(resource))
}

fn code_of_event(event: &Value) -> Option<&str> {
    event["access_code_id"].as_str().filter(|_| is_of(event, "access_code."))
}

/// Events of a lock (`lock.*`) may name the code that opened it; they belong to the device all the same.
fn device_of_event(event: &Value) -> Option<&str> {
    let is_of_device = ["device.", "lock.", "action_attempt."].iter().any(|resource| is_of(event, resource));
    event["device_id"].as_str().filter(|_| is_of_device)
}

fn device_of_attempt(attempt: &Value) -> Option<&str> {
    attempt["device_id"].as_str().filter(|_| attempt["access_code_id"].is_null())
}

fn account_of_event(event: &Value) -> Option<&str> {
    event["connected_account_id"].as_str().filter(|_| is_of(event, "connected_account."))
}

fn webview_of_event(event: &Value) -> Option<&str> {
    event["connect_webview_id"].as_str().filter(|_| is_of(event, "connect_webview."))
}

fn grant_of_method(method: &Value) -> Option<&str> {
    method["access_grant_id"].as_str()
}

fn grant_of_event(event: &Value) -> Option<&str> {
    event["payload"]["access_grant_id"].as_str().filter(|_| is_of(event, "access_grant."))
}

fn method_of_event(event: &Value) -> Option<&str> {
    event["payload"]["access_method_id"].as_str().filter(|_| is_of(event, "access_method."))
}

fn space_of_event(event: &Value) -> Option<&str> {
    event["payload"]["space_id"].as_str().filter(|_| is_of(event, "space."))
}

/// Counters in the row of the workspace, with the tables that they count.
const WORKSPACE_COUNTERS: [(&str, &str); 8] = [
    ("faults_made", "fault"),
    ("http_faults_made", "http_fault"),
    ("webhooks_made", "webhook"),
    ("client_sessions_made", "client_session"),
    ("connect_webviews_made", "connect_webview"),
    ("user_identities_made", "user_identity"),
    ("spaces_made", "space"),
    ("access_grants_made", "access_grant"),
];

/// Checks across rows. The data is gathered row by row.
pub(crate) struct Consistency {
    /// Counters of the workspace; `None` if its ids are random. Random ids do not collide, whatever the counters are.
    workspace: Option<[Value; WORKSPACE_COUNTERS.len()]>,
    /// For each of [`COUNTERS`]: the rows with the counter, as id of the row and value of the counter.
    values: [Vec<(Uuid, u64)>; COUNTERS.len()],
    /// For each of [`COUNTERS`]: the number of counted rows by id.
    counted: [HashMap<Uuid, u64>; COUNTERS.len()],
    /// Number of rows of each of the [`WORKSPACE_COUNTERS`] tables.
    rows: [u64; WORKSPACE_COUNTERS.len()],
}

impl Consistency {
    /// Starts with the row of the workspace.
    pub(crate) fn of(workspace: &Value) -> Self {
        let counters = WORKSPACE_COUNTERS.map(|(column, _)| workspace[column].clone());
        Self {
            workspace: Some(counters).filter(|_| !workspace["seed"].is_null()),
            values: Default::default(),
            counted: Default::default(),
            rows: Default::default(),
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The row is invalid; the message contains its location.
    pub(crate) fn add(&mut self, table: &Table, number: usize, row: &Value) -> Result<(), DocumentError> {
        if table.name == "access_code" {
            check_offline(number, row)?;
            check_held_window(number, row)?;
        }
        if self.workspace.is_none() {
            return Ok(());
        }
        let id = |text: &str| Uuid::parse_str(text).ok();
        for (counter, (values, counted)) in COUNTERS.iter().zip(self.values.iter_mut().zip(&mut self.counted)) {
            if counter.table == table.name {
                // A missing counter takes its default value and is not checked: the snapshot is older than the counter.
                let value = row[counter.column].as_u64().unwrap_or(u64::MAX);
                values.push((row[table.key].as_str().and_then(id).unwrap_or_default(), value));
            }
            // A row of a counted table counts for the row that has the counter.
            let owners = counter.counted.iter().filter(|(counted_table, _)| *counted_table == table.name);
            for owner in owners.filter_map(|(_, owner_of)| owner_of(row)).filter_map(id) {
                *counted.entry(owner).or_default() += 1;
            }
        }
        for ((_, counted_table), rows) in WORKSPACE_COUNTERS.iter().zip(&mut self.rows) {
            *rows += u64::from(*counted_table == table.name);
        }
        Ok(())
    }

    /// Checks the gathered data. Called after the last row.
    ///
    /// # Errors
    /// The first counter that is too low, with its location.
    pub(crate) fn check(&self) -> Result<(), DocumentError> {
        let Some(workspace) = &self.workspace else { return Ok(()) };
        for (counter, (values, counted)) in COUNTERS.iter().zip(self.values.iter().zip(&self.counted)) {
            for (number, (id, value)) in values.iter().enumerate() {
                let least = counted.get(id).copied().unwrap_or(0);
                check_counter(*value, least, || format!("tables.{}[{number}].{}", counter.table, counter.column))?;
            }
        }
        for (((column, _), value), least) in WORKSPACE_COUNTERS.iter().zip(workspace).zip(self.rows) {
            check_counter(value.as_u64().unwrap_or(u64::MAX), least, || format!("workspace.{column}"))?;
        }
        Ok(())
    }
}

/// Checks that an offline code has a valid kind.
fn check_offline(number: usize, code: &Value) -> Result<(), DocumentError> {
    if code["is_offline"] == true && OfflineKind::deserialize(&code["particulars"]["offline"]["kind"]).is_err() {
        let location = format!("tables.access_code[{number}].particulars.offline.kind");
        return Err(format!("{location}: is not one of hourly, daily, one_time, time_bound and oracode_slot"));
    }
    Ok(())
}

/// Checks that the time frame in the memory of the lock has a start and an end, or neither. The database checks the
/// requested time frame.
fn check_held_window(number: usize, code: &Value) -> Result<(), DocumentError> {
    if code["held_starts_at"].is_null() == code["held_ends_at"].is_null() {
        return Ok(());
    }
    Err(format!("tables.access_code[{number}].held_starts_at: must be null if held_ends_at is null, and only then"))
}

fn check_counter(value: u64, least: u64, location: impl Fn() -> String) -> Result<(), DocumentError> {
    if value >= least { Ok(()) } else { Err(format!("{}: is less than the {least} that the snapshot has", location())) }
}
