//! Whether the rows of a document agree with each other where the code relies on it.

use super::document::Wrong;
use super::tables::Table;
use crate::domain::offline::OfflineKind;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// Which row of a counter's table a row is counted by.
type Owner = fn(&Value) -> Option<&str>;

/// A counter whose value is the ordinal of the next id that is derived: no lower than what it has counted.
struct Counter {
    table: &'static str,
    column: &'static str,
    /// The tables whose rows it counts.
    counted: &'static [(&'static str, Owner)],
}

const COUNTERS: [Counter; 4] = [
    Counter {
        table: "access_code",
        column: "children",
        counted: &[("event", code_of_event), ("action_attempt", |attempt| attempt["access_code_id"].as_str())],
    },
    Counter { table: "device", column: "events_made", counted: &[("event", device_of_event)] },
    Counter {
        table: "device",
        column: "access_code_ordinal",
        counted: &[("access_code", |code| code["device_id"].as_str())],
    },
    Counter { table: "connected_account", column: "events_made", counted: &[("event", account_of_event)] },
];

fn is_of(event: &Value, resource: &str) -> bool {
    event["event_type"].as_str().is_some_and(|event_type| event_type.starts_with(resource))
}

fn code_of_event(event: &Value) -> Option<&str> {
    event["access_code_id"].as_str().filter(|_| is_of(event, "access_code."))
}

/// Those of what happens at a lock name the code that opened it, and are the lock's all the same.
fn device_of_event(event: &Value) -> Option<&str> {
    event["device_id"].as_str().filter(|_| is_of(event, "device.") || is_of(event, "lock."))
}

fn account_of_event(event: &Value) -> Option<&str> {
    event["connected_account_id"].as_str().filter(|_| is_of(event, "connected_account."))
}

/// The counters of the workspace's own row, with what they count.
const WORKSPACE_COUNTERS: [(&str, &str); 2] = [("faults_made", "fault"), ("http_faults_made", "http_fault")];

/// What no single row tells, gathered from one after the other.
pub(crate) struct Agreement {
    /// The workspace's own counters, if its ids are derived. Random ids meet no others, whatever was counted.
    workspace: Option<[Value; WORKSPACE_COUNTERS.len()]>,
    /// For each of [`COUNTERS`], what the rows tell that have it.
    told: [Vec<(Uuid, u64)>; COUNTERS.len()],
    /// For each of [`COUNTERS`], what there is to count.
    counted: [HashMap<Uuid, u64>; COUNTERS.len()],
    /// How many rows each of the tables has that the workspace counts.
    rows: [u64; WORKSPACE_COUNTERS.len()],
}

impl Agreement {
    /// Nothing yet but the workspace's own row.
    pub(crate) fn of(workspace: &Value) -> Self {
        let counters = WORKSPACE_COUNTERS.map(|(column, _)| workspace[column].clone());
        Self {
            workspace: Some(counters).filter(|_| !workspace["seed"].is_null()),
            told: Default::default(),
            counted: Default::default(),
            rows: Default::default(),
        }
    }

    /// Takes note of a row.
    ///
    /// # Errors
    /// What is wrong with it, with its place.
    pub(crate) fn note(&mut self, table: &Table, number: usize, row: &Value) -> Result<(), Wrong> {
        if table.name == "access_code" {
            check_offline(number, row)?;
        }
        if self.workspace.is_none() {
            return Ok(());
        }
        let id = |text: &str| Uuid::parse_str(text).ok();
        for (counter, (told, counted)) in COUNTERS.iter().zip(self.told.iter_mut().zip(&mut self.counted)) {
            if counter.table == table.name {
                // A counter that is not told takes its default, as a document from before there was one has it.
                let made = row[counter.column].as_u64().unwrap_or(u64::MAX);
                told.push((row[table.key].as_str().and_then(id).unwrap_or_default(), made));
            }
            let owners = counter.counted.iter().filter(|(of, _)| *of == table.name);
            for owner in owners.filter_map(|(_, owner)| owner(row)).filter_map(id) {
                *counted.entry(owner).or_default() += 1;
            }
        }
        for ((_, of), rows) in WORKSPACE_COUNTERS.iter().zip(&mut self.rows) {
            *rows += u64::from(*of == table.name);
        }
        Ok(())
    }

    /// Checks what was gathered, at the end.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        let Some(workspace) = &self.workspace else { return Ok(()) };
        for (counter, (told, counted)) in COUNTERS.iter().zip(self.told.iter().zip(&self.counted)) {
            for (number, (id, made)) in told.iter().enumerate() {
                let least = counted.get(id).copied().unwrap_or(0);
                check_counter(*made, least, || format!("tables.{}[{number}].{}", counter.table, counter.column))?;
            }
        }
        for (((column, _), made), least) in WORKSPACE_COUNTERS.iter().zip(workspace).zip(self.rows) {
            check_counter(made.as_u64().unwrap_or(u64::MAX), least, || format!("workspace.{column}"))?;
        }
        Ok(())
    }
}

/// A code that its maker computed tells what it is.
fn check_offline(number: usize, code: &Value) -> Result<(), Wrong> {
    if code["is_offline"] == true && OfflineKind::deserialize(&code["particulars"]["offline"]["kind"]).is_err() {
        let location = format!("tables.access_code[{number}].particulars.offline.kind");
        return Err(format!("{location}: is not one of hourly, daily, one_time, time_bound and oracode_slot"));
    }
    Ok(())
}

fn check_counter(made: u64, least: u64, location: impl Fn() -> String) -> Result<(), Wrong> {
    if made >= least { Ok(()) } else { Err(format!("{}: is less than the {least} that the snapshot has", location())) }
}
