//! Whether the rows of a document agree with each other where the code relies on it.

use super::document::Document;
use super::tables::TABLES;
use crate::access_codes::offline::Kind;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

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

/// Checks what no single row tells.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub(super) fn check(document: &Document) -> Result<(), String> {
    check_offline(document)?;
    // Random ids meet no others, whatever was counted.
    if document.workspace["seed"].is_null() { Ok(()) } else { check_counters(document) }
}

fn rows<'a>(document: &'a Document, table: &str) -> &'a [Value] {
    let place = TABLES.iter().position(|it| it.name == table);
    place.and_then(|place| document.rows.get(place)).map_or(&[], Vec::as_slice)
}

/// A code that its maker computed tells what it is.
fn check_offline(document: &Document) -> Result<(), String> {
    for (number, code) in rows(document, "access_code").iter().enumerate() {
        let kind = &code["particulars"]["offline"]["kind"];
        if code["is_offline"] == true && Kind::deserialize(kind).is_err() {
            let place = format!("tables.access_code[{number}].particulars.offline.kind");
            return Err(format!("{place}: is not one of hourly, daily, one_time, time_bound and oracode_slot"));
        }
    }
    Ok(())
}

fn check_counters(document: &Document) -> Result<(), String> {
    for counter in &COUNTERS {
        let mut counted: HashMap<&str, u64> = HashMap::new();
        for (table, owner) in counter.counted {
            for owner in rows(document, table).iter().filter_map(owner) {
                *counted.entry(owner).or_default() += 1;
            }
        }
        let key = TABLES.iter().find(|it| it.name == counter.table).map_or("", |table| table.key);
        for (number, row) in rows(document, counter.table).iter().enumerate() {
            let least = row[key].as_str().and_then(|id| counted.get(id)).copied().unwrap_or(0);
            let place = || format!("tables.{}[{number}].{}", counter.table, counter.column);
            check_counter(&row[counter.column], least, place)?;
        }
    }
    for (column, table) in WORKSPACE_COUNTERS {
        let least = rows(document, table).len() as u64;
        check_counter(&document.workspace[column], least, || format!("workspace.{column}"))?;
    }
    Ok(())
}

/// A counter that is not told takes its default, as a document from before there was one has it.
fn check_counter(counter: &Value, least: u64, place: impl Fn() -> String) -> Result<(), String> {
    match counter.as_u64() {
        Some(made) if made < least => Err(format!("{}: is less than the {least} that the snapshot has", place())),
        _ => Ok(()),
    }
}
