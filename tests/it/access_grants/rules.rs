//! Rules of the creation: who, where, which PIN, and what the response shows.

use super::{FAR, codes, condition_codes, far_stay, grant, grant_events, methods, read};
use crate::support::{START, TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

/// Parameters of a grant with one code.
fn params(user: &Value, device_ids: &[String]) -> Value {
    json!({ "user_identity": user, "device_ids": device_ids, "requested_access_methods": [{ "mode": "code" }] })
}

async fn create(workspace: &TestWorkspace, params: &Value) -> crate::support::Reply {
    workspace.post("/access_grants/create", params.clone()).await
}

#[test]
fn access_grant_and_method_have_the_fields_of_the_contract() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = grant(
            &workspace,
            json!({
                "device_ids": workspace.locks(), "access_grant_key": "key", "reservation_key": "stay",
                "name": "Stay", "customization_profile_id": UNKNOWN, "starts_at": FAR[0], "ends_at": FAR[1],
                "requested_access_methods": [{ "mode": "code", "code": "4711" }],
            }),
        )
        .await;
        let method_ids = created["access_method_ids"].clone();
        let expected = json!({
            "access_grant_id": created["access_grant_id"],
            "workspace_id": workspace.workspace_id,
            "access_grant_key": "key",
            "reservation_key": "stay",
            "user_identity_id": created["user_identity_id"],
            "name": "Stay",
            "display_name": "Stay",
            "display_status": "Upcoming",
            "space_ids": [],
            "location_ids": [],
            "requested_access_methods": [{
                "display_name": "PIN Code", "mode": "code", "code": "4711", "created_at": START,
                "created_access_method_ids": method_ids,
            }],
            "access_method_ids": method_ids,
            "starts_at": FAR[0],
            "ends_at": FAR[1],
            "created_at": START,
            "customization_profile_id": UNKNOWN,
            "errors": [],
            "warnings": [],
            "pending_mutations": [],
        });
        workspace.advance("PT1S").await;
        assert_eq!(read(&workspace, &created).await, expected);
        let method = methods(&workspace, &created).await.remove(0);
        let expected = json!({
            "access_method_id": method_ids[0],
            "workspace_id": workspace.workspace_id,
            "display_name": "PIN Code",
            "mode": "code",
            "code": "4711",
            "is_issued": true,
            "issued_at": method["issued_at"],
            "display_status": "Upcoming",
            "created_at": START,
            "customization_profile_id": UNKNOWN,
            "errors": [],
            "warnings": [],
            "pending_mutations": [],
        });
        assert_eq!(method, expected);
        assert!(method["issued_at"].is_string());
    });
}

#[test]
fn access_grant_without_optional_parameters_leaves_them_out() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        for name in ["access_grant_key", "reservation_key", "customization_profile_id", "client_session_token"] {
            assert!(created.get(name).is_none(), "{name}: {created}");
        }
        assert!(created["requested_access_methods"][0].get("code").is_none());
        assert_eq!((&created["starts_at"], &created["ends_at"]), (&json!(START), &Value::Null));
        let code = codes(&workspace, &created).await.remove(0);
        assert_eq!(code["type"], "ongoing");
    });
}

#[test]
fn access_grant_names_its_guest_by_what_is_known() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (user, expected) in [
            (json!({ "full_name": "Jane Doe", "email_address": "jane@example.com" }), "Jane Doe"),
            (json!({ "email_address": "joe@example.com", "phone_number": "+15551234567" }), "joe@example.com"),
            (json!({ "phone_number": "+15557654321", "user_identity_key": "max" }), "+15557654321"),
            (json!({ "user_identity_key": "guest" }), "guest"),
        ] {
            let created = create(&workspace, &params(&user, &workspace.locks())).await.ok()["access_grant"].clone();
            assert_eq!(created["display_name"], expected);
            assert_eq!(codes(&workspace, &created).await[0]["name"], expected);
        }
    });
}

#[test]
fn access_grant_with_a_guest_that_exists_already_creates_nothing() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let jane = json!({ "full_name": "Jane", "email_address": "jane@example.com", "phone_number": "+15551234567",
                           "user_identity_key": "jane" });
        create(&workspace, &params(&jane, &workspace.locks())).await.ok();
        let conflict = "user_identity_email_or_phone_conflict";
        for user in [json!({ "email_address": "jane@example.com" }), json!({ "phone_number": "+15551234567" })] {
            create(&workspace, &params(&user, &workspace.locks())).await.error(409, conflict);
        }
        let same_key = json!({ "user_identity_key": "jane" });
        assert_eq!(create(&workspace, &params(&same_key, &workspace.locks())).await.status, 409);
        let found = workspace.post("/access_grants/list", json!({})).await.ok();
        assert_eq!(found["access_grants"].as_array().unwrap().len(), 1);
        let found = workspace.post("/user_identities/list", json!({})).await.ok();
        assert_eq!(found["user_identities"].as_array().unwrap().len(), 1);
        assert_eq!(workspace.memory(0).await.len(), 0);
    });
}

#[test]
fn access_grant_needs_a_guest_by_id_or_by_data_but_not_both() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let jane = workspace.post("/user_identities/create", json!({ "user_identity_key": "jane" })).await.ok();
        let mut both = params(&json!({ "full_name": "Jane" }), &workspace.locks());
        both["user_identity_id"] = jane["user_identity"]["user_identity_id"].clone();
        create(&workspace, &both).await.error(400, "invalid_input");
        let joe = workspace.post("/user_identities/create", json!({ "user_identity_key": "joe" })).await.ok();
        let merge = json!({ "user_identity_key": "joe", "merged_user_identity_keys": ["jane"] });
        workspace.post("/user_identities/merge", merge).await.ok();
        let mut merged = params(&Value::Null, &workspace.locks());
        merged["user_identity_id"] = jane["user_identity"]["user_identity_id"].clone();
        let created = create(&workspace, &merged).await.ok();
        assert_eq!(created["access_grant"]["user_identity_id"], joe["user_identity"]["user_identity_id"]);
    });
}

#[test]
fn access_grant_counts_a_lock_once_however_often_it_is_named() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let space = async |key: &str, locks: &[String]| {
            let params = json!({ "name": key, "space_key": key, "device_ids": locks });
            workspace.post("/spaces/create", params).await.ok()["space"]["space_id"].clone()
        };
        let first = space("first", &workspace.locks()).await;
        let second = space("second", &[workspace.lock(1)]).await;
        let created = grant(
            &workspace,
            json!({ "device_ids": [workspace.lock(0), workspace.lock(0)], "space_ids": [first, first],
                    "space_keys": ["second", "first"] }),
        )
        .await;
        assert_eq!(created["space_ids"], json!([first, second]));
        assert_eq!(created["location_ids"], created["space_ids"]);
        assert_eq!(codes(&workspace, &created).await.len(), 2);
        let by_location = grant(&workspace, json!({ "location_ids": [second] })).await;
        assert_eq!(by_location["space_ids"], json!([second]));
        let unknown = json!({ "user_identity": {}, "requested_access_methods": [{ "mode": "code" }],
                              "space_keys": ["first", "third"] });
        create(&workspace, &unknown).await.error(404, "space_not_found");
    });
}

#[test]
fn access_grant_wish_has_four_to_nine_digits() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for wish in ["123", "1234567890", "12a4", ""] {
            let mut params = params(&json!({}), &workspace.locks());
            params["requested_access_methods"] = json!([{ "mode": "code", "code": wish }]);
            create(&workspace, &params).await.error(400, "invalid_input");
        }
        for method in [
            json!({ "mode": "code", "instant_key_max_use_count": 1 }),
            json!({ "mode": "mobile_key", "instant_key_max_use_count": 0 }),
            json!({ "mode": "mobile_key", "code": "1234" }),
            json!({ "mode": "fingerprint" }),
        ] {
            let mut params = params(&json!({}), &workspace.locks());
            params["requested_access_methods"] = json!([method]);
            create(&workspace, &params).await.error(400, "invalid_input");
        }
        assert_eq!(grant_events(&workspace).await, [""; 0]);
    });
}

#[test]
fn access_grant_splits_a_lock_on_which_the_wished_pin_is_in_use() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        workspace.create(json!({ "device_id": workspace.lock(1), "code": "4711" })).await;
        let wish = json!([{ "mode": "code", "code": "4711" }]);
        let created =
            grant(&workspace, json!({ "device_ids": workspace.locks(), "requested_access_methods": wish })).await;
        let codes = codes(&workspace, &created).await;
        assert_eq!(codes[0]["code"], "4711");
        assert_ne!(codes[1]["code"], "4711");
        let methods = methods(&workspace, &created).await;
        assert_eq!(
            methods.iter().map(|method| &method["code"]).collect::<Vec<_>>(),
            [&codes[0]["code"], &codes[1]["code"]]
        );
        assert_eq!(condition_codes(&created, "warnings", "warning_code"), ["requested_code_unavailable"]);
        assert_eq!(created["warnings"][0]["device_id"], json!(workspace.lock(1)));
        assert_eq!(created["requested_access_methods"][0]["code"], "4711");
        assert_eq!(created["requested_access_methods"][0]["created_access_method_ids"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn access_grant_on_several_salto_locks_has_one_drawn_pin_instead_of_the_wish() {
    run(async {
        let salto = json!({ "device_type": "salto_lock",
                            "properties": { "salto_ks_metadata": { "has_custom_pin_subscription": true } } });
        let workspace = TestWorkspace::with(json!([salto, salto])).await;
        let wish = json!([{ "mode": "code", "code": "471147" }]);
        let both = json!({ "device_ids": workspace.locks(), "requested_access_methods": wish });
        let created = grant(&workspace, both).await;
        let codes_of_both = codes(&workspace, &created).await;
        assert_eq!(codes_of_both[0]["code"], codes_of_both[1]["code"]);
        assert_ne!(codes_of_both[0]["code"], "471147");
        assert_eq!(created["access_method_ids"].as_array().unwrap().len(), 1);
        let one = json!({ "device_ids": [workspace.lock(0)], "requested_access_methods": wish });
        let one = grant(&workspace, one).await;
        assert_eq!(codes(&workspace, &one).await[0]["code"], "471147");
    });
}

#[test]
fn access_method_has_no_pin_until_the_provider_has_chosen_it() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock" }, { "device_type": "salto_lock" }])).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        let found = methods(&workspace, &created).await;
        assert_eq!(found.len(), 2, "the PIN of the provider is a method of its own");
        assert!(found[0]["code"].is_string());
        assert_eq!((&found[1]["code"], &found[1]["is_issued"]), (&Value::Null, &json!(false)));
        workspace.advance("PT1S").await;
        let found = methods(&workspace, &created).await;
        let held = workspace.memory(1).await;
        assert_eq!((&found[1]["code"], &found[1]["is_issued"]), (&held[0]["code"], &json!(true)));
        assert_ne!(found[0]["code"], found[1]["code"]);
        let events = workspace.events(json!({ "access_method_id": found[1]["access_method_id"] })).await;
        let issued = events.iter().find(|event| event["event_type"] == "access_method.issued").unwrap();
        assert_eq!(issued["code"], found[1]["code"]);
    });
}

#[test]
fn access_grant_on_an_offline_only_lock_has_a_method_of_its_own() {
    run(async {
        let offline = json!({ "device_type": "igloohome_lock", "can_program_online_access_codes": false });
        let workspace = TestWorkspace::with(json!([{ "device_type": "august_lock" }, offline])).await;
        let created = grant(
            &workspace,
            json!({ "device_ids": workspace.locks(), "starts_at": "2026-03-03T12:00:00Z",
                                                "ends_at": "2026-03-05T12:00:00Z" }),
        )
        .await;
        let codes = codes(&workspace, &created).await;
        assert_eq!(
            (&codes[0]["is_offline_access_code"], &codes[1]["is_offline_access_code"]),
            (&json!(false), &json!(true))
        );
        let found = methods(&workspace, &created).await;
        assert_eq!(
            found.iter().map(|method| &method["code"]).collect::<Vec<_>>(),
            [&codes[0]["code"], &codes[1]["code"]]
        );
        workspace.advance("PT1S").await;
        assert_eq!(read(&workspace, &created).await["display_status"], "Upcoming");
        let ongoing = grant(&workspace, json!({ "device_ids": [workspace.lock(1)] })).await;
        assert_eq!(ongoing["warnings"][0]["warning_code"], "device_time_constraints_violated");
        assert_eq!(ongoing["warnings"][0]["reason"], "ongoing_not_supported");
    });
}

#[test]
fn access_grant_on_a_door_without_a_matching_time_slot_has_a_warning() {
    run(async {
        let slot = json!({ "name": "day", "check_in_time": "15:00:00", "check_out_time": "11:00:00", "is_24_hour": false,
                           "dormakaba_oracode_user_level_prefix": 1,
                           "dormakaba_oracode_user_level_id": "00000000-0000-4000-8000-000000000001" });
        let metadata = json!({ "site_name": "Pier", "predefined_time_slots": [slot] });
        let door = json!({ "device_type": "dormakaba_oracode_door",
                           "properties": { "dormakaba_oracode_metadata": metadata } });
        let workspace = TestWorkspace::with(json!([door])).await;
        let stay = async |from: &str, to: &str| {
            grant(&workspace, json!({ "device_ids": workspace.locks(), "starts_at": from, "ends_at": to })).await
        };
        let unfit = stay("2026-03-12T03:00:00-07:00", "2026-03-14T11:00:00-07:00").await;
        assert_eq!(condition_codes(&unfit, "warnings", "warning_code"), ["device_time_constraints_violated"]);
        assert_eq!(unfit["warnings"][0]["reason"], "times_do_not_match_slots");
        assert_eq!(unfit["access_method_ids"], json!([]));
        let fits = stay("2026-03-12T15:00:00-07:00", "2026-03-14T11:00:00-07:00").await;
        assert_eq!((&fits["warnings"], codes(&workspace, &fits).await.len()), (&json!([]), 1));
    });
}

#[test]
fn access_grant_enables_backup_pools_only_for_stays_that_end() {
    run(async {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "august_lock", "max_active_codes_supported": 10 },
            { "device_type": "salto_lock", "supports_backup_access_code_pool": true },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        let backups = async || {
            let mut found = Vec::new();
            for index in 0..3 {
                let memory = workspace.memory(index).await;
                found.push(memory.iter().filter(|code| code["is_backup"] == true).count() > 0);
            }
            found
        };
        grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1M").await;
        assert_eq!(backups().await, [false, false, false], "without an end");
        far_stay(&workspace).await;
        workspace.advance("PT1M").await;
        assert_eq!(backups().await, [true, false, false], "few places, and Salto");
    });
}

#[test]
fn access_codes_of_grants_are_ordinary_and_take_the_pin_of_a_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        let code = codes(&workspace, &created).await.remove(0);
        let same = json!({ "device_id": workspace.lock(0), "code": code["code"] });
        workspace.post("/access_codes/create", same).await.error(409, "duplicate_access_code");
        let listed = workspace.post("/access_codes/list", json!({ "device_id": workspace.lock(0) })).await.ok();
        assert_eq!(listed["access_codes"], json!([code]));
        let events = workspace.events(json!({ "access_code_id": code["access_code_id"] })).await;
        assert_eq!(events[0]["event_type"], "access_code.created");
    });
}

#[test]
fn access_grant_pin_is_free_again_after_the_first_grant_is_gone() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let jane = workspace.post("/user_identities/create", json!({ "full_name": "Jane" })).await.ok();
        let params = json!({ "device_ids": workspace.locks(), "starts_at": FAR[0], "ends_at": FAR[1],
                             "user_identity_id": jane["user_identity"]["user_identity_id"] });
        let first = grant(&workspace, params.clone()).await;
        let pin = codes(&workspace, &first).await[0]["code"].clone();
        workspace.advance_to("2026-03-20T12:00:00.000Z").await;
        let mut later = params;
        (later["starts_at"], later["ends_at"]) = (json!("2026-03-21T12:00:00Z"), json!("2026-03-22T12:00:00Z"));
        let second = grant(&workspace, later).await;
        assert_eq!(codes(&workspace, &second).await[0]["code"], pin);
    });
}

#[test]
fn access_grant_on_a_lock_removed_from_its_account_names_it_as_missing() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        workspace.post("/devices/simulate/remove", json!({ "device_id": workspace.lock(1) })).await.ok();
        let created = far_stay(&workspace).await;
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        assert_eq!(condition_codes(&created, "errors", "error_code"), ["cannot_create_requested_access_methods"]);
        assert_eq!(created["errors"][0]["missing_device_ids"], json!([workspace.lock(1)]));
        workspace.advance("PT1S").await;
        let events = grant_events(&workspace).await;
        assert_eq!(events.iter().filter(|kind| kind.ends_with("could_not_create_requested_access_methods")).count(), 1);
        assert!(!events.contains(&"access_grant.access_granted_to_all_doors".to_owned()), "{events:?}");
    });
}

#[test]
fn access_grant_of_an_unmanaged_device_is_not_created() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.post("/devices/update", json!({ "device_id": workspace.lock(0), "is_managed": false })).await.ok();
        create(&workspace, &params(&json!({}), &workspace.locks())).await.error(404, "device_not_found");
        assert_eq!(grant_events(&workspace).await, [""; 0]);
    });
}

#[test]
fn access_grant_does_not_use_a_pin_that_an_unmanaged_code_has() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let taken = json!({ "device_id": workspace.lock(1), "code": "1234" });
        workspace.post("/_emulator/locks/add_code", taken).await.ok();
        let params = json!({ "device_ids": workspace.locks(), "ends_at": FAR[1],
                             "requested_access_methods": [{ "mode": "code", "code": "1234" }] });
        let created = grant(&workspace, params).await;
        workspace.advance("PT1S").await;
        let found = read(&workspace, &created).await;
        assert_eq!(condition_codes(&found, "warnings", "warning_code"), ["requested_code_unavailable"]);
        assert_eq!(found["display_status"], "Active");
        let found = codes(&workspace, &created).await;
        assert_eq!(found[0]["code"], "1234");
        assert_ne!(found[1]["code"], "1234");
    });
}
