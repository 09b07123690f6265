//! Restores a snapshot: writes the rows of its document into the tables of a workspace.

use super::BATCH;
use super::check::Columns;
use super::conflict::{in_use, rejection};
use super::document::Document;
use super::raw::{self, Items};
use super::tables::{TABLES, Table, WORKSPACE};
use crate::clock::Timestamp;
use crate::compute::{self, LONG_DOCUMENT};
use crate::domain::caller::Visibility;
use crate::domain::locked_device::LockedDevice;
use crate::error::{Error, Result};
use crate::store::access_codes::{self, DeviceSelection, StoredCode};
use crate::store::{accounts, devices, webhook_deliveries, webhooks, workspaces};
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Restores a document into a workspace and rolls the change back, to check that it can be restored.
///
/// # Errors
/// The errors of [`restore_document`].
pub(crate) async fn check_restorable(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    document: &Document<'_>,
    columns: &Columns,
    machine_now: Timestamp,
) -> Result<()> {
    let mut trial = tx.begin().await?;
    restore_document(&mut trial, workspace_id, document, columns, machine_now).await?;
    Ok(trial.rollback().await?)
}

/// Restores a document into a workspace, whatever its current state. The number of statements does not depend on the
/// size of the document, except for one insert per [`BATCH`], and a few statements per [`DEVICES_PER_CHUNK`]. The
/// workspace must be locked, but none of its PIN groups and devices; this function locks them, in the usual order.
///
/// # Errors
/// The document cannot be restored: an id is in use in another workspace, or a constraint of the database is violated.
pub(crate) async fn restore_document(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    document: &Document<'_>,
    columns: &Columns,
    machine_now: Timestamp,
) -> Result<()> {
    restore(tx, workspace_id, document, columns, machine_now).await.map_err(rejection)
}

/// Does the work of [`restore_document`]. Errors of the database are returned unchanged.
async fn restore(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    document: &Document<'_>,
    columns: &Columns,
    machine_now: Timestamp,
) -> Result<()> {
    let no_clock = || Error::inconsistent("snapshot", workspace_id, "clock");
    let clock = document.clock.continued(machine_now).ok_or_else(no_clock)?;
    // This comes first, before locks are taken that other transactions may wait for: a change of the seed waits for all
    // transactions that refer to the workspace.
    put_workspace(tx, workspace_id, document.workspace, columns).await?;
    workspaces::set_clock(tx, workspace_id, clock).await?;
    lock_pin_groups(tx, workspace_id, document).await?;
    let existing_devices = workspaces::lock_devices(tx, workspace_id).await?;
    let existing_webhooks = webhook_deliveries::delete_all(tx, workspace_id).await?;
    // Rows of most tables are deleted and inserted again. Those of others stay in place and are updated, see
    // [`Table::updates_in_place`]; only those that are not in the document are deleted.
    for table in TABLES.iter().rev().filter(|table| !table.updates_in_place) {
        let delete = format!("delete from {} where workspace_id = $1", table.name);
        sqlx::query(AssertSqlSafe(delete)).bind(workspace_id).execute(&mut *tx).await?;
    }
    let mut existing_ids: HashMap<&str, Vec<Uuid>> =
        HashMap::from([("device", existing_devices), ("webhook", existing_webhooks)]);
    existing_ids.insert("connected_account", accounts::ids(tx, workspace_id).await?);
    for (table, rows) in TABLES.iter().zip(&document.tables).rev().filter(|(table, _)| table.updates_in_place) {
        let document_ids: HashSet<Uuid> =
            keys(table, rows).await?.iter().filter_map(|key| Uuid::parse_str(key).ok()).collect();
        let removed_ids =
            existing_ids.remove(table.name).unwrap_or_default().into_iter().filter(|id| !document_ids.contains(id));
        let removed_ids: Vec<Uuid> = removed_ids.collect();
        let delete = format!("delete from {} where {} = any($1)", table.name, table.key);
        sqlx::query(AssertSqlSafe(delete)).bind(removed_ids).execute(&mut *tx).await?;
        reject_ids_of_other_workspaces(tx, workspace_id, table, &document_ids).await?;
    }
    prepare_rows(tx, workspace_id).await?;
    for (table, rows) in TABLES.iter().zip(&document.tables) {
        put_rows(tx, workspace_id, table, rows, columns).await?;
    }
    let (ids, _) = workspaces::settings(tx, workspace_id).await?;
    webhooks::add_missing_secrets(tx, workspace_id, &ids).await?;
    // Frees the buffers of the long statements.
    tx.shrink_buffers();
    set_due_times(tx, workspace_id).await
}

/// Prepares the rows that are updated in place. No account of the previous state may have the user of an account in the
/// document. Wake times are not part of the document, and deleted devices have none.
async fn prepare_rows(tx: &mut PgConnection, workspace_id: Uuid) -> Result<()> {
    sqlx::query!(
        "with a as (update connected_account set deleted_at = created_at
                    where workspace_id = $1 and deleted_at is null)
         update device set wake_at = null where workspace_id = $1 and wake_at is not null",
        workspace_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Number of devices whose codes are processed together.
const DEVICES_PER_CHUNK: usize = 1000;

/// Recomputes the due times of the codes and locks of a workspace. Those in the document may differ, and it has no wake
/// times.
async fn set_due_times(tx: &mut PgConnection, workspace_id: Uuid) -> Result<()> {
    let device_ids = devices::ids(tx, workspace_id).await?;
    let visibility = Visibility::all_of(workspace_id);
    for device_ids in device_ids.chunks(DEVICES_PER_CHUNK) {
        let devices = DeviceSelection::ByIds(device_ids);
        access_codes::lock_devices(tx, &visibility, devices).await?;
        let locked = access_codes::locked_devices(tx, Some(&visibility), devices).await?;
        let codes = access_codes::on_devices(tx, device_ids).await?;
        let is_long = codes.len() > DEVICES_PER_CHUNK;
        let codes = compute::sized(is_long, || with_due_times(codes, &locked)).await?;
        access_codes::set_due_times(tx, &codes).await?;
        if let Some(first) = locked.first() {
            devices::set_wake_times(tx, &locked, first.settings.clock).await?;
        }
    }
    Ok(())
}

/// Returns the codes with the due times derived from their state.
fn with_due_times(mut codes: Vec<StoredCode>, locked: &[LockedDevice]) -> Result<Vec<StoredCode>> {
    let locks: HashMap<Uuid, &LockedDevice> = locked.iter().map(|locked| (locked.device.device_id, locked)).collect();
    for stored in &mut codes {
        let locked = locks.get(&stored.code.device_id);
        let locked =
            locked.ok_or_else(|| Error::inconsistent("access_code", stored.code.access_code_id, "device_id"))?;
        (stored.due_at, stored.wake_at) = StoredCode::due_times(&stored.code, locked);
    }
    Ok(codes)
}

/// Returns the keys of the rows of a table.
async fn keys(table: &Table, rows: &RawValue) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    raw::each(rows, |_, row| {
        let row: Value = serde_json::from_str(row.get())?;
        keys.extend(row[table.key].as_str().map(str::to_owned));
        Ok::<_, Error>(())
    })
    .await?;
    Ok(keys)
}

/// Returns the quoted names of the columns that are present in this row. Missing columns take their default.
fn present_columns(table: &Table, row: &Value, columns: &Columns) -> Vec<String> {
    let columns = columns.get(table.name).map_or(&[][..], Vec::as_slice);
    let present_columns = columns.iter().filter(|column| row.get(&column.name).is_some());
    present_columns.map(|column| format!("\"{}\"", column.name)).collect()
}

/// Updates the row of the workspace from the document. Columns that the document does not contain keep their values.
async fn put_workspace(tx: &mut PgConnection, workspace_id: Uuid, row: &RawValue, columns: &Columns) -> Result<()> {
    let present_columns = present_columns(&WORKSPACE, &serde_json::from_str(row.get())?, columns);
    let set: Vec<String> = present_columns.iter().map(|column| format!("{column} = new.{column}")).collect();
    if set.is_empty() {
        return Ok(());
    }
    let update = format!(
        "update workspace set {} from json_populate_record(null::workspace, $2::text::json) as new
         where workspace.workspace_id = $1",
        set.join(", ")
    );
    sqlx::query(AssertSqlSafe(update)).bind(workspace_id).bind(row.get()).execute(tx).await?;
    Ok(())
}

/// Locks all PIN groups of a workspace, existing ones and those of the document, in the order of their keys.
async fn lock_pin_groups(tx: &mut PgConnection, workspace_id: Uuid, document: &Document<'_>) -> Result<()> {
    let existing: Vec<String> =
        sqlx::query_scalar!("select common_code_key from pin_group where workspace_id = $1", workspace_id)
            .fetch_all(&mut *tx)
            .await?;
    let mut keys_to_lock: BTreeSet<String> = existing.into_iter().collect();
    for (table, rows) in TABLES.iter().zip(&document.tables).filter(|(table, _)| table.name == "pin_group") {
        keys_to_lock.extend(keys(table, rows).await?);
    }
    access_codes::lock_pin_groups(tx, workspace_id, &keys_to_lock.into_iter().collect::<Vec<_>>()).await
}

/// Rejects ids that another workspace uses. This is checked before the write, which would lock the rows of the other
/// workspace.
async fn reject_ids_of_other_workspaces(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    table: &Table,
    ids: &HashSet<Uuid>,
) -> Result<()> {
    let Table { name, key, .. } = table;
    let query = format!(
        "select t.{key} from unnest($1::uuid[]) as wanted(id)
         cross join lateral (select * from {name} where {key} = wanted.id offset 0) as t
         where t.workspace_id <> $2 limit 1"
    );
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    let used_id: Option<Uuid> =
        sqlx::query_scalar(AssertSqlSafe(query)).bind(ids).bind(workspace_id).fetch_optional(tx).await?;
    used_id.map_or(Ok(()), |id| Err(in_use(&format!("{key} {id}"))))
}

/// Inserts the rows of one table, in batches and in the order of the document, so that new sequence numbers have the
/// same order. If [`Table::updates_in_place`], existing rows are updated. All rows have the columns of the first one:
/// [`super::check::normalize`] ensures it for imported documents, and other documents were written by the database.
async fn put_rows(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    table: &Table,
    rows: &RawValue,
    columns: &Columns,
) -> Result<()> {
    let is_long = rows.get().len() > LONG_DOCUMENT;
    let mut rows = Items::of(rows).peekable();
    let Some(first) = rows.peek() else { return Ok(()) };
    let present_columns = present_columns(table, &serde_json::from_str(first.get())?, columns);
    let (names, Table { name, key, .. }) = (present_columns.join(", "), table);
    let set = present_columns.iter().map(|column| format!("{column} = excluded.{column}"));
    // Columns that are newer than the document get their default, as in a row that is inserted.
    let newer = columns.get(table.name).into_iter().flatten().map(|column| format!("\"{}\"", column.name));
    let newer = newer.filter(|column| !present_columns.contains(column)).map(|column| format!("{column} = default"));
    let set: Vec<String> = set.chain(newer).collect();
    let on_conflict = format!("on conflict ({key}) do update set {} where kept.workspace_id = $1", set.join(", "));
    let insert = format!(
        "insert into {name} as kept (workspace_id, {names})
         select $1, {names} from json_populate_recordset(null::{name}, $2::text::json) with ordinality as new
         order by ordinality {}",
        if table.updates_in_place { &on_conflict } else { "" }
    );
    while rows.peek().is_some() {
        let (batch, count) = compute::sized(is_long, || batch(&mut rows)).await;
        let insert = AssertSqlSafe(insert.clone());
        let result = sqlx::query(insert).bind(workspace_id).bind(batch).execute(&mut *tx).await?;
        // A row was not written: another workspace has taken its id since the check.
        if result.rows_affected() != count {
            return Err(in_use(key));
        }
    }
    Ok(())
}

/// Returns the next rows as a JSON list of about [`BATCH`] bytes, and their number.
fn batch<'a>(rows: &mut impl Iterator<Item = &'a RawValue>) -> (String, u64) {
    let (mut batch, mut count) = (String::from("["), 0);
    while batch.len() < BATCH {
        let Some(row) = rows.next() else { break };
        if count > 0 {
            batch.push(',');
        }
        batch.push_str(row.get());
        count += 1;
    }
    batch.push(']');
    (batch, count)
}
