//! The layer as a whole: what it lets through, and what it does to every request.

use super::{FIRST_WORKSPACE, Fake, JSON, KEY, SECOND_KEY, TOKEN};
use crate::support::{TestWorkspace, ask, run};
use chrono::TimeDelta;
use serde_json::json;

#[test]
fn paths_of_the_fake_have_the_guard_of_the_control_plane() {
    run(async {
        let fake = Fake::start().await;
        let path = "/_fake/default_seed";
        for header in [("origin", "https://example.com"), ("host", "example.com"), ("sec-fetch-site", "cross-site")] {
            fake.ask("GET", path, &[header], "").await.error(401, "unauthorized");
        }
        let other = TestWorkspace::with_locks(1).await;
        let key = format!("Bearer {}", other.api_key);
        let refused = fake.ask("GET", path, &[("authorization", &key)], "").await.error(401, "unauthorized");
        assert!(refused["message"].as_str().unwrap().contains("workspaces of the seed"), "{refused}");
        let outage = json!({ "workspace_id": other.workspace_id, "routes": [] }).to_string();
        let reply = fake.ask("POST", "/_fake/simulate_workspace_outage", &[KEY, JSON], outage).await;
        reply.error(404, "workspace_not_found");
        let unlocked =
            other.post("/locks/unlock_door", json!({ "device_id": other.devices[0]["device_id"] })).await.ok();
        let id = &unlocked["action_attempt"]["action_attempt_id"];
        let state = json!({ "action_attempt_id": id, "status": "pending" });
        fake.post("/_fake/update_action_attempt", state).await.error(404, "action_attempt_not_found");
        drop(fake);
        let fake = Fake::with(|settings| settings.admin_token = Some("the admin token".to_owned())).await;
        fake.ask("GET", "/_fake/database", &[], "").await.error(401, "unauthorized");
        for credential in [KEY, SECOND_KEY, ("authorization", "Bearer the admin token")] {
            fake.ask("GET", path, &[credential], "").await.ok();
        }
    });
}

#[test]
fn web_pages_can_read_all_responses_except_those_of_the_control_plane() {
    run(async {
        let fake = Fake::start().await;
        let begin = json!({ "workspace_id": "seed_workspace_1", "routes": ["/devices/list"] });
        fake.post("/_fake/simulate_workspace_outage", begin).await.ok();
        let (local, other) = ("http://localhost:3000", "https://example.com");
        for (method, path, origin, status, is_readable) in [
            ("GET", "/devices/list", local, 503, true),
            ("GET", "/devices/get?device_id=august_device_1", local, 200, true),
            ("GET", "/devices/get?device_id=august_device_1", other, 401, true),
            ("GET", "/_fake/default_seed", local, 200, true),
            ("OPTIONS", "/_fake/update_action_attempt", local, 200, true),
            ("GET", "/_emulator/clock", local, 200, false),
        ] {
            let headers = [KEY, ("origin", origin), ("access-control-request-method", "POST")];
            let reply = fake.ask(method, path, &headers, "").await;
            assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
            let allowed = reply.headers.get_all("access-control-allow-origin").iter().collect::<Vec<_>>();
            assert_eq!(allowed, if is_readable { vec![origin] } else { vec![] }, "{method} {path}");
        }
    });
}

#[test]
fn ids_for_new_objects_are_not_replaced_at_the_control_plane() {
    run(async {
        let fake = Fake::start().await;
        let new = json!({ "device_type": "august_lock", "device_id": "device7" });
        fake.post("/_emulator/devices/create", new).await.error(400, "invalid_input");
        let held = fake.post("/_emulator/devices/update", json!({ "device_id": "august_device_1", "online": false }));
        held.await.ok();
        let device = fake.get("/devices/get?device_id=august_device_1").await.ok();
        assert_eq!(device["device"]["properties"]["online"], false);
    });
}

#[test]
fn query_that_is_too_long_after_its_translation_is_a_414() {
    run(async {
        let fake = Fake::start().await;
        let ids = vec!["x"; 1_000].join(",");
        fake.get(&format!("/devices/list?device_ids={ids}")).await.error(414, "uri_too_long");
        // The query is translated although the body is no object.
        let path = "/devices/get?device_id=august_device_1";
        let messages = fake.ask("POST", path, &[KEY, JSON], "[]").await.error(400, "invalid_input");
        assert!(!messages.to_string().contains("device_id"), "{messages}");
    });
}

#[test]
fn seed_has_its_settings_and_other_workspaces_those_of_the_server() {
    run(async {
        let fake = Fake::with(|settings| settings.programming.0 = Some(TimeDelta::zero())).await;
        let created = fake.ask("POST", "/_emulator/workspaces/create", &[JSON], r#"{"locks":1}"#).await.ok();
        let key = format!("Bearer {}", created["api_key"].as_str().unwrap());
        let lock = json!({ "device_id": created["devices"][0]["device_id"] }).to_string();
        let headers = [("authorization", key.as_str()), JSON];
        let code = fake.ask("POST", "/access_codes/create", &headers, lock).await.ok();
        assert_eq!(code["access_code"]["status"], "set");
        assert_eq!(fake.code(json!({ "device_id": "august_device_1" })).await["status"], "setting");
    });
}

#[test]
fn reset_forgets_what_was_chosen_in_its_workspace_only() {
    run(async {
        let fake = Fake::start().await;
        let snapshot = fake.ask("POST", "/_emulator/snapshots/create", &[KEY], "").await.ok();
        let restore = json!({ "snapshot_id": snapshot["snapshot_id"] });
        let named = json!({ "workspace_id": "seed_workspace_1" });
        for (path, headers, body) in [
            ("/workspaces/reset_sandbox", vec![KEY, JSON], json!({})),
            ("/workspaces/reset_sandbox", vec![TOKEN, FIRST_WORKSPACE, JSON], json!({})),
            ("/_emulator/workspaces/reset", vec![KEY, JSON], json!({})),
            ("/_emulator/workspaces/reset", vec![JSON], named),
            ("/_emulator/snapshots/restore", vec![KEY, JSON], restore),
        ] {
            for workspace_id in ["seed_workspace_1", "seed_workspace_2"] {
                let outage = json!({ "workspace_id": workspace_id, "routes": ["/devices/list"] });
                fake.post("/_fake/simulate_workspace_outage", outage).await.ok();
            }
            assert_eq!(fake.get("/devices/list").await.status, 503);
            fake.ask("POST", path, &headers, body.to_string()).await.ok();
            fake.get("/devices/list").await.ok();
            let second = fake.ask("GET", "/devices/list", &[SECOND_KEY], "").await;
            assert_eq!(second.status, 503, "{path}");
        }
    });
}

#[test]
fn tokens_of_the_fake_are_refused_for_web_pages_of_other_sites() {
    run(async {
        let fake = Fake::start().await;
        for (origin, is_refused) in [("https://example.com", true), ("http://localhost:3000", false)] {
            for (path, headers) in [
                ("/devices/list", vec![KEY]),
                ("/devices/list", vec![("client-session-token", "seam_cst1_token")]),
                ("/_fake/default_seed", vec![]),
            ] {
                let headers = [headers, vec![("origin", origin)]].concat();
                let reply = fake.ask("GET", path, &headers, "").await;
                if is_refused {
                    reply.error(401, "unauthorized");
                } else {
                    reply.ok();
                }
            }
        }
    });
}

#[test]
fn requests_are_numbered_from_one() {
    run(async {
        let fake = Fake::start().await;
        let own = ("seam-request-id", "my-own");
        for (number, path) in ["/health", "/devices/list", "/_fake/default_seed", "/unknown"].iter().enumerate() {
            let reply = fake.ask("GET", path, &[KEY, own], "").await;
            assert_eq!(reply.headers["seam-request-id"], format!("request{}", number + 1), "{path}");
        }
    });
}

#[test]
fn fake_has_no_traces_without_the_option() {
    run(async {
        for path in ["/_fake/default_seed", "/_fake/database", "/_fake/update_action_attempt"] {
            let reply = ask("GET", path, &[], "").await;
            let id = reply.headers["seam-request-id"].to_str().unwrap();
            assert!(!id.starts_with("request"), "{id}");
            reply.error(404, "not_found");
        }
        let workspace = TestWorkspace::with_locks(1).await;
        let messages =
            workspace.post("/devices/get", json!({ "device_id": "august_device_1" })).await.invalid("device_id");
        assert_eq!(messages.len(), 1);
    });
}
