//! PINs that are taken on a growing group of locks, and how many they leave.

use super::{DigitRule, PIN_LENGTHS, PinRules};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A set of taken PINs that knows, whatever the rules and the length, how many others there are, without a walk
/// through those it holds.
#[derive(Debug, Default)]
pub(crate) struct Taken<'a> {
    pins: HashSet<&'a str>,
    /// How many of them have a length and break just these rules.
    breaking: BTreeMap<(u8, PinRules), u64>,
    /// How many PINs of a length the rules allow, where that was asked for.
    allowed: HashMap<(PinRules, u8), u64>,
    /// How many PINs were added and removed and how many counters were read.
    #[cfg(test)]
    pub(crate) work: u64,
}

impl<'a> Taken<'a> {
    /// Adds a PIN. Gives whether it was not there.
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

    /// Removes a PIN.
    pub(crate) fn remove(&mut self, pin: &str) {
        #[cfg(test)]
        {
            self.work += 1;
        }
        if let Some(count) = kind(pin).filter(|_| self.pins.remove(pin)).and_then(|kind| self.breaking.get_mut(&kind)) {
            *count -= 1;
        }
    }

    /// How many PINs of `length` digits the rules allow, taken or not.
    pub(crate) fn allowed(&mut self, rules: PinRules, length: u8) -> u64 {
        *self.allowed.entry((rules, length)).or_insert_with(|| rules.count(usize::from(length)))
    }

    /// How many PINs of `length` digits the rules allow that are not taken.
    pub(crate) fn free(&mut self, rules: PinRules, length: u8) -> u64 {
        let of_length = self.breaking.range((length, PinRules(0))..=(length, PinRules(u16::MAX)));
        #[cfg(test)]
        {
            self.work += of_length.clone().count() as u64;
        }
        let of_length = of_length.filter(|((_, broken), _)| broken.0 & rules.0 == 0);
        let taken: u64 = of_length.map(|(_, count)| count).sum();
        self.allowed(rules, length).saturating_sub(taken)
    }

    /// The PINs, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.pins.iter().copied()
    }
}

/// The length of a PIN and the rules that it breaks; `None` for what is no PIN, which leaves no fewer of them.
fn kind(pin: &str) -> Option<(u8, PinRules)> {
    let length = u8::try_from(pin.len()).ok().filter(|length| PIN_LENGTHS.contains(length))?;
    let is_pin = pin.bytes().all(|digit| digit.is_ascii_digit());
    is_pin.then(|| (length, PinRules::new(DigitRule::ALL.into_iter().filter(|rule| !rule.allows(pin)))))
}
