//! Requests: forms, unknown parameters, pages, repetitions, and who may send them.

use super::{FAR, codes, far_stay, grant, grant_events, read};
use crate::support::{Reply, TestWorkspace, UNKNOWN, ask, post_as, run};
use serde_json::{Value, json};

fn id(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap().to_owned()
}

/// Sends a request with a JSON body under this method.
async fn send(workspace: &TestWorkspace, method: &str, path: &str, body: &Value) -> Reply {
    let bearer = format!("Bearer {}", workspace.api_key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    ask(method, path, &headers, body.to_string()).await
}

#[test]
fn access_grant_requests_accept_the_methods_that_clients_send() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let first = grant(&workspace, json!({ "device_ids": workspace.locks(), "access_grant_key": "stay" })).await;
        let second = far_stay(&workspace).await;
        let (one, two) = (id(&first, "access_grant_id"), id(&second, "access_grant_id"));
        let found = workspace.get("/access_grants/get?_strict=true&access_grant_key=stay").await.ok();
        assert_eq!(found["access_grant"]["access_grant_id"], json!(one));
        let listed =
            workspace.get(&format!("/access_grants/list?access_grant_ids={one}&access_grant_ids={two}&limit=5")).await;
        assert_eq!(listed.ok()["access_grants"].as_array().unwrap().len(), 2);
        let listed = workspace.get(&format!("/access_grants/list?access_grant_ids={one}")).await.ok();
        assert_eq!(listed["access_grants"].as_array().unwrap().len(), 1);
        let query = format!(
            "/access_grants/get_related?access_grant_ids={one}&access_grant_ids={two}&include=devices&include=spaces"
        );
        let batch = workspace.get(&query).await.ok()["batch"].clone();
        assert_eq!(batch.as_object().unwrap().len(), 2);
        assert_eq!((batch["devices"].as_array().unwrap().len(), &batch["spaces"]), (2, &json!([])));
        let change = json!({ "access_grant_key": "stay", "name": "Renamed" });
        assert_eq!(send(&workspace, "PATCH", "/access_grants/update", &change).await.ok(), json!({ "ok": true }));
        assert_eq!(read(&workspace, &first).await["name"], "Renamed");
        let method_id = id(&json!({ "id": second["access_method_ids"][0] }), "id");
        for _ in 0..2 {
            let reply =
                workspace.request("DELETE", &format!("/access_methods/delete?access_method_id={method_id}")).await;
            assert_eq!(reply.ok(), json!({ "ok": true }));
        }
        for _ in 0..2 {
            let reply = workspace.request("DELETE", &format!("/access_grants/delete?access_grant_id={one}")).await;
            assert_eq!(reply.ok(), json!({ "ok": true }), "a second deletion while it is being deleted");
        }
        workspace.advance("PT1S").await;
        let gone = workspace.request("DELETE", &format!("/access_grants/delete?access_grant_id={one}")).await;
        assert_eq!(gone.error(404, "access_grant_not_found")["message"], "Access grant not found");
    });
}

#[test]
fn access_grant_space_request_that_is_repeated_changes_nothing() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let space = json!({ "name": "Apartment", "device_ids": [workspace.lock(0)] });
        let space = workspace.post("/spaces/create", space).await.ok()["space"]["space_id"].clone();
        let created = grant(&workspace, json!({ "space_ids": [space] })).await;
        workspace.advance("PT1S").await;
        let params = json!({ "space_id": space, "device_ids": [workspace.lock(1)] });
        send(&workspace, "PUT", "/spaces/add_devices", &params).await.ok();
        let (before, events) = (codes(&workspace, &created).await, workspace.events(json!({})).await.len());
        send(&workspace, "PUT", "/spaces/add_devices", &params).await.ok();
        assert_eq!((codes(&workspace, &created).await, workspace.events(json!({})).await.len()), (before, events));
        let query =
            format!("/spaces/remove_devices?space_id={}&device_ids={}", space.as_str().unwrap(), workspace.lock(1));
        workspace.request("DELETE", &query).await.ok();
        let (before, events) = (codes(&workspace, &created).await, workspace.events(json!({})).await.len());
        workspace.request("DELETE", &query).await.ok();
        assert_eq!((codes(&workspace, &created).await, workspace.events(json!({})).await.len()), (before, events));
    });
}

#[test]
fn access_grant_update_ignores_parameters_that_are_only_in_the_guides() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created =
            grant(&workspace, json!({ "device_ids": [workspace.lock(0)], "starts_at": FAR[0], "ends_at": FAR[1] }))
                .await;
        let change = json!({ "access_grant_id": created["access_grant_id"], "device_ids": workspace.locks(),
                             "space_ids": [UNKNOWN], "name": "Renamed" });
        workspace.post("/access_grants/update", change).await.ok();
        assert_eq!(codes(&workspace, &created).await.len(), 1);
        assert_eq!(read(&workspace, &created).await["name"], "Renamed");
        let params = json!({ "access_grant_id": created["access_grant_id"], "mode": "code" });
        assert_eq!(workspace.post("/access_methods/create", params).await.status, 404);
    });
}

#[test]
fn access_grant_update_rejects_times_that_cannot_be() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        let events = workspace.events(json!({})).await.len();
        for change in [
            json!({ "ends_at": "2026-03-01T12:00:00Z" }),
            json!({ "ends_at": "2026-03-12T11:00:00Z" }),
            json!({ "starts_at": "2026-03-14T12:00:00Z" }),
            json!({ "starts_at": "tomorrow" }),
            json!({ "starts_at": null }),
        ] {
            let mut params = change;
            params["access_grant_id"] = created["access_grant_id"].clone();
            workspace.post("/access_grants/update", params).await.error(400, "invalid_input");
        }
        workspace.post("/access_grants/update", json!({})).await.error(400, "invalid_input");
        let both = json!({ "access_grant_id": UNKNOWN, "access_grant_key": "x", "name": "x" });
        workspace.post("/access_grants/update", both).await.error(400, "invalid_input");
        assert_eq!(read(&workspace, &created).await["ends_at"], FAR[1]);
        assert_eq!(workspace.events(json!({})).await.len(), events);
    });
}

#[test]
fn access_method_request_needs_at_least_one_method() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        let path = "/access_grants/request_access_methods";
        let of = |grant: &Value, requested: Value| json!({ "access_grant_id": grant, "requested_access_methods": requested });
        workspace.post(path, of(&created["access_grant_id"], json!([]))).await.error(400, "invalid_input");
        workspace
            .post(path, of(&json!(UNKNOWN), json!([{ "mode": "code" }])))
            .await
            .error(404, "access_grant_not_found");
        let wish = json!([{ "mode": "card", "code": "1234" }]);
        workspace.post(path, of(&created["access_grant_id"], wish)).await.error(400, "invalid_input");
        let card = workspace.post(path, of(&created["access_grant_id"], json!([{ "mode": "card" }]))).await.ok();
        assert_eq!(card["access_grant"]["requested_access_methods"][1]["created_access_method_ids"], json!([]));
        assert_eq!(card["access_grant"]["errors"][0]["error_code"], "cannot_create_requested_access_methods");
        workspace.post("/access_grants/delete", json!({ "access_grant_id": created["access_grant_id"] })).await.ok();
        let late = of(&created["access_grant_id"], json!([{ "mode": "code" }]));
        workspace.post(path, late).await.error(404, "access_grant_not_found");
    });
}

#[test]
fn access_grants_and_methods_are_listed_page_by_page_without_gaps() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let modes = json!(vec![json!({ "mode": "code" }); 5]);
        let created =
            grant(&workspace, json!({ "device_ids": workspace.locks(), "requested_access_methods": modes })).await;
        let grant_id = created["access_grant_id"].clone();
        let (mut cursor, mut found) = (Value::Null, Vec::new());
        for page in 0.. {
            let params = json!({ "access_grant_id": grant_id, "limit": 2, "page_cursor": cursor });
            let listed = workspace.post("/access_methods/list", params).await.ok();
            found.extend(
                listed["access_methods"].as_array().unwrap().iter().map(|method| method["access_method_id"].clone()),
            );
            cursor = listed["pagination"]["next_page_cursor"].clone();
            assert_eq!(listed["pagination"]["has_next_page"], page < 2);
            if cursor.is_null() {
                break;
            }
        }
        let mut all = created["access_method_ids"].as_array().unwrap().clone();
        for list in [&mut found, &mut all] {
            list.sort_by_key(ToString::to_string);
        }
        assert_eq!(found, all);
        workspace
            .post("/access_grants/list", json!({ "page_cursor": "nonsense" }))
            .await
            .error(400, "mismatched_page_parameters");
        let by_entrance = json!({ "acs_entrance_id": UNKNOWN });
        let listed = workspace.post("/access_methods/list", by_entrance).await.ok();
        assert_eq!(listed["access_methods"], json!([]));
    });
}

#[test]
fn access_methods_of_cards_and_keys_reject_methods_of_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let created = far_stay(&workspace).await;
        let method = &created["access_method_ids"][0];
        for (path, mut params) in [
            ("/access_methods/encode", json!({ "acs_encoder_id": UNKNOWN })),
            ("/access_methods/assign_card", json!({ "card_number": "1" })),
            ("/access_methods/unlock_door", json!({ "acs_entrance_id": UNKNOWN })),
        ] {
            params["access_method_id"] = method.clone();
            workspace.post(path, params.clone()).await.error(400, "invalid_input");
            params["access_method_id"] = json!(UNKNOWN);
            workspace.post(path, params).await.error(404, "access_method_not_found");
        }
        let update = json!({ "access_grant_id": created["access_grant_id"], "is_managed": true });
        workspace.post("/access_grants/unmanaged/update", update).await.error(404, "access_grant_not_found");
    });
}

#[test]
fn access_grant_reads_of_things_that_do_not_exist_name_the_kind() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for (path, params, kind) in [
            ("/access_grants/get", json!({ "access_grant_key": "nobody" }), "access_grant_not_found"),
            ("/access_grants/delete", json!({ "access_grant_id": UNKNOWN }), "access_grant_not_found"),
            ("/access_grants/get_related", json!({ "access_grant_keys": ["nobody"] }), "access_grant_not_found"),
            ("/access_methods/get", json!({ "access_method_id": UNKNOWN }), "access_method_not_found"),
            ("/access_methods/delete", json!({ "access_grant_id": UNKNOWN }), "access_grant_not_found"),
            ("/access_methods/get_related", json!({ "access_method_ids": [UNKNOWN] }), "access_method_not_found"),
        ] {
            workspace.post(path, params).await.error(404, kind);
        }
        workspace.post("/access_grants/get_related", json!({})).await.error(400, "invalid_input");
        let two = json!({ "access_grant_id": UNKNOWN, "reservation_key": "stay" });
        workspace.post("/access_methods/delete", two).await.error(400, "invalid_input");
        let blank = json!({ "user_identity": {}, "device_ids": workspace.locks(), "reservation_key": " ",
                            "requested_access_methods": [{ "mode": "code" }] });
        let reply = workspace.post("/access_grants/create", blank).await;
        assert_eq!(reply.invalid("reservation_key"), ["Must not consist only of whitespace"]);
    });
}

#[test]
fn access_grants_of_other_customers_are_hidden_from_the_session_of_a_customer() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let account = workspace.devices[0]["connected_account_id"].clone();
        let session = json!({ "customer_key": "acme", "connected_account_ids": [account] });
        let session = workspace.post("/client_sessions/create", session).await.ok()["client_session"].clone();
        let token = session["token"].as_str().unwrap();
        let guest = async |customer: Value| {
            let mut params = json!({ "full_name": "Guest" });
            if !customer.is_null() {
                params["customer_key"] = customer;
            }
            workspace.post("/user_identities/create", params).await.ok()["user_identity"]["user_identity_id"].clone()
        };
        let stay = async |customer: Value, key: &str| {
            let params = json!({ "device_ids": workspace.locks(), "user_identity_id": guest(customer).await,
                                 "access_grant_key": key, "reservation_key": "stay" });
            grant(&workspace, params).await
        };
        let own = stay(json!("acme"), "own").await;
        let other = stay(json!("b"), "other").await;
        stay(Value::Null, "nobodys").await;
        let keys = |listed: &Value| {
            let grants = listed["access_grants"].as_array().unwrap().iter();
            grants.map(|grant| grant["access_grant_key"].clone()).collect::<Vec<_>>()
        };
        for filter in [json!({}), json!({ "reservation_key": "stay" }), json!({ "customer_key": "acme" })] {
            assert_eq!(keys(&post_as(token, "/access_grants/list", filter).await.ok()), ["own"]);
        }
        assert_eq!(keys(&post_as(token, "/access_grants/list", json!({ "customer_key": "b" })).await.ok()), [""; 0]);
        let all = workspace.post("/access_grants/list", json!({ "customer_key": "b" })).await.ok();
        assert_eq!(keys(&all), ["other"]);
        // A deletion of a reservation leaves the grants of others alone.
        post_as(token, "/access_methods/delete", json!({ "reservation_key": "stay" })).await.ok();
        assert_eq!(read(&workspace, &other).await["access_method_ids"].as_array().unwrap().len(), 1);
        let changed = json!({ "access_grant_key": "own", "name": "Mine" });
        post_as(token, "/access_grants/update", changed).await.ok();
        let made = json!({ "user_identity": { "full_name": "New" }, "device_ids": workspace.locks(),
                           "requested_access_methods": [{ "mode": "code" }] });
        let made = post_as(token, "/access_grants/create", made).await.ok()["access_grant"].clone();
        let listed = post_as(token, "/access_grants/list", json!({})).await.ok();
        assert_eq!(listed["access_grants"][0]["access_grant_id"], made["access_grant_id"]);
        let foreign = json!({ "user_identity_id": other["user_identity_id"], "device_ids": workspace.locks(),
                              "requested_access_methods": [{ "mode": "code" }] });
        post_as(token, "/access_grants/create", foreign).await.error(404, "user_identity_not_found");
        let read_only = json!({ "client_session_id": session["client_session_id"], "is_read_only": true });
        workspace.post("/_emulator/client_sessions/update", read_only).await.ok();
        post_as(token, "/access_grants/get", json!({ "access_grant_key": "own" })).await.ok();
        let deletion = json!({ "access_grant_id": own["access_grant_id"] });
        post_as(token, "/access_grants/delete", deletion).await.error(401, "unauthorized");
    });
}

#[test]
fn access_grant_routes_reject_publishable_keys_and_sessions_without_a_customer() {
    run(async {
        let created = post_as("", "/_emulator/workspaces/create", json!({ "locks": 1 })).await.ok();
        let api_key = created["api_key"].as_str().unwrap();
        let session = json!({ "user_identifier_key": "jane" });
        let session = post_as(api_key, "/client_sessions/create", session).await.ok();
        let token = format!("Bearer {}", session["client_session"]["token"].as_str().unwrap());
        let publishable = created["publishable_key"].as_str().unwrap();
        for (path, params) in [
            ("/access_grants/list", json!({})),
            ("/access_grants/get", json!({ "access_grant_key": "x" })),
            ("/access_grants/create", json!({ "user_identity": {}, "requested_access_methods": [] })),
            ("/access_grants/update", json!({ "access_grant_key": "x", "name": "x" })),
            ("/access_grants/delete", json!({ "access_grant_id": UNKNOWN })),
            ("/access_grants/get_related", json!({ "access_grant_keys": ["x"] })),
            ("/access_methods/get", json!({ "access_method_id": UNKNOWN })),
            ("/access_methods/list", json!({ "access_grant_key": "x" })),
            ("/access_methods/delete", json!({ "access_method_id": UNKNOWN })),
            ("/access_methods/get_related", json!({ "access_method_ids": [UNKNOWN] })),
        ] {
            for credential in [("authorization", token.as_str()), ("seam-publishable-key", publishable)] {
                let headers = [credential, ("content-type", "application/json")];
                let reply = ask("POST", path, &headers, params.to_string()).await;
                assert_eq!(reply.status, 401, "{path} {}", credential.0);
            }
        }
    });
}

#[test]
fn access_grant_events_are_found_by_grant_but_not_those_of_its_codes() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let first = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        let second = grant(&workspace, json!({ "device_ids": workspace.locks() })).await;
        workspace.advance("PT1S").await;
        let types = async |filter: Value| {
            let events = workspace.events(filter).await;
            events.iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let expected = [
            "access_grant.created",
            "access_method.created",
            "access_method.issued",
            "access_grant.access_granted_to_all_doors",
        ];
        assert_eq!(types(json!({ "access_grant_id": first["access_grant_id"] })).await, expected);
        let both = json!({ "access_grant_ids": [first["access_grant_id"], second["access_grant_id"]] });
        assert_eq!(types(both).await.len(), 2 * expected.len());
        let methods = [&first["access_method_ids"][0], &second["access_method_ids"][0]];
        assert_eq!(types(json!({ "access_method_ids": methods })).await.len(), 4);
        assert_eq!(types(json!({ "access_grant_id": UNKNOWN })).await, [""; 0]);
        assert_eq!(grant_events(&workspace).await.len(), 2 * expected.len());
        let event = &workspace.events(json!({ "access_method_id": methods[0] })).await[0];
        let expected = json!({
            "event_id": event["event_id"], "event_type": "access_method.created", "workspace_id": workspace.workspace_id,
            "event_description": event["event_description"], "created_at": event["created_at"],
            "occurred_at": event["occurred_at"], "access_method_id": methods[0],
            "access_grant_ids": [first["access_grant_id"]],
        });
        assert_eq!(*event, expected, "no fields of devices, and no keys of a grant without a key");
    });
}

#[test]
fn access_grant_events_are_found_by_the_customer_of_the_guest() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let session = json!({ "customer_key": "acme" });
        let session = workspace.post("/client_sessions/create", session).await.ok()["client_session"].clone();
        let token = session["token"].as_str().unwrap();
        let mut grants = Vec::new();
        for customer in ["acme", "b"] {
            let guest = json!({ "full_name": "Guest", "customer_key": customer });
            let guest = workspace.post("/user_identities/create", guest).await.ok()["user_identity"].clone();
            let params = json!({ "device_ids": workspace.locks(), "user_identity_id": guest["user_identity_id"] });
            grants.push(grant(&workspace, params).await);
        }
        let by_customer = json!({ "customer_key": "acme", "event_type": "access_method.created" });
        let found = workspace.events(by_customer).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["access_grant_ids"], json!([grants[0]["access_grant_id"]]));
        let params = json!({ "since": "2000-01-01T00:00:00Z", "event_type": "access_method.created" });
        let of_session = post_as(token, "/events/list", params).await.ok();
        assert_eq!(of_session["events"], json!(found));
    });
}

#[test]
fn paths_of_portals_and_instant_keys_are_named_as_not_served() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for path in [
            "/customers/create_portal",
            "/customers/push_data",
            "/instant_keys/list",
            "/user_identities/generate_instant_key",
            "/user_identities/add_acs_user",
            "/user_identities/list_accessible_entrances",
        ] {
            let reply = workspace.post(path, json!({})).await;
            assert_eq!(reply.status, 501, "{path}: {}", reply.body);
            assert!(reply.body["error"]["message"].as_str().unwrap().contains(path), "{}", reply.body);
        }
    });
}
