//! `/access_codes/update_multiple`: changes name and time frame of all codes with a key, or of none.

use crate::access_codes::{on_lock, rows};
use crate::lifecycle::{delete, summary, summary_of};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

const UPDATE_MULTIPLE: &str = "/access_codes/update_multiple";

async fn locks_of(device_types: &[&str]) -> TestWorkspace {
    let locks: Vec<Value> = device_types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
    TestWorkspace::with(json!(locks)).await
}

/// Creates one code per lock, linked by a generated `common_code_key`.
async fn group(workspace: &TestWorkspace, starts_at: &str, ends_at: &str) -> Vec<Value> {
    let params =
        json!({ "device_ids": workspace.locks(), "name": "guest", "starts_at": starts_at, "ends_at": ends_at });
    let created = workspace.post("/access_codes/create_multiple", params).await.ok();
    created["access_codes"].as_array().unwrap().clone()
}

/// Returns the current state of these codes.
async fn now(workspace: &TestWorkspace, codes: &[Value]) -> Vec<Value> {
    let mut current = Vec::with_capacity(codes.len());
    for code in codes {
        current.push(workspace.access_code(&code["access_code_id"]).await);
    }
    current
}

fn keyed(key: &Value, mut change: Value) -> Value {
    change["common_code_key"] = key.clone();
    change
}

#[test]
fn update_multiple_changes_name_and_times_of_every_linked_code() {
    run(async {
        let workspace = locks_of(&["smartthings_lock", "wyze_lock", "wyze_lock"]).await;
        // The last code is not programmed because its lock is offline.
        let offline = json!({ "device_id": workspace.lock(2), "online": false });
        workspace.post("/_emulator/devices/update", offline).await.ok();
        let codes = group(&workspace, "2026-03-02T11:00:00Z", "2026-03-04T11:00:00Z").await;
        let outsider = workspace.create(on_lock(&workspace, 1, json!({ "name": "guest" }))).await;
        workspace.advance("PT1S").await;
        let (codes, outsider) = (now(&workspace, &codes).await, now(&workspace, &[outsider]).await);
        assert_eq!(codes.iter().map(summary).collect::<Vec<_>>(), ["set", "set scheduled", "setting creating"]);
        let [code_rows, events, attempts, groups] = rows(&workspace).await;
        let change = json!({
            "name": "cleaner", "starts_at": "2026-03-03T12:00:00.000Z", "ends_at": "2026-03-05T12:00:00.000Z",
        });
        let key = &codes[0]["common_code_key"];
        let response = workspace.post(UPDATE_MULTIPLE, keyed(key, change.clone())).await.ok();
        assert_eq!(response, json!({ "ok": true }));
        let shown = now(&workspace, &codes).await;
        let expected = [
            "set updating_name updating_time_frame",
            "set updating_name updating_time_frame scheduled",
            "unset creating",
        ];
        assert_eq!(shown.iter().map(summary).collect::<Vec<_>>(), expected);
        for (shown, code) in shown.iter().zip(&codes) {
            for (name, value) in change.as_object().unwrap() {
                assert_eq!(shown[name], *value);
            }
            assert_eq!((&shown["code"], &shown["common_code_key"]), (&code["code"], key));
        }
        // One event per code for the request, and a second one for the last code, which is changed without its lock.
        assert_eq!(rows(&workspace).await, [code_rows, events + 4, attempts, groups]);
        workspace.advance("PT0.25S").await;
        let shown = now(&workspace, &codes).await;
        let expected = ["unset deferring_creation", "unset scheduled", "unset creating"];
        assert_eq!(shown.iter().map(summary).collect::<Vec<_>>(), expected);
        assert_eq!(now(&workspace, &outsider).await, outsider);
    });
}

#[test]
fn update_multiple_works_with_a_custom_common_code_key() {
    run(async {
        let workspace = locks_of(&["wyze_lock", "wyze_lock"]).await;
        let key = json!("guests");
        let mut codes = Vec::new();
        for index in 0..2 {
            codes.push(
                workspace.create(on_lock(&workspace, index, json!({ "common_code_key": key, "sync": true }))).await,
            );
        }
        workspace.post(UPDATE_MULTIPLE, keyed(&key, json!({ "name": "cleaner" }))).await.ok();
        for code in now(&workspace, &codes).await {
            assert_eq!((summary(&code), &code["name"]), ("set updating_name".to_owned(), &json!("cleaner")));
        }
        // For ongoing codes a single time is not enough.
        let before = rows(&workspace).await;
        let end_only = keyed(&key, json!({ "ends_at": "2026-03-05T12:00:00Z" }));
        workspace.post(UPDATE_MULTIPLE, end_only).await.error(400, "invalid_input");
        assert_eq!(rows(&workspace).await, before);
        let window = json!({ "starts_at": "2026-03-02T12:00:00Z", "ends_at": "2026-03-05T12:00:00Z" });
        workspace.post(UPDATE_MULTIPLE, keyed(&key, window)).await.ok();
        for code in now(&workspace, &codes).await {
            assert_eq!(
                (summary(&code).as_str(), &code["type"]),
                ("set updating_name updating_time_frame", &json!("time_bound"))
            );
        }
    });
}

#[test]
fn update_multiple_changes_nothing_if_one_lock_rejects_the_change() {
    run(async {
        // The order of the locks makes no difference.
        for (types, clashing) in [(["wyze_lock", "kwikset_lock"], 0), (["kwikset_lock", "wyze_lock"], 1)] {
            let locks: Value = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
            let settings = json!({
                "locks": locks, "allow_same_code_in_disjoint_windows": true, "refuse_begun_windows": true,
            });
            let workspace = TestWorkspace::create_with(settings).await;
            let codes = group(&workspace, "2026-03-10T12:00:00Z", "2026-03-12T12:00:00Z").await;
            let key = &codes[0]["common_code_key"];
            let other = json!({
                "code": codes[0]["code"], "starts_at": "2026-03-19T12:00:00Z", "ends_at": "2026-03-20T12:00:00Z",
            });
            workspace.create(on_lock(&workspace, clashing, other)).await;
            let before = rows(&workspace).await;
            let past = json!({ "name": "cleaner", "starts_at": "2026-03-02T11:00:00Z" });
            let messages = workspace.post(UPDATE_MULTIPLE, keyed(key, past)).await.invalid("starts_at");
            assert!(messages[0].contains("start time must be"), "{messages:?}");
            let longer = keyed(key, json!({ "name": "cleaner", "ends_at": "2026-03-17T12:00:00Z" }));
            workspace.post(UPDATE_MULTIPLE, longer).await.error(409, "duplicate_access_code");
            for time in ["2026-03-10T11:00:00Z", "soon"] {
                let bad = keyed(key, json!({ "name": "cleaner", "ends_at": time }));
                workspace.post(UPDATE_MULTIPLE, bad).await.error(400, "invalid_input");
            }
            assert_eq!((rows(&workspace).await, now(&workspace, &codes).await), (before, codes.clone()));
            let fine = keyed(key, json!({ "ends_at": "2026-03-14T12:00:00Z" }));
            workspace.post(UPDATE_MULTIPLE, fine).await.ok();
        }
    });
}

#[test]
fn update_multiple_rejects_unknown_keys_and_accepts_empty_changes() {
    run(async {
        let params = json!({ "locks": [{ "device_type": "wyze_lock" }], "keep_expired_access_codes": true });
        let keeping = TestWorkspace::create_with(params).await;
        let (workspace, other) = (locks_of(&["wyze_lock", "wyze_lock"]).await, locks_of(&["wyze_lock"]).await);
        let codes = group(&workspace, "2026-03-02T11:00:00.000Z", "2026-03-04T11:00:00.000Z").await;
        let key = codes[0]["common_code_key"].clone();
        let not_found = async |workspace: &TestWorkspace, key: &Value| {
            let before = rows(workspace).await;
            let params = keyed(key, json!({ "name": "cleaner" }));
            workspace.post(UPDATE_MULTIPLE, params).await.error(404, "access_code_not_found");
            assert_eq!(rows(workspace).await, before);
        };
        not_found(&workspace, &json!("nobody")).await;
        not_found(&other, &key).await;
        workspace.post(UPDATE_MULTIPLE, keyed(&json!(""), json!({}))).await.invalid("common_code_key");
        let custom = json!({ "device_ids": workspace.locks(), "code": "4826" });
        let custom = workspace.post("/access_codes/create_multiple", custom).await.ok();
        for code in custom["access_codes"].as_array().unwrap() {
            assert_eq!(code["common_code_key"], Value::Null);
        }

        workspace.advance("PT1S").await;
        let (before, codes) = (rows(&workspace).await, now(&workspace, &codes).await);
        let same = json!({ "name": "guest", "ends_at": "2026-03-04T13:00:00+02:00" });
        for change in [json!({}), same] {
            assert_eq!(workspace.post(UPDATE_MULTIPLE, keyed(&key, change)).await.ok(), json!({ "ok": true }));
        }
        assert_eq!((rows(&workspace).await, now(&workspace, &codes).await), (before, codes.clone()));

        delete(&workspace, &codes[0]["access_code_id"]).await;
        workspace.post(UPDATE_MULTIPLE, keyed(&key, json!({ "name": "cleaner" }))).await.ok();
        let shown = now(&workspace, &codes).await;
        assert_eq!((&shown[0]["name"], &shown[1]["name"]), (&json!("guest"), &json!("cleaner")));
        delete(&workspace, &codes[1]["access_code_id"]).await;
        not_found(&workspace, &key).await;
        workspace.advance("PT1S").await;
        assert_eq!(summary_of(&workspace, &codes[1]["access_code_id"]).await, "gone");
        not_found(&workspace, &key).await;

        let ended = group(&keeping, "2026-03-02T11:00:00Z", "2026-03-04T11:00:00Z").await;
        keeping.advance("P3D").await;
        assert_eq!(summary(&now(&keeping, &ended).await[0]), "unset");
        not_found(&keeping, &ended[0]["common_code_key"]).await;
    });
}

#[test]
fn pin_change_of_a_linked_code_removes_it_from_the_group() {
    run(async {
        let workspace = locks_of(&["wyze_lock", "wyze_lock", "wyze_lock"]).await;
        let key = json!("guests");
        let linked =
            |index| on_lock(&workspace, index, json!({ "common_code_key": key, "code": "4826", "sync": true }));
        let (leaving, staying) = (workspace.create(linked(0)).await, workspace.create(linked(1)).await);
        let update = async |change: Value| {
            let mut params = change;
            params["access_code_id"] = leaving["access_code_id"].clone();
            workspace.post("/access_codes/update", params).await.ok();
            workspace.access_code(&leaving["access_code_id"]).await
        };
        assert_eq!(update(json!({ "name": "guest", "code": "4826", "sync": true })).await["common_code_key"], key);
        let left = update(json!({ "code": "5937" })).await;
        assert_eq!((&left["code"], &left["common_code_key"]), (&json!("5937"), &Value::Null));
        let stayed = workspace.access_code(&staying["access_code_id"]).await;
        assert_eq!((&stayed["code"], &stayed["common_code_key"]), (&json!("4826"), &key));
        workspace.post(UPDATE_MULTIPLE, keyed(&key, json!({ "name": "cleaner" }))).await.ok();
        let shown = now(&workspace, &[leaving.clone(), staying.clone()]).await;
        assert_eq!((&shown[0]["name"], &shown[1]["name"]), (&json!("guest"), &json!("cleaner")));
        let joining = workspace.create(on_lock(&workspace, 2, json!({ "common_code_key": key }))).await;
        assert_eq!(joining["code"], "4826");
    });
}
