//! The HTTP layer: credentials, methods, content types, encodings, errors, pages and the isolation of workspaces.

use crate::support::{Reply, TestWorkspace, UNKNOWN, app, ask, run};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use std::collections::BTreeSet;

mod heads;
mod large_input;
mod odd_input;
mod origins;
mod pages;
mod tenancy;

const JSON: (&str, &str) = ("content-type", "application/json");

impl TestWorkspace {
    fn bearer(&self) -> String {
        format!("Bearer {}", self.api_key)
    }

    /// Sends a request with the API key of this workspace and these additional headers.
    async fn ask(&self, method: &str, path_and_query: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let bearer = self.bearer();
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        ask(method, path_and_query, &headers, body).await
    }

    /// Returns the ids of the devices that a query to `/devices/list` finds.
    async fn devices_found(&self, query: &str) -> Vec<String> {
        ids(&self.get(&format!("/devices/list?{query}")).await.ok(), "devices", "device_id")
    }
}

/// Returns the ids in a list of a response.
fn ids(body: &Value, list: &str, id: &str) -> Vec<String> {
    body[list].as_array().unwrap().iter().map(|item| item[id].as_str().unwrap().to_owned()).collect()
}

fn message(error: &Value) -> &str {
    error["message"].as_str().unwrap()
}

#[test]
fn request_checks_run_in_one_order_and_the_first_failure_is_returned() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let text = ("content-type", "text/plain");
        ask("PUT", "/devices/get", &[text], "{").await.error(401, "unauthorized");
        workspace.ask("PUT", "/devices/get", &[text], "{").await.error(405, "method_not_allowed");
        workspace.ask("POST", "/devices/get", &[text], "{").await.error(400, "invalid_content_type");
        let broken = workspace.ask("POST", "/devices/get", &[JSON], r#"{"device_id": "x"#).await;
        assert!(message(&broken.error(400, "invalid_input")).starts_with("Error while parsing input"));
        assert_eq!(
            workspace.post("/devices/get", json!({ "device_id": "x" })).await.invalid("device_id"),
            ["Invalid uuid"]
        );
        workspace.post("/devices/get", json!({ "device_id": UNKNOWN })).await.error(404, "device_not_found");
    });
}

#[test]
fn authentication_failures_have_the_messages_of_seam() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(0).await, TestWorkspace::with_locks(0).await);
        let publishable_key = workspace.get("/workspaces/get").await.ok()["workspace"]["publishable_key"].clone();
        let publishable_key = format!("Bearer {}", publishable_key.as_str().unwrap());
        let access_token = format!("Bearer {}", workspace.personal_access_token);
        let lower_case = format!("bearer {}", workspace.api_key);
        let basic = format!("Basic {}", workspace.api_key);
        let nothing = "No authentication methods succeeded";
        let no_key = "API Key not found";
        let no_token = "Access token not found";
        let cases: [(&[(&str, &str)], &str); 16] = [
            (&[], nothing),
            (&[("authorization", "")], nothing),
            (&[("authorization", "Bearer ")], nothing),
            (&[("authorization", &workspace.api_key)], nothing),
            (&[("authorization", &lower_case)], nothing),
            (&[("authorization", &basic)], nothing),
            (&[("authorization", &publishable_key)], nothing),
            (&[("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x")], nothing),
            (
                &[("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"), ("seam-workspace", &workspace.workspace_id)],
                "Session not found",
            ),
            (&[("authorization", &access_token)], nothing),
            (&[("authorization", &access_token), ("seam-workspace", "")], nothing),
            (&[("authorization", "Bearer seam_test_nobodys")], no_key),
            (&[("authorization", "Bearer seam_at1nobodys"), ("seam-workspace", &workspace.workspace_id)], no_token),
            (&[("authorization", &access_token), ("seam-workspace", UNKNOWN)], no_token),
            (&[("authorization", &access_token), ("seam-workspace", &other.workspace_id)], no_token),
            (&[("authorization", &access_token), ("seam-workspace", "not a uuid")], no_token),
        ];
        for (headers, expected) in cases {
            let error = ask("GET", "/workspaces/get", headers, "").await.error(401, "unauthorized");
            assert_eq!(error["message"], expected, "{headers:?}");
        }
    });
}

#[test]
fn api_key_and_personal_access_token_open_their_own_workspace() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(0).await, TestWorkspace::with_locks(0).await);
        let access_token = format!("Bearer {}", workspace.personal_access_token);
        let (bearer, workspace_id, other_id) =
            (workspace.bearer(), workspace.workspace_id.as_str(), other.workspace_id.as_str());
        let cases: [&[(&str, &str)]; 5] = [
            &[("authorization", &bearer)],
            &[("authorization", &access_token), ("seam-workspace", workspace_id)],
            // An API key selects its workspace even if a header names another one. Empty headers are ignored.
            &[("authorization", &bearer), ("seam-workspace", other_id)],
            &[("authorization", &bearer), ("seam-workspace", ""), ("client-session-token", "")],
            &[("authorization", &bearer), ("seam-client-session-token", "")],
        ];
        for headers in cases {
            let found = ask("GET", "/workspaces/get", headers, "").await.ok();
            assert_eq!(found["workspace"]["workspace_id"], workspace_id, "{headers:?}");
        }
    });
}

#[test]
fn client_session_tokens_are_recognized_in_every_header() {
    run(async {
        let bearer = ("authorization", "Bearer seam_cst1nobodys");
        for header in [bearer, ("client-session-token", "seam_cst1x"), ("seam-client-session-token", "seam_cst1x")] {
            let error = ask("GET", "/devices/list", &[header], "").await.error(401, "client_session_not_found");
            assert_eq!(error["message"], "Unauthorized (client session not found)");
        }
        for name in ["client-session-token", "seam-client-session-token"] {
            let reply = ask("GET", "/devices/list", &[(name, "something else")], "").await;
            assert_eq!(message(&reply.error(400, "invalid_client_session_token")), "Invalid client session token");
        }
        // `/action_attempts/list` does not accept client sessions at all.
        let error = ask("GET", "/action_attempts/list", &[bearer], "").await.error(401, "unauthorized");
        assert_eq!(error["message"], "No authentication methods succeeded");
    });
}

#[test]
fn credentials_are_tried_in_the_order_in_which_an_endpoint_lists_them() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let token = [("client-session-token", "seam_cst1nobodys")];
        workspace.ask("GET", "/workspaces/get", &token, "").await.ok();
        workspace.ask("GET", "/action_attempts/list", &token, "").await.ok();
        workspace.ask("GET", "/devices/list", &token, "").await.error(401, "client_session_not_found");
    });
}

#[test]
fn query_lists_have_one_strict_form_and_three_lenient_ones() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let (first, last) = (workspace.lock(0), workspace.lock(2));
        for query in [
            format!("device_ids={first}&device_ids={last}"),
            format!("device_ids={first}&device_ids={last}&_strict=true"),
            format!("device_ids={first},{last}"),
            format!("device_ids[]={first}&device_ids[]={last}"),
            format!("device_ids%5B%5D={first}&device_ids%5B%5D={last}&page_cursor="),
        ] {
            assert_eq!(workspace.devices_found(&query).await, [first.as_str(), last.as_str()], "{query}");
        }
        for query in ["device_ids=", "device_ids[]=", "device_ids=&_strict=true"] {
            assert_eq!(workspace.devices_found(query).await, Vec::<String>::new(), "{query}");
        }
        let strict = workspace.get(&format!("/devices/list?_strict=true&device_ids={first},{last}")).await;
        let error = strict.error(400, "invalid_input");
        assert_eq!(message(&error), "Invalid uuid for \"device_ids.0\"");
        assert_eq!(error["validation_errors"]["device_ids"]["0"]["_errors"], json!(["Invalid uuid"]));
        // In the strict form the brackets are part of the name, so that the parameter is unknown.
        let query = format!("_strict=true&device_ids[]={first}");
        assert_eq!(workspace.devices_found(&query).await, workspace.locks());
    });
}

#[test]
fn ambiguous_query_parameter_is_rejected_by_name() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let id = workspace.lock(0);
        for (query, name) in [
            ("limit=1&limit=2".to_owned(), "limit"),
            (format!("connected_account_id={id}&connected_account_id={id}"), "connected_account_id"),
            (format!("device_ids={id}&device_ids[]={id}"), "device_ids"),
            (format!("device_ids={id}&device_ids="), "device_ids"),
            ("custom_metadata_has=&custom_metadata_has.a=1".to_owned(), "custom_metadata_has"),
            ("custom_metadata_has.a.b=1".to_owned(), "custom_metadata_has.a.b"),
        ] {
            let reply = workspace.get(&format!("/devices/list?{query}")).await;
            let error = reply.error(400, "invalid_query_params");
            assert!(message(&error).contains(&format!("\"{name}\"")), "{query}: {error}");
        }
    });
}

#[test]
fn single_values_in_a_query_are_read_by_their_type() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        for query in ["limit=2", "limit=2.0", "limit=2e0", "limit=+2+", "limit=2&page_cursor=&_strict=true"] {
            assert_eq!(workspace.devices_found(query).await.len(), 2, "{query}");
        }
        for (query, name) in [("limit=two", "limit"), ("limit=", "limit"), ("limit=+2+&_strict=true", "limit")] {
            let messages = workspace.get(&format!("/devices/list?{query}")).await.invalid(name);
            assert!(messages[0].starts_with("Expected number, received "), "{query}: {messages:?}");
        }
        for (text, expected) in [("yes", "success"), ("1", "success"), ("false", "pending"), ("No", "pending")] {
            let code = workspace.create(json!({ "device_id": workspace.lock(0), "sync": true })).await;
            let id = code["access_code_id"].as_str().unwrap();
            let reply =
                workspace.request("DELETE", &format!("/access_codes/delete?access_code_id={id}&sync={text}")).await;
            let attempt = reply.ok()["action_attempt"]["action_attempt_id"].clone();
            let attempt = workspace.post("/action_attempts/get", json!({ "action_attempt_id": attempt })).await.ok();
            assert_eq!(attempt["action_attempt"]["status"], expected, "{text}");
        }
    });
}

#[test]
fn dotted_names_in_a_query_make_an_object() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        assert_eq!(workspace.devices_found("custom_metadata_has.floor=2&custom_metadata_has.vip=true").await.len(), 0);
        // Null matches devices without the key, and an empty text matches all devices.
        assert_eq!(workspace.devices_found("custom_metadata_has.vip=").await, workspace.locks());
        let nothing = json!({ "custom_metadata_has": { "vip": "" } });
        assert_eq!(
            ids(&workspace.post("/devices/list", nothing).await.ok(), "devices", "device_id"),
            workspace.locks()
        );
        let dotted = workspace.post("/devices/list", json!({ "custom_metadata_has": { "a.b": "x" } })).await;
        let messages = dotted.invalid("custom_metadata_has");
        assert_eq!(messages, ["Custom metadata key names cannot contain a period (.)"]);
        let messages = workspace.get("/devices/list?custom_metadata_has=floor").await.invalid("custom_metadata_has");
        assert_eq!(messages, ["Expected object, received string"]);
    });
}

#[test]
fn unknown_parameters_are_ignored() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        assert_eq!(workspace.devices_found("colour=red&colour=blue&made.up=1&x[]=").await, workspace.locks());
        let body = json!({ "device_id": workspace.lock(0), "colour": { "red": [1] }, "": null });
        workspace.post("/devices/get", body).await.ok();
    });
}

#[test]
fn parameters_come_from_body_and_query_in_any_method_and_the_body_wins() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let (one, other) = (workspace.lock(0), workspace.lock(1));
        let in_body = json!({ "device_id": one }).to_string();
        for method in ["GET", "POST"] {
            for query in [String::new(), format!("?device_id={other}"), "?device_id=nope".to_owned()] {
                let path = format!("/devices/get{query}");
                let found = workspace.ask(method, &path, &[JSON], in_body.clone()).await.ok();
                assert_eq!(found["device"]["device_id"], one.as_str(), "{method} {path}");
            }
            let found = workspace.request(method, &format!("/devices/get?device_id={other}")).await.ok();
            assert_eq!(found["device"]["device_id"], other.as_str(), "{method}");
        }
        let created =
            workspace.ask("POST", &format!("/access_codes/create?device_id={one}"), &[JSON], r#"{"name":"x"}"#).await;
        let id = created.ok()["access_code"]["access_code_id"].clone();
        let body = json!({ "access_code_id": id }).to_string();
        workspace.ask("DELETE", "/access_codes/delete", &[JSON], body).await.ok();
        assert_eq!(workspace.access_code(&id).await["status"], "removing");
    });
}

#[test]
fn content_type_is_required_only_for_post_and_patch_with_a_body() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let text = ("content-type", "text/plain");
        let body = json!({ "device_ids": workspace.locks() }).to_string();
        for headers in [&[][..], &[text]] {
            let reply = workspace.ask("POST", "/access_codes/create_multiple", headers, body.clone()).await;
            let error = reply.error(400, "invalid_content_type");
            assert_eq!(error["message"], "POST requests must have Content-Type header with \"application/json\"");
            workspace.ask("PATCH", "/access_codes/update", headers, "{}").await.error(400, "invalid_content_type");
            workspace.ask("PUT", "/access_codes/create_multiple", headers, body.clone()).await.ok();
            workspace.ask("GET", "/devices/list", headers, body.clone()).await.ok();
            workspace.ask("POST", "/devices/list", headers, "").await.ok();
        }
        let with_charset = ("content-type", "application/json; charset=utf-8");
        workspace.ask("POST", "/access_codes/create_multiple", &[with_charset], body).await.ok();
    });
}

#[test]
fn body_that_is_not_json_is_rejected_without_validation_errors() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let bodies: [&[u8]; 9] = [
            b"{",
            b"{\"a\":1,}",
            b"{} {}",
            b"nope",
            b"{\"a\": 1e999}",
            b"{\"a\": \"\\ud800\"}",
            b"{\"a\": \"\xff\"}",
            b"\xef\xbb\xbf{}",
            b" ",
        ];
        for body in bodies {
            for method in ["GET", "POST"] {
                let error = workspace.ask(method, "/devices/list", &[JSON], body).await.error(400, "invalid_input");
                let text = String::from_utf8_lossy(body);
                assert!(message(&error).starts_with("Error while parsing input"), "{method} {text}: {error}");
                assert!(error.get("validation_errors").is_none(), "{method} {text}: {error}");
            }
        }
    });
}

#[test]
fn body_that_is_no_object_is_rejected_as_a_whole() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for (body, kind) in [("[]", "array"), ("\"x\"", "string"), ("1", "number"), ("true", "boolean")] {
            let error = workspace.ask("POST", "/devices/list", &[JSON], body).await.error(400, "invalid_input");
            let expected = format!("Expected object, received {kind}");
            assert_eq!(error["message"], expected.as_str());
            assert_eq!(error["validation_errors"], json!({ "_errors": [expected] }));
        }
    });
}

#[test]
fn body_of_null_is_read_as_an_empty_object_on_every_route_and_method() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let lock = workspace.lock(0);
        for method in ["GET", "POST"] {
            for null in ["null", " null\n"] {
                let listed = workspace.ask(method, "/devices/list", &[JSON], null).await.ok();
                assert_eq!(listed["devices"].as_array().unwrap().len(), 1);
                let by_query = format!("/devices/get?device_id={lock}");
                let found = workspace.ask(method, &by_query, &[JSON], null).await.ok();
                assert_eq!(found["device"]["device_id"], lock, "the query parameters apply");
                let missing = workspace.ask(method, "/access_codes/generate_code", &[JSON], null).await;
                assert_eq!(missing.invalid("device_id"), ["Required"]);
            }
        }
        for (path, required) in [
            ("/access_codes/create", "device_id"),
            ("/access_codes/create_multiple", "device_ids"),
            ("/access_codes/delete", "access_code_id"),
            ("/_emulator/locks/add_code", "device_id"),
        ] {
            assert_eq!(workspace.ask("POST", path, &[JSON], "null").await.invalid(required), ["Required"], "{path}");
        }
        workspace.ask("POST", "/_emulator/clock/hold", &[JSON], "null").await.ok();
    });
}

#[test]
fn body_may_be_as_long_as_the_limit_and_no_longer() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let limit = app().config.body_limit;
        let of_length = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
        for path in ["/devices/list", "/_emulator/clock/hold"] {
            workspace.ask("POST", path, &[JSON], of_length(limit)).await.ok();
            let error =
                workspace.ask("POST", path, &[JSON], of_length(limit + 1)).await.error(413, "payload_too_large");
            assert!(message(&error).contains(&limit.to_string()), "{error}");
        }
        ask("POST", "/devices/list", &[JSON], of_length(limit + 1)).await.error(401, "unauthorized");
    });
}

#[test]
fn unknown_paths_are_404_in_the_envelope() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for path in [
            "/",
            "/nowhere",
            "/access_codes",
            "/devices/list/",
            "/Devices/List",
            "//devices/list",
            "/devices/%6cist",
            "/%00",
            "/_emulator",
            "/_emulator/nowhere",
            "/_emulator/clock/advance/",
        ] {
            let contract = if path.starts_with("/_emulator") { "/_emulator/openapi.json" } else { "/openapi.json" };
            for method in ["GET", "POST", "DELETE"] {
                let error = workspace.request(method, path).await.error(404, "not_found");
                assert!(message(&error).contains(&format!("{method} {path}. GET {contract} lists")), "{error}");
            }
        }
    });
}

#[test]
fn paths_of_seam_that_are_not_served_are_501_and_others_404() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for path in [
            "/thermostats/list",
            "/acs/users/create",
            "/acs/users/list",
            "/instant_keys/list",
            "/user_identities/add_acs_user",
        ] {
            for method in ["GET", "POST", "PATCH", "DELETE"] {
                let error = workspace.request(method, path).await.error(501, "not_implemented");
                assert!(message(&error).contains(&format!("{path} is not emulated")), "{error}");
            }
            // Also without a credential.
            ask("POST", path, &[], "").await.error(501, "not_implemented");
        }
        // Paths that only resemble paths of Seam.
        for path in ["/devices/updates", "/thermostats", "/thermostats/lists", "/access_methods/create", "/device/list"]
        {
            workspace.request("POST", path).await.error(404, "not_found");
        }
    });
}

#[test]
fn request_id_of_the_client_is_used_if_it_is_plain_and_short() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let sent = async |id: &str| {
            let reply = workspace.ask("POST", "/devices/list", &[JSON, ("seam-request-id", id)], "{}").await;
            reply.headers["seam-request-id"].to_str().unwrap().to_owned()
        };
        for plain in ["mine", &"a".repeat(128), "01a22221-9616-7733-8ac8-f5d49b72378d"] {
            assert_eq!(sent(plain).await, plain);
        }
        for other in ["", &"a".repeat(129), &"a".repeat(20_000), "with a space", "k\u{e4}se"] {
            let id = sent(other).await;
            assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
        }
    });
}

#[test]
fn cors_lets_pages_of_any_origin_call_the_api_with_the_client_headers() {
    run(async {
        let origin = ("origin", "https://app.example.com");
        let preflight = [
            origin,
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let reply = ask("OPTIONS", "/access_codes/delete", &preflight, "").await;
        assert_eq!((reply.status, &reply.body), (200, &Value::Null));
        let header = |reply: &Reply, name: &str| reply.headers[name].to_str().unwrap().to_ascii_lowercase();
        assert_eq!(header(&reply, "access-control-allow-origin"), origin.1);
        assert_eq!(header(&reply, "access-control-allow-credentials"), "true");
        let allowed = |name: &str| -> BTreeSet<String> {
            header(&reply, name).split(',').map(|part| part.trim().to_owned()).collect()
        };
        let methods = allowed("access-control-allow-methods");
        assert!(["get", "post", "put", "patch", "delete", "options"].iter().all(|method| methods.contains(*method)));
        let headers = allowed("access-control-allow-headers");
        for name in [
            "authorization",
            "content-type",
            "seam-workspace",
            "seam-sdk-name",
            "seam-sdk-version",
            "seam-lts-version",
            "seam-api-key",
            "seam-user-identifier-key",
            "seam-publishable-key",
            "seam-client-session-token",
            "client-session-token",
        ] {
            assert!(headers.contains(name), "{name} is not among {headers:?}");
        }
        // A page must be able to read error responses, too.
        for path in ["/devices/list", "/nowhere", "/health", "/openapi.json"] {
            let reply = ask("GET", path, &[origin], "").await;
            assert_eq!(header(&reply, "access-control-allow-origin"), origin.1, "{path}");
            assert_eq!(header(&reply, "access-control-expose-headers"), "seam-request-id", "{path}");
        }
    });
}

#[test]
fn control_plane_cannot_be_reached_by_remote_web_pages() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let origin = ("origin", "https://evil.example.com");
        let preflight = [origin, ("access-control-request-method", "POST")];
        for path in
            ["/_emulator/clock", "/_emulator/workspaces/delete", "/_emulator/nowhere", "/_emulator/openapi.json"]
        {
            for (method, headers) in [("OPTIONS", &preflight[..]), ("GET", &[origin])] {
                let reply = workspace.ask(method, path, headers, "").await;
                let shared = reply.headers.keys().find(|name| name.as_str().starts_with("access-control"));
                assert_eq!(shared, None, "{method} {path}");
            }
        }
        // Requests that a page may send without a preflight are rejected by their origin.
        for origin in [origin.1, "null", "http://localhost.example.com", "http://192.168.0.1:7326"] {
            ask("POST", "/_emulator/workspaces/create", &[("origin", origin)], "").await.error(401, "unauthorized");
        }
        for origin in ["http://localhost:7326", "http://127.0.0.1:3000", "http://[::1]"] {
            workspace.ask("GET", "/_emulator/clock", &[("origin", origin)], "").await.ok();
        }
    });
}

#[test]
fn control_plane_accepts_only_hosts_of_this_machine() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for host in ["evil.example.com", "localhost.example.com:7326", "192.168.0.1:7326", "", "127.0.0.1.nip.io"] {
            let error =
                workspace.ask("GET", "/_emulator/clock", &[("host", host)], "").await.error(401, "unauthorized");
            assert!(message(&error).contains("localhost"), "{host}: {error}");
            workspace.ask("GET", "/devices/list", &[("host", host)], "").await.ok();
        }
        for host in ["localhost:7326", "127.0.0.1", "[::1]:80"] {
            workspace.ask("GET", "/_emulator/clock", &[("host", host)], "").await.ok();
        }
    });
}

#[test]
fn http_2_request_has_its_host_in_the_uri() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let send = async |uri: &str| {
            let request = Request::get(uri).header("authorization", workspace.bearer()).body(Body::empty()).unwrap();
            crate::support::send(request).await
        };
        send("http://localhost:7326/_emulator/clock").await.ok();
        send("http://evil.example.com/_emulator/clock").await.error(401, "unauthorized");
        let first = send("http://latchkey.test:81/devices/list?limit=1").await.ok();
        let next = first["pagination"]["next_page_url"].as_str().unwrap();
        assert!(next.starts_with("http://latchkey.test:81/devices/list?"), "{next}");
    });
}

#[test]
fn request_id_differs_for_every_response() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let mut seen = BTreeSet::new();
        for path in ["/devices/list", "/devices/get", "/nowhere", "/health", "/_emulator/clock", "/thermostats/list"] {
            for _ in 0..5 {
                let reply = workspace.get(path).await;
                let mut found = reply.headers.get_all("seam-request-id").iter();
                let id = found.next().unwrap().to_str().unwrap().to_owned();
                assert!(found.next().is_none() && uuid::Uuid::parse_str(&id).is_ok(), "{path}: {id}");
                assert!(seen.insert(id), "{path}");
            }
        }
    });
}

#[test]
fn validation_errors_are_all_listed_in_the_order_of_the_contract() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let body = json!({
            "attempt_for_offline_device": "yes",
            "code": "12a",
            "behavior_when_code_cannot_be_shared": "maybe",
            "device_ids": [UNKNOWN, "nope", 5],
            "name": null,
        });
        let error = workspace.post("/access_codes/create_multiple", body).await.error(400, "invalid_input");
        assert_eq!(
            message(&error),
            "7 Input Errors: Invalid uuid for \"device_ids.1\", Expected string, received number for \"device_ids.2\", \
             Expected string, received null for \"name\", String must contain at least 4 character(s) for \"code\", \
             Invalid for \"code\", Invalid enum value. Expected 'throw' | 'create_random_code', received 'maybe' for \
             \"behavior_when_code_cannot_be_shared\", Expected boolean, received string for \
             \"attempt_for_offline_device\""
        );
        assert_eq!(
            error["validation_errors"],
            json!({
                "_errors": [],
                "device_ids": {
                    "_errors": [],
                    "1": { "_errors": ["Invalid uuid"] },
                    "2": { "_errors": ["Expected string, received number"] },
                },
                "name": { "_errors": ["Expected string, received null"] },
                "code": { "_errors": ["String must contain at least 4 character(s)", "Invalid"] },
                "behavior_when_code_cannot_be_shared": {
                    "_errors": ["Invalid enum value. Expected 'throw' | 'create_random_code', received 'maybe'"],
                },
                "attempt_for_offline_device": { "_errors": ["Expected boolean, received string"] },
            })
        );
        let error = workspace.post("/access_codes/create", json!({})).await.error(400, "invalid_input");
        assert_eq!(message(&error), "device_id is required");
        let tree = json!({ "_errors": [], "device_id": { "_errors": ["Required"] } });
        assert_eq!(error["validation_errors"], tree);
    });
}
