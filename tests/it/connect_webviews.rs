//! Connect webviews: the endpoints, and logins on their page, used as a browser without scripts uses it.

mod page;

use crate::support::{Reply, START, TestWorkspace, ask, run, types};
use serde_json::{Value, json};

const PAGE: &str = "/connect_webviews/view";

type LoginForm = Vec<(&'static str, &'static str)>;

/// Credentials that Seam documents for each brand, with the type and the number of the devices of the account.
fn documented_accounts() -> Vec<(&'static str, &'static str, usize, LoginForm)> {
    let usual = |email: &'static str| vec![("email", email), ("password", "1234")];
    let with = |mut form: LoginForm, more: &[(&'static str, &'static str)]| {
        form.extend(more);
        form
    };
    let two_factor = [("region", "United States"), ("two_factor_code", "123456")];
    let lockly = [("team_id", "1234"), ("api_key", "1234"), ("api_secret", "1234")];
    vec![
        ("august", "august_lock", 2, with(usual("jane@example.com"), &two_factor)),
        ("august", "august_lock", 2, with(usual("frodo@example.com"), &two_factor)),
        ("yale", "yale_lock", 2, with(usual("sam@example.com"), &two_factor)),
        ("schlage", "schlage_lock", 2, usual("andrew@example.com")),
        ("kwikset", "kwikset_lock", 2, usual("anybody@example.com")),
        ("nuki", "nuki_lock", 2, usual("jane@example.com")),
        ("igloohome", "igloohome_lock", 2, usual("jane@example.com")),
        ("four_suites", "four_suites_door", 2, usual("jane@example.com")),
        ("ttlock", "ttlock_lock", 2, usual("jane@example.com")),
        ("salto_ks", "salto_lock", 2, usual("jane@example.com")),
        ("tedee", "tedee_lock", 2, usual("jane@example.com")),
        ("akiles", "akiles_lock", 2, usual("jane@example.com")),
        ("keyincode", "keyincode_lock", 2, usual("jane@example.com")),
        ("smartthings", "smartthings_lock", 2, usual("frodo@example.com")),
        (
            "my_2n",
            "two_n_intercom",
            3,
            with(usual("any@example.com"), &[("device_username", "jane"), ("device_password", "1234")]),
        ),
        ("brivo", "brivo_access_point", 2, with(usual("jane@example.com"), &[("api_key", "1234")])),
        (
            "wyze",
            "wyze_lock",
            2,
            with(usual("jane@example.com"), &[("api_key_id", "ABC123ABC"), ("api_key", "ABC123ABC")]),
        ),
        ("lockly", "lockly_lock", 2, with(vec![("email", "jane@example.com")], &lockly)),
        (
            "dormakaba_oracode",
            "dormakaba_oracode_door",
            2,
            vec![
                ("username", "jane"),
                ("password", "1234"),
                ("site_name", "Ocean Beach Vacations"),
                ("time_zone", "Asia/Tokyo"),
            ],
        ),
        ("omnitec", "omnitec_lock", 2, with(usual("jane@example.com"), &[("time_zone", "Europe/London")])),
        ("genie", "genie_door", 2, usual("john@example.com")),
        ("controlbyweb", "controlbyweb_device", 2, vec![("username", "jane"), ("password", "1234")]),
    ]
}

/// Webview of a test, as its user sees it: only by its URL.
struct Webview<'w> {
    workspace: &'w TestWorkspace,
    id: Value,
    query: String,
}

impl<'w> Webview<'w> {
    async fn create(workspace: &'w TestWorkspace, params: Value) -> Self {
        let webview = workspace.post("/connect_webviews/create", params).await.ok()["connect_webview"].clone();
        let (_, query) = webview["url"].as_str().unwrap().split_once('?').unwrap();
        Self { workspace, id: webview["connect_webview_id"].clone(), query: query.to_owned() }
    }

    async fn state(&self) -> Value {
        let params = json!({ "connect_webview_id": self.id });
        self.workspace.post("/connect_webviews/get", params).await.ok()["connect_webview"].clone()
    }

    async fn open(&self, more: &str) -> Reply {
        ask("GET", &format!("{PAGE}?{}{more}", self.query), &[], "").await
    }

    /// Submits a login form, and follows the second step of brands that have one.
    async fn log_in(&self, provider: &str, form: &[(&str, &str)]) -> Reply {
        let first: Vec<_> = form.iter().filter(|(name, _)| *name != "two_factor_code").copied().collect();
        let reply = self.submit(provider, &first).await;
        if form.len() == first.len() {
            return reply;
        }
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(reply.text.contains("name=\"two_factor_code\""), "{}", reply.text);
        self.submit(provider, form).await
    }

    async fn submit(&self, provider: &str, form: &[(&str, &str)]) -> Reply {
        post_form(&format!("{}&provider={provider}", self.query), form).await
    }
}

async fn post_form(encoded: &str, form: &[(&str, &str)]) -> Reply {
    let mut body = encoded.to_owned();
    for (name, value) in form {
        body.extend(["&", name, "=", &value.replace(' ', "+")]);
    }
    ask("POST", PAGE, &[("content-type", "application/x-www-form-urlencoded")], body).await
}

const JANE: [(&str, &str); 2] = [("email", "jane@example.com"), ("password", "1234")];

async fn devices(workspace: &TestWorkspace, filter: Value) -> Vec<Value> {
    workspace.post("/devices/list", filter).await.ok()["devices"].as_array().unwrap().clone()
}

#[test]
fn new_webview_is_pending_and_has_every_requested_property() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let created = workspace.post("/connect_webviews/create", json!({})).await.ok()["connect_webview"].clone();
        assert_eq!((&created["status"], &created["login_successful"]), (&json!("pending"), &json!(false)));
        assert_eq!(created["created_at"], START);
        assert_eq!(
            (&created["any_provider_allowed"], &created["device_selection_mode"]),
            (&json!(true), &json!("none"))
        );
        assert_eq!(created["accepted_capabilities"], json!(["lock"]));
        for empty in ["connected_account_id", "authorized_at", "selected_provider", "custom_redirect_url"] {
            assert_eq!(created[empty], Value::Null, "{empty}");
        }
        let url = created["url"].as_str().unwrap();
        let id = created["connect_webview_id"].as_str().unwrap();
        assert!(url.starts_with(&format!("http://localhost{PAGE}?connect_webview_id={id}&auth_token=")), "{url}");

        let params = json!({
            "accepted_providers": ["yale", "nest"], "custom_metadata": { "room": "7", "gone": null },
            "custom_redirect_url": "https://app.test/done", "custom_redirect_failure_url": "https://app.test/failed",
            "automatically_manage_new_devices": false, "wait_for_device_creation": true, "customer_key": "c1",
            "accepted_capabilities": ["lock", "speaker", "lock"], "device_selection_mode": "single",
        });
        let created = workspace.post("/connect_webviews/create", params.clone()).await.ok()["connect_webview"].clone();
        for name in params.as_object().unwrap().keys().filter(|name| *name != "custom_metadata") {
            let expected = if name == "accepted_capabilities" { &json!(["lock", "speaker"]) } else { &params[name] };
            assert_eq!(&created[name], expected, "{name}");
        }
        assert_eq!(
            (&created["custom_metadata"], &created["any_provider_allowed"]),
            (&json!({ "room": "7" }), &json!(false))
        );
        let by_category = json!({ "provider_category": "consumer_smartlocks", "excluded_providers": ["august"] });
        let created = workspace.post("/connect_webviews/create", by_category).await.ok()["connect_webview"].clone();
        let accepted = created["accepted_providers"].as_array().unwrap();
        assert!(accepted.contains(&json!("yale")) && !accepted.contains(&json!("august")), "{accepted:?}");
    });
}

#[test]
fn create_rejects_urls_keys_and_metadata_that_are_invalid() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for (parameter, value) in [
            ("custom_redirect_url", json!("javascript:alert(1)")),
            ("custom_redirect_failure_url", json!("/failed")),
            ("custom_redirect_url", json!("https://app.test/\r\nset-cookie: a=b")),
            ("customer_key", json!("  ")),
            ("custom_metadata", json!({ "a.b": "1" })),
            ("accepted_providers", json!(["acme"])),
        ] {
            let reply = workspace.post("/connect_webviews/create", json!({ parameter: value })).await;
            let error = reply.error(400, "invalid_input");
            assert!(error["message"].as_str().unwrap().contains(parameter), "{error}");
        }
        let listed = workspace.post("/connect_webviews/list", json!({})).await.ok();
        assert_eq!(listed["connect_webviews"], json!([]));
    });
}

#[test]
fn documented_credentials_of_each_brand_bring_the_devices_of_that_brand() {
    run(async {
        for (provider, device_type, count, form) in documented_accounts() {
            let workspace = TestWorkspace::with_locks(0).await;
            let webview = Webview::create(&workspace, json!({ "accepted_providers": [provider] })).await;
            let reply = webview.log_in(provider, &form).await;
            assert_eq!(reply.status, 200, "{provider}: {}", reply.text);
            assert!(reply.text.contains("Your account is connected"), "{}", reply.text);
            let found = devices(&workspace, json!({})).await;
            assert_eq!(found.len(), count, "{provider}");
            assert!(found.iter().all(|device| device["device_type"] == device_type), "{provider}");
            let state = webview.state().await;
            assert_eq!((&state["status"], &state["selected_provider"]), (&json!("authorized"), &json!(provider)));
            let account = json!({ "connected_account_id": state["connected_account_id"] });
            let account = workspace.post("/connected_accounts/get", account).await.ok()["connected_account"].clone();
            assert_eq!(account["display_name"], form[0].1, "{provider}");
        }
    });
}

#[test]
fn login_connects_an_account_and_tells_it_in_events() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params =
            json!({ "customer_key": "c1", "custom_metadata": { "room": "7" }, "accepted_providers": ["schlage"] });
        let webview = Webview::create(&workspace, params).await;
        workspace.advance("PT5M").await;
        assert_eq!(webview.log_in("schlage", &JANE).await.status, 200);
        let state = webview.state().await;
        assert_eq!(
            (&state["login_successful"], &state["authorized_at"]),
            (&json!(true), &json!("2026-03-02T12:05:00.000Z"))
        );
        let account_id = &state["connected_account_id"];
        let found = workspace.events(json!({ "connected_account_id": account_id })).await;
        let expected = [
            "connected_account.created",
            "connected_account.connected",
            "connected_account.successful_login",
            "connect_webview.login_succeeded",
            "device.added",
            "device.added",
            "connected_account.completed_first_sync",
        ];
        assert_eq!(types(&found), expected);
        for event in &found {
            assert_eq!(event["connected_account_custom_metadata"], json!({ "room": "7" }), "{event}");
        }
        assert_eq!((&found[1]["customer_key"], &found[4]["customer_key"]), (&json!("c1"), &json!("c1")));
        let of_webview = workspace.events(json!({ "connect_webview_id": webview.id })).await;
        assert_eq!(types(&of_webview), expected[..4]);
        let of_customer = workspace.events(json!({ "customer_key": "c1" })).await;
        assert_eq!(of_customer.len(), 4, "connected, login_succeeded and two devices");

        let by_webview = devices(&workspace, json!({ "connect_webview_id": webview.id })).await;
        let by_customer = devices(&workspace, json!({ "customer_key": "c1" })).await;
        let ids = |devices: &[Value]| devices.iter().map(|device| device["device_id"].clone()).collect::<Vec<_>>();
        assert_eq!((by_webview.len(), ids(&by_webview)), (2, ids(&by_customer)));
        assert_eq!(devices(&workspace, json!({ "customer_key": "c2" })).await.len(), 0);
        assert_eq!(devices(&workspace, json!({})).await.len(), 3);
        let code = workspace.create(json!({ "device_id": by_webview[0]["device_id"], "code": "4826" })).await;
        workspace.advance("PT1M").await;
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "set");
        let of_code = workspace.events(json!({ "access_code_id": code["access_code_id"] })).await;
        assert_eq!(of_code[0]["connected_account_custom_metadata"], json!({ "room": "7" }));
    });
}

#[test]
fn login_to_a_known_account_connects_it_again() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let first = Webview::create(&workspace, json!({ "custom_metadata": { "a": "1" } })).await;
        first.log_in("schlage", &JANE).await;
        let account = first.state().await["connected_account_id"].clone();
        let params = json!({ "connected_account_id": account });
        workspace.post("/connected_accounts/simulate/disconnect", params.clone()).await.ok();
        assert!(devices(&workspace, json!({})).await.iter().all(|device| device["properties"]["online"] == false));
        let before = workspace.events(json!({ "connected_account_id": account })).await.len();

        let second =
            Webview::create(&workspace, json!({ "custom_metadata": { "b": "2" }, "customer_key": "c1" })).await;
        second.log_in("schlage", &[("email", "JANE@example.com"), JANE[1]]).await;
        assert_eq!(second.state().await["connected_account_id"], account);
        let found = devices(&workspace, json!({})).await;
        assert_eq!(found.len(), 2, "no second account");
        assert!(found.iter().all(|device| device["properties"]["online"] == true));
        let shown = workspace.post("/connected_accounts/get", params).await.ok()["connected_account"].clone();
        assert_eq!((&shown["errors"], &shown["customer_key"]), (&json!([]), &json!("c1")));
        assert_eq!(shown["custom_metadata"], json!({ "a": "1", "b": "2" }));
        let events = workspace.events(json!({ "connected_account_id": account })).await;
        let expected = [
            "connected_account.successful_login",
            "connect_webview.login_succeeded",
            "connected_account.connected",
            "connected_account.completed_first_sync_after_reconnection",
            "device.connected",
            "device.connected",
        ];
        assert_eq!(types(&events[before..]), expected);
        assert_eq!(events[before + 2]["connect_webview_id"], second.id);

        // A login while it is connected changes nothing else.
        let third = Webview::create(&workspace, json!({})).await;
        third.log_in("schlage", &JANE).await;
        let events = workspace.events(json!({ "connected_account_id": account })).await;
        assert_eq!(types(&events[before + 6..]), expected[..2]);
        // Another user has another account.
        let other = Webview::create(&workspace, json!({})).await;
        other.log_in("schlage", &[("email", "sam@example.com"), JANE[1]]).await;
        assert_ne!(other.state().await["connected_account_id"], account);
        assert_eq!(devices(&workspace, json!({})).await.len(), 4);
    });
}

#[test]
fn locks_of_the_control_plane_have_an_account_that_a_login_connects_again() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let account = &workspace.devices[0]["connected_account_id"];
        let params = json!({ "connected_account_id": account });
        let shown = workspace.post("/connected_accounts/get", params.clone()).await.ok()["connected_account"].clone();
        let email = shown["user_identifier"]["email"].as_str().unwrap();
        workspace.post("/connected_accounts/simulate/disconnect", params).await.ok();
        let webview = Webview::create(&workspace, json!({})).await;
        let form = [("email", email), JANE[1], ("region", "Canada"), ("two_factor_code", "123456")];
        webview.log_in("august", &form).await;
        assert_eq!(&webview.state().await["connected_account_id"], account);
        let found = devices(&workspace, json!({})).await;
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|device| device["properties"]["online"] == true));
    });
}

#[test]
fn simultaneous_logins_connect_one_account() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let (one, two) = (Webview::create(&workspace, json!({})).await, Webview::create(&workspace, json!({})).await);
        let logins = [one.submit("schlage", &JANE), two.submit("schlage", &JANE), one.submit("schlage", &JANE)];
        let [a, b, c] = logins;
        let (a, b, c) = tokio::join!(a, b, c);
        assert_eq!((a.status, b.status, c.status), (200, 200, 200));
        assert_eq!(devices(&workspace, json!({})).await.len(), 2);
        let accounts = workspace.post("/connected_accounts/list", json!({})).await.ok();
        assert_eq!(accounts["connected_accounts"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn lists_show_the_newest_first_in_pages_and_by_filter() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let mut ids = Vec::new();
        for number in 0..5 {
            let params = json!({ "customer_key": format!("c{}", number % 2),
                                 "custom_metadata": { "n": number.to_string() },
                                 "accepted_providers": [if number == 3 { "yale" } else { "august" }] });
            ids.push(Webview::create(&workspace, params).await.id);
            workspace.advance("PT1S").await;
        }
        let listed = |params: Value| {
            let workspace = &workspace;
            async move {
                let listed = workspace.post("/connect_webviews/list", params).await.ok();
                let rows = listed["connect_webviews"].as_array().unwrap();
                let ids: Vec<Value> = rows.iter().map(|row| row["connect_webview_id"].clone()).collect();
                (ids, listed["pagination"].clone())
            }
        };
        let newest_first: Vec<Value> = ids.iter().rev().cloned().collect();
        assert_eq!(listed(json!({})).await.0, newest_first);
        let (page, pagination) = listed(json!({ "limit": 3 })).await;
        assert_eq!((page.as_slice(), &pagination["has_next_page"]), (&newest_first[..3], &json!(true)));
        let next = json!({ "limit": 3, "page_cursor": pagination["next_page_cursor"] });
        let (page, pagination) = listed(next).await;
        assert_eq!((page.as_slice(), &pagination["has_next_page"]), (&newest_first[3..], &json!(false)));
        let pick = |numbers: &[usize]| numbers.iter().map(|number| ids[*number].clone()).collect::<Vec<_>>();
        for (filter, expected) in [
            (json!({ "customer_key": "c1" }), pick(&[3, 1])),
            (json!({ "custom_metadata_has": { "n": "2" } }), pick(&[2])),
            (json!({ "custom_metadata_has": { "n": null } }), pick(&[])),
            (json!({ "search": "YALE" }), pick(&[3])),
            (json!({ "search": ids[0] }), pick(&[0])),
            (json!({ "user_identifier_key": "u" }), pick(&[])),
        ] {
            assert_eq!(listed(filter.clone()).await.0, expected, "{filter}");
        }
        workspace
            .post("/connect_webviews/list", json!({ "custom_metadata_has": { "a.b": "1" } }))
            .await
            .invalid("custom_metadata_has");
    });
}

#[test]
fn deleted_webview_is_gone_and_its_account_stays() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let webview = Webview::create(&workspace, json!({})).await;
        webview.log_in("schlage", &JANE).await;
        let params = json!({ "connect_webview_id": webview.id });
        let other = TestWorkspace::with_locks(0).await;
        for (path, workspace) in [("/connect_webviews/get", &other), ("/connect_webviews/delete", &other)] {
            workspace.post(path, params.clone()).await.error(404, "connect_webview_not_found");
        }
        workspace.post("/connect_webviews/delete", params.clone()).await.ok();
        for path in ["/connect_webviews/get", "/connect_webviews/delete"] {
            workspace.post(path, params.clone()).await.error(404, "connect_webview_not_found");
        }
        assert_eq!(webview.open("").await.status, 404);
        assert_eq!(devices(&workspace, json!({})).await.len(), 2);
        assert_eq!(workspace.events(json!({ "connect_webview_id": webview.id })).await.len(), 4);
        assert_eq!(devices(&workspace, json!({ "connect_webview_id": webview.id })).await.len(), 0);
    });
}

#[test]
fn snapshots_return_to_the_state_before_a_login() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let webview = Webview::create(&workspace, json!({ "custom_metadata": { "a": "1" } })).await;
        let before = workspace.post("/_emulator/snapshots/create", json!({})).await.ok();
        webview.log_in("schlage", &JANE).await;
        let after = workspace.post("/_emulator/snapshots/create", json!({})).await.ok();
        let connected = webview.state().await;
        let id = |snapshot: &Value| json!({ "snapshot_id": snapshot["snapshot_id"] });
        workspace.post("/_emulator/snapshots/restore", id(&before)).await.ok();
        assert_eq!(webview.state().await["status"], "pending");
        assert_eq!(devices(&workspace, json!({})).await.len(), 1);
        workspace.post("/_emulator/snapshots/restore", id(&after)).await.ok();
        assert_eq!(webview.state().await, connected);
        assert_eq!(devices(&workspace, json!({})).await.len(), 3);
        assert!(webview.open("").await.text.contains("Your account is connected"), "the URL stays valid");
    });
}

#[test]
fn seeded_workspaces_give_the_same_ids_for_the_same_logins() {
    run(async {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let workspace = TestWorkspace::create_with(json!({ "seed": "webviews", "locks": 1 })).await;
            let webview = Webview::create(&workspace, json!({})).await;
            webview.log_in("schlage", &JANE).await;
            let found = [devices(&workspace, json!({})).await, workspace.events(json!({})).await].concat();
            seen.push((webview.state().await, found));
            workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        }
        assert_eq!(seen[0], seen[1]);
    });
}

#[test]
fn complete_logs_in_without_a_browser() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let webview = Webview::create(&workspace, json!({ "accepted_providers": ["yale", "august"] })).await;
        let complete = |mut params: Value| {
            params["connect_webview_id"] = webview.id.clone();
            workspace.post("/_emulator/connect_webviews/complete", params)
        };
        complete(json!({ "provider": "schlage" })).await.invalid("provider");
        complete(json!({ "user_identifier": "nobody@example.com" })).await.invalid("user_identifier");
        let failed = complete(json!({ "fail": true })).await.ok();
        assert_eq!((&failed["status"], &failed["connected_account_id"]), (&json!("failed"), &Value::Null));
        assert_eq!(webview.state().await["status"], "failed");
        let done = complete(json!({ "provider": "yale", "user_identifier": "sam@example.com" })).await.ok();
        let state = webview.state().await;
        assert_eq!(
            (&done["status"], &done["connected_account_id"]),
            (&json!("authorized"), &state["connected_account_id"])
        );
        assert_eq!(state["selected_provider"], "yale");
        assert_eq!(devices(&workspace, json!({})).await.len(), 2);
        complete(json!({})).await.error(409, "conflict");
        let other = TestWorkspace::with_locks(0).await;
        let params = json!({ "connect_webview_id": webview.id });
        other.post("/_emulator/connect_webviews/complete", params).await.error(404, "connect_webview_not_found");
        let defaults = Webview::create(&workspace, json!({})).await;
        let params = json!({ "connect_webview_id": defaults.id });
        workspace.post("/_emulator/connect_webviews/complete", params).await.ok();
        assert_eq!(defaults.state().await["selected_provider"], "august");
    });
}
