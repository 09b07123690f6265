//! Default sandbox: the workspace that a server creates at its start, if it does not exist.

use super::app::App;
use super::device_specs::LockSpec;
use super::workspaces::{Owner, WorkspaceParams, create};
use crate::domain::caller::Visibility;
use crate::domain::device::Device;
use crate::domain::sandbox::{API_KEY, LOCKS, PERSONAL_ACCESS_TOKEN, WORKSPACE_ID, device_id};
use crate::error::{Error, Result};
use crate::store::{Ownership, devices, workspaces};

/// Creates the default sandbox if it does not exist, and returns its devices.
///
/// # Errors
/// [`Error::SandboxInUse`] if another workspace has one of its ids or its key.
pub async fn ensure(app: &App) -> Result<Vec<Device>> {
    let filter = devices::Filter { ownership: Ownership::Any, ..devices::Filter::default() };
    let found = devices::list(&app.pool, &Visibility::all_of(WORKSPACE_ID), &filter).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    let locks = LOCKS.iter().map(|(device_type, name, digits)| LockSpec {
        name: Some((*name).to_owned()),
        device_id: Some(device_id(*digits)),
        ..LockSpec::of_type(device_type)
    });
    let params = WorkspaceParams {
        name: Some("Latchkey Sandbox".to_owned()),
        workspace_id: Some(WORKSPACE_ID),
        api_key: Some(API_KEY.to_owned()),
        owner: Owner::WithToken(PERSONAL_ACCESS_TOKEN.to_owned()),
        locks: locks.collect(),
        ..WorkspaceParams::of_server(&app.config)
    };
    match create(app, params).await {
        Ok(created) => Ok(created.devices),
        Err(Error::InUse(parameter)) => {
            // Another process on the same database has just created it, or fixtures contain a workspace with its id.
            match workspaces::by_id(&app.pool, WORKSPACE_ID).await? {
                Some(_) => devices::list(&app.pool, &Visibility::all_of(WORKSPACE_ID), &filter).await,
                None => Err(Error::SandboxInUse(parameter)),
            }
        }
        Err(error) => Err(error),
    }
}
