//! Workspaces of `/workspaces/create`, and the properties that `/workspaces/update` changes.

use super::app::App;
use super::workspaces::{CreatedWorkspace, Owner, Profile, WorkspaceParams, create};
use crate::clock::machine_now;
use crate::error::{Error, Resource, Result};
use crate::ids::Ids;
use crate::store::workspaces::{self, ProfileUpdate};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Creates a workspace that belongs to a person, without devices. Its clock and settings are those of the server.
/// Without an organization, it gets the organization of the person's other workspaces. If these have no organization,
/// it gets a new one. If they have several different ones, it gets none.
///
/// # Errors
/// [`Error::Unauthorized`] if the person was deleted meanwhile.
pub(crate) async fn create_for_person(
    app: &App,
    person_id: Uuid,
    name: String,
    mut profile: Profile,
) -> Result<CreatedWorkspace> {
    if profile.organization_id.is_none() {
        let existing = workspaces::of_person(&app.pool, person_id, None).await?;
        let organizations: BTreeSet<Uuid> = existing.iter().filter_map(|workspace| workspace.organization_id).collect();
        // On a server with a seed, the id is derived from the person, so that it is the same on every run.
        let ids = Ids::of(app.config.seed());
        profile.organization_id = match organizations.len() {
            0 => Some(ids.id("organization", person_id, 0, machine_now())),
            1 => organizations.first().copied(),
            _ => None,
        };
    }
    let owner = Owner::Existing(person_id);
    create(app, WorkspaceParams { name: Some(name), owner, profile, ..WorkspaceParams::of_server(&app.config) }).await
}

/// Changes properties of a workspace.
///
/// # Errors
/// [`Error::NotFound`] of the workspace.
pub(crate) async fn update(app: &App, workspace_id: Uuid, update: ProfileUpdate) -> Result<()> {
    let mut tx = app.pool.begin(workspace_id).await?;
    if !workspaces::update_profile(&mut tx, workspace_id, update).await? {
        return Err(Error::NotFound(Resource::Workspace));
    }
    tx.commit().await?;
    app.callers.forget(workspace_id);
    Ok(())
}
