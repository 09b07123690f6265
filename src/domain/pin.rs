//! PINs: the rules that a group of locks sets, and the random choice of a free PIN.
//!
//! A PIN is a string of 4 to 12 decimal digits. A lock reports rules for the digits (Seam's code constraints) and the
//! lengths that it accepts. A code shared by several locks must satisfy the rules of all of them.
//!
//! The choice *counts* PINs and does not draw random PINs until one fits: the allowed PINs are numbered in
//! lexicographic order, taken PINs are left out of the numbering, and one number is drawn. The choice is therefore
//! exactly uniform, needs one draw however few PINs are free, and reports reliably that none is free.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;

mod taken;
#[cfg(test)]
mod tests;

pub(crate) use self::taken::TakenPins;

/// Lengths of a PIN in digits, for every lock.
pub(crate) const PIN_LENGTHS: RangeInclusive<u8> = 4..=12;

const DIGITS: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// A rule of a lock for the digits of a PIN: one of Seam's code constraints that can be checked on the PIN alone.
///
/// The other constraints concern names, dates, or PINs that the lock's manufacturer assigns. Two digits are
/// *consecutive* when they differ by one; 9 and 0 are not consecutive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigitRule {
    /// The digit 0 does not occur.
    NoZeros,
    /// The PIN does not begin with 12.
    CannotStartWith12,
    /// At most three digits in a row are consecutive or the same.
    ///
    /// Seam's wording allows three despite the rule's name. It does not specify if consecutive and equal digits add up
    /// to one run. Latchkey does not add them up: four neighbouring digits break the rule when they all ascend by one,
    /// all descend by one, or are all the same (`1234`, `4321`, `1111`, anywhere in the PIN). `1123` and `1212` are
    /// allowed.
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
    /// All rules, in the order of declaration.
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

    /// Returns the rule with this `constraint_type`; `None` for a constraint that does not concern digits.
    pub fn from_constraint_type(constraint_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.constraint_type() == constraint_type)
    }

    /// Returns the name of the rule in a device's `code_constraints`.
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

    /// Returns true if `pin`, a string of 4 to 12 digits, satisfies the rule.
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
                let first_four = &digits[..digits.len().min(4)];
                unique(first_four) == first_four.len()
            }
            Self::NoZeros | Self::CannotContain089 | Self::CannotContain0789 => {
                !digits.iter().any(|digit| self.forbidden_digits().contains(digit))
            }
        }
    }

    /// Returns the requirement as the end of a sentence whose subject is the PIN, such as "must not contain 0".
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

    /// Returns the digits, in ASCII, that the rule forbids at every position.
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

/// Returns true if each digit is the previous digit plus `by`.
fn is_run(digits: &[u8], by: i16) -> bool {
    digits.windows(2).all(|pair| i16::from(pair[1]) - i16::from(pair[0]) == by)
}

/// Returns the number of different digits in `digits`.
fn unique(digits: &[u8]) -> usize {
    (b'0'..=b'9').filter(|digit| digits.contains(digit)).count()
}

/// Set of digit rules: those of one lock, or of all locks that share a PIN together. The default is the empty set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PinRules(u16);

impl PinRules {
    /// Creates the set of these rules. Duplicates are ignored.
    pub(crate) fn new(rules: impl IntoIterator<Item = DigitRule>) -> Self {
        Self(rules.into_iter().fold(0, |bits, rule| bits | rule.bit()))
    }

    /// Returns the union of the two sets.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the number of allowed PINs of `length` digits; 0 for a length outside [`PIN_LENGTHS`].
    pub(crate) fn count(self, length: usize) -> u64 {
        Numbering::new(self, length).map_or(0, |numbering| numbering.count())
    }

    /// Draws a PIN of `length` digits uniformly among the allowed PINs that are not in `taken`.
    ///
    /// `taken` may contain duplicates and any other strings: entries that are not an allowed PIN of this length are
    /// ignored. `draw` receives a bound above zero and returns a number below it, each with the same probability. It is
    /// called at most once. Returns `None`, without a draw, if no PIN is free.
    pub(crate) fn choose<'a>(
        self,
        length: usize,
        taken: impl IntoIterator<Item = &'a str>,
        draw: impl FnOnce(u64) -> u64,
    ) -> Option<String> {
        let numbering = Numbering::new(self, length)?;
        let mut taken_ranks: Vec<u64> = taken.into_iter().filter_map(|pin| numbering.rank(pin)).collect();
        taken_ranks.sort_unstable();
        taken_ranks.dedup();
        let free = numbering.count() - taken_ranks.len() as u64;
        if free == 0 {
            return None;
        }
        // Convert the number among the free PINs to the number among all allowed PINs: skip each taken PIN before it.
        let mut rank = draw(free);
        for taken_rank in taken_ranks {
            if taken_rank > rank {
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

/// PIN lengths, in digits, that a lock accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeLengths {
    /// All of [`PIN_LENGTHS`]: the lock reports no lengths.
    Any,
    /// These lengths: ascending, all within [`PIN_LENGTHS`], at least one.
    Only(Vec<u8>),
}

impl CodeLengths {
    /// Creates the lengths from a lock's report. `None` if the report contains no length within [`PIN_LENGTHS`]; such a
    /// report is treated as missing.
    pub fn from_report(reported: &[u8]) -> Option<Self> {
        let lengths: Vec<u8> = PIN_LENGTHS.filter(|length| reported.contains(length)).collect();
        (!lengths.is_empty()).then_some(Self::Only(lengths))
    }

    /// Returns true if the lock accepts PINs of `length` digits.
    pub fn accepts(&self, length: u8) -> bool {
        match self {
            Self::Any => PIN_LENGTHS.contains(&length),
            Self::Only(lengths) => lengths.contains(&length),
        }
    }
}

impl fmt::Display for CodeLengths {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = PIN_LENGTHS.filter(|length| self.accepts(*length)).map(|length| length.to_string());
        formatter.write_str(&lengths.collect::<Vec<_>>().join(", "))
    }
}

/// Returns the PIN lengths to try for a code shared by several locks: `preferred` first if all locks accept it, then
/// the other lengths that all locks accept, shortest first. Empty if the locks have no length in common.
pub(crate) fn lengths_to_try(locks: &[CodeLengths], preferred: Option<u8>) -> Vec<u8> {
    let mut common: Vec<u8> = PIN_LENGTHS.filter(|length| locks.iter().all(|lock| lock.accepts(*length))).collect();
    // The sort is stable: the other lengths stay in ascending order.
    common.sort_by_key(|&length| Some(length) != preferred);
    common
}

/// State of the automaton in [`Numbering`]: the part of the digits read so far that the rules need to check further
/// digits.
///
/// Details that the rules in force do not need, or no longer need, are cleared. Prefixes that allow the same
/// continuations therefore share one state, which keeps the automaton small.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    /// Bit set of the digits that have occurred; empty only before the first digit. [`ALL_DIGITS`] once the rules no
    /// longer need to distinguish the digits.
    seen: u16,
    /// Run at the end of the digits so far; `None` before the first digit and if no rule needs it.
    run: Option<Run>,
    /// True if the digits so far are a single 1 and the next digit must not be a 2.
    is_only_1: bool,
}

/// Value of [`State::seen`] for "as many different digits as the rules require".
const ALL_DIGITS: u16 = (1 << 10) - 1;

/// Neighbouring digits that all ascend by one, all descend by one, or are all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Run {
    last: u8,
    /// Difference between neighbouring digits: 1, -1 or 0; 0 also for a run of one digit.
    step: i8,
    length: u8,
}

impl Run {
    /// Returns the run that ends in `digit` if it follows the run `before`.
    fn extend(before: Option<Self>, digit: u8) -> Self {
        let (step, length) = match before {
            Some(run) if digit == run.last + 1 => (1, run.length_with(1)),
            Some(run) if digit == run.last => (0, run.length_with(0)),
            Some(run) if digit + 1 == run.last => (-1, run.length_with(-1)),
            _ => (0, 1),
        };
        Self { last: digit, step, length }
    }

    /// Returns the length of the run that the next digit belongs to if it differs from the last digit by `step`.
    fn length_with(self, step: i8) -> u8 {
        if self.step == step { self.length + 1 } else { 2 }
    }
}

impl PinRules {
    /// Returns the state after `digit` is read in `state`; `None` if `digit` breaks a rule, whatever digits follow.
    fn next(self, state: State, digit: u8) -> Option<State> {
        let first = state.seen == 0;
        let run = Run::extend(state.run, digit);
        let no_long_runs = self.has(DigitRule::NoTripleConsecutiveInts);
        // With `UniqueFirstFourDigits`, `seen` becomes `ALL_DIGITS` at the fourth digit. Later digits may repeat.
        let repeats_early =
            self.has(DigitRule::UniqueFirstFourDigits) && state.seen != ALL_DIGITS && state.seen & (1 << digit) != 0;
        let starts_with_12 = state.is_only_1 && digit == 2;
        if self.forbids(digit) || repeats_early || starts_with_12 || (no_long_runs && run.length > 3) {
            return None;
        }
        let extends = |before: Run| run.step != 0 && run.length > before.length;
        // True if all digits up to this one form one sequence, up or down. Not used with `NoTripleConsecutiveInts`.
        let in_sequence = first || state.run.is_some_and(extends);
        let run_matters = no_long_runs || (self.has(DigitRule::NoAscendingOrDescendingSequence) && in_sequence);
        let seen = state.seen | 1 << digit;
        Some(State {
            seen: if self.has_enough(seen) { ALL_DIGITS } else { seen },
            run: run_matters.then_some(run),
            is_only_1: self.has(DigitRule::CannotStartWith12) && first && digit == 1,
        })
    }

    /// Returns true if a PIN that ends in `state` satisfies the rules for the PIN as a whole. The rules for single
    /// digits were checked by [`Self::next`].
    fn accepts(self, state: State) -> bool {
        // With `NoTripleConsecutiveInts` a sequence of four digits was rejected before. Without it, `run` is set only
        // while all digits read so far form one sequence.
        let in_sequence = !self.has(DigitRule::NoTripleConsecutiveInts) && state.run.is_some();
        self.has_enough(state.seen) && !in_sequence
    }

    /// Returns true if `seen` contains as many different digits as the rules require.
    fn has_enough(self, seen: u16) -> bool {
        let required = if self.has(DigitRule::UniqueFirstFourDigits) {
            4
        } else if self.has(DigitRule::AtLeastThreeUniqueDigits) {
            3
        } else if self.has(DigitRule::NoAllSameDigits) {
            2
        } else {
            1
        };
        seen.count_ones() >= required
    }

    fn forbids(self, digit: u8) -> bool {
        DigitRule::ALL.into_iter().any(|rule| self.has(rule) && rule.forbidden_digits().contains(&(b'0' + digit)))
    }
}

/// Numbering of the allowed PINs of one length, in lexicographic order.
///
/// It consists of an automaton that reads PINs and, for each of its states, the number of ways to complete a PIN. The
/// automaton has two states if there are no rules, and several hundred with the most complex sets of rules.
struct Numbering {
    length: usize,
    /// For each state, the state that each digit leads to. The first state is the start.
    next: Vec<[Option<usize>; 10]>,
    /// `ways[n][state]`: number of ways to complete a PIN from the state with `n` more digits, `n` up to `length`.
    ways: Vec<Vec<u64>>,
}

const START: usize = 0;

impl Numbering {
    /// Builds the automaton; `None` for a length outside [`PIN_LENGTHS`].
    fn new(rules: PinRules, length: usize) -> Option<Self> {
        if !PIN_LENGTHS.contains(&u8::try_from(length).ok()?) {
            return None;
        }
        let start = State { seen: 0, run: None, is_only_1: false };
        let mut states = vec![start];
        let mut indexes = HashMap::from([(start, START)]);
        // `next` has an entry for each state that was processed. Processing a state can add new states at the end of
        // `states`.
        let mut next = Vec::new();
        while let Some(&state) = states.get(next.len()) {
            next.push(DIGITS.map(|digit| {
                let state = rules.next(state, digit)?;
                Some(*indexes.entry(state).or_insert_with(|| {
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

    /// Returns the position of an allowed PIN in the numbering; `None` if the PIN is not allowed.
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

    /// Returns the PIN at this position; `None` for a position that is not below [`Self::count`].
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
