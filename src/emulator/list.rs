//! `/_emulator/workspaces/list`: what is there.

use super::Control;
use super::clock::ClockBody;
use super::worlds::Nothing;
use crate::clock::{Instant, iso, machine_now};
use crate::error::Result;
use crate::workspaces::store;
use serde::Serialize;
use uuid::Uuid;

#[derive(Serialize)]
pub(super) struct Listed {
    workspaces: Vec<ListedBody>,
}

#[derive(Serialize)]
struct ListedBody {
    workspace_id: Uuid,
    name: String,
    #[serde(with = "iso")]
    created_at: Instant,
    #[serde(with = "iso::option")]
    expires_at: Option<Instant>,
    seed: Option<String>,
    clock: ClockBody,
    api_key: Option<String>,
    publishable_key: String,
    personal_access_token: Option<String>,
    #[serde(flatten)]
    contents: store::Contents,
}

/// All workspaces on the server, or the one whose API key came with the request.
pub(super) async fn list(call: Control<Nothing>) -> Result<Listed> {
    let only = call.keyed().map(|workspace| workspace.workspace_id);
    let rows = store::list(&call.app.pool, only).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.world.workspace_id()).collect();
    let contents = store::contents(&call.app.pool, &ids).await?;
    let machine_now = machine_now();
    let workspaces = rows.into_iter().zip(ids).zip(contents).map(|((row, workspace_id), contents)| {
        let (_, world) = row.world.try_into()?;
        Ok(ListedBody {
            workspace_id,
            name: row.name,
            created_at: row.created_at,
            expires_at: row.expires_at,
            seed: row.seed,
            clock: ClockBody::of(world.clock, machine_now),
            api_key: row.api_key,
            publishable_key: row.publishable_key,
            personal_access_token: row.personal_access_token,
            contents,
        })
    });
    Ok(Listed { workspaces: workspaces.collect::<Result<_>>()? })
}
