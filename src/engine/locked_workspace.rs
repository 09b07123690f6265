//! A transaction that has locked a workspace's row: nobody else moves its clock, adds devices, arranges faults or takes
//! snapshots meanwhile.

use super::app::App;
use crate::clock::{Timestamp, machine_now};
use crate::error::Result;
use crate::postgres::Transaction;
use crate::store::workspaces;
use uuid::Uuid;

/// Begins a transaction and locks the workspace.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the workspace.
pub(crate) async fn begin(app: &App, workspace_id: Uuid) -> Result<Transaction> {
    let mut tx = app.pool.begin(workspace_id).await?;
    workspaces::lock(&mut tx, workspace_id).await?;
    Ok(tx)
}

/// The same for work that may take long.
///
/// # Errors
/// Those of [`begin`].
pub(crate) async fn begin_long(app: &App, workspace_id: Uuid) -> Result<Transaction> {
    let mut tx = app.pool.begin(workspace_id).await?;
    tx.allow_long().await?;
    workspaces::lock(&mut tx, workspace_id).await?;
    Ok(tx)
}

/// The workspace's time, and the machine's.
///
/// # Errors
/// Those of [`begin`].
pub(crate) async fn now(tx: &mut Transaction, workspace_id: Uuid) -> Result<(Timestamp, Timestamp)> {
    let (_, settings) = workspaces::settings(tx, workspace_id).await?;
    let machine_now = machine_now();
    Ok((settings.clock.now(machine_now), machine_now))
}
