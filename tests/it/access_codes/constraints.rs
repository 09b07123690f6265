//! `/access_codes/report_device_constraints`: the lengths of PINs for locks that do not report them themselves.

use super::{on_lock, pin};
use crate::lifecycle::{error_codes, summary};
use crate::support::{TestWorkspace, UNKNOWN, app, run};
use serde_json::{Value, json};

const REPORT: &str = "/access_codes/report_device_constraints";
const CREATE: &str = "/access_codes/create";

async fn lengths(workspace: &TestWorkspace) -> Value {
    let device = workspace.post("/devices/get", json!({ "device_id": workspace.lock(0) })).await.ok();
    device["device"]["properties"]["supported_code_lengths"].clone()
}

#[test]
fn reported_lengths_apply_to_new_codes_of_the_lock() {
    run(async {
        let locks = json!([{ "device_type": "smartthings_lock" }, { "device_type": "smartthings_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        assert_eq!(lengths(&workspace).await, Value::Null);
        let earlier = workspace.create(on_lock(&workspace, 0, json!({ "code": "1357", "sync": true }))).await;
        let list = json!({ "supported_code_lengths": [8, 6, 8] });
        assert_eq!(workspace.post(REPORT, on_lock(&workspace, 0, list)).await.ok(), json!({ "ok": true }));
        assert_eq!(lengths(&workspace).await, json!([6, 8]));
        for code in ["2468", "24680", "2468013", "246801357"] {
            let messages =
                workspace.post(CREATE, on_lock(&workspace, 0, json!({ "code": code }))).await.invalid("code");
            assert!(messages[0].contains("6, 8 digits"), "{messages:?}");
        }
        assert_eq!(workspace.create(on_lock(&workspace, 0, json!({ "code": "24680135" }))).await["code"], "24680135");
        assert_eq!(pin(&workspace.create(on_lock(&workspace, 0, json!({}))).await).len(), 6);
        let preferred = on_lock(&workspace, 0, json!({ "preferred_code_length": 8 }));
        assert_eq!(pin(&workspace.create(preferred).await).len(), 8);
        let generated = workspace.post("/access_codes/generate_code", on_lock(&workspace, 0, json!({}))).await.ok();
        assert_eq!(pin(&generated["generated_code"]).len(), 6);
        // The report affects neither the other lock nor the code that is already on this one.
        assert_eq!(workspace.create(on_lock(&workspace, 1, json!({ "code": "2468" }))).await["code"], "2468");
        workspace.advance("P1D").await;
        assert_eq!(workspace.access_code(&earlier["access_code_id"]).await, earlier);
        let range = json!({ "min_code_length": 5, "max_code_length": 7 });
        workspace.post(REPORT, on_lock(&workspace, 0, range)).await.ok();
        assert_eq!(lengths(&workspace).await, json!([5, 6, 7]));
        assert_eq!(pin(&workspace.create(on_lock(&workspace, 0, json!({}))).await).len(), 5);
        workspace
            .post(REPORT, on_lock(&workspace, 0, json!({ "min_code_length": 4, "max_code_length": 4 })))
            .await
            .ok();
        assert_eq!(lengths(&workspace).await, json!([4]));
    });
}

#[test]
fn report_takes_either_a_list_of_lengths_or_a_minimum_and_a_maximum() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "smartthings_lock" }])).await;
        for params in [
            json!({}),
            json!({ "min_code_length": 4 }),
            json!({ "max_code_length": 6 }),
            json!({ "supported_code_lengths": [4], "min_code_length": 4, "max_code_length": 6 }),
            json!({ "supported_code_lengths": [4], "min_code_length": 4 }),
        ] {
            let error = workspace.post(REPORT, on_lock(&workspace, 0, params)).await.error(400, "invalid_input");
            assert!(error["message"].as_str().unwrap().contains("either supported_code_lengths"), "{error}");
        }
        for (params, parameter) in [
            (json!({ "min_code_length": 6, "max_code_length": 5 }), "max_code_length"),
            (json!({ "min_code_length": 3, "max_code_length": 5 }), "min_code_length"),
            (json!({ "min_code_length": 4, "max_code_length": 21 }), "max_code_length"),
            (json!({ "min_code_length": 4.5, "max_code_length": 5 }), "min_code_length"),
            (json!({ "supported_code_lengths": [] }), "supported_code_lengths"),
            (json!({ "supported_code_lengths": [3] }), "supported_code_lengths"),
            (json!({ "supported_code_lengths": [21] }), "supported_code_lengths"),
            (json!({ "supported_code_lengths": [15] }), "supported_code_lengths"),
            (json!({ "supported_code_lengths": [13, 20] }), "supported_code_lengths"),
            (json!({ "min_code_length": 13, "max_code_length": 20 }), "min_code_length"),
        ] {
            let error = workspace.post(REPORT, on_lock(&workspace, 0, params)).await.error(400, "invalid_input");
            assert!(error["validation_errors"].get(parameter).is_some(), "{error}");
        }
        assert_eq!(lengths(&workspace).await, Value::Null);
        // A length that no PIN can have is ignored if the list also has a valid one.
        workspace.post(REPORT, on_lock(&workspace, 0, json!({ "supported_code_lengths": [15, 6] }))).await.ok();
        assert_eq!(pin(&workspace.create(on_lock(&workspace, 0, json!({}))).await).len(), 6);
    });
}

#[test]
fn control_plane_rejects_lengths_that_no_pin_can_have() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for unusable in [json!([15]), json!([])] {
            for change in [
                json!({ "supported_code_lengths": unusable }),
                json!({ "properties": { "supported_code_lengths": unusable } }),
            ] {
                let mut lock = change.clone();
                lock["device_type"] = json!("august_lock");
                workspace.post("/_emulator/devices/create", lock.clone()).await.error(400, "invalid_input");
                workspace
                    .post("/_emulator/devices/update", on_lock(&workspace, 0, change))
                    .await
                    .error(400, "invalid_input");
                let params = json!({ "locks": [lock] });
                workspace.post("/_emulator/workspaces/create", params).await.error(400, "invalid_input");
            }
        }
        // An older version may have stored such a list. It counts as no list.
        let statement = r#"update device set overrides = '{"supported_code_lengths": [15]}' where device_id = $1"#;
        let device_id: uuid::Uuid = workspace.lock(0).parse().unwrap();
        sqlx::query(statement).bind(device_id).execute(app().pool.raw()).await.unwrap();
        assert_eq!(lengths(&workspace).await, Value::Null);
        assert_eq!(pin(&workspace.create(on_lock(&workspace, 0, json!({}))).await).len(), 4);
    });
}

#[test]
fn report_is_rejected_for_locks_that_report_lengths_themselves() {
    run(async {
        let report = json!({ "supported_code_lengths": [5] });
        for device_type in ["august_lock", "schlage_lock", "ttlock_lock", "dormakaba_oracode_door"] {
            let workspace = TestWorkspace::with(json!([{ "device_type": device_type }])).await;
            let before = lengths(&workspace).await;
            let error = workspace
                .post(REPORT, on_lock(&workspace, 0, report.clone()))
                .await
                .error(400, "device_type_not_supported");
            assert!(error["message"].as_str().unwrap().contains(device_type), "{error}");
            assert_eq!(lengths(&workspace).await, before);
        }
        let workspace = TestWorkspace::with(json!([{ "device_type": "smartthings_lock" }])).await;
        let mut unknown = report.clone();
        unknown["device_id"] = json!(UNKNOWN);
        workspace.post(REPORT, unknown).await.error(404, "device_not_found");
        let other = TestWorkspace::with_locks(1).await;
        other.post(REPORT, on_lock(&workspace, 0, report)).await.error(404, "device_not_found");
        assert_eq!(lengths(&workspace).await, Value::Null);
    });
}

#[test]
fn code_that_violates_reported_lengths_fails_until_its_pin_is_changed() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "smartthings_lock" }])).await;
        let window = json!({ "starts_at": "2026-03-03T12:00:00Z", "ends_at": "2026-03-09T12:00:00Z", "code": "1357" });
        let code = workspace.create(on_lock(&workspace, 0, window)).await;
        let id = &code["access_code_id"];
        workspace.post(REPORT, on_lock(&workspace, 0, json!({ "supported_code_lengths": [6] }))).await.ok();
        assert_eq!(workspace.access_code(id).await, code, "no error before the code is programmed");
        workspace.advance_to("2026-03-03T11:00:00.250Z").await;
        let failed = workspace.access_code(id).await;
        assert_eq!(
            (summary(&failed).as_str(), error_codes(&failed)),
            ("setting creating", vec!["code_constraints_violated"])
        );
        let events = workspace.events_of(id).await.len();
        workspace.post(REPORT, on_lock(&workspace, 0, json!({ "supported_code_lengths": [4, 6] }))).await.ok();
        workspace.advance("P1D").await;
        assert_eq!(workspace.access_code(id).await, failed, "not retried");
        assert_eq!(workspace.events_of(id).await.len(), events);
        workspace.post("/access_codes/update", json!({ "access_code_id": id, "code": "2468" })).await.ok();
        workspace.advance("PT0.25S").await;
        let set = workspace.access_code(id).await;
        assert_eq!((summary(&set).as_str(), &set["errors"], &set["code"]), ("set", &json!([]), &json!("2468")));
    });
}
