//! Snapshots of workspaces: created, restored, exported and imported, each in one transaction.
//!
//! A snapshot is one JSON document of everything in a workspace except its keys, its person, and the secrets and
//! deliveries of its webhooks. The tables of a workspace are listed once, in [`crate::store::snapshots::tables`]. The
//! columns are read from the database, so that a new column is included without a change of the code.

use super::app::App;
use super::locked_workspace;
use crate::clock::{Timestamp, WorkspaceClock, machine_now};
use crate::compute::{self, LONG_DOCUMENT};
use crate::domain::workspace::Workspace;
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::snapshots::document::{Clock, Document};
use crate::store::snapshots::{self, NewSnapshot, StoredSnapshot, check, checksum, restore, writer};
use crate::store::workspaces;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

/// Size limit, in bytes, for one row of an imported document, unless the request body limit is higher.
const DEFAULT_MAX_ROW_BYTES: usize = 4 * 1024 * 1024;

/// Creates a snapshot of a workspace and returns the snapshot id.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Workspace`].
pub(crate) async fn create(app: &App, workspace: &Workspace) -> Result<Uuid> {
    let (mut tx, clock) = lock_everything(app, workspace).await?;
    let new_snapshot = next_snapshot(&mut tx, workspace).await?;
    snapshots::create(&mut tx, workspace.workspace_id, new_snapshot, &clock).await?;
    tx.commit().await?;
    Ok(new_snapshot.snapshot_id)
}

/// Stores the initial state of a workspace for [`reset`], replacing an earlier one. Call it in the transaction that
/// creates the workspace, after all initial rows were inserted.
///
/// # Errors
/// The errors of the database.
pub(crate) async fn store_initial_state(
    tx: &mut PgConnection,
    workspace: &Workspace,
    clock: WorkspaceClock,
    machine_now: Timestamp,
) -> Result<()> {
    let new_snapshot = NewSnapshot { snapshot_id: snapshot_id(workspace, 0), ordinal: 0 };
    snapshots::create(tx, workspace.workspace_id, new_snapshot, &Clock::of(clock, machine_now)).await
}

fn snapshot_id(workspace: &Workspace, ordinal: i64) -> Uuid {
    workspace.ids.id("snapshot", workspace.workspace_id, ordinal, machine_now())
}

async fn next_snapshot(tx: &mut PgConnection, workspace: &Workspace) -> Result<NewSnapshot> {
    let ordinal = snapshots::next_ordinal(tx, workspace.workspace_id).await?;
    Ok(NewSnapshot { snapshot_id: snapshot_id(workspace, ordinal), ordinal })
}

/// Locks a workspace with all its devices, so that nothing in it changes, and returns the state of its clock.
async fn lock_everything(app: &App, workspace: &Workspace) -> Result<(Transaction, Clock)> {
    let workspace_id = workspace.workspace_id;
    let mut tx = locked_workspace::begin_long(app, workspace.workspace_id).await?;
    workspaces::lock_devices(&mut tx, workspace_id).await?;
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    Ok((tx, Clock::of(settings.clock, machine_now())))
}

/// Deletes a snapshot.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Snapshot`].
pub(crate) async fn delete(app: &App, workspace: &Workspace, snapshot_id: Uuid) -> Result<()> {
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    if !snapshots::delete(&mut tx, workspace.workspace_id, snapshot_id).await? {
        return Err(Error::NotFound(Resource::Snapshot));
    }
    tx.commit().await
}

/// Restores a workspace from a snapshot and returns the workspace's time.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Snapshot`].
pub(crate) async fn restore(app: &App, workspace: &Workspace, snapshot_id: Uuid) -> Result<Timestamp> {
    let mut tx = locked_workspace::begin_long(app, workspace.workspace_id).await?;
    let stored = snapshots::find(&mut tx, workspace.workspace_id, snapshot_id).await?;
    put_stored(app, workspace, &mut tx, &stored.ok_or(Error::NotFound(Resource::Snapshot))?).await?;
    finish_restore(app, workspace, tx).await
}

/// Restores the initial state of a workspace and returns the workspace's time.
///
/// # Errors
/// [`Error::Conflict`] if the initial state was not stored.
pub(crate) async fn reset(app: &App, workspace: &Workspace) -> Result<Timestamp> {
    let (tx, _) = begin_reset(app, workspace).await?;
    finish_restore(app, workspace, tx).await
}

/// Restores the initial state of a workspace without committing it. Returns the transaction and the workspace's time.
/// [`finish_restore`] commits it.
///
/// # Errors
/// The errors of [`reset`].
pub(crate) async fn begin_reset(app: &App, workspace: &Workspace) -> Result<(Transaction, Timestamp)> {
    let mut tx = locked_workspace::begin_long(app, workspace.workspace_id).await?;
    let stored = snapshots::initial_state(&mut tx, workspace.workspace_id).await?.ok_or_else(|| {
        Error::Conflict(
            "the initial state of this workspace is unknown, because an older version of Latchkey created it. Delete \
             it and create it again."
                .to_owned(),
        )
    })?;
    put_stored(app, workspace, &mut tx, &stored).await?;
    let (now, _) = locked_workspace::now(&mut tx, workspace.workspace_id).await?;
    Ok((tx, now))
}

/// Replaces the content of the workspace by that of a stored snapshot.
async fn put_stored(app: &App, workspace: &Workspace, tx: &mut Transaction, stored: &StoredSnapshot) -> Result<()> {
    let _in_use = app.track_memory(stored.text()?.len());
    let document = read_stored(stored.text()?).await?;
    let columns = snapshots::columns(tx).await?;
    restore::restore_document(tx, workspace.workspace_id, &document, &columns, machine_now()).await
}

/// Commits a restored workspace, and returns the workspace's time.
///
/// # Errors
/// The errors of the database.
pub(crate) async fn finish_restore(app: &App, workspace: &Workspace, mut tx: Transaction) -> Result<Timestamp> {
    let workspace_id = workspace.workspace_id;
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    tx.commit().await?;
    // A snapshot may contain another name, another seed and other client sessions.
    app.callers.forget(workspace_id);
    app.webhooks_have_changed(workspace_id);
    app.wake_scheduler();
    Ok(settings.clock.now(machine_now()))
}

/// Returns a response with the document of a snapshot, or of the current workspace if `snapshot_id` is `None`. The two
/// texts are the start and the end of the response, before and after the document.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Snapshot`].
pub(crate) async fn export(
    app: &App,
    workspace: &Workspace,
    snapshot_id: Option<Uuid>,
    (before, after): (&[u8], &[u8]),
) -> Result<Vec<u8>> {
    let workspace_id = workspace.workspace_id;
    let stored = if let Some(snapshot_id) = snapshot_id {
        let mut tx = app.pool.begin(workspace_id).await?;
        tx.allow_long().await?;
        snapshots::find(&mut tx, workspace_id, snapshot_id).await?.ok_or(Error::NotFound(Resource::Snapshot))?
    } else {
        let (mut tx, clock) = lock_everything(app, workspace).await?;
        snapshots::read_current(&mut tx, workspace_id, &clock).await?
    };
    let text = stored.text()?;
    let _in_use = app.track_memory(text.len());
    let mut body = Vec::with_capacity(text.len() + 1024);
    body.extend_from_slice(before);
    let mut body = writer::write(&read_stored(text).await?, body).await.map_err(stored_snapshot_error)?;
    body.extend_from_slice(after);
    Ok(body)
}

/// Stores a document as a snapshot of a workspace and returns the snapshot id. The document is accepted only if it can
/// be restored completely: the restore is executed and rolled back. At most two copies of the document are in memory at
/// any time.
///
/// # Errors
/// The first part of the document that is invalid or cannot be restored.
pub(crate) async fn import(app: &App, workspace: &Workspace, document: impl AsRef<[u8]>) -> Result<Uuid> {
    let workspace_id = workspace.workspace_id;
    let _in_use = app.track_memory(document.as_ref().len());
    let columns = app.pool.read(workspace_id, |connection| Box::pin(snapshots::columns(connection))).await?;
    let normalized = read_import(document, app, workspace_id, &columns).await?;
    let text = str::from_utf8(&normalized).map_err(|error| Error::Internal(error.into()))?;
    let document = read_stored(text).await?;
    let mut tx = locked_workspace::begin_long(app, workspace.workspace_id).await?;
    let machine_now = machine_now();
    restore::check_restorable(&mut tx, workspace_id, &document, &columns, machine_now).await?;
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    let new_snapshot = next_snapshot(&mut tx, workspace).await?;
    let instants = (settings.clock.now(machine_now), document.clock.instant());
    snapshots::insert_imported(&mut tx, workspace_id, new_snapshot, instants, text).await?;
    tx.commit().await?;
    Ok(new_snapshot.snapshot_id)
}

/// Validates an imported document and returns it normalized, as a document of this workspace.
///
/// # Errors
/// The first part of the document that is invalid.
async fn read_import(
    document: impl AsRef<[u8]>,
    app: &App,
    workspace_id: Uuid,
    columns: &check::Columns,
) -> Result<Vec<u8>> {
    let text = document.as_ref();
    let invalid = |message: String| Error::invalid("snapshot", message);
    let max_row_bytes = app.config.body_limit.max(DEFAULT_MAX_ROW_BYTES);
    let document = compute::sized(text.len() > LONG_DOCUMENT, || {
        let text = str::from_utf8(text).map_err(|error| error.to_string())?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Document::read(raw, max_row_bytes)
    });
    let document = document.await.map_err(invalid)?;
    let found = checksum::of(&document, max_row_bytes).await.map_err(invalid)?;
    if document.stored_checksum() != Some(found) {
        return Err(invalid(
            "checksum does not match: the document was changed after its export. Export it again and import it \
             unchanged"
                .to_owned(),
        ));
    }
    check::normalize(&document, columns, workspace_id, (max_row_bytes, text.len() + 1024)).await.map_err(invalid)
}

/// Reads a document that is stored or was already validated.
async fn read_stored(text: &str) -> Result<Document<'_>> {
    let read = compute::sized(text.len() > LONG_DOCUMENT, || {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Document::read(raw, usize::MAX)
    });
    read.await.map_err(stored_snapshot_error)
}

fn stored_snapshot_error(mut message: String) -> Error {
    message.insert_str(0, "a snapshot that is kept: ");
    Error::Internal(message.into())
}
