//! Group of locks that share a PIN chosen by Latchkey. The locks join one after the other. The cost of a join depends
//! on the codes on the joining lock, not on those of the other locks.

use super::{PinRequest, Reservations, taken_codes};
use crate::domain::device::Device;
use crate::domain::pin::{self, PinRules, TakenPins};

/// Common lengths, rules and taken PINs of the locks that have joined so far.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// PIN lengths that all locks accept, in the order in which they are tried.
    lengths: Vec<u8>,
    /// Digit rules of all locks together.
    rules: PinRules,
    /// PINs that are not free on at least one lock.
    pub(super) taken: TakenPins<'a>,
}

impl<'a> Group<'a> {
    /// Creates a group without locks.
    pub(super) fn new(pin_request: &PinRequest<'_>) -> Self {
        Self {
            lengths: pin::lengths_to_try(&[], pin_request.preferred_code_length),
            rules: PinRules::default(),
            taken: TakenPins::default(),
        }
    }

    /// Adds a lock to the group.
    ///
    /// # Errors
    /// The reason why the lock cannot share a PIN with the group, which stays unchanged.
    pub(super) fn join(
        &mut self,
        device: &Device,
        reservations: &'a Reservations,
        pin_request: &PinRequest<'_>,
    ) -> Result<(), String> {
        if device.provider_chooses_codes() {
            return Err("its provider chooses the code".to_owned());
        }
        let own_lengths = device.code_lengths();
        let lengths: Vec<u8> = self.lengths.iter().copied().filter(|length| own_lengths.accepts(*length)).collect();
        if lengths.is_empty() {
            return Err(format!("it accepts codes of {own_lengths} digits, the others do not"));
        }
        // Check the rules alone first: contradictory rules and taken PINs have different error messages.
        let rules = self.rules.and(PinRules::new(device.digit_rules()));
        if lengths.iter().all(|length| self.taken.allowed(rules, *length) == 0) {
            return Err("no code satisfies its constraints and those of the others".to_owned());
        }
        let added_codes: Vec<&str> =
            taken_codes(device, reservations, pin_request).filter(|code| self.taken.insert(code)).collect();
        if lengths.iter().all(|length| self.taken.free(rules, *length) == 0) {
            for code in added_codes {
                self.taken.remove(code);
            }
            return Err("no code is free on it and the others".to_owned());
        }
        (self.lengths, self.rules) = (lengths, rules);
        Ok(())
    }

    /// Adds a lock without checks: it is the only lock of the request and need not share its PIN. If no PIN is free on
    /// it, [`Self::choose`] returns `None`.
    pub(super) fn add_unchecked(
        &mut self,
        device: &Device,
        reservations: &'a Reservations,
        pin_request: &PinRequest<'_>,
    ) {
        let own_lengths = device.code_lengths();
        self.lengths.retain(|length| own_lengths.accepts(*length));
        self.rules = self.rules.and(PinRules::new(device.digit_rules()));
        for code in taken_codes(device, reservations, pin_request) {
            self.taken.insert(code);
        }
    }

    /// Draws a PIN uniformly among those that all locks accept and that are free on all of them: of the preferred
    /// length if it is common to all locks and has a free PIN, otherwise of the shortest common length that has one.
    /// `None`: no PIN is free.
    pub(super) fn choose(&self, mut draw: impl FnMut(u64) -> u64) -> Option<String> {
        self.lengths.iter().find_map(|length| self.rules.choose(usize::from(*length), self.taken.iter(), &mut draw))
    }
}
