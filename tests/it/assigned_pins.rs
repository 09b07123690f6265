//! Locks whose provider chooses the PIN of a code, and tells it later.

use crate::access_codes::{on, pin, rows};
use crate::lifecycle::{events, follow, seen};
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

/// What is known of the PIN of a code: the PIN, and whether it is still to come.
async fn pin_of(workspace: &TestWorkspace, access_code_id: &Value) -> (Value, Value) {
    let code = workspace.access_code(access_code_id).await;
    (code["code"].clone(), code["is_waiting_for_code_assignment"].clone())
}

#[test]
fn a_pin_that_the_provider_assigns_comes_later_and_is_told() {
    run(async {
        let workspace = TestWorkspace::with(json!([{ "device_type": "salto_lock" }])).await;
        workspace.post("/access_codes/create", on(&workspace, 0, json!({ "code": "135792" }))).await.invalid("code");
        assert_eq!(rows(&workspace).await, [0; 4]);
        let code = workspace.create(on(&workspace, 0, json!({}))).await;
        assert_eq!((&code["code"], &code["is_waiting_for_code_assignment"]), (&Value::Null, &json!(true)));
        assert_eq!(seen(&code), "setting creating");
        let id = &code["access_code_id"];
        follow(&workspace, id, &[("2026-03-02T12:00:00.249Z", "setting creating")]).await;
        assert_eq!(pin_of(&workspace, id).await, (Value::Null, json!(true)));
        follow(&workspace, id, &[("2026-03-02T12:00:00.250Z", "set")]).await;
        let told = workspace.access_code(id).await;
        assert_eq!(told["is_waiting_for_code_assignment"], false);
        assert!((6..=10).contains(&pin(&told).len()), "{told}");
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
        assert_eq!(changed["changed_properties"], json!([{ "property": "code", "from": null, "to": told["code"] }]));
        // Found by its PIN from now on, and the lock has it.
        let by_pin = json!({ "device_id": workspace.lock(0), "code": told["code"] });
        let found = workspace.post("/access_codes/get", by_pin).await.ok();
        assert_eq!(found["access_code"]["access_code_id"], *id);
        assert_eq!(workspace.memory(0).await[0]["code"], told["code"]);
        // Whoever waits for the lock waits for the PIN too.
        let at_once = workspace.create(on(&workspace, 0, json!({ "sync": true }))).await;
        assert_eq!((seen(&at_once).as_str(), &at_once["is_waiting_for_code_assignment"]), ("set", &json!(false)));
        assert_ne!(pin(&at_once), pin(&told));
    });
}

#[test]
fn a_pin_is_assigned_whatever_the_lock_does() {
    run(async {
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "salto_lock" }, { "device_type": "salto_lock" }])).await;
        workspace.change_lock(0, json!({ "online": false })).await;
        let window = json!({ "starts_at": "2026-04-01T12:00:00Z", "ends_at": "2026-04-02T12:00:00Z" });
        let offline = workspace.create(on(&workspace, 0, json!({}))).await;
        let deferred = workspace.create(on(&workspace, 1, window)).await;
        for (code, expected) in [(offline, "setting creating"), (deferred, "unset deferring_creation")] {
            let id = &code["access_code_id"];
            assert_eq!((seen(&code).as_str(), &code["code"]), (expected, &Value::Null));
            let now = workspace.get("/_emulator/clock").await.ok()["now"].clone();
            if now == "2026-03-02T12:00:00.000Z" {
                workspace.advance("PT0.249S").await;
                assert_eq!(pin_of(&workspace, id).await, (Value::Null, json!(true)));
                workspace.advance("PT0.001S").await;
            }
            let code = workspace.access_code(id).await;
            assert_eq!((seen(&code).as_str(), &code["is_waiting_for_code_assignment"]), (expected, &json!(false)));
            assert!((6..=10).contains(&pin(&code).len()), "{code}");
            let told = events(&workspace, id).await;
            assert_eq!(told, ["created@2026-03-02T12:00:00.000Z", "changed@2026-03-02T12:00:00.250Z"]);
        }
        assert_eq!(workspace.memory(0).await.len() + workspace.memory(1).await.len(), 0);
    });
}

#[test]
fn with_the_custom_pin_subscription_a_salto_lock_takes_a_pin() {
    run(async {
        let metadata = json!({ "salto_ks_metadata": { "has_custom_pin_subscription": true } });
        let workspace = TestWorkspace::with(json!([{ "device_type": "salto_lock", "properties": metadata }])).await;
        let code = workspace.create(on(&workspace, 0, json!({ "code": "135792" }))).await;
        assert_eq!((&code["code"], &code["is_waiting_for_code_assignment"]), (&json!("135792"), &json!(false)));
        workspace.post("/access_codes/create", on(&workspace, 0, json!({ "code": "13579" }))).await.invalid("code");
        let chosen = workspace.create(on(&workspace, 0, json!({}))).await;
        assert_eq!((pin(&chosen).len(), &chosen["is_waiting_for_code_assignment"]), (6, &json!(false)));
        workspace.advance("PT0.25S").await;
        let told = events(&workspace, &code["access_code_id"]).await;
        assert_eq!(told, ["created@2026-03-02T12:00:00.000Z", "set_on_device@2026-03-02T12:00:00.250Z"]);
        // Without the subscription it does not.
        let without = json!({ "salto_ks_metadata": { "has_custom_pin_subscription": false } });
        workspace.change_lock(0, json!({ "properties": without })).await;
        workspace.post("/access_codes/create", on(&workspace, 0, json!({ "code": "246813" }))).await.invalid("code");
    });
}
