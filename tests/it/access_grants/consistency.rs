//! Grants that several clients change at once, snapshots in the middle of a change, determinism, webhooks.

use super::{FAR, codes, far_stay, grant, grant_events, methods, read};
use crate::concurrency::send_concurrently;
use crate::support::{TestWorkspace, run};
use crate::webhook_deliveries::deliver;
use crate::webhook_receiver::Receiver;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn of(grant: &Value) -> Value {
    json!({ "access_grant_id": grant["access_grant_id"] })
}

/// Returns the texts of all responses that show grants, methods, codes, locks and events.
async fn visible(workspace: &TestWorkspace) -> Vec<String> {
    let mut texts = Vec::new();
    let grants = workspace.post("/access_grants/list", json!({})).await;
    let listed = grants.body["access_grants"].as_array().unwrap().clone();
    texts.push(grants.text);
    for grant in &listed {
        texts.push(workspace.post("/access_methods/list", of(grant)).await.text);
        let related = json!({ "access_grant_ids": [grant["access_grant_id"]] });
        texts.push(workspace.post("/access_grants/get_related", related).await.text);
    }
    let all_events = json!({ "since": "2000-01-01T00:00:00Z", "limit": 10_000 });
    texts.push(workspace.post("/events/list", all_events).await.text);
    for lock in workspace.locks() {
        texts.push(workspace.post("/access_codes/list", json!({ "device_id": lock })).await.text);
        texts.push(workspace.post("/_emulator/locks/memory", json!({ "device_id": lock })).await.text);
    }
    texts
}

/// Returns the surroundings of the first difference between two texts.
fn first_difference(one: &str, other: &str) -> Option<(String, String)> {
    let index = one.bytes().zip(other.bytes()).position(|(one, other)| one != other);
    let index = index.or_else(|| (one.len() != other.len()).then_some(one.len().min(other.len())))?;
    let around = |text: &str| text.chars().skip(index.saturating_sub(200)).take(400).collect();
    Some((around(one), around(other)))
}

/// Checks that the locks hold exactly the codes of the existing grants, and that no event of a deleted thing is missing.
async fn check_consistency(workspace: &TestWorkspace) {
    let mut expected = BTreeSet::new();
    let grants = workspace.post("/access_grants/list", json!({})).await.ok();
    for grant in grants["access_grants"].as_array().unwrap() {
        assert_eq!(grant["pending_mutations"], json!([]), "{grant}");
        assert_eq!(grant["warnings"], json!([]), "{grant}");
        for code in codes(workspace, grant).await {
            let is_new = expected.insert((code["device_id"].to_string(), code["code"].to_string()));
            assert!(is_new, "a lock has a PIN twice: {code}");
        }
        for method in methods(workspace, grant).await {
            assert_eq!(method["is_issued"], true, "{method}");
        }
    }
    let mut held = BTreeSet::new();
    for (index, lock) in workspace.locks().into_iter().enumerate() {
        let memory = workspace.memory(index).await;
        let of_guests = memory.iter().filter(|code| code["is_backup"] != true);
        held.extend(of_guests.map(|code| (json!(lock).to_string(), code["code"].to_string())));
    }
    assert_eq!(held, expected);
    let events = grant_events(workspace).await;
    let count = |kind: &str| events.iter().filter(|found| *found == kind).count();
    let present = grants["access_grants"].as_array().unwrap().len();
    assert_eq!(count("access_grant.created") - count("access_grant.deleted"), present);
}

#[test]
fn access_grant_key_sent_by_many_at_once_belongs_to_one_grant() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let params = json!({ "device_ids": workspace.locks(), "user_identity": { "full_name": "Jane" },
                             "requested_access_methods": [{ "mode": "code" }], "access_grant_key": "stay" });
        let requests = vec![("/access_grants/create", params); 6];
        let replies = send_concurrently(&workspace.api_key, requests).await;
        let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
        let identities = workspace.post("/user_identities/list", json!({})).await.ok();
        assert_eq!(identities["user_identities"].as_array().unwrap().len(), 1, "the others created nothing");
        workspace.advance("PT1S").await;
        check_consistency(&workspace).await;
    });
}

#[test]
fn access_grants_created_at_once_have_different_pins_on_a_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let params = json!({ "device_ids": workspace.locks(), "user_identity": { "full_name": "Jane" },
                             "requested_access_methods": [{ "mode": "code", "code": "4711" }] });
        let replies = send_concurrently(&workspace.api_key, vec![("/access_grants/create", params); 5]).await;
        let mut with_wish = 0;
        for reply in replies {
            let created = reply.ok()["access_grant"].clone();
            with_wish += usize::from(created["warnings"] == json!([]));
        }
        assert_eq!(with_wish, 1, "the wish is free once");
        workspace.advance("PT1S").await;
        let listed = workspace.post("/access_codes/list", json!({ "device_id": workspace.lock(0) })).await.ok();
        let pins: BTreeSet<String> =
            listed["access_codes"].as_array().unwrap().iter().map(|code| code["code"].to_string()).collect();
        assert_eq!(pins.len(), 5);
    });
}

#[test]
fn access_grant_changed_and_deleted_at_once_ends_consistently() {
    run(async {
        for round in 0..4 {
            let workspace = TestWorkspace::with_locks(2).await;
            let kept = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
            let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
            workspace.advance("PT1S").await;
            let id = &created["access_grant_id"];
            let update = json!({ "access_grant_id": id, "ends_at": FAR[1], "name": "late" });
            let methods = json!({ "access_grant_id": id, "requested_access_methods": [{ "mode": "code" }] });
            let mut requests = vec![
                ("/access_grants/delete", of(&created)),
                ("/access_grants/update", update),
                ("/access_grants/request_access_methods", methods),
                ("/access_methods/delete", of(&created)),
                ("/access_grants/update", json!({ "access_grant_id": kept["access_grant_id"], "name": "kept" })),
            ];
            requests.rotate_left(round);
            for (path, reply) in requests
                .clone()
                .into_iter()
                .map(|(path, _)| path)
                .zip(send_concurrently(&workspace.api_key, requests).await)
            {
                assert!(matches!(reply.status, 200 | 404), "{path}: {}", reply.body);
            }
            workspace.advance("PT1M").await;
            workspace.post("/access_grants/get", of(&created)).await.error(404, "access_grant_not_found");
            check_consistency(&workspace).await;
        }
    });
}

#[test]
fn access_grant_of_a_space_that_grows_during_its_deletion_leaves_no_code() {
    run(async {
        for round in 0..4 {
            let workspace = TestWorkspace::with_locks(3).await;
            let space = json!({ "name": "Apartment", "device_ids": [workspace.lock(0)] });
            let space = workspace.post("/spaces/create", space).await.ok()["space"]["space_id"].clone();
            let created = grant(&workspace, json!({ "space_ids": [space] })).await;
            let other = grant(&workspace, json!({ "space_ids": [space] })).await;
            workspace.advance("PT1S").await;
            let change = |index: usize| json!({ "space_id": space, "device_ids": [workspace.lock(index)] });
            let mut requests = vec![
                ("/access_grants/delete", of(&created)),
                ("/spaces/add_devices", change(1)),
                ("/spaces/add_devices", change(2)),
                ("/spaces/remove_devices", change(0)),
            ];
            requests.rotate_left(round);
            for reply in send_concurrently(&workspace.api_key, requests).await {
                reply.ok();
            }
            workspace.advance("PT1M").await;
            workspace.post("/access_grants/get", of(&created)).await.error(404, "access_grant_not_found");
            assert_eq!(codes(&workspace, &read(&workspace, &other).await).await.len(), 2);
            check_consistency(&workspace).await;
        }
    });
}

#[test]
fn access_grant_snapshot_in_the_middle_of_an_update_goes_on_as_before() {
    run(async {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "nuki_lock" },
            { "device_type": "ttlock_lock", "native_scheduling": false },
        ]);
        let workspace = TestWorkspace::create_with(json!({ "locks": locks, "seed": "grant in a snapshot" })).await;
        let space = json!({ "name": "Apartment", "device_ids": [workspace.lock(0)] });
        let space = workspace.post("/spaces/create", space).await.ok()["space"]["space_id"].clone();
        let created = grant(
            &workspace,
            json!({ "space_ids": [space], "device_ids": [workspace.lock(1)],
                                                "ends_at": FAR[1], "access_grant_key": "stay" }),
        )
        .await;
        workspace.advance("PT1S").await;
        let mut update = of(&created);
        update["ends_at"] = json!("2026-03-20T12:00:00Z");
        workspace.post("/access_grants/update", update).await.ok();
        let add = json!({ "space_id": space, "device_ids": [workspace.lock(2)] });
        workspace.post("/spaces/add_devices", add).await.ok();
        workspace.advance("PT0.1S").await;
        let before = visible(&workspace).await;
        assert_ne!(read(&workspace, &created).await["pending_mutations"], json!([]), "the update is in progress");
        let snapshot = workspace.post("/_emulator/snapshots/create", json!({})).await.ok()["snapshot_id"].clone();
        let exported = workspace.get("/_emulator/snapshots/export").await.ok()["snapshot"].clone();
        let go_on = async || {
            let mut states = Vec::new();
            for by in ["PT1S", "P30D"] {
                workspace.advance(by).await;
                states.push(visible(&workspace).await);
            }
            states
        };
        let first = go_on().await;
        workspace.post("/access_grants/delete", of(&created)).await.ok();
        let imported = workspace.post("/_emulator/snapshots/import", json!({ "snapshot": exported })).await.ok();
        for id in [&snapshot, &imported["snapshot_id"]] {
            workspace.post("/_emulator/snapshots/restore", json!({ "snapshot_id": id })).await.ok();
            assert_eq!(visible(&workspace).await, before);
            assert_eq!(go_on().await, first);
        }
        let events = grant_events(&workspace).await;
        assert_eq!(events.iter().filter(|kind| *kind == "access_method.reissued").count(), 1);
    });
}

#[test]
fn access_grant_snapshot_during_a_deletion_finishes_it_after_a_restore() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        workspace.post("/access_grants/delete", of(&created)).await.ok();
        let snapshot = workspace.post("/_emulator/snapshots/create", json!({})).await.ok()["snapshot_id"].clone();
        workspace.advance("PT1S").await;
        workspace.post("/access_grants/get", of(&created)).await.error(404, "access_grant_not_found");
        workspace.post("/_emulator/snapshots/restore", json!({ "snapshot_id": snapshot })).await.ok();
        assert_eq!(read(&workspace, &created).await["display_status"], "Being deleted");
        workspace.advance("PT1S").await;
        workspace.post("/access_grants/get", of(&created)).await.error(404, "access_grant_not_found");
        assert_eq!(grant_events(&workspace).await.last().unwrap(), "access_grant.deleted");
    });
}

/// Sends the same requests in a workspace with this seed. Returns everything that it shows, and deletes it.
async fn seeded(seed: &str, with_update: bool) -> Vec<String> {
    let locks = ["august_lock", "nuki_lock", "salto_lock", "august_lock"];
    let locks = json!(locks.map(|device_type| json!({ "device_type": device_type })));
    let workspace = TestWorkspace::create_with(json!({ "locks": locks, "seed": seed })).await;
    let far = far_stay(&workspace).await;
    let location = json!({ "name": "Home", "device_ids": workspace.locks() });
    let wish = json!([{ "mode": "code", "code": "4711" }]);
    grant(&workspace, json!({ "location": location, "requested_access_methods": wish })).await;
    workspace.post("/devices/simulate/disconnect", json!({ "device_id": workspace.lock(0) })).await.ok();
    workspace.advance_to("2026-03-11T12:00:00.000Z").await;
    if with_update {
        let mut update = of(&far);
        update["ends_at"] = json!("2026-03-20T12:00:00Z");
        workspace.post("/access_grants/update", update).await.ok();
    }
    workspace.advance("P30D").await;
    let found = visible(&workspace).await;
    workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
    found
}

#[test]
fn access_grant_requests_with_the_same_seed_give_the_same_ids_and_pins() {
    run(async {
        let first = seeded("grants", false).await;
        for (one, other) in first.iter().zip(&seeded("grants", false).await) {
            assert_eq!(first_difference(one, other), None);
        }
        assert_ne!(first, seeded("other grants", false).await);
    });
}

#[test]
fn access_grant_update_with_the_same_seed_gives_the_same_events() {
    run(async {
        let first = seeded("changed grants", true).await;
        for _ in 0..5 {
            for (one, other) in first.iter().zip(&seeded("changed grants", true).await) {
                assert_eq!(first_difference(one, other), None);
            }
        }
    });
}

#[test]
fn access_grant_events_are_sent_to_webhooks() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        deliver();
        let receiver = Receiver::start().await;
        let kinds = ["access_grant.created", "access_method.issued", "access_method.deleted", "access_grant.deleted"];
        let params = json!({ "url": receiver.url, "event_types": kinds });
        workspace.post("/webhooks/create", params).await.ok();
        let created = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        let pin = methods(&workspace, &created).await[0]["code"].clone();
        workspace.post("/access_grants/delete", of(&created)).await.ok();
        workspace.advance("PT1S").await;
        let sent = receiver.wait_for(4).await;
        let events: Vec<Value> = sent.iter().map(|sent| sent.event().clone()).collect();
        assert_eq!(events.iter().map(|event| &event["event_type"]).collect::<Vec<_>>(), kinds);
        assert_eq!((&events[1]["code"], &events[3]["access_grant_id"]), (&pin, &created["access_grant_id"]));
    });
}
