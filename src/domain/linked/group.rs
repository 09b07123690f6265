//! Locks that are to share a PIN which is ours to choose. They join one after the other, and each costs what is on it.

use super::{PinRequest, Reservations, taken_codes};
use crate::domain::device::Device;
use crate::domain::pin::{self, PinRules, Taken};

/// What the locks that share so far have in common.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// The lengths that all of them take, best first.
    lengths: Vec<u8>,
    /// The rules of all of them.
    rules: PinRules,
    /// The PINs that are not free on one of them.
    pub(super) taken: Taken<'a>,
}

impl<'a> Group<'a> {
    /// Nobody so far.
    pub(super) fn new(pin_request: &PinRequest<'_>) -> Self {
        Self {
            lengths: pin::lengths_to_try(&[], pin_request.preferred_code_length),
            rules: PinRules::default(),
            taken: Taken::default(),
        }
    }

    /// Takes in a lock, or leaves the group as it is and says why the lock cannot share a PIN with it.
    pub(super) fn join(
        &mut self,
        device: &Device,
        reservations: &'a Reservations,
        pin_request: &PinRequest<'_>,
    ) -> Result<(), String> {
        if device.provider_chooses_codes() {
            return Err("its provider chooses the code".to_owned());
        }
        let own = device.code_lengths();
        let lengths: Vec<u8> = self.lengths.iter().copied().filter(|length| own.takes(*length)).collect();
        if lengths.is_empty() {
            return Err(format!("it takes codes of {own} digits, which the others do not"));
        }
        // Locks alike in their rules as the others cannot narrow the choice by rules; only what they hold can.
        let rules = self.rules.and(PinRules::new(device.digit_rules()));
        if lengths.iter().all(|length| self.taken.allowed(rules, *length) == 0) {
            return Err("no code satisfies its constraints and those of the others".to_owned());
        }
        let new: Vec<&str> =
            taken_codes(device, reservations, pin_request).filter(|code| self.taken.insert(code)).collect();
        if lengths.iter().all(|length| self.taken.free(rules, *length) == 0) {
            for code in new {
                self.taken.remove(code);
            }
            return Err("no code is free on it and on the others".to_owned());
        }
        (self.lengths, self.rules) = (lengths, rules);
        Ok(())
    }

    /// Takes in a lock that nobody else has to share with.
    pub(super) fn take_in(&mut self, device: &Device, reservations: &'a Reservations, pin_request: &PinRequest<'_>) {
        let own = device.code_lengths();
        self.lengths.retain(|length| own.takes(*length));
        self.rules = self.rules.and(PinRules::new(device.digit_rules()));
        for code in taken_codes(device, reservations, pin_request) {
            self.taken.insert(code);
        }
    }

    /// A PIN drawn uniformly among those all these locks can hold and that is free on all of them: of the preferred
    /// length if they share it, else of the shortest one they share that has any left.
    pub(super) fn choose(&self, mut draw: impl FnMut(u64) -> u64) -> Option<String> {
        self.lengths.iter().find_map(|length| self.rules.choose(usize::from(*length), self.taken.iter(), &mut draw))
    }
}
