//! `/_emulator/access_codes/list` and `count`: access codes with the state of their locks.

use crate::access_grants::{FAR, codes, far_stay};
use crate::support::{TestWorkspace, UNKNOWN};
use serde_json::{Value, json};

/// A stay that begins 21 days after the start of the clock.
const STAY: [&str; 2] = ["2026-03-23T15:00:00.000Z", "2026-03-26T11:00:00.000Z"];

async fn list(workspace: &TestWorkspace, params: Value) -> Vec<Value> {
    workspace.post("/_emulator/access_codes/list", params).await.ok()["access_codes"].as_array().unwrap().clone()
}

/// Returns the only code with this id.
async fn listed(workspace: &TestWorkspace, access_code_id: &Value) -> Value {
    let [code] = &list(workspace, json!({ "access_code_ids": [access_code_id] })).await[..] else { panic!("one code") };
    code.clone()
}

/// Returns the names of the listed codes.
async fn names(workspace: &TestWorkspace, params: Value) -> Vec<String> {
    list(workspace, params).await.iter().map(|code| code["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn listed_access_code_has_its_next_step_and_its_entry_on_the_lock() {
    crate::support::run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "device_id": workspace.lock(0), "name": "Ada", "starts_at": STAY[0], "ends_at": STAY[1] });
        let created = workspace.create(params).await;
        let id = &created["access_code_id"];
        let held = json!({ "code": created["code"], "name": "Ada", "starts_at": STAY[0], "ends_at": STAY[1] });
        // Until when the clock is moved, the next step with its instant, and what the lock stores then.
        let table = [
            (None, "programming_due", "2026-03-20T15:00:00.000Z", Value::Null),
            (Some("2026-03-20T15:00:00.100Z"), "finish_operation", "2026-03-20T15:00:00.250Z", Value::Null),
            (Some("2026-03-20T15:00:01Z"), "start", STAY[0], held.clone()),
            (Some(STAY[0]), "expire", STAY[1], held.clone()),
            (Some(STAY[1]), "finish_operation", "2026-03-26T11:00:00.250Z", held),
        ];
        for (until, step, due_at, held) in table {
            if let Some(until) = until {
                workspace.advance_to(until).await;
            }
            let code = listed(&workspace, id).await;
            assert_eq!(code["next_step"], json!({ "step": step, "due_at": due_at }));
            assert_eq!(code["held"], held, "{step}");
            let seam = workspace.access_code(id).await;
            for (name, value) in seam.as_object().unwrap() {
                assert_eq!(code[name], *value, "{name}");
            }
        }
        let removing = listed(&workspace, id).await;
        assert_eq!((&removing["operation"]["type"], &removing["gone_at"]), (&json!("remove"), &Value::Null));
        assert_eq!(removing["programming_due_at"], "2026-03-20T15:00:00.000Z");
        workspace.advance("PT1S").await;
        let gone = listed(&workspace, id).await;
        assert_eq!((&gone["gone_at"], &gone["next_step"]), (&json!("2026-03-26T11:00:00.250Z"), &Value::Null));
        assert_eq!(list(&workspace, json!({ "device_ids": workspace.locks() })).await, [] as [Value; 0]);
    });
}

#[test]
fn listed_access_code_names_the_fault_and_the_failed_attempts() {
    crate::support::run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let fault = json!({ "operation": "set", "outcome": { "fail": {} }, "times": 2 });
        workspace.post("/_emulator/faults/create", fault).await.ok();
        let id = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
        let operation = |code: Value| {
            let operation = &code["operation"];
            (
                operation["fault_outcome"].clone(),
                operation["failed_attempts"].clone(),
                operation["started_at"].is_null(),
            )
        };
        assert_eq!(operation(listed(&workspace, &id).await), (json!({ "fail": {} }), json!(0), false));
        workspace.advance("PT1S").await;
        assert_eq!(operation(listed(&workspace, &id).await), (Value::Null, json!(1), true));
        let count = workspace.post("/_emulator/access_codes/count", json!({ "device_ids": workspace.locks() })).await;
        assert_eq!(
            count.ok()["counts"],
            json!([{ "device_id": workspace.lock(0), "by_status": { "setting": 1 }, "unmanaged": 0, "with_errors": 1 }])
        );
    });
}

#[test]
fn listed_access_codes_are_those_of_the_devices_and_the_period() {
    crate::support::run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let create = async |lock: usize, name: &str, stay: Option<[&str; 2]>| {
            let mut params = json!({ "device_id": workspace.lock(lock), "name": name });
            if let Some([starts_at, ends_at]) = stay {
                (params["starts_at"], params["ends_at"]) = (json!(starts_at), json!(ends_at));
            }
            workspace.create(params).await;
        };
        create(0, "March", Some(STAY)).await;
        create(0, "May", Some(["2026-05-01T15:00:00Z", "2026-05-03T11:00:00Z"])).await;
        create(1, "ongoing", None).await;
        let added = json!({ "device_id": workspace.lock(1), "code": "8642", "name": "neighbour" });
        workspace.post("/_emulator/locks/add_code", added).await.ok();
        let locks = workspace.locks();
        let all = ["neighbour", "ongoing", "May", "March"];
        for (params, expected) in [
            (json!({ "device_ids": locks }), &all[..]),
            (json!({ "device_ids": [locks[1]] }), &all[..2]),
            (json!({ "device_ids": locks, "to": "2026-05-01T15:00:00Z" }), &["neighbour", "ongoing", "March"]),
            (json!({ "device_ids": locks, "from": STAY[1] }), &all[..3]),
            (json!({ "device_ids": locks, "from": STAY[1], "to": "2026-04-30T00:00:00Z" }), &all[..2]),
            (json!({ "device_ids": [UNKNOWN] }), &[]),
            (json!({ "device_ids": [] }), &[]),
        ] {
            assert_eq!(names(&workspace, params.clone()).await, expected, "{params}");
        }
        let first = json!({ "device_ids": locks, "limit": 3 });
        let page = workspace.post("/_emulator/access_codes/list", first).await.ok();
        assert_eq!((page["access_codes"].as_array().unwrap().len(), &page["has_more"]), (3, &json!(true)));
        let counts = workspace.post("/_emulator/access_codes/count", json!({ "device_ids": locks })).await.ok();
        let (first, second) = (json!({ "unset": 2 }), json!({ "setting": 1 }));
        for (lock, by_status, unmanaged) in [(0, first, 0), (1, second, 1)] {
            let counts = counts["counts"].as_array().unwrap();
            let count = counts.iter().find(|count| count["device_id"] == workspace.lock(lock)).unwrap();
            assert_eq!((&count["by_status"], &count["unmanaged"]), (&by_status, &json!(unmanaged)));
        }
    });
}

#[test]
fn listed_access_codes_of_an_access_grant_say_for_which_it_waits() {
    crate::support::run(async {
        let lock = json!({ "device_type": "august_lock", "supports_backup_access_code_pool": false });
        let workspace = TestWorkspace::with(json!([lock, lock])).await;
        let other = workspace.create(json!({ "device_id": workspace.lock(0) })).await["access_code_id"].clone();
        let offline = json!({ "device_id": workspace.lock(1) });
        workspace.post("/devices/simulate/disconnect", offline.clone()).await.ok();
        let grant = far_stay(&workspace).await;
        let of_grant = json!({ "access_grant_id": grant["access_grant_id"] });
        let [online_code, offline_code] = &codes(&workspace, &grant).await[..] else { panic!("two codes") };
        for (code, is_ready) in [(online_code, true), (offline_code, false)] {
            let code = listed(&workspace, &code["access_code_id"]).await;
            assert_eq!(code["is_ready_to_issue"], is_ready);
            assert_eq!(code["access_grant_id"], grant["access_grant_id"]);
            assert_eq!(code["access_method_id"], grant["access_method_ids"][0]);
        }
        let listed_ids = list(&workspace, of_grant.clone()).await;
        assert!(listed_ids.len() == 2 && listed_ids.iter().all(|code| code["access_code_id"] != other));
        let single = listed(&workspace, &other).await;
        for name in ["access_grant_id", "access_method_id", "is_ready_to_issue"] {
            assert_eq!(single[name], Value::Null, "{name}");
        }
        workspace.post("/devices/simulate/connect", offline).await.ok();
        assert!(list(&workspace, of_grant.clone()).await.iter().all(|code| code["is_ready_to_issue"] == true));
        // A code that is removed from its lock does not delay its method.
        workspace.advance_to(FAR[0]).await;
        workspace.post("/access_grants/delete", of_grant.clone()).await.ok();
        let removing = list(&workspace, of_grant.clone()).await;
        assert!(removing.len() == 2 && removing.iter().all(|code| code["is_ready_to_issue"].is_null()));
        workspace.advance("PT1S").await;
        assert_eq!(list(&workspace, of_grant).await, [] as [Value; 0]);
        // The access method of a code that is gone is gone too.
        let gone = listed(&workspace, &online_code["access_code_id"]).await;
        assert_eq!(
            (&gone["access_grant_id"], &gone["access_method_id"]),
            (&Value::Null, &grant["access_method_ids"][0])
        );
    });
}

#[test]
fn listed_access_codes_are_only_those_of_the_workspace() {
    crate::support::run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let code = other.create(json!({ "device_id": other.lock(0) })).await;
        let by_id = json!({ "access_code_ids": [code["access_code_id"]] });
        assert_eq!(list(&workspace, by_id.clone()).await, [] as [Value; 0]);
        assert_eq!(list(&workspace, json!({ "device_ids": other.locks() })).await, [] as [Value; 0]);
        assert_eq!(list(&other, by_id).await.len(), 1);
        let grant = far_stay(&other).await;
        let of_grant = json!({ "access_grant_id": grant["access_grant_id"] });
        assert_eq!(list(&workspace, of_grant.clone()).await, [] as [Value; 0]);
        assert_eq!(list(&other, of_grant).await.len(), 1);
        let count = json!({ "device_ids": other.locks() });
        assert_eq!(workspace.post("/_emulator/access_codes/count", count).await.ok()["counts"], json!([]));
    });
}

#[test]
fn listed_access_codes_reject_invalid_parameters() {
    crate::support::run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let many = vec![UNKNOWN; 501];
        let path = "/_emulator/access_codes/list";
        for (name, value) in [
            ("device_ids", json!("all")),
            ("device_ids", json!(many)),
            ("access_code_ids", json!(["x"])),
            ("access_grant_id", json!("x")),
            ("from", json!("yesterday")),
            ("to", json!(5)),
            ("limit", json!(0)),
            ("limit", json!(5001)),
            ("page_cursor", json!("x")),
        ] {
            let mut params = json!({ "device_ids": [] });
            params[name] = value.clone();
            let reply = workspace.post(path, params).await;
            assert_eq!(reply.status, 400, "{name} {value} {}", reply.body);
            reply.error(400, "invalid_input");
        }
        workspace.post(path, json!({})).await.error(400, "invalid_input");
        workspace.post("/_emulator/access_codes/count", json!({})).await.invalid("device_ids");
    });
}
