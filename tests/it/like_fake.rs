//! A server that behaves as Seam's own fake: its ids, tokens, seed, codes and paths.

mod edge;
mod moving;

use crate::support::{Reply, app, run};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::BodyExt as _;
use latchkey::testing::config::Settings;
use latchkey::testing::engine::app::App;
use latchkey::testing::server::{self, like_fake};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::{Mutex, MutexGuard};
use tower::ServiceExt as _;

const KEY: (&str, &str) = ("authorization", "Bearer seam_apikey1_token");
const SECOND_KEY: (&str, &str) = ("authorization", "Bearer seam_apikey2_token");
const TOKEN: (&str, &str) = ("authorization", "Bearer seam_at1_longtoken");
const JSON: (&str, &str) = ("content-type", "application/json");
const FIRST_WORKSPACE: (&str, &str) = ("seam-workspace", "seed_workspace_1");

/// A server of one test on the shared database. The ids of the seed are the same for all tests, so they run one after
/// the other, and each begins with a new seed.
struct Fake {
    router: Router,
    _alone: MutexGuard<'static, ()>,
}

impl Fake {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts a server with other settings.
    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        static ALONE: Mutex<()> = Mutex::const_new(());
        let alone = ALONE.lock().await;
        let mut settings = app().config.clone();
        settings.like_fake = true;
        change(&mut settings);
        let own = App::new(settings, app().pools()).unwrap();
        like_fake::load(&own).await.unwrap();
        Self { router: server::router(own), _alone: alone }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if headers.iter().all(|(name, _)| *name != "host") {
            request = request.header(header::HOST, "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Reply { status, headers, body, text }
    }

    /// Sends a request to the first workspace.
    async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask("POST", path, &[KEY, JSON], body.to_string()).await
    }

    /// Sends a request without a body to the first workspace.
    async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[KEY], "").await
    }

    /// Returns the ids of the devices in a list, which is read in pages with one device each.
    async fn pages_of_one(&self, filter: &Value) -> Vec<String> {
        let mut parameters = filter.clone();
        parameters["limit"] = json!(1);
        let mut ids = Vec::new();
        loop {
            let page = self.post("/devices/list", parameters.clone()).await.ok();
            ids.extend(all(&page["devices"], "device_id").into_iter().map(str::to_owned));
            let cursor = page["pagination"]["next_page_cursor"].clone();
            // Only the last page of an empty list is empty.
            assert!(cursor.is_null() || page["devices"].as_array().unwrap().len() == 1, "{page}");
            if cursor.is_null() {
                return ids;
            }
            parameters["page_cursor"] = cursor;
        }
    }

    async fn code(&self, parameters: Value) -> Value {
        self.post("/access_codes/create", parameters).await.ok()["access_code"].clone()
    }
}

/// Returns the values of this member in a list.
fn all<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap()).collect()
}

/// Returns a console session with these claims, signed with this secret.
fn console_session(claims: &Value, secret: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({ "alg": "HS256", "typ": "JWT" })), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[test]
fn well_known_ids_are_used_in_requests_and_responses() {
    run(async {
        let fake = Fake::start().await;
        let by_body = fake.post("/devices/get", json!({ "device_id": "august_device_1" })).await;
        let by_query = fake.get("/devices/get?device_id=august_device_1").await;
        let by_token = fake.ask("GET", "/devices/get?device_id=august_device_1", &[TOKEN, FIRST_WORKSPACE], "").await;
        for reply in [by_body, by_query, by_token] {
            assert!(!reply.text.contains("5eed"), "{}", reply.text);
            let device = &reply.ok()["device"];
            let ids = ["device_id", "workspace_id", "connected_account_id"].map(|name| device[name].clone());
            assert_eq!(ids, ["august_device_1", "seed_workspace_1", "john_connected_account_id"]);
        }
        for query in
            ["device_ids=august_device_2,schlage_device_id", "device_ids=august_device_2&device_ids=schlage_device_id"]
        {
            let listed = fake.get(&format!("/devices/list?{query}")).await.ok();
            assert_eq!(all(&listed["devices"], "device_id"), ["august_device_2", "schlage_device_id"], "{query}");
        }
        let code = fake.code(json!({ "device_id": "august_device_2", "name": "august_device_1" })).await;
        assert_eq!((&code["device_id"], &code["name"]), (&json!("august_device_2"), &json!("august_device_1")));
        // The UUID behind an id is accepted too, and metadata belongs to the client.
        let metadata = json!({ "device_id": "august_device_1" });
        let update = json!({ "device_id": "5eed0000-0000-4000-8000-000000000101", "custom_metadata": metadata });
        fake.post("/devices/update", update).await.ok();
        let device = fake.post("/devices/get", json!({ "device_id": "august_device_1" })).await.ok();
        assert_eq!(device["device"]["custom_metadata"], metadata);
    });
}

#[test]
fn id_that_is_no_uuid_is_the_id_of_nothing() {
    run(async {
        let fake = Fake::start().await;
        for (path, parameter, kind) in [
            ("/devices/get", "device_id", "device_not_found"),
            ("/access_codes/get", "access_code_id", "access_code_not_found"),
            ("/access_codes/delete", "access_code_id", "access_code_not_found"),
            ("/connected_accounts/get", "connected_account_id", "connected_account_not_found"),
            ("/connect_webviews/get", "connect_webview_id", "connect_webview_not_found"),
            ("/action_attempts/get", "action_attempt_id", "action_attempt_not_found"),
            ("/locks/unlock_door", "device_id", "device_not_found"),
            ("/_fake/update_action_attempt", "action_attempt_id", "action_attempt_not_found"),
            ("/_fake/complete_connect_webview", "connect_webview_id", "connect_webview_not_found"),
        ] {
            fake.post(path, json!({ parameter: "unknown_1", "status": "pending" })).await.error(404, kind);
        }
        fake.get("/devices/get?device_id=unknown_1").await.error(404, "device_not_found");
        let listed = fake.post("/devices/list", json!({ "device_ids": ["august_device_1", "unknown_1"] })).await.ok();
        assert_eq!(all(&listed["devices"], "device_id"), ["august_device_1"]);
        let unknown = json!({ "workspace_id": "unknown_1", "routes": [] });
        fake.post("/_fake/simulate_workspace_outage", unknown).await.error(404, "workspace_not_found");
        // Other values are checked as usual.
        let messages = fake.post("/devices/list", json!({ "device_ids": 4242 })).await.invalid("device_ids");
        assert_eq!(messages, ["Expected array, received number"]);
        fake.ask("POST", "/devices/list", &[KEY, JSON], "{").await.error(400, "invalid_input");
    });
}

#[test]
fn tokens_of_the_fake_open_their_workspaces() {
    run(async {
        let fake = Fake::start().await;
        let claims = json!({ "user_id": "john_user_id", "key": "john_user_key", "iat": 1 });
        let console = console_session(&claims, "secret");
        let console = ("authorization", console.as_str());
        for (headers, workspace_id) in [
            (vec![KEY], "seed_workspace_1"),
            (vec![SECOND_KEY], "seed_workspace_2"),
            (vec![TOKEN, FIRST_WORKSPACE], "seed_workspace_1"),
            (vec![TOKEN, ("seam-workspace", "seed_workspace_2")], "seed_workspace_2"),
            (vec![console, FIRST_WORKSPACE], "seed_workspace_1"),
            (vec![("authorization", "Bearer seam_cst1_token")], "seed_workspace_1"),
            (vec![("seam-client-session-token", "seam_cst1_token")], "seed_workspace_1"),
        ] {
            let workspace = fake.ask("POST", "/workspaces/get", &headers, "").await.ok();
            assert_eq!(workspace["workspace"]["workspace_id"], workspace_id, "{headers:?}");
        }
        for bearer in [TOKEN, console] {
            let listed = fake.ask("POST", "/workspaces/list", &[bearer], "").await.ok();
            assert!(all(&listed["workspaces"], "workspace_id").contains(&"seed_workspace_1"));
        }
        let session = ("authorization", "Bearer seam_cst1_token");
        let devices = fake.ask("POST", "/devices/list", &[session], "").await.ok();
        assert_eq!(devices["devices"].as_array().unwrap().len(), 4, "those of John's account");
        let key = ("seam-publishable-key", "seam_pk1_token");
        let user = json!({ "user_identifier_key": "john_user_identifier_key" }).to_string();
        let session = fake.ask("POST", "/client_sessions/get_or_create", &[key, JSON], user).await.ok();
        assert_eq!(session["client_session"]["token"], "seam_cst1_token");
        let other_user = json!({ "user_id": "jane_user_id", "key": "john_user_key" });
        for token in [console_session(&claims, "another"), console_session(&other_user, "secret")] {
            let headers = [("authorization", token.as_str()), FIRST_WORKSPACE];
            fake.ask("POST", "/workspaces/get", &headers, "").await.error(401, "unauthorized");
        }
    });
}

#[test]
fn seed_has_three_accounts_five_devices_and_one_event() {
    run(async {
        let fake = Fake::start().await;
        let seed = fake.get("/_fake/default_seed").await.ok();
        assert_eq!(
            (&seed["schlage_device_1"], &seed["seam_at1_token"]),
            (&json!("schlage_device_id"), &json!("seam_at1_longtoken"))
        );
        let mut accounts = fake.get("/connected_accounts/list").await.ok()["connected_accounts"].take();
        accounts.as_array_mut().unwrap().sort_by_key(|account| account["account_type"].to_string());
        assert_eq!(all(&accounts, "account_type"), ["assa_abloy_credential_service", "august", "schlage"]);
        assert_eq!(accounts[2]["user_identifier"]["email"], "jane@example.com");
        let devices = fake.get("/devices/list").await.ok();
        for (name, value) in [
            ("device_id", "august_device_1 august_device_2 ecobee_device_1 minut_device_1 schlage_device_id"),
            ("device_type", "august_lock august_lock ecobee_thermostat minut_sensor schlage_lock"),
        ] {
            assert_eq!(all(&devices["devices"], name).join(" "), value);
        }
        let properties = &devices["devices"][0]["properties"];
        let names = (&properties["name"], &properties["appearance"]["name"], &properties["locked"]);
        assert_eq!(names, (&json!("Fake August Lock 1"), &json!("Front Door"), &json!(true)));
        let events = fake.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await.ok();
        assert_eq!(all(&events["events"], "event_type"), ["device.connected"]);
        assert_eq!(events["events"][0]["device_id"], "august_device_1");
        let webviews = fake.get("/connect_webviews/list").await.ok();
        let webview = &webviews["connect_webviews"][0];
        assert_eq!(
            (&webview["status"], &webview["connect_webview_id"]),
            (&json!("authorized"), &json!("connect_webview1"))
        );
        let empty = fake.ask("GET", "/devices/list", &[SECOND_KEY], "").await.ok();
        assert_eq!(empty["devices"], json!([]));
    });
}

#[test]
fn thermostat_and_noise_sensor_only_exist() {
    run(async {
        let fake = Fake::start().await;
        let device = fake.get("/devices/get?device_id=ecobee_device_1").await.ok()["device"].clone();
        assert_eq!(device["properties"]["fan_mode_setting"], "auto");
        assert!(device.get("can_program_online_access_codes").is_none(), "{device}");
        let sensor = fake.get("/devices/get?device_id=minut_device_1").await.ok();
        assert_eq!(sensor["device"]["properties"]["noise_level_decibels"], 70);
        for (filter, expected) in [
            (json!({ "device_type": "ecobee_thermostat" }), vec!["ecobee_device_1"]),
            (json!({ "device_types": ["minut_sensor", "schlage_lock"] }), vec!["minut_device_1", "schlage_device_id"]),
            (json!({ "device_type": "august_lock" }), vec!["august_device_1", "august_device_2"]),
            (json!({ "manufacturer": "august" }), vec!["august_device_1", "august_device_2"]),
        ] {
            let listed = fake.post("/devices/list", filter.clone()).await.ok();
            assert_eq!(all(&listed["devices"], "device_id"), expected, "{filter}");
        }
        for (filter, expected) in [
            (json!({}), "august_device_1 august_device_2 ecobee_device_1 minut_device_1 schlage_device_id"),
            (json!({ "device_type": "august_lock" }), "august_device_1 august_device_2"),
            (json!({ "device_types": ["minut_sensor", "schlage_lock"] }), "minut_device_1 schlage_device_id"),
            (json!({ "manufacturer": "august" }), "august_device_1 august_device_2"),
            (json!({ "manufacturer": "ecobee" }), "ecobee_device_1"),
            (json!({ "manufacturer": "ecobee", "device_type": "minut_sensor" }), ""),
            (json!({ "include_if": ["can_unlock_with_code"] }), "august_device_1 august_device_2 schlage_device_id"),
            (json!({ "include_if": ["can_unlock_with_code"], "device_types": ["minut_sensor"] }), ""),
        ] {
            assert_eq!(fake.pages_of_one(&filter).await.join(" "), expected, "{filter}");
        }
        let listed = fake.get("/devices/list?device_types=minut_sensor&limit=5").await.ok();
        assert_eq!(all(&listed["devices"], "device_id"), ["minut_device_1"]);
        let locks = fake.get("/locks/list").await.ok();
        let ids = all(&locks["devices"], "device_id");
        assert_eq!(ids, ["august_device_1", "august_device_2", "schlage_device_id"]);
        let refused = fake.post("/access_codes/create", json!({ "device_id": "ecobee_device_1" })).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
    });
}

#[test]
fn access_codes_are_never_set_and_are_deleted_at_once() {
    run(async {
        let fake = Fake::start().await;
        let window = json!({ "device_id": "august_device_1", "code": "4321",
            "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z" });
        let guest = fake.code(window).await;
        assert_eq!(guest["status"], "unset");
        let code = fake.code(json!({ "device_id": "schlage_device_id", "code": "1234" })).await;
        assert_eq!(code["status"], "setting");
        for (created, status) in [(&guest, "unset"), (&code, "setting")] {
            let id = json!({ "access_code_id": created["access_code_id"] });
            let found = fake.post("/access_codes/get", id.clone()).await.ok();
            assert_eq!(found["access_code"]["status"], status);
            let attempt = fake.post("/access_codes/delete", id.clone()).await.ok()["action_attempt"].clone();
            assert_eq!((&attempt["status"], &attempt["result"]), (&json!("pending"), &Value::Null));
            let attempt = json!({ "action_attempt_id": attempt["action_attempt_id"] });
            let attempt = fake.post("/action_attempts/get", attempt).await.ok();
            assert_eq!(attempt["action_attempt"]["status"], "success");
            fake.post("/access_codes/get", id).await.error(404, "access_code_not_found");
        }
        let code = fake.code(json!({ "device_id": "schlage_device_id", "code": "1234" })).await;
        let path = format!("/access_codes/delete?access_code_id={}", code["access_code_id"].as_str().unwrap());
        assert_eq!(fake.ask("DELETE", &path, &[KEY], "").await.ok()["action_attempt"]["status"], "pending");
        let listed = fake.post("/access_codes/list", json!({ "device_id": "schlage_device_id" })).await.ok();
        assert_eq!(listed["access_codes"], json!([]));
    });
}

#[test]
fn outage_of_a_path_is_a_503_without_a_body() {
    run(async {
        let fake = Fake::start().await;
        let outage = |routes: Value| json!({ "workspace_id": "seed_workspace_1", "routes": routes });
        let begin = outage(json!(["/devices/list"]));
        fake.ask("POST", "/_fake/simulate_workspace_outage", &[JSON], begin.to_string()).await.ok();
        let reply = fake.get("/devices/list?limit=1").await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::SERVICE_UNAVAILABLE.as_u16(), ""));
        assert!(reply.headers.get("content-type").is_none());
        fake.get("/devices/get?device_id=august_device_1").await.ok();
        fake.ask("GET", "/devices/list", &[SECOND_KEY], "").await.ok();
        fake.ask("GET", "/devices/list", &[("authorization", "Bearer seam_x_y")], "").await.error(401, "unauthorized");
        fake.post("/_fake/simulate_workspace_outage", outage(json!([]))).await.ok();
        fake.get("/devices/list").await.ok();
        fake.post("/_fake/simulate_workspace_outage", begin).await.ok();
        fake.ask("POST", "/_emulator/workspaces/reset", &[KEY], "").await.ok();
        fake.get("/devices/list").await.ok();
        for body in [json!({ "workspace_id": "seed_workspace_1" }), outage(json!(["/devices/list", "/unknown"]))] {
            let error = fake.post("/_fake/simulate_workspace_outage", body).await.error(400, "invalid_input");
            assert!(error.to_string().contains("routes"), "{error}");
        }
        fake.get("/_fake/simulate_workspace_outage").await.error(405, "method_not_allowed");
    });
}

#[test]
fn state_of_an_action_attempt_is_chosen_and_stays() {
    run(async {
        let fake = Fake::start().await;
        let unlock = json!({ "device_id": "august_device_1" });
        let attempt = fake.post("/locks/unlock_door", unlock).await.ok()["action_attempt"].clone();
        assert_eq!(attempt["status"], "pending");
        let id = json!({ "action_attempt_id": attempt["action_attempt_id"] });
        let state = async || {
            let attempt = fake.post("/action_attempts/get", id.clone()).await.ok()["action_attempt"].clone();
            ["status", "result", "error"].map(|name| attempt[name].clone())
        };
        assert_eq!(state().await[0], "success");
        let failure = json!({ "type": "foo", "message": "Failed" });
        for (method, chosen, expected) in [
            ("POST", json!({ "status": "pending" }), [json!("pending"), Value::Null, Value::Null]),
            ("PATCH", json!({ "status": "error", "error": failure }), [json!("error"), Value::Null, failure.clone()]),
            ("POST", json!({ "status": "success", "result": 1 }), [json!("success"), json!(1), Value::Null]),
        ] {
            let mut body = id.clone();
            body.as_object_mut().unwrap().extend(chosen.as_object().unwrap().clone());
            fake.ask(method, "/_fake/update_action_attempt", &[JSON], body.to_string()).await.ok();
            assert_eq!(state().await, expected);
            assert_eq!(state().await, expected);
        }
        let listed = fake.get("/action_attempts/list").await.ok();
        assert_eq!(listed["action_attempts"][0]["result"], 1);
        let body = id.clone();
        for (name, value) in [("status", json!("done")), ("result", json!("x".repeat(70_000)))] {
            let mut body = body.clone();
            body["status"] = json!("success");
            body[name] = value;
            let error = fake.post("/_fake/update_action_attempt", body).await.error(400, "invalid_input");
            assert!(error.to_string().contains(if name == "status" { "done" } else { "result" }), "{error}");
        }
    });
}

#[test]
fn connect_webview_is_completed_with_an_account_and_a_lock() {
    run(async {
        let fake = Fake::start().await;
        let created = fake.post("/connect_webviews/create", json!({ "accepted_providers": ["schlage"] })).await.ok();
        let id = json!({ "connect_webview_id": created["connect_webview"]["connect_webview_id"] });
        for _ in 0..2 {
            fake.ask("POST", "/_fake/complete_connect_webview", &[JSON], id.to_string()).await.ok();
        }
        let webview = fake.post("/connect_webviews/get", id).await.ok()["connect_webview"].clone();
        assert_eq!((&webview["status"], &webview["login_successful"]), (&json!("authorized"), &json!(true)));
        let of_account = json!({ "connected_account_id": webview["connected_account_id"] }).to_string();
        // The client session of the seed sees the new account.
        for bearer in [KEY, ("authorization", "Bearer seam_cst1_token")] {
            let listed = fake.ask("POST", "/devices/list", &[bearer, JSON], of_account.clone()).await.ok();
            assert_eq!(all(&listed["devices"], "display_name"), ["Front Door"]);
        }
    });
}

#[test]
fn database_shows_what_the_workspaces_contain() {
    run(async {
        let fake = Fake::start().await;
        fake.code(json!({ "device_id": "august_device_1" })).await;
        let database = fake.ask("GET", "/_fake/database", &[], "").await.ok();
        for (name, count) in [
            ("connected_accounts", 3),
            ("devices", 5),
            ("access_codes", 1),
            ("connect_webviews", 1),
            ("client_sessions", 1),
            ("user_identities", 1),
            ("webhooks", 0),
            ("api_keys", 2),
        ] {
            assert_eq!(database[name].as_array().unwrap().len(), count, "{name} in {database}");
        }
        assert!(all(&database["workspaces"], "workspace_id").contains(&"seed_workspace_2"));
        assert_eq!(database["access_codes"][0]["device_id"], "august_device_1");
        let refused = fake.ask("PUT", "/_fake/database", &[JSON], "{}").await.error(400, "invalid_input");
        assert!(refused["message"].as_str().unwrap().contains("--fixtures"));
    });
}

#[test]
fn next_page_has_the_name_that_the_fake_gives_its_cursor() {
    run(async {
        let fake = Fake::start().await;
        let first = fake.get("/connected_accounts/list?limit=2").await.ok();
        let url = first["pagination"]["next_page_url"].as_str().unwrap();
        assert!(url.contains("&next_page_cursor="), "{url}");
        let second = fake.get(url.strip_prefix("http://localhost").unwrap()).await.ok();
        assert_eq!(all(&second["connected_accounts"], "connected_account_id").len(), 1);
    });
}
