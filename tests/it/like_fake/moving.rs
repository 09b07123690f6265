//! Differences from the fake that `docs/from-the-fake.md` lists.

use super::{Fake, KEY, SECOND_KEY, all};
use crate::support::run;
use serde_json::{Value, json};

#[test]
fn access_code_has_no_default_name_and_shows_an_update_as_pending() {
    run(async {
        let fake = Fake::start().await;
        let code = fake.code(json!({ "device_id": "august_device_1" })).await;
        assert_eq!(code["name"], Value::Null);
        let id = json!({ "access_code_id": code["access_code_id"] });
        fake.post("/_emulator/access_codes/step", id.clone()).await.ok();
        let found = fake.post("/access_codes/get", id.clone()).await.ok();
        assert_eq!(found["access_code"]["status"], "set");
        let mut update = id.clone();
        update["name"] = json!("Guest");
        fake.post("/access_codes/update", update).await.ok();
        let found = fake.post("/access_codes/get", id).await.ok();
        assert_eq!(found["access_code"]["pending_mutations"][0]["mutation_code"], "updating_name");
    });
}

#[test]
fn reset_sandbox_returns_to_the_seed_and_request_ids_are_counted_on() {
    run(async {
        let fake = Fake::start().await;
        fake.post("/devices/delete", json!({ "device_id": "august_device_1" })).await.ok();
        fake.ask("POST", "/workspaces/reset_sandbox", &[KEY], "").await.ok();
        let listed = fake.get("/devices/list").await;
        assert_eq!(listed.headers["seam-request-id"], "request3");
        assert_eq!(listed.ok()["devices"].as_array().unwrap().len(), 5);
        let since = ("/events/list?since=2000-01-01T00:00:00Z", [SECOND_KEY]);
        let events = fake.ask("GET", since.0, &since.1, "").await.ok();
        assert_eq!(events["events"], json!([]), "those of the other workspace");
    });
}

#[test]
fn outage_is_not_in_the_request_log() {
    run(async {
        let fake = Fake::start().await;
        let outage = json!({ "workspace_id": "seed_workspace_1", "routes": ["/devices/list"] });
        fake.post("/_fake/simulate_workspace_outage", outage).await.ok();
        assert_eq!(fake.get("/devices/list").await.status, 503);
        fake.get("/devices/get?device_id=august_device_1").await.ok();
        let logged = fake.get("/_emulator/requests").await.ok();
        assert_eq!(all(&logged["requests"], "path"), ["/devices/get"]);
    });
}

#[test]
fn body_that_is_too_large_is_a_413_with_any_credential() {
    run(async {
        let fake = Fake::with(|settings| settings.body_limit = 100).await;
        let body = json!({ "name": "x".repeat(100) }).to_string();
        fake.ask("POST", "/devices/list", &[], body).await.error(413, "payload_too_large");
        // Each id has 36 characters after the translation.
        let body = json!({ "device_ids": ["a", "b", "c"] });
        fake.post("/devices/list", body).await.error(413, "payload_too_large");
    });
}

#[test]
fn things_that_are_not_emulated_have_no_paths() {
    run(async {
        let fake = Fake::start().await;
        for path in ["/_fake/enter_bridge_pairing_code", "/_fake/simulate_enter_bridge_pairing_code"] {
            fake.post(path, json!({})).await.error(404, "not_found");
        }
        for path in ["/thermostats/list", "/noise_sensors/noise_thresholds/list"] {
            assert_eq!(fake.post(path, json!({})).await.status, 501, "{path}");
        }
    });
}
