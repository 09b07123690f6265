//! Transactions with the row of a workspace locked: no other transaction moves its clock, adds devices, creates faults
//! or creates snapshots meanwhile.

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

/// Like [`begin`], with the timeouts of long jobs, see [`Transaction::allow_long`].
///
/// # Errors
/// The errors of [`begin`].
pub(crate) async fn begin_long(app: &App, workspace_id: Uuid) -> Result<Transaction> {
    let mut tx = app.pool.begin(workspace_id).await?;
    tx.allow_long().await?;
    workspaces::lock(&mut tx, workspace_id).await?;
    Ok(tx)
}

/// Returns the time of the workspace's clock and of the machine's clock.
///
/// # Errors
/// The errors of [`begin`].
pub(crate) async fn now(tx: &mut Transaction, workspace_id: Uuid) -> Result<(Timestamp, Timestamp)> {
    let (_, settings) = workspaces::settings(tx, workspace_id).await?;
    let machine_now = machine_now();
    Ok((settings.clock.now(machine_now), machine_now))
}
