//! Offline codes: the lock's manufacturer computes the PIN, and nothing is sent to the lock.

use crate::access_codes::{on_lock, pin, rows, with_assigned_pin};
use crate::lifecycle::{check_timeline, events, summary};
use crate::support::{START, TestWorkspace, run};
use serde_json::{Value, json};

const CREATE: &str = "/access_codes/create";

/// Creates a workspace with one lock of this type.
async fn lock_of(device_type: &str) -> TestWorkspace {
    TestWorkspace::with(json!([{ "device_type": device_type }])).await
}

/// Request parameters for an offline code on the first lock, without `ends_at` if that is empty.
fn offline(workspace: &TestWorkspace, starts_at: &str, ends_at: &str) -> Value {
    let mut params = on_lock(workspace, 0, json!({ "is_offline_access_code": true, "starts_at": starts_at }));
    if !ends_at.is_empty() {
        params["ends_at"] = json!(ends_at);
    }
    params
}

/// Adds or replaces one parameter.
fn with(mut params: Value, parameter: &str, value: impl Into<Value>) -> Value {
    params[parameter] = value.into();
    params
}

fn times(access_code: &Value) -> (&str, &str) {
    (access_code["starts_at"].as_str().unwrap(), access_code["ends_at"].as_str().unwrap())
}

fn warning_codes(access_code: &Value) -> Vec<&str> {
    let warnings = access_code["warnings"].as_array().unwrap().iter();
    warnings.map(|warning| warning["warning_code"].as_str().unwrap()).collect()
}

/// Checks that a create request is rejected as `invalid_input` and writes nothing. Returns the error.
async fn check_rejected(workspace: &TestWorkspace, params: Value) -> Value {
    let before = rows(workspace).await;
    let error = workspace.post(CREATE, params).await.error(400, "invalid_input");
    assert_eq!(rows(workspace).await, before, "{error}");
    error
}

/// Like [`check_rejected`], but the error must name one parameter.
async fn check_rejected_parameter(workspace: &TestWorkspace, params: Value, parameter: &str) -> Value {
    let error = check_rejected(workspace, params).await;
    assert!(error["validation_errors"][parameter]["_errors"][0].is_string(), "no {parameter} in {error}");
    error
}

/// Returns a door with these slots: name, check-in time, check-out time, and prefix of the PINs.
fn door(slots: &[(&str, &str, &str, u32)]) -> Value {
    let slot = |(name, check_in_time, check_out_time, prefix): &(&str, &str, &str, u32)| {
        json!({
            "name": name,
            "check_in_time": check_in_time,
            "check_out_time": check_out_time,
            "is_24_hour": check_in_time == check_out_time,
            "dormakaba_oracode_user_level_prefix": prefix,
            "dormakaba_oracode_user_level_id": format!("00000000-0000-4000-8000-{prefix:012}"),
        })
    };
    let slots: Vec<_> = slots.iter().map(slot).collect();
    let metadata = json!({ "site_name": "Pier", "predefined_time_slots": slots });
    json!({ "device_type": "dormakaba_oracode_door", "properties": { "dormakaba_oracode_metadata": metadata } })
}

#[test]
fn offline_code_is_registered_even_if_the_lock_is_offline() {
    run(async {
        for connection in ["online", "hub_connected"] {
            let workspace = lock_of("igloohome_lock").await;
            workspace.change_lock(0, json!({ connection: false })).await;
            let params = offline(&workspace, "2026-03-02T15:00:00Z", "2026-03-02T18:00:00Z");
            let code = workspace.create(with(params, "attempt_for_offline_device", false)).await;
            assert_eq!(summary(&code), "unset creating", "{connection}");
            assert_eq!(code["pending_mutations"][0]["created_at"], START);
            let flags = ["is_offline_access_code", "is_one_time_use", "is_scheduled_on_device", "is_managed"];
            assert_eq!(flags.map(|flag| code[flag] == true), [true, false, false, true]);
            assert_eq!((&code["type"], &code["appearance"]), (&json!("time_bound"), &Value::Null));
            assert_eq!(pin(&code).len(), 9);
            let mut params = offline(&workspace, START, "2026-03-02T13:00:00Z");
            params.as_object_mut().unwrap().shift_remove("is_offline_access_code");
            let begun = workspace.create(with(params, "use_offline_access_code", true)).await;
            assert_eq!(summary(&begun), "setting creating", "{connection}");
            assert_eq!(begun["is_offline_access_code"], true);
            let (id, begun) = (&code["access_code_id"], &begun["access_code_id"]);
            check_timeline(&workspace, begun, &[("2026-03-02T12:00:00.249Z", "setting creating")]).await;
            check_timeline(&workspace, id, &[("2026-03-02T12:00:00.249Z", "unset creating")]).await;
            check_timeline(&workspace, begun, &[("2026-03-02T12:00:00.250Z", "set")]).await;
            let timeline = [
                ("2026-03-02T12:00:00.250Z", "unset"),
                ("2026-03-02T14:59:59.999Z", "unset"),
                ("2026-03-02T15:00:00.000Z", "set"),
                ("2026-03-02T17:59:59.999Z", "set"),
            ];
            for step in timeline {
                check_timeline(&workspace, id, &[step]).await;
                assert_eq!(workspace.memory(0).await, [Value::Null; 0], "{connection}");
            }
            check_timeline(&workspace, id, &[("2026-03-02T18:00:00.000Z", "gone")]).await;
            let expected_events = ["set_on_device@2026-03-02T15:00:00.000Z", "deleted@2026-03-02T18:00:00.000Z"];
            assert_eq!(events(&workspace, id).await[1..], expected_events, "{connection}");
            let expected_events = ["set_on_device@2026-03-02T12:00:00.250Z", "deleted@2026-03-02T13:00:00.000Z"];
            assert_eq!(events(&workspace, begun).await[1..], expected_events, "{connection}");
        }
    });
}

#[test]
fn offline_code_is_rejected_for_a_removed_device() {
    run(async {
        let workspace = lock_of("igloohome_lock").await;
        workspace.change_lock(0, json!({ "removed": true })).await;
        let before = rows(&workspace).await;
        let params = offline(&workspace, "2026-03-02T15:00:00Z", "2026-03-02T18:00:00Z");
        workspace.post(CREATE, params).await.error(400, "device_removed");
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn offline_code_cannot_be_changed_or_deleted_and_ends_by_itself() {
    run(async {
        let workspace = lock_of("igloohome_lock").await;
        let code = workspace.create(offline(&workspace, "2026-03-02T15:00:00Z", "2026-03-02T18:00:00Z")).await;
        let id = &code["access_code_id"];
        for now in [START, "2026-03-02T12:00:00.250Z", "2026-03-02T16:00:00.000Z"] {
            workspace.advance_to(now).await;
            let before = (workspace.access_code(id).await, rows(&workspace).await);
            for change in [
                json!({ "name": "other" }),
                json!({ "code": "135792468" }),
                json!({ "ends_at": "2026-03-02T20:00:00Z" }),
                json!({ "type": "ongoing" }),
                json!({ "is_managed": false }),
                json!({}),
            ] {
                let update = with(change, "access_code_id", id.clone());
                workspace.post("/access_codes/update", update).await.error(400, "offline_access_code_not_modifiable");
            }
            let delete = workspace.post("/access_codes/delete", json!({ "access_code_id": id })).await;
            delete.error(400, "offline_access_code_not_modifiable");
            assert_eq!((workspace.access_code(id).await, rows(&workspace).await), before, "at {now}");
        }
        check_timeline(&workspace, id, &[("2026-03-02T17:59:59.999Z", "set"), ("2026-03-02T18:00:00.000Z", "gone")])
            .await;
        let names: Vec<_> = workspace.events_of(id).await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["access_code.created", "access_code.set_on_device", "access_code.deleted"]);
    });
}

#[test]
fn offline_pin_is_computed_by_the_manufacturer() {
    run(async {
        let (starts_at, ends_at) = ("2026-03-05T16:00:00-08:00", "2026-03-06T10:00:00-08:00");
        for device_type in ["igloohome_lock", "lockly_lock", "dormakaba_oracode_door"] {
            let workspace = lock_of(device_type).await;
            check_rejected_parameter(
                &workspace,
                with(offline(&workspace, starts_at, ends_at), "code", "135792"),
                "code",
            )
            .await;
            // An offline code has its own PIN and cannot share one.
            check_rejected_parameter(
                &workspace,
                with(offline(&workspace, starts_at, ends_at), "common_code_key", "key"),
                "common_code_key",
            )
            .await;
            let code = workspace.create(offline(&workspace, starts_at, ends_at)).await;
            assert_eq!(code["common_code_key"], Value::Null, "{device_type}");
        }
        let pins = async || {
            let slots = [("Guest", "16:00", "10:00", 41), ("Day", "12:00", "12:00", 7)];
            let locks = json!([door(&slots)]);
            let params = json!({ "seed": "offline", "locks": locks });
            let workspace = TestWorkspace::create_with(params).await;
            let mut pins = Vec::new();
            let noon = ("2026-03-05T12:00:00-08:00", "2026-03-06T12:00:00-08:00");
            for (start, end) in [(starts_at, ends_at), (starts_at, ends_at), noon, noon] {
                let code = workspace.create(offline(&workspace, start, end)).await;
                pins.push(pin(&with_assigned_pin(&workspace, &code).await).to_owned());
            }
            workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
            pins
        };
        let first = pins().await;
        assert!(first.iter().all(|pin| pin.len() == 6), "{first:?}");
        assert!(first[..2].iter().all(|pin| pin.starts_with("41")), "{first:?}");
        assert!(first[2..].iter().all(|pin| pin.starts_with('7')), "{first:?}");
        assert!(first[0] != first[1] && first[2] != first[3], "{first:?}");
        assert_eq!(pins().await, first);
        for lock in [
            json!({ "device_type": "august_lock" }),
            json!({ "device_type": "igloohome_lock", "can_program_offline_access_codes": false }),
        ] {
            let workspace = TestWorkspace::with(json!([lock])).await;
            let error = check_rejected(&workspace, offline(&workspace, starts_at, ends_at)).await;
            assert!(error["message"].as_str().unwrap().contains("cannot program offline access codes"), "{error}");
        }
    });
}

#[test]
fn algopin_lasts_1_to_672_hours_or_29_to_367_days_of_equal_clock_time() {
    run(async {
        let workspace = lock_of("igloohome_lock").await;
        let starts_at = "2026-04-01T15:00:00-07:00";
        for (ends_at, is_offered) in [
            ("2026-04-01T15:20:00-07:00", false),
            ("2026-04-01T16:00:00-07:00", true),
            ("2026-04-29T15:00:00-07:00", true),
            ("2026-04-29T16:00:00-07:00", false),
            ("2026-04-30T03:00:00-07:00", false),
            ("2026-04-30T15:00:00-07:00", true),
            ("2026-04-30T20:00:00-07:00", false),
            ("2027-04-03T10:00:00-07:00", false),
            ("2027-04-03T15:00:00-07:00", true),
            ("2027-04-04T15:00:00-07:00", false),
        ] {
            let params = offline(&workspace, starts_at, ends_at);
            if !is_offered {
                check_rejected_parameter(&workspace, params, "ends_at").await;
                continue;
            }
            let code = workspace.create(params).await;
            let instant =
                |text: &str| latchkey::testing::clock::to_iso(latchkey::testing::clock::from_iso(text).unwrap());
            assert_eq!(times(&code), (&*instant(starts_at), &*instant(ends_at)));
        }
        check_rejected_parameter(&workspace, offline(&workspace, starts_at, ""), "ends_at").await;
        check_rejected_parameter(
            &workspace,
            offline(&workspace, "2026-03-02T11:59:59Z", "2026-03-02T18:00:00Z"),
            "starts_at",
        )
        .await;
        check_rejected(&workspace, offline(&workspace, starts_at, starts_at)).await;
    });
}

#[test]
fn algopin_times_are_rounded_by_at_most_max_time_rounding() {
    run(async {
        let workspace = lock_of("igloohome_lock").await;
        for rounding in [None, Some("1h"), Some("1hour"), Some("1d"), Some("1day")] {
            let workspace = lock_of("igloohome_lock").await;
            let mut params = offline(&workspace, "2026-04-01T15:20:00-07:00", "2026-04-01T17:45:00-07:00");
            if let Some(rounding) = rounding {
                params["max_time_rounding"] = json!(rounding);
            }
            let code = workspace.create(params).await;
            assert_eq!(times(&code), ("2026-04-01T22:00:00.000Z", "2026-04-02T01:00:00.000Z"), "{rounding:?}");
        }
        let long = offline(&workspace, "2026-04-01T15:00:00-07:00", "2026-05-05T11:00:00-07:00");
        check_rejected_parameter(&workspace, long.clone(), "ends_at").await;
        for rounding in ["1h", "1hour"] {
            check_rejected_parameter(&workspace, with(long.clone(), "max_time_rounding", rounding), "ends_at").await;
        }
        for rounding in ["1d", "1day"] {
            let code = workspace.create(with(long.clone(), "max_time_rounding", rounding)).await;
            assert_eq!(times(&code), ("2026-04-01T22:00:00.000Z", "2026-05-05T22:00:00.000Z"), "{rounding}");
        }
        check_rejected_parameter(&workspace, with(long, "max_time_rounding", "1w"), "max_time_rounding").await;
    });
}

#[test]
fn igloohome_limits_algopins_to_3_per_hour_3_per_day_and_5_for_one_use() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "igloohome_lock" }, { "device_type": "igloohome_lock" }]))
                .await;
        // For each kind of PIN: a further time frame that counts for the same slot, and one that counts for the next.
        let hour = "2026-04-01T15:10:00-07:00";
        let hourly = ("2026-04-01T15:00:00-07:00", "2026-04-01T18:00:00-07:00");
        let same_hour = (hour, "2026-04-02T09:00:00-07:00");
        let next_hour = ("2026-04-01T16:00:00-07:00", "2026-04-01T18:00:00-07:00");
        let daily = ("2026-04-01T15:00:00-07:00", "2026-05-01T15:00:00-07:00");
        let same_day = ("2026-04-01T23:00:00-07:00", "2026-06-01T23:00:00-07:00");
        let next_day = ("2026-04-02T00:00:00-07:00", "2026-05-02T00:00:00-07:00");
        let (once, next_once) = ((hour, ""), ("2026-04-01T16:00:00-07:00", ""));
        for (most, first, full, next) in
            [(3, hourly, same_hour, next_hour), (3, daily, same_day, next_day), (5, once, once, next_once)]
        {
            let params = |(starts_at, ends_at): (&str, &str)| {
                let params = offline(&workspace, starts_at, ends_at);
                if ends_at.is_empty() { with(params, "is_one_time_use", true) } else { params }
            };
            for _ in 0..most {
                workspace.create(params(first)).await;
            }
            let error = check_rejected_parameter(&workspace, params(full), "starts_at").await;
            assert!(error["message"].as_str().unwrap().contains(&format!("at most {most}")), "{error}");
            workspace.create(params(next)).await;
            workspace.create(with(params(full), "device_id", workspace.lock(1))).await;
        }
    });
}

#[test]
fn algopin_for_one_use_has_only_a_start_and_lasts_24_hours() {
    run(async {
        let workspace = lock_of("igloohome_lock").await;
        let params = with(offline(&workspace, "2026-03-02T15:00:00Z", ""), "is_one_time_use", true);
        check_rejected_parameter(&workspace, with(params.clone(), "ends_at", "2026-03-03T15:00:00Z"), "ends_at").await;
        check_rejected_parameter(&workspace, with(params.clone(), "is_offline_access_code", false), "is_one_time_use")
            .await;
        let code = workspace.create(params).await;
        assert_eq!((&code["is_one_time_use"], &code["type"]), (&json!(true), &json!("time_bound")));
        assert_eq!(times(&code), ("2026-03-02T15:00:00.000Z", "2026-03-03T15:00:00.000Z"));
        let timeline = [
            ("2026-03-02T12:00:00.250Z", "unset"),
            ("2026-03-02T15:00:00.000Z", "set"),
            ("2026-03-03T14:59:59.999Z", "set"),
            ("2026-03-03T15:00:00.000Z", "gone"),
        ];
        check_timeline(&workspace, &code["access_code_id"], &timeline).await;
        let workspace = lock_of("august_lock").await;
        let params = with(offline(&workspace, "2026-03-02T15:00:00Z", "2026-03-03T15:00:00Z"), "is_one_time_use", true);
        check_rejected(&workspace, params.clone()).await;
        check_rejected_parameter(&workspace, with(params, "is_offline_access_code", false), "is_one_time_use").await;
    });
}

#[test]
fn algopin_longer_than_24_hours_warns_that_it_must_be_used_within_24() {
    run(async {
        let expected = ["igloo_algopin_must_be_used_within_24_hours"];
        let igloohome = lock_of("igloohome_lock").await;
        let start = "2026-03-05T16:00:00-08:00";
        let day = offline(&igloohome, start, "2026-03-06T16:00:00-08:00");
        let longer = offline(&igloohome, start, "2026-03-06T17:00:00-08:00");
        let code = igloohome.create(longer).await;
        assert_eq!(warning_codes(&code), expected);
        assert_eq!(code["warnings"][0]["created_at"], START);
        igloohome.advance("P4D").await;
        assert_eq!(
            warning_codes(&igloohome.access_code(&code["access_code_id"]).await),
            expected,
            "the warning stays until the code ends"
        );
        let igloohome = lock_of("igloohome_lock").await;
        let once = with(offline(&igloohome, start, ""), "is_one_time_use", true);
        for short in [with(day, "device_id", igloohome.lock(0)), once] {
            assert_eq!(warning_codes(&igloohome.create(short).await), [""; 0]);
        }
        for device_type in ["lockly_lock", "dormakaba_oracode_door"] {
            let workspace = lock_of(device_type).await;
            let code = workspace.create(offline(&workspace, start, "2026-03-08T10:00:00-07:00")).await;
            assert_eq!(warning_codes(&code), [""; 0], "{device_type}");
        }
    });
}

#[test]
fn igloohome_capacity_of_199_counts_offline_and_online_codes() {
    run(async {
        assert_eq!(lock_of("igloohome_lock").await.devices[0]["properties"]["max_active_codes_supported"], 199);
        let locks = json!([{ "device_type": "igloohome_lock", "max_active_codes_supported": 1 }]);
        for offline_first in [true, false] {
            let workspace = TestWorkspace::with(locks.clone()).await;
            let online = on_lock(&workspace, 0, json!({}));
            let computed = offline(&workspace, "2026-03-02T15:00:00Z", "2026-03-02T18:00:00Z");
            let (first, second) = if offline_first { (computed, online) } else { (online, computed) };
            let first = workspace.create(first).await;
            let before = rows(&workspace).await;
            workspace.post(CREATE, second.clone()).await.error(400, "no_space_for_access_code_on_device");
            assert_eq!(rows(&workspace).await, before, "offline first: {offline_first}");
            if offline_first {
                workspace.advance_to("2026-03-02T18:00:00Z").await;
                assert_eq!(summary(&workspace.create(second).await), "setting creating", "a place is free again");
            } else {
                workspace.advance("PT1S").await;
                let sync = json!({ "access_code_id": first["access_code_id"], "sync": true });
                workspace.post("/access_codes/delete", sync).await.ok();
                assert_eq!(summary(&workspace.create(second).await), "unset creating", "a place is free again");
            }
        }
    });
}

#[test]
fn oracode_has_the_times_of_its_slot_in_the_time_zone_of_the_lock() {
    run(async {
        let mut in_vienna = door(&[("Guest", "16:00:00", "10:00:00", 1)]);
        in_vienna["time_zone"] = json!("Europe/Vienna");
        let slots = [("Guest", "16:00:00", "10:00:00", 1), ("Day", "12:00:00", "12:00:00", 2)];
        let mut in_los_angeles = door(&slots);
        in_los_angeles["time_zone"] = json!("America/Los_Angeles");
        let workspace = TestWorkspace::with(json!([in_los_angeles, in_vienna])).await;
        let code =
            workspace.create(offline(&workspace, "2026-03-05T15:45:00-08:00", "2026-03-06T10:15:00-08:00")).await;
        assert_eq!(times(&code), ("2026-03-06T00:00:00.000Z", "2026-03-06T18:00:00.000Z"));
        let metadata = &code["dormakaba_oracode_metadata"];
        assert!(metadata["stay_id"].is_u64(), "{metadata}");
        let expected = json!({
            "stay_id": metadata["stay_id"],
            "user_level_id": "00000000-0000-4000-8000-000000000001",
            "user_level_name": "Guest",
            "site_name": "Pier",
            "is_cancellable": false,
            "is_extendable": false,
            "is_early_checkin_able": false,
            "is_overridable": false,
        });
        assert_eq!(*metadata, expected);
        let id = &code["access_code_id"];
        let timeline = [
            ("2026-03-02T12:00:00.249Z", "unset creating"),
            ("2026-03-02T12:00:00.250Z", "unset"),
            ("2026-03-06T00:00:00.000Z", "set"),
            ("2026-03-06T18:00:00.000Z", "gone"),
        ];
        check_timeline(&workspace, id, &timeline).await;
        let elsewhere = offline(&workspace, "2026-03-08T16:00:00+01:00", "2026-03-09T10:00:00+01:00");
        let code = workspace.create(with(elsewhere, "device_id", workspace.lock(1))).await;
        assert_eq!(times(&code), ("2026-03-08T15:00:00.000Z", "2026-03-09T09:00:00.000Z"));
        let month = offline(&workspace, "2026-04-01T12:00:00-07:00", "2026-05-02T12:00:00-07:00");
        let code = workspace.create(month).await;
        assert_eq!(times(&code), ("2026-04-01T19:00:00.000Z", "2026-05-02T19:00:00.000Z"));
        assert_eq!(code["dormakaba_oracode_metadata"]["user_level_name"], "Day");
        let other = lock_of("igloohome_lock").await;
        let code = other.create(offline(&other, "2026-03-02T15:00:00Z", "2026-03-02T18:00:00Z")).await;
        assert_eq!(code["dormakaba_oracode_metadata"], Value::Null);
    });
}

#[test]
fn oracode_is_rejected_without_a_matching_slot_or_over_31_days() {
    run(async {
        let guest = door(&[("Guest", "16:00", "10:00", 1)]);
        let day = door(&[("Day", "12:00", "12:00", 1)]);
        let workspace = TestWorkspace::with(json!([guest, day])).await;
        let message = async |params| check_rejected(&workspace, params).await["message"].as_str().unwrap().to_owned();
        for (starts_at, ends_at) in [
            ("2026-03-05T14:59:59-08:00", "2026-03-06T10:00:00-08:00"),
            ("2026-03-05T16:00:00-08:00", "2026-03-06T11:00:01-08:00"),
            ("2026-03-05T12:00:00-08:00", "2026-03-06T12:00:00-08:00"),
        ] {
            let params = offline(&workspace, starts_at, ends_at);
            assert_eq!(message(params.clone()).await, "No time slots found", "{starts_at} {ends_at}");
            assert_eq!(message(with(params.clone(), "max_time_rounding", "1h")).await, "No time slots found");
            let code = workspace.create(with(params, "max_time_rounding", "1d")).await;
            assert_eq!(times(&code), ("2026-03-06T00:00:00.000Z", "2026-03-06T18:00:00.000Z"), "{starts_at}");
        }
        let noon = offline(&workspace, "2026-03-05T12:00:00-08:00", "2026-03-06T12:00:00-08:00");
        workspace.create(with(noon, "device_id", workspace.lock(1))).await;
        for (starts_at, ends_at, index) in [
            ("2026-04-01T16:00:00-07:00", "2026-05-03T10:00:00-07:00", 0),
            ("2026-04-01T12:00:00-07:00", "2026-05-03T12:00:00-07:00", 1),
        ] {
            let long = with(offline(&workspace, starts_at, ends_at), "device_id", workspace.lock(index));
            let error = check_rejected_parameter(&workspace, long, "ends_at").await;
            assert!(error["message"].as_str().unwrap().contains("at most 31 days"), "{error}");
        }
        let ended = offline(&workspace, "2026-02-27T16:00:00-08:00", "2026-02-28T10:00:00-08:00");
        check_rejected_parameter(&workspace, ended, "ends_at").await;
    });
}

#[test]
fn oracode_rejects_one_time_codes() {
    run(async {
        let workspace = lock_of("dormakaba_oracode_door").await;
        for ends_at in ["2026-03-06T10:00:00-08:00", ""] {
            let params = offline(&workspace, "2026-03-05T16:00:00-08:00", ends_at);
            check_rejected_parameter(&workspace, with(params, "is_one_time_use", true), "is_one_time_use").await;
        }
    });
}

#[test]
fn lockly_accepts_any_time_frame_and_requires_its_time_zone() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "lockly_lock", "time_zone": "Europe/Vienna" }])).await;
        for (starts_at, ends_at) in [
            ("2026-03-02T12:34:56.000Z", "2026-03-02T12:35:00.000Z"),
            ("2026-03-02T11:00:00.000Z", "2026-03-30T17:21:00.000Z"),
            ("2026-03-03T01:02:03.000Z", "2029-06-30T17:21:00.000Z"),
        ] {
            for is_one_time_use in [false, true] {
                let params = with(offline(&workspace, starts_at, ends_at), "is_one_time_use", is_one_time_use);
                let code = workspace.create(params).await;
                assert_eq!(times(&code), (starts_at, ends_at));
                assert_eq!(code["is_one_time_use"], is_one_time_use);
                assert!(!pin(&code).is_empty());
            }
        }
        let endless = with(offline(&workspace, "2026-03-03T01:02:03Z", ""), "is_one_time_use", true);
        check_rejected_parameter(&workspace, endless, "ends_at").await;
        workspace.change_lock(0, json!({ "time_zone": null })).await;
        let error =
            check_rejected(&workspace, offline(&workspace, "2026-03-03T01:00:00Z", "2026-03-04T01:00:00Z")).await;
        assert!(error["message"].as_str().unwrap().starts_with("Time zone required"), "{error}");
    });
}

#[test]
fn create_multiple_ignores_the_parameters_of_offline_codes() {
    run(async {
        let workspace = lock_of("igloohome_lock").await;
        let (starts_at, ends_at) = ("2026-03-02T15:00:00.000Z", "2026-03-02T18:00:00.000Z");
        // `create_multiple` does not have these parameters and ignores them.
        let mut params = json!({ "device_ids": workspace.locks(), "starts_at": starts_at, "ends_at": ends_at });
        for parameter in ["is_offline_access_code", "use_offline_access_code", "is_one_time_use"] {
            params[parameter] = json!(true);
        }
        let created = workspace.post("/access_codes/create_multiple", params).await.ok()["access_codes"][0].clone();
        assert_eq!((&created["is_offline_access_code"], &created["is_one_time_use"]), (&json!(false), &json!(false)));
        assert_eq!((&created["type"], times(&created)), (&json!("time_bound"), (starts_at, ends_at)));
    });
}

#[test]
fn oracode_door_shows_its_time_slots() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "dormakaba_oracode_door" }])).await;
        let properties = &workspace.devices[0]["properties"];
        let slots = properties["dormakaba_oracode_metadata"]["predefined_time_slots"].as_array().unwrap();
        assert!(!slots.is_empty());
        let names: Vec<&Value> = slots.iter().map(|slot| &slot["name"]).collect();
        let pairs = properties["offline_time_frame_options"][0]["time_pairs"].as_array().unwrap();
        assert_eq!(pairs.iter().map(|pair| &pair["display_name"]).collect::<Vec<_>>(), names);
    });
}

#[test]
fn oracode_stay_ids_are_unique_with_and_without_a_seed() {
    run(async {
        for seed in [Value::Null, json!("stays of two doors")] {
            let slots = [("Guest", "16:00:00", "10:00:00", 1)];
            let mut doors = json!({ "locks": [door(&slots), door(&slots)] });
            for lock in doors["locks"].as_array_mut().unwrap() {
                lock["time_zone"] = json!("Etc/UTC");
            }
            if !seed.is_null() {
                doors["seed"] = seed;
            }
            let workspace = TestWorkspace::create_with(doors).await;
            let mut numbers = std::collections::BTreeSet::new();
            for day in 0..8 {
                for index in 0..2 {
                    let mut params = offline(
                        &workspace,
                        &format!("2026-03-{:02}T16:00:00Z", 5 + day),
                        &format!("2026-03-{:02}T10:00:00Z", 6 + day),
                    );
                    params["device_id"] = json!(workspace.lock(index));
                    let code = workspace.create(params).await;
                    numbers.insert(code["dormakaba_oracode_metadata"]["stay_id"].as_i64().unwrap());
                }
            }
            assert_eq!(numbers.len(), 16, "{numbers:?}");
        }
    });
}
