//! SQL of snapshots: conversion of rows to documents, and of documents to rows.

pub(crate) mod check;
pub mod checksum;
mod conflict;
mod consistency;
pub(crate) mod document;
pub(crate) mod raw;
pub(crate) mod restore;
pub(crate) mod tables;
pub(crate) mod writer;

pub use self::checksum::checksum;

use self::check::{Column, Columns, is_in_snapshot};
use self::document::{Clock, FORMAT, VERSION};
use self::tables::{TABLES, Table, WORKSPACE, columns_left_out};
use crate::clock::{Timestamp, iso, to_iso};
use crate::error::{Error, Resource, Result};
use crate::postgres::Pool;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use serde::Serialize;
use sqlx::PgConnection;
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
