//! PINs that are taken on a growing group of locks, and the number of PINs that are still free.

use super::{DigitRule, PIN_LENGTHS, PinRules};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Set of taken PINs. For any rules and length it computes the number of free PINs without iterating over its elements.
#[derive(Debug, Default)]
pub(crate) struct TakenPins<'a> {
    pins: HashSet<&'a str>,
    /// Number of PINs in the set by length and exact set of rules that they break.
    breaking: BTreeMap<(u8, PinRules), u64>,
    /// Cache of [`Self::allowed()`].
    allowed: HashMap<(PinRules, u8), u64>,
    /// Number of insertions, removals and reads of a counter. A test checks with it that the cost of adding a lock does
    /// not depend on the codes of the other locks.
    #[cfg(test)]
    pub(crate) work: u64,
}

impl<'a> TakenPins<'a> {
    /// Adds a PIN. Returns true if the set did not contain it.
    pub(crate) fn insert(&mut self, pin: &'a str) -> bool {
        #[cfg(test)]
        {
            self.work += 1;
        }
        let is_new = self.pins.insert(pin);
        if let Some(kind) = kind(pin).filter(|_| is_new) {
            *self.breaking.entry(kind).or_default() += 1;
        }
        is_new
    }

    pub(crate) fn remove(&mut self, pin: &str) {
        #[cfg(test)]
        {
            self.work += 1;
        }
        if let Some(count) = kind(pin).filter(|_| self.pins.remove(pin)).and_then(|kind| self.breaking.get_mut(&kind)) {
            *count -= 1;
        }
    }

    /// Returns the number of PINs of `length` digits that the rules allow, taken or not.
    pub(crate) fn allowed(&mut self, rules: PinRules, length: u8) -> u64 {
        *self.allowed.entry((rules, length)).or_insert_with(|| rules.count(usize::from(length)))
    }

    /// Returns the number of PINs of `length` digits that the rules allow and that are not taken.
    pub(crate) fn free(&mut self, rules: PinRules, length: u8) -> u64 {
        let counters = self.breaking.range((length, PinRules(0))..=(length, PinRules(u16::MAX)));
        #[cfg(test)]
        {
            self.work += counters.clone().count() as u64;
        }
        // A taken PIN that breaks one of the rules is not among the allowed PINs.
        let counters = counters.filter(|((_, broken), _)| broken.0 & rules.0 == 0);
        let taken_count: u64 = counters.map(|(_, count)| count).sum();
        self.allowed(rules, length).saturating_sub(taken_count)
    }

    /// Iterates over the PINs in arbitrary order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.pins.iter().copied()
    }
}

/// Returns the length of a PIN and the rules that it breaks; `None` if the string is not a PIN. Such a string does not
/// reduce the number of free PINs.
fn kind(pin: &str) -> Option<(u8, PinRules)> {
    let length = u8::try_from(pin.len()).ok().filter(|length| PIN_LENGTHS.contains(length))?;
    let is_pin = pin.bytes().all(|digit| digit.is_ascii_digit());
    is_pin.then(|| (length, PinRules::new(DigitRule::ALL.into_iter().filter(|rule| !rule.allows(pin)))))
}
