//! `common_code_key`: codes with the same key share one PIN.

use crate::access_codes::{on_lock, pin, rows};
use crate::support::{START, TestWorkspace, app, run};
use serde_json::{Value, json};

const CREATE: &str = "/access_codes/create";

/// Request parameters for a code with the key `guests` on the lock at `index`.
fn guest(workspace: &TestWorkspace, index: usize, mut further: Value) -> Value {
    further["common_code_key"] = json!("guests");
    on_lock(workspace, index, further)
}

async fn delete(workspace: &TestWorkspace, code: &Value) {
    workspace
        .post("/access_codes/delete", json!({ "access_code_id": code["access_code_id"], "sync": true }))
        .await
        .ok();
}

#[test]
fn common_code_key_gives_the_second_code_the_pin_of_the_first() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let first = workspace.create(guest(&workspace, 0, json!({ "preferred_code_length": 6 }))).await;
        assert_eq!((&first["common_code_key"], pin(&first).len()), (&json!("guests"), 6));
        let second = workspace.create(guest(&workspace, 1, json!({ "preferred_code_length": 8 }))).await;
        assert_eq!((&second["code"], &second["common_code_key"]), (&first["code"], &json!("guests")));
        let same_pin = guest(&workspace, 2, json!({ "code": pin(&first) }));
        assert_eq!(workspace.create(same_pin).await["code"], first["code"]);
        let other_key = on_lock(&workspace, 1, json!({ "common_code_key": "staff" }));
        assert_ne!(workspace.create(other_key).await["code"], first["code"], "a different key is a different group");
    });
}

#[test]
fn common_code_key_is_local_to_its_workspace() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        workspace.create(guest(&workspace, 0, json!({ "code": "4826" }))).await;
        assert_eq!(other.create(guest(&other, 0, json!({ "code": "5937" }))).await["code"], "5937");
    });
}

#[test]
fn common_code_key_rejects_a_pin_that_differs_from_the_groups() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        workspace.create(guest(&workspace, 0, json!({ "code": "4826" }))).await;
        let before = rows(&workspace).await;
        let messages = workspace.post(CREATE, guest(&workspace, 1, json!({ "code": "5937" }))).await.invalid("code");
        assert!(messages[0].contains("guests"), "{messages:?}");
        assert_eq!(rows(&workspace).await, before);
        workspace.create(guest(&workspace, 1, json!({ "code": "4826" }))).await;
    });
}

#[test]
fn common_code_key_rejects_a_lock_that_cannot_hold_the_groups_pin() {
    run(async {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "nuki_lock" },
            { "device_type": "salto_lock" },
            { "device_type": "august_lock" },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        workspace.create(guest(&workspace, 0, json!({ "code": "4826" }))).await;
        workspace.create(on_lock(&workspace, 3, json!({ "code": "4826" }))).await;
        let before = rows(&workspace).await;
        for index in [1, 2] {
            workspace.post(CREATE, guest(&workspace, index, json!({}))).await.invalid("common_code_key");
        }
        workspace.post(CREATE, guest(&workspace, 3, json!({}))).await.error(409, "duplicate_access_code");
        workspace.post(CREATE, guest(&workspace, 0, json!({}))).await.error(409, "duplicate_access_code");
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn common_code_key_allows_a_second_code_on_a_lock_only_with_the_setting() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let window = |day: u32| {
            let day = format!("2026-04-{day}T");
            guest(
                &workspace,
                0,
                json!({ "starts_at": format!("{day}10:00:00Z"), "ends_at": format!("{day}18:00:00Z") }),
            )
        };
        let first = workspace.create(window(10)).await;
        let error = workspace.post(CREATE, window(20)).await.error(409, "duplicate_access_code");
        assert!(error["message"].as_str().unwrap().contains("common_code_key"), "{error}");
        assert_eq!(error["data"], json!({ "access_code_id": first["access_code_id"] }));
        let setting = json!({ "allow_same_code_in_disjoint_windows": true });
        workspace.post("/_emulator/workspaces/update", setting).await.ok();
        assert_eq!(workspace.create(window(20)).await["code"], first["code"]);
        workspace.post(CREATE, window(11)).await.error(409, "duplicate_access_code");
        workspace.post(CREATE, window(10)).await.error(409, "duplicate_access_code");
    });
}

#[test]
fn pin_group_keeps_its_pin_while_it_has_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let first = workspace.create(guest(&workspace, 0, json!({ "code": "4826" }))).await;
        let second = workspace.create(guest(&workspace, 1, json!({}))).await;
        let another = guest(&workspace, 0, json!({ "code": "5937" }));
        delete(&workspace, &first).await;
        workspace.post(CREATE, another.clone()).await.invalid("code");
        delete(&workspace, &second).await;
        assert_eq!(workspace.create(another).await["code"], "5937");
        assert_eq!(
            workspace.create(guest(&workspace, 1, json!({}))).await["code"],
            "5937",
            "the group's PIN is the new one"
        );
    });
}

#[test]
fn common_code_key_can_be_reused_without_a_pin_when_its_codes_are_gone() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let first = workspace.create(guest(&workspace, 0, json!({}))).await;
        delete(&workspace, &first).await;
        let recreated = workspace.create(guest(&workspace, 0, json!({}))).await;
        assert_eq!(workspace.create(guest(&workspace, 1, json!({}))).await["code"], recreated["code"]);
    });
}

/// Returns the keys of the PIN groups in the database.
async fn groups(workspace: &TestWorkspace) -> Vec<String> {
    let workspace_id: uuid::Uuid = workspace.workspace_id.parse().unwrap();
    let statement = "select common_code_key from pin_group where workspace_id = $1";
    sqlx::query_scalar(statement).bind(workspace_id).fetch_all(app().pool.raw()).await.unwrap()
}

#[test]
fn pin_group_is_deleted_with_its_last_code() {
    run(async {
        for way in ["deleted", "ended", "changed", "unmanaged", "changed at the lock"] {
            let workspace = TestWorkspace::with_locks(2).await;
            let window = json!({ "starts_at": START, "ends_at": "2026-03-04T12:00:00Z", "code": "4826" });
            let mut window = guest(&workspace, 0, window);
            window["is_external_modification_allowed"] = json!(true);
            let code = workspace.create(window).await;
            let other = workspace.create(guest(&workspace, 1, json!({}))).await;
            workspace.advance("PT1S").await;
            delete(&workspace, &other).await;
            assert_eq!(groups(&workspace).await, ["guests"], "{way}: one code is left");
            let by_id = |mut further: Value| {
                further["access_code_id"] = code["access_code_id"].clone();
                further
            };
            match way {
                "deleted" => delete(&workspace, &code).await,
                "ended" => drop(workspace.advance("P3D").await),
                "changed" => drop(workspace.post("/access_codes/update", by_id(json!({ "code": "5937" }))).await.ok()),
                "unmanaged" => {
                    drop(workspace.post("/access_codes/update", by_id(json!({ "is_managed": false }))).await.ok());
                }
                _ => {
                    let change = on_lock(&workspace, 0, json!({ "code": "4826", "new_code": "5937" }));
                    workspace.post("/_emulator/locks/change_code", change).await.ok();
                }
            }
            assert_eq!(groups(&workspace).await, [""; 0], "{way}");
            // The key can be used again with another PIN.
            workspace.create(guest(&workspace, 1, json!({ "code": "6048" }))).await;
            assert_eq!(groups(&workspace).await, ["guests"], "{way}");
        }
    });
}

#[test]
fn failed_request_leaves_no_pin_group() {
    run(async {
        let locks = json!([{ "device_type": "august_lock" }, { "device_type": "nuki_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        workspace.post(CREATE, guest(&workspace, 1, json!({ "code": "4826" }))).await.invalid("code");
        assert_eq!(rows(&workspace).await, [0; 4]);
        assert_eq!(workspace.create(guest(&workspace, 0, json!({ "code": "5937" }))).await["code"], "5937");
    });
}

#[test]
fn common_code_key_of_create_multiple_can_be_used_by_create() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let device_ids = &workspace.locks()[..2];
        let created = workspace.post("/access_codes/create_multiple", json!({ "device_ids": device_ids })).await.ok();
        let key = &created["access_codes"][0]["common_code_key"];
        let joined = workspace.create(on_lock(&workspace, 2, json!({ "common_code_key": key }))).await;
        assert_eq!(joined["code"], created["access_codes"][0]["code"]);
        let empty = on_lock(&workspace, 2, json!({ "common_code_key": "" }));
        assert!(!workspace.post(CREATE, empty).await.invalid("common_code_key").is_empty());
    });
}
