//! SQL of snapshots: conversion of rows to documents, and of documents to rows.

pub(crate) mod check;
pub mod checksum;
mod conflict;
mod consistency;
pub(crate) mod document;
pub(crate) mod raw;
pub(crate) mod tables;
pub(crate) mod writer;

pub use self::checksum::checksum;

use self::check::{Column, Columns, is_in_snapshot};
use self::conflict::{in_use, rejection};
use self::document::{Clock, Document, FORMAT, VERSION};
use self::raw::Items;
use self::tables::{TABLES, Table, WORKSPACE, columns_left_out};
use super::access_codes::{self, StoredCode};
use super::{accounts, devices, webhook_deliveries, webhooks, workspaces};
use crate::clock::{Timestamp, iso, to_iso};
use crate::compute::{self, LONG_DOCUMENT};
use crate::domain::caller::Visibility;
use crate::domain::locked_device::LockedDevice;
use crate::error::{Error, Resource, Result};
use crate::postgres::Pool;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;
use uuid::Uuid;

/// Expression for a `select`: the workspace `$1` with the clock `$2` as a document.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let left_out = |table: &Table| columns_left_out(table.name).collect::<Vec<_>>().join(",");
    let rows = |table: &Table| {
        let (Table { name, order, .. }, left_out) = (table, left_out(table));
        format!(
            "'{name}', coalesce((select json_agg(to_jsonb(t) - '{{{left_out}}}'::text[] order by {order})
                                 from {name} t where workspace_id = $1), '[]')"
        )
    };
    let tables: Vec<String> = TABLES.iter().map(rows).collect();
    format!(
        "json_build_object('format', '{FORMAT}', 'version', {VERSION}, 'workspace_id', $1::uuid, 'clock', $2::text::json,
             'workspace', (select to_jsonb(t) - '{{{}}}'::text[] from workspace t where workspace_id = $1),
             'tables', json_build_object({}))",
        left_out(&WORKSPACE),
        tables.join(", ")
    )
});

/// Statement that stores a snapshot of the current state. An existing snapshot with the same ordinal is replaced: only
/// the initial state, with ordinal 0, is stored again.
static TAKE_SNAPSHOT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "insert into snapshot (workspace_id, snapshot_id, ordinal, created_at, instant, is_imported, document)
         values ($1, $3, $4, $5, $5, false, {})
         on conflict (workspace_id, ordinal) do update
         set created_at = excluded.created_at, instant = excluded.instant, document = excluded.document",
        *DOCUMENT
    )
});

static SELECT_CURRENT: LazyLock<String> =
    LazyLock::new(|| in_pieces(&format!("select ({})::text as document", *DOCUMENT)));

/// Returns a query that reads the document of `select` in pieces, because the buffer of a connection grows to its
/// longest message. `select` returns at most one row, with the text of the document in a column `document`. Each row of
/// the query is the length of the whole document and one piece.
fn in_pieces(select: &str) -> String {
    format!(
        "select octet_length(all_of_it.bytes), substr(all_of_it.bytes, place, {BATCH})
         from (select convert_to(document, 'UTF8') as bytes from ({select} offset 0) as found offset 0) as all_of_it
         cross join lateral generate_series(1, octet_length(all_of_it.bytes), {BATCH}) as place"
    )
}

/// Identity of a new snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSnapshot {
    pub(crate) snapshot_id: Uuid,
    /// Ordinal of the snapshot in its workspace; 0 is the initial state of the workspace.
    pub(crate) ordinal: i64,
}

/// Takes a snapshot of a workspace with the given clock, in one statement. All devices of the workspace must be locked,
/// unless no other transaction can see the workspace yet.
pub(crate) async fn create(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    new_snapshot: NewSnapshot,
    clock: &Clock,
) -> Result<()> {
    sqlx::query(TAKE_SNAPSHOT.as_str())
        .bind(workspace_id)
        .bind(serde_json::to_string(clock)?)
        .bind(new_snapshot.snapshot_id)
        .bind(new_snapshot.ordinal)
        .bind(clock.instant())
        .execute(tx)
        .await?;
    Ok(())
}

/// Document as read from the database.
pub(crate) struct StoredSnapshot(Vec<u8>);

impl StoredSnapshot {
    /// Joins the pieces of a document; returns `None` if there are no pieces.
    async fn gather(mut pieces: BoxStream<'_, sqlx::Result<(i32, Vec<u8>)>>) -> Result<Option<Self>> {
        let mut text = Vec::new();
        while let Some((length, piece)) = pieces.try_next().await? {
            // Reserves the whole length at once: growing step by step would take twice the memory.
            text.reserve_exact(usize::try_from(length).unwrap_or(0).saturating_sub(text.len()));
            text.extend_from_slice(&piece);
        }
        Ok(Some(Self(text)).filter(|stored| !stored.0.is_empty()))
    }

    /// Returns the text of the document.
    pub(crate) fn text(&self) -> Result<&str> {
        str::from_utf8(&self.0).map_err(|error| Error::Internal(error.into()))
    }
}

/// Returns the current state of a workspace as a document. All devices of the workspace must be locked.
pub(crate) async fn read_current(tx: &mut PgConnection, workspace_id: Uuid, clock: &Clock) -> Result<StoredSnapshot> {
    let clock = serde_json::to_string(clock)?;
    let pieces = sqlx::query_as(SELECT_CURRENT.as_str()).bind(workspace_id).bind(clock).fetch(tx);
    StoredSnapshot::gather(pieces).await?.ok_or(Error::NotFound(Resource::Workspace))
}

/// Stores an imported document as a snapshot of a workspace. The document must be normalized ([`check::normalize`]). It
/// is sent to the database in pieces: as a parameter of a statement it would be copied twice.
pub(crate) async fn insert_imported(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    new_snapshot: NewSnapshot,
    (created_at, instant): (Timestamp, Option<Timestamp>),
    document: &str,
) -> Result<()> {
    let NewSnapshot { snapshot_id, ordinal } = new_snapshot;
    let (created_at, instant) = (to_iso(created_at), instant.map_or_else(|| "\\N".to_owned(), to_iso));
    let mut copy = tx
        .copy_in_raw(
            "copy snapshot (snapshot_id, workspace_id, ordinal, created_at, instant, is_imported, document) from stdin",
        )
        .await?;
    let columns = format!("{snapshot_id}\t{workspace_id}\t{ordinal}\t{created_at}\t{instant}\ttrue\t");
    copy.send(columns.as_bytes()).await?;
    for piece in document.as_bytes().chunks(CHUNK_BYTES) {
        // In the text format of COPY, backslashes, tabs and line breaks are special. A normalized JSON text contains
        // only backslashes: it has no white space between values, and strings escape tabs and line breaks.
        let mut escaped = Vec::with_capacity(piece.len() + piece.len() / 8);
        for byte in piece {
            escaped.extend_from_slice(if *byte == b'\\' { br"\\" } else { std::slice::from_ref(byte) });
        }
        copy.send(escaped).await?;
    }
    copy.send(b"\n".as_slice()).await?;
    copy.finish().await?;
    Ok(())
}

/// Number of bytes of a document per message to the database, before backslashes are escaped.
const CHUNK_BYTES: usize = 256 * 1024;

/// Size limit in bytes for the rows of one insert statement, which exceeds it by at most one row, and for the pieces in
/// which a document is read.
const BATCH: usize = 2 * 1024 * 1024;

/// Returns the ordinal of the next snapshot of a workspace. The workspace must be locked.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i64> {
    let ordinal = sqlx::query_scalar!(
        "update workspace set snapshots_made = snapshots_made + 1 where workspace_id = $1 returning snapshots_made",
        workspace_id
    )
    .fetch_one(tx)
    .await?;
    Ok(ordinal)
}

/// Snapshot in the list of the snapshots of a workspace.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    snapshot_id: Uuid,
    #[serde(with = "iso")]
    created_at: Timestamp,
    /// Time of the clock of the workspace in the snapshot.
    #[serde(with = "iso")]
    now: Timestamp,
    is_imported: bool,
}

/// Returns the snapshots of a workspace in the order in which they were taken or imported.
pub(crate) async fn list(pool: &Pool, workspace_id: Uuid) -> Result<Vec<Listed>> {
    let found = sqlx::query_as!(
        Listed,
        "select snapshot_id, created_at, instant as now, is_imported from snapshot
         where workspace_id = $1 and ordinal > 0 order by ordinal",
        workspace_id
    )
    .fetch_all(pool.for_workspace(workspace_id))
    .await?;
    Ok(found)
}

static SELECT_ONE: LazyLock<String> = LazyLock::new(|| {
    in_pieces(
        "select document::text from snapshot
         where snapshot_id = $1 and workspace_id is not distinct from $2 and ordinal > 0",
    )
});

static SELECT_INITIAL: LazyLock<String> =
    LazyLock::new(|| in_pieces("select document::text from snapshot where workspace_id = $1 and ordinal = 0"));

/// Returns one snapshot of a workspace.
pub(crate) async fn find(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    snapshot_id: Uuid,
) -> Result<Option<StoredSnapshot>> {
    StoredSnapshot::gather(sqlx::query_as(SELECT_ONE.as_str()).bind(snapshot_id).bind(workspace_id).fetch(tx)).await
}

/// Returns the initial state of a workspace, if it was recorded.
pub(crate) async fn initial_state(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Option<StoredSnapshot>> {
    StoredSnapshot::gather(sqlx::query_as(SELECT_INITIAL.as_str()).bind(workspace_id).fetch(tx)).await
}

/// Deletes a snapshot. Returns false if the workspace has no such snapshot.
pub(crate) async fn delete(tx: &mut PgConnection, workspace_id: Uuid, snapshot_id: Uuid) -> Result<bool> {
    let deleted = sqlx::query!(
        "delete from snapshot where snapshot_id = $1 and workspace_id is not distinct from $2 and ordinal > 0",
        snapshot_id,
        workspace_id
    )
    .execute(tx)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Returns the columns of all tables of a snapshot.
pub(crate) async fn columns(tx: &mut PgConnection) -> Result<Columns> {
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).chain([WORKSPACE.name]).collect();
    let found: Vec<Column> = sqlx::query_as(
        r#"select t.name as "table", a.attname::text as name, a.atttypid::regtype::text as kind,
                not a.attnotnull as is_nullable, a.atthasdef as has_default
         from unnest($1::text[]) as t(name)
         cross join lateral (select * from pg_attribute where attrelid = t.name::regclass and attnum > 0 offset 0) as a
         where not a.attisdropped and a.attidentity = '' and a.attgenerated = ''
         order by t.name, a.attnum"#,
    )
    .bind(names)
    .fetch_all(tx)
    .await?;
    let mut columns = Columns::new();
    for column in found.into_iter().filter(|column| is_in_snapshot(&column.table, &column.name)) {
        columns.entry(column.table.clone()).or_default().push(column);
    }
    Ok(columns)
}

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

/// Does the work of [`restore_document`], with the errors of the database as they are.
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
    // [`Table::is_locked`]; only those that are not in the document are deleted.
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
        let locked = access_codes::lock_devices(tx, &visibility, device_ids).await?;
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
/// [`check::normalize`] ensures it for imported documents, and other documents were written by the database.
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
