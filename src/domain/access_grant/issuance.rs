//! Issuance of access methods: what happens to a method when its codes change. A method is issued as soon as all of its
//! codes are ready for the guest, and it is gone with the last of its codes after its deletion.

use super::locked_grants::{LockedGrant, LockedGrants};
use super::{AccessMethod, MethodCode, Mode, RequestedAccessMethod};
use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::client_session::add_missing;
use crate::domain::event::{NewEvent, event_type};
use crate::domain::locked_device::LockedDevice;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

impl LockedGrants {
    /// Brings the method of a code in line with its present state at `at`, and adds the events.
    pub(crate) fn code_changed(
        &mut self,
        code: &AccessCode,
        locked: &LockedDevice,
        (at, machine_now): (Timestamp, Timestamp),
        events: &mut Vec<NewEvent>,
    ) {
        self.update_code(code, locked);
        let Some(access_method_id) = code.access_method_id else { return };
        if let Some(grant) = self.of_method_mut(access_method_id) {
            grant.evaluate(access_method_id, (at, machine_now), events);
        }
    }

    /// Takes over the present state of a code, without effect on its method.
    pub(crate) fn update_code(&mut self, code: &AccessCode, locked: &LockedDevice) {
        let Some(access_method_id) = code.access_method_id else { return };
        let Some(grant) = self.of_method_mut(access_method_id) else { return };
        let had_full_locks = grant.has_full_locks();
        grant.update_code(code.access_code_id, MethodCode::of(code, locked.device.reachable_since.is_some()));
        if had_full_locks {
            grant.end_failure_to_create();
        }
        if let Some(known) = code.known_code().filter(|_| !code.state.is_backup)
            && let Some(method) = grant.method_mut(access_method_id)
            && method.code.is_none()
        {
            method.code = Some(known.to_owned());
        }
    }

    /// Brings all methods of the grants of a workspace in line with their codes at `at`, and adds the events.
    pub(crate) fn evaluate_in(
        &mut self,
        workspace_id: Uuid,
        times: (Timestamp, Timestamp),
        events: &mut Vec<NewEvent>,
    ) {
        for grant in self.iter_mut().filter(|locked| locked.grant.workspace_id == workspace_id) {
            let methods: Vec<Uuid> = grant.methods.iter().map(|method| method.access_method_id).collect();
            for method_id in methods {
                grant.evaluate(method_id, times, events);
            }
        }
    }

    /// Hands the lock of a code over to its backup code, which was just pulled, at `at`. If the method has other codes,
    /// both codes move to a new method with the PIN of the backup code. Otherwise the method itself takes that PIN.
    pub(crate) fn backup_pulled(
        &mut self,
        (code, backup): (&mut AccessCode, &mut AccessCode),
        locked: &LockedDevice,
        (at, machine_now): (Timestamp, Timestamp),
        events: &mut Vec<NewEvent>,
    ) {
        let Some(original_id) = code.access_method_id else { return };
        let Some(grant) = self.of_method_mut(original_id) else { return };
        let counts = grant.counts(original_id);
        let pin = Some(backup.state.requested.code.clone());
        let method_id = if counts.live() > 1 {
            let ordinal = grant.grant.next_child();
            let new_id = grant.ids.id("access_method", grant.grant.access_grant_id, ordinal, machine_now);
            let request = grant.method_mut(original_id).map_or(0, |method| method.request);
            let split = AccessMethod {
                original_access_method_id: Some(original_id),
                code: pin,
                backup_pulled_at: Some(at),
                ..AccessMethod::new(new_id, &grant.grant, request, at)
            };
            grant.methods.push(split);
            grant.record_of_method(new_id, event_type::ACCESS_METHOD_CREATED, (at, machine_now), events);
            new_id
        } else {
            if let Some(method) = grant.method_mut(original_id) {
                method.code = pin;
                method.backup_pulled_at = Some(at);
                // The guest gets another PIN.
                method.issued_at = None;
            }
            original_id
        };
        code.access_method_id = Some(method_id);
        backup.access_method_id = Some(method_id);
        let is_reachable = locked.device.reachable_since.is_some();
        for code in [&*code, &*backup] {
            grant.update_code(code.access_code_id, MethodCode::of(code, is_reachable));
        }
        grant.evaluate(method_id, (at, machine_now), events);
        grant.evaluate(original_id, (at, machine_now), events);
        self.register_methods();
    }
}

impl LockedGrant {
    /// Brings a method in line with its codes at `at`, and adds the events.
    pub(crate) fn evaluate(
        &mut self,
        access_method_id: Uuid,
        times: (Timestamp, Timestamp),
        events: &mut Vec<NewEvent>,
    ) {
        let (at, counts) = (times.0, self.counts(access_method_id));
        let is_over = self.grant.ends_at.is_some_and(|ends_at| ends_at <= at);
        let is_without_place = counts.without_place > 0 && counts.without_place == counts.live();
        let Some(method) = self.method_mut(access_method_id) else { return };
        if method.deletion_requested_at.is_some() {
            if counts.live() + counts.over == 0 {
                self.remove(access_method_id, times, events);
            }
        } else if counts.live() == 0 {
            // The grant is over, or all locks were lost.
            let was_issued = method.issued_at.take().is_some();
            if is_over || counts.over == 0 {
                (method.delayed_at, method.failed_at, method.changing_times) = (None, None, None);
            }
            if counts.over == 0 {
                // The backup code is gone: another code with its PIN is an ordinary one.
                method.backup_pulled_at = None;
            }
            if was_issued {
                self.record_of_method(access_method_id, event_type::ACCESS_METHOD_REVOKED, times, events);
            }
            self.end_change_of_times();
        } else if method.issued_at.is_some() {
            if counts.disturbed > 0 {
                method.issued_at = None;
                self.record_of_method(access_method_id, event_type::ACCESS_METHOD_REVOKED, times, events);
            }
        } else if counts.pending == 0 && counts.ready > 0 && method.code.is_some() && !is_over {
            self.issue(access_method_id, times, events);
        } else if method.was_issued && counts.disturbed > 0 {
            // A change at the lock is being reverted: the guest had the code before.
        } else if counts.failed > 0 {
            if method.failed_at.is_none() {
                (method.delayed_at, method.failed_at) = (None, Some(at));
                self.record_of_method(access_method_id, event_type::ACCESS_METHOD_FAILED_TO_ISSUE, times, events);
            }
        } else if counts.late > 0 && method.delayed_at.is_none() {
            method.delayed_at = Some(at);
            self.record_of_method(access_method_id, event_type::ACCESS_METHOD_DELAY_IN_ISSUING, times, events);
        }
        if let Some(method) = self.method_mut(access_method_id).filter(|_| is_without_place) {
            // No lock has a code whose times could be changed. The grant reports the full locks.
            method.changing_times = None;
            self.end_change_of_times();
        }
        self.report_access_to_all_doors(times, events);
    }

    /// Marks a method as issued.
    fn issue(&mut self, access_method_id: Uuid, times: (Timestamp, Timestamp), events: &mut Vec<NewEvent>) {
        let at = times.0;
        let Some(method) = self.method_mut(access_method_id) else { return };
        let event_type =
            if method.was_issued { event_type::ACCESS_METHOD_REISSUED } else { event_type::ACCESS_METHOD_ISSUED };
        method.issued_at = Some(at);
        method.was_issued = true;
        (method.delayed_at, method.failed_at, method.changing_times) = (None, None, None);
        self.record_of_method(access_method_id, event_type, times, events);
        self.end_change_of_times();
    }

    /// Records that the guest has access to all doors, as soon as all methods are issued for the first time.
    fn report_access_to_all_doors(&mut self, times: (Timestamp, Timestamp), events: &mut Vec<NewEvent>) {
        if self.grant.granted_at.is_none()
            && self.grant.deletion_requested_at.is_none()
            && self.grant.conditions.not_created_since.is_none()
            && self.methods_with_locks().next().is_some()
            && self.methods_with_locks().all(|method| method.issued_at.is_some())
        {
            self.grant.granted_at = Some(times.0);
            self.record(event_type::ACCESS_GRANT_ACCESS_GRANTED_TO_ALL_DOORS, times, events);
        }
    }

    /// Marks the entries of `requested_access_methods` whose methods are all being deleted, if one of them is among
    /// these. An entry that keeps another method remembers the locks of those that are deleted. `deleted` are the ids of
    /// methods, each with its locks.
    pub(crate) fn close_requests(&mut self, deleted: &BTreeMap<Uuid, BTreeSet<Uuid>>) {
        for (request, entry) in self.grant.requested_access_methods.iter_mut().enumerate() {
            let of_entry = self.methods.iter().filter(|method| method.request == request);
            let named = of_entry.clone().filter_map(|method| deleted.get(&method.access_method_id));
            let named: Vec<&BTreeSet<Uuid>> = named.collect();
            let is_complete = of_entry.clone().all(|method| method.deletion_requested_at.is_some());
            entry.is_deleted |= is_complete && !named.is_empty();
            if !is_complete {
                let locks: Vec<Uuid> = named.into_iter().flatten().copied().collect();
                add_missing(&mut entry.deleted_device_ids, &locks);
            }
        }
        let is_requested = |entry: &RequestedAccessMethod| entry.mode == Mode::Code && !entry.is_deleted;
        if !self.grant.requested_access_methods.iter().any(is_requested) {
            self.grant.conditions.missing_device_ids.clear();
        }
        self.end_failure_to_create();
    }

    /// Forgets what went wrong on locks that have left the grant.
    pub(crate) fn forget_conditions(&mut self, has_left: impl Fn(Uuid) -> bool) {
        let conditions = &mut self.grant.conditions;
        conditions.missing_device_ids.retain(|device_id| !has_left(*device_id));
        conditions.warnings.retain(|warning| !has_left(warning.device_id));
        for entry in &mut self.grant.requested_access_methods {
            entry.deleted_device_ids.retain(|device_id| !has_left(*device_id));
        }
        self.end_failure_to_create();
    }

    /// Forgets the reasons for which these locks were left out: they may have changed.
    pub(crate) fn forget_unfit(&mut self, device_ids: &[Uuid]) {
        self.grant
            .conditions
            .warnings
            .retain(|warning| !(warning.is_unfit() && device_ids.contains(&warning.device_id)));
    }

    /// Shows the result of a creation of codes: an error while a lock or a requested method lacks its code. `full` are the
    /// locks on which new codes wait for a place. With `is_new`, for a new reason, there is an event.
    pub(crate) fn report_creation(
        &mut self,
        full: &BTreeSet<Uuid>,
        is_new: bool,
        times: (Timestamp, Timestamp),
        events: &mut Vec<NewEvent>,
    ) {
        if self.end_failure_to_create() && full.is_empty() {
            return;
        }
        let conditions = &mut self.grant.conditions;
        conditions.not_created_since.get_or_insert(times.0);
        if !is_new {
            return;
        }
        let mut payload = json!({ "error_message": "Some of the requested access methods could not be created." });
        let missing: BTreeSet<&Uuid> = conditions.missing_device_ids.iter().chain(full).collect();
        if !missing.is_empty() {
            payload["missing_device_ids"] = json!(missing);
        }
        self.record_with(event_type::ACCESS_GRANT_COULD_NOT_CREATE, payload, times, events);
    }

    /// Clears the error that methods could not be created, if no lock is missing and each requested method was created.
    /// Returns false if the error remains.
    fn end_failure_to_create(&mut self) -> bool {
        let entries = self.grant.requested_access_methods.iter().enumerate().filter(|(_, entry)| !entry.is_deleted);
        let mut entries = entries.map(|(request, _)| request);
        let is_created = |request| self.methods.iter().any(|method| method.request == request);
        let is_complete =
            self.grant.conditions.missing_device_ids.is_empty() && !self.has_full_locks() && entries.all(is_created);
        if is_complete {
            self.grant.conditions.not_created_since = None;
        }
        is_complete
    }

    /// Marks methods for a single lock as being deleted if all their codes are among these, which are taken off their
    /// locks. A method for several locks stays: its PIN is used for locks that join later.
    pub(crate) fn leave_locks(&mut self, access_code_ids: &[Uuid], now: Timestamp) {
        let stays = self.codes().iter().filter(|(access_code_id, _)| !access_code_ids.contains(access_code_id));
        let stays: BTreeSet<Uuid> = stays.map(|(_, code)| code.access_method_id).collect();
        let leaves = self.codes().iter().filter(|(access_code_id, _)| access_code_ids.contains(access_code_id));
        let leaves: BTreeSet<Uuid> = leaves.map(|(_, code)| code.access_method_id).collect();
        for method in &mut self.methods {
            let id = method.access_method_id;
            if method.common_code_key.is_none() && leaves.contains(&id) && !stays.contains(&id) {
                method.deletion_requested_at.get_or_insert(now);
            }
        }
    }

    /// Ends the change of times of the methods that have no code for the new times and get none: nothing is being
    /// changed. Those for a single lock are deleted, unless an earlier code is still on its lock.
    pub(crate) fn close_methods_without_codes(&mut self, times: (Timestamp, Timestamp), events: &mut Vec<NewEvent>) {
        let with_codes: BTreeSet<Uuid> = self.methods_with_locks().map(|method| method.access_method_id).collect();
        let without_codes = self.methods.iter_mut().filter(|method| !with_codes.contains(&method.access_method_id));
        let mut unused = Vec::new();
        for method in without_codes {
            method.changing_times = None;
            if method.common_code_key.is_none() {
                method.deletion_requested_at.get_or_insert(times.0);
                unused.push(method.access_method_id);
            }
        }
        for access_method_id in unused {
            self.evaluate(access_method_id, times, events);
        }
        self.end_change_of_times();
    }

    /// Ends the change of times of the grant if no method waits for it.
    fn end_change_of_times(&mut self) {
        if self.methods.iter().all(|method| method.changing_times.is_none()) {
            self.grant.changing_times = None;
        }
    }

    /// Marks the grant and its methods as being deleted. What has no codes is gone at once.
    pub(crate) fn request_deletion(&mut self, times: (Timestamp, Timestamp), events: &mut Vec<NewEvent>) {
        self.grant.deletion_requested_at.get_or_insert(times.0);
        for method in &mut self.methods {
            method.deletion_requested_at.get_or_insert(times.0);
        }
        let ids: Vec<Uuid> = self.methods.iter().map(|method| method.access_method_id).collect();
        for method_id in ids {
            self.evaluate(method_id, times, events);
        }
        if self.methods.is_empty() && !self.is_gone {
            self.remove_grant(times, events);
        }
    }

    /// Removes a method without codes, and with the last method also a grant that is being deleted.
    pub(crate) fn remove(&mut self, access_method_id: Uuid, times: (Timestamp, Timestamp), events: &mut Vec<NewEvent>) {
        self.record_of_method(access_method_id, event_type::ACCESS_METHOD_DELETED, times, events);
        self.methods.retain(|method| method.access_method_id != access_method_id);
        self.gone_methods.push(access_method_id);
        self.end_change_of_times();
        if self.methods.is_empty() && self.grant.deletion_requested_at.is_some() {
            self.remove_grant(times, events);
        }
    }

    /// Removes a grant without methods.
    pub(crate) fn remove_grant(&mut self, times: (Timestamp, Timestamp), events: &mut Vec<NewEvent>) {
        self.is_gone = true;
        self.record(event_type::ACCESS_GRANT_DELETED, times, events);
    }

    /// Adds an event of the grant.
    pub(crate) fn record(
        &mut self,
        event_type: &'static str,
        times: (Timestamp, Timestamp),
        events: &mut Vec<NewEvent>,
    ) {
        self.record_with(event_type, json!({}), times, events);
    }

    /// Adds an event of the grant with further fields, an object.
    pub(crate) fn record_with(
        &mut self,
        event_type: &'static str,
        mut payload: Value,
        (at, machine_now): (Timestamp, Timestamp),
        events: &mut Vec<NewEvent>,
    ) {
        let (id, ordinal) = (self.grant.access_grant_id, self.grant.next_child());
        payload["access_grant_id"] = json!(id);
        let event_id = self.ids.id("event", id, ordinal, machine_now);
        let times = (at, self.clock.recorded_at(at, machine_now));
        events.push(NewEvent::with_payload(event_id, self.grant.workspace_id, event_type, times, payload));
    }

    /// Adds an event of a method.
    pub(crate) fn record_of_method(
        &mut self,
        access_method_id: Uuid,
        event_type: &'static str,
        (at, machine_now): (Timestamp, Timestamp),
        events: &mut Vec<NewEvent>,
    ) {
        let Some(method) = self.methods.iter_mut().find(|method| method.access_method_id == access_method_id) else {
            return;
        };
        let mut payload = json!({
            "access_method_id": access_method_id,
            "access_grant_ids": [self.grant.access_grant_id],
        });
        if let Some(key) = &self.grant.access_grant_key {
            payload["access_grant_keys"] = json!([key]);
        }
        if matches!(event_type, event_type::ACCESS_METHOD_ISSUED | event_type::ACCESS_METHOD_REISSUED) {
            payload["code"] = json!(method.code);
            if method.backup_pulled_at.is_some() {
                payload["is_backup_code"] = json!(true);
            }
        }
        let event_id = self.ids.id("event", access_method_id, method.next_child(), machine_now);
        let times = (at, self.clock.recorded_at(at, machine_now));
        events.push(NewEvent::with_payload(event_id, method.workspace_id, event_type, times, payload));
    }
}
