//! SQL and rows: a file for each table, or for what is read and written together.

pub(crate) mod access_codes;
pub(crate) mod accounts;
pub(crate) mod action_attempts;
pub(crate) mod changes;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod http_faults;
pub(crate) mod retention;
mod row;
pub(crate) mod snapshots;
pub(crate) mod workspaces;

use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// The last row of a page: the next one begins behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// When that row was made.
    pub created_at: Timestamp,
    /// Its id, which decides between rows made together.
    pub id: Uuid,
}

/// Restricts rows to those of the accounts that a caller may see; `column` has the account.
fn push_visible_accounts(query: &mut QueryBuilder<Postgres>, visibility: &Visibility, column: &str) {
    if let Some(ids) = &visibility.connected_account_ids {
        query.push(" and ").push(column).push(" = any(").push_bind(ids.to_vec()).push(")");
    }
}

/// Restricts rows to those on devices of the accounts that a caller may see; `column` has the device.
fn push_visible_devices(query: &mut QueryBuilder<Postgres>, visibility: &Visibility, column: &str) {
    if let Some(ids) = &visibility.connected_account_ids {
        query.push(" and exists (select from device v where v.device_id = ").push(column);
        query.push(" and v.connected_account_id = any(").push_bind(ids.to_vec()).push("))");
    }
}
