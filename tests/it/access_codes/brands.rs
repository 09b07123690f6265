//! Access codes per brand: PIN rules, time frames, names and native scheduling.

use super::{on_lock, pin, rows, with_assigned_pin};
use crate::support::{START, TestWorkspace, run};
use serde_json::{Value, json};

const CREATE: &str = "/access_codes/create";

/// Creates a workspace with one lock of this type. `overrides` replace properties of the brand.
async fn lock_of(device_type: &str, overrides: Value) -> TestWorkspace {
    let mut lock = overrides;
    lock["device_type"] = json!(device_type);
    TestWorkspace::with(json!([lock])).await
}

/// Checks that a lock accepts the PINs in `good`, rejects those in `bad`, and that PINs which Latchkey chooses satisfy
/// `rule`.
async fn check_pins(workspace: &TestWorkspace, good: &[&str], bad: &[&str], rule: impl Fn(&str) -> bool) {
    for code in bad {
        assert!(!rule(code), "{code} does not violate the rule");
        let messages = workspace.post(CREATE, on_lock(workspace, 0, json!({ "code": code }))).await.invalid("code");
        assert!(messages[0].starts_with("The device cannot hold this code: "), "{code}: {messages:?}");
    }
    assert_eq!(rows(workspace).await, [0; 4]);
    for code in good {
        assert!(rule(code), "{code} does not satisfy the rule");
        assert_eq!(workspace.create(on_lock(workspace, 0, json!({ "code": code }))).await["code"], *code);
    }
    for _ in 0..40 {
        let generated = workspace.post("/access_codes/generate_code", on_lock(workspace, 0, json!({}))).await.ok();
        let chosen = pin(&generated["generated_code"]);
        assert!(rule(chosen), "{chosen} violates the rule");
    }
    let chosen = workspace.create(on_lock(workspace, 0, json!({}))).await;
    assert!(rule(pin(&chosen)), "{chosen}");
}

fn distinct_digits(digits: &str) -> usize {
    digits.bytes().collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn nuki_takes_six_digits_without_zeros_that_do_not_begin_with_12() {
    run(async {
        let workspace = lock_of("nuki_lock", json!({})).await;
        let properties = &workspace.devices[0]["properties"];
        assert_eq!(
            (&properties["supported_code_lengths"], &properties["max_active_codes_supported"]),
            (&json!([6]), &json!(100))
        );
        let rule = |code: &str| code.len() == 6 && !code.contains('0') && !code.starts_with("12");
        let bad = ["4826", "48261", "4826157", "123456", "129999", "482610", "048261"];
        check_pins(&workspace, &["482615", "112345", "213456"], &bad, rule).await;
    });
}

#[test]
fn tedee_takes_five_to_eight_digits_of_at_least_three_kinds_in_no_sequence() {
    run(async {
        let workspace = lock_of("tedee_lock", json!({})).await;
        let is_sequence = |code: &str| "0123456789".contains(code) || "9876543210".contains(code);
        let rule = |code: &str| (5..=8).contains(&code.len()) && !is_sequence(code) && distinct_digits(code) >= 3;
        let bad = ["4826", "482615739", "12345", "98765", "0123456", "11221", "55555555"];
        check_pins(&workspace, &["48261", "11223", "12346", "98764321"], &bad, rule).await;
    });
}

#[test]
fn schlage_takes_codes_whose_first_four_digits_all_differ() {
    run(async {
        let workspace = lock_of("schlage_lock", json!({})).await;
        let rule = |code: &str| (4..=8).contains(&code.len()) && distinct_digits(&code[..4]) == 4;
        let bad = ["1123", "1213", "1231", "1224", "12243", "111122", "123456789"];
        check_pins(&workspace, &["1234", "48264826", "12344"], &bad, rule).await;
        let too_long =
            workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": "123456789" }))).await.invalid("code");
        assert_eq!(too_long, ["The device cannot hold this code: it accepts codes of 4, 5, 6, 7, 8 digits"]);
    });
}

#[test]
fn brivo_rejects_four_consecutive_or_equal_digits_in_a_row() {
    run(async {
        let workspace = lock_of("brivo_access_point", json!({})).await;
        for code in ["1234", "94321", "5555", "901119999"] {
            workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": code }))).await.invalid("code");
        }
        for code in ["1235", "5554", "123321"] {
            workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": code }))).await.ok();
        }
    });
}

#[test]
fn keyincode_rejects_a_whole_sequence_and_a_single_repeated_digit() {
    run(async {
        let workspace = lock_of("keyincode_lock", json!({})).await;
        let rule = |code: &str| distinct_digits(code) > 1 && code != "1234" && code != "4321" && code != "0123456789";
        check_pins(&workspace, &["1235", "1112", "901234"], &["1111", "1234", "4321", "0123456789", "99999"], rule)
            .await;
    });
}

#[test]
fn lock_without_reported_code_lengths_takes_four_to_twelve_digits() {
    run(async {
        let workspace = lock_of("smartthings_lock", json!({})).await;
        assert_eq!(workspace.devices[0]["properties"].get("supported_code_lengths"), None);
        for length in 4..=12 {
            let code = &"482615739042"[..length];
            assert_eq!(workspace.create(on_lock(&workspace, 0, json!({ "code": code }))).await["code"], code);
        }
        let longest = json!({ "preferred_code_length": 12 });
        assert_eq!(pin(&workspace.create(on_lock(&workspace, 0, longest)).await).len(), 12);
    });
}

#[test]
fn ttlock_without_0_8_and_9_reports_the_constraint_and_gets_no_such_pin() {
    run(async {
        let constraints = json!({ "code_constraints": [{ "constraint_type": "cannot_contain_089" }] });
        let workspace = lock_of("ttlock_lock", constraints.clone()).await;
        assert_eq!(workspace.devices[0]["properties"]["code_constraints"], constraints["code_constraints"]);
        let messages = workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": "1894" }))).await.invalid("code");
        assert_eq!(messages, ["The device cannot hold this code: must not contain 0, 8 or 9"]);
        let rule = |code: &str| !code.contains(['0', '8', '9']);
        check_pins(&workspace, &["1234567", "7777"], &["1230", "8123", "1293", "4826"], rule).await;
    });
}

#[test]
fn code_constraints_can_be_given_inside_properties() {
    run(async {
        let properties = json!({
            "supported_code_lengths": [5],
            "code_constraints": [{ "constraint_type": "cannot_contain_0789" }, { "constraint_type": "cannot_contain_089" }],
        });
        let workspace = lock_of("ttlock_lock", json!({ "properties": properties })).await;
        let rule = |code: &str| code.len() == 5 && !code.contains(['0', '7', '8', '9']);
        check_pins(&workspace, &["12345"], &["1234", "12347", "12340", "123456"], rule).await;
    });
}

/// Starts of time frames that have begun: one before the instant of the workspace's clock, one at that instant.
const BEGUN_STARTS: [&str; 2] = ["2026-03-01T09:00:00.000Z", START];

#[test]
fn kwikset_starts_a_begun_time_frame_three_minutes_from_now() {
    run(async {
        for starts_at in BEGUN_STARTS {
            let workspace = lock_of("kwikset_lock", json!({})).await;
            let window = json!({ "starts_at": starts_at, "ends_at": "2026-03-05T00:00:00Z" });
            let code = workspace.create(on_lock(&workspace, 0, window)).await;
            let id = &code["access_code_id"];
            assert_eq!((&code["starts_at"], &code["status"]), (&json!(starts_at), &json!("setting")));
            workspace.advance("PT0.25S").await;
            assert_eq!(workspace.access_code(id).await["status"], "setting", "setting until the start on the lock");
            assert_eq!(workspace.memory(0).await[0]["starts_at"], "2026-03-02T12:03:00.000Z");
            workspace.advance_to("2026-03-02T12:02:59.999Z").await;
            assert_eq!(workspace.access_code(id).await["status"], "setting");
            workspace.advance_to("2026-03-02T12:03:00.000Z").await;
            let set = workspace.access_code(id).await;
            assert_eq!(
                (&set["status"], &set["starts_at"], &set["errors"]),
                (&json!("set"), &json!(starts_at), &json!([]))
            );
            let last_event = workspace.events_of(id).await.pop().unwrap();
            assert_eq!(last_event, ("access_code.set_on_device".to_owned(), "2026-03-02T12:03:00.000Z".to_owned()));
        }
        let workspace = lock_of("kwikset_lock", json!({})).await;
        let constraints = &workspace.devices[0]["properties"]["code_constraints"];
        assert!(
            constraints.to_string().contains("start_date_in_future"),
            "the constraint is listed as in Seam: {constraints}"
        );
        let short = json!({ "starts_at": START, "ends_at": "2026-03-02T12:03:00Z" });
        workspace.post(CREATE, on_lock(&workspace, 0, short)).await.invalid("ends_at");
        assert_eq!(rows(&workspace).await, [0; 4]);
    });
}

#[test]
fn igloohome_starts_a_begun_time_frame_at_once() {
    run(async {
        let workspace = lock_of("igloohome_lock", json!({})).await;
        let window = json!({ "starts_at": BEGUN_STARTS[0], "ends_at": "2026-03-05T00:00:00Z" });
        let code = workspace.create(on_lock(&workspace, 0, window.clone())).await;
        workspace.advance("PT0.25S").await;
        let set = workspace.access_code(&code["access_code_id"]).await;
        assert_eq!((&set["status"], &set["starts_at"]), (&json!("set"), &json!(BEGUN_STARTS[0])));
        let start_on_the_lock = workspace.memory(0).await[0]["starts_at"].clone();
        assert!((START.."2026-03-02T12:00:01Z").contains(&start_on_the_lock.as_str().unwrap()), "{start_on_the_lock}");
        let mut offline = on_lock(&workspace, 0, window);
        offline["is_offline_access_code"] = json!(true);
        workspace.post(CREATE, offline).await.invalid("starts_at");
    });
}

#[test]
fn begun_time_frame_is_accepted_by_create_multiple_and_update() {
    run(async {
        for device_type in ["kwikset_lock", "igloohome_lock"] {
            let workspace = lock_of(device_type, json!({})).await;
            let ends_at = "2026-03-05T00:00:00Z";
            let multiple = json!({ "device_ids": workspace.locks(), "starts_at": BEGUN_STARTS[0], "ends_at": ends_at });
            workspace.post("/access_codes/create_multiple", multiple).await.ok();
            let ongoing = workspace.create(on_lock(&workspace, 0, json!({}))).await;
            let window = json!({
                "access_code_id": ongoing["access_code_id"], "starts_at": BEGUN_STARTS[0], "ends_at": ends_at,
            });
            workspace.post("/access_codes/update", window).await.ok();
            workspace.advance("PT4M").await;
            for held in workspace.memory(0).await {
                let code = workspace.access_code(&held["access_code_id"]).await;
                assert_eq!((&code["status"], &code["starts_at"]), (&json!("set"), &json!(BEGUN_STARTS[0])), "{code}");
                assert_eq!(code["pending_mutations"], json!([]), "{code}");
            }
        }
    });
}

#[test]
fn begun_time_frame_is_rejected_with_the_setting_refuse_begun_windows() {
    run(async {
        for (device_type, refused) in
            [("kwikset_lock", &BEGUN_STARTS[..]), ("igloohome_lock", &BEGUN_STARTS[..1]), ("august_lock", &[])]
        {
            let locks = json!([{ "device_type": device_type }]);
            let workspace = TestWorkspace::create_with(json!({ "locks": locks, "refuse_begun_windows": true })).await;
            let ongoing = workspace.create(on_lock(&workspace, 0, json!({}))).await;
            let before = rows(&workspace).await;
            for starts_at in BEGUN_STARTS {
                let window = json!({ "starts_at": starts_at, "ends_at": "2026-03-05T00:00:00Z" });
                let mut change = window.clone();
                change["access_code_id"] = ongoing["access_code_id"].clone();
                let mut multiple = window.clone();
                multiple["device_ids"] = json!(workspace.locks());
                if !refused.contains(&starts_at) {
                    workspace.create(on_lock(&workspace, 0, window)).await;
                    continue;
                }
                for (path, params) in [
                    (CREATE, on_lock(&workspace, 0, window)),
                    ("/access_codes/create_multiple", multiple),
                    ("/access_codes/update", change),
                ] {
                    let messages = workspace.post(path, params).await.invalid("starts_at");
                    let message =
                        "Invalid access code time range, start time must be a value greater than the current time";
                    assert_eq!(messages, [message], "{device_type} {path}");
                }
                assert_eq!(rows(&workspace).await, before);
            }
            let setting = json!({ "refuse_begun_windows": false });
            workspace.post("/_emulator/workspaces/update", setting).await.ok();
            let window = json!({ "starts_at": BEGUN_STARTS[0], "ends_at": "2026-03-05T00:00:00Z" });
            workspace.create(on_lock(&workspace, 0, window)).await;
        }
    });
}

#[test]
fn kwikset_shows_fourteen_characters_of_a_name() {
    run(async {
        let workspace = lock_of("kwikset_lock", json!({})).await;
        let name = "A name that is longer than fourteen characters";
        let ongoing = workspace.create(on_lock(&workspace, 0, json!({ "name": name }))).await;
        workspace.advance("PT1S").await;
        let set = workspace.access_code(&ongoing["access_code_id"]).await;
        assert_eq!((&set["name"], &set["appearance"]["name"]), (&json!(name), &json!("A name that is")));
    });
}

#[test]
fn ultraloq_requires_its_time_zone_for_time_frames_only() {
    run(async {
        let workspace = lock_of("ultraloq_lock", json!({})).await;
        let window = json!({ "starts_at": "2026-03-03T00:00:00Z", "ends_at": "2026-03-05T00:00:00Z" });
        let error = workspace.post(CREATE, on_lock(&workspace, 0, window.clone())).await.error(400, "invalid_input");
        assert_eq!(error["message"], "Time zone required for time-bound access codes on Ultraloq devices");
        assert_eq!(rows(&workspace).await, [0; 4]);
        workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": "482615739" }))).await.invalid("code");
        let change = json!({ "device_id": workspace.lock(0), "time_zone": "Europe/Berlin" });
        workspace.post("/_emulator/devices/update", change).await.ok();
        workspace.create(on_lock(&workspace, 0, window)).await;
    });
}

#[test]
fn salto_chooses_its_codes_itself() {
    run(async {
        let workspace = lock_of("salto_lock", json!({})).await;
        let messages =
            workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": "482615" }))).await.invalid("code");
        assert_eq!(messages, ["The device cannot hold this code: its provider chooses the code: omit code"]);
        assert_eq!(rows(&workspace).await, [0; 4]);
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        assert_eq!(pin(&with_assigned_pin(&workspace, &code).await).len(), 6);
    });
}

#[test]
fn oracode_door_rejects_online_codes_by_default() {
    run(async {
        let workspace = lock_of("dormakaba_oracode_door", json!({})).await;
        assert_eq!(workspace.devices[0]["can_program_online_access_codes"], false);
        assert_eq!(workspace.devices[0]["can_program_offline_access_codes"], true);
        let reply = workspace.post(CREATE, on_lock(&workspace, 0, json!({}))).await;
        let error = reply.error(400, "device_cannot_program_online_access_codes");
        assert_eq!(error["data"], json!({ "device_id": workspace.lock(0) }));
        assert_eq!(rows(&workspace).await, [0; 4]);
        let workspace = lock_of("dormakaba_oracode_door", json!({ "can_program_online_access_codes": true })).await;
        workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": "482615" }))).await.invalid("code");
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        assert_eq!(pin(&with_assigned_pin(&workspace, &code).await).len(), 6);
    });
}

#[test]
fn online_codes_can_be_disabled_for_a_lock_of_any_brand() {
    run(async {
        let workspace = lock_of("august_lock", json!({ "can_program_online_access_codes": false })).await;
        let reply = workspace.post(CREATE, on_lock(&workspace, 0, json!({}))).await;
        reply.error(400, "device_cannot_program_online_access_codes");
    });
}

#[test]
fn native_scheduling_depends_on_the_brand_and_is_not_in_the_properties() {
    let native = [
        "two_n_intercom",
        "august_lock",
        "igloohome_lock",
        "kwikset_lock",
        "nuki_lock",
        "salto_lock",
        "schlage_lock",
        "tedee_lock",
        "ttlock_lock",
        "yale_lock",
        "wyze_lock",
    ];
    run(async {
        let types: Vec<_> =
            latchkey::testing::domain::device::brands::BRANDS.iter().map(|brand| brand.device_type).collect();
        let locks = types.iter().map(|device_type| {
            json!({ "device_type": device_type, "can_program_online_access_codes": true, "time_zone": "Europe/Berlin" })
        });
        let workspace = TestWorkspace::with(locks.collect()).await;
        for (index, device_type) in types.iter().enumerate() {
            let window = json!({ "starts_at": "2026-04-01T12:00:00Z", "ends_at": "2026-04-02T12:00:00Z" });
            let code = workspace.create(on_lock(&workspace, index, window)).await;
            let scheduled_at =
                if native.contains(device_type) { "2026-03-29T12:00:00.000Z" } else { "2026-04-01T11:00:00.000Z" };
            assert_eq!(code["pending_mutations"][0]["scheduled_at"], scheduled_at, "{device_type}");
            let properties = workspace.devices[index]["properties"].as_object().unwrap();
            let scheduling_properties: Vec<_> =
                properties.keys().filter(|name| name.contains("native") || name.contains("schedul")).collect();
            assert!(
                scheduling_properties.iter().all(|name| *name == "has_native_entry_events"),
                "{device_type}: {scheduling_properties:?}"
            );
        }
    });
}
