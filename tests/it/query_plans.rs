//! Query plans: each statement finds its rows by a condition on an index, not by a scan of a table or of a whole index.

use crate::support::{app, run};
use axum::body::Body;
use axum::http::{Request, header};
use chrono::TimeDelta;
use http_body_util::BodyExt;
use latchkey::testing::config::Settings;
use latchkey::testing::engine::app::App;
use latchkey::testing::engine::scheduler;
use latchkey::testing::postgres::{PoolLimits, Pools};
use latchkey::testing::server;
use latchkey::testing::server::fixtures::Fixtures;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};
use std::path::Path;
use tower::ServiceExt;

/// Parts of exempt statements: they read only the first row of an index, or list everything.
const EXCEPT: [&str; 2] = ["order by wake_at limit 1", "from workspace w order by w.sequence"];

/// Separate server with one connection for requests: a request that waits for a second one fails. A test can read the
/// prepared statements of all its connections.
struct SmallServer {
    app: App,
    router: axum::Router,
    api_key: String,
}

impl SmallServer {
    fn new() -> Self {
        let shared = app();
        let options = shared.pool.raw().connect_options().as_ref().clone();
        let limits = PoolLimits { connections: 1, ..PoolLimits::of(&shared.config) };
        let pools = Pools::lazy(options, limits);
        let config = Settings { seed: Some("plans of a server".to_owned()), ..shared.config.clone() };
        let app = App::new(config, pools).unwrap();
        let router = server::router(app.clone());
        Self { app, router, api_key: String::new() }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.send("POST", path, body).await
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Value {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::CONTENT_TYPE, "application/json").header(header::HOST, "localhost");
        if !self.api_key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.api_key));
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let reply = self.router.clone().oneshot(request).await.unwrap();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let response: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(response["ok"], true, "{path}: {response}");
        response
    }

    /// Connects an account at a webview, uses both, and deletes them.
    async fn use_accounts(&self) {
        let webview =
            self.post("/connect_webviews/create", json!({ "customer_key": "c1" })).await["connect_webview"].clone();
        let webview = json!({ "connect_webview_id": webview["connect_webview_id"] });
        self.post("/_emulator/connect_webviews/complete", webview.clone()).await;
        self.post("/connect_webviews/get", webview.clone()).await;
        self.post("/connect_webviews/list", json!({ "search": "a", "custom_metadata_has": { "a": null } })).await;
        self.post("/devices/list", json!({ "customer_key": "c1" })).await;
        let found = self.post("/devices/list", webview.clone()).await;
        let account = json!({ "connected_account_id": found["devices"][0]["connected_account_id"] });
        self.post("/connected_accounts/get", account.clone()).await;
        self.post("/connected_accounts/get", json!({ "email": "jane@example.com" })).await;
        self.post("/connected_accounts/list", json!({ "search": "a", "customer_key": "c1" })).await;
        self.post("/connected_accounts/update", account.clone()).await;
        self.post("/connected_accounts/sync", account.clone()).await;
        self.post("/access_codes/create", json!({ "device_id": found["devices"][0]["device_id"] })).await;
        self.post("/access_codes/list", json!({ "customer_key": "c1" })).await;
        self.post("/connected_accounts/delete", account).await;
        self.post("/_emulator/devices/create", json!({ "device_type": "nuki_lock" })).await;
        self.post("/connect_webviews/delete", webview).await;
    }

    /// Returns each prepared statement with the lines of its plan.
    async fn plans(&self) -> Vec<(String, Vec<String>)> {
        let mut plans = Vec::new();
        let mut connections = Vec::new();
        for (pool, count) in [(&self.app.pool, 1), (&self.app.background, 2)] {
            for _ in 0..count {
                #[expect(clippy::disallowed_methods, reason = "each connection has its own plans")]
                connections.push(pool.raw().acquire().await.unwrap());
            }
        }
        for connection in &mut connections {
            let prepared =
                "select name, statement, cardinality(parameter_types) as parameters from pg_prepared_statements";
            for row in sqlx::raw_sql(prepared).fetch_all(&mut **connection).await.unwrap() {
                let (name, statement): (String, String) = (row.get("name"), row.get("statement"));
                let parameters = vec!["null"; usize::try_from(row.get::<i32, _>("parameters")).unwrap()].join(", ");
                let parameters = if parameters.is_empty() { parameters } else { format!("({parameters})") };
                let explain = AssertSqlSafe(format!("explain (costs off) execute \"{name}\"{parameters}"));
                // A statement that is not a query has no plan.
                let Ok(plan) = sqlx::raw_sql(explain).fetch_all(&mut **connection).await else { continue };
                plans.push((statement, plan.iter().map(|line| line.get(0)).collect()));
            }
        }
        plans
    }
}

/// Returns the statements, with their plans, that read a table or an index without a condition on an index.
fn statements_that_scan(plans: &[(String, Vec<String>)]) -> Vec<String> {
    let mut scanning = Vec::new();
    for (statement, plan) in plans.iter().filter(|(statement, _)| !EXCEPT.iter().any(|part| statement.contains(part))) {
        let scans = |(index, line): (usize, &String)| {
            line.contains("Seq Scan")
                || (line.contains("Scan using") && !plan.get(index + 1).is_some_and(|next| next.contains("Index Cond")))
        };
        if plan.iter().enumerate().any(scans) {
            scanning.push(format!("{statement}\n{}", plan.join("\n")));
        }
    }
    scanning
}

#[test]
fn statements_find_their_rows_by_a_condition_on_an_index() {
    run(async {
        let mut server = SmallServer::new();
        let types = ["august_lock", "igloohome_lock", "salto_lock", "schlage_lock"];
        let locks: Vec<_> = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
        let created = server.post("/_emulator/workspaces/create", json!({ "seed": "plans", "locks": locks })).await;
        server.post("/_emulator/workspaces/create", json!({ "ttl": "PT0S", "locks": 1 })).await;
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fixtures.json");
        Fixtures::read(Path::new(example), &server.app.config).unwrap().load(&server.app).await.unwrap();
        server.post("/_emulator/workspaces/list", json!({})).await;
        server.api_key = created["api_key"].as_str().unwrap().to_owned();
        server.post("/_emulator/workspaces/list", json!({})).await;
        let lock = |index: usize| created["devices"][index]["device_id"].clone();
        let fault = json!({ "operation": "update", "outcome": { "fail": {} }, "times": 1 });
        let fault = server.post("/_emulator/faults/create", fault).await["fault"]["fault_id"].clone();
        server.post("/_emulator/faults/list", json!({})).await;
        let id = |response: &Value| response["access_code"]["access_code_id"].clone();
        let window = json!({ "device_id": lock(3), "starts_at": "2030-01-01T00:00:00Z",
                             "ends_at": "2030-01-02T00:00:00Z", "use_backup_access_code_pool": true });
        let pooled = id(&server.post("/access_codes/create", window).await);
        server.post("/_emulator/programming/set", json!({ "after": "PT0S" })).await;
        while scheduler::tick(&server.app).await.unwrap() > 0 {}
        server.post("/access_codes/pull_backup_access_code", json!({ "access_code_id": pooled })).await;
        server.post("/access_codes/update", json!({ "access_code_id": pooled, "code": "97531" })).await;
        let params = json!({ "device_id": lock(0), "common_code_key": "staff", "code": "135790", "sync": true });
        let code = id(&server.post("/access_codes/create", params).await);
        let renamed = json!({ "common_code_key": "staff", "ends_at": "2031-01-01T00:00:00Z",
                              "starts_at": "2030-01-01T00:00:00Z" });
        server.post("/access_codes/update_multiple", renamed).await;
        server.post("/access_codes/create_multiple", json!({ "device_ids": [lock(0), lock(3)] })).await;
        server.post("/access_codes/generate_code", json!({ "device_id": lock(0) })).await;
        server.post("/access_codes/get", json!({ "access_code_id": code })).await;
        server.post("/access_codes/get", json!({ "device_id": lock(0), "code": "135790" })).await;
        server.post("/access_codes/list", json!({ "access_code_ids": [code] })).await;
        server.post("/access_codes/list", json!({ "device_id": lock(0), "limit": 1, "search": "a" })).await;
        server.post("/access_codes/get_timeline", json!({ "access_code_id": code })).await;
        let unmanaged = json!({ "device_id": lock(0), "code": "246801" });
        let unmanaged = id(&server.post("/_emulator/locks/add_code", unmanaged).await);
        server.post("/access_codes/unmanaged/list", json!({ "device_id": lock(0) })).await;
        server.post("/access_codes/unmanaged/get", json!({ "access_code_id": unmanaged })).await;
        server.post("/access_codes/unmanaged/convert_to_managed", json!({ "access_code_id": unmanaged })).await;
        server.post("/_emulator/locks/memory", json!({ "device_id": lock(0) })).await;
        server.post("/_emulator/locks/enter_code", json!({ "device_id": lock(0), "code": "246801" })).await;
        server.post("/_emulator/locks/press_lock", json!({ "device_id": lock(0) })).await;
        server.post("/_emulator/webhook_deliveries/list", json!({})).await;
        server.post("/_emulator/webhook_deliveries/wait", json!({})).await;
        server.post("/_emulator/locks/remove_code", json!({ "device_id": lock(0), "code": "246801" })).await;
        let offline = json!({ "device_id": lock(1), "is_offline_access_code": true,
                              "starts_at": "2030-01-01T00:00:00Z", "ends_at": "2030-01-02T00:00:00Z" });
        server.post("/access_codes/create", offline).await;
        server
            .post(
                "/_emulator/access_codes/add_error",
                json!({ "access_code_id": code, "error_code": "provider_issue" }),
            )
            .await;
        server.post("/access_codes/delete", json!({ "access_code_id": code })).await;
        server.post("/action_attempts/list", json!({})).await;
        server.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await;
        server.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "access_code_id": code })).await;
        server.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "device_id": lock(0) })).await;
        server.use_accounts().await;
        server.post("/_emulator/rate_limits/set", json!("seam")).await;
        server.post("/_emulator/strictness/set", json!("strict")).await;
        let http_fault = json!({ "outcome": { "delay": "PT0S" }, "probability": 0.5 });
        let http_fault =
            server.post("/_emulator/http_faults/create", http_fault).await["http_fault"]["http_fault_id"].clone();
        server.post("/_emulator/http_faults/list", json!({})).await;
        server.post("/access_codes/create_multiple", json!({ "device_ids": [lock(0), lock(3)] })).await;
        server.post("/_emulator/http_faults/delete", json!({ "http_fault_id": http_fault })).await;
        server.post("/devices/list", json!({})).await;
        server.post("/devices/get", json!({ "device_id": lock(3) })).await;
        server.post("/_emulator/devices/update", json!({ "device_id": lock(0), "account_connected": false })).await;
        server.post("/devices/simulate/disconnect", json!({ "device_id": lock(3) })).await;
        server.post("/_emulator/faults/create", json!({ "operation": "set", "outcome": "never", "times": 1 })).await;
        let snapshot = server.post("/_emulator/snapshots/create", json!({})).await["snapshot_id"].clone();
        let exported = server.send("GET", "/_emulator/snapshots/export", json!({})).await;
        let imported = server.post("/_emulator/snapshots/import", exported).await["snapshot_id"].clone();
        server.send("GET", "/_emulator/snapshots/export", json!({ "snapshot_id": imported })).await;
        server.post("/_emulator/snapshots/list", json!({})).await;
        server.post("/_emulator/workspaces/reset", json!({})).await;
        server.post("/_emulator/snapshots/restore", json!({ "snapshot_id": snapshot })).await;
        server.post("/_emulator/snapshots/delete", json!({ "snapshot_id": snapshot })).await;
        latchkey::testing::engine::retention::remove_older_than(&server.app, TimeDelta::days(1)).await.unwrap();
        server.post("/_emulator/clock/hold", json!({})).await;
        server.post("/_emulator/clock/advance", json!({ "by": "P1D" })).await;
        server.post("/_emulator/clock/advance", json!({ "until": "next" })).await;
        server.post("/_emulator/faults/delete", json!({ "fault_id": fault })).await;
        server.post("/_emulator/workspaces/delete", json!({})).await;
        latchkey::testing::engine::workspaces::remove_expired_workspaces(&server.app).await.unwrap();
        let plans = server.plans().await;
        assert!(plans.len() > 60, "{}", plans.len());
        let scanning = statements_that_scan(&plans);
        assert!(scanning.is_empty(), "{} of {}:\n{}", scanning.len(), plans.len(), scanning.join("\n\n"));
    });
}
