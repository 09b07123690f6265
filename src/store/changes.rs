//! Write of all changes of a transaction: new and changed access codes, action attempts and events, in one statement
//! for any number of rows.

use super::access_codes::{self, AccessCodeRow, GroupPin, StoredCode};
use super::action_attempts::ActionAttemptRow;
use super::events::EventRow;
use super::webhook_deliveries;
use crate::compute;
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::event::NewEvent;
use crate::error::{Error, Result};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Minimum number of rows for which building the statement counts as a long computation.
const LONG_WRITE: usize = 500;

/// Changes to write.
#[derive(Debug, Default)]
pub struct Changes {
    /// PINs of groups of linked codes.
    pub(crate) group_pins: Vec<GroupPin>,
    /// New access codes, in the order of their creation.
    pub new_codes: Vec<StoredCode>,
    /// Changed access codes, which were read under the lock of their device.
    pub changed_codes: Vec<StoredCode>,
    pub action_attempts: Vec<NewActionAttempt>,
    /// Stored action attempts that are resolved now.
    pub resolved_attempts: Vec<NewActionAttempt>,
    /// Events, in the order in which they are recorded.
    pub events: Vec<NewEvent>,
    /// True if no workspace of the events has webhooks, as read under a lock that the creation of a webhook needs too.
    /// Otherwise the events are also written as deliveries to the webhooks that receive them.
    pub has_no_webhooks: bool,
}

/// Writes the changes, and removes the PIN groups that became empty. Sends no statement if nothing changed.
///
/// # Errors
/// [`Error::Internal`] if the row of a changed code does not exist.
pub(crate) async fn write(tx: &mut PgConnection, changes: Changes) -> Result<()> {
    let left_groups: BTreeSet<(Uuid, String)> =
        changes.changed_codes.iter().filter_map(StoredCode::left_group).collect();
    // In the order of the writes in `statement`: the database reports the number of rows of the last write only.
    let rows = [
        changes.group_pins.len(),
        changes.new_codes.len(),
        changes.action_attempts.len(),
        changes.resolved_attempts.len(),
        changes.events.len(),
        changes.changed_codes.len(),
    ];
    let Some(written) = rows.iter().rev().find(|rows| **rows > 0) else { return Ok(()) };
    let mut query = compute::sized(rows.iter().sum::<usize>() > LONG_WRITE, || statement(changes)).await;
    let done = query.build().execute(&mut *tx).await?;
    if usize::try_from(done.rows_affected()).ok() != Some(*written) {
        return Err(Error::Internal(format!("{} rows were written instead of {written}", done.rows_affected()).into()));
    }
    if left_groups.is_empty() { Ok(()) } else { access_codes::remove_empty_groups(tx, left_groups).await }
}

/// Builds one statement from the writes that have rows. The last write is the main statement, whose rows the database
/// counts; the others are named `with` parts before it.
fn statement(changes: Changes) -> QueryBuilder<Postgres> {
    let Changes { group_pins, new_codes, changed_codes, action_attempts, resolved_attempts, events, has_no_webhooks } =
        changes;
    let mut statement = Statement { query: QueryBuilder::new(""), has_parts: false };
    let part = |is_last: bool, name: &'static str| if is_last { None } else { Some(name) };
    // True if no write comes after those of access codes and action attempts.
    let is_end = events.is_empty() && changed_codes.is_empty();
    if !group_pins.is_empty() {
        let is_last = new_codes.is_empty() && action_attempts.is_empty() && resolved_attempts.is_empty() && is_end;
        GroupPin::push_upsert(statement.begin(part(is_last, "group_pin")), group_pins);
    }
    if !new_codes.is_empty() {
        let is_last = action_attempts.is_empty() && resolved_attempts.is_empty() && is_end;
        let query = statement.begin(part(is_last, "new_code"));
        AccessCodeRow::push_insert(query, new_codes.into_iter().map(AccessCodeRow::from));
    }
    if !action_attempts.is_empty() {
        let query = statement.begin(part(resolved_attempts.is_empty() && is_end, "new_attempt"));
        ActionAttemptRow::push_insert(query, action_attempts.into_iter().map(ActionAttemptRow::from));
    }
    if !resolved_attempts.is_empty() {
        let query = statement.begin(part(is_end, "resolved_attempt"));
        ActionAttemptRow::push_update(query, resolved_attempts.into_iter().map(ActionAttemptRow::from));
    }
    if !events.is_empty() {
        let query = statement.begin(part(changed_codes.is_empty() && has_no_webhooks, "new_event"));
        EventRow::push_insert(query, events.into_iter().map(EventRow::from));
        if !has_no_webhooks {
            query.push(" returning event_id, workspace_id, event_type, sequence");
            webhook_deliveries::push_insert(statement.begin(Some("new_delivery")), "new_event");
            if changed_codes.is_empty() {
                // The number of deliveries is not known before: the rows of the events are counted instead.
                statement.begin(None).push("select 1 from new_event");
            }
        }
    }
    if !changed_codes.is_empty() {
        AccessCodeRow::push_update(statement.begin(None), changed_codes.into_iter().map(AccessCodeRow::from));
    }
    statement.query
}

/// A statement under construction.
struct Statement {
    query: QueryBuilder<Postgres>,
    /// True if a `with` part has begun.
    has_parts: bool,
}

impl Statement {
    /// Ends the previous write, and begins the next one: a `with` part of this name, or the main statement.
    fn begin(&mut self, part: Option<&'static str>) -> &mut QueryBuilder<Postgres> {
        let lead = match (self.has_parts, part) {
            (false, None) => String::new(),
            (false, Some(name)) => format!("with {name} as ("),
            (true, None) => ") ".to_owned(),
            (true, Some(name)) => format!("), {name} as ("),
        };
        self.has_parts |= part.is_some();
        self.query.push(lead);
        &mut self.query
    }
}
