//! Creation, change and deletion of webhooks.
//!
//! Each of these locks the workspace and all its devices, so that no transaction that records events is between its
//! query for webhooks and its commit. So the change applies to every event that is committed after the response.

use super::app::App;
use super::locked_workspace;
use crate::domain::webhook::{MAX_WEBHOOKS, Webhook, new_secret};
use crate::domain::workspace::Workspace;
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::{webhook_deliveries, webhooks, workspaces};
use uuid::Uuid;

/// Locks a workspace and all its devices.
async fn begin(app: &App, workspace_id: Uuid) -> Result<Transaction> {
    let mut tx = locked_workspace::begin(app, workspace_id).await?;
    workspaces::lock_devices(&mut tx, workspace_id).await?;
    Ok(tx)
}

/// Creates a webhook.
///
/// # Errors
/// [`Error::TooManyWebhooks`].
pub(crate) async fn create(app: &App, workspace: &Workspace, url: String, event_types: Vec<String>) -> Result<Webhook> {
    let workspace_id = workspace.workspace_id;
    let mut tx = begin(app, workspace_id).await?;
    let (created_at, machine_now) = locked_workspace::now(&mut tx, workspace_id).await?;
    let (ordinal, count) = webhooks::next_ordinal(&mut tx, workspace_id).await?;
    if count >= MAX_WEBHOOKS {
        return Err(Error::TooManyWebhooks(MAX_WEBHOOKS));
    }
    let webhook_id = workspace.ids.id("webhook", workspace_id, ordinal, machine_now);
    let secret = new_secret(&workspace.ids, webhook_id);
    let webhook = Webhook { webhook_id, url, event_types, secret, created_at };
    webhooks::insert(&mut tx, workspace_id, &webhook).await?;
    tx.commit().await?;
    Ok(webhook)
}

/// Changes the event types of a webhook, and enables it if it was disabled.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Webhook`].
pub(crate) async fn update(app: &App, workspace_id: Uuid, webhook_id: Uuid, event_types: &[String]) -> Result<()> {
    let mut tx = begin(app, workspace_id).await?;
    if !webhooks::update(&mut tx, workspace_id, webhook_id, event_types).await? {
        return Err(Error::NotFound(Resource::Webhook));
    }
    tx.commit().await?;
    app.webhooks_have_changed(workspace_id);
    Ok(())
}

/// Deletes a webhook with its deliveries: no further attempt is made.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Webhook`].
pub(crate) async fn delete(app: &App, workspace_id: Uuid, webhook_id: Uuid) -> Result<()> {
    // A long log of deliveries is deleted before the devices are locked, in short transactions.
    while webhook_deliveries::delete_finished(&app.pool, workspace_id, webhook_id).await? {}
    let mut tx = begin(app, workspace_id).await?;
    if !webhooks::delete(&mut tx, workspace_id, webhook_id).await? {
        return Err(Error::NotFound(Resource::Webhook));
    }
    tx.commit().await?;
    app.webhooks_have_changed(workspace_id);
    Ok(())
}

/// Sends a delivery again, at once.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::WebhookDelivery`].
pub(crate) async fn redeliver(app: &App, workspace_id: Uuid, webhook_delivery_id: Uuid) -> Result<()> {
    let mut tx = app.pool.begin(workspace_id).await?;
    if !webhook_deliveries::redeliver(&mut tx, workspace_id, webhook_delivery_id).await? {
        return Err(Error::NotFound(Resource::WebhookDelivery));
    }
    tx.commit().await?;
    app.wake_deliveries();
    Ok(())
}
