//! Locks whose provider chooses the PIN of a code and reports it later.

use crate::access_codes::{on_lock, pin, rows};
use crate::lifecycle::{check_timeline, events, summary};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

/// Returns the PIN of a code, and whether its assignment is still pending.
async fn pin_of(workspace: &TestWorkspace, access_code_id: &Value) -> (Value, Value) {
    let code = workspace.access_code(access_code_id).await;
    (code["code"].clone(), code["is_waiting_for_code_assignment"].clone())
}

#[test]
fn pin_assigned_by_the_provider_arrives_later_with_a_changed_event() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "salto_lock" }])).await;
        workspace
            .post("/access_codes/create", on_lock(&workspace, 0, json!({ "code": "135792" })))
            .await
            .invalid("code");
        assert_eq!(rows(&workspace).await, [0; 4]);
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        assert_eq!((&code["code"], &code["is_waiting_for_code_assignment"]), (&Value::Null, &json!(true)));
        assert_eq!(summary(&code), "setting creating");
        let id = &code["access_code_id"];
        check_timeline(&workspace, id, &[("2026-03-02T12:00:00.249Z", "setting creating")]).await;
        assert_eq!(pin_of(&workspace, id).await, (Value::Null, json!(true)));
        check_timeline(&workspace, id, &[("2026-03-02T12:00:00.250Z", "set")]).await;
        let assigned = workspace.access_code(id).await;
        assert_eq!(assigned["is_waiting_for_code_assignment"], false);
        assert!((6..=10).contains(&pin(&assigned).len()), "{assigned}");
        assert_eq!(
            events(&workspace, id).await,
            [
                "created@2026-03-02T12:00:00.000Z",
                "changed@2026-03-02T12:00:00.250Z",
                "set_on_device@2026-03-02T12:00:00.250Z",
            ]
        );
        let changed =
            json!({ "access_code_id": id, "event_type": "access_code.changed", "since": "2000-01-01T00:00:00Z" });
        let changed = workspace.post("/events/list", changed).await.ok()["events"][0].clone();
        assert_eq!(
            changed["changed_properties"],
            json!([{ "property": "code", "from": null, "to": assigned["code"] }])
        );
        // The code is now found by its PIN, and the lock holds it.
        let by_pin = json!({ "device_id": workspace.lock(0), "code": assigned["code"] });
        let found = workspace.post("/access_codes/get", by_pin).await.ok();
        assert_eq!(found["access_code"]["access_code_id"], *id);
        assert_eq!(workspace.memory(0).await[0]["code"], assigned["code"]);
        // With `sync`, the response contains the assigned PIN.
        let synced = workspace.create(on_lock(&workspace, 0, json!({ "sync": true }))).await;
        assert_eq!((summary(&synced).as_str(), &synced["is_waiting_for_code_assignment"]), ("set", &json!(false)));
        assert_ne!(pin(&synced), pin(&assigned));
    });
}

#[test]
fn pin_is_assigned_even_if_the_lock_is_offline_or_the_code_deferred() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "salto_lock" }, { "device_type": "salto_lock" }])).await;
        workspace.change_lock(0, json!({ "online": false })).await;
        let window = json!({ "starts_at": "2026-04-01T12:00:00Z", "ends_at": "2026-04-02T12:00:00Z" });
        let offline = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        let deferred = workspace.create(on_lock(&workspace, 1, window)).await;
        for (code, expected) in [(offline, "setting creating"), (deferred, "unset deferring_creation")] {
            let id = &code["access_code_id"];
            assert_eq!((summary(&code).as_str(), &code["code"]), (expected, &Value::Null));
            let now = workspace.get("/_emulator/clock").await.ok()["now"].clone();
            if now == "2026-03-02T12:00:00.000Z" {
                workspace.advance("PT0.249S").await;
                assert_eq!(pin_of(&workspace, id).await, (Value::Null, json!(true)));
                workspace.advance("PT0.001S").await;
            }
            let code = workspace.access_code(id).await;
            assert_eq!((summary(&code).as_str(), &code["is_waiting_for_code_assignment"]), (expected, &json!(false)));
            assert!((6..=10).contains(&pin(&code).len()), "{code}");
            let events_of_code = events(&workspace, id).await;
            assert_eq!(events_of_code, ["created@2026-03-02T12:00:00.000Z", "changed@2026-03-02T12:00:00.250Z"]);
        }
        assert_eq!(workspace.memory(0).await.len() + workspace.memory(1).await.len(), 0);
    });
}

#[test]
fn salto_accepts_a_pin_only_with_the_custom_pin_subscription() {
    run(async {
        let metadata = json!({ "salto_ks_metadata": { "has_custom_pin_subscription": true } });
        let workspace = TestWorkspace::with(json!([{ "device_type": "salto_lock", "properties": metadata }])).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({ "code": "135792" }))).await;
        assert_eq!((&code["code"], &code["is_waiting_for_code_assignment"]), (&json!("135792"), &json!(false)));
        workspace
            .post("/access_codes/create", on_lock(&workspace, 0, json!({ "code": "13579" })))
            .await
            .invalid("code");
        let chosen = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        assert_eq!((pin(&chosen).len(), &chosen["is_waiting_for_code_assignment"]), (6, &json!(false)));
        workspace.advance("PT0.25S").await;
        let events_of_code = events(&workspace, &code["access_code_id"]).await;
        assert_eq!(events_of_code, ["created@2026-03-02T12:00:00.000Z", "set_on_device@2026-03-02T12:00:00.250Z"]);
        // Without the subscription the lock rejects a PIN.
        let without = json!({ "salto_ks_metadata": { "has_custom_pin_subscription": false } });
        workspace.change_lock(0, json!({ "properties": without })).await;
        workspace
            .post("/access_codes/create", on_lock(&workspace, 0, json!({ "code": "246813" })))
            .await
            .invalid("code");
    });
}
