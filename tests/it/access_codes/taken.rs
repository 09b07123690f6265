//! Taken PINs, full locks, and the last free PINs of a lock.

use super::{on_lock, pin, rows};
use crate::support::{START, TestWorkspace, app, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const CREATE: &str = "/access_codes/create";

/// Returns a time frame in March 2026, from noon of one day to noon of another.
fn days(from: u32, to: u32) -> Value {
    json!({ "starts_at": format!("2026-03-{from:02}T12:00:00Z"), "ends_at": format!("2026-03-{to:02}T12:00:00Z") })
}

fn with(mut window: Value, name: &str, value: Value) -> Value {
    window[name] = value;
    window
}

/// Inserts codes into the database, as if the lock held all four-digit PINs that match the SQL `condition`.
async fn fill(workspace: &TestWorkspace, index: usize, condition: &'static str) {
    let statement = format!(
        "insert into access_code (access_code_id, workspace_id, device_id, created_at, code, is_natively_scheduled,
                                  is_external_modification_allowed, held_code, first_held_at, as_of, children)
         select gen_random_uuid(), $1, $2, at, pin, false, false, pin, at, at, 0
         from generate_series(0, 9999) as number, lpad(number::text, 4, '0') as pin, cast($3 as timestamptz) as at
         where {condition}"
    );
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(workspace.workspace_id.parse::<Uuid>().unwrap())
        .bind(workspace.lock(index).parse::<Uuid>().unwrap())
        .bind(START.parse::<latchkey::testing::clock::Timestamp>().unwrap())
        .execute(app().pool.raw())
        .await
        .unwrap();
}

#[test]
fn pin_is_rejected_on_a_lock_that_has_it_and_accepted_on_others() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        let before = rows(&workspace).await;
        let second = on_lock(&workspace, 0, json!({ "code": "4826", "name": "Second" }));
        let error = workspace.post(CREATE, second).await.error(409, "duplicate_access_code");
        assert_eq!(error["message"], "Cannot set duplicate access code 4826 named Second");
        assert_eq!(rows(&workspace).await, before);
        workspace.create(on_lock(&workspace, 1, json!({ "code": "4826" }))).await;
        other.create(on_lock(&other, 0, json!({ "code": "4826" }))).await;
        workspace.create(on_lock(&workspace, 0, json!({ "code": "04826" }))).await;
    });
}

#[test]
fn pin_of_a_managed_code_is_taken_for_every_time_frame() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let pinned = |window| on_lock(&workspace, 0, with(window, "code", json!("4826")));
        let first = workspace.create(pinned(days(10, 12))).await;
        let before = rows(&workspace).await;
        for window in [days(10, 12), days(9, 11), days(11, 13), days(8, 14), json!({}), days(20, 22), days(5, 6)] {
            let error = workspace.post(CREATE, pinned(window)).await.error(409, "duplicate_access_code");
            assert_eq!(error["data"], json!({ "access_code_id": first["access_code_id"] }));
        }
        let named = with(pinned(days(11, 13)), "name", json!("B"));
        let error = workspace.post(CREATE, named).await.error(409, "duplicate_access_code");
        assert_eq!(
            error["message"],
            "Cannot set duplicate access code 4826 named B for period 2026-03-11T12:00:00.000Z-2026-03-13T12:00:00.000Z"
        );
        let error = workspace.post(CREATE, pinned(days(20, 22))).await.error(409, "duplicate_access_code");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("allow_same_code_in_disjoint_windows"), "{message}");
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn setting_lets_codes_share_a_pin_if_the_lock_never_holds_both() {
    run(async {
        // A code is on the lock 72 hours before its start with native scheduling, otherwise 60 minutes before it.
        for (device_type, apart, together) in [
            ("august_lock", [days(16, 17), days(4, 5)], [days(13, 14), days(8, 9)]),
            ("smartthings_lock", [days(13, 14), days(8, 9)], [days(12, 13), days(9, 10)]),
        ] {
            let locks = json!([{ "device_type": device_type }]);
            let workspace =
                TestWorkspace::create_with(json!({ "locks": locks, "allow_same_code_in_disjoint_windows": true }))
                    .await;
            let pinned = |window| on_lock(&workspace, 0, with(window, "code", json!("4826")));
            let first = workspace.create(pinned(days(10, 12))).await;
            for window in together {
                let error = workspace.post(CREATE, pinned(window)).await.error(409, "duplicate_access_code");
                assert_eq!(error["data"], json!({ "access_code_id": first["access_code_id"] }));
                let message = error["message"].as_str().unwrap();
                assert!(message.contains("on the device at the same time"), "{message}");
            }
            for window in [days(10, 12), days(11, 13), days(9, 30), json!({})] {
                workspace.post(CREATE, pinned(window)).await.error(409, "duplicate_access_code");
            }
            for window in apart {
                workspace.create(pinned(window)).await;
            }
            let mut seen = 0;
            for day in 2..20 {
                workspace.advance_to(&format!("2026-03-{day:02}T12:00:01Z")).await;
                let held = workspace.memory(0).await;
                assert!(held.len() <= 1, "{device_type} on {day} March: {held:?}");
                seen += held.len();
            }
            assert!(seen > 3, "{device_type}: the lock had only {seen} codes");
        }
    });
}

#[test]
fn allow_same_code_in_disjoint_windows_can_be_changed_and_is_shown() {
    run(async {
        const SETTINGS: &str = "/_emulator/workspaces/update";
        let workspace = TestWorkspace::with(json!([{ "device_type": "smartthings_lock" }])).await;
        let pinned = |window| on_lock(&workspace, 0, with(window, "code", json!("4826")));
        workspace.create(pinned(days(10, 12))).await;
        workspace.post(CREATE, pinned(days(14, 16))).await.error(409, "duplicate_access_code");
        let enable = json!({ "allow_same_code_in_disjoint_windows": true });
        let shown = workspace.post(SETTINGS, enable).await.ok()["settings"].clone();
        let expected = json!({ "allow_same_code_in_disjoint_windows": true, "refuse_begun_windows": false,
                               "late_issuance_lead": "PT129600S", "late_issuance_grace": "PT300S" });
        assert_eq!(shown, expected);
        let second = workspace.create(pinned(days(14, 16))).await;
        let disable = json!({ "allow_same_code_in_disjoint_windows": false });
        assert_eq!(
            workspace.post(SETTINGS, disable).await.ok()["settings"]["allow_same_code_in_disjoint_windows"],
            false
        );
        workspace.post(CREATE, pinned(days(20, 22))).await.error(409, "duplicate_access_code");
        // The code that shares the PIN keeps it. Its changes are checked only for overlapping time on the lock.
        let moved = json!({ "access_code_id": second["access_code_id"], "ends_at": "2026-03-17T12:00:00Z" });
        workspace.post("/access_codes/update", moved).await.ok();
        let clashing = json!({ "access_code_id": second["access_code_id"], "starts_at": "2026-03-11T12:00:00Z" });
        workspace.post("/access_codes/update", clashing).await.error(409, "duplicate_access_code");
        for wrong in [json!({ "allow_same_code_in_disjoint_windows": "yes" }), json!({ "refuse_begun_windows": 1 })] {
            workspace.post(SETTINGS, wrong).await.error(400, "invalid_input");
        }
    });
}

#[test]
fn taken_pin_is_rejected_by_create_multiple_update_and_convert() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "ttlock_lock" }, { "device_type": "ttlock_lock" }])).await;
        let first = workspace.create(on_lock(&workspace, 0, with(days(10, 12), "code", json!("4826")))).await;
        let blocking = json!({ "access_code_id": first["access_code_id"] });
        let check_duplicate = async |path: &str, params: Value| {
            let before = rows(&workspace).await;
            let error = workspace.post(path, params).await.error(409, "duplicate_access_code");
            assert_eq!(error["data"], blocking, "{path}");
            assert_eq!(rows(&workspace).await, before, "{path}");
        };
        let mut multiple = with(days(20, 22), "code", json!("4826"));
        multiple["device_ids"] = json!(workspace.locks());
        check_duplicate("/access_codes/create_multiple", multiple).await;
        let other = workspace.create(on_lock(&workspace, 0, with(days(20, 22), "code", json!("5937")))).await;
        let changed = json!({ "access_code_id": other["access_code_id"], "code": "4826" });
        check_duplicate("/access_codes/update", changed).await;
        // The PIN of an unmanaged code never causes a 409.
        let unmanaged = on_lock(&workspace, 1, json!({ "code": "4826", "name": "Cleaner" }));
        let unmanaged = workspace.post("/_emulator/locks/add_code", unmanaged).await.ok()["access_code"].clone();
        let managed = workspace.create(on_lock(&workspace, 1, with(days(20, 22), "code", json!("4826")))).await;
        // Converting a code to managed requires that its PIN is free.
        let convert = json!({ "access_code_id": unmanaged["access_code_id"] });
        let attempt = workspace.post("/access_codes/unmanaged/convert_to_managed", convert.clone()).await.ok();
        assert_eq!(attempt["action_attempt"]["status"], "error");
        let by_id = json!({ "access_code_id": managed["access_code_id"] });
        workspace.post("/access_codes/delete", by_id).await.ok();
        workspace.advance("PT1S").await;
        let attempt = workspace.post("/access_codes/unmanaged/convert_to_managed", convert).await.ok();
        assert_eq!(attempt["action_attempt"]["status"], "success");
    });
}

#[test]
fn ongoing_code_blocks_its_pin_for_every_time_frame() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        for window in [days(10, 12), json!({ "starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-01-02T00:00:00Z" })]
        {
            let params = on_lock(&workspace, 0, with(window, "code", json!("4826")));
            workspace.post(CREATE, params).await.error(409, "duplicate_access_code");
        }
    });
}

#[test]
fn pin_is_free_again_only_when_its_code_is_gone() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = on_lock(&workspace, 0, json!({ "code": "4826" }));
        let code = workspace.create(params.clone()).await;
        workspace.advance("PT1S").await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": code["access_code_id"] })).await.ok();
        workspace.post(CREATE, params.clone()).await.error(409, "duplicate_access_code");
        workspace.advance("PT0.25S").await;
        workspace.create(params).await;

        let ending = on_lock(&workspace, 0, with(days(2, 3), "code", json!("5937")));
        workspace.create(ending).await;
        workspace.advance("P1DT1S").await;
        workspace.create(on_lock(&workspace, 0, json!({ "code": "5937" }))).await;
    });
}

#[test]
fn full_lock_rejects_a_further_code() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 2 }])).await;
        let first = workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        workspace.create(on_lock(&workspace, 0, json!({}))).await;
        let before = rows(&workspace).await;
        for further in [json!({}), json!({ "code": "5937" }), days(10, 12)] {
            let reply = workspace.post(CREATE, on_lock(&workspace, 0, further)).await;
            let error = reply.error(400, "no_space_for_access_code_on_device");
            assert_eq!(error["data"], json!({ "device_id": workspace.lock(0) }));
        }
        assert_eq!(rows(&workspace).await, before);
        workspace.post("/access_codes/delete", json!({ "access_code_id": first["access_code_id"] })).await.ok();
        workspace
            .post(CREATE, on_lock(&workspace, 0, json!({})))
            .await
            .error(400, "no_space_for_access_code_on_device");
        workspace.advance("PT1S").await;
        workspace.create(on_lock(&workspace, 0, json!({}))).await;
    });
}

#[test]
fn capacity_is_shared_by_codes_that_are_never_on_the_lock_together() {
    run(async {
        let lock = json!({ "device_type": "smartthings_lock", "max_active_codes_supported": 2 });
        let workspace = TestWorkspace::with(json!([lock])).await;
        for window in [days(10, 12), days(11, 13), days(20, 22), days(21, 23), days(15, 16)] {
            workspace.create(on_lock(&workspace, 0, window)).await;
        }
        for crowded in [days(11, 12), days(9, 11), days(5, 30), json!({})] {
            let reply = workspace.post(CREATE, on_lock(&workspace, 0, crowded)).await;
            reply.error(400, "no_space_for_access_code_on_device");
        }
        workspace.create(on_lock(&workspace, 0, days(14, 19))).await;
    });
}

#[test]
fn native_code_uses_capacity_from_72_hours_before_its_start() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 1 }])).await;
        workspace.create(on_lock(&workspace, 0, days(10, 12))).await;
        let reply = workspace.post(CREATE, on_lock(&workspace, 0, days(14, 15))).await;
        reply.error(400, "no_space_for_access_code_on_device");
        let just_in_time = on_lock(&workspace, 0, with(days(14, 15), "prefer_native_scheduling", json!(false)));
        workspace.create(just_in_time).await;
        let reply = workspace.post(CREATE, on_lock(&workspace, 0, days(5, 8))).await;
        reply.error(400, "no_space_for_access_code_on_device");
        workspace.create(on_lock(&workspace, 0, days(3, 6))).await;
        workspace.create(on_lock(&workspace, 0, days(19, 20))).await;
    });
}

#[test]
fn ended_code_uses_capacity_until_the_lock_has_dropped_it() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 1 }])).await;
        let code = workspace.create(on_lock(&workspace, 0, days(2, 4))).await;
        workspace.advance("PT1S").await;
        let offline = json!({ "device_id": workspace.lock(0), "online": false });
        workspace.post("/_emulator/devices/update", offline).await.ok();
        workspace.advance("P20D").await;
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "removing");
        for params in [json!({}), days(22, 28), days(24, 28)] {
            let reply = workspace.post(CREATE, on_lock(&workspace, 0, params)).await;
            reply.error(400, "no_space_for_access_code_on_device");
        }
    });
}

#[test]
fn lock_with_capacity_0_rejects_every_code() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock", "max_active_codes_supported": 0 }])).await;
        for params in [json!({}), json!({ "code": "4826" }), days(10, 12)] {
            let reply = workspace.post(CREATE, on_lock(&workspace, 0, params)).await;
            reply.error(400, "no_space_for_access_code_on_device");
        }
        assert_eq!(rows(&workspace).await, [0; 4]);
    });
}

#[test]
fn last_ten_free_pins_are_chosen_one_by_one_before_no_code_left() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "wyze_lock", "supported_code_lengths": [4] }])).await;
        fill(&workspace, 0, "number % 1000 <> 7").await;
        let mut found = BTreeSet::new();
        for _ in 0..10 {
            let generated = workspace.post("/access_codes/generate_code", on_lock(&workspace, 0, json!({}))).await.ok();
            assert!(!found.contains(pin(&generated["generated_code"])));
            found.insert(pin(&workspace.create(on_lock(&workspace, 0, json!({}))).await).to_owned());
        }
        let last: BTreeSet<String> = (0..10).map(|thousands| format!("{thousands}007")).collect();
        assert_eq!(found, last);
        let before = rows(&workspace).await;
        for params in [json!({}), json!({ "common_code_key": "guests" }), days(10, 12)] {
            workspace.post(CREATE, on_lock(&workspace, 0, params)).await.error(400, "no_code_left");
        }
        workspace
            .post("/access_codes/generate_code", on_lock(&workspace, 0, json!({})))
            .await
            .error(400, "no_code_left");
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn chosen_pin_has_five_digits_when_four_digit_pins_are_used_up() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "wyze_lock", "supported_code_lengths": [5, 4] }])).await;
        fill(&workspace, 0, "number <> 4826").await;
        let preferring = json!({ "preferred_code_length": 5 });
        assert_eq!(pin(&workspace.create(on_lock(&workspace, 0, preferring)).await).len(), 5);
        assert_eq!(workspace.create(on_lock(&workspace, 0, json!({}))).await["code"], "4826");
        for _ in 0..3 {
            let code = workspace.create(on_lock(&workspace, 0, json!({ "preferred_code_length": 4 }))).await;
            assert_eq!(pin(&code).len(), 5);
        }
    });
}

#[test]
fn pins_that_constraints_forbid_do_not_count_as_free() {
    run(async {
        let lock = json!({
            "device_type": "schlage_lock",
            "supported_code_lengths": [4],
            "code_constraints": [{ "constraint_type": "cannot_contain_0789" }, { "constraint_type": "unique_first_four_digits" }],
        });
        let workspace = TestWorkspace::with(json!([lock])).await;
        fill(&workspace, 0, "pin not in ('1234', '1123', '7123')").await;
        assert_eq!(workspace.create(on_lock(&workspace, 0, json!({}))).await["code"], "1234");
        workspace.post(CREATE, on_lock(&workspace, 0, json!({}))).await.error(400, "no_code_left");
    });
}

#[test]
fn lock_without_free_pins_can_neither_share_nor_get_a_random_pin() {
    run(async {
        let full = json!({ "device_type": "wyze_lock", "supported_code_lengths": [4] });
        let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock" }, full])).await;
        fill(&workspace, 1, "true").await;
        let before = rows(&workspace).await;
        let multiple = json!({ "device_ids": workspace.locks() });
        let error = workspace.post("/access_codes/create_multiple", multiple.clone()).await;
        let error = error.error(400, "code_cannot_be_shared");
        assert_eq!(error["data"], json!({ "device_ids": [workspace.lock(1)] }));
        let random = with(multiple, "behavior_when_code_cannot_be_shared", json!("create_random_code"));
        workspace.post("/access_codes/create_multiple", random).await.error(400, "no_code_left");
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn chosen_pin_avoids_managed_pins_of_other_time_frames_by_default() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "smartthings_lock", "supported_code_lengths": [4] }])).await;
        fill(&workspace, 0, "number > 1").await;
        workspace.create(on_lock(&workspace, 0, with(days(10, 12), "code", json!("0000")))).await;
        assert_eq!(
            workspace.create(on_lock(&workspace, 0, days(20, 22))).await["code"],
            "0001",
            "not 0000, although its time frame does not overlap"
        );
        workspace.post(CREATE, on_lock(&workspace, 0, days(25, 26))).await.error(400, "no_code_left");
        let allowed = json!({ "allow_same_code_in_disjoint_windows": true });
        workspace.post("/_emulator/workspaces/update", allowed).await.ok();
        let chosen = workspace.create(on_lock(&workspace, 0, days(25, 26))).await;
        assert!(["0000", "0001"].contains(&pin(&chosen)), "{chosen}");
    });
}
