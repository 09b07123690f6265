//! Unit of work that creates codes of access grants.

use super::checks::check_code_count;
use super::provision::{Wanted, commands, provision_all};
use crate::compute;
use crate::domain::access_grant::{AccessGrant, LockedGrant, Mode};
use crate::domain::caller::Visibility;
use crate::domain::event::event_type;
use crate::engine::app::App;
use crate::engine::create::CreateBatch;
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::access_grants::{self, Filter, Listed};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Number of locks above which choosing the PINs runs through [`compute::run`].
const MANY_LOCKS: usize = 20;

/// A unit of work with the locks of a grant locked. Without any lock there is nothing to read for their codes.
pub(super) enum GrantUnitOfWork {
    WithLocks(Box<CreateBatch>),
    WithoutLocks(Box<UnitOfWork>),
}

impl GrantUnitOfWork {
    /// Locks these devices. The caller must see the first `named` of them, which the request names.
    ///
    /// # Errors
    /// [`Error::NotFound`] of a device that the request names.
    pub(super) async fn begin(
        tx: Transaction,
        visibility: &Visibility,
        device_ids: &[Uuid],
        named: usize,
    ) -> Result<Self> {
        let everything = Visibility::all_of(visibility.workspace_id);
        let started = if device_ids.is_empty() {
            Self::WithoutLocks(Box::new(UnitOfWork::begin_in(tx, &everything, Scope::DevicesOnly(&[])).await?))
        } else {
            let commands = commands(visibility.workspace_id, device_ids);
            Self::WithLocks(Box::new(CreateBatch::begin_in(tx, visibility.workspace_id, &commands).await?))
        };
        if let Self::WithLocks(batch) = &started {
            let named = device_ids.get(..named).unwrap_or_default();
            for device_id in named {
                let locked = batch.work.codes.visible_device(*device_id, visibility)?;
                locked.device.check_managed().map_err(|_| Error::NotFound(Resource::Device))?;
            }
        }
        Ok(started)
    }

    /// Like [`GrantUnitOfWork::begin`], in the transaction of a unit of work that has locked these devices.
    pub(super) async fn continue_from(work: UnitOfWork, device_ids: &[Uuid]) -> Result<Self> {
        if device_ids.is_empty() {
            return Ok(Self::WithoutLocks(Box::new(work)));
        }
        let commands = commands(work.visibility.workspace_id, device_ids);
        Ok(Self::WithLocks(Box::new(CreateBatch::continue_from(work, &commands).await?)))
    }

    pub(super) fn work(&mut self) -> &mut UnitOfWork {
        match self {
            Self::WithLocks(batch) => &mut batch.work,
            Self::WithoutLocks(work) => work,
        }
    }

    /// Adds a new grant and records its creation.
    pub(super) fn add(&mut self, grant: AccessGrant) {
        let work = self.work();
        let mut locked = LockedGrant::new(grant, work.ids.clone(), work.clock);
        let times = (work.now, work.machine_now);
        locked.record(event_type::ACCESS_GRANT_CREATED, times, &mut work.codes.recorder.events);
        work.codes.grants.add(locked);
    }

    /// Returns all requested methods of a grant, each with these locks.
    pub(super) fn requests(&mut self, grant_id: Uuid, device_ids: &[Uuid]) -> Vec<(usize, Vec<Uuid>)> {
        let requested =
            self.work().codes.grants.find(grant_id).map_or(0, |locked| locked.grant.requested_access_methods.len());
        (0..requested).map(|request| (request, device_ids.to_vec())).collect()
    }

    /// Creates the codes that grants lack, and runs their first steps.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if these are too many codes.
    pub(super) async fn provision(self, wanted: Vec<Wanted>) -> Result<UnitOfWork> {
        match self {
            Self::WithLocks(mut batch) => {
                let locks =
                    wanted.iter().flat_map(|wanted| &wanted.requests).map(|(_, locks)| locks.len()).sum::<usize>();
                check_code_count(locks)?;
                compute::sized(locks > MANY_LOCKS, || provision_all(&mut batch, wanted)).await?;
                batch.run().await?;
                batch.write().await?;
                Ok(batch.work)
            }
            Self::WithoutLocks(mut work) => {
                let times = (work.now, work.machine_now);
                for Wanted { access_grant_id, requests, .. } in wanted {
                    let Some(locked) = work.codes.grants.find_mut(access_grant_id) else { continue };
                    let entries = &locked.grant.requested_access_methods;
                    let mode = |(request, _): &(usize, _)| entries.get(*request).map(|entry| entry.mode);
                    // Codes are created as soon as there are locks; cards and keys never.
                    if requests.iter().filter_map(mode).any(|mode| mode != Mode::Code) {
                        locked.report_creation(&BTreeSet::new(), true, times, &mut work.codes.recorder.events);
                    }
                }
                Ok(*work)
            }
        }
    }
}

/// Commits the unit of work and returns the grant as it is now.
pub(super) async fn finish(app: &App, mut work: UnitOfWork, grant_id: Uuid) -> Result<Listed> {
    work.write().await?;
    let filter = Filter { access_grant_ids: Some(&[grant_id]), ..Filter::default() };
    let found = access_grants::list_in(&mut work.tx, work.visibility.workspace_id, &filter).await?;
    work.finish(app).await?;
    found.into_iter().next().ok_or(Error::NotFound(Resource::AccessGrant))
}
