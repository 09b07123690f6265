//! Further access methods for an existing grant.

use super::checks::check_count;
use super::create::RequestedMethod;
use super::provision::{CodesOfGrant, Wanted};
use super::unit_of_work::{GrantUnitOfWork, finish};
use super::{GrantReference, find, lock_grants};
use crate::domain::caller::Visibility;
use crate::engine::app::App;
use crate::engine::locked_workspace;
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::{Error, Resource, Result};
use crate::store::access_grants::Listed;
use uuid::Uuid;

/// Adds requested methods to a grant, with codes on all locks that it covers now. A grant that is over gets the codes
/// when it gets a later end.
///
/// # Errors
/// [`Error::NotFound`] of the grant; [`Error::InvalidInput`] if it would have too many requested methods.
pub(crate) async fn request_methods(
    app: &App,
    visibility: &Visibility,
    access_grant_id: Uuid,
    requested: Vec<RequestedMethod>,
) -> Result<Listed> {
    let mut tx = locked_workspace::begin(app, visibility.workspace_id).await?;
    let listed = find(&mut tx, visibility, &GrantReference::Id(access_grant_id)).await?;
    if listed.grant.deletion_requested_at.is_some() {
        return Err(Error::NotFound(Resource::AccessGrant));
    }
    check_count(listed.grant.requested_access_methods.len() + requested.len())?;
    let everything = Visibility::all_of(visibility.workspace_id);
    let work = UnitOfWork::begin_in(tx, &everything, Scope::DevicesOnly(&listed.covered)).await?;
    let mut started = GrantUnitOfWork::continue_from(work, &listed.covered).await?;
    let work = started.work();
    lock_grants(work, &[access_grant_id]).await?;
    let now = work.now;
    let locked = work.codes.grants.find_mut(access_grant_id).ok_or(Error::NotFound(Resource::AccessGrant))?;
    let first = locked.grant.requested_access_methods.len();
    locked.grant.requested_access_methods.extend(requested.into_iter().map(|requested| requested.at(now)));
    let last = locked.grant.requested_access_methods.len();
    let preferred_code = locked.methods.iter().rev().find_map(|method| method.code.clone());
    let name = locked.grant.name.clone().unwrap_or(listed.identity_name);
    let locks = if locked.grant.is_in_force(now) { listed.covered } else { Vec::new() };
    let requests = (first..last).map(|request| (request, locks.clone())).collect();
    let wanted = vec![Wanted { access_grant_id, codes: CodesOfGrant { name, preferred_code }, requests }];
    finish(app, started.provision(wanted).await?, access_grant_id).await
}
