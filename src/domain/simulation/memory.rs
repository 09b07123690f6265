//! Memory of locks: the part of its content that can make an operation fail.

use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::LockCode;
use crate::domain::access_code::lifecycle::rare_fields::{
    CODE_CONSTRAINTS_VIOLATED, DUPLICATE_CODE_ON_DEVICE, Duplicate, NO_SPACE_ON_DEVICE, OperationError,
};
use crate::domain::device::Device;
use crate::domain::linked::{Period, digits_rejection_reason, peak};
use crate::ids::ordinal_after;
use std::collections::HashMap;
use uuid::Uuid;

/// Code in the memory of a lock.
#[derive(Clone, Debug)]
pub(crate) struct CodeInMemory {
    pub access_code_id: Uuid,
    pub is_managed: bool,
    /// PIN.
    pub code: String,
}

/// Content of the memory of several locks, limited to what can make an operation of the run fail.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Per device: codes on the lock, at least all with a PIN that the run may set.
    pub held: HashMap<Uuid, Vec<CodeInMemory>>,
    /// Per device with limited capacity: number of codes on the lock.
    pub counts: HashMap<Uuid, i64>,
    /// Per device with limited capacity on which backup codes may be set: the guest codes, each with the period in
    /// which it uses space. Guest code: a code that uses space in the memory and is not in a backup pool. Guest codes
    /// have priority over backup codes. Includes guest codes that will be set later.
    pub guest_codes: HashMap<Uuid, HashMap<Uuid, Period>>,
}

impl Memory {
    /// Returns true if the lock has no space for one more code. For a backup code, the space that guest codes need at
    /// their most crowded instant, now or later, counts as used. `spare_backups` is the number of backup codes on the
    /// lock that can be pulled.
    fn is_full(&self, device: &Device, code: &AccessCode, spare_backups: i64) -> bool {
        let Some(capacity) = device.capacity().map(i64::from) else {
            return false;
        };
        let held = self.counts.get(&device.device_id).copied().unwrap_or(0);
        let guest_codes = self.guest_codes.get(&device.device_id).filter(|_| code.pool_device_id.is_some());
        let reserved = guest_codes.map_or(0, |guest_codes| {
            ordinal_after(peak(guest_codes.values().copied(), (Timestamp::MIN_UTC, Timestamp::MAX_UTC))) + spare_backups
        });
        held.max(reserved) >= capacity
    }

    /// Returns the error that keeps the lock from storing the requested entry: the PIN violates its rules, another code
    /// has the PIN, or its memory is full. `None` if it can store the entry, and for offline codes.
    pub(super) fn obstacle(&self, device: &Device, code: &AccessCode, spare_backups: i64) -> Option<OperationError> {
        let state = &code.state;
        if state.is_offline {
            return None;
        }
        let holds_pin = state.held.as_ref().is_some_and(|held| held.code == state.requested.code);
        if !holds_pin && let Some(reason) = digits_rejection_reason(device, &state.requested.code) {
            return Some(OperationError {
                error_code: Some(CODE_CONSTRAINTS_VIOLATED.to_owned()),
                message: Some(format!("The device cannot hold this code: {reason}. Change the code.")),
                duplicate_of: None,
            });
        }
        let codes_on_lock = self.held.get(&device.device_id).map_or(&[][..], Vec::as_slice);
        let duplicate = codes_on_lock
            .iter()
            .find(|other| other.access_code_id != code.access_code_id && other.code == state.requested.code);
        if let Some(duplicate) = duplicate {
            let CodeInMemory { access_code_id, is_managed, .. } = *duplicate;
            return Some(OperationError {
                error_code: Some(DUPLICATE_CODE_ON_DEVICE.to_owned()),
                message: Some(
                    "The device already has an access code with this PIN. Delete it or convert it to managed."
                        .to_owned(),
                ),
                duplicate_of: Some(Duplicate { access_code_id, is_managed }),
            });
        }
        (state.held.is_none() && self.is_full(device, code, spare_backups)).then(|| OperationError {
            error_code: Some(NO_SPACE_ON_DEVICE.to_owned()),
            message: Some("The device cannot store more access codes. Delete one first.".to_owned()),
            duplicate_of: None,
        })
    }

    /// Removes a code that is gone from the guest codes, even if the lock never stored it.
    pub(super) fn forget_gone_guest(&mut self, code: &AccessCode) {
        if code.state.gone_at.is_some()
            && let Some(guest_codes) = self.guest_codes.get_mut(&code.device_id)
        {
            guest_codes.remove(&code.access_code_id);
        }
    }

    /// Updates the memory after the entry of a code on the lock has changed. `before` is the previous entry. Returns
    /// true if the code has left the lock or its previous PIN has become free.
    pub(super) fn update_entry(&mut self, code: &AccessCode, before: Option<&LockCode>) -> bool {
        let state = &code.state;
        if state.is_offline {
            return false;
        }
        let held = self.held.entry(code.device_id).or_default();
        held.retain(|entry| entry.access_code_id != code.access_code_id);
        if let Some(entry) = &state.held {
            held.push(CodeInMemory {
                access_code_id: code.access_code_id,
                is_managed: state.is_managed,
                code: entry.code.clone(),
            });
        }
        if let Some(count) = self.counts.get_mut(&code.device_id) {
            *count += i64::from(state.held.is_some()) - i64::from(before.is_some());
        }
        before.is_some_and(|before| state.held.as_ref().is_none_or(|held| held.code != before.code))
    }
}
