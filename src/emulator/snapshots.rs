//! `/_emulator/snapshots/*` and `/_emulator/workspaces/reset`: a workspace as it was.
//!
//! A snapshot is one JSON document of everything in a workspace but its keys. What belongs to a workspace is listed once, in
//! [`tables`]; columns are asked of the database, so that one that is added comes along by itself.

mod agreement;
mod check;
mod checksum;
mod document;
mod incoming;
mod raw;
mod store;
pub mod tables;

pub use self::checksum::checksum;
pub use self::incoming::Budget;
pub(super) use self::incoming::{read_body, receive};

use self::document::{Clock, Document};
use self::store::{Kept, Place};
use super::Control;
use super::worlds::{Done, Nothing};
use crate::app::App;
use crate::clock::{Instant, WorkspaceClock, iso, machine_now};
use crate::compute::{self, LONG_DOCUMENT};
use crate::error::{Error, Result};
use crate::http::envelope::{self, Answer};
use crate::postgres::Transaction;
use crate::workspaces::{Workspace, store as workspaces};
use axum::body::Bytes;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// The route whose body is a whole workspace.
pub(super) const IMPORT: &str = "/_emulator/snapshots/import";

/// As many bytes one row of a document may have at least; more where a request may.
const MOST_OF_A_ROW: usize = 4 * 1024 * 1024;

#[derive(Serialize)]
pub(super) struct Made {
    snapshot_id: Uuid,
}

pub(super) async fn create(call: Control<Nothing>) -> Result<Made> {
    let workspace = call.workspace().await?;
    let (mut tx, clock) = hold_still(&call.app, &workspace).await?;
    let place = next_place(&mut tx, &workspace).await?;
    store::take(&mut tx, workspace.workspace_id, place, &clock).await?;
    tx.commit().await?;
    Ok(Made { snapshot_id: place.snapshot_id })
}

/// Records how a workspace begins, for [`reset`]. To be called in the transaction that makes it, when all is there that it
/// begins with; what was recorded before is replaced.
pub(super) async fn record_beginning(
    tx: &mut PgConnection,
    workspace: &Workspace,
    clock: WorkspaceClock,
    machine_now: Instant,
) -> Result<()> {
    let place = Place { snapshot_id: snapshot_id(workspace, 0), ordinal: 0 };
    store::take(tx, workspace.workspace_id, place, &Clock::of(clock, machine_now)).await
}

fn snapshot_id(workspace: &Workspace, ordinal: i64) -> Uuid {
    workspace.ids.id("snapshot", workspace.workspace_id, ordinal, machine_now())
}

async fn next_place(tx: &mut PgConnection, workspace: &Workspace) -> Result<Place> {
    let ordinal = store::next_ordinal(tx, workspace.workspace_id).await?;
    Ok(Place { snapshot_id: snapshot_id(workspace, ordinal), ordinal })
}

/// Locks a workspace with all its devices, so that nothing happens in it, and tells how its clock stands.
async fn hold_still(app: &App, workspace: &Workspace) -> Result<(Transaction, Clock)> {
    let workspace_id = workspace.workspace_id;
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    tx.allow_long().await?;
    if !workspaces::lock(&mut tx, workspace_id).await? {
        return Err(Error::WorkspaceNotFound);
    }
    workspaces::lock_devices(&mut tx, workspace_id).await?;
    let world = workspaces::world(&mut tx, workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    Ok((tx, Clock::of(world.clock, machine_now())))
}

#[derive(Serialize)]
pub(super) struct Listed {
    snapshots: Vec<store::Listed>,
}

pub(super) async fn list(call: Control<Nothing>) -> Result<Listed> {
    let workspace = call.workspace().await?;
    Ok(Listed { snapshots: store::list(&call.app.pool, workspace.workspace_id).await? })
}

#[derive(Deserialize)]
pub(super) struct One {
    snapshot_id: Uuid,
}

pub(super) async fn delete(call: Control<One>) -> Result<Done> {
    let workspace = call.workspace().await?;
    let mut tx = call.app.pool.begin(workspace.workspace_id).await?;
    if !store::delete(&mut tx, workspace.workspace_id, call.input.snapshot_id).await? {
        return Err(Error::SnapshotNotFound);
    }
    tx.commit().await?;
    Ok(Done {})
}

#[derive(Serialize)]
pub(super) struct Restored {
    #[serde(with = "iso")]
    now: Instant,
}

pub(super) async fn restore(call: Control<One>) -> Result<Restored> {
    let workspace = call.workspace().await?;
    let mut tx = begin(&call.app, &workspace).await?;
    let kept = store::one(&mut tx, workspace.workspace_id, call.input.snapshot_id).await?;
    go_back(&call.app, &workspace, tx, &kept.ok_or(Error::SnapshotNotFound)?).await
}

/// Makes a workspace what it was when it was made.
pub(super) async fn reset(call: Control<Nothing>) -> Result<Restored> {
    let workspace = call.workspace().await?;
    let mut tx = begin(&call.app, &workspace).await?;
    let kept = store::beginning(&mut tx, workspace.workspace_id).await?.ok_or_else(|| {
        Error::Conflict(
            "this workspace was made by a Latchkey that did not record how it began. Delete it and make it anew."
                .to_owned(),
        )
    })?;
    go_back(&call.app, &workspace, tx, &kept).await
}

async fn begin(app: &App, workspace: &Workspace) -> Result<Transaction> {
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    tx.allow_long().await?;
    if workspaces::lock(&mut tx, workspace.workspace_id).await? { Ok(tx) } else { Err(Error::WorkspaceNotFound) }
}

async fn go_back(app: &App, workspace: &Workspace, mut tx: Transaction, kept: &Kept) -> Result<Restored> {
    let workspace_id = workspace.workspace_id;
    let _in_use = app.uses_memory(kept.text()?.len());
    let document = read_kept(kept.text()?).await?;
    let columns = store::columns(&mut tx).await?;
    store::put(&mut tx, workspace_id, &document, &columns, machine_now()).await.map_err(store::refusal)?;
    let world = workspaces::world(&mut tx, workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    tx.commit().await?;
    // An imported one may have had another name and another seed.
    app.workspaces.forget(workspace_id);
    app.wake_scheduler();
    Ok(Restored { now: world.clock.now(machine_now()) })
}

/// Which snapshot is exported.
#[derive(Deserialize)]
pub(super) struct Export {
    snapshot_id: Option<Uuid>,
}

/// A snapshot as a document, or the workspace as it is. What is answered can be sent to `import` as it is.
pub(super) async fn export(call: Control<Export>) -> Result<Answer> {
    let workspace = call.workspace().await?;
    let kept = if let Some(snapshot_id) = call.input.snapshot_id {
        let workspace_id = workspace.workspace_id;
        let mut tx = call.app.pool.begin(workspace_id).await?;
        tx.allow_long().await?;
        store::one(&mut tx, workspace_id, snapshot_id).await?.ok_or(Error::SnapshotNotFound)?
    } else {
        let (mut tx, clock) = hold_still(&call.app, &workspace).await?;
        store::copy(&mut tx, workspace.workspace_id, &clock).await?
    };
    let text = kept.text()?;
    let _in_use = call.app.uses_memory(text.len());
    let mut body = Vec::with_capacity(text.len() + 1024);
    body.extend_from_slice(br#"{"snapshot":"#);
    let mut body = read_kept(text).await?.write(body).await.map_err(impossible)?;
    body.push(b',');
    body.extend_from_slice(envelope::OK.as_bytes());
    Ok(Answer { status: StatusCode::OK, body: body.into(), retry_after: None })
}

/// Puts a document among a workspace's snapshots. It is believed only if all of it can be restored: that is tried, and
/// taken back. Of the document there are at most two copies at any time.
pub(super) async fn import(mut call: Control<Nothing>) -> Result<Made> {
    let workspace = call.workspace().await?;
    let workspace_id = workspace.workspace_id;
    let _in_use = call.app.uses_memory(call.document.len());
    let columns = call.app.pool.read(workspace_id, |connection| Box::pin(store::columns(connection))).await?;
    let adopted = believed(std::mem::take(&mut call.document), &call.app, workspace_id, &columns).await?;
    let text = str::from_utf8(&adopted).map_err(|error| Error::Internal(error.into()))?;
    let document = read_kept(text).await?;
    let mut tx = begin(&call.app, &workspace).await?;
    let machine_now = machine_now();
    let mut trial = tx.begin().await?;
    store::put(&mut trial, workspace_id, &document, &columns, machine_now).await.map_err(store::refusal)?;
    trial.rollback().await?;
    let world = workspaces::world(&mut tx, workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    let place = next_place(&mut tx, &workspace).await?;
    let instants = (world.clock.now(machine_now), document.clock.instant());
    store::keep(&mut tx, workspace_id, place, instants, text).await?;
    tx.commit().await?;
    Ok(Made { snapshot_id: place.snapshot_id })
}

/// What a document from outside says, as one of this workspace and in its usual form.
///
/// # Errors
/// What of it cannot be believed.
async fn believed(text: Bytes, app: &App, workspace_id: Uuid, columns: &check::Columns) -> Result<Vec<u8>> {
    let wrong = |wrong: String| Error::invalid("snapshot", wrong);
    let most = app.config.body_limit.max(MOST_OF_A_ROW);
    let document = compute::sized(text.len() > LONG_DOCUMENT, || {
        let text = str::from_utf8(&text).map_err(|error| error.to_string())?;
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
    check::adopted(&document, columns, workspace_id, (most, text.len() + 1024)).await.map_err(wrong)
}

/// A document that is kept, or was believed.
async fn read_kept(text: &str) -> Result<Document<'_>> {
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
