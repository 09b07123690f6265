//! `/_emulator/snapshots/*` and `/_emulator/workspaces/reset`: a workspace as it was.
//!
//! A snapshot is one JSON document of everything in a workspace but its keys. What belongs to a workspace is listed once, in
//! [`tables`]; columns are asked of the database, so that one that is added comes along by itself.

mod agreement;
mod checksum;
mod document;
mod store;
pub mod tables;

pub use self::checksum::checksum;

use self::document::{Clock, Document};
use self::store::Place;
use super::Control;
use super::worlds::{Done, Nothing};
use crate::app::App;
use crate::clock::{Instant, WorkspaceClock, iso, machine_now};
use crate::error::{Error, Result};
use crate::postgres::Transaction;
use crate::workspaces::{Workspace, store as workspaces};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// The route whose body is a whole workspace.
pub(super) const IMPORT: &str = "/_emulator/snapshots/import";

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
    let document = store::one(&mut tx, workspace.workspace_id, call.input.snapshot_id).await?;
    go_back(&call.app, &workspace, tx, &document.ok_or(Error::SnapshotNotFound)?).await
}

/// Makes a workspace what it was when it was made.
pub(super) async fn reset(call: Control<Nothing>) -> Result<Restored> {
    let workspace = call.workspace().await?;
    let mut tx = begin(&call.app, &workspace).await?;
    let document = store::beginning(&mut tx, workspace.workspace_id).await?.ok_or_else(|| {
        Error::Conflict(
            "this workspace was made by a Latchkey that did not record how it began. Delete it and make it anew."
                .to_owned(),
        )
    })?;
    go_back(&call.app, &workspace, tx, &document).await
}

async fn begin(app: &App, workspace: &Workspace) -> Result<Transaction> {
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    if workspaces::lock(&mut tx, workspace.workspace_id).await? { Ok(tx) } else { Err(Error::WorkspaceNotFound) }
}

async fn go_back(app: &App, workspace: &Workspace, mut tx: Transaction, document: &Document) -> Result<Restored> {
    let workspace_id = workspace.workspace_id;
    let columns = store::columns(&mut tx).await?;
    store::put(&mut tx, workspace_id, document, &columns, machine_now()).await.map_err(store::refusal)?;
    let world = workspaces::world(&mut tx, workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    tx.commit().await?;
    // An imported one may have had another name and another seed.
    app.workspaces.forget(workspace_id);
    app.wake_scheduler();
    Ok(Restored { now: world.clock.now(machine_now()) })
}

#[derive(Deserialize)]
pub(super) struct Export {
    snapshot_id: Option<Uuid>,
}

#[derive(Serialize)]
pub(super) struct Exported {
    snapshot: Value,
}

/// A snapshot as a document, or the workspace as it is. What is answered can be sent to `import` as it is.
pub(super) async fn export(call: Control<Export>) -> Result<Exported> {
    let workspace = call.workspace().await?;
    let document = if let Some(snapshot_id) = call.input.snapshot_id {
        let workspace_id = workspace.workspace_id;
        let read =
            call.app.pool.read(workspace_id, |connection| Box::pin(store::one(connection, workspace_id, snapshot_id)));
        read.await?.ok_or(Error::SnapshotNotFound)?
    } else {
        let (mut tx, clock) = hold_still(&call.app, &workspace).await?;
        store::copy(&mut tx, workspace.workspace_id, &clock).await?
    };
    let mut snapshot = document.to_json();
    if let Value::Object(fields) = &mut snapshot {
        let checksum = checksum(fields)?;
        fields.insert("checksum".to_owned(), Value::String(checksum));
    }
    Ok(Exported { snapshot })
}

#[derive(Deserialize)]
pub(super) struct Import {
    snapshot: Map<String, Value>,
}

/// Puts a document among a workspace's snapshots. It is believed only if all of it can be restored: that is tried, and
/// taken back.
pub(super) async fn import(call: Control<Import>) -> Result<Made> {
    let workspace = call.workspace().await?;
    let wrong = |wrong: String| Error::invalid("snapshot", wrong);
    let snapshot = call.input.snapshot;
    let (promised, found) = (snapshot.get("checksum").cloned(), checksum(&snapshot)?);
    let mut document = Document::read(snapshot).map_err(wrong)?;
    if promised.as_ref().and_then(Value::as_str) != Some(&found) {
        return Err(wrong(
            "checksum does not fit: the document is not as it was exported. Export it again, and change nothing in it"
                .to_owned(),
        ));
    }
    let workspace_id = workspace.workspace_id;
    let mut tx = begin(&call.app, &workspace).await?;
    let machine_now = machine_now();
    let columns = store::columns(&mut tx).await?;
    document.check(&columns).map_err(wrong)?;
    document.adopt(workspace_id);
    let mut trial = tx.begin().await?;
    store::put(&mut trial, workspace_id, &document, &columns, machine_now).await.map_err(store::refusal)?;
    trial.rollback().await?;
    let world = workspaces::world(&mut tx, workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    let place = next_place(&mut tx, &workspace).await?;
    store::keep(&mut tx, workspace_id, place, world.clock.now(machine_now), &document).await?;
    tx.commit().await?;
    Ok(Made { snapshot_id: place.snapshot_id })
}
