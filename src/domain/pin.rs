//! PINs: what a group of locks accepts, and how to choose one.
//!
//! A PIN is a string of 4 to 12 decimal digits. Locks report rules on its digits (Seam's code constraints) and the lengths they
//! take; a code shared by several locks must satisfy them all.
//!
//! A PIN is chosen by *counting*, never by drawing until one fits: the PINs that the rules allow are numbered in lexicographic
//! order, the taken ones are left out of the numbering, and one number is drawn. So the choice is exactly uniform, takes the same
//! time when a single PIN is left as when all are free, and says for certain that none is left.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;

mod taken;
#[cfg(test)]
mod tests;

pub(crate) use self::taken::Taken;

/// How many digits a PIN can have, whatever the lock.
pub(crate) const PIN_LENGTHS: RangeInclusive<u8> = 4..=12;

const DIGITS: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// One rule a lock puts on the digits of a PIN: those of Seam's code constraints that the PIN alone decides.
///
/// The other constraints concern names, dates, or PINs that the lock's maker assigns. Two digits are *consecutive* when they differ
/// by one; 9 and 0 are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigitRule {
    /// The digit 0 does not occur.
    NoZeros,
    /// The PIN does not begin with 12.
    CannotStartWith12,
    /// At most three digits in a row are consecutive or the same.
    ///
    /// Seam's wording allows three despite the rule's name, and does not say whether the two kinds mix. Here they do not: four
    /// neighbouring digits break the rule when they all ascend by one, all descend by one, or are all the same (`1234`, `4321`,
    /// `1111`, anywhere in the PIN), while `1123` and `1212` pass.
    NoTripleConsecutiveInts,
    /// The PIN as a whole is not one sequence of consecutive digits, up or down (`1234`, `9876`).
    NoAscendingOrDescendingSequence,
    /// At least three different digits occur.
    AtLeastThreeUniqueDigits,
    /// Not all digits are the same.
    NoAllSameDigits,
    /// The first four digits all differ from each other.
    UniqueFirstFourDigits,
    /// None of 0, 8 and 9 occurs.
    CannotContain089,
    /// None of 0, 7, 8 and 9 occurs. Locks that report it report [`DigitRule::CannotContain089`] too.
    CannotContain0789,
}

impl DigitRule {
    /// Every rule, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::NoZeros,
        Self::CannotStartWith12,
        Self::NoTripleConsecutiveInts,
        Self::NoAscendingOrDescendingSequence,
        Self::AtLeastThreeUniqueDigits,
        Self::NoAllSameDigits,
        Self::UniqueFirstFourDigits,
        Self::CannotContain089,
        Self::CannotContain0789,
    ];

    /// The rule with this `constraint_type`; `None` for a constraint that is not about digits.
    pub fn from_constraint_type(constraint_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.constraint_type() == constraint_type)
    }

    /// The name of the rule in a device's `code_constraints`.
    pub fn constraint_type(self) -> &'static str {
        match self {
            Self::NoZeros => "no_zeros",
            Self::CannotStartWith12 => "cannot_start_with_12",
            Self::NoTripleConsecutiveInts => "no_triple_consecutive_ints",
            Self::NoAscendingOrDescendingSequence => "no_ascending_or_descending_sequence",
            Self::AtLeastThreeUniqueDigits => "at_least_three_unique_digits",
            Self::NoAllSameDigits => "no_all_same_digits",
            Self::UniqueFirstFourDigits => "unique_first_four_digits",
            Self::CannotContain089 => "cannot_contain_089",
            Self::CannotContain0789 => "cannot_contain_0789",
        }
    }

    /// Whether `pin`, a string of 4 to 12 digits, keeps to the rule.
    pub fn allows(self, pin: &str) -> bool {
        let digits = pin.as_bytes();
        match self {
            Self::NoTripleConsecutiveInts => {
                !digits.windows(4).any(|four| [-1, 0, 1].iter().any(|&by| is_run(four, by)))
            }
            Self::NoAscendingOrDescendingSequence => !is_run(digits, 1) && !is_run(digits, -1),
            Self::CannotStartWith12 => !pin.starts_with("12"),
            Self::AtLeastThreeUniqueDigits => unique(digits) >= 3,
            Self::NoAllSameDigits => unique(digits) >= 2,
            Self::UniqueFirstFourDigits => {
                let first = &digits[..digits.len().min(4)];
                unique(first) == first.len()
            }
            Self::NoZeros | Self::CannotContain089 | Self::CannotContain0789 => {
                !digits.iter().any(|digit| self.forbidden_digits().contains(digit))
            }
        }
    }

    /// What a PIN must look like, as the end of a sentence about it: "must not contain 0".
    pub fn explain(self) -> &'static str {
        match self {
            Self::NoZeros => "must not contain 0",
            Self::CannotStartWith12 => "must not start with 12",
            Self::NoTripleConsecutiveInts => "must not have more than three consecutive or equal digits in a row",
            Self::NoAscendingOrDescendingSequence => {
                "must not be an ascending or descending sequence of consecutive digits"
            }
            Self::AtLeastThreeUniqueDigits => "must have at least three different digits",
            Self::NoAllSameDigits => "must not repeat one digit throughout",
            Self::UniqueFirstFourDigits => "must start with four different digits",
            Self::CannotContain089 => "must not contain 0, 8 or 9",
            Self::CannotContain0789 => "must not contain 0, 7, 8 or 9",
        }
    }

    /// The digits, in ASCII, that the rule forbids wherever they stand.
    fn forbidden_digits(self) -> &'static [u8] {
        match self {
            Self::NoZeros => b"0",
            Self::CannotContain089 => b"089",
            Self::CannotContain0789 => b"0789",
            _ => b"",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Whether each of `digits` is `by` more than the one before it.
fn is_run(digits: &[u8], by: i16) -> bool {
    digits.windows(2).all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == by)
}

/// How many different digits there are among `digits`.
fn unique(digits: &[u8]) -> usize {
    (b'0'..=b'9').filter(|digit| digits.contains(digit)).count()
}

/// The digit rules that all locks of a group put on a PIN together. The default is no rule at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PinRules(u16);

impl PinRules {
    /// All these rules at once; repetitions do not matter.
    pub(crate) fn new(rules: impl IntoIterator<Item = DigitRule>) -> Self {
        Self(rules.into_iter().fold(0, |bits, rule| bits | rule.bit()))
    }

    /// These rules and those at once.
    #[must_use]
    pub(crate) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// How many PINs of `length` digits the rules allow; 0 for a length outside [`PIN_LENGTHS`].
    pub(crate) fn count(self, length: usize) -> u64 {
        Numbering::new(self, length).map_or(0, |numbering| numbering.count())
    }

    /// A PIN of `length` digits drawn uniformly among those that the rules allow and `taken` does not hold.
    ///
    /// `taken` may repeat itself and hold anything: what is not an allowed PIN of this length does not count. `draw` is given a
    /// bound above zero and returns a number below it, each with the same chance; it is called at most once. `None`, without a
    /// draw, when no PIN is left.
    pub(crate) fn choose<'a>(
        self,
        length: usize,
        taken: impl IntoIterator<Item = &'a str>,
        draw: impl FnOnce(u64) -> u64,
    ) -> Option<String> {
        let numbering = Numbering::new(self, length)?;
        let mut taken: Vec<u64> = taken.into_iter().filter_map(|pin| numbering.rank(pin)).collect();
        taken.sort_unstable();
        taken.dedup();
        let free = numbering.count() - taken.len() as u64;
        if free == 0 {
            return None;
        }
        let mut rank = draw(free);
        for taken in taken {
            if taken > rank {
                break;
            }
            rank += 1;
        }
        numbering.unrank(rank)
    }

    fn has(self, rule: DigitRule) -> bool {
        self.0 & rule.bit() != 0
    }
}

/// The numbers of digits that a lock takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeLengths {
    /// All of [`PIN_LENGTHS`]: the lock reports none.
    Any,
    /// These, ascending, all within [`PIN_LENGTHS`]; at least one.
    Only(Vec<u8>),
}

impl CodeLengths {
    /// What a lock takes that reports these. `None`: no PIN has any of these lengths, so it is no report.
    pub fn of_report(reported: &[u8]) -> Option<Self> {
        let lengths: Vec<u8> = PIN_LENGTHS.filter(|length| reported.contains(length)).collect();
        (!lengths.is_empty()).then_some(Self::Only(lengths))
    }

    /// Whether a PIN of so many digits fits.
    pub fn takes(&self, length: u8) -> bool {
        match self {
            Self::Any => PIN_LENGTHS.contains(&length),
            Self::Only(lengths) => lengths.contains(&length),
        }
    }
}

impl fmt::Display for CodeLengths {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = PIN_LENGTHS.filter(|length| self.takes(*length)).map(|length| length.to_string());
        formatter.write_str(&lengths.collect::<Vec<_>>().join(", "))
    }
}

/// The lengths of PIN to try for a code shared by several locks, best first: `preferred` if every lock takes it, then the
/// others that every lock takes, shortest first. Empty when the locks have no length in common.
pub(crate) fn lengths_to_try(locks: &[CodeLengths], preferred: Option<u8>) -> Vec<u8> {
    let mut common: Vec<u8> = PIN_LENGTHS.filter(|length| locks.iter().all(|lock| lock.takes(*length))).collect();
    // The sort is stable: among the rest the ascending order stays.
    common.sort_by_key(|&length| Some(length) != preferred);
    common
}

/// What the rules need to know of the digits so far to judge the rest. What the rules at hand do not ask, or no longer, is blotted
/// out, so that beginnings with the same future are the same state: that keeps a [`Numbering`] small.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    /// The digits that have occurred, a bit each: none only before the first digit. [`ALL_DIGITS`] once it does not matter which.
    seen: u16,
    /// The run that the digits so far end in; `None` before the first digit and when it does not matter.
    run: Option<Run>,
    /// The digits so far are a single 1, and no 2 may follow.
    only_a_one: bool,
}

/// Stands for as many different digits as any rule asks.
const ALL_DIGITS: u16 = (1 << 10) - 1;

/// Neighbouring digits that all ascend by one, all descend by one, or are all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Run {
    last: u8,
    /// 1, -1 or 0; 0 also for a run of one digit.
    step: i8,
    length: u8,
}

impl Run {
    /// The run that ends in `digit` when it follows `before`.
    fn extend(before: Option<Self>, digit: u8) -> Self {
        let (step, length) = match before {
            Some(run) if digit == run.last + 1 => (1, run.length_with(1)),
            Some(run) if digit == run.last => (0, run.length_with(0)),
            Some(run) if digit + 1 == run.last => (-1, run.length_with(-1)),
            _ => (0, 1),
        };
        Self { last: digit, step, length }
    }

    /// The length of the run that the next digit is part of when it is `step` away from the last.
    fn length_with(self, step: i8) -> u8 {
        if self.step == step { self.length + 1 } else { 2 }
    }
}

impl PinRules {
    /// The state after `digit` follows `state`; `None` when a rule is then broken whatever comes.
    fn next(self, state: State, digit: u8) -> Option<State> {
        let first = state.seen == 0;
        let run = Run::extend(state.run, digit);
        let no_long_runs = self.has(DigitRule::NoTripleConsecutiveInts);
        let repeats_early =
            self.has(DigitRule::UniqueFirstFourDigits) && state.seen != ALL_DIGITS && state.seen & (1 << digit) != 0;
        let starts_with_12 = state.only_a_one && digit == 2;
        if self.forbids(digit) || repeats_early || starts_with_12 || (no_long_runs && run.length > 3) {
            return None;
        }
        let goes_on = |before: Run| run.step != 0 && run.length > before.length;
        let in_sequence = first || state.run.is_some_and(goes_on);
        let run_matters = no_long_runs || (self.has(DigitRule::NoAscendingOrDescendingSequence) && in_sequence);
        let seen = state.seen | 1 << digit;
        Some(State {
            seen: if self.has_enough(seen) { ALL_DIGITS } else { seen },
            run: run_matters.then_some(run),
            only_a_one: self.has(DigitRule::CannotStartWith12) && first && digit == 1,
        })
    }

    /// Whether the digits of a PIN, none of which broke a rule when it was added, satisfy the rules on the PIN as a whole.
    fn accepts(self, state: State) -> bool {
        // Where runs of four are refused no sequence comes this far; elsewhere a run is followed only while it is the whole PIN.
        let in_sequence = !self.has(DigitRule::NoTripleConsecutiveInts) && state.run.is_some();
        self.has_enough(state.seen) && !in_sequence
    }

    /// Whether as many different digits were seen as the rules ask.
    fn has_enough(self, seen: u16) -> bool {
        let wanted = if self.has(DigitRule::UniqueFirstFourDigits) {
            4
        } else if self.has(DigitRule::AtLeastThreeUniqueDigits) {
            3
        } else if self.has(DigitRule::NoAllSameDigits) {
            2
        } else {
            1
        };
        seen.count_ones() >= wanted
    }

    fn forbids(self, digit: u8) -> bool {
        DigitRule::ALL.into_iter().any(|rule| self.has(rule) && rule.forbidden_digits().contains(&(b'0' + digit)))
    }
}

/// The PINs of one length that the rules allow, numbered in lexicographic order: an automaton that reads PINs, and in how many ways a
/// PIN goes on from each of its states. Without rules it has two states, with the most involved ones some hundreds.
struct Numbering {
    length: usize,
    /// For each state the one that each digit leads to. The first state is the start.
    next: Vec<[Option<usize>; 10]>,
    /// `ways[n][state]`: the ways to go on from the state with `n` more digits, `n` up to `length`.
    ways: Vec<Vec<u64>>,
}

const START: usize = 0;

impl Numbering {
    /// `None` for a length that no PIN has.
    fn new(rules: PinRules, length: usize) -> Option<Self> {
        if !PIN_LENGTHS.contains(&u8::try_from(length).ok()?) {
            return None;
        }
        let start = State { seen: 0, run: None, only_a_one: false };
        let mut states = vec![start];
        let mut places = HashMap::from([(start, START)]);
        let mut next = Vec::new();
        while let Some(&state) = states.get(next.len()) {
            next.push(DIGITS.map(|digit| {
                let state = rules.next(state, digit)?;
                Some(*places.entry(state).or_insert_with(|| {
                    states.push(state);
                    states.len() - 1
                }))
            }));
        }
        let last = states.iter().map(|&state| u64::from(rules.accepts(state)));
        let mut ways: Vec<Vec<u64>> = vec![last.collect()];
        for left in 0..length {
            let further = &ways[left];
            let onward = next.iter().map(|next| next.iter().flatten().map(|&state| further[state]).sum());
            ways.push(onward.collect());
        }
        Some(Self { length, next, ways })
    }

    fn count(&self) -> u64 {
        self.ways[self.length][START]
    }

    fn rank(&self, pin: &str) -> Option<u64> {
        if pin.len() != self.length {
            return None;
        }
        let mut rank = 0;
        let mut state = START;
        for (character, left) in pin.bytes().zip((0..self.length).rev()) {
            let digit = DIGITS.iter().position(|digit| b'0' + digit == character)?;
            let lower = self.next[state][..digit].iter().flatten();
            rank += lower.map(|&state| self.ways[left][state]).sum::<u64>();
            state = self.next[state][digit]?;
        }
        (self.ways[0][state] > 0).then_some(rank)
    }

    fn unrank(&self, mut rank: u64) -> Option<String> {
        let mut pin = String::with_capacity(self.length);
        let mut state = START;
        for left in (0..self.length).rev() {
            let (digit, next) = DIGITS.into_iter().zip(self.next[state]).find_map(|(digit, next)| {
                let ways = self.ways[left][next?];
                if rank < ways {
                    return Some((digit, next?));
                }
                rank -= ways;
                None
            })?;
            pin.push(char::from(b'0' + digit));
            state = next;
        }
        Some(pin)
    }
}
