//! Workspaces as they were: taken, restored, exported and imported, each in one transaction.
//!
//! A snapshot is one JSON document of everything in a workspace but its keys. What belongs to a workspace is listed once, in
//! [`crate::store::snapshots::tables`]; columns are asked of the database, so that one that is added comes along by itself.

use super::app::App;
use super::locked_workspace;
use crate::clock::{Timestamp, WorkspaceClock, machine_now};
use crate::compute::{self, LONG_DOCUMENT};
use crate::domain::workspace::Workspace;
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::snapshots::document::{Clock, Document};
use crate::store::snapshots::{self, NewSnapshot, StoredSnapshot, check, checksum, written};
use crate::store::workspaces;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

/// As many bytes one row of a document may have at least; more where a request may.
const MAX_ROW_BYTES: usize = 4 * 1024 * 1024;

/// Takes a snapshot of a workspace, and gives its id.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Workspace`].
pub(crate) async fn create(app: &App, workspace: &Workspace) -> Result<Uuid> {
    let (mut tx, clock) = hold_still(app, workspace).await?;
    let new_snapshot = next_snapshot(&mut tx, workspace).await?;
    snapshots::create(&mut tx, workspace.workspace_id, new_snapshot, &clock).await?;
    tx.commit().await?;
    Ok(new_snapshot.snapshot_id)
}

/// Records how a workspace begins, for [`reset`]. To be called in the transaction that makes it, when all is there that it
/// begins with; what was recorded before is replaced.
///
/// # Errors
/// Those of the database.
pub(crate) async fn record_beginning(
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

/// Locks a workspace with all its devices, so that nothing happens in it, and tells how its clock stands.
async fn hold_still(app: &App, workspace: &Workspace) -> Result<(Transaction, Clock)> {
    let workspace_id = workspace.workspace_id;
    let mut tx = locked_workspace::begin_long(app, workspace.workspace_id).await?;
    workspaces::lock_devices(&mut tx, workspace_id).await?;
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    Ok((tx, Clock::of(settings.clock, machine_now())))
}

/// Removes a snapshot.
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

/// Makes a workspace what it was when a snapshot was taken, and gives its time.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Snapshot`].
pub(crate) async fn restore(app: &App, workspace: &Workspace, snapshot_id: Uuid) -> Result<Timestamp> {
    let mut tx = locked_workspace::begin_long(app, workspace.workspace_id).await?;
    let stored = snapshots::one(&mut tx, workspace.workspace_id, snapshot_id).await?;
    restore_stored(app, workspace, tx, &stored.ok_or(Error::NotFound(Resource::Snapshot))?).await
}

/// Makes a workspace what it was when it was made, and gives its time.
///
/// # Errors
/// [`Error::Conflict`] where that was not recorded.
pub(crate) async fn reset(app: &App, workspace: &Workspace) -> Result<Timestamp> {
    let mut tx = locked_workspace::begin_long(app, workspace.workspace_id).await?;
    let stored = snapshots::beginning(&mut tx, workspace.workspace_id).await?.ok_or_else(|| {
        Error::Conflict(
            "this workspace was made by a Latchkey that did not record how it began. Delete it and make it anew."
                .to_owned(),
        )
    })?;
    restore_stored(app, workspace, tx, &stored).await
}

async fn restore_stored(
    app: &App,
    workspace: &Workspace,
    mut tx: Transaction,
    stored: &StoredSnapshot,
) -> Result<Timestamp> {
    let workspace_id = workspace.workspace_id;
    let _in_use = app.uses_memory(stored.text()?.len());
    let document = read_stored(stored.text()?).await?;
    let columns = snapshots::columns(&mut tx).await?;
    snapshots::put(&mut tx, workspace_id, &document, &columns, machine_now()).await?;
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    tx.commit().await?;
    // An imported one may have had another name and another seed.
    app.workspaces.forget(workspace_id);
    app.wake_scheduler();
    Ok(settings.clock.now(machine_now()))
}

/// The document of a snapshot, or of the workspace as it is, between two texts: those of the answer that it is part of.
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
        snapshots::one(&mut tx, workspace_id, snapshot_id).await?.ok_or(Error::NotFound(Resource::Snapshot))?
    } else {
        let (mut tx, clock) = hold_still(app, workspace).await?;
        snapshots::copy(&mut tx, workspace_id, &clock).await?
    };
    let text = stored.text()?;
    let _in_use = app.uses_memory(text.len());
    let mut body = Vec::with_capacity(text.len() + 1024);
    body.extend_from_slice(before);
    let mut body = written::write(&read_stored(text).await?, body).await.map_err(impossible)?;
    body.extend_from_slice(after);
    Ok(body)
}

/// Puts a document among a workspace's snapshots, and gives its id. It is believed only if all of it can be restored: that
/// is tried, and taken back. Of the document there are at most two copies at any time.
///
/// # Errors
/// What of the document cannot be believed.
pub(crate) async fn import(app: &App, workspace: &Workspace, document: impl AsRef<[u8]>) -> Result<Uuid> {
    let workspace_id = workspace.workspace_id;
    let _in_use = app.uses_memory(document.as_ref().len());
    let columns = app.pool.read(workspace_id, |connection| Box::pin(snapshots::columns(connection))).await?;
    let normalized = read_import(document, app, workspace_id, &columns).await?;
    let text = str::from_utf8(&normalized).map_err(|error| Error::Internal(error.into()))?;
    let document = read_stored(text).await?;
    let mut tx = locked_workspace::begin_long(app, workspace.workspace_id).await?;
    let machine_now = machine_now();
    snapshots::try_put(&mut tx, workspace_id, &document, &columns, machine_now).await?;
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    let new_snapshot = next_snapshot(&mut tx, workspace).await?;
    let instants = (settings.clock.now(machine_now), document.clock.instant());
    snapshots::keep(&mut tx, workspace_id, new_snapshot, instants, text).await?;
    tx.commit().await?;
    Ok(new_snapshot.snapshot_id)
}

/// What a document from outside says, as one of this workspace and in its usual form.
///
/// # Errors
/// What of it cannot be believed.
async fn read_import(
    document: impl AsRef<[u8]>,
    app: &App,
    workspace_id: Uuid,
    columns: &check::Columns,
) -> Result<Vec<u8>> {
    let text = document.as_ref();
    let wrong = |wrong: String| Error::invalid("snapshot", wrong);
    let most = app.config.body_limit.max(MAX_ROW_BYTES);
    let document = compute::sized(text.len() > LONG_DOCUMENT, || {
        let text = str::from_utf8(text).map_err(|error| error.to_string())?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Document::read(raw, most)
    });
    let document = document.await.map_err(wrong)?;
    let found = checksum::of(&document, most).await.map_err(wrong)?;
    if document.promised() != Some(found) {
        return Err(wrong(
            "checksum does not fit: the document is not as it was exported. Export it again, and change nothing in it"
                .to_owned(),
        ));
    }
    check::normalize(&document, columns, workspace_id, (most, text.len() + 1024)).await.map_err(wrong)
}

/// A document that is kept, or was believed.
async fn read_stored(text: &str) -> Result<Document<'_>> {
    let read = compute::sized(text.len() > LONG_DOCUMENT, || {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Document::read(raw, usize::MAX)
    });
    read.await.map_err(impossible)
}

fn impossible(mut wrong: String) -> Error {
    wrong.insert_str(0, "a snapshot that is kept: ");
    Error::Internal(wrong.into())
}
