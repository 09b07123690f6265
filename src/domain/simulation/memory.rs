//! What a lock's memory holds, as far as operations on it can run into that.

use crate::clock::Timestamp;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::LockCode;
use crate::domain::access_code::lifecycle::rare_fields::{
    CODE_CONSTRAINTS_VIOLATED, DUPLICATE_CODE_ON_DEVICE, Duplicate, Fail, NO_SPACE_ON_DEVICE,
};
use crate::domain::device::Device;
use crate::domain::linked::{Period, broken_digits, peak};
use crate::ids::ordinal_after;
use std::collections::HashMap;
use uuid::Uuid;

/// A code in a lock's memory.
#[derive(Clone, Debug)]
pub(crate) struct CodeInMemory {
    /// The code.
    pub access_code_id: Uuid,
    /// Whether it is ours.
    pub is_managed: bool,
    /// Its PIN.
    pub code: String,
}

/// As much of the memory of locks as the operations on them can run into.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// By lock: codes with PINs that are to be set.
    pub held: HashMap<Uuid, Vec<CodeInMemory>>,
    /// By lock with a limit: how many codes it holds.
    pub counts: HashMap<Uuid, i64>,
    /// By lock with a limit that is to hold backup codes: the codes that come first, whether it holds them or is to hold
    /// them later.
    pub guests: HashMap<Uuid, HashMap<Uuid, Period>>,
}

impl Memory {
    /// Whether a lock has no place for one more code. A backup code takes only what the guests leave, those included that
    /// the lock is to hold later; `spares` is how many backup codes it holds.
    fn is_full(&self, device: &Device, code: &AccessCode, spares: i64) -> bool {
        let Some(capacity) = device.capacity().map(i64::from) else {
            return false;
        };
        let held = self.counts.get(&device.device_id).copied().unwrap_or(0);
        let guests = self.guests.get(&device.device_id).filter(|_| code.pool_device_id.is_some());
        let promised = guests.map_or(0, |guests| {
            ordinal_after(peak(guests.values().copied(), (Timestamp::MIN_UTC, Timestamp::MAX_UTC))) + spares
        });
        held.max(promised) >= capacity
    }

    /// What keeps a lock from holding a code as it is asked for.
    pub(super) fn obstacle(&self, device: &Device, code: &AccessCode, spares: i64) -> Option<Fail> {
        let state = &code.state;
        if state.is_offline {
            return None;
        }
        let holds_it = state.held.as_ref().is_some_and(|held| held.code == state.asked.code);
        if !holds_it && let Some(reason) = broken_digits(device, &state.asked.code) {
            return Some(Fail {
                error_code: Some(CODE_CONSTRAINTS_VIOLATED.to_owned()),
                message: Some(format!("The device cannot hold this code: {reason}. Change the code.")),
                duplicate_of: None,
            });
        }
        let others = self.held.get(&device.device_id).map_or(&[][..], Vec::as_slice);
        let same =
            others.iter().find(|other| other.access_code_id != code.access_code_id && other.code == state.asked.code);
        if let Some(other) = same {
            let CodeInMemory { access_code_id, is_managed, .. } = *other;
            return Some(Fail {
                error_code: Some(DUPLICATE_CODE_ON_DEVICE.to_owned()),
                message: Some(
                    "The device already has an access code with this PIN. Delete or adopt that one.".to_owned(),
                ),
                duplicate_of: Some(Duplicate { access_code_id, is_managed }),
            });
        }
        (state.held.is_none() && self.is_full(device, code, spares)).then(|| Fail {
            error_code: Some(NO_SPACE_ON_DEVICE.to_owned()),
            message: Some("The device holds as many access codes as it can. Delete one first.".to_owned()),
            duplicate_of: None,
        })
    }

    /// Removes a code that is gone from those that come before backup codes, whether or not the lock ever held it.
    pub(super) fn forget_gone_guest(&mut self, code: &AccessCode) {
        if code.state.gone_at.is_some()
            && let Some(guests) = self.guests.get_mut(&code.device_id)
        {
            guests.remove(&code.access_code_id);
        }
    }

    /// Takes note of what a lock holds now of a code. Gives whether something became free.
    pub(super) fn changed(&mut self, code: &AccessCode, before: Option<&LockCode>) -> bool {
        let state = &code.state;
        if state.is_offline {
            return false;
        }
        let held = self.held.entry(code.device_id).or_default();
        held.retain(|other| other.access_code_id != code.access_code_id);
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
