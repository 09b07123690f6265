//! Write of all changes of a transaction: new and changed access codes, action attempts and events, in one statement
//! for any number of rows.

use super::access_codes::{self, AccessCodeRow, StoredCode};
use super::action_attempts::ActionAttemptRow;
use super::events::EventRow;
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
    /// New access codes, in the order of their creation.
    pub new_codes: Vec<StoredCode>,
    /// Changed access codes, which were read under the lock of their device.
    pub changed_codes: Vec<StoredCode>,
    pub action_attempts: Vec<NewActionAttempt>,
    /// Stored action attempts that are resolved now.
    pub resolved_attempts: Vec<NewActionAttempt>,
    /// Events, in the order in which they are recorded.
    pub events: Vec<NewEvent>,
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
    let Changes { new_codes, changed_codes, action_attempts, resolved_attempts, events } = changes;
    let mut query = QueryBuilder::new("");
    let mut parts = 0;
    // Ends the previous write and begins the next one.
    let mut begin = |query: &mut QueryBuilder<Postgres>, is_last: bool| {
        match (parts, is_last) {
            (0, true) => {}
            (0, false) => drop(query.push("with part0 as (")),
            (_, true) => drop(query.push(") ")),
            (number, false) => drop(query.push(format!("), part{number} as ("))),
        }
        parts += 1;
    };
    if !new_codes.is_empty() {
        let is_last = action_attempts.is_empty() && resolved_attempts.is_empty();
        begin(&mut query, is_last && events.is_empty() && changed_codes.is_empty());
        AccessCodeRow::push_insert(&mut query, new_codes.into_iter().map(AccessCodeRow::from));
    }
    if !action_attempts.is_empty() {
        begin(&mut query, resolved_attempts.is_empty() && events.is_empty() && changed_codes.is_empty());
        ActionAttemptRow::push_insert(&mut query, action_attempts.into_iter().map(ActionAttemptRow::from));
    }
    if !resolved_attempts.is_empty() {
        begin(&mut query, events.is_empty() && changed_codes.is_empty());
        ActionAttemptRow::push_update(&mut query, resolved_attempts.into_iter().map(ActionAttemptRow::from));
    }
    if !events.is_empty() {
        begin(&mut query, changed_codes.is_empty());
        EventRow::push_insert(&mut query, events.into_iter().map(EventRow::from));
    }
    if !changed_codes.is_empty() {
        begin(&mut query, true);
        AccessCodeRow::push_update(&mut query, changed_codes.into_iter().map(AccessCodeRow::from));
    }
    query
}
