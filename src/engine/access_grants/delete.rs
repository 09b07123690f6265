//! Deletion of access grants and access methods. Their codes are taken off the locks first; what is deleted is gone with
//! its last code.

use super::{GrantReference, find, lock_grants};
use crate::domain::access_code::AccessCode;
use crate::domain::access_grant::{AccessMethod, LockedGrant};
use crate::domain::caller::Visibility;
use crate::engine::app::App;
use crate::engine::locked_workspace;
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::access_grants::{self, Filter, Listed};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Access methods to delete.
#[derive(Clone, Debug)]
pub(crate) enum MethodReference {
    Id(Uuid),
    OfGrant(Uuid),
    OfReservation(String),
}

/// Requests the deletion of a grant. A second request changes nothing.
///
/// # Errors
/// [`Error::NotFound`] of the grant.
pub(crate) async fn delete_grant(app: &App, visibility: &Visibility, access_grant_id: Uuid) -> Result<()> {
    let mut tx = locked_workspace::begin(app, visibility.workspace_id).await?;
    let listed = find(&mut tx, visibility, &GrantReference::Id(access_grant_id)).await?;
    delete_grants_in(tx, visibility.workspace_id, &[listed]).await?.finish(app).await?;
    Ok(())
}

/// Requests the deletion of grants, in a transaction that has locked the workspace.
///
/// # Errors
/// Those of the database.
pub(crate) async fn delete_grants_in(tx: Transaction, workspace_id: Uuid, grants: &[Listed]) -> Result<UnitOfWork> {
    let ids: BTreeSet<Uuid> = grants.iter().map(|listed| listed.grant.access_grant_id).collect();
    delete_in(tx, workspace_id, grants, &|grant_id, _| ids.contains(&grant_id), true).await
}

/// Requests the deletion of access methods; their grants stay. A second request changes nothing.
///
/// # Errors
/// [`Error::NotFound`] of the method or the grant.
pub(crate) async fn delete_methods(app: &App, visibility: &Visibility, reference: &MethodReference) -> Result<()> {
    let workspace_id = visibility.workspace_id;
    let mut tx = locked_workspace::begin(app, workspace_id).await?;
    let filter = Filter { customer_keys: visibility.customer_key.iter().cloned().collect(), ..Filter::default() };
    let (filter, missing) = match reference {
        MethodReference::Id(id) => {
            let ids = Some(std::slice::from_ref(id));
            (Filter { access_method_ids: ids, ..filter }, Some(Resource::AccessMethod))
        }
        MethodReference::OfGrant(id) => {
            let ids = Some(std::slice::from_ref(id));
            (Filter { access_grant_ids: ids, ..filter }, Some(Resource::AccessGrant))
        }
        MethodReference::OfReservation(key) => (Filter { reservation_key: Some(key), ..filter }, None),
    };
    let grants = access_grants::list_in(&mut tx, workspace_id, &filter).await?;
    if let Some(missing) = missing.filter(|_| grants.is_empty()) {
        return Err(Error::NotFound(missing));
    }
    let only = match reference {
        MethodReference::Id(id) => Some(*id),
        MethodReference::OfGrant(_) | MethodReference::OfReservation(_) => None,
    };
    let is_deleted = |_: Uuid, method_id: Uuid| only.is_none_or(|only| only == method_id);
    delete_in(tx, workspace_id, &grants, &is_deleted, false).await?.finish(app).await?;
    Ok(())
}

/// Requests the deletion of the methods that `is_deleted` selects by the ids of their grant and of themselves, and of
/// the grants if `with_grants`.
async fn delete_in(
    tx: Transaction,
    workspace_id: Uuid,
    grants: &[Listed],
    is_deleted: &(dyn Fn(Uuid, Uuid) -> bool + Sync),
    with_grants: bool,
) -> Result<UnitOfWork> {
    let mut code_ids = Vec::new();
    for listed in grants {
        let grant_id = listed.grant.access_grant_id;
        let originals = originals(&listed.methods);
        let has_deleted_pin = |code: &&AccessCode| {
            let original = code.access_method_id.and_then(|id| originals.get(&id).copied());
            code.access_method_id.into_iter().chain(original).any(|id| is_deleted(grant_id, id))
        };
        let codes = listed.codes.iter().map(|(code, _)| code).filter(has_deleted_pin);
        code_ids.extend(codes.map(|code| code.access_code_id));
    }
    let everything = Visibility::all_of(workspace_id);
    let mut work = UnitOfWork::begin_in(tx, &everything, Scope::Codes(&code_ids)).await?;
    let named: BTreeSet<Uuid> = code_ids.into_iter().collect();
    let grant_ids: Vec<Uuid> = grants.iter().map(|listed| listed.grant.access_grant_id).collect();
    lock_grants(&mut work, &grant_ids).await?;
    // A backup code may have been pulled before the devices were locked. The unit of work can have further grants: those
    // whose codes wait for a place on a lock.
    let is_named = |locked: &&LockedGrant| grant_ids.contains(&locked.grant.access_grant_id);
    let mut selected = Selected::default();
    work.codes.grants.iter().filter(is_named).for_each(|locked| selected.add(locked, is_deleted));
    let Selected { mut code_ids, mut split_off, mut locks_of_methods } = selected;
    work.codes.read(&mut work.tx, &[&code_ids[..], &split_off].concat()).await?;
    split_off.retain(|id| work.codes.find(*id).is_some_and(|code| !code.state.is_backup));
    code_ids.append(&mut split_off);
    // Codes that are kept as expired are deleted too.
    let kept = work.codes.iter().filter(|code| code.state.has_only_expired() && code.access_method_id.is_some());
    code_ids.extend(kept.map(|code| code.access_code_id).filter(|id| named.contains(id)));
    let now = work.now;
    take_off(&mut work, &code_ids)?;
    let times = (now, work.machine_now);
    let events = &mut work.codes.recorder.events;
    for locked in work.codes.grants.iter_mut().filter(|locked| grant_ids.contains(&locked.grant.access_grant_id)) {
        let grant_id = locked.grant.access_grant_id;
        if with_grants {
            locked.request_deletion(times, events);
            continue;
        }
        let mut deleted = BTreeMap::new();
        for method in locked.methods.iter_mut().filter(|method| is_deleted(grant_id, method.access_method_id)) {
            method.deletion_requested_at.get_or_insert(now);
            let locks = locks_of_methods.remove(&method.access_method_id).unwrap_or_default();
            deleted.insert(method.access_method_id, locks);
        }
        locked.close_requests(&deleted);
        // A method without codes is gone at once.
        for method_id in deleted.into_keys() {
            locked.evaluate(method_id, times, events);
        }
    }
    work.run(false).await?;
    Ok(work)
}

/// What the deletion of methods concerns.
#[derive(Debug, Default)]
struct Selected {
    /// Codes of the methods.
    code_ids: Vec<Uuid>,
    /// Codes on locks that a backup code has split off from one of the methods. Those that are no backup codes have its
    /// PIN.
    split_off: Vec<Uuid>,
    /// Locks of the methods.
    locks_of_methods: BTreeMap<Uuid, BTreeSet<Uuid>>,
}

impl Selected {
    /// Adds the methods of a grant that `is_deleted` selects.
    fn add(&mut self, locked: &LockedGrant, is_deleted: &(dyn Fn(Uuid, Uuid) -> bool + Sync)) {
        let grant_id = locked.grant.access_grant_id;
        let originals = originals(&locked.methods);
        for (access_code_id, code) in locked.codes() {
            if is_deleted(grant_id, code.access_method_id) {
                self.code_ids.push(*access_code_id);
                self.locks_of_methods.entry(code.access_method_id).or_default().insert(code.device_id);
            } else if originals.get(&code.access_method_id).is_some_and(|id| is_deleted(grant_id, *id)) {
                self.split_off.push(*access_code_id);
            }
        }
    }
}

/// Returns the methods that a backup code has split off, each with the method that had its lock before.
fn originals(methods: &[AccessMethod]) -> BTreeMap<Uuid, Uuid> {
    methods.iter().filter_map(|method| Some((method.access_method_id, method.original_access_method_id?))).collect()
}

/// Requests the deletion of codes. Offline codes cannot be taken off their locks: they leave the grant, and end by
/// themselves.
pub(super) fn take_off(work: &mut UnitOfWork, access_code_ids: &[Uuid]) -> Result<()> {
    let now = work.now;
    for access_code_id in access_code_ids {
        match work.codes.find(*access_code_id) {
            None => {}
            Some(code) if code.state.is_offline => work.codes.leave_grant(*access_code_id)?,
            Some(_) => work.codes.get_mut(*access_code_id)?.state.request_deletion(now),
        }
    }
    Ok(())
}
