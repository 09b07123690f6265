//! Credentials: each path accepts the kinds that the contract lists, and no others. Persons and their workspaces.

use crate::support::{CONSOLE_SESSION_SECRET, Reply, SEAM_CONTRACT, TestWorkspace, UNKNOWN, app, ask, post_as, run};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use latchkey::testing::domain::sandbox::{API_KEY, PERSONAL_ACCESS_TOKEN, WORKSPACE_ID};
use latchkey::testing::engine::sandbox;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeSet;

const JSON: (&str, &str) = ("content-type", "application/json");

const NOTHING: &str = "No authentication methods succeeded";

/// Returns a console session of a person with these further claims.
fn console_session(person_id: &Value, mut claims: Value) -> String {
    claims["sub"] = person_id.clone();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({ "alg": "HS256" })), encode(&claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(CONSOLE_SESSION_SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Returns the entry of a workspace in the list of the control plane.
async fn listed(workspace: &TestWorkspace) -> Value {
    workspace.post("/_emulator/workspaces/list", json!({})).await.ok()["workspaces"][0].clone()
}

/// Creates a client session with these parameters and returns it.
async fn session(workspace: &TestWorkspace, params: Value) -> Value {
    workspace.post("/client_sessions/create", params).await.ok()["client_session"].clone()
}

/// Sends a POST with these headers and this body.
async fn post(path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    ask("POST", path, &[headers, &[JSON]].concat(), body.to_string()).await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Credentials of one kind: the headers of a request, and the schemes of the contract that accept them.
type Kind = (Vec<(&'static str, String)>, &'static [&'static str]);

/// Returns a credential of each kind and form for one workspace.
async fn kinds(workspace: &TestWorkspace) -> Vec<Kind> {
    let entry = listed(workspace).await;
    let account = &workspace.devices[0]["connected_account_id"];
    let token = |session: &Value| session["token"].as_str().unwrap().to_owned();
    let client = token(&session(workspace, json!({ "connected_account_ids": [account] })).await);
    let customer = token(&session(workspace, json!({ "customer_key": "customer" })).await);
    let read_only = session(workspace, json!({ "customer_key": "reader" })).await;
    let params = json!({ "client_session_id": read_only["client_session_id"], "is_read_only": true });
    workspace.post("/_emulator/client_sessions/update", params).await.ok();
    let console = bearer(&console_session(&entry["person_id"], json!({})));
    let personal = bearer(&workspace.personal_access_token);
    let named = ("seam-workspace", workspace.workspace_id.clone());
    let mut kinds: Vec<Kind> = vec![
        (vec![], &[]),
        (vec![("authorization", bearer(&workspace.api_key))], &["api_key"]),
        (vec![("authorization", personal.clone())], &["pat_without_workspace"]),
        (vec![("authorization", personal), named.clone()], &["pat_with_workspace", "pat_without_workspace"]),
        (vec![("authorization", console.clone())], &["console_session_without_workspace"]),
        (
            vec![("authorization", console), named],
            &["console_session_with_workspace", "console_session_without_workspace"],
        ),
        (vec![("seam-publishable-key", entry["publishable_key"].as_str().unwrap().to_owned())], &["publishable_key"]),
        // A publishable key is no bearer token.
        (vec![("authorization", bearer(entry["publishable_key"].as_str().unwrap()))], &[]),
    ];
    let sessions: [(String, &'static [&'static str]); 3] = [
        (client, &["client_session"]),
        (customer, &["client_session_with_customer"]),
        (token(&read_only), &["client_session_with_customer_ro"]),
    ];
    for (token, schemes) in sessions {
        kinds.push((vec![("authorization", bearer(&token))], schemes));
        kinds.push((vec![("seam-client-session-token", token.clone())], schemes));
        kinds.push((vec![("client-session-token", token)], schemes));
    }
    kinds
}

#[test]
fn paths_accept_exactly_the_credentials_that_the_contract_lists() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let kinds = kinds(&workspace).await;
        let mut schemes: BTreeSet<&str> = kinds.iter().flat_map(|(_, schemes)| schemes.iter().copied()).collect();
        schemes.insert("support_read_only_token");
        let (mut accepted, mut rejected) = (0, 0);
        for path in SEAM_CONTRACT.paths() {
            let endpoint = SEAM_CONTRACT.endpoint(path).unwrap();
            let unknown: Vec<&str> = endpoint.security().filter(|scheme| !schemes.contains(scheme)).collect();
            assert!(unknown.is_empty(), "{path} has schemes that no credential of this test has: {unknown:?}");
            for (headers, schemes) in &kinds {
                let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                // The body is checked after the credential, so that nothing is executed.
                let reply = ask("POST", path, &[&headers[..], &[JSON]].concat(), "not JSON").await;
                if schemes.iter().any(|scheme| endpoint.allows(scheme)) {
                    assert_eq!(reply.status, 400, "{path} {headers:?}: {}", reply.body);
                    accepted += 1;
                } else {
                    let error = reply.error(401, "unauthorized");
                    assert_eq!(error["message"], NOTHING, "{path} {headers:?}");
                    rejected += 1;
                }
            }
        }
        assert!(accepted > 100 && rejected > 100, "{accepted} accepted, {rejected} rejected");
    });
}

#[test]
fn personal_access_token_opens_all_workspaces_of_its_person() {
    run(async {
        let (first, stranger) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let token = &first.personal_access_token;
        let authorization = bearer(token);
        let pat = ("authorization", authorization.as_str());
        // Another workspace of the control plane is given to the same person.
        let second = TestWorkspace::create_with(json!({ "personal_access_token": token, "locks": 2 })).await;
        assert_eq!(second.personal_access_token, *token);
        assert_eq!(listed(&first).await["person_id"], listed(&second).await["person_id"]);
        assert_ne!(listed(&first).await["person_id"], listed(&stranger).await["person_id"]);
        let params = json!({ "name": "Third", "is_sandbox": true });
        let third = post("/workspaces/create", &[pat], params).await.ok()["workspace"].clone();
        let third_id = third["workspace_id"].as_str().unwrap();
        let expected = json!([first.workspace_id, second.workspace_id, third_id]);
        for selected in [None, Some(&first.workspace_id)] {
            let selected = selected.map(|id| ("seam-workspace", id.as_str()));
            let headers: Vec<(&str, &str)> = [pat].into_iter().chain(selected).collect();
            let found = post("/workspaces/list", &headers, json!({})).await.ok();
            let ids: Value =
                found["workspaces"].as_array().unwrap().iter().map(|it| it["workspace_id"].clone()).collect();
            assert_eq!(ids, expected);
        }
        for (workspace_id, devices) in
            [(first.workspace_id.as_str(), 1), (second.workspace_id.as_str(), 2), (third_id, 0)]
        {
            let found = post("/devices/list", &[pat, ("seam-workspace", workspace_id)], json!({})).await.ok();
            assert_eq!(found["devices"].as_array().unwrap().len(), devices, "{workspace_id}");
        }
        for workspace_id in [stranger.workspace_id.as_str(), UNKNOWN, "x"] {
            for path in ["/devices/list", "/workspaces/list"] {
                let reply = post(path, &[pat, ("seam-workspace", workspace_id)], json!({})).await;
                assert_eq!(reply.error(401, "unauthorized")["message"], "Access token not found");
            }
        }
        // The token ends with the last workspace of the person.
        for workspace_id in [first.workspace_id.as_str(), &second.workspace_id, third_id] {
            assert!(post("/workspaces/list", &[pat], json!({})).await.status == 200);
            post_as("", "/_emulator/workspaces/delete", json!({ "workspace_id": workspace_id })).await.ok();
            let headers = [pat, ("seam-workspace", workspace_id)];
            let error = post("/devices/list", &headers, json!({})).await.error(401, "unauthorized");
            assert_eq!(error["message"], "Access token not found");
        }
        post("/workspaces/list", &[pat], json!({})).await.error(401, "unauthorized");
        post("/workspaces/create", &[pat], json!({ "name": "x" })).await.error(401, "unauthorized");
    });
}

#[test]
fn workspaces_deleted_and_given_to_one_person_at_the_same_time_stay_consistent() {
    run(async {
        for round in 0..8 {
            let token = format!("seam_at1race_{round}_{}", latchkey::testing::ids::random_id().simple());
            let first = TestWorkspace::create_with(json!({ "personal_access_token": token })).await;
            let create = post_as("", "/_emulator/workspaces/create", json!({ "personal_access_token": token }));
            let delete = first.post("/_emulator/workspaces/delete", json!({}));
            let (created, deleted) = tokio::join!(create, delete);
            deleted.ok();
            assert!(matches!(created.status, 200 | 409), "{}", created.body);
            if created.status == 200 {
                let authorization = bearer(&token);
                let headers = [("authorization", authorization.as_str())];
                let found = post("/workspaces/list", &headers, json!({})).await.ok();
                let ids = &found["workspaces"];
                assert_eq!(ids.as_array().unwrap().len(), 1);
                assert_eq!(ids[0]["workspace_id"], created.body["workspace"]["workspace_id"]);
            }
        }
    });
}

#[test]
fn personal_access_token_of_the_sandbox_is_fixed_and_not_for_remote_pages() {
    run(async {
        sandbox::ensure(&app()).await.unwrap();
        let authorization = bearer(PERSONAL_ACCESS_TOKEN);
        let sandbox_id = WORKSPACE_ID.to_string();
        let pat = [("authorization", authorization.as_str()), ("seam-workspace", sandbox_id.as_str())];
        let by_token = post("/workspaces/get", &pat, json!({})).await.ok();
        assert_eq!(by_token, post_as(API_KEY, "/workspaces/get", json!({})).await.ok());
        let listed = post("/workspaces/list", &pat[..1], json!({})).await.ok();
        assert!(listed["workspaces"].as_array().unwrap().contains(&by_token["workspace"]));
        for path in ["/workspaces/get", "/workspaces/list", "/workspaces/create"] {
            for headers in [&pat[..], &pat[..1]] {
                let page = ("origin", "https://evil.example");
                let error = post(path, &[headers, &[page]].concat(), json!({})).await.error(401, "unauthorized");
                assert!(error["message"] != "Access token not found", "{error}");
            }
        }
        post("/workspaces/get", &[&pat[..], &[("origin", "http://localhost:3000")]].concat(), json!({})).await.ok();
    });
}

#[test]
fn console_session_opens_the_workspaces_of_its_person_until_it_expires() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let person_id = listed(&workspace).await["person_id"].clone();
        let now = latchkey::testing::clock::machine_now().timestamp();
        let valid = bearer(&console_session(&person_id, json!({ "exp": now + 600 })));
        let console = ("authorization", valid.as_str());
        let of = |workspace: &TestWorkspace| workspace.workspace_id.clone();
        let (own_id, other_id) = (of(&workspace), of(&other));
        let own = [console, ("seam-workspace", own_id.as_str())];
        assert_eq!(post("/devices/list", &own, json!({})).await.ok()["devices"], json!(workspace.devices));
        assert_eq!(post("/workspaces/list", &[console], json!({})).await.ok()["workspaces"][0]["workspace_id"], own_id);
        for headers in [&own[..], &own[..1]] {
            let created = post("/workspaces/create", headers, json!({ "name": "Mine" })).await.ok();
            assert_eq!(created["workspace"]["name"], "Mine");
        }
        let message = async |headers: &[(&str, &str)], path: &str| {
            post(path, headers, json!({})).await.error(401, "unauthorized")["message"].clone()
        };
        for workspace_id in [other_id.as_str(), UNKNOWN, "x"] {
            let headers = [console, ("seam-workspace", workspace_id)];
            let expected = "User does not have access to this workspace";
            assert_eq!(message(&headers, "/devices/list").await, expected, "{workspace_id}");
        }
        assert_eq!(message(&[console], "/devices/list").await, NOTHING);
        let forged = format!("{valid}x");
        let expired = bearer(&console_session(&person_id, json!({ "exp": now - 1 })));
        for token in [&forged, &expired, "Bearer ey", "Bearer eyJhbGciOiJub25lIn0.e30."] {
            let headers = [("authorization", token), ("seam-workspace", own_id.as_str())];
            assert_eq!(message(&headers, "/devices/list").await, "Session not found", "{token}");
        }
        let nobody = bearer(&console_session(&json!(UNKNOWN), json!({})));
        assert_eq!(message(&[("authorization", &nobody)], "/workspaces/list").await, "Session not found");
    });
}

#[test]
fn publishable_key_creates_only_empty_client_sessions_of_a_named_user() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let account = &workspace.devices[0]["connected_account_id"];
        let entry = listed(&workspace).await;
        let key = ("seam-publishable-key", entry["publishable_key"].as_str().unwrap());
        for path in ["/client_sessions/create", "/client_sessions/get_or_create"] {
            let error = post(path, &[key], json!({})).await;
            let error = error.error(401, "publishable_key_requires_user_identifier_key");
            assert_eq!(error["message"], "user_identifier_key is required with publishable_key");
            for (name, value) in [
                ("connected_account_ids", json!([account])),
                ("connect_webview_ids", json!([UNKNOWN])),
                ("user_identity_id", json!(UNKNOWN)),
                ("user_identity_ids", json!([UNKNOWN])),
            ] {
                let params = json!({ "user_identifier_key": "jane", name: value });
                let kind = "publishable_keys_must_create_empty_client_sessions";
                post(path, &[key], params).await.error(403, kind);
            }
            let error = post(path, &[("seam-publishable-key", "seam_pk1nobodys")], json!({})).await;
            let error = error.error(401, "workspace_not_found");
            assert_eq!(error["message"], "Cannot find workspace associated with this publishable_key");
        }
        let params = json!({ "user_identifier_key": "jane" });
        let created = post("/client_sessions/get_or_create", &[key], params.clone()).await.ok();
        assert_eq!(created["client_session"]["device_count"], 0);
        post("/client_sessions/create", &[key], params.clone()).await.error(400, "client_session_token_already_exists");
        // Somebody with an API key grants the access afterwards.
        let grant = json!({ "user_identifier_key": "jane", "connected_account_ids": [account] });
        workspace.post("/client_sessions/grant_access", grant).await.ok();
        let again = post("/client_sessions/get_or_create", &[key], params.clone()).await.ok();
        assert_eq!(again["client_session"]["token"], created["client_session"]["token"]);
        assert_eq!(again["client_session"]["device_count"], 1);
        // The workspace can refuse its key.
        let refuse = json!({ "is_publishable_key_auth_enabled": false });
        workspace.post("/workspaces/update", refuse).await.ok();
        let error = post("/client_sessions/get_or_create", &[key], params.clone()).await.error(401, "unauthorized");
        assert!(error["message"].as_str().unwrap().contains("is_publishable_key_auth_enabled"), "{error}");
        workspace.post("/workspaces/update", json!({ "is_publishable_key_auth_enabled": true })).await.ok();
        post("/client_sessions/get_or_create", &[key], params).await.ok();
    });
}

#[test]
fn publishable_key_that_is_not_text_is_rejected() {
    run(async {
        let request = axum::http::Request::post("/client_sessions/create")
            .header("host", "localhost")
            .header("seam-publishable-key", axum::http::HeaderValue::from_bytes(b"\xff").unwrap());
        let reply = crate::support::send(request.body(axum::body::Body::empty()).unwrap()).await;
        let error = reply.error(401, "invalid_publishable_key");
        assert_eq!(error["message"], "seam-publishable-key must be a string");
    });
}

#[test]
fn deletion_of_a_workspace_must_name_it() {
    run(async {
        sandbox::ensure(&app()).await.unwrap();
        let messages = post_as("", "/_emulator/workspaces/delete", json!({})).await.invalid("workspace_id");
        assert!(messages[0].contains("sandbox"), "{messages:?}");
        post_as(API_KEY, "/devices/list", json!({})).await.ok();
    });
}
