//! `common_code_key`: codes of one key have one PIN.

use crate::access_codes::{on, pin, rows};
use crate::support::{START, TestWorkspace, app, run};
use serde_json::{Value, json};

const CREATE: &str = "/access_codes/create";

/// A wish for the lock at this place, in the group `guests`.
fn guest(workspace: &TestWorkspace, index: usize, mut further: Value) -> Value {
    further["common_code_key"] = json!("guests");
    on(workspace, index, further)
}

async fn delete(workspace: &TestWorkspace, code: &Value) {
    workspace
        .post("/access_codes/delete", json!({ "access_code_id": code["access_code_id"], "sync": true }))
        .await
        .ok();
}

#[test]
fn the_second_code_of_a_key_takes_the_pin_of_the_first() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let first = workspace.create(guest(&workspace, 0, json!({ "preferred_code_length": 6 }))).await;
        assert_eq!((&first["common_code_key"], pin(&first).len()), (&json!("guests"), 6));
        let second = workspace.create(guest(&workspace, 1, json!({ "preferred_code_length": 8 }))).await;
        assert_eq!((&second["code"], &second["common_code_key"]), (&first["code"], &json!("guests")));
        let the_same = guest(&workspace, 2, json!({ "code": pin(&first) }));
        assert_eq!(workspace.create(the_same).await["code"], first["code"]);
        let stranger = on(&workspace, 1, json!({ "common_code_key": "staff" }));
        assert_ne!(workspace.create(stranger).await["code"], first["code"], "another key is another group");
    });
}

#[test]
fn a_key_is_a_group_in_its_own_workspace_only() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        workspace.create(guest(&workspace, 0, json!({ "code": "4826" }))).await;
        assert_eq!(other.create(guest(&other, 0, json!({ "code": "5937" }))).await["code"], "5937");
    });
}

#[test]
fn a_code_that_differs_from_the_groups_is_refused() {
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
fn a_lock_that_cannot_hold_the_groups_pin_is_refused_whatever_the_reason() {
    run(async {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "nuki_lock" },
            { "device_type": "salto_lock" },
            { "device_type": "august_lock" },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        workspace.create(guest(&workspace, 0, json!({ "code": "4826" }))).await;
        workspace.create(on(&workspace, 3, json!({ "code": "4826" }))).await;
        let before = rows(&workspace).await;
        for cannot in [1, 2] {
            workspace.post(CREATE, guest(&workspace, cannot, json!({}))).await.invalid("common_code_key");
        }
        workspace.post(CREATE, guest(&workspace, 3, json!({}))).await.error(409, "duplicate_access_code");
        workspace.post(CREATE, guest(&workspace, 0, json!({}))).await.error(409, "duplicate_access_code");
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn a_second_stay_of_a_group_on_one_lock_is_refused_unless_a_setting_allows_it() {
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
        let on = json!({ "allow_same_code_in_disjoint_windows": true });
        workspace.post("/_emulator/workspaces/update", on).await.ok();
        assert_eq!(workspace.create(window(20)).await["code"], first["code"]);
        workspace.post(CREATE, window(11)).await.error(409, "duplicate_access_code");
        workspace.post(CREATE, window(10)).await.error(409, "duplicate_access_code");
    });
}

#[test]
fn a_group_keeps_its_pin_while_anybody_is_in_it_and_may_begin_anew_afterwards() {
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
fn a_key_whose_codes_are_all_gone_can_be_used_again_without_naming_a_pin() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let first = workspace.create(guest(&workspace, 0, json!({}))).await;
        delete(&workspace, &first).await;
        let anew = workspace.create(guest(&workspace, 0, json!({}))).await;
        assert_eq!(workspace.create(guest(&workspace, 1, json!({}))).await["code"], anew["code"]);
    });
}

/// The keys of the groups that the database has.
async fn groups(workspace: &TestWorkspace) -> Vec<String> {
    let workspace_id: uuid::Uuid = workspace.workspace_id.parse().unwrap();
    let all = "select common_code_key from pin_group where workspace_id = $1";
    sqlx::query_scalar(all).bind(workspace_id).fetch_all(app().pool.raw()).await.unwrap()
}

#[test]
fn a_group_goes_with_its_last_code_however_that_goes() {
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
                    let change = on(&workspace, 0, json!({ "code": "4826", "new_code": "5937" }));
                    workspace.post("/_emulator/locks/change_code", change).await.ok();
                }
            }
            assert_eq!(groups(&workspace).await, [""; 0], "{way}");
            // The key begins anew.
            workspace.create(guest(&workspace, 1, json!({ "code": "6048" }))).await;
            assert_eq!(groups(&workspace).await, ["guests"], "{way}");
        }
    });
}

#[test]
fn a_request_that_fails_leaves_no_group_behind() {
    run(async {
        let locks = json!([{ "device_type": "august_lock" }, { "device_type": "nuki_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        workspace.post(CREATE, guest(&workspace, 1, json!({ "code": "4826" }))).await.invalid("code");
        assert_eq!(rows(&workspace).await, [0; 4]);
        assert_eq!(workspace.create(guest(&workspace, 0, json!({ "code": "5937" }))).await["code"], "5937");
    });
}

#[test]
fn a_code_can_join_the_group_that_create_multiple_made() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let two = &workspace.locks()[..2];
        let made = workspace.post("/access_codes/create_multiple", json!({ "device_ids": two })).await.ok();
        let key = &made["access_codes"][0]["common_code_key"];
        let joined = workspace.create(on(&workspace, 2, json!({ "common_code_key": key }))).await;
        assert_eq!(joined["code"], made["access_codes"][0]["code"]);
        let empty = on(&workspace, 2, json!({ "common_code_key": "" }));
        assert!(!workspace.post(CREATE, empty).await.invalid("common_code_key").is_empty());
    });
}
