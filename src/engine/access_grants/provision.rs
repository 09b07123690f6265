//! Creation of the access codes of a grant: which locks get a code, with which PIN, as part of which access method.
//! Rules: access grants §5.

use crate::cause::Cause;
use crate::domain::access_code::lifecycle::rare_fields::Issuance;
use crate::domain::access_grant::{
    AccessMethod, GrantWarning, LockedGrant, LockedGrants, Mode, TimeConstraint, WarningKind,
};
use crate::domain::caller::Visibility;
use crate::domain::device::Device;
use crate::domain::event::event_type;
use crate::domain::linked::{self, Assigned, PinRequest, WhenCodeCannotBeShared};
use crate::domain::locked_device::LockedDevice;
use crate::engine::commands::{CreateCommand, NewAccessCode, OfflineParams};
use crate::engine::create::{CreateBatch, check_start, check_time_zone};
use crate::error::{Error, Result};
use chrono::TimeDelta;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Locks with fewer places for codes get no backup pool: it would take too many of them.
const MIN_CAPACITY_FOR_POOL: u32 = 20;

/// Longest time frame of an offline code of dormakaba Oracode.
const MAX_OFFLINE_DURATION: TimeDelta = TimeDelta::days(31);

/// Properties that all codes of a grant have.
#[derive(Clone, Debug)]
pub(super) struct CodesOfGrant {
    /// Name of the codes: that of the grant, or else of its identity.
    pub name: String,
    /// PIN to use if all locks can have it and the client wishes no other.
    pub preferred_code: Option<String>,
}

/// Returns the requests by which a [`CreateBatch`] reads everything that decides codes on these devices.
pub(super) fn commands(workspace_id: Uuid, device_ids: &[Uuid]) -> Vec<CreateCommand> {
    let command = |offline| CreateCommand {
        visibility: Visibility::all_of(workspace_id),
        device_ids: device_ids.to_vec(),
        params: NewAccessCode { offline, attempt_for_offline_device: true, ..NewAccessCode::default() },
        linking: Some(WhenCodeCannotBeShared::CreateRandomCode),
        cause: Cause::default(),
    };
    let offline = OfflineParams {
        starts_at: crate::clock::MAX_TIMESTAMP,
        ends_at: None,
        is_one_time_use: false,
        max_time_rounding: crate::domain::offline::MaxTimeRounding::default(),
    };
    vec![command(None), command(Some(offline))]
}

/// Creation of codes for one grant.
pub(super) struct Provisioning<'a> {
    pub batch: &'a mut CreateBatch,
    pub grant: &'a mut LockedGrant,
    pub codes: &'a CodesOfGrant,
    /// True if a lock or a method could not be provided for, for a new reason.
    pub has_failed: bool,
    /// Locks that are full: their codes wait for a place.
    full: BTreeSet<Uuid>,
    /// Locks that the grant has reported as missing before.
    known_missing: Vec<Uuid>,
}

/// Codes to create for one grant.
#[derive(Debug)]
pub(super) struct Wanted {
    pub access_grant_id: Uuid,
    pub codes: CodesOfGrant,
    /// Positions in `requested_access_methods`, each with the locks that lack a code.
    pub requests: Vec<(usize, Vec<Uuid>)>,
}

/// Creates the codes that grants lack. The locks must be those of the batch.
pub(super) fn provision_all(batch: &mut CreateBatch, wanted: Vec<Wanted>) -> Result<()> {
    let mut grants: LockedGrants = std::mem::take(&mut batch.work.codes.grants);
    for Wanted { access_grant_id, codes, requests } in wanted {
        let Some(grant) = grants.find_mut(access_grant_id) else { continue };
        let known_missing = grant.grant.conditions.missing_device_ids.clone();
        let (batch, codes, full) = (&mut *batch, &codes, BTreeSet::new());
        let mut provisioning = Provisioning { batch, grant, codes, has_failed: false, full, known_missing };
        for (request, device_ids) in &requests {
            provisioning.provision(*request, device_ids)?;
        }
        let Provisioning { has_failed, full, .. } = provisioning;
        let times = (batch.work.now, batch.work.machine_now);
        grant.report_creation(&full, has_failed, times, &mut batch.work.codes.recorder.events);
    }
    grants.register_methods();
    batch.work.codes.grants = grants;
    // A method must not be issued before all its new codes are counted.
    batch.work.codes.update_codes_of_grants();
    Ok(())
}

impl Provisioning<'_> {
    /// Creates the codes of one requested method on these locks. Locks that cannot have one are noted on the grant.
    fn provision(&mut self, request: usize, device_ids: &[Uuid]) -> Result<()> {
        let Some(requested) = self.grant.grant.requested_access_methods.get(request) else { return Ok(()) };
        let (mode, wish) = (requested.mode, requested.code.clone());
        if mode != Mode::Code {
            // Nothing here carries cards and keys.
            self.has_failed = true;
            return Ok(());
        }
        let (mut online, mut offline) = (Vec::new(), Vec::new());
        for device_id in device_ids {
            let unfit = self.unfitness(*device_id);
            if !matches!(unfit, Some(Unfit::Missing)) {
                self.grant.grant.conditions.missing_device_ids.retain(|id| id != device_id);
            }
            match unfit {
                Some(Unfit::Missing) => self.add_missing(*device_id),
                Some(Unfit::Warning(kind)) => self.warn(*device_id, kind),
                // The code waits for a place, as a code does whose lock got full before it was set.
                Some(Unfit::Full) => {
                    self.full.insert(*device_id);
                    self.has_failed = true;
                    online.push(*device_id);
                }
                None => {
                    let device = &self.batch.work.codes.device(*device_id)?.device;
                    if device.can_program_online_access_codes() { &mut online } else { &mut offline }.push(*device_id);
                }
            }
        }
        self.provision_online(request, &online, wish)?;
        for device_id in offline {
            self.provision_offline(request, device_id)?;
        }
        // All locks were left out.
        let is_known = self.grant.grant.conditions.not_created_since.is_some();
        let is_left_out = !device_ids.is_empty() && self.grant.methods.iter().all(|method| method.request != request);
        self.has_failed |= is_left_out && !is_known;
        Ok(())
    }

    /// Creates the codes on locks that are programmed: one PIN for all that can have it.
    fn provision_online(&mut self, request: usize, device_ids: &[Uuid], wish: Option<String>) -> Result<()> {
        if device_ids.is_empty() {
            return Ok(());
        }
        let existing = self.grant.methods.iter().find(|method| {
            let is_open = method.deletion_requested_at.is_none();
            // While the provider of its only lock has not chosen the PIN, no other lock can have it.
            method.request == request && method.common_code_key.is_some() && method.code.is_some() && is_open
        });
        let existing = existing.map(|method| (method.access_method_id, method.code.clone()));
        // Several Salto locks get one PIN that is drawn for all of them.
        let is_salto = |id: &&Uuid| {
            self.batch.work.codes.device(**id).is_ok_and(|locked| locked.device.brand.provider == "salto_ks")
        };
        let wish = wish.filter(|_| existing.is_none() && device_ids.iter().filter(is_salto).count() <= 1);
        let fixed = existing.as_ref().and_then(|(_, code)| code.clone()).or_else(|| wish.clone());
        self.grant.release_pins(&mut self.batch.reservations);
        let assigned = self.assign(device_ids, fixed.as_deref())?;
        let mut shared_method = existing.map(|(id, _)| id);
        for (device_id, assigned) in device_ids.iter().zip(assigned) {
            let Some(Assigned { code, is_shared }) = assigned else {
                self.add_missing(*device_id);
                continue;
            };
            let is_known = !self.batch.work.codes.device(*device_id)?.device.provider_chooses_codes();
            let (method_id, code) = match shared_method.filter(|_| is_shared) {
                Some(method_id) => (method_id, code),
                None => match self.unused_method(request, *device_id).filter(|_| !is_shared && is_known) {
                    Some(unused) => unused,
                    None => (self.add_method(request, Some(code.clone()).filter(|_| is_known), is_shared), code),
                },
            };
            if is_shared {
                shared_method = Some(method_id);
            }
            if let Some(wish) = wish.as_ref().filter(|wish| **wish != code && is_known) {
                let kind =
                    WarningKind::RequestedCodeUnavailable { original_code: wish.clone(), new_code: code.clone() };
                self.warn(*device_id, kind);
            }
            self.add_code(*device_id, (code, is_shared), method_id)?;
        }
        Ok(())
    }

    /// Returns a method for a single lock that has no code any more, because the grant had ended, with its PIN. `None` if
    /// there is none whose PIN the lock can have.
    fn unused_method(&self, request: usize, device_id: Uuid) -> Option<(Uuid, String)> {
        let work = &self.batch.work;
        let locked = work.codes.device(device_id).ok()?;
        let is_unused = |method: &&AccessMethod| {
            let is_single = method.request == request && method.common_code_key.is_none();
            let is_open = method.deletion_requested_at.is_none() && method.original_access_method_id.is_none();
            let is_taken = work.codes.iter().any(|code| code.access_method_id == Some(method.access_method_id));
            is_single && is_open && !is_taken && !self.grant.has_codes(method.access_method_id)
        };
        self.grant.methods.iter().filter(is_unused).find_map(|method| {
            let code = method.code.as_deref()?;
            let request = PinRequest { code: Some(code), ..self.pin_request(locked) };
            let is_free = linked::assign_one(&locked.device, &self.batch.reservations, &request, |_| 0).is_ok();
            is_free.then(|| (method.access_method_id, code.to_owned()))
        })
    }

    /// Adds a method and records its creation. Codes of a method with several locks are linked.
    fn add_method(&mut self, request: usize, code: Option<String>, is_shared: bool) -> Uuid {
        let work = &mut self.batch.work;
        let ordinal = self.grant.grant.next_child();
        let id = work.ids.id("access_method", self.grant.grant.access_grant_id, ordinal, work.machine_now);
        let method = AccessMethod {
            code,
            common_code_key: is_shared.then(|| AccessMethod::key_of(id)),
            ..AccessMethod::new(id, &self.grant.grant, request, work.now)
        };
        self.grant.methods.push(method);
        let times = (work.now, work.machine_now);
        let events = &mut work.codes.recorder.events;
        self.grant.record_of_method(id, event_type::ACCESS_METHOD_CREATED, times, events);
        id
    }

    /// Adds the code of a method on a lock.
    fn add_code(&mut self, device_id: Uuid, (pin, is_shared): (String, bool), method_id: Uuid) -> Result<()> {
        let (now, window) = (self.batch.work.now, self.grant.grant.window());
        let params = NewAccessCode {
            name: Some(self.codes.name.clone()),
            window,
            prefer_native_scheduling: true,
            ..NewAccessCode::default()
        };
        let key = is_shared.then(|| AccessMethod::key_of(method_id));
        if let Some(key) = &key {
            let account_id = self.batch.work.codes.device(device_id)?.device.connected_account_id;
            self.batch.join_group(key, &pin, BTreeSet::from([account_id]));
        }
        let mut code = self.batch.new_code(device_id, &params, (pin, key))?;
        code.access_method_id = Some(method_id);
        let lock_was_full = self.full.contains(&device_id);
        code.state.rare_fields.issuance = Some(Issuance { lock_was_full, ..Issuance::since(now) });
        let command = self.command(vec![device_id]);
        self.batch.add(code, &command)?;
        let device = &self.batch.work.codes.device(device_id)?.device;
        let has_room = device.capacity().is_none_or(|capacity| capacity >= MIN_CAPACITY_FOR_POOL);
        if window.is_some() && has_room && device.supports_backup_pool() && device.brand.provider != "salto_ks" {
            self.batch.enable_pool(device_id)?;
        }
        Ok(())
    }

    /// Creates the code on a lock whose manufacturer computes PINs. Such a PIN is a method of its own.
    fn provision_offline(&mut self, request: usize, device_id: Uuid) -> Result<()> {
        let grant = &self.grant.grant;
        let Some(window) = grant.window() else {
            let reason = TimeConstraint::OngoingNotSupported;
            self.warn(device_id, WarningKind::DeviceTimeConstraintsViolated { reason });
            return Ok(());
        };
        let offline = OfflineParams {
            starts_at: window.starts_at,
            ends_at: Some(window.ends_at),
            is_one_time_use: false,
            max_time_rounding: crate::domain::offline::MaxTimeRounding::default(),
        };
        let mut command = self.command(vec![device_id]);
        command.params.name = Some(self.codes.name.clone());
        command.params.offline = Some(offline);
        match self.batch.add_offline(&command) {
            Ok(ids) => {
                for id in ids {
                    let pin = self.batch.work.codes.get(id)?.state.requested.code.clone();
                    let method_id = match self.method_of_offline_code(request, device_id) {
                        Some(method) => {
                            method.code = Some(pin);
                            method.access_method_id
                        }
                        None => self.add_method(request, Some(pin), false),
                    };
                    let issuance = Issuance { computed_for: Some(window), ..Issuance::since(self.batch.work.now) };
                    let code = self.batch.work.codes.get_mut(id)?;
                    code.access_method_id = Some(method_id);
                    code.state.rare_fields.issuance = Some(issuance);
                }
            }
            Err(Error::InvalidInput { .. }) => {
                let is_long = window.ends_at - window.starts_at > MAX_OFFLINE_DURATION;
                let reason =
                    if is_long { TimeConstraint::DurationExceedsMax } else { TimeConstraint::TimesDoNotMatchSlots };
                self.warn(device_id, WarningKind::DeviceTimeConstraintsViolated { reason });
            }
            Err(Error::Internal(error)) => return Err(Error::Internal(error)),
            Err(_) => self.add_missing(device_id),
        }
        Ok(())
    }

    /// Returns the method of the offline code that this lock has for earlier times of the grant.
    fn method_of_offline_code(&mut self, request: usize, device_id: Uuid) -> Option<&mut AccessMethod> {
        let codes = self.grant.codes().values();
        let of_lock = codes.filter(|code| code.device_id == device_id && code.computed_for.is_some());
        let ids: BTreeSet<Uuid> = of_lock.map(|code| code.access_method_id).collect();
        let is_usable = |method: &&mut AccessMethod| {
            method.request == request
                && ids.contains(&method.access_method_id)
                && method.deletion_requested_at.is_none()
        };
        self.grant.methods.iter_mut().find(is_usable)
    }

    /// Chooses the PINs of these locks, in their order: `fixed` for all that can have it, or else the preferred one of
    /// the identity if all can have it, or else one that is drawn. `None`: no PIN is left on the lock.
    fn assign(&mut self, device_ids: &[Uuid], fixed: Option<&str>) -> Result<Vec<Option<Assigned>>> {
        let work = &self.batch.work;
        let locked: Vec<_> = device_ids.iter().map(|id| work.codes.device(*id)).collect::<Result<_>>()?;
        let Some(first) = locked.first() else { return Ok(Vec::new()) };
        let (first_id, first_ordinal) = (first.device.device_id, first.next_ordinal());
        let (ids, mut draws) = (&work.ids, 0);
        let mut draw = |bound| {
            draws += 1;
            ids.draw("pin", first_id, (first_ordinal << 16) + draws, bound)
        };
        let devices: Vec<&Device> = locked.iter().map(|locked| &locked.device).collect();
        let request = self.pin_request(first);
        let behavior = WhenCodeCannotBeShared::CreateRandomCode;
        let reservations = &self.batch.reservations;
        if let Some(preferred) = self.codes.preferred_code.as_deref().filter(|_| fixed.is_none()) {
            let request = PinRequest { code: Some(preferred), ..request.clone() };
            if let Ok(assigned) = linked::assign_many(&devices, reservations, &request, behavior, &mut draw)
                && assigned.iter().all(|assigned| assigned.is_shared)
            {
                return Ok(assigned.into_iter().map(Some).collect());
            }
        }
        let request = PinRequest { code: fixed, ..request };
        match linked::assign_many(&devices, reservations, &request, behavior, &mut draw) {
            Ok(assigned) => Ok(assigned.into_iter().map(Some).collect()),
            Err(Error::NoFreeCode) => {
                // Some of the locks have no PIN left: the others get PINs of their own.
                let own = PinRequest { code: None, ..request };
                let one = |device: &&Device| linked::assign_one(device, reservations, &own, &mut draw).ok();
                let codes: Vec<Option<String>> = devices.iter().map(one).collect();
                Ok(codes.into_iter().map(|code| Some(Assigned { code: code?, is_shared: false })).collect())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the request for a PIN of this grant on a lock.
    fn pin_request(&self, locked: &LockedDevice) -> PinRequest<'static> {
        PinRequest {
            window: self.grant.grant.window(),
            same_code: locked.settings.same_code,
            avoids_unmanaged: true,
            ..PinRequest::at(self.batch.work.now)
        }
    }

    /// Returns the reason why a lock cannot have a code of the grant.
    fn unfitness(&self, device_id: Uuid) -> Option<Unfit> {
        let work = &self.batch.work;
        let Ok(locked) = work.codes.device(device_id) else { return Some(Unfit::Missing) };
        let (device, window) = (&locked.device, self.grant.grant.window());
        if !device.can_program_online_access_codes() && !device.can_program_offline_access_codes() {
            return Some(Unfit::Warning(WarningKind::DeviceDoesNotSupportAccessCodes));
        }
        if !device.is_managed || device.health.removed_at.is_some() {
            return Some(Unfit::Missing);
        }
        if !device.can_program_online_access_codes() {
            return None;
        }
        let request = PinRequest { window, ..PinRequest::at(work.now) };
        if check_time_zone(device, window).and_then(|()| check_start(locked, window, work.now)).is_err() {
            return Some(Unfit::Missing);
        }
        linked::check_capacity(device, &self.batch.reservations, &request).err().map(|_| Unfit::Full)
    }

    fn command(&self, device_ids: Vec<Uuid>) -> CreateCommand {
        CreateCommand {
            visibility: self.batch.work.visibility.clone(),
            device_ids,
            params: NewAccessCode::default(),
            linking: Some(WhenCodeCannotBeShared::CreateRandomCode),
            cause: Cause::default(),
        }
    }

    fn add_missing(&mut self, device_id: Uuid) {
        let conditions = &mut self.grant.grant.conditions;
        if !conditions.missing_device_ids.contains(&device_id) {
            conditions.missing_device_ids.push(device_id);
            self.has_failed |= !self.known_missing.contains(&device_id);
        }
    }

    fn warn(&mut self, device_id: Uuid, kind: WarningKind) {
        let created_at = self.batch.work.now;
        let warnings = &mut self.grant.grant.conditions.warnings;
        if !warnings.iter().any(|warning| warning.device_id == device_id && warning.kind == kind) {
            warnings.push(GrantWarning { device_id, created_at, kind });
        }
    }
}

/// Reason why a lock cannot have a code of a grant.
enum Unfit {
    /// It may be able to have one later.
    Missing,
    /// It has no place for one now.
    Full,
    /// It is left out.
    Warning(WarningKind),
}
