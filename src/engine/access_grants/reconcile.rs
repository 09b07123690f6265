//! Reconciliation: the codes that should exist for grants are compared with those that exist. Missing codes are created,
//! superfluous ones are taken off their locks.

use super::delete::take_off;
use super::lock_grants;
use super::provision::{CodesOfGrant, Wanted};
use super::unit_of_work::GrantUnitOfWork;
use crate::domain::access_grant::{AccessGrant, difference};
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::Result;
use crate::store::access_grants;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Reconciles the grants of spaces whose devices have changed. The devices that joined or left them must be locked.
///
/// # Errors
/// Those of the database.
pub(crate) async fn reconcile_spaces(mut work: UnitOfWork, space_ids: &[Uuid]) -> Result<UnitOfWork> {
    let (workspace_id, in_force_at) = (work.visibility.workspace_id, Some(work.now));
    let grant_ids = access_grants::of_spaces(&mut work.tx, workspace_id, space_ids, in_force_at).await?;
    reconcile(work, &grant_ids).await
}

/// Reconciles the grants that cover these devices, which must be locked. Locks that were left out are tried again.
///
/// # Errors
/// Those of the database.
pub(crate) async fn reconcile_devices(mut work: UnitOfWork, device_ids: &[Uuid]) -> Result<UnitOfWork> {
    work.write().await?;
    let workspace_id = work.visibility.workspace_id;
    let grant_ids = access_grants::of_devices(&mut work.tx, workspace_id, device_ids, work.now).await?;
    if grant_ids.is_empty() {
        return Ok(work);
    }
    lock_grants(&mut work, &grant_ids).await?;
    let grants = work.codes.grants.iter_mut().filter(|locked| grant_ids.contains(&locked.grant.access_grant_id));
    grants.for_each(|locked| locked.forget_unfit(device_ids));
    reconcile(work, &grant_ids).await
}

/// Removes what the grants report about these devices, which are being deleted. The devices must be locked, and still be
/// in their spaces.
///
/// # Errors
/// Those of the database.
pub(crate) async fn forget_devices(work: &mut UnitOfWork, device_ids: &[Uuid]) -> Result<()> {
    let workspace_id = work.visibility.workspace_id;
    let grant_ids = access_grants::of_devices(&mut work.tx, workspace_id, device_ids, work.now).await?;
    lock_grants(work, &grant_ids).await?;
    for locked in work.codes.grants.iter_mut().filter(|locked| grant_ids.contains(&locked.grant.access_grant_id)) {
        locked.forget_conditions(|device_id| device_ids.contains(&device_id));
    }
    Ok(())
}

/// Removes a deleted space from its grants. A grant that covers nothing else is deleted. The devices of the
/// space must be locked.
///
/// # Errors
/// Those of the database.
pub(crate) async fn detach_space(mut work: UnitOfWork, space_id: Uuid) -> Result<UnitOfWork> {
    let workspace_id = work.visibility.workspace_id;
    let grant_ids = access_grants::of_spaces(&mut work.tx, workspace_id, &[space_id], None).await?;
    lock_grants(&mut work, &grant_ids).await?;
    let times = (work.now, work.machine_now);
    let events = &mut work.codes.recorder.events;
    let mut codes_of_deleted = Vec::new();
    for locked in work.codes.grants.iter_mut().filter(|locked| grant_ids.contains(&locked.grant.access_grant_id)) {
        locked.grant.space_ids.retain(|id| *id != space_id);
        if locked.grant.space_ids.is_empty() && locked.grant.device_ids.is_empty() {
            codes_of_deleted.extend(locked.codes().keys().copied());
            locked.request_deletion(times, events);
        }
    }
    let mut work = reconcile(work, &grant_ids).await?;
    if !codes_of_deleted.is_empty() {
        // Offline codes, which end by themselves, do not delay the deletion.
        work = work.continue_with(Scope::Codes(&codes_of_deleted)).await?;
        take_off(&mut work, &codes_of_deleted)?;
    }
    Ok(work)
}

/// Reconciles these grants on the locks of the unit of work. Other locks are left alone: they are not locked.
///
/// # Errors
/// Those of the database.
pub(crate) async fn reconcile(mut work: UnitOfWork, grant_ids: &[Uuid]) -> Result<UnitOfWork> {
    if grant_ids.is_empty() {
        return Ok(work);
    }
    lock_grants(&mut work, grant_ids).await?;
    let on: BTreeSet<Uuid> = work.codes.device_ids().into_iter().collect();
    let of_request = |grant: &AccessGrant| grant_ids.contains(&grant.access_grant_id);
    let grants: Vec<AccessGrant> =
        work.codes.grants.iter().map(|locked| locked.grant.clone()).filter(of_request).collect();
    let covered = access_grants::covered_devices(&mut work.tx, &grants).await?;
    let names =
        access_grants::identity_names(&mut work.tx, grants.iter().map(|grant| grant.user_identity_id).collect())
            .await?;
    for locked in work.codes.grants.iter_mut().filter(|locked| of_request(&locked.grant)) {
        if let Some(covered) = covered.get(&locked.grant.access_grant_id) {
            let is_covered: BTreeSet<Uuid> = covered.device_ids.iter().copied().collect();
            locked.forget_conditions(|device_id| !is_covered.contains(&device_id));
        }
    }
    let (mut superfluous, mut left, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for locked in work.codes.grants.iter().filter(|locked| of_request(&locked.grant)) {
        let grant = &locked.grant;
        let covered = covered.get(&grant.access_grant_id).map_or(&[][..], |covered| &covered.device_ids);
        let difference = difference(grant, &locked.methods, covered, locked.codes(), work.now);
        // Offline codes stay: they end by themselves. Their locks, which may have left long ago, need not be locked.
        let is_offline = |id: &&Uuid| locked.codes().get(*id).is_some_and(|code| code.computed_for.is_some());
        superfluous.extend(difference.superfluous.iter().filter(|id| !is_offline(id)));
        left.push((grant.access_grant_id, difference.superfluous));
        let requests = difference.missing.into_iter().map(|(request, mut device_ids)| {
            device_ids.retain(|id| on.contains(id));
            (request, device_ids)
        });
        let requests: Vec<(usize, Vec<Uuid>)> = requests.filter(|(_, device_ids)| !device_ids.is_empty()).collect();
        if !requests.is_empty() {
            let preferred_code = locked.methods.iter().rev().find_map(|method| method.code.clone());
            let name = grant.name.clone().or_else(|| names.get(&grant.user_identity_id).cloned()).unwrap_or_default();
            let codes = CodesOfGrant { name, preferred_code };
            wanted.push(Wanted { access_grant_id: grant.access_grant_id, codes, requests });
        }
    }
    for (grant_id, access_code_ids) in left {
        if let Some(locked) = work.codes.grants.find_mut(grant_id) {
            locked.leave_locks(&access_code_ids, work.now);
        }
    }
    if !superfluous.is_empty() {
        work = remove(work, &superfluous).await?;
    }
    let device_ids: BTreeSet<Uuid> =
        wanted.iter().flat_map(|wanted| &wanted.requests).flat_map(|(_, ids)| ids.iter().copied()).collect();
    if device_ids.is_empty() {
        return Ok(work);
    }
    let mut started = GrantUnitOfWork::continue_from(work, &device_ids.into_iter().collect::<Vec<_>>()).await?;
    lock_grants(started.work(), grant_ids).await?;
    started.provision(wanted).await
}

/// Takes codes off their locks.
async fn remove(work: UnitOfWork, access_code_ids: &[Uuid]) -> Result<UnitOfWork> {
    let mut work = work.continue_with(Scope::Codes(access_code_ids)).await?;
    take_off(&mut work, access_code_ids)?;
    work.run(false).await?;
    Ok(work)
}
