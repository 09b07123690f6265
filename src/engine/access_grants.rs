//! Access grants: creation, changes and deletion. A grant asks for codes on the locks that it covers; the codes are
//! ordinary access codes, which the scheduler programs and removes as it does all others.
//!
//! Each request locks the workspace first, then the devices, then the grants. A transaction that only runs steps of
//! codes locks the devices and then the grants.

mod checks;
mod create;
pub(crate) mod delete;
mod provision;
pub(crate) mod reconcile;
mod request;
mod unit_of_work;
mod update;

pub(crate) use self::create::{NewAccessGrant, NewLocation, NewUser, RequestedMethod, create, create_in};
pub(crate) use self::delete::{MethodReference, delete_grant, delete_methods};
pub(crate) use self::request::request_methods;
pub(crate) use self::update::{TimesAndName, update};

use super::app::App;
use super::unit_of_work::UnitOfWork;
use crate::clock::{Timestamp, machine_now};
use crate::domain::caller::Visibility;
use crate::error::{Error, Resource, Result};
use crate::store::access_grants::{self, AccessGrants, Filter, Listed};
use crate::store::workspaces;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Access grant that a request names.
#[derive(Clone, Debug)]
pub(crate) enum GrantReference {
    Id(Uuid),
    Key(String),
}

impl GrantReference {
    /// Returns the filter that finds the grant, if the caller may see it.
    pub(crate) fn filter(&self, visibility: &Visibility) -> Filter<'_> {
        let filter = Filter { customer_keys: visibility.customer_key.iter().cloned().collect(), ..Filter::default() };
        match self {
            Self::Id(id) => Filter { access_grant_ids: Some(std::slice::from_ref(id)), ..filter },
            Self::Key(key) => Filter { access_grant_keys: Some(std::slice::from_ref(key)), ..filter },
        }
    }
}

/// Returns the grants of a workspace that pass the filter, newest first, and the time of the workspace.
///
/// # Errors
/// Those of the database.
pub(crate) async fn list(app: &App, workspace_id: Uuid, filter: &Filter<'_>) -> Result<(Vec<Listed>, Timestamp)> {
    let mut tx = app.pool.begin(workspace_id).await?;
    let found = access_grants::list_in(&mut tx, workspace_id, filter).await?;
    let (_, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    tx.commit().await?;
    Ok((found, settings.clock.now(machine_now())))
}

/// Returns a grant.
///
/// # Errors
/// [`Error::NotFound`] of the grant.
async fn find(tx: &mut PgConnection, visibility: &Visibility, reference: &GrantReference) -> Result<Listed> {
    let found = access_grants::list_in(tx, visibility.workspace_id, &reference.filter(visibility)).await?;
    found.into_iter().next().ok_or(Error::NotFound(Resource::AccessGrant))
}

/// Locks those of these grants that the unit of work does not have yet. Its devices must be locked already.
async fn lock_grants(work: &mut UnitOfWork, ids: &[Uuid]) -> Result<()> {
    let missing: Vec<Uuid> = ids.iter().filter(|id| work.codes.grants.find(**id).is_none()).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let workspaces = HashMap::from([(work.visibility.workspace_id, (work.ids.clone(), work.clock))]);
    for grant in access_grants::lock(&mut work.tx, AccessGrants::ByIds(&missing), &workspaces).await? {
        work.codes.grants.add(grant);
    }
    Ok(())
}
