//! `/_emulator/snapshots/*` and `/_emulator/workspaces/reset`: snapshots of a workspace, and its initial state.

mod incoming;

pub(super) use self::incoming::{read_body, receive};

use super::{Control, EmptyResult, NoParameters};
use crate::clock::{Timestamp, iso};
use crate::engine::snapshots;
use crate::error::Result;
use crate::http::envelope::{self, JsonResponse};
use crate::store;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Path of the endpoint whose body contains a whole workspace.
pub(super) const IMPORT: &str = "/_emulator/snapshots/import";

#[derive(Serialize)]
pub(super) struct Created {
    snapshot_id: Uuid,
}

pub(super) async fn create(call: Control<NoParameters>) -> Result<Created> {
    let workspace = call.workspace().await?;
    Ok(Created { snapshot_id: snapshots::create(&call.app, &workspace).await? })
}

#[derive(Serialize)]
pub(super) struct Listed {
    snapshots: Vec<store::snapshots::Listed>,
}

pub(super) async fn list(call: Control<NoParameters>) -> Result<Listed> {
    let workspace = call.workspace().await?;
    Ok(Listed { snapshots: store::snapshots::list(&call.app.pool, workspace.workspace_id).await? })
}

#[derive(Deserialize)]
pub(super) struct One {
    snapshot_id: Uuid,
}

pub(super) async fn delete(call: Control<One>) -> Result<EmptyResult> {
    let workspace = call.workspace().await?;
    snapshots::delete(&call.app, &workspace, call.input.snapshot_id).await?;
    Ok(EmptyResult {})
}

#[derive(Serialize)]
pub(super) struct Restored {
    #[serde(with = "iso")]
    now: Timestamp,
}

pub(super) async fn restore(call: Control<One>) -> Result<Restored> {
    let workspace = call.workspace().await?;
    Ok(Restored { now: snapshots::restore(&call.app, &workspace, call.input.snapshot_id).await? })
}

/// Restores the initial state of a workspace.
pub(super) async fn reset(call: Control<NoParameters>) -> Result<Restored> {
    let workspace = call.workspace().await?;
    Ok(Restored { now: snapshots::reset(&call.app, &workspace).await? })
}

#[derive(Deserialize)]
pub(super) struct Export {
    /// Snapshot to export; `None`: the current state of the workspace.
    snapshot_id: Option<Uuid>,
}

/// Exports a snapshot or the current state of a workspace as a document. The response body can be sent to `import`
/// unchanged.
pub(super) async fn export(call: Control<Export>) -> Result<JsonResponse> {
    let workspace = call.workspace().await?;
    // The envelope is written around the text of the document, which is not parsed.
    let end = format!(",{}", envelope::OK);
    let around = (&br#"{"snapshot":"#[..], end.as_bytes());
    let body = snapshots::export(&call.app, &workspace, call.input.snapshot_id, around).await?;
    Ok(JsonResponse { status: StatusCode::OK, body: vec![body.into()], retry_after: None })
}

pub(super) async fn import(mut call: Control<NoParameters>) -> Result<Created> {
    let workspace = call.workspace().await?;
    let document = std::mem::take(&mut call.document);
    Ok(Created { snapshot_id: snapshots::import(&call.app, &workspace, document).await? })
}
