mod reference;

use super::*;
use crate::clock::from_iso;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{CodeState, LockCode};
use crate::domain::device::health::DeviceHealth;
use crate::domain::device::{Overrides, brands};
use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::LazyLock;
use uuid::Uuid;

#[test]
fn backup_code_counts_against_the_capacity_only_once_it_is_on_the_lock() {
    let entry = LockCode { name: None, code: "1357".to_owned(), window: None };
    let state = CodeState { is_backup: true, ..CodeState::new_managed(Timestamp::default(), entry.clone(), false) };
    let mut backup = AccessCode {
        access_code_id: Uuid::nil(),
        workspace_id: Uuid::nil(),
        device_id: Uuid::nil(),
        sequence: 0,
        common_code_key: None,
        left_group: None,
        is_external_modification_allowed: false,
        pool_device_id: Some(Uuid::nil()),
        pulled_backup_access_code_id: None,
        access_method_id: None,
        state,
        children: 0,
    };
    let uses_slot = |code: &AccessCode| {
        let mut reservations = Reservations::default();
        reservations.add_code(code);
        reservations.on(code.device_id).iter().any(|reservation| reservation.uses_slot)
    };
    assert!(!uses_slot(&backup));
    backup.state.held = Some(entry);
    assert!(uses_slot(&backup));
}

fn now() -> Timestamp {
    from_iso("2026-03-01T12:00:00Z").unwrap()
}

fn lock(index: usize, overrides: &Value) -> Device {
    Device {
        device_id: Uuid::from_u128(index as u128 + 1),
        workspace_id: Uuid::nil(),
        connected_account_id: Uuid::nil(),
        brand: brands::of("august_lock").unwrap(),
        name: "Front Door".to_owned(),
        nickname: None,
        is_managed: true,
        ordinal: 0,
        created_at: now(),
        reachable_since: Some(now()),
        health: DeviceHealth::default(),
        backup_pool: None,
        events_made: 0,
        lock_operations: Vec::new(),
        overrides: Overrides::deserialize(overrides).unwrap(),
        custom_metadata: serde_json::Map::new(),
        deleted_at: None,
        space_ids: Vec::new(),
    }
}

fn reservation(device: &Device, number: usize, code: &str, window: Option<Window>) -> Reservation {
    Reservation {
        access_code_id: Uuid::from_u128(number as u128),
        device_id: device.device_id,
        code: code.to_owned(),
        window,
        is_natively_scheduled: number.is_multiple_of(2),
        is_managed: !number.is_multiple_of(5),
        uses_slot: !number.is_multiple_of(7),
        is_in_pool: false,
        is_being_removed: number.is_multiple_of(11),
    }
}

/// Returns the time frame that starts `from` days after now and lasts `many` days.
fn days((from, many): (i64, i64)) -> Window {
    let starts_at = now() + TimeDelta::days(from);
    Window { starts_at, ends_at: starts_at + TimeDelta::days(many) }
}

/// All PINs of four digits that [`STRICT`] allows: four different digits from 1 to 6, 360 PINs.
static STRICT_PINS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let pins = (1000..10_000).map(|number: u32| number.to_string());
    let is_strict = |pin: &String| {
        let digits: HashSet<u8> = pin.bytes().filter(|digit| (b'1'..=b'6').contains(digit)).collect();
        digits.len() == 4
    };
    pins.filter(is_strict).collect()
});

const STRICT: [&str; 2] = ["cannot_contain_0789", "unique_first_four_digits"];

/// Description of a lock and of the codes on it.
#[derive(Clone, Debug)]
struct LockSpec {
    capacity: Option<u32>,
    lengths: Option<Vec<u8>>,
    rules: Vec<&'static str>,
    /// `(of, left)`: of each `of` strict PINs in a row, the one at index `left` is free and the others are taken.
    leaves: (usize, usize),
    /// Codes on the lock: strings that need not be valid PINs, and their time frames.
    codes: Vec<(&'static str, Option<(i64, i64)>)>,
}

impl LockSpec {
    fn device(&self, index: usize) -> Device {
        let rules: Vec<Value> = self.rules.iter().map(|rule| json!({ "constraint_type": rule })).collect();
        let overrides = json!({
            "supported_code_lengths": self.lengths,
            "code_constraints": rules,
            "max_active_codes_supported": self.capacity,
        });
        lock(index, &overrides)
    }

    fn reservations(&self, device: &Device) -> Vec<Reservation> {
        let (of, left) = self.leaves;
        let strict = STRICT_PINS.iter().enumerate().filter(|(index, _)| index % of != left);
        let strict = strict.map(|(index, pin)| reservation(device, index + 1000, pin, None));
        let codes = self.codes.iter().enumerate();
        let codes = codes.map(|(index, (pin, window))| reservation(device, index + 1, pin, window.map(days)));
        codes.chain(strict).collect()
    }
}

fn any_window() -> impl Strategy<Value = Option<(i64, i64)>> {
    prop::option::of((-3_i64..12, 1_i64..6))
}

const SOME_PINS: [&str; 10] =
    ["1234", "1235", "4321", "0000", "12345", "13579", "246802", "12a4", "", "123456789012345"];

fn any_lock_spec() -> impl Strategy<Value = LockSpec> {
    let lengths = vec![None, Some(vec![4]), Some(vec![4]), Some(vec![4, 5]), Some(vec![5]), Some(vec![6, 4])];
    let more = vec!["no_zeros", "cannot_start_with_12", "no_triple_consecutive_ints", "at_least_three_unique_digits"];
    let leaves = vec![(1, 0), (2, 0), (3, 1), (7, 2), (360, 0), (400, 380)];
    (
        prop::bool::weighted(0.05),
        prop::option::of(0_u32..20),
        select(lengths),
        (prop::bool::weighted(0.8), subsequence(more, 0..=4)),
        select(leaves),
        prop::collection::vec((select(&SOME_PINS), any_window()), 0..12),
    )
        .prop_map(|(chooses_codes, capacity, lengths, (is_strict, more), leaves, codes)| LockSpec {
            capacity,
            lengths,
            rules: {
                let strict: &[&str] = if is_strict { &STRICT } else { &[] };
                let provider = chooses_codes.then_some("cannot_specify_pin_code");
                strict.iter().copied().chain(more).chain(provider).collect()
            },
            leaves,
            codes,
        })
}

proptest! {
    #[test]
    fn shared_pins_equal_those_of_the_reference_implementation(
        specs in prop::collection::vec(any_lock_spec(), 1..7),
        code in prop_oneof![4 => Just(None), 1 => Just(Some("1324")), 1 => select(&SOME_PINS).prop_map(Some)],
        preferred_code_length in prop::option::of(4_u8..7),
        window in any_window(),
        is_strict in any::<bool>(),
        is_refused in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let devices: Vec<Device> = specs.iter().enumerate().map(|(index, spec)| spec.device(index)).collect();
        let devices: Vec<&Device> = devices.iter().collect();
        let reservations: Reservations =
            specs.iter().zip(&devices).flat_map(|(spec, device)| spec.reservations(device)).collect();
        let pin_request = PinRequest {
            code,
            preferred_code_length,
            window: window.map(days),
            same_code: if is_strict { SameCode::Never } else { SameCode::InDisjointWindows },
            ..PinRequest::at(now())
        };
        let behavior =
            if is_refused { WhenCodeCannotBeShared::Throw } else { WhenCodeCannotBeShared::CreateRandomCode };
        let (mut bounds, mut expected_bounds) = (Vec::new(), Vec::new());
        let found = assign_many(&devices, &reservations, &pin_request, behavior, |bound| {
            bounds.push(bound);
            (seed >> bounds.len()) % bound
        });
        let expected = reference::assign_many(&devices, &reservations, &pin_request, behavior, |bound| {
            expected_bounds.push(bound);
            (seed >> expected_bounds.len()) % bound
        });
        prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        prop_assert_eq!(bounds, expected_bounds);
        for device in devices {
            let expected = format!("{:?}", reference::check_capacity(device, &reservations, &pin_request));
            prop_assert_eq!(format!("{:?}", check_capacity(device, &reservations, &pin_request)), expected);
        }
    }

    #[test]
    fn reservations_are_found_by_pin_after_additions_and_removals(
        steps in prop::collection::vec((any::<bool>(), 1_usize..30, select(&SOME_PINS)), 0..60),
    ) {
        let device = lock(0, &json!({}));
        let (mut reservations, mut plain) = (Reservations::default(), Vec::new());
        for (is_added, number, code) in steps {
            if is_added {
                reservations.add(reservation(&device, number, code, None));
                plain.push(reservation(&device, number, code, None));
            } else {
                reservations.remove(device.device_id, Uuid::from_u128(number as u128));
                plain.retain(|reservation| reservation.access_code_id != Uuid::from_u128(number as u128));
            }
            prop_assert_eq!(format!("{:?}", reservations.on(device.device_id)), format!("{:?}", &plain));
            prop_assert_eq!(reservations.used_slot_count(device.device_id), plain.iter().filter(|reservation| reservation.counts_against_capacity()).count());
            for code in SOME_PINS {
                let expected: Vec<&Reservation> = plain.iter().filter(|reservation| reservation.code == code).collect();
                let found: Vec<&Reservation> = reservations.with_code(device.device_id, code).collect();
                prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            }
        }
    }
}

/// Returns the work needed to find out which of `locks` locks can share a PIN, and the number of locks that can. Each
/// lock has codes of its own, and every third lock has so many that it cannot share.
fn work_of_sharing(locks: usize) -> (u64, usize) {
    let spec = |index: usize| LockSpec {
        capacity: None,
        lengths: Some(vec![4, 6]),
        rules: if index.is_multiple_of(2) { STRICT.to_vec() } else { vec!["no_zeros"] },
        leaves: (400, 380),
        codes: Vec::new(),
    };
    let devices: Vec<Device> = (0..locks).map(|index| spec(index).device(index)).collect();
    let mut reservations = Reservations::default();
    for (index, device) in devices.iter().enumerate() {
        if index % 3 == 2 {
            spec(index).reservations(device).into_iter().for_each(|reservation| reservations.add(reservation));
            let longer = (100_000..=999_999).filter(|number| number % 1000 == 1);
            longer.for_each(|number| reservations.add(reservation(device, number, &number.to_string(), None)));
        }
        for number in 0..20 {
            reservations.add(reservation(device, number, &format!("7{:05}", index * 20 + number), None));
        }
    }
    let pin_request = PinRequest::at(now());
    let mut group = Group::new(&pin_request);
    // With PINs of four digits only, a lock without a free strict PIN has no free PIN at all.
    let short = lock(locks, &json!({ "supported_code_lengths": [4], "code_constraints": [] }));
    group.join(&short, &reservations, &pin_request).unwrap();
    let joined = devices.iter().filter(|device| group.join(device, &reservations, &pin_request).is_ok()).count();
    (group.taken.work, joined)
}

#[test]
fn sharing_cost_of_a_lock_does_not_depend_on_codes_of_other_locks() {
    let ((few, few_joined), (many, many_joined)) = (work_of_sharing(60), work_of_sharing(240));
    assert_eq!((few_joined, many_joined), (40, 160));
    assert!(many <= 5 * few, "{many} steps with four times as many locks, instead of {few}");
}
