//! `/_emulator/snapshots/*` and `/_emulator/workspaces/reset`: a workspace as it was.

mod incoming;

pub(super) use self::incoming::{read_body, receive};

use super::{Control, Done, Nothing};
use crate::clock::{Timestamp, iso};
use crate::engine::snapshots;
use crate::error::Result;
use crate::http::envelope::{self, Answer};
use crate::store;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The route whose body is a whole workspace.
pub(super) const IMPORT: &str = "/_emulator/snapshots/import";

#[derive(Serialize)]
pub(super) struct Created {
    snapshot_id: Uuid,
}

pub(super) async fn create(call: Control<Nothing>) -> Result<Created> {
    let workspace = call.workspace().await?;
    Ok(Created { snapshot_id: snapshots::create(&call.app, &workspace).await? })
}

#[derive(Serialize)]
pub(super) struct Listed {
    snapshots: Vec<store::snapshots::Listed>,
}

pub(super) async fn list(call: Control<Nothing>) -> Result<Listed> {
    let workspace = call.workspace().await?;
    Ok(Listed { snapshots: store::snapshots::list(&call.app.pool, workspace.workspace_id).await? })
}

#[derive(Deserialize)]
pub(super) struct One {
    snapshot_id: Uuid,
}

pub(super) async fn delete(call: Control<One>) -> Result<Done> {
    let workspace = call.workspace().await?;
    snapshots::delete(&call.app, &workspace, call.input.snapshot_id).await?;
    Ok(Done {})
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

/// Makes a workspace what it was when it was made.
pub(super) async fn reset(call: Control<Nothing>) -> Result<Restored> {
    let workspace = call.workspace().await?;
    Ok(Restored { now: snapshots::reset(&call.app, &workspace).await? })
}

/// Which snapshot is exported.
#[derive(Deserialize)]
pub(super) struct Export {
    snapshot_id: Option<Uuid>,
}

/// A snapshot as a document, or the workspace as it is. What is answered can be sent to `import` as it is.
pub(super) async fn export(call: Control<Export>) -> Result<Answer> {
    let workspace = call.workspace().await?;
    let end = format!(",{}", envelope::OK);
    let around = (&br#"{"snapshot":"#[..], end.as_bytes());
    let body = snapshots::export(&call.app, &workspace, call.input.snapshot_id, around).await?;
    Ok(Answer { status: StatusCode::OK, body: body.into(), retry_after: None })
}

pub(super) async fn import(mut call: Control<Nothing>) -> Result<Created> {
    let workspace = call.workspace().await?;
    let document = std::mem::take(&mut call.document);
    Ok(Created { snapshot_id: snapshots::import(&call.app, &workspace, document).await? })
}
