//! `/access_codes/create_multiple`: one PIN for several locks, as far as they can share it.

use crate::access_codes::{on_lock, pin, request_errors, rows, with_assigned_pin};
use crate::support::{START, TestWorkspace, UNKNOWN, post_as, run, send};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CREATE_MULTIPLE: &str = "/access_codes/create_multiple";

/// Request parameters for codes on all locks of a workspace.
fn on_all_locks(workspace: &TestWorkspace, mut further: Value) -> Value {
    further["device_ids"] = json!(workspace.locks());
    further
}

/// Creates codes on all locks of a workspace and returns them.
async fn create_on_all_locks(workspace: &TestWorkspace, further: Value) -> Vec<Value> {
    let created = workspace.post(CREATE_MULTIPLE, on_all_locks(workspace, further)).await.ok();
    assert_eq!(created.as_object().unwrap().len(), 2, "access_codes and ok");
    created["access_codes"].as_array().unwrap().clone()
}

/// Returns the distinct values of a property.
fn distinct<'a>(codes: &'a [Value], name: &str) -> BTreeSet<Option<&'a str>> {
    codes.iter().map(|code| code[name].as_str()).collect()
}

fn random(mut further: Value) -> Value {
    further["behavior_when_code_cannot_be_shared"] = json!("create_random_code");
    further
}

#[test]
fn create_multiple_without_a_code_gives_all_locks_one_pin_and_key() {
    run(async {
        let workspace = TestWorkspace::with_locks(4).await;
        let codes = create_on_all_locks(&workspace, json!({ "name": "Guest" })).await;
        let [Some(key)] = distinct(&codes, "common_code_key").into_iter().collect::<Vec<_>>()[..] else {
            panic!("expected the same key for all codes: {codes:?}");
        };
        let id = key.strip_prefix("auto_set_by_create_multiple_").unwrap();
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().hyphenated().to_string(), id);
        assert_eq!(distinct(&codes, "code").len(), 1);
        assert_eq!(distinct(&codes, "access_code_id").len(), 4);
        for code in &codes {
            assert_eq!(
                (&code["name"], &code["status"], &code["created_at"]),
                (&json!("Guest"), &json!("setting"), &json!(START))
            );
            assert_eq!(*code, workspace.access_code(&code["access_code_id"]).await);
        }
        assert_eq!(rows(&workspace).await[..2], [4, 4], "one code and one event per lock");
        workspace.advance("PT0.25S").await;
        for code in &codes {
            assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "set");
        }
        let again = create_on_all_locks(&workspace, json!({})).await;
        assert_ne!(again[0]["common_code_key"], codes[0]["common_code_key"]);
        assert_ne!(again[0]["code"], codes[0]["code"]);
    });
}

#[test]
fn create_multiple_with_a_custom_code_sets_no_common_code_key() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let codes = create_on_all_locks(&workspace, json!({ "code": "4826" })).await;
        assert_eq!(distinct(&codes, "code"), [Some("4826")].into());
        assert_eq!(distinct(&codes, "common_code_key"), [None].into());
        assert_eq!(rows(&workspace).await[3], 0, "no group is created");
    });
}

#[test]
fn create_multiple_returns_codes_in_the_order_of_device_ids() {
    run(async {
        let workspace = TestWorkspace::with_locks(6).await;
        for order in [[5, 3, 1, 0, 2, 4], [0, 1, 2, 3, 4, 5], [2, 5, 0, 4, 1, 3]] {
            let device_ids = order.map(|index| workspace.lock(index));
            let created = workspace.post(CREATE_MULTIPLE, json!({ "device_ids": device_ids })).await.ok();
            let codes = created["access_codes"].as_array().unwrap();
            let listed_ids: Vec<&str> = codes.iter().map(|code| code["device_id"].as_str().unwrap()).collect();
            assert_eq!(listed_ids, device_ids);
        }
    });
}

#[test]
fn create_multiple_accepts_put_like_post() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let request = Request::put(CREATE_MULTIPLE)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", workspace.api_key))
            .body(Body::from(on_all_locks(&workspace, json!({ "code": "4826" })).to_string()));
        let created = send(request.unwrap()).await.ok();
        assert_eq!(distinct(created["access_codes"].as_array().unwrap(), "code"), [Some("4826")].into());
        let patch = workspace.request("PATCH", CREATE_MULTIPLE).await.error(405, "method_not_allowed");
        assert_eq!(patch["message"], "only POST,PUT accepted");
    });
}

#[test]
fn create_multiple_applies_its_parameters_to_every_code() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let params = json!({
            "starts_at": "2026-09-10T07:00:00-07:00",
            "ends_at": "2026-09-12T07:00:00-07:00",
            "prefer_native_scheduling": false,
            "allow_external_modification": true,
        });
        for code in create_on_all_locks(&workspace, params).await {
            assert_eq!((&code["type"], &code["status"]), (&json!("time_bound"), &json!("unset")));
            assert_eq!(code["starts_at"], "2026-09-10T14:00:00.000Z");
            assert_eq!(code["pending_mutations"][0]["scheduled_at"], "2026-09-10T13:00:00.000Z");
            assert_eq!(code["is_external_modification_allowed"], true);
        }
        for (window, message) in [
            (json!({ "ends_at": START }), "Both starts_at and ends_at must be provided if one is"),
            (json!({ "starts_at": START, "ends_at": START }), "ends_at must be after starts_at"),
        ] {
            let error =
                workspace.post(CREATE_MULTIPLE, on_all_locks(&workspace, window)).await.error(400, "invalid_input");
            assert_eq!(request_errors(&error), [message]);
        }
        let ongoing = on_all_locks(&workspace, json!({ "use_backup_access_code_pool": true }));
        let error = workspace.post(CREATE_MULTIPLE, ongoing).await.error(400, "invalid_input");
        assert_eq!(request_errors(&error), ["Cannot use the backup pool for ongoing codes"]);
    });
}

#[test]
fn create_multiple_uses_the_preferred_length_or_the_shortest_common_one() {
    run(async {
        let locks = json!([
            { "device_type": "wyze_lock", "supported_code_lengths": [4, 6, 8] },
            { "device_type": "wyze_lock", "supported_code_lengths": [8, 6, 5] },
            { "device_type": "smartthings_lock" },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        for (preferred, length) in [(8, 8), (6, 6), (4, 6), (5, 6), (7, 6), (12, 6)] {
            let codes = create_on_all_locks(&workspace, json!({ "preferred_code_length": preferred })).await;
            assert_eq!((distinct(&codes, "code").len(), pin(&codes[0]).len()), (1, length), "prefers {preferred}");
        }
        assert_eq!(pin(&create_on_all_locks(&workspace, json!({})).await[0]).len(), 6);
    });
}

#[test]
fn shared_pin_satisfies_every_lock() {
    run(async {
        let locks = json!([
            { "device_type": "nuki_lock" },
            { "device_type": "schlage_lock" },
            { "device_type": "tedee_lock" },
            { "device_type": "ttlock_lock", "code_constraints": [{ "constraint_type": "cannot_contain_089" }] },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        for _ in 0..20 {
            let codes = create_on_all_locks(&workspace, json!({})).await;
            assert_eq!(distinct(&codes, "code").len(), 1);
            let code = pin(&codes[0]);
            let first_four: BTreeSet<u8> = code.bytes().take(4).collect();
            assert!(code.len() == 6 && !code.starts_with("12") && !code.contains(['0', '8', '9']), "{code}");
            assert_eq!(first_four.len(), 4, "{code}");
        }
    });
}

/// Creates four locks. The first and third can share a PIN. The second requires another length, and the provider of the
/// fourth chooses the PIN.
async fn locks_that_cannot_share() -> TestWorkspace {
    let constraint = |name: &str| json!([{ "constraint_type": name }]);
    TestWorkspace::with(json!([
        { "device_type": "wyze_lock", "supported_code_lengths": [4], "code_constraints": constraint("cannot_contain_089") },
        { "device_type": "wyze_lock", "supported_code_lengths": [6] },
        { "device_type": "wyze_lock", "supported_code_lengths": [4, 5] },
        { "device_type": "salto_lock" },
    ]))
    .await
}

#[test]
fn create_multiple_creates_nothing_and_names_locks_that_cannot_share() {
    run(async {
        let workspace = locks_that_cannot_share().await;
        let unable = json!({ "device_ids": [workspace.lock(1), workspace.lock(3)] });
        for params in [
            json!({}),
            json!({ "behavior_when_code_cannot_be_shared": "throw" }),
            json!({ "code": "4726" }),
            json!({ "preferred_code_length": 6 }),
        ] {
            let error = workspace
                .post(CREATE_MULTIPLE, on_all_locks(&workspace, params))
                .await
                .error(400, "code_cannot_be_shared");
            assert_eq!(error["data"], unable);
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(&workspace.lock(1)) && message.contains(&workspace.lock(3)), "{message}");
            assert!(!message.contains(&workspace.lock(0)) && !message.contains(&workspace.lock(2)), "{message}");
        }
        assert_eq!(rows(&workspace).await, [0; 4], "no code, no event, no attempt, no group");
    });
}

#[test]
fn create_random_code_gives_locks_that_cannot_share_their_own_pins() {
    run(async {
        let workspace = locks_that_cannot_share().await;
        let codes = create_on_all_locks(&workspace, random(json!({}))).await;
        assert_eq!(codes[0]["code"], codes[2]["code"]);
        assert_eq!(codes[0]["common_code_key"], codes[2]["common_code_key"]);
        assert!(codes[0]["common_code_key"].is_string());
        assert_eq!((pin(&codes[0]).len(), pin(&codes[1]).len()), (4, 6));
        assert_eq!(pin(&with_assigned_pin(&workspace, &codes[3]).await).len(), 6);
        for code in [&codes[1], &codes[3]] {
            assert_eq!(code["common_code_key"], Value::Null);
        }
        let codes = create_on_all_locks(&workspace, random(json!({ "code": "4726" }))).await;
        assert_eq!((&codes[0]["code"], &codes[2]["code"]), (&json!("4726"), &json!("4726")));
        assert_eq!(pin(&codes[1]).len(), 6);
        assert_eq!(pin(&with_assigned_pin(&workspace, &codes[3]).await).len(), 6);
        assert_eq!(distinct(&codes, "common_code_key"), [None].into());
    });
}

#[test]
fn lock_with_provider_chosen_pins_cannot_share_even_if_lengths_agree() {
    run(async {
        let locks = json!([
            { "device_type": "wyze_lock", "supported_code_lengths": [6] },
            { "device_type": "nuki_lock" },
            { "device_type": "dormakaba_oracode_door", "can_program_online_access_codes": true },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        let error = workspace
            .post(CREATE_MULTIPLE, on_all_locks(&workspace, json!({})))
            .await
            .error(400, "code_cannot_be_shared");
        assert_eq!(error["data"], json!({ "device_ids": [workspace.lock(2)] }));
        assert_eq!(rows(&workspace).await, [0; 4]);
        let codes = create_on_all_locks(&workspace, random(json!({}))).await;
        assert_eq!(codes[0]["code"], codes[1]["code"]);
        assert_eq!(codes[2]["common_code_key"], Value::Null);
        assert_eq!(pin(&with_assigned_pin(&workspace, &codes[2]).await).len(), 6);
    });
}

#[test]
fn create_multiple_accepts_a_single_lock_with_provider_chosen_pins() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "salto_lock" }])).await;
        let codes = create_on_all_locks(&workspace, json!({})).await;
        assert!(codes[0]["common_code_key"].is_string());
        assert_eq!(pin(&with_assigned_pin(&workspace, &codes[0]).await).len(), 6);
        let error = workspace.post(CREATE_MULTIPLE, on_all_locks(&workspace, json!({ "code": "482615" }))).await;
        error.error(400, "code_cannot_be_shared");
    });
}

#[test]
fn create_multiple_rejects_a_duplicate_or_replaces_it_by_a_random_pin() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        workspace.create(on_lock(&workspace, 1, json!({ "code": "4826" }))).await;
        let before = rows(&workspace).await;
        let params = on_all_locks(&workspace, json!({ "code": "4826", "name": "Guest" }));
        let error = workspace.post(CREATE_MULTIPLE, params).await.error(409, "duplicate_access_code");
        assert_eq!(error["message"], "Cannot set duplicate access code 4826 named Guest");
        assert_eq!(rows(&workspace).await, before);
        let codes = create_on_all_locks(&workspace, random(json!({ "code": "4826" }))).await;
        assert_eq!((&codes[0]["code"], &codes[2]["code"]), (&json!("4826"), &json!("4826")));
        assert_ne!(codes[1]["code"], "4826");
    });
}

#[test]
fn create_multiple_chooses_a_pin_that_is_free_on_every_lock() {
    run(async {
        let lock = json!({ "device_type": "wyze_lock", "supported_code_lengths": [4], "code_constraints": [
            { "constraint_type": "cannot_contain_0789" }, { "constraint_type": "unique_first_four_digits" },
        ] });
        // 360 PINs satisfy the constraints: four different digits from 1 to 6. All but one are put on either lock.
        let workspace = TestWorkspace::with(json!([lock, lock])).await;
        let mut left = None;
        for number in 1000..7000 {
            let code = number.to_string();
            let digits: BTreeSet<u8> = code.bytes().collect();
            if digits.len() == 4 && code.bytes().all(|digit| (b'1'..=b'6').contains(&digit)) {
                if left.is_none() && number > 3000 {
                    left = Some(code);
                    continue;
                }
                workspace.create(on_lock(&workspace, usize::from(number % 2 == 0), json!({ "code": code }))).await;
            }
        }
        let codes = create_on_all_locks(&workspace, json!({})).await;
        assert_eq!(distinct(&codes, "code"), [left.as_deref()].into());
        let error = workspace.post(CREATE_MULTIPLE, on_all_locks(&workspace, json!({}))).await;
        error.error(400, "code_cannot_be_shared");
    });
}

#[test]
fn create_multiple_creates_nothing_if_one_lock_is_rejected() {
    run(async {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "august_lock", "online": false },
            { "device_type": "august_lock", "max_active_codes_supported": 0 },
            { "device_type": "dormakaba_oracode_door" },
            { "device_type": "ultraloq_lock" },
            { "device_type": "kwikset_lock" },
        ]);
        let (workspace, other) = (TestWorkspace::with(locks).await, TestWorkspace::with_locks(1).await);
        let with = |device_id: String, mut further: Value| {
            further["device_ids"] = json!([workspace.lock(0), device_id]);
            random(further)
        };
        let offline = with(workspace.lock(1), json!({ "attempt_for_offline_device": false }));
        let error = workspace.post(CREATE_MULTIPLE, offline).await.error(400, "device_offline");
        assert_eq!(error["data"], json!({ "device_id": workspace.lock(1) }));
        let error = workspace.post(CREATE_MULTIPLE, with(workspace.lock(2), json!({}))).await;
        error.error(400, "no_space_for_access_code_on_device");
        let error = workspace.post(CREATE_MULTIPLE, with(workspace.lock(3), json!({}))).await;
        error.error(400, "device_cannot_program_online_access_codes");
        let window = json!({ "starts_at": START, "ends_at": "2026-03-05T00:00:00Z" });
        workspace.post(CREATE_MULTIPLE, with(workspace.lock(4), window.clone())).await.error(400, "invalid_input");
        let soon_over = json!({ "starts_at": START, "ends_at": "2026-03-02T12:01:00Z" });
        workspace.post(CREATE_MULTIPLE, with(workspace.lock(5), soon_over)).await.invalid("ends_at");
        for device_id in [UNKNOWN.to_owned(), other.lock(0)] {
            workspace.post(CREATE_MULTIPLE, with(device_id, json!({}))).await.error(404, "device_not_found");
        }
        assert_eq!(rows(&workspace).await, [0; 4]);
        workspace.post(CREATE_MULTIPLE, with(workspace.lock(1), json!({}))).await.ok();
    });
}

#[test]
fn create_multiple_takes_1_to_500_different_locks() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let lock = workspace.lock(0);
        let upper = lock.to_uppercase();
        let unknown = |count: u32| (0..count).map(|n| format!("00000000-0000-4000-8000-{n:012x}")).collect::<Vec<_>>();
        for device_ids in [json!([]), json!([lock, lock]), json!([lock, UNKNOWN, upper]), json!(unknown(501))] {
            let messages =
                workspace.post(CREATE_MULTIPLE, json!({ "device_ids": device_ids })).await.invalid("device_ids");
            assert_eq!(messages.len(), 1, "{messages:?}");
        }
        let missing = workspace.post(CREATE_MULTIPLE, json!({})).await.invalid("device_ids");
        assert_eq!(missing, ["Required"]);
        let malformed = workspace.post(CREATE_MULTIPLE, json!({ "device_ids": [lock, "front"] })).await;
        malformed.error(400, "invalid_input");
        let not_a_list = workspace.post(CREATE_MULTIPLE, json!({ "device_ids": lock })).await.invalid("device_ids");
        assert_eq!(not_a_list, ["Expected array, received string"]);
        let five_hundred = json!({ "device_ids": unknown(500) });
        workspace.post(CREATE_MULTIPLE, five_hundred).await.error(404, "device_not_found");
        let behavior = json!({ "device_ids": [lock], "behavior_when_code_cannot_be_shared": "give_up" });
        assert_eq!(
            workspace.post(CREATE_MULTIPLE, behavior).await.invalid("behavior_when_code_cannot_be_shared").len(),
            1
        );
        assert_eq!(rows(&workspace).await, [0; 4]);
    });
}

#[test]
fn create_multiple_creates_codes_on_500_locks() {
    run(async {
        let workspace = TestWorkspace::with_locks(500).await;
        let codes = create_on_all_locks(&workspace, json!({})).await;
        assert_eq!((codes.len(), distinct(&codes, "code").len(), distinct(&codes, "device_id").len()), (500, 1, 500));
        assert_eq!(rows(&workspace).await[..2], [500, 500]);
        workspace.advance("PT0.25S").await;
        let ids: Vec<&Value> = codes.iter().map(|code| &code["access_code_id"]).collect();
        let listed = workspace.post("/access_codes/list", json!({ "access_code_ids": ids })).await.ok();
        assert_eq!(distinct(listed["access_codes"].as_array().unwrap(), "status"), [Some("set")].into());
    });
}

#[test]
fn create_multiple_shares_a_custom_code_and_requires_an_api_key() {
    run(async {
        let workspace = TestWorkspace::with_locks(200).await;
        let codes = create_on_all_locks(&workspace, json!({ "code": "4826" })).await;
        assert_eq!((codes.len(), distinct(&codes, "code")), (200, [Some("4826")].into()));
        let anonymous = post_as("", CREATE_MULTIPLE, on_all_locks(&workspace, json!({}))).await;
        anonymous.error(401, "unauthorized");
    });
}
