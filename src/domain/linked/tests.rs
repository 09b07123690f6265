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
fn a_backup_takes_room_from_guests_only_once_the_lock_holds_it() {
    let entry = LockCode { name: None, code: "1357".to_owned(), window: None };
    let state = CodeState { is_backup: true, ..CodeState::begin(Timestamp::default(), entry.clone(), false) };
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
        state,
        children: 0,
    };
    let needs_room = |code: &AccessCode| {
        let mut reservations = Reservations::default();
        reservations.add_code(code);
        reservations.on(code.device_id).iter().any(|reservation| reservation.needs_room)
    };
    assert!(!needs_room(&backup));
    backup.state.held = Some(entry);
    assert!(needs_room(&backup));
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
        ordinal: 0,
        created_at: now(),
        reachable_since: Some(now()),
        health: DeviceHealth::default(),
        backup_pool: None,
        events_made: 0,
        overrides: Overrides::deserialize(overrides).unwrap(),
        custom_metadata: serde_json::Map::new(),
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
        needs_room: !number.is_multiple_of(7),
        is_in_pool: false,
        is_being_removed: number.is_multiple_of(11),
    }
}

/// The time from some days after now on, for some days.
fn days((from, many): (i64, i64)) -> Window {
    let starts_at = now() + TimeDelta::days(from);
    Window { starts_at, ends_at: starts_at + TimeDelta::days(many) }
}

/// The 360 PINs of four digits, each another one from 1 to 6: all that the strictest rules leave.
static STRICT_PINS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let pins = (1000..10_000).map(|number: u32| number.to_string());
    let is_strict = |pin: &String| {
        let digits: HashSet<u8> = pin.bytes().filter(|digit| (b'1'..=b'6').contains(digit)).collect();
        digits.len() == 4
    };
    pins.filter(is_strict).collect()
});

const STRICT: [&str; 2] = ["cannot_contain_0789", "unique_first_four_digits"];

/// A lock, as a recipe.
#[derive(Clone, Debug)]
struct Recipe {
    capacity: Option<u32>,
    lengths: Option<Vec<u8>>,
    rules: Vec<&'static str>,
    /// Of so many strict PINs it leaves the one at this place.
    leaves: (usize, usize),
    /// PINs, some of them none, with when they count.
    others: Vec<(&'static str, Option<(i64, i64)>)>,
}

impl Recipe {
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
        let others = self.others.iter().enumerate();
        let others = others.map(|(index, (pin, window))| reservation(device, index + 1, pin, window.map(days)));
        others.chain(strict).collect()
    }
}

fn a_window() -> impl Strategy<Value = Option<(i64, i64)>> {
    prop::option::of((-3_i64..12, 1_i64..6))
}

const SOME_PINS: [&str; 10] =
    ["1234", "1235", "4321", "0000", "12345", "13579", "246802", "12a4", "", "123456789012345"];

fn a_recipe() -> impl Strategy<Value = Recipe> {
    let lengths = vec![None, Some(vec![4]), Some(vec![4]), Some(vec![4, 5]), Some(vec![5]), Some(vec![6, 4])];
    let more = vec!["no_zeros", "cannot_start_with_12", "no_triple_consecutive_ints", "at_least_three_unique_digits"];
    let leaves = vec![(1, 0), (2, 0), (3, 1), (7, 2), (360, 0), (400, 380)];
    (
        prop::bool::weighted(0.05),
        prop::option::of(0_u32..20),
        select(lengths),
        (prop::bool::weighted(0.8), subsequence(more, 0..=4)),
        select(leaves),
        prop::collection::vec((select(&SOME_PINS), a_window()), 0..12),
    )
        .prop_map(|(chooses_codes, capacity, lengths, (is_strict, more), leaves, others)| Recipe {
            capacity,
            lengths,
            rules: {
                let strict: &[&str] = if is_strict { &STRICT } else { &[] };
                let provider = chooses_codes.then_some("cannot_specify_pin_code");
                strict.iter().copied().chain(more).chain(provider).collect()
            },
            leaves,
            others,
        })
}

proptest! {
    #[test]
    fn shared_pins_are_those_of_the_plain_definition(
        recipes in prop::collection::vec(a_recipe(), 1..7),
        code in prop_oneof![4 => Just(None), 1 => Just(Some("1324")), 1 => select(&SOME_PINS).prop_map(Some)],
        preferred_code_length in prop::option::of(4_u8..7),
        window in a_window(),
        is_strict in any::<bool>(),
        is_refused in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let devices: Vec<Device> = recipes.iter().enumerate().map(|(index, recipe)| recipe.device(index)).collect();
        let devices: Vec<&Device> = devices.iter().collect();
        let reservations: Reservations =
            recipes.iter().zip(&devices).flat_map(|(recipe, device)| recipe.reservations(device)).collect();
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
    fn reservations_are_found_by_pin_whatever_was_removed(
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
            prop_assert_eq!(reservations.rooms(device.device_id), plain.iter().filter(|reservation| reservation.takes_room()).count());
            for code in SOME_PINS {
                let expected: Vec<&Reservation> = plain.iter().filter(|reservation| reservation.code == code).collect();
                let found: Vec<&Reservation> = reservations.with_code(device.device_id, code).collect();
                prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            }
        }
    }
}

/// The work of finding out which of so many locks can share a PIN, and how many can. Each has codes of its own, and
/// every third one so many that it cannot.
fn work_of_sharing(locks: usize) -> (u64, usize) {
    let recipe = |index: usize| Recipe {
        capacity: None,
        lengths: Some(vec![4, 6]),
        rules: if index.is_multiple_of(2) { STRICT.to_vec() } else { vec!["no_zeros"] },
        leaves: (400, 380),
        others: Vec::new(),
    };
    let devices: Vec<Device> = (0..locks).map(|index| recipe(index).device(index)).collect();
    let mut reservations = Reservations::default();
    for (index, device) in devices.iter().enumerate() {
        if index % 3 == 2 {
            recipe(index).reservations(device).into_iter().for_each(|reservation| reservations.add(reservation));
            let longer = (100_000..=999_999).filter(|number| number % 1000 == 1);
            longer.for_each(|number| reservations.add(reservation(device, number, &number.to_string(), None)));
        }
        for number in 0..20 {
            reservations.add(reservation(device, number, &format!("7{:05}", index * 20 + number), None));
        }
    }
    let pin_request = PinRequest::at(now());
    let mut group = Group::new(&pin_request);
    // Without the longer PINs those that leave no strict one leave none at all.
    let short = lock(locks, &json!({ "supported_code_lengths": [4], "code_constraints": [] }));
    group.join(&short, &reservations, &pin_request).unwrap();
    let joined = devices.iter().filter(|device| group.join(device, &reservations, &pin_request).is_ok()).count();
    (group.taken.work, joined)
}

#[test]
fn sharing_costs_each_lock_what_is_on_it_and_not_what_is_on_the_others() {
    let ((few, of_few), (many, of_many)) = (work_of_sharing(60), work_of_sharing(240));
    assert_eq!((of_few, of_many), (40, 160));
    assert!(many <= 5 * few, "four times the locks took {many} steps, and the fewer {few}");
}
