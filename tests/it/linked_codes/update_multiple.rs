//! `/access_codes/update_multiple`: all codes of a key are renamed and moved together, or none of them.

use crate::access_codes::{on, rows};
use crate::lifecycle::{delete, seen, seen_of};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

const UPDATE_MULTIPLE: &str = "/access_codes/update_multiple";

async fn locks_of(device_types: &[&str]) -> TestWorkspace {
    let locks: Vec<Value> = device_types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
    TestWorkspace::with(json!(locks)).await
}

/// One code for each lock, linked by a key that is set for them.
async fn group(workspace: &TestWorkspace, starts_at: &str, ends_at: &str) -> Vec<Value> {
    let params =
        json!({ "device_ids": workspace.locks(), "name": "guest", "starts_at": starts_at, "ends_at": ends_at });
    let made = workspace.post("/access_codes/create_multiple", params).await.ok();
    made["access_codes"].as_array().unwrap().clone()
}

/// These codes as they are now.
async fn now(workspace: &TestWorkspace, codes: &[Value]) -> Vec<Value> {
    let mut all = Vec::with_capacity(codes.len());
    for code in codes {
        all.push(workspace.access_code(&code["access_code_id"]).await);
    }
    all
}

fn keyed(key: &Value, mut change: Value) -> Value {
    change["common_code_key"] = key.clone();
    change
}

#[test]
fn name_and_times_move_for_every_code_of_the_key_and_the_pin_stays() {
    run(async {
        let workspace = locks_of(&["smartthings_lock", "wyze_lock", "wyze_lock"]).await;
        // The last one is not put on its lock.
        let offline = json!({ "device_id": workspace.lock(2), "online": false });
        workspace.post("/_emulator/devices/update", offline).await.ok();
        let codes = group(&workspace, "2026-03-02T11:00:00Z", "2026-03-04T11:00:00Z").await;
        let outsider = workspace.create(on(&workspace, 1, json!({ "name": "guest" }))).await;
        workspace.advance("PT1S").await;
        let (codes, outsider) = (now(&workspace, &codes).await, now(&workspace, &[outsider]).await);
        assert_eq!(codes.iter().map(seen).collect::<Vec<_>>(), ["set", "set scheduled", "setting creating"]);
        let [made, happened, attempts, groups] = rows(&workspace).await;
        let change = json!({
            "name": "cleaner", "starts_at": "2026-03-03T12:00:00.000Z", "ends_at": "2026-03-05T12:00:00.000Z",
        });
        let key = &codes[0]["common_code_key"];
        let answer = workspace.post(UPDATE_MULTIPLE, keyed(key, change.clone())).await.ok();
        assert_eq!(answer, json!({ "ok": true }));
        let shown = now(&workspace, &codes).await;
        let expected = [
            "set updating_name updating_time_frame",
            "set updating_name updating_time_frame scheduled",
            "unset creating",
        ];
        assert_eq!(shown.iter().map(seen).collect::<Vec<_>>(), expected);
        for (shown, code) in shown.iter().zip(&codes) {
            for (name, value) in change.as_object().unwrap() {
                assert_eq!(shown[name], *value);
            }
            assert_eq!((&shown["code"], &shown["common_code_key"]), (&code["code"], key));
        }
        // Each asks for two changes; the last one has nothing to wait for.
        assert_eq!(rows(&workspace).await, [made, happened + 4, attempts, groups]);
        workspace.advance("PT0.25S").await;
        let shown = now(&workspace, &codes).await;
        let expected = ["unset deferring_creation", "unset scheduled", "unset creating"];
        assert_eq!(shown.iter().map(seen).collect::<Vec<_>>(), expected);
        assert_eq!(now(&workspace, &outsider).await, outsider);
    });
}

#[test]
fn a_group_of_a_key_of_ones_own_is_moved_by_that_key() {
    run(async {
        let workspace = locks_of(&["wyze_lock", "wyze_lock"]).await;
        let key = json!("guests");
        let mut codes = Vec::new();
        for index in 0..2 {
            codes.push(workspace.create(on(&workspace, index, json!({ "common_code_key": key, "sync": true }))).await);
        }
        workspace.post(UPDATE_MULTIPLE, keyed(&key, json!({ "name": "cleaner" }))).await.ok();
        for code in now(&workspace, &codes).await {
            assert_eq!((seen(&code), &code["name"]), ("set updating_name".to_owned(), &json!("cleaner")));
        }
        // Of one time alone nothing can be made for codes without any.
        let before = rows(&workspace).await;
        let one = keyed(&key, json!({ "ends_at": "2026-03-05T12:00:00Z" }));
        workspace.post(UPDATE_MULTIPLE, one).await.error(400, "invalid_input");
        assert_eq!(rows(&workspace).await, before);
        let both = json!({ "starts_at": "2026-03-02T12:00:00Z", "ends_at": "2026-03-05T12:00:00Z" });
        workspace.post(UPDATE_MULTIPLE, keyed(&key, both)).await.ok();
        for code in now(&workspace, &codes).await {
            assert_eq!(
                (seen(&code).as_str(), &code["type"]),
                ("set updating_name updating_time_frame", &json!("time_bound"))
            );
        }
    });
}

#[test]
fn one_lock_that_cannot_take_the_change_keeps_the_whole_group_as_it_was() {
    run(async {
        // Whichever of them is asked first.
        for (types, clashing) in [(["wyze_lock", "kwikset_lock"], 0), (["kwikset_lock", "wyze_lock"], 1)] {
            let locks: Value = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
            let settings = json!({
                "locks": locks, "allow_same_code_in_disjoint_windows": true, "refuse_begun_windows": true,
            });
            let workspace = TestWorkspace::make(settings).await;
            let codes = group(&workspace, "2026-03-10T12:00:00Z", "2026-03-12T12:00:00Z").await;
            let key = &codes[0]["common_code_key"];
            let stranger = json!({
                "code": codes[0]["code"], "starts_at": "2026-03-19T12:00:00Z", "ends_at": "2026-03-20T12:00:00Z",
            });
            workspace.create(on(&workspace, clashing, stranger)).await;
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
fn a_key_that_nobody_has_is_not_found_and_a_change_of_nothing_is_fine() {
    run(async {
        let params = json!({ "locks": [{ "device_type": "wyze_lock" }], "keep_expired_access_codes": true });
        let keeping = TestWorkspace::make(params).await;
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
        assert_eq!(seen_of(&workspace, &codes[1]["access_code_id"]).await, "gone");
        not_found(&workspace, &key).await;

        let ended = group(&keeping, "2026-03-02T11:00:00Z", "2026-03-04T11:00:00Z").await;
        keeping.advance("P3D").await;
        assert_eq!(seen(&now(&keeping, &ended).await[0]), "unset");
        not_found(&keeping, &ended[0]["common_code_key"]).await;
    });
}

#[test]
fn changing_the_pin_of_one_linked_code_takes_it_out_of_the_group() {
    run(async {
        let workspace = locks_of(&["wyze_lock", "wyze_lock", "wyze_lock"]).await;
        let key = json!("guests");
        let linked = |index| on(&workspace, index, json!({ "common_code_key": key, "code": "4826", "sync": true }));
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
        let joining = workspace.create(on(&workspace, 2, json!({ "common_code_key": key }))).await;
        assert_eq!(joining["code"], "4826");
    });
}
