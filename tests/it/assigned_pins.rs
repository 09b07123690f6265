//! Locks whose provider chooses the PIN of a code, and tells it later.

use crate::access_codes::{on, pin, rows};
use crate::lifecycle::{events, follow, seen};
use crate::support::{World, run};
use serde_json::{Value, json};

/// What is known of the PIN of a code: the PIN, and whether it is still to come.
async fn pin_of(world: &World, access_code_id: &Value) -> (Value, Value) {
    let code = world.access_code(access_code_id).await;
    (code["code"].clone(), code["is_waiting_for_code_assignment"].clone())
}

#[test]
fn a_pin_that_the_provider_assigns_comes_later_and_is_told() {
    run(async {
        let world = World::with(json!([{ "device_type": "salto_lock" }])).await;
        world.post("/access_codes/create", on(&world, 0, json!({ "code": "135792" }))).await.invalid("code");
        assert_eq!(rows(&world).await, [0; 4]);
        let code = world.create(on(&world, 0, json!({}))).await;
        assert_eq!((&code["code"], &code["is_waiting_for_code_assignment"]), (&Value::Null, &json!(true)));
        assert_eq!(seen(&code), "setting creating");
        let id = &code["access_code_id"];
        follow(&world, id, &[("2026-03-02T12:00:00.249Z", "setting creating")]).await;
        assert_eq!(pin_of(&world, id).await, (Value::Null, json!(true)));
        follow(&world, id, &[("2026-03-02T12:00:00.250Z", "set")]).await;
        let told = world.access_code(id).await;
        assert_eq!(told["is_waiting_for_code_assignment"], false);
        assert!((6..=10).contains(&pin(&told).len()), "{told}");
        assert_eq!(
            events(&world, id).await,
            [
                "created@2026-03-02T12:00:00.000Z",
                "changed@2026-03-02T12:00:00.250Z",
                "set_on_device@2026-03-02T12:00:00.250Z",
            ]
        );
        let changed =
            json!({ "access_code_id": id, "event_type": "access_code.changed", "since": "2000-01-01T00:00:00Z" });
        let changed = world.post("/events/list", changed).await.ok()["events"][0].clone();
        assert_eq!(changed["changed_properties"], json!([{ "property": "code", "from": null, "to": told["code"] }]));
        // Found by its PIN from now on, and the lock has it.
        let by_pin = json!({ "device_id": world.lock(0), "code": told["code"] });
        let found = world.post("/access_codes/get", by_pin).await.ok();
        assert_eq!(found["access_code"]["access_code_id"], *id);
        assert_eq!(world.memory(0).await[0]["code"], told["code"]);
        // Whoever waits for the lock waits for the PIN too.
        let at_once = world.create(on(&world, 0, json!({ "sync": true }))).await;
        assert_eq!((seen(&at_once).as_str(), &at_once["is_waiting_for_code_assignment"]), ("set", &json!(false)));
        assert_ne!(pin(&at_once), pin(&told));
    });
}

#[test]
fn a_pin_is_assigned_whatever_the_lock_does() {
    run(async {
        let world = World::with(json!([{ "device_type": "salto_lock" }, { "device_type": "salto_lock" }])).await;
        world.change_lock(0, json!({ "online": false })).await;
        let window = json!({ "starts_at": "2026-04-01T12:00:00Z", "ends_at": "2026-04-02T12:00:00Z" });
        let offline = world.create(on(&world, 0, json!({}))).await;
        let deferred = world.create(on(&world, 1, window)).await;
        for (code, expected) in [(offline, "setting creating"), (deferred, "unset deferring_creation")] {
            let id = &code["access_code_id"];
            assert_eq!((seen(&code).as_str(), &code["code"]), (expected, &Value::Null));
            let now = world.get("/_emulator/clock").await.ok()["now"].clone();
            if now == "2026-03-02T12:00:00.000Z" {
                world.advance("PT0.249S").await;
                assert_eq!(pin_of(&world, id).await, (Value::Null, json!(true)));
                world.advance("PT0.001S").await;
            }
            let code = world.access_code(id).await;
            assert_eq!((seen(&code).as_str(), &code["is_waiting_for_code_assignment"]), (expected, &json!(false)));
            assert!((6..=10).contains(&pin(&code).len()), "{code}");
            let told = events(&world, id).await;
            assert_eq!(told, ["created@2026-03-02T12:00:00.000Z", "changed@2026-03-02T12:00:00.250Z"]);
        }
        assert_eq!(world.memory(0).await.len() + world.memory(1).await.len(), 0);
    });
}

#[test]
fn with_the_custom_pin_subscription_a_salto_lock_takes_a_pin() {
    run(async {
        let metadata = json!({ "salto_ks_metadata": { "has_custom_pin_subscription": true } });
        let world = World::with(json!([{ "device_type": "salto_lock", "properties": metadata }])).await;
        let code = world.create(on(&world, 0, json!({ "code": "135792" }))).await;
        assert_eq!((&code["code"], &code["is_waiting_for_code_assignment"]), (&json!("135792"), &json!(false)));
        world.post("/access_codes/create", on(&world, 0, json!({ "code": "13579" }))).await.invalid("code");
        let chosen = world.create(on(&world, 0, json!({}))).await;
        assert_eq!((pin(&chosen).len(), &chosen["is_waiting_for_code_assignment"]), (6, &json!(false)));
        world.advance("PT0.25S").await;
        let told = events(&world, &code["access_code_id"]).await;
        assert_eq!(told, ["created@2026-03-02T12:00:00.000Z", "set_on_device@2026-03-02T12:00:00.250Z"]);
        // Without the subscription it does not.
        let without = json!({ "salto_ks_metadata": { "has_custom_pin_subscription": false } });
        world.change_lock(0, json!({ "properties": without })).await;
        world.post("/access_codes/create", on(&world, 0, json!({ "code": "246813" }))).await.invalid("code");
    });
}
