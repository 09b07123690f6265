//! SQL statements and rows, with one file for each table or for tables that are read and written together.
//!
//! Three forms in the statements only direct the planner. `workspace_id is not distinct from $1` means `=`, but no index
//! serves it, so that the rows are found by another column: see the indexes in `migrations/0001_main_job.sql`. `offset
//! 0` keeps a subquery separate, so that it uses the intended index: see docs/decisions.md. `= any(array[x])` joins a
//! table by a look-up per row, also while the table is so small that reading its whole index costs less: the plan would
//! stay until the next `analyze`, while the table grows.
//!
//! A statement that belongs to no single workspace passes the nil UUID to
//! [`Pool::for_workspace`](crate::postgres::Pool::for_workspace).

pub(crate) mod access_codes;
pub(crate) mod access_grants;
pub(crate) mod accounts;
pub(crate) mod action_attempts;
pub(crate) mod changes;
pub(crate) mod client_sessions;
pub(crate) mod connect_webviews;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod http_faults;
pub(crate) mod persons;
pub(crate) mod retention;
mod row;
pub(crate) mod snapshots;
pub(crate) mod spaces;
pub(crate) mod user_identities;
pub(crate) mod webhook_deliveries;
pub(crate) mod webhooks;
pub(crate) mod workspaces;

use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::domain::custom_metadata;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// Position of the last row of a page; the next page starts after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Creation time of the row.
    pub created_at: Timestamp,
    /// Id of the row, which orders rows with the same creation time.
    pub id: Uuid,
}

/// Filter by management state, of access codes and of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// Managed: Seam controls them.
    #[default]
    Managed,
    /// Unmanaged: codes that were added outside Seam, and codes and devices that were converted to unmanaged.
    Unmanaged,
    /// Both kinds.
    Any,
}

impl Ownership {
    /// Restricts a query to rows of this kind; `column` is true for managed rows.
    fn push_condition(self, query: &mut QueryBuilder<Postgres>, column: &str) {
        match self {
            Self::Managed => drop(query.push(" and ").push(column)),
            Self::Unmanaged => drop(query.push(" and not ").push(column)),
            Self::Any => {}
        }
    }
}

/// Restricts a query to rows of the workspace. With `has_ids` it also has a condition on ids, which have an index of
/// their own. The condition on the workspace must then not match another index, and no index serves `is not distinct
/// from`: see the indexes in `migrations/0001_main_job.sql`.
fn push_workspace(query: &mut QueryBuilder<Postgres>, workspace_id: Uuid, has_ids: bool) {
    let operator = if has_ids { "is not distinct from " } else { "= " };
    query.push(" where a.workspace_id ").push(operator).push_bind(workspace_id);
}

/// Restricts a query to rows with this text in one of these columns, in upper or lower case.
fn push_search(query: &mut QueryBuilder<Postgres>, search: &str, columns: &str) {
    query.push(" and position(lower(").push_bind(search.to_owned());
    query.push(") in lower(concat_ws(' ', ").push(columns).push("))) > 0");
}

/// Restricts a query to rows after this position, at most `limit` of them, newest first; `id` is the column of the id.
fn push_page(query: &mut QueryBuilder<Postgres>, id: &str, after: Option<Position>, limit: Option<i64>) {
    if let Some(after) = after {
        query.push(" and (a.created_at, a.").push(id).push(") < (").push_bind(after.created_at);
        query.push(", ").push_bind(after.id).push(")");
    }
    query.push(" order by a.created_at desc, a.").push(id).push(" desc");
    if let Some(limit) = limit {
        query.push(" limit ").push_bind(limit);
    }
}

/// Restricts a query to rows of accounts that the caller may see; `column` holds the account id.
fn push_visible_accounts(query: &mut QueryBuilder<Postgres>, visibility: &Visibility, column: &str) {
    if let Some(ids) = &visibility.connected_account_ids {
        query.push(" and ").push(column).push(" = any(").push_bind(ids.to_vec()).push(")");
    }
}

/// Restricts a query to rows of the customer of the caller, unless the caller may see everything; `column` holds the key
/// of the customer.
fn push_customer(query: &mut QueryBuilder<Postgres>, visibility: &Visibility, column: &str) {
    if visibility.connected_account_ids.is_some() {
        query.push(" and ").push(column).push(" = ").push_bind(visibility.customer_key.clone());
    }
}

/// Appends an array with the devices of a space; it is empty if the caller may not see the space.
fn push_devices_of_space(query: &mut QueryBuilder<Postgres>, visibility: &Visibility, space_id: Uuid) {
    query.push("array(select unnest(v.device_ids) from space v where v.space_id = ").push_bind(space_id);
    query.push(" and v.workspace_id is not distinct from ").push_bind(visibility.workspace_id);
    push_customer(query, visibility, "v.customer_key");
    query.push(")");
}

/// Restricts a query to rows whose column `custom_metadata` matches the filter `custom_metadata_has`.
fn push_custom_metadata(query: &mut QueryBuilder<Postgres>, filter: &Map<String, Value>) {
    let (set, unset) = custom_metadata::filter_parts(filter);
    query.push(" and custom_metadata @> ").push_bind(Json(set));
    query.push(" and not jsonb_exists_any(custom_metadata, ").push_bind(unset).push(")");
}

/// Restricts a query to rows on devices of accounts that the caller may see; `column` holds the device id.
fn push_visible_devices(query: &mut QueryBuilder<Postgres>, visibility: &Visibility, column: &str) {
    if let Some(ids) = &visibility.connected_account_ids {
        query.push(" and exists (select from device v where v.device_id = ").push(column);
        query.push(" and v.connected_account_id = any(").push_bind(ids.to_vec()).push("))");
    }
}
