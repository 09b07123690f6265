//! Isolation route by route: for the key of another workspace, and for a client session of another account, every route
//! of the contract answers as if the thing that the request names did not exist.

use crate::support::{Reply, SEAM_CONTRACT, TestWorkspace, UNKNOWN, post_as, run};
use serde_json::{Value, json};

/// A workspace with things of one account, which others must not see.
struct Victim {
    workspace: TestWorkspace,
    /// Name of each thing in the requests below, with its id.
    things: Vec<(&'static str, String)>,
    /// Client session of another account of the same workspace.
    session_token: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

impl Victim {
    async fn create() -> Self {
        let locks = json!([{ "device_type": "august_lock" }, { "device_type": "schlage_lock" }]);
        let workspace = TestWorkspace::with(locks).await;
        let lock = workspace.lock(0);
        let params = json!({ "device_id": lock, "code": "135790", "common_code_key": "staff", "name": "Secret guest" });
        let created = workspace.post("/access_codes/create", params).await.ok();
        let unmanaged = json!({ "device_id": lock, "code": "246801" });
        let unmanaged = workspace.post("/_emulator/locks/add_code", unmanaged).await.ok();
        workspace.advance("PT1M").await;
        let event =
            json!({ "since": "2000-01-01T00:00:00Z", "access_code_id": created["access_code"]["access_code_id"] });
        let event = workspace.post("/events/list", event).await.ok();
        let session = async |params: Value| {
            workspace.post("/client_sessions/create", params).await.ok()["client_session"].clone()
        };
        let own = [workspace.devices[0]["connected_account_id"].clone()];
        let own_session = session(json!({ "user_identifier_key": "jane", "connected_account_ids": own })).await;
        let other = [workspace.devices[1]["connected_account_id"].clone()];
        let session_token = text(&session(json!({ "connected_account_ids": other })).await["token"]);
        let own_lock = lock.clone();
        let mut things = vec![
            ("$device", lock),
            ("$account", text(&own[0])),
            ("$code", text(&created["access_code"]["access_code_id"])),
            ("$unmanaged", text(&unmanaged["access_code"]["access_code_id"])),
            ("$attempt", text(&created["action_attempt"]["action_attempt_id"])),
            ("$event", text(&event["events"][0]["event_id"])),
            ("$session", text(&own_session["client_session_id"])),
            ("$workspace", workspace.workspace_id.clone()),
        ];
        for (name, path, params, pointer) in [
            ("$webhook", "/webhooks/create", json!({ "url": "http://127.0.0.1:9/hook" }), "/webhook/webhook_id"),
            ("$webview", "/connect_webviews/create", json!({}), "/connect_webview/connect_webview_id"),
            (
                "$space",
                "/spaces/create",
                json!({ "name": "Secret room", "space_key": "secret", "customer_key": "owner", "device_ids": [own_lock] }),
                "/space/space_id",
            ),
            (
                "$identity",
                "/user_identities/create",
                json!({ "full_name": "Secret guest", "user_identity_key": "secret", "customer_key": "owner" }),
                "/user_identity/user_identity_id",
            ),
        ] {
            things.push((name, text(workspace.post(path, params).await.ok().pointer(pointer).unwrap())));
        }
        let id_of = |name: &str| &things.iter().find(|(thing, _)| *thing == name).unwrap().1;
        let grant = json!({
            "user_identity_id": id_of("$identity"), "device_ids": [id_of("$device")], "space_ids": [id_of("$space")],
            "requested_access_methods": [{ "mode": "code", "code": "975310" }],
            "access_grant_key": "secret", "reservation_key": "secret", "name": "Secret stay",
        });
        let grant = workspace.post("/access_grants/create", grant).await.ok()["access_grant"].clone();
        things.push(("$grant", text(&grant["access_grant_id"])));
        things.push(("$method", text(&grant["access_method_ids"][0])));
        Self { workspace, things, session_token }
    }

    /// Returns a request that names the things of the victim, or with `exists: false` things that do not exist.
    fn request(&self, template: &Value, exists: bool) -> Value {
        let mut text = template.to_string();
        for (name, id) in &self.things {
            text = text.replace(name, if exists { id } else { UNKNOWN });
        }
        serde_json::from_str(&text).unwrap()
    }

    /// Returns a response with the ids of the victim replaced, as if the request had named nothing that exists.
    fn without_ids(&self, reply: &Reply) -> (u16, Value) {
        let mut text = reply.body.to_string();
        for (_, id) in &self.things {
            text = text.replace(id.as_str(), UNKNOWN);
        }
        (reply.status, serde_json::from_str(&text).unwrap())
    }

    /// Returns everything in the workspace.
    async fn state(&self) -> Value {
        self.workspace.get("/_emulator/snapshots/export").await.ok()["snapshot"]["tables"].clone()
    }
}

/// Returns the requests to a path that name things of somebody else. A path whose response shows the things of the
/// caller has a request without names too. Panics for a path that is not covered.
fn requests(path: &str) -> Vec<Value> {
    let all = [
        about_access_codes,
        about_access_grants,
        about_devices,
        about_credentials,
        about_spaces,
        about_user_identities,
        about_others,
    ];
    all.iter()
        .find_map(|requests| requests(path))
        .unwrap_or_else(|| panic!("{path} is not covered: add a request that names the things of somebody else"))
}

fn about_access_codes(path: &str) -> Option<Vec<Value>> {
    Some(match path {
        "/access_codes/create" => {
            vec![json!({ "device_id": "$device" }), json!({ "device_id": "$device", "code": "135790" })]
        }
        "/access_codes/create_multiple" => vec![json!({ "device_ids": ["$device"] })],
        "/access_codes/generate_code" | "/access_codes/simulate/create_unmanaged_access_code" => {
            vec![json!({ "device_id": "$device", "name": "x", "code": "4826" })]
        }
        "/access_codes/get" => {
            vec![json!({ "access_code_id": "$code" }), json!({ "device_id": "$device", "code": "135790" })]
        }
        "/access_codes/unmanaged/get" => {
            vec![json!({ "access_code_id": "$unmanaged" }), json!({ "device_id": "$device", "code": "246801" })]
        }
        "/access_codes/delete" | "/access_codes/get_timeline" | "/access_codes/pull_backup_access_code" => {
            vec![json!({ "access_code_id": "$code" })]
        }
        "/access_codes/list" => vec![
            json!({ "device_id": "$device" }),
            json!({ "access_code_ids": ["$code"] }),
            json!({ "access_code_ids": ["$code"], "search": "guest" }),
            json!({ "access_grant_id": "$grant" }),
            json!({ "access_method_id": "$method" }),
        ],
        "/access_codes/unmanaged/list" => vec![json!({ "device_id": "$device" })],
        "/access_codes/report_device_constraints" => {
            vec![json!({ "device_id": "$device", "supported_code_lengths": [4] })]
        }
        "/access_codes/unmanaged/convert_to_managed" | "/access_codes/unmanaged/delete" => {
            vec![json!({ "access_code_id": "$unmanaged" })]
        }
        "/access_codes/unmanaged/update" => vec![json!({ "access_code_id": "$unmanaged", "is_managed": true })],
        "/access_codes/update" => vec![json!({ "access_code_id": "$code", "name": "stolen", "code": "2468" })],
        "/access_codes/update_multiple" => vec![json!({ "common_code_key": "staff", "name": "stolen" })],
        _ => return None,
    })
}

fn about_access_grants(path: &str) -> Option<Vec<Value>> {
    let mode = json!([{ "mode": "code" }]);
    Some(match path {
        "/access_grants/create" => vec![
            json!({ "user_identity": {}, "requested_access_methods": mode, "device_ids": ["$device"] }),
            json!({ "user_identity": {}, "requested_access_methods": mode, "space_ids": ["$space"] }),
            json!({ "user_identity": {}, "requested_access_methods": mode, "location_ids": ["$space"] }),
            json!({ "user_identity": {}, "requested_access_methods": mode, "location": { "device_ids": ["$device"] } }),
            json!({ "user_identity_id": "$identity", "requested_access_methods": mode, "device_ids": ["$device"] }),
        ],
        "/access_grants/get" | "/access_grants/delete" | "/access_grants/unmanaged/get" => {
            vec![json!({ "access_grant_id": "$grant" })]
        }
        "/access_grants/list" => vec![
            json!({}),
            json!({ "access_grant_ids": ["$grant"] }),
            json!({ "access_grant_key": "secret" }),
            json!({ "reservation_key": "secret" }),
            json!({ "device_id": "$device" }),
            json!({ "space_id": "$space" }),
            json!({ "user_identity_id": "$identity" }),
            json!({ "customer_key": "owner" }),
            json!({ "search": "Secret" }),
        ],
        "/access_grants/update" => {
            vec![json!({ "access_grant_id": "$grant", "name": "stolen", "ends_at": "2027-01-01T00:00:00Z" })]
        }
        "/access_grants/request_access_methods" => {
            vec![json!({ "access_grant_id": "$grant", "requested_access_methods": mode })]
        }
        "/access_grants/get_related" => vec![json!({ "access_grant_ids": ["$grant"] })],
        "/access_methods/get" | "/access_methods/unmanaged/get" => vec![json!({ "access_method_id": "$method" })],
        "/access_methods/delete" => vec![
            json!({ "access_method_id": "$method" }),
            json!({ "access_grant_id": "$grant" }),
            json!({ "reservation_key": "secret" }),
        ],
        "/access_methods/list" => vec![
            json!({ "access_grant_id": "$grant" }),
            json!({ "access_grant_key": "secret" }),
            json!({ "access_grant_id": "$grant", "device_id": "$device", "space_id": "$space" }),
        ],
        "/access_methods/get_related" => vec![json!({ "access_method_ids": ["$method"] })],
        // There are no cards, encoders and cloud keys: these reject every method.
        "/access_methods/encode" => vec![json!({ "access_method_id": "$method", "acs_encoder_id": UNKNOWN })],
        "/access_methods/assign_card" => vec![json!({ "access_method_id": "$method", "card_number": "1" })],
        "/access_methods/unlock_door" => vec![json!({ "access_method_id": "$method", "acs_entrance_id": UNKNOWN })],
        "/access_grants/unmanaged/update" => vec![json!({ "access_grant_id": "$grant", "is_managed": true })],
        "/access_grants/unmanaged/list" => vec![json!({})],
        "/access_methods/unmanaged/list" => vec![json!({ "access_grant_id": "$grant" })],
        _ => return None,
    })
}

fn about_devices(path: &str) -> Option<Vec<Value>> {
    Some(match path {
        "/devices/list" | "/devices/unmanaged/list" | "/locks/list" => vec![
            json!({}),
            json!({ "device_ids": ["$device"] }),
            json!({ "connected_account_id": "$account" }),
            json!({ "connected_account_ids": ["$account"] }),
            json!({ "search": "August" }),
            json!({ "connect_webview_id": "$webview" }),
            json!({ "space_id": "$space" }),
        ],
        // The same for every caller.
        "/devices/list_device_providers" => Vec::new(),
        "/devices/report_provider_metadata" => {
            vec![json!({ "devices": [{ "device_id": "$device", "provider_metadata": {} }] })]
        }
        "/devices/unmanaged/update" => vec![json!({ "device_id": "$device", "is_managed": true })],
        "/devices/update" => vec![json!({ "device_id": "$device", "name": "stolen", "is_managed": false })],
        "/devices/delete"
        | "/devices/get"
        | "/devices/simulate/connect"
        | "/devices/simulate/connect_to_hub"
        | "/devices/simulate/disconnect"
        | "/devices/simulate/disconnect_from_hub"
        | "/devices/simulate/remove"
        | "/devices/unmanaged/get"
        | "/locks/get"
        | "/locks/lock_door"
        | "/locks/simulate/manual_lock_via_keypad"
        | "/locks/unlock_door" => vec![json!({ "device_id": "$device" })],
        "/devices/simulate/paid_subscription" => vec![json!({ "device_id": "$device", "is_expired": true })],
        "/locks/configure_auto_lock" => vec![json!({ "device_id": "$device", "auto_lock_enabled": true })],
        "/locks/simulate/keypad_code_entry" => vec![json!({ "device_id": "$device", "code": "135790" })],
        _ => return None,
    })
}

fn about_credentials(path: &str) -> Option<Vec<Value>> {
    Some(match path {
        "/client_sessions/create" | "/client_sessions/get_or_create" => {
            vec![
                json!({ "connected_account_ids": ["$account"] }),
                json!({ "connect_webview_ids": ["$webview"] }),
                json!({ "user_identity_ids": ["$identity"] }),
            ]
        }
        "/client_sessions/delete" | "/client_sessions/revoke" => vec![json!({ "client_session_id": "$session" })],
        "/client_sessions/get" | "/client_sessions/grant_access" => {
            vec![json!({ "client_session_id": "$session" }), json!({ "user_identifier_key": "jane" })]
        }
        "/client_sessions/list" => vec![
            json!({}),
            json!({ "client_session_id": "$session" }),
            json!({ "user_identifier_key": "jane" }),
            json!({ "connect_webview_id": "$webview" }),
        ],
        // Names nothing, and its response shows only what it has created.
        "/workspaces/create" => Vec::new(),
        // These act on the workspace of the credential.
        "/workspaces/get" | "/workspaces/list" | "/workspaces/reset_sandbox" | "/workspaces/update" => {
            vec![json!({})]
        }
        _ => return None,
    })
}

fn about_spaces(path: &str) -> Option<Vec<Value>> {
    Some(match path {
        "/spaces/create" => vec![
            json!({ "name": "x", "device_ids": ["$device"] }),
            json!({ "name": "x", "connected_account_ids": ["$account"] }),
        ],
        "/spaces/get" | "/spaces/delete" => vec![json!({ "space_id": "$space" })],
        "/spaces/get_related" => vec![json!({ "space_ids": ["$space"] })],
        "/spaces/list" => vec![
            json!({}),
            json!({ "space_key": "secret" }),
            json!({ "customer_key": "owner" }),
            json!({ "search": "Secret" }),
            json!({ "connected_account_id": "$account" }),
        ],
        "/spaces/update" => vec![json!({ "space_id": "$space", "name": "stolen", "device_ids": [] })],
        "/spaces/add_devices" | "/spaces/remove_devices" => {
            vec![json!({ "space_id": "$space", "device_ids": ["$device"] })]
        }
        "/spaces/add_acs_entrances" | "/spaces/remove_acs_entrances" => {
            vec![json!({ "space_id": "$space", "acs_entrance_ids": [UNKNOWN] })]
        }
        "/spaces/add_connected_account" | "/spaces/remove_connected_account" => {
            vec![json!({ "space_id": "$space", "connected_account_id": "$account" })]
        }
        _ => return None,
    })
}

fn about_user_identities(path: &str) -> Option<Vec<Value>> {
    Some(match path {
        // Names nothing, and its response shows only what it has created.
        "/user_identities/create" => Vec::new(),
        "/user_identities/get" | "/user_identities/list_accessible_devices" | "/user_identities/delete" => {
            vec![json!({ "user_identity_id": "$identity" })]
        }
        "/user_identities/list" => {
            vec![json!({}), json!({ "user_identity_ids": ["$identity"] }), json!({ "search": "Secret" })]
        }
        "/user_identities/update" => vec![json!({ "user_identity_id": "$identity", "full_name": "stolen" })],
        "/user_identities/merge" => vec![
            json!({ "user_identity_id": "$identity", "merged_user_identity_ids": ["$identity"] }),
            json!({ "user_identity_key": "mine", "merged_user_identity_keys": ["secret"] }),
        ],
        "/user_identities/grant_access_to_device" | "/user_identities/revoke_access_to_device" => {
            vec![json!({ "user_identity_id": "$identity", "device_id": "$device" })]
        }
        _ => return None,
    })
}

fn about_others(path: &str) -> Option<Vec<Value>> {
    const SINCE: &str = "2000-01-01T00:00:00Z";
    Some(match path {
        "/action_attempts/get" => vec![json!({ "action_attempt_id": "$attempt" })],
        "/action_attempts/list" => {
            vec![json!({}), json!({ "device_id": "$device" }), json!({ "action_attempt_ids": ["$attempt"] })]
        }
        "/connect_webviews/delete" | "/connect_webviews/get" => vec![json!({ "connect_webview_id": "$webview" })],
        "/connected_accounts/delete"
        | "/connected_accounts/get"
        | "/connected_accounts/simulate/disconnect"
        | "/connected_accounts/sync" => vec![json!({ "connected_account_id": "$account" })],
        "/connected_accounts/update" => vec![json!({ "connected_account_id": "$account", "display_name": "stolen" })],
        "/connected_accounts/list" => vec![json!({}), json!({ "space_id": "$space" })],
        "/connect_webviews/list" | "/webhooks/list" => vec![json!({})],
        // These name nothing, and their response shows only what they have created.
        "/connect_webviews/create" | "/webhooks/create" => Vec::new(),
        "/events/get" => vec![
            json!({ "event_id": "$event" }),
            json!({ "device_id": "$device", "event_type": "access_code.created" }),
        ],
        "/events/list" => vec![
            json!({ "since": SINCE, "limit": 1000 }),
            json!({ "since": SINCE, "device_id": "$device" }),
            json!({ "since": SINCE, "device_ids": ["$device"] }),
            json!({ "since": SINCE, "access_code_id": "$code" }),
            json!({ "since": SINCE, "access_code_ids": ["$code"] }),
            json!({ "since": SINCE, "connected_account_id": "$account" }),
            json!({ "since": SINCE, "space_id": "$space" }),
            json!({ "since": SINCE, "space_ids": ["$space"] }),
            json!({ "since": SINCE, "customer_key": "owner" }),
            json!({ "since": SINCE, "access_grant_id": "$grant" }),
            json!({ "since": SINCE, "access_method_id": "$method" }),
            json!({ "since": SINCE, "user_identity_id": "$identity" }),
            json!({ "event_ids": ["$event"] }),
        ],
        "/webhooks/delete" | "/webhooks/get" => vec![json!({ "webhook_id": "$webhook" })],
        "/webhooks/update" => vec![json!({ "webhook_id": "$webhook", "event_types": ["access_code.created"] })],
        _ => return None,
    })
}

/// Returns true if the endpoint accepts this kind of credential.
fn accepts(path: &str, scheme: &str) -> bool {
    SEAM_CONTRACT.endpoint(path).unwrap().allows(scheme)
}

/// Sends all requests as this caller and checks that nothing of the victim is visible. Returns the number of requests.
async fn check(victim: &Victim, token: &str, scheme: &str) -> usize {
    let before = victim.state().await;
    let mut checked = 0;
    for path in SEAM_CONTRACT.paths().filter(|path| accepts(path, scheme)) {
        for template in requests(path) {
            let named = post_as(token, path, victim.request(&template, true)).await;
            let nothing = post_as(token, path, victim.request(&template, false)).await;
            assert_ne!(named.status, 401, "{path}: {}", named.body);
            let is_of_session = scheme != "api_key";
            for (name, id) in &victim.things {
                // An error may repeat the id of the request, as it repeats that of a thing that does not exist. A
                // client session may know its workspace.
                let may_occur = named.status >= 400 || (is_of_session && *name == "$workspace");
                assert!(may_occur || !named.text.contains(id), "{path} {template} shows {name}: {}", named.body);
            }
            // Each reset has an action attempt of its own.
            if path != "/workspaces/reset_sandbox" {
                assert_eq!(victim.without_ids(&named), victim.without_ids(&nothing), "{path} {template}");
            }
            checked += 1;
        }
    }
    assert_eq!(victim.state().await, before, "a request changed something of somebody else");
    checked
}

#[test]
fn routes_hide_everything_from_the_key_of_another_workspace() {
    run(async {
        let victim = Victim::create().await;
        let outsider = TestWorkspace::with(json!([])).await;
        assert!(check(&victim, &outsider.api_key, "api_key").await > 40);
    });
}

#[test]
fn routes_hide_everything_from_a_client_session_of_another_account() {
    run(async {
        let victim = Victim::create().await;
        assert!(check(&victim, &victim.session_token, "client_session").await > 30);
    });
}

#[test]
fn routes_hide_everything_from_the_session_of_another_customer() {
    run(async {
        let mut victim = Victim::create().await;
        let other = victim.workspace.devices[1]["connected_account_id"].clone();
        let params = json!({ "customer_key": "acme", "connected_account_ids": [other] });
        let created = victim.workspace.post("/client_sessions/create", params).await.ok();
        victim.session_token = text(&created["client_session"]["token"]);
        assert!(check(&victim, &victim.session_token, "client_session_with_customer").await > 25);
    });
}

#[test]
fn routes_of_the_contract_are_all_covered() {
    for path in SEAM_CONTRACT.paths() {
        requests(path);
    }
}
