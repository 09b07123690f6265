//! Client sessions: their life, and the part of the workspace that each of them sees.

use crate::access_codes::on_lock;
use crate::support::{Reply, TestWorkspace, UNKNOWN, ask, post_as, run};
use latchkey::testing::store::snapshots::checksum;
use serde_json::{Value, json};

/// A workspace with locks of two accounts, and a client session for the account of the first lock.
struct TwoAccounts {
    workspace: TestWorkspace,
    session: Value,
}

impl TwoAccounts {
    async fn create() -> Self {
        Self::with(json!({ "user_identifier_key": "jane" })).await
    }

    /// Creates the session with these parameters and access to the first account.
    async fn with(mut params: Value) -> Self {
        let locks = json!([{ "device_type": "august_lock" }, { "device_type": "schlage_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        params["connected_account_ids"] = json!([workspace.devices[0]["connected_account_id"]]);
        let session = create(&workspace, params).await;
        Self { workspace, session }
    }

    fn account(&self, index: usize) -> Value {
        self.workspace.devices[index]["connected_account_id"].clone()
    }

    fn token(&self) -> &str {
        self.session["token"].as_str().unwrap()
    }

    /// Sends a POST with the token of the session.
    async fn post(&self, path: &str, body: Value) -> Reply {
        post_as(self.token(), path, body).await
    }

    /// Returns the ids of the devices that the session sees.
    async fn devices(&self) -> Vec<Value> {
        let found = self.post("/devices/list", json!({})).await.ok();
        found["devices"].as_array().unwrap().iter().map(|device| device["device_id"].clone()).collect()
    }
}

/// Creates a client session and returns it.
async fn create(workspace: &TestWorkspace, params: Value) -> Value {
    workspace.post("/client_sessions/create", params).await.ok()["client_session"].clone()
}

fn of(session: &Value) -> Value {
    json!({ "client_session_id": session["client_session_id"] })
}

#[test]
fn client_session_has_the_fields_of_the_contract() {
    run(async {
        let two = TwoAccounts::create().await;
        let session = &two.session;
        assert!(session["token"].as_str().unwrap().starts_with("seam_cst1"), "{session}");
        let expected = json!({
            "client_session_id": session["client_session_id"],
            "workspace_id": two.workspace.workspace_id,
            "created_at": "2026-03-02T12:00:00.000Z",
            "expires_at": "2026-03-16T12:00:00.000Z",
            "token": session["token"],
            "user_identifier_key": "jane",
            "device_count": 1,
            "connected_account_ids": [two.account(0)],
            "connect_webview_ids": [],
            "user_identity_ids": [],
        });
        assert_eq!(*session, expected);
        for params in [of(session), json!({ "user_identifier_key": "jane" })] {
            let found = two.workspace.post("/client_sessions/get", params).await.ok();
            assert_eq!(found["client_session"], expected);
        }
        // A session sees only itself.
        let other = create(&two.workspace, json!({ "user_identifier_key": "joe", "customer_key": "acme" })).await;
        assert_eq!((&other["customer_key"], &other["device_count"]), (&json!("acme"), &json!(0)));
        for params in [json!({}), of(session), json!({ "user_identifier_key": "jane" })] {
            assert_eq!(two.post("/client_sessions/get", params).await.ok()["client_session"], expected);
        }
        for params in
            [of(&other), json!({ "user_identifier_key": "joe" }), of(&json!({ "client_session_id": UNKNOWN }))]
        {
            two.post("/client_sessions/get", params).await.error(404, "client_session_not_found");
        }
        two.workspace.post("/client_sessions/get", json!({})).await.error(400, "invalid_input");
        let both = json!({ "client_session_id": session["client_session_id"], "user_identifier_key": "joe" });
        two.workspace.post("/client_sessions/get", both).await.error(404, "client_session_not_found");
    });
}

#[test]
fn client_session_token_is_accepted_in_three_headers() {
    run(async {
        let two = TwoAccounts::create().await;
        let bearer = format!("Bearer {}", two.token());
        for header in [
            ("authorization", bearer.as_str()),
            ("seam-client-session-token", two.token()),
            ("client-session-token", two.token()),
        ] {
            let found = ask("GET", "/devices/list", &[header], "").await.ok();
            assert_eq!(found["devices"].as_array().unwrap().len(), 1, "{header:?}");
        }
        // The separate header has priority over the bearer token.
        let headers = [("authorization", bearer.as_str()), ("seam-client-session-token", "seam_cst1nobodys")];
        ask("GET", "/devices/list", &headers, "").await.error(401, "client_session_not_found");
    });
}

#[test]
fn client_session_sees_and_changes_only_what_its_accounts_have() {
    run(async {
        let two = TwoAccounts::create().await;
        let lock = |index: usize| two.workspace.lock(index);
        assert_eq!(two.devices().await, [json!(lock(0))]);
        two.post("/devices/get", json!({ "device_id": lock(1) })).await.error(404, "device_not_found");
        let created = two.post("/access_codes/create", json!({ "device_id": lock(0), "code": "135790" })).await.ok();
        let own = &created["access_code"]["access_code_id"];
        two.post("/access_codes/create", json!({ "device_id": lock(1) })).await.error(404, "device_not_found");
        let hidden = two.workspace.create(on_lock(&two.workspace, 1, json!({ "code": "246801" }))).await;
        two.workspace.advance("PT1M").await;
        for path in ["/access_codes/get", "/access_codes/delete", "/access_codes/pull_backup_access_code"] {
            let params = json!({ "access_code_id": hidden["access_code_id"] });
            two.post(path, params).await.error(404, "access_code_not_found");
        }
        let attempt = created["action_attempt"]["action_attempt_id"].clone();
        let found = two.post("/action_attempts/get", json!({ "action_attempt_id": attempt })).await.ok();
        assert_eq!(found["action_attempt"]["status"], "success");
        let events = two.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await.ok();
        let listed = events["events"].as_array().unwrap().iter();
        let devices = listed.filter_map(|event| event.get("device_id"));
        assert!(devices.clone().count() > 1 && devices.clone().all(|id| *id == json!(lock(0))), "{events}");
        two.post("/access_codes/delete", json!({ "access_code_id": own })).await.ok();
    });
}

#[test]
fn client_session_cannot_learn_the_pin_of_a_key_that_it_does_not_see() {
    run(async {
        let two = TwoAccounts::create().await;
        let (own, hidden) = (two.workspace.lock(0), two.workspace.lock(1));
        let staff = json!({ "device_id": hidden, "common_code_key": "staff", "code": "246801" });
        two.workspace.create(staff).await;
        for code in [None, Some("246801"), Some("135790")] {
            let mut params = json!({ "device_id": own, "common_code_key": "staff" });
            if let Some(code) = code {
                params["code"] = json!(code);
            }
            let error = two.post("/access_codes/create", params).await.error(409, "conflict");
            assert!(!error.to_string().contains("246801"), "{error}");
        }
        // In one batch with the request that uses the key first.
        let guests = |device_id: &str| json!({ "device_id": device_id, "common_code_key": "guests" });
        let (first, second, third) = tokio::join!(
            two.workspace.post("/access_codes/create", json!({ "device_id": hidden })),
            two.workspace.post("/access_codes/create", guests(&hidden)),
            two.post("/access_codes/create", guests(&own)),
        );
        first.ok();
        // Whichever comes first: the session never gets a code with the PIN of the other account.
        let pin = |reply: &Reply| reply.body["access_code"]["code"].clone();
        if third.status == 200 {
            assert_eq!(second.status, 200);
            assert_eq!(pin(&second), pin(&third), "the session chose the PIN, and the API key joined it");
        } else {
            third.error(409, "conflict");
        }
        // The key of its own codes is shared as usual.
        let own_key = json!({ "device_id": own, "common_code_key": "own", "code": "135790" });
        two.post("/access_codes/create", own_key).await.ok();
    });
}

#[test]
fn client_session_expires_on_the_clock_of_the_workspace() {
    run(async {
        let two = TwoAccounts::with(json!({ "expires_at": "2026-03-02T13:00:00Z" })).await;
        two.workspace.advance("PT59M59S").await;
        two.post("/devices/list", json!({})).await.ok();
        two.workspace.advance("PT1S").await;
        let error = two.post("/devices/list", json!({})).await.error(401, "client_session_expired");
        assert_eq!(error["message"], "Unauthorized (client session expired)");
        for expires_at in ["2026-03-02T13:00:00Z", "2020-01-01T00:00:00Z"] {
            let reply = two.workspace.post("/client_sessions/create", json!({ "expires_at": expires_at })).await;
            assert!(reply.invalid("expires_at")[0].contains("clock of the workspace"));
        }
        // The user of an expired session gets another one.
        let expired =
            create(&two.workspace, json!({ "user_identifier_key": "x", "expires_at": "2026-03-02T13:00:01Z" }));
        let expired = expired.await;
        two.workspace.advance("PT1S").await;
        let renewed = create(&two.workspace, json!({ "user_identifier_key": "x" })).await;
        assert_ne!(renewed["token"], expired["token"]);
    });
}

#[test]
fn revoked_client_session_is_rejected_at_once() {
    run(async {
        let two = TwoAccounts::create().await;
        two.post("/devices/list", json!({})).await.ok();
        for _ in 0..2 {
            two.workspace.post("/client_sessions/revoke", of(&two.session)).await.ok();
            let error = two.post("/devices/list", json!({})).await.error(401, "client_session_revoked");
            assert_eq!(error["message"], "Unauthorized (client session revoked)");
        }
        let renewed = create(&two.workspace, json!({ "user_identifier_key": "jane" })).await;
        assert_ne!(renewed["token"], two.session["token"]);
        let found = two.workspace.post("/client_sessions/get", json!({ "user_identifier_key": "jane" })).await.ok();
        assert_eq!(found["client_session"], renewed);
    });
}

#[test]
fn deleted_client_session_is_gone_and_its_event_is_recorded() {
    run(async {
        let two = TwoAccounts::create().await;
        two.post("/devices/list", json!({})).await.ok();
        two.workspace
            .request(
                "DELETE",
                &format!(
                    "/client_sessions/delete?client_session_id={}",
                    two.session["client_session_id"].as_str().unwrap()
                ),
            )
            .await
            .ok();
        two.post("/devices/list", json!({})).await.error(401, "client_session_not_found");
        two.workspace.post("/client_sessions/get", of(&two.session)).await.error(404, "client_session_not_found");
        let events = json!({ "since": "2000-01-01T00:00:00Z", "event_type": "client_session.deleted" });
        let events = two.workspace.post("/events/list", events).await.ok();
        let event = &events["events"][0];
        assert_eq!(events["events"].as_array().unwrap().len(), 1);
        assert_eq!(event["client_session_id"], two.session["client_session_id"]);
        assert_eq!(event["occurred_at"], "2026-03-02T12:00:00.000Z");
        let found = two.workspace.post("/events/get", json!({ "event_id": event["event_id"] })).await.ok();
        assert_eq!(found["event"], *event);
        // Other sessions do not see it.
        let other = create(&two.workspace, json!({ "connected_account_ids": [two.account(0)] })).await;
        let params = json!({ "event_id": event["event_id"] });
        post_as(other["token"].as_str().unwrap(), "/events/get", params).await.error(404, "event_not_found");
    });
}

#[test]
fn put_and_get_or_create_return_the_session_of_the_user_with_more_access() {
    run(async {
        let two = TwoAccounts::create().await;
        let params = json!({ "user_identifier_key": "jane", "connected_account_ids": [two.account(1)] });
        let error = two.workspace.post("/client_sessions/create", params.clone()).await;
        error.error(400, "client_session_token_already_exists");
        let bearer = format!("Bearer {}", two.workspace.api_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let put = ask("PUT", "/client_sessions/create", &headers, params.to_string()).await.ok();
        assert_eq!(put["client_session"]["token"], two.session["token"]);
        assert_eq!(put["client_session"]["connected_account_ids"], json!([two.account(0), two.account(1)]));
        assert_eq!(two.devices().await.len(), 2);
        let same = two.workspace.post("/client_sessions/get_or_create", params).await.ok();
        assert_eq!(same, put);
        let new = two.workspace.post("/client_sessions/get_or_create", json!({ "user_identifier_key": "joe" })).await;
        assert_ne!(new.ok()["client_session"]["token"], two.session["token"]);
        // Two requests at the same time create one session.
        let again = || two.workspace.post("/client_sessions/get_or_create", json!({ "user_identifier_key": "both" }));
        let (one, other) = tokio::join!(again(), again());
        assert_eq!(one.ok(), other.ok());
    });
}

#[test]
fn access_is_granted_by_id_or_user_and_only_to_what_exists() {
    run(async {
        let two = TwoAccounts::create().await;
        two.post("/devices/list", json!({})).await.ok();
        let grant = json!({ "client_session_id": two.session["client_session_id"],
                            "connected_account_ids": [two.account(1), two.account(0)] });
        let granted = two.workspace.post("/client_sessions/grant_access", grant).await.ok();
        assert_eq!(granted["client_session"]["device_count"], 2);
        assert_eq!(two.devices().await.len(), 2);
        let stranger = TestWorkspace::with_locks(1).await;
        let other_account = &stranger.devices[0]["connected_account_id"];
        for (access, kind) in [
            (json!({ "connected_account_ids": [other_account] }), "connected_account_not_found"),
            (json!({ "connected_account_ids": [UNKNOWN] }), "connected_account_not_found"),
            (json!({ "connected_account_ids": ["x"] }), "connected_account_not_found"),
            (json!({ "connect_webview_ids": [UNKNOWN] }), "connect_webview_not_found"),
            (json!({ "connect_webview_ids": ["x"] }), "connect_webview_not_found"),
            (json!({ "user_identity_id": UNKNOWN }), "user_identity_not_found"),
            (json!({ "user_identity_ids": [UNKNOWN] }), "user_identity_not_found"),
        ] {
            let mut by_user = access.clone();
            by_user["user_identifier_key"] = json!("jane");
            two.workspace.post("/client_sessions/grant_access", by_user).await.error(404, kind);
            two.workspace.post("/client_sessions/create", access).await.error(404, kind);
        }
        let customer = json!({ "customer_id": "x" });
        two.workspace.post("/client_sessions/create", customer).await.error(404, "customer_not_found");
        two.workspace.post("/client_sessions/grant_access", json!({})).await.error(400, "invalid_input");
        for id in [UNKNOWN, "x"] {
            let params = json!({ "client_session_id": id });
            two.workspace.post("/client_sessions/grant_access", params).await.error(404, "client_session_not_found");
        }
        for path in ["/client_sessions/revoke", "/client_sessions/delete"] {
            let unknown = json!({ "client_session_id": UNKNOWN });
            two.workspace.post(path, unknown).await.error(404, "client_session_not_found");
            stranger.post(path, of(&two.session)).await.error(404, "client_session_not_found");
        }
        assert_eq!(two.devices().await.len(), 2);
    });
}

#[test]
fn client_sessions_are_listed_newest_first_and_filtered() {
    run(async {
        let two = TwoAccounts::create().await;
        let nameless = create(&two.workspace, json!({})).await;
        let list = async |params: Value| {
            let listed = two.workspace.post("/client_sessions/list", params).await.ok();
            let ids = listed["client_sessions"].as_array().unwrap().iter().map(|it| it["client_session_id"].clone());
            ids.collect::<Vec<_>>()
        };
        let (jane, nameless) = (&two.session["client_session_id"], &nameless["client_session_id"]);
        for (params, expected) in [
            (json!({}), vec![nameless, jane]),
            (json!({ "client_session_id": jane }), vec![jane]),
            (json!({ "user_identifier_key": "jane" }), vec![jane]),
            (json!({ "client_session_id": nameless, "user_identifier_key": "jane" }), vec![]),
            (json!({ "without_user_identifier_key": true }), vec![nameless]),
            (json!({ "without_user_identifier_key": false }), vec![nameless, jane]),
            (json!({ "connect_webview_id": UNKNOWN }), vec![]),
            (json!({ "connect_webview_id": null, "user_identity_id": null }), vec![nameless, jane]),
            (json!({ "user_identity_id": UNKNOWN }), vec![]),
            (json!({ "client_session_id": "x" }), vec![]),
        ] {
            assert_eq!(list(params.clone()).await.iter().collect::<Vec<_>>(), expected, "{params}");
        }
        let stranger = TestWorkspace::with_locks(0).await;
        let found = stranger.post("/client_sessions/list", json!({ "client_session_id": jane })).await.ok();
        assert_eq!(found["client_sessions"], json!([]));
    });
}

#[test]
fn read_only_session_of_a_customer_reads_and_changes_nothing() {
    run(async {
        let two = TwoAccounts::with(json!({ "customer_key": "acme" })).await;
        let code = json!({ "device_id": two.workspace.lock(0) });
        two.post("/access_codes/create", code.clone()).await.ok();
        let update = |is_read_only: bool| json!({ "client_session_id": two.session["client_session_id"], "is_read_only": is_read_only });
        two.workspace.post("/_emulator/client_sessions/update", update(true)).await.ok();
        two.post("/access_codes/create", code.clone()).await.error(401, "unauthorized");
        assert_eq!(two.devices().await.len(), 1);
        let listed = two.post("/access_codes/list", json!({ "device_id": two.workspace.lock(0) })).await.ok();
        assert_eq!(listed["access_codes"].as_array().unwrap().len(), 1);
        two.workspace.post("/_emulator/client_sessions/update", update(false)).await.ok();
        two.post("/access_codes/create", code).await.ok();
        let plain = create(&two.workspace, json!({})).await;
        let params = json!({ "client_session_id": plain["client_session_id"], "is_read_only": true });
        two.workspace.post("/_emulator/client_sessions/update", params).await.invalid("is_read_only");
        let unknown = json!({ "client_session_id": UNKNOWN, "is_read_only": true });
        two.workspace.post("/_emulator/client_sessions/update", unknown).await.error(404, "client_session_not_found");
    });
}

#[test]
fn client_sessions_are_part_of_snapshots_with_their_tokens() {
    run(async {
        let two = TwoAccounts::create().await;
        let snapshot = two.workspace.post("/_emulator/snapshots/create", json!({})).await.ok();
        two.workspace.post("/client_sessions/delete", of(&two.session)).await.ok();
        let later = create(&two.workspace, json!({})).await;
        let restore = json!({ "snapshot_id": snapshot["snapshot_id"] });
        two.workspace.post("/_emulator/snapshots/restore", restore).await.ok();
        assert_eq!(two.devices().await.len(), 1);
        post_as(later["token"].as_str().unwrap(), "/devices/list", json!({}))
            .await
            .error(401, "client_session_not_found");
        // An imported document restores the same session.
        let exported = two.workspace.get("/_emulator/snapshots/export").await.ok()["snapshot"].clone();
        assert_eq!(exported["tables"]["client_session"][0]["token"], two.session["token"]);
        let stranger = TestWorkspace::with_locks(0).await;
        let mut document = exported.clone();
        document["tables"]["client_session"][0]["client_session_id"] = json!(UNKNOWN);
        for table in ["device", "connected_account", "event"] {
            document["tables"][table] = json!([]);
        }
        document["checksum"] = json!(checksum(document.as_object().unwrap()).unwrap());
        let error = stranger.post("/_emulator/snapshots/import", json!({ "snapshot": document })).await;
        let error = error.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains("token of a client session"), "{error}");
        two.workspace.post("/_emulator/workspaces/reset", json!({})).await.ok();
        two.post("/devices/list", json!({})).await.error(401, "client_session_not_found");
    });
}

#[test]
fn tokens_of_client_sessions_are_not_logged() {
    run(async {
        let two = TwoAccounts::create().await;
        let token = two.token().to_owned();
        ask("GET", &format!("/devices/list?client_session_token={token}"), &[("client-session-token", &token)], "")
            .await
            .ok();
        two.post("/devices/list", json!({ "search": format!("x{token}"), "client-session-token": token })).await.ok();
        two.workspace.post("/client_sessions/list", json!({})).await.ok();
        let log = two.workspace.post("/_emulator/requests", json!({ "limit": 100 })).await.ok().to_string();
        assert!(log.contains("/client_sessions/list") && !log.contains(&token), "{log}");
    });
}

#[test]
fn client_session_sees_its_webview_and_then_the_account_of_the_login() {
    run(async {
        let two = TwoAccounts::create().await;
        let webview = two.post("/connect_webviews/create", json!({})).await.ok()["connect_webview"].clone();
        let id = json!({ "connect_webview_id": webview["connect_webview_id"] });
        two.post("/connect_webviews/get", id.clone()).await.ok();
        let other = create(&two.workspace, json!({ "user_identifier_key": "joe" })).await;
        let token = other["token"].as_str().unwrap();
        post_as(token, "/connect_webviews/get", id.clone()).await.error(404, "connect_webview_not_found");
        let of_workspace = two.workspace.post("/connect_webviews/create", json!({})).await.ok();
        let hidden = json!({ "connect_webview_id": of_workspace["connect_webview"]["connect_webview_id"] });
        two.post("/connect_webviews/get", hidden).await.error(404, "connect_webview_not_found");
        let before = two.devices().await.len();
        let login = json!({ "connect_webview_id": id["connect_webview_id"], "user_identifier": "jane@example.com" });
        two.workspace.post("/_emulator/connect_webviews/complete", login).await.ok();
        let after = two.devices().await;
        assert!(after.len() > before, "{after:?}");
        let counted = two.workspace.post("/client_sessions/get", of(&two.session)).await.ok();
        assert_eq!(counted["client_session"]["device_count"], after.len());
        // The session keeps the account of a webview that is deleted.
        two.workspace.post("/connect_webviews/delete", id).await.ok();
        assert_eq!(two.devices().await, after);
        two.workspace.post("/devices/delete", json!({ "device_id": after[0] })).await.ok();
        let counted = two.workspace.post("/client_sessions/get", of(&two.session)).await.ok();
        assert_eq!(counted["client_session"]["device_count"], after.len() - 1);
    });
}

#[test]
fn client_session_creates_webviews_for_its_own_customer_only() {
    run(async {
        let two = TwoAccounts::with(json!({ "customer_key": "house" })).await;
        let customer_key = async |params: Value| {
            let created = two.post("/connect_webviews/create", params).await;
            created.ok()["connect_webview"]["customer_key"].clone()
        };
        assert_eq!(customer_key(json!({})).await, "house");
        assert_eq!(customer_key(json!({ "customer_key": "house" })).await, "house");
        let of_other = json!({ "customer_key": "hotel" });
        let refused = two.post("/connect_webviews/create", of_other.clone()).await.invalid("customer_key");
        assert!(refused[0].contains("its own customer"), "{refused:?}");
        let plain = TwoAccounts::create().await;
        plain.post("/connect_webviews/create", of_other).await.invalid("customer_key");
    });
}
