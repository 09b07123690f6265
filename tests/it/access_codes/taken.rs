//! PINs that are taken, memories that are full, and the last PINs of a lock.

use super::{on, pin, rows};
use crate::support::{START, World, app, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const CREATE: &str = "/access_codes/create";

/// A window in March 2026 from one day's noon to another's.
fn days(from: u32, to: u32) -> Value {
    json!({ "starts_at": format!("2026-03-{from:02}T12:00:00Z"), "ends_at": format!("2026-03-{to:02}T12:00:00Z") })
}

fn with(mut window: Value, name: &str, value: Value) -> Value {
    window[name] = value;
    window
}

/// Lets a lock hold these four-digit PINs already, without going through the API.
async fn fill(world: &World, place: usize, condition: &'static str) {
    let statement = format!(
        "insert into access_code (access_code_id, workspace_id, device_id, created_at, code, is_natively_scheduled,
                                  is_external_modification_allowed, held_code, first_held_at, as_of, children)
         select gen_random_uuid(), $1, $2, at, pin, false, false, pin, at, at, 0
         from generate_series(0, 9999) as number, lpad(number::text, 4, '0') as pin, cast($3 as timestamptz) as at
         where {condition}"
    );
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(world.workspace_id.parse::<Uuid>().unwrap())
        .bind(world.lock(place).parse::<Uuid>().unwrap())
        .bind(START.parse::<latchkey::clock::Instant>().unwrap())
        .execute(&app().pool)
        .await
        .unwrap();
}

#[test]
fn a_pin_is_refused_on_a_lock_that_has_it_and_fine_on_others() {
    run(async {
        let (world, other) = (World::with_locks(2).await, World::with_locks(1).await);
        world.create(on(&world, 0, json!({ "code": "4826" }))).await;
        let before = rows(&world).await;
        let second = on(&world, 0, json!({ "code": "4826", "name": "Second" }));
        let error = world.post(CREATE, second).await.error(409, "duplicate_access_code");
        assert_eq!(error["message"], "Cannot set duplicate access code 4826 named Second");
        assert_eq!(rows(&world).await, before);
        world.create(on(&world, 1, json!({ "code": "4826" }))).await;
        other.create(on(&other, 0, json!({ "code": "4826" }))).await;
        world.create(on(&world, 0, json!({ "code": "04826" }))).await;
    });
}

#[test]
fn overlapping_windows_cannot_share_a_pin_and_disjoint_or_touching_ones_can() {
    run(async {
        let world = World::with_locks(1).await;
        let pinned = |window| on(&world, 0, with(window, "code", json!("4826")));
        world.create(pinned(days(10, 12))).await;
        for overlapping in [days(10, 12), days(9, 11), days(11, 13), days(8, 14), json!({})] {
            world.post(CREATE, pinned(overlapping)).await.error(409, "duplicate_access_code");
        }
        let named = with(pinned(days(11, 13)), "name", json!("B"));
        let error = world.post(CREATE, named).await.error(409, "duplicate_access_code");
        assert_eq!(
            error["message"],
            "Cannot set duplicate access code 4826 named B for period 2026-03-11T12:00:00.000Z-2026-03-13T12:00:00.000Z"
        );
        world.create(pinned(days(20, 22))).await;
        world.create(pinned(days(12, 14))).await;
        world.create(pinned(days(8, 10))).await;
        let by_a_hair = json!({ "starts_at": "2026-03-14T11:59:59.999Z", "ends_at": "2026-03-15T00:00:00Z" });
        world.post(CREATE, pinned(by_a_hair)).await.error(409, "duplicate_access_code");
    });
}

#[test]
fn an_ongoing_code_keeps_its_pin_from_every_window() {
    run(async {
        let world = World::with_locks(1).await;
        world.create(on(&world, 0, json!({ "code": "4826" }))).await;
        for window in [days(10, 12), json!({ "starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-01-02T00:00:00Z" })]
        {
            let wanted = on(&world, 0, with(window, "code", json!("4826")));
            world.post(CREATE, wanted).await.error(409, "duplicate_access_code");
        }
    });
}

#[test]
fn a_pin_is_free_again_when_its_code_is_gone_and_not_before() {
    run(async {
        let world = World::with_locks(1).await;
        let wanted = on(&world, 0, json!({ "code": "4826" }));
        let code = world.create(wanted.clone()).await;
        world.advance("PT1S").await;
        world.post("/access_codes/delete", json!({ "access_code_id": code["access_code_id"] })).await.ok();
        world.post(CREATE, wanted.clone()).await.error(409, "duplicate_access_code");
        world.advance("PT0.25S").await;
        world.create(wanted).await;

        let ending = on(&world, 0, with(days(2, 3), "code", json!("5937")));
        world.create(ending).await;
        world.advance("P1DT1S").await;
        world.create(on(&world, 0, json!({ "code": "5937" }))).await;
    });
}

#[test]
fn a_third_code_is_refused_where_the_lock_holds_two() {
    run(async {
        let world = World::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 2 }])).await;
        let first = world.create(on(&world, 0, json!({ "code": "4826" }))).await;
        world.create(on(&world, 0, json!({}))).await;
        let before = rows(&world).await;
        for third in [json!({}), json!({ "code": "5937" }), days(10, 12)] {
            let reply = world.post(CREATE, on(&world, 0, third)).await;
            let error = reply.error(400, "no_space_for_access_code_on_device");
            assert_eq!(error["data"], json!({ "device_id": world.lock(0) }));
        }
        assert_eq!(rows(&world).await, before);
        world.post("/access_codes/delete", json!({ "access_code_id": first["access_code_id"] })).await.ok();
        world.post(CREATE, on(&world, 0, json!({}))).await.error(400, "no_space_for_access_code_on_device");
        world.advance("PT1S").await;
        world.create(on(&world, 0, json!({}))).await;
    });
}

#[test]
fn codes_that_are_never_on_the_lock_together_share_its_places() {
    run(async {
        let lock = json!({ "device_type": "smartthings_lock", "max_active_codes_supported": 2 });
        let world = World::with(json!([lock])).await;
        for window in [days(10, 12), days(11, 13), days(20, 22), days(21, 23), days(15, 16)] {
            world.create(on(&world, 0, window)).await;
        }
        for crowded in [days(11, 12), days(9, 11), days(5, 30), json!({})] {
            let reply = world.post(CREATE, on(&world, 0, crowded)).await;
            reply.error(400, "no_space_for_access_code_on_device");
        }
        world.create(on(&world, 0, days(14, 19))).await;
    });
}

#[test]
fn a_native_code_takes_its_place_72_hours_before_it_starts() {
    run(async {
        let world = World::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 1 }])).await;
        world.create(on(&world, 0, days(10, 12))).await;
        let reply = world.post(CREATE, on(&world, 0, days(14, 15))).await;
        reply.error(400, "no_space_for_access_code_on_device");
        let just_in_time = on(&world, 0, with(days(14, 15), "prefer_native_scheduling", json!(false)));
        world.create(just_in_time).await;
        let reply = world.post(CREATE, on(&world, 0, days(5, 8))).await;
        reply.error(400, "no_space_for_access_code_on_device");
        world.create(on(&world, 0, days(3, 6))).await;
        world.create(on(&world, 0, days(19, 20))).await;
    });
}

#[test]
fn a_code_that_ended_takes_its_place_until_the_lock_has_dropped_it() {
    run(async {
        let world = World::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 1 }])).await;
        let code = world.create(on(&world, 0, days(2, 4))).await;
        world.advance("PT1S").await;
        let offline = json!({ "device_id": world.lock(0), "online": false });
        world.post("/_emulator/devices/update", offline).await.ok();
        world.advance("P20D").await;
        assert_eq!(world.access_code(&code["access_code_id"]).await["status"], "removing");
        for wanted in [json!({}), days(22, 28), days(24, 28)] {
            let reply = world.post(CREATE, on(&world, 0, wanted)).await;
            reply.error(400, "no_space_for_access_code_on_device");
        }
    });
}

#[test]
fn a_lock_without_places_takes_no_code() {
    run(async {
        let world = World::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 0 }])).await;
        for wanted in [json!({}), json!({ "code": "4826" }), days(10, 12)] {
            let reply = world.post(CREATE, on(&world, 0, wanted)).await;
            reply.error(400, "no_space_for_access_code_on_device");
        }
        assert_eq!(rows(&world).await, [0; 4]);
    });
}

#[test]
fn the_last_ten_pins_of_a_lock_are_found_one_by_one_and_then_none_is_left() {
    run(async {
        let world = World::with(json!([{ "device_type": "wyze_lock", "supported_code_lengths": [4] }])).await;
        fill(&world, 0, "number % 1000 <> 7").await;
        let mut found = BTreeSet::new();
        for _ in 0..10 {
            let generated = world.post("/access_codes/generate_code", on(&world, 0, json!({}))).await.ok();
            assert!(!found.contains(pin(&generated["generated_code"])));
            found.insert(pin(&world.create(on(&world, 0, json!({}))).await).to_owned());
        }
        let last: BTreeSet<String> = (0..10).map(|thousands| format!("{thousands}007")).collect();
        assert_eq!(found, last);
        let before = rows(&world).await;
        for wanted in [json!({}), json!({ "common_code_key": "guests" }), days(10, 12)] {
            world.post(CREATE, on(&world, 0, wanted)).await.error(400, "no_code_left");
        }
        world.post("/access_codes/generate_code", on(&world, 0, json!({}))).await.error(400, "no_code_left");
        assert_eq!(rows(&world).await, before);
    });
}

#[test]
fn a_lock_whose_four_digit_pins_are_gone_gets_five_digits() {
    run(async {
        let world = World::with(json!([{ "device_type": "wyze_lock", "supported_code_lengths": [5, 4] }])).await;
        fill(&world, 0, "number <> 4826").await;
        let preferring = json!({ "preferred_code_length": 5 });
        assert_eq!(pin(&world.create(on(&world, 0, preferring)).await).len(), 5);
        assert_eq!(world.create(on(&world, 0, json!({}))).await["code"], "4826");
        for _ in 0..3 {
            let code = world.create(on(&world, 0, json!({ "preferred_code_length": 4 }))).await;
            assert_eq!(pin(&code).len(), 5);
        }
    });
}

#[test]
fn what_the_constraints_forbid_does_not_count_as_left() {
    run(async {
        let lock = json!({
            "device_type": "schlage_lock",
            "supported_code_lengths": [4],
            "code_constraints": [{ "constraint_type": "cannot_contain_0789" }, { "constraint_type": "unique_first_four_digits" }],
        });
        let world = World::with(json!([lock])).await;
        fill(&world, 0, "pin not in ('1234', '1123', '7123')").await;
        assert_eq!(world.create(on(&world, 0, json!({}))).await["code"], "1234");
        world.post(CREATE, on(&world, 0, json!({}))).await.error(400, "no_code_left");
    });
}

#[test]
fn locks_with_nothing_left_share_nothing_and_get_nothing() {
    run(async {
        let full = json!({ "device_type": "wyze_lock", "supported_code_lengths": [4] });
        let world = World::with(json!([{ "device_type": "august_lock" }, full])).await;
        fill(&world, 1, "true").await;
        let before = rows(&world).await;
        let multiple = json!({ "device_ids": world.locks() });
        let error = world.post("/access_codes/create_multiple", multiple.clone()).await;
        let error = error.error(400, "code_cannot_be_shared");
        assert_eq!(error["data"], json!({ "device_ids": [world.lock(1)] }));
        let random = with(multiple, "behavior_when_code_cannot_be_shared", json!("create_random_code"));
        world.post("/access_codes/create_multiple", random).await.error(400, "no_code_left");
        assert_eq!(rows(&world).await, before);
    });
}
