use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::DigitRule::{
    AtLeastThreeUniqueDigits, CannotContain089, CannotContain0789, CannotStartWith12, NoAllSameDigits,
    NoAscendingOrDescendingSequence, NoTripleConsecutiveInts, NoZeros, UniqueFirstFourDigits,
};
use super::*;

impl PinRules {
    /// Returns the rules that `pin`, a string of 4 to 12 digits, breaks.
    fn broken_by(self, pin: &str) -> impl Iterator<Item = DigitRule> {
        DigitRule::ALL.into_iter().filter(move |&rule| self.has(rule) && !rule.allows(pin))
    }

    /// Returns the number of allowed PINs of the same length that precede `pin` in lexicographic order.
    ///
    /// `None` if `pin` is not an allowed PIN: it breaks a rule, is not all digits, or has a length outside
    /// [`PIN_LENGTHS`].
    fn rank(self, pin: &str) -> Option<u64> {
        Numbering::new(self, pin.len())?.rank(pin)
    }

    /// Returns the PIN of `length` digits whose [rank](Self::rank) is `rank`; `None` if `rank` is not below
    /// [`count`](Self::count).
    fn unrank(self, length: usize, rank: u64) -> Option<String> {
        Numbering::new(self, length)?.unrank(rank)
    }
}

/// Small deterministic random number generator (splitmix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        u64::try_from((u128::from(bits) * u128::from(bound)) >> 64).unwrap()
    }
}

/// Returns all strings of `length` digits, in order.
fn all_pins(length: usize) -> impl Iterator<Item = String> {
    let count = 10_u64.pow(u32::try_from(length).unwrap());
    (0..count).map(move |number| format!("{number:0length$}"))
}

fn pins_allowed(rules: PinRules, length: usize) -> Vec<String> {
    all_pins(length).filter(|pin| rules.broken_by(pin).next().is_none()).collect()
}

fn all_rule_sets() -> impl Iterator<Item = PinRules> {
    (0..1 << DigitRule::ALL.len()).map(PinRules)
}

fn no_draw(_: u64) -> u64 {
    unreachable!("no PIN is left to draw")
}

#[track_caller]
fn assert_rule(rule: DigitRule, allowed: &[&str], rejected: &[&str]) {
    for pin in allowed {
        assert!(rule.allows(pin), "{rule:?} should allow {pin}");
    }
    for pin in rejected {
        assert!(!rule.allows(pin), "{rule:?} should refuse {pin}");
    }
}

#[test]
fn digit_rules_allow_and_reject_pins_as_described() {
    assert_rule(NoZeros, &["1234", "987654"], &["0123", "1230", "120034"]);
    assert_rule(CannotStartWith12, &["1324", "2112", "3121"], &["1200", "123456"]);
    assert_rule(AtLeastThreeUniqueDigits, &["1123", "111123"], &["1122", "1111", "121212"]);
    assert_rule(NoAllSameDigits, &["1112", "2111"], &["1111", "000000"]);
    assert_rule(UniqueFirstFourDigits, &["1234", "12344444"], &["1231", "112345", "12334567"]);
    assert_rule(CannotContain089, &["1234", "777777"], &["1230", "8123", "1912"]);
    assert_rule(CannotContain0789, &["1234", "666666"], &["1230", "1237", "8123", "1912"]);
}

#[test]
fn sequence_rule_rejects_whole_sequences_but_not_partial_or_wrapping_ones() {
    assert_rule(
        NoAscendingOrDescendingSequence,
        &["1235", "12343", "2468", "1111", "7890", "8901", "0987"],
        &["1234", "9876", "0123", "3210", "0123456789", "987654"],
    );
}

#[test]
fn consecutive_rule_allows_runs_of_three_digits_but_not_of_four() {
    assert_rule(
        NoTripleConsecutiveInts,
        &["1239", "3219", "1119", "123321", "7890", "111222333"],
        &["1234", "4321", "1111", "912345", "990000", "76549999"],
    );
}

#[test]
fn consecutive_rule_does_not_mix_consecutive_and_equal_digits_in_a_run() {
    assert_rule(NoTripleConsecutiveInts, &["1123", "1122", "1212", "3211", "112233445566"], &[]);
}

#[test]
fn digit_rule_is_found_by_its_constraint_type() {
    for rule in DigitRule::ALL {
        assert_eq!(DigitRule::from_constraint_type(rule.constraint_type()), Some(rule));
    }
    assert_eq!(DigitRule::from_constraint_type("cannot_contain_0789"), Some(CannotContain0789));
    for other in ["name_length", "cannot_specify_pin_code", "start_date_in_future", "NoZeros", ""] {
        assert_eq!(DigitRule::from_constraint_type(other), None, "{other}");
    }
}

#[test]
fn pin_rules_report_only_broken_rules_of_their_set() {
    let rules = PinRules::new([NoAllSameDigits, NoZeros, CannotStartWith12, NoZeros]);
    assert_eq!(rules.broken_by("0000").collect::<Vec<_>>(), [NoZeros, NoAllSameDigits]);
    assert_eq!(rules.broken_by("8888").collect::<Vec<_>>(), [NoAllSameDigits]);
    assert_eq!(rules.broken_by("8889").next(), None);
    assert_eq!(PinRules::default().broken_by("0000").next(), None);
}

/// Covers all 512 sets of rules: each PIN is checked with the plain rules, and the result is compared with the
/// automaton's count.
#[test]
fn pin_count_equals_the_count_of_trying_all_pins() {
    let everything = PinRules::new(DigitRule::ALL);
    for length in [4, 5] {
        let mut pins_breaking: BTreeMap<u16, u64> = BTreeMap::new();
        for pin in all_pins(length) {
            *pins_breaking.entry(PinRules::new(everything.broken_by(&pin)).0).or_default() += 1;
        }
        for rules in all_rule_sets() {
            let expected: u64 =
                pins_breaking.iter().filter(|(broken, _)| *broken & rules.0 == 0).map(|(_, count)| count).sum();
            assert_eq!(rules.count(length), expected, "{rules:?} at length {length}");
        }
    }
}

#[test]
fn pin_count_of_long_pins_equals_the_arithmetic_result() {
    for length in 4..=12 {
        let digits = u32::try_from(length).unwrap();
        let pin_count = 10_u64.pow(digits);
        let sequences = 2 * 11_u64.saturating_sub(u64::from(digits));
        let count = |rule| PinRules::new([rule]).count(length);
        assert_eq!(PinRules::default().count(length), pin_count);
        assert_eq!(count(NoZeros), 9_u64.pow(digits));
        assert_eq!(count(CannotContain089), 7_u64.pow(digits));
        assert_eq!(count(CannotContain0789), 6_u64.pow(digits));
        assert_eq!(count(CannotStartWith12), pin_count - pin_count / 100);
        assert_eq!(count(NoAllSameDigits), pin_count - 10);
        assert_eq!(count(AtLeastThreeUniqueDigits), pin_count - 10 - 45 * (2_u64.pow(digits) - 2));
        assert_eq!(count(UniqueFirstFourDigits), 5_040 * pin_count / 10_000);
        assert_eq!(count(NoAscendingOrDescendingSequence), pin_count - sequences);
    }
}

#[test]
fn pin_rules_accept_no_string_of_an_unsupported_length() {
    let rules = PinRules::default();
    for length in [0, 1, 3, 13, 20, 1_000] {
        assert_eq!(rules.count(length), 0);
        assert_eq!(rules.unrank(length, 0), None);
        assert_eq!(rules.rank(&"1".repeat(length)), None);
        assert_eq!(rules.choose(length, [], no_draw), None);
    }
}

#[test]
fn pin_rank_is_none_for_strings_that_are_not_allowed_pins() {
    let rules = PinRules::new([NoZeros, NoTripleConsecutiveInts]);
    for pin in ["1230", "1234", "12a9", "12 9", "+129", "１２９", "é29", ":::::"] {
        assert_eq!(rules.rank(pin), None, "{pin}");
    }
    assert_eq!(PinRules::default().rank("0042"), Some(42));
}

#[test]
fn pin_ranks_number_the_allowed_pins_in_order_without_gaps() {
    let sets = [
        PinRules::default(),
        PinRules::new([NoTripleConsecutiveInts, CannotStartWith12]),
        PinRules::new([NoAscendingOrDescendingSequence, AtLeastThreeUniqueDigits]),
        PinRules::new(DigitRule::ALL),
    ];
    for rules in sets {
        let numbering = Numbering::new(rules, 4).unwrap();
        let pins: Vec<_> = (0..numbering.count()).map(|rank| numbering.unrank(rank).unwrap()).collect();
        assert_eq!(pins, pins_allowed(rules, 4));
        assert_eq!(numbering.unrank(numbering.count()), None);
    }
}

/// Replaces a time limit, which a test cannot measure reliably: the work grows with the number of states.
#[test]
fn pin_numbering_needs_few_states_for_all_sets_of_rules() {
    let states = |rules| Numbering::new(rules, 4).unwrap().next.len();
    assert_eq!(states(PinRules::default()), 2);
    let most = all_rule_sets().map(states).max().unwrap();
    assert!(most < 1_000, "{most} states");
}

#[test]
fn choose_returns_a_different_free_pin_for_each_drawn_number() {
    let rules = PinRules::new([CannotContain0789, UniqueFirstFourDigits, NoTripleConsecutiveInts, CannotStartWith12]);
    let mut free = pins_allowed(rules, 4);
    let taken: Vec<_> = free.iter().step_by(3).cloned().collect();
    free.retain(|pin| !taken.contains(pin));
    let not_allowed = ["1234", "0000", "99999", "door", "", "136425"];
    let taken = || taken.iter().chain(&taken).map(String::as_str).chain(not_allowed);
    for (rank, pin) in (0..).zip(&free) {
        let chosen = rules.choose(4, taken(), |bound| {
            assert_eq!(bound, free.len() as u64);
            rank
        });
        assert_eq!(chosen.as_ref(), Some(pin));
    }
}

#[test]
fn choose_is_uniform_by_the_chi_square_test() {
    const PER_PIN: u32 = 20;
    let rules =
        PinRules::new([CannotContain0789, UniqueFirstFourDigits, NoAscendingOrDescendingSequence, CannotStartWith12]);
    let (taken, free): (Vec<_>, Vec<_>) = pins_allowed(rules, 4).into_iter().partition(|pin| pin.contains('3'));
    let mut times: BTreeMap<String, u32> = free.into_iter().map(|pin| (pin, 0)).collect();
    let mut draws = Draws(20_260_801);
    let pins = u32::try_from(times.len()).unwrap();
    for _ in 0..pins * PER_PIN {
        let pin = rules.choose(4, taken.iter().map(String::as_str), |bound| draws.below(bound)).unwrap();
        *times.get_mut(&pin).unwrap() += 1;
    }
    let expected = f64::from(PER_PIN);
    let chi_square: f64 = times.values().map(|&times| (f64::from(times) - expected).powi(2) / expected).sum();
    let freedom = f64::from(pins - 1);
    // Four standard deviations in both directions: a distribution that is too even would be as wrong as an uneven one.
    let deviation = (chi_square - freedom) / (2.0 * freedom).sqrt();
    assert!(deviation.abs() < 4.0, "{deviation} standard deviations");
}

#[test]
fn choose_finds_the_last_ten_free_pins_and_then_none() {
    let rules = PinRules::default();
    let mut draws = Draws(7);
    let mut taken: BTreeSet<String> = all_pins(4).collect();
    let last_free: BTreeSet<String> = (0..10).map(|_| taken.pop_first().unwrap()).collect();
    let mut found = BTreeSet::new();
    for free in (1..=10).rev() {
        let pin = rules
            .choose(4, taken.iter().map(String::as_str), |bound| {
                assert_eq!(bound, free);
                draws.below(bound)
            })
            .unwrap();
        taken.insert(pin.clone());
        found.insert(pin);
    }
    assert_eq!(found, last_free);
    assert_eq!(rules.choose(4, taken.iter().map(String::as_str), no_draw), None);
}

fn only(lengths: &[u8]) -> CodeLengths {
    CodeLengths::from_report(lengths).unwrap()
}

#[test]
fn lengths_to_try_are_the_common_lengths_shortest_first() {
    assert_eq!(lengths_to_try(&[only(&[8, 6, 5, 4, 7]), only(&[6, 7, 8, 9])], None), [6, 7, 8]);
    assert_eq!(lengths_to_try(&[only(&[4, 5]), only(&[6])], None), [0; 0]);
}

#[test]
fn lengths_to_try_start_with_the_preferred_length_if_all_locks_accept_it() {
    let locks = [only(&[4, 5, 6, 7, 8]), only(&[5, 6, 7])];
    assert_eq!(lengths_to_try(&locks, Some(6)), [6, 5, 7]);
    assert_eq!(lengths_to_try(&locks, Some(4)), [5, 6, 7]);
    assert_eq!(lengths_to_try(&locks, Some(12)), [5, 6, 7]);
}

#[test]
fn lengths_to_try_are_4_to_12_for_locks_that_report_none() {
    let all_lengths: Vec<u8> = (4..=12).collect();
    assert_eq!(lengths_to_try(&[CodeLengths::Any, only(&[6])], None), [6]);
    assert_eq!(lengths_to_try(&[CodeLengths::Any], None), all_lengths);
    assert_eq!(lengths_to_try(&[], None), all_lengths);
    assert_eq!(lengths_to_try(&[CodeLengths::Any], Some(14)), all_lengths);
    assert_eq!(CodeLengths::Any.to_string(), "4, 5, 6, 7, 8, 9, 10, 11, 12");
}

#[test]
fn code_lengths_ignore_a_report_without_a_valid_pin_length() {
    for report in [&[][..], &[15], &[0, 3, 13, 255]] {
        assert_eq!(CodeLengths::from_report(report), None, "{report:?}");
    }
    assert_eq!(only(&[20, 8, 6, 3, 8]), CodeLengths::Only(vec![6, 8]));
    assert_eq!(only(&[20, 8, 6]).to_string(), "6, 8");
}

fn any_rules() -> impl Strategy<Value = PinRules> {
    (0..1_u16 << DigitRule::ALL.len()).prop_map(PinRules)
}

proptest! {
    #[test]
    fn pin_rank_is_the_inverse_of_unrank(rules in any_rules(), length in 4_usize..=12, seed: u64) {
        let count = rules.count(length);
        prop_assume!(count > 0);
        let rank = Draws(seed).below(count);
        let pin = rules.unrank(length, rank).unwrap();
        prop_assert_eq!(pin.len(), length);
        prop_assert_eq!(rules.rank(&pin), Some(rank));
        prop_assert_eq!(rules.broken_by(&pin).next(), None);
    }

    #[test]
    fn pin_rank_exists_exactly_for_pins_that_break_no_rule(rules in any_rules(), pin in "[0-9]{4,12}|[1-4]{4,12}") {
        match rules.rank(&pin) {
            Some(rank) => {
                prop_assert_eq!(rules.broken_by(&pin).next(), None);
                prop_assert_eq!(rules.unrank(pin.len(), rank), Some(pin));
            }
            None => prop_assert!(rules.broken_by(&pin).next().is_some()),
        }
    }

    #[test]
    fn pin_ranks_increase_with_the_pins(rules in any_rules(), mut pins in proptest::collection::vec("[1-6]{8}", 2)) {
        pins.sort();
        if let (Some(lower), Some(higher)) = (rules.rank(&pins[0]), rules.rank(&pins[1])) {
            prop_assert_eq!(lower.cmp(&higher), pins[0].cmp(&pins[1]));
        }
    }

    #[test]
    fn choose_returns_an_allowed_and_free_pin(
        rules in any_rules(),
        length in 4_usize..=6,
        taken in proptest::collection::vec("[0-9]{4,6}", 0..300),
        seed: u64,
    ) {
        let chosen = rules.choose(length, taken.iter().map(String::as_str), |bound| Draws(seed).below(bound));
        let pin = chosen.unwrap();
        prop_assert_eq!(pin.len(), length);
        prop_assert_eq!(rules.broken_by(&pin).next(), None);
        prop_assert!(!taken.contains(&pin));
    }
}
