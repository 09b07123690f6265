//! Access grants: creation, one PIN on many locks, issuance, and the codes that carry them.

mod capacity;
mod changes;
mod consistency;
mod deletion;
mod ended;
mod issuance;
mod left_out;
mod obstacles;
mod properties;
mod reads;
mod related;
mod requests;
mod rules;

use crate::support::{TestWorkspace, UNKNOWN, run, types};
use serde_json::{Value, json};

/// Start and end of a stay that begins ten days after the start of the clock, and lasts two days.
pub(crate) const FAR: [&str; 2] = ["2026-03-12T12:00:00.000Z", "2026-03-14T12:00:00.000Z"];

/// Creates a grant of one PIN for a new guest, with these further parameters, and returns it.
pub(crate) async fn grant(workspace: &TestWorkspace, mut params: Value) -> Value {
    if params.get("user_identity").is_none() && params.get("user_identity_id").is_none() {
        params["user_identity"] = json!({ "full_name": "Jane Doe" });
    }
    if params.get("requested_access_methods").is_none() {
        params["requested_access_methods"] = json!([{ "mode": "code" }]);
    }
    workspace.post("/access_grants/create", params).await.ok()["access_grant"].clone()
}

/// Creates a grant over all locks of the workspace for the stay of [`FAR`].
pub(crate) async fn far_stay(workspace: &TestWorkspace) -> Value {
    grant(workspace, json!({ "device_ids": workspace.locks(), "starts_at": FAR[0], "ends_at": FAR[1] })).await
}

/// Creates a grant from 3 to 5 March, at noon, on a lock that only has offline codes.
pub(crate) async fn stay_on_an_offline_only_lock() -> (TestWorkspace, Value) {
    let lock = json!({ "device_type": "igloohome_lock", "can_program_online_access_codes": false });
    let workspace = TestWorkspace::with(json!([lock])).await;
    let times = json!({ "device_ids": workspace.locks(), "starts_at": "2026-03-03T12:00:00Z",
                        "ends_at": "2026-03-05T12:00:00Z" });
    let created = grant(&workspace, times).await;
    workspace.advance("PT1S").await;
    (workspace, created)
}

/// Returns the current state of a grant.
pub(crate) async fn read(workspace: &TestWorkspace, grant: &Value) -> Value {
    let params = json!({ "access_grant_id": grant["access_grant_id"] });
    workspace.post("/access_grants/get", params).await.ok()["access_grant"].clone()
}

/// Returns the methods of a grant, the oldest first.
pub(crate) async fn methods(workspace: &TestWorkspace, grant: &Value) -> Vec<Value> {
    let mut methods = Vec::new();
    for id in grant["access_method_ids"].as_array().unwrap() {
        let found = workspace.post("/access_methods/get", json!({ "access_method_id": id })).await.ok();
        methods.push(found["access_method"].clone());
    }
    methods
}

/// Returns the codes of a grant, in the order of their locks in the workspace.
pub(crate) async fn codes(workspace: &TestWorkspace, grant: &Value) -> Vec<Value> {
    let params = json!({ "access_grant_id": grant["access_grant_id"] });
    let found = workspace.post("/access_codes/list", params).await.ok();
    let mut codes = found["access_codes"].as_array().unwrap().clone();
    let locks = workspace.locks();
    codes.sort_by_key(|code| locks.iter().position(|lock| code["device_id"] == **lock));
    codes
}

/// Returns the types of the events about grants and methods, in order.
pub(crate) async fn grant_events(workspace: &TestWorkspace) -> Vec<String> {
    let events = workspace.events(json!({})).await;
    let of_grants = |kind: &&str| kind.starts_with("access_grant.") || kind.starts_with("access_method.");
    types(&events).into_iter().filter(of_grants).map(str::to_owned).collect()
}

/// Returns the codes of these conditions.
pub(crate) fn condition_codes(object: &Value, list: &str, code: &str) -> Vec<String> {
    let conditions = object[list].as_array().unwrap().iter();
    conditions.map(|condition| condition[code].as_str().unwrap().to_owned()).collect()
}

/// Changes a grant.
pub(crate) async fn update(workspace: &TestWorkspace, grant: &Value, mut change: Value) {
    change["access_grant_id"] = grant["access_grant_id"].clone();
    workspace.post("/access_grants/update", change).await.ok();
}

/// Connects or disconnects the lock at this index.
pub(crate) async fn set_online(workspace: &TestWorkspace, index: usize, is_online: bool) {
    workspace.change_lock(index, json!({ "online": is_online })).await;
}

/// Creates a space with these locks and returns its id.
pub(crate) async fn space(workspace: &TestWorkspace, locks: &[String]) -> Value {
    let params = json!({ "name": "Apartment", "device_ids": locks });
    workspace.post("/spaces/create", params).await.ok()["space"]["space_id"].clone()
}

/// Returns the codes of the warnings.
pub(crate) fn warnings(object: &Value) -> Vec<String> {
    condition_codes(object, "warnings", "warning_code")
}

#[test]
fn access_grant_is_one_pin_on_three_locks() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let created = far_stay(&workspace).await;
        let methods = methods(&workspace, &created).await;
        assert_eq!(methods.len(), 1);
        assert_eq!(created["requested_access_methods"][0]["created_access_method_ids"], created["access_method_ids"]);
        let codes = codes(&workspace, &created).await;
        assert_eq!(codes.len(), 3);
        for code in &codes {
            assert_eq!(code["code"], methods[0]["code"]);
            assert_eq!(code["common_code_key"], codes[0]["common_code_key"]);
            assert_eq!((&code["name"], &code["is_managed"]), (&json!("Jane Doe"), &json!(true)));
            assert_eq!((&code["starts_at"], &code["ends_at"]), (&json!(FAR[0]), &json!(FAR[1])));
        }
        assert!(codes[0]["common_code_key"].as_str().unwrap().starts_with("access_grant_"));
        assert_eq!((&created["display_name"], &created["name"]), (&json!("Jane Doe"), &Value::Null));
        assert_eq!((&created["errors"], &created["warnings"]), (&json!([]), &json!([])));
    });
}

#[test]
fn access_grant_of_today_puts_its_pin_on_the_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["display_status"]), (&json!(false), &json!("Awaiting issuance")));
        assert_eq!(condition_codes(&method, "pending_mutations", "mutation_code"), ["provisioning_access"]);
        workspace.advance("PT1S").await;
        let method = methods(&workspace, &created).await.remove(0);
        assert_eq!((&method["is_issued"], &method["display_status"]), (&json!(true), &json!("Active")));
        assert_eq!(method["pending_mutations"], json!([]));
        assert_eq!(workspace.memory(0).await[0]["code"], method["code"]);
        assert_eq!(read(&workspace, &created).await["display_status"], "Active");
    });
}

#[test]
fn access_grant_events_have_the_order_of_the_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        grant(&workspace, json!({ "device_ids": workspace.locks(), "access_grant_key": "stay" })).await;
        workspace.advance("PT1S").await;
        let events = workspace.events(json!({})).await;
        let events: Vec<&Value> =
            events.iter().filter(|event| event["event_type"].as_str().unwrap().starts_with("access_")).collect();
        let expected = [
            "access_grant.created",
            "access_method.created",
            "access_code.created",
            "access_code.created",
            "access_code.set_on_device",
            "access_code.set_on_device",
            "access_method.issued",
            "access_grant.access_granted_to_all_doors",
        ];
        let found: Vec<&str> = events.iter().map(|event| event["event_type"].as_str().unwrap()).collect();
        assert_eq!(found, expected);
        let issued = events[6];
        assert_eq!(issued["access_grant_keys"], json!(["stay"]));
        assert_eq!(issued["occurred_at"], events[5]["occurred_at"]);
        assert!(issued["code"].is_string() && issued.get("is_backup_code").is_none());
    });
}

#[test]
fn access_grant_splits_a_lock_that_cannot_have_the_wished_pin() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock" }, { "device_type": "nuki_lock" }])).await;
        let created = grant(
            &workspace,
            json!({ "device_ids": workspace.locks(), "requested_access_methods": [{ "mode": "code", "code": "1234" }] }),
        )
        .await;
        let codes = codes(&workspace, &created).await;
        assert_eq!(codes[0]["code"], "1234");
        assert_ne!(codes[1]["code"], "1234");
        assert_eq!(created["access_method_ids"].as_array().unwrap().len(), 2);
        let warnings = created["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), 1, "{created}");
        assert_eq!(warnings[0]["warning_code"], "requested_code_unavailable");
        assert_eq!(
            (&warnings[0]["device_id"], &warnings[0]["original_code"]),
            (&json!(workspace.lock(1)), &json!("1234"))
        );
        assert_eq!(warnings[0]["new_code"], codes[1]["code"]);
    });
}

#[test]
fn access_grant_without_a_wish_shares_a_pin_that_all_locks_accept() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock" }, { "device_type": "nuki_lock" }])).await;
        let created = far_stay(&workspace).await;
        let codes = codes(&workspace, &created).await;
        assert_eq!(codes[0]["code"].as_str().unwrap().len(), 6);
        assert_eq!(codes[0]["code"], codes[1]["code"]);
    });
}

#[test]
fn access_grant_leaves_out_a_lock_without_codes() {
    run(async {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "august_lock", "can_program_online_access_codes": false },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        let created = far_stay(&workspace).await;
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        assert_eq!(created["warnings"][0]["warning_code"], "device_does_not_support_access_codes");
        assert_eq!((&created["warnings"][0]["device_id"], &created["errors"]), (&json!(workspace.lock(1)), &json!([])));
    });
}

#[test]
fn access_grant_that_no_lock_can_have_is_created_with_an_error() {
    run(async {
        let locks = json!([{ "device_type": "august_lock", "can_program_online_access_codes": false }]);
        let workspace = TestWorkspace::with(locks).await;
        let created = far_stay(&workspace).await;
        assert_eq!(created["access_method_ids"], json!([]));
        assert_eq!(condition_codes(&created, "errors", "error_code"), ["cannot_create_requested_access_methods"]);
        let events = grant_events(&workspace).await;
        assert_eq!(events, ["access_grant.created", "access_grant.could_not_create_requested_access_methods"]);
    });
}

#[test]
fn access_grant_names_locks_whose_memory_is_full() {
    run(async {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "august_lock", "max_active_codes_supported": 1 },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        workspace.create(json!({ "device_id": workspace.lock(1) })).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        assert_eq!(codes(&workspace, &created).await.len(), 2, "the code of the full lock waits for a place");
        assert_eq!(created["errors"][0]["missing_device_ids"], json!([workspace.lock(1)]));
        let events = workspace.events(json!({ "access_grant_id": created["access_grant_id"] })).await;
        let failed =
            events.iter().find(|event| event["event_type"] == "access_grant.could_not_create_requested_access_methods");
        assert_eq!(failed.unwrap()["missing_device_ids"], json!([workspace.lock(1)]));
    });
}

#[test]
fn access_grant_of_cards_and_keys_cannot_be_created_on_locks() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let methods = json!([{ "mode": "card" }, { "mode": "mobile_key", "instant_key_max_use_count": 2 }]);
        let params = json!({ "device_ids": workspace.locks(), "requested_access_methods": methods });
        let created = grant(&workspace, params).await;
        assert_eq!(condition_codes(&created, "errors", "error_code"), ["cannot_create_requested_access_methods"]);
        assert!(created["errors"][0].get("missing_device_ids").is_none());
        assert_eq!(codes(&workspace, &created).await.len(), 0);
    });
}

#[test]
fn access_grant_on_an_oracode_lock_must_fit_its_time_slots() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "dormakaba_oracode_door" }])).await;
        let ongoing = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        assert_eq!(ongoing["warnings"][0]["reason"], "ongoing_not_supported");
        let long = json!({ "device_ids": workspace.locks(), "starts_at": FAR[0], "ends_at": "2026-05-14T12:00:00Z" });
        let long = grant(&workspace, long).await;
        assert_eq!(long["warnings"][0]["warning_code"], "device_time_constraints_violated");
        assert_eq!(long["warnings"][0]["reason"], "duration_exceeds_max");
    });
}

#[test]
fn access_grant_reuses_the_pin_of_its_guest() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let identity = workspace.post("/user_identities/create", json!({ "full_name": "Jane" })).await.ok();
        let id = &identity["user_identity"]["user_identity_id"];
        let first = grant(&workspace, json!({ "device_ids": [workspace.lock(0)], "user_identity_id": id })).await;
        let second = grant(&workspace, json!({ "device_ids": [workspace.lock(1)], "user_identity_id": id })).await;
        let third = grant(&workspace, json!({ "device_ids": [workspace.lock(0)], "user_identity_id": id })).await;
        let pin = codes(&workspace, &first).await[0]["code"].clone();
        assert_eq!(codes(&workspace, &second).await[0]["code"], pin);
        assert_ne!(codes(&workspace, &third).await[0]["code"], pin, "one lock cannot have a PIN twice");
    });
}

#[test]
fn access_grant_with_a_mistake_creates_nothing() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let locks = workspace.locks();
        let mode = json!([{ "mode": "code" }]);
        let user = json!({ "full_name": "Jane" });
        for (params, status, kind) in [
            (json!({ "user_identity": user, "requested_access_methods": mode }), 400, "invalid_input"),
            (json!({ "requested_access_methods": mode, "device_ids": locks }), 400, "invalid_input"),
            (
                json!({ "user_identity": user, "requested_access_methods": mode, "device_ids": [UNKNOWN] }),
                404,
                "device_not_found",
            ),
            (
                json!({ "user_identity": user, "requested_access_methods": mode, "space_ids": [UNKNOWN] }),
                404,
                "space_not_found",
            ),
            (
                json!({ "user_identity": user, "requested_access_methods": mode, "acs_entrance_ids": [UNKNOWN] }),
                404,
                "acs_entrance_not_found",
            ),
            (
                json!({ "user_identity_id": UNKNOWN, "requested_access_methods": mode, "device_ids": locks }),
                404,
                "user_identity_not_found",
            ),
            (
                json!({ "user_identity": user, "requested_access_methods": mode, "device_ids": locks,
                        "ends_at": "2026-03-01T00:00:00Z" }),
                400,
                "invalid_input",
            ),
            (
                json!({ "user_identity": user, "requested_access_methods": mode, "device_ids": locks,
                        "starts_at": FAR[1], "ends_at": FAR[0] }),
                400,
                "invalid_input",
            ),
            (
                json!({ "user_identity": user, "requested_access_methods": [{ "mode": "card", "code": "1234" }],
                        "device_ids": locks }),
                400,
                "invalid_input",
            ),
            (
                json!({ "user_identity": user, "requested_access_methods": [{ "mode": "code", "code": "123" }],
                        "device_ids": locks }),
                400,
                "invalid_input",
            ),
            (
                json!({ "user_identity": user, "requested_access_methods": mode, "device_ids": locks,
                        "access_grant_key": "  " }),
                400,
                "invalid_input",
            ),
        ] {
            workspace.post("/access_grants/create", params).await.error(status, kind);
        }
        let identities = workspace.post("/user_identities/list", json!({})).await.ok();
        assert_eq!(identities["user_identities"], json!([]));
        assert_eq!(grant_events(&workspace).await, [""; 0]);
    });
}

#[test]
fn access_grant_key_is_unique() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({
            "device_ids": workspace.locks(), "access_grant_key": "stay", "user_identity": { "full_name": "Jane" },
            "requested_access_methods": [{ "mode": "code" }],
        });
        workspace.post("/access_grants/create", params.clone()).await.ok();
        workspace.post("/access_grants/create", params).await.error(409, "access_grant_key_already_exists");
    });
}

#[test]
fn access_grant_creates_its_location_as_a_space() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let location = json!({ "name": "Apartment 1", "device_ids": workspace.locks() });
        let created = grant(&workspace, json!({ "location": location })).await;
        assert_eq!(created["space_ids"], created["location_ids"]);
        let space = workspace.post("/spaces/get", json!({ "space_id": created["space_ids"][0] })).await.ok();
        assert_eq!((&space["space"]["name"], &space["space"]["device_count"]), (&json!("Apartment 1"), &json!(2)));
        assert_eq!(codes(&workspace, &created).await.len(), 2);
    });
}
