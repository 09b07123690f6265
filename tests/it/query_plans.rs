//! How PostgreSQL finds what our statements ask for: by an index and by what is looked up, never by reading on and on.

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

/// Statements that read an index from its beginning and stop early, or are there to show everything.
const EXCEPT: [&str; 2] = ["order by wake_at limit 1", "from workspace w order by w.sequence"];

/// A server of its own on few connections, so that all its prepared statements can be looked at.
struct Few {
    app: App,
    router: axum::Router,
    api_key: String,
}

impl Few {
    fn new() -> Self {
        let shared = app();
        let options = shared.pool.raw().connect_options().as_ref().clone();
        let limits = PoolLimits { connections: 2, ..PoolLimits::of(&shared.config) };
        let pools = Pools::lazy(options, limits);
        let config = Settings { seed: Some("plans of a server".to_owned()), ..shared.config.clone() };
        let app = App::new(config, pools).unwrap();
        let router = server::router(app.clone());
        Self { app, router, api_key: String::new() }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.ask("POST", path, body).await
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::CONTENT_TYPE, "application/json").header(header::HOST, "localhost");
        if !self.api_key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.api_key));
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["ok"], true, "{path}: {answer}");
        answer
    }

    /// Every statement that was prepared, with its plan.
    async fn plans(&self) -> Vec<(String, Vec<String>)> {
        let mut plans = Vec::new();
        let mut connections = Vec::new();
        for pool in [&self.app.pool, &self.app.background] {
            #[expect(clippy::disallowed_methods, reason = "each connection has plans of its own")]
            connections.extend([pool.raw().acquire().await.unwrap(), pool.raw().acquire().await.unwrap()]);
        }
        for connection in &mut connections {
            let prepared =
                "select name, statement, cardinality(parameter_types) as parameters from pg_prepared_statements";
            for row in sqlx::raw_sql(prepared).fetch_all(&mut **connection).await.unwrap() {
                let (name, statement): (String, String) = (row.get("name"), row.get("statement"));
                let parameters = vec!["null"; usize::try_from(row.get::<i32, _>("parameters")).unwrap()].join(", ");
                let parameters = if parameters.is_empty() { parameters } else { format!("({parameters})") };
                let explain = AssertSqlSafe(format!("explain (costs off) execute \"{name}\"{parameters}"));
                // What is no query has no plan.
                let Ok(plan) = sqlx::raw_sql(explain).fetch_all(&mut **connection).await else { continue };
                plans.push((statement, plan.iter().map(|line| line.get(0)).collect()));
            }
        }
        plans
    }
}

#[test]
fn every_statement_finds_its_rows_by_what_it_looks_up() {
    run(async {
        let mut few = Few::new();
        let types = ["august_lock", "igloohome_lock", "salto_lock", "schlage_lock"];
        let locks: Vec<_> = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
        let made = few.post("/_emulator/workspaces/create", json!({ "seed": "plans", "locks": locks })).await;
        few.post("/_emulator/workspaces/create", json!({ "ttl": "PT0S", "locks": 1 })).await;
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fixtures.json");
        Fixtures::read(Path::new(example), &few.app.config).unwrap().load(&few.app).await.unwrap();
        few.post("/_emulator/workspaces/list", json!({})).await;
        few.api_key = made["api_key"].as_str().unwrap().to_owned();
        few.post("/_emulator/workspaces/list", json!({})).await;
        let lock = |index: usize| made["devices"][index]["device_id"].clone();
        let fault = json!({ "operation": "update", "outcome": { "fail": {} }, "times": 1 });
        let fault = few.post("/_emulator/faults/create", fault).await["fault"]["fault_id"].clone();
        few.post("/_emulator/faults/list", json!({})).await;
        let id = |answer: &Value| answer["access_code"]["access_code_id"].clone();
        let window = json!({ "device_id": lock(3), "starts_at": "2030-01-01T00:00:00Z",
                             "ends_at": "2030-01-02T00:00:00Z", "use_backup_access_code_pool": true });
        let bound = id(&few.post("/access_codes/create", window).await);
        few.post("/_emulator/programming/set", json!({ "after": "PT0S" })).await;
        while scheduler::tick(&few.app).await.unwrap() > 0 {}
        few.post("/access_codes/pull_backup_access_code", json!({ "access_code_id": bound })).await;
        few.post("/access_codes/update", json!({ "access_code_id": bound, "code": "97531" })).await;
        let params = json!({ "device_id": lock(0), "common_code_key": "staff", "code": "135790", "sync": true });
        let code = id(&few.post("/access_codes/create", params).await);
        let renamed = json!({ "common_code_key": "staff", "ends_at": "2031-01-01T00:00:00Z",
                              "starts_at": "2030-01-01T00:00:00Z" });
        few.post("/access_codes/update_multiple", renamed).await;
        few.post("/access_codes/create_multiple", json!({ "device_ids": [lock(0), lock(3)] })).await;
        few.post("/access_codes/generate_code", json!({ "device_id": lock(0) })).await;
        few.post("/access_codes/get", json!({ "access_code_id": code })).await;
        few.post("/access_codes/get", json!({ "device_id": lock(0), "code": "135790" })).await;
        few.post("/access_codes/list", json!({ "access_code_ids": [code] })).await;
        few.post("/access_codes/list", json!({ "device_id": lock(0), "limit": 1, "search": "a" })).await;
        few.post("/access_codes/get_timeline", json!({ "access_code_id": code })).await;
        let foreign = json!({ "device_id": lock(0), "code": "246801" });
        let foreign = id(&few.post("/_emulator/locks/add_code", foreign).await);
        few.post("/access_codes/unmanaged/list", json!({ "device_id": lock(0) })).await;
        few.post("/access_codes/unmanaged/get", json!({ "access_code_id": foreign })).await;
        few.post("/access_codes/unmanaged/convert_to_managed", json!({ "access_code_id": foreign })).await;
        few.post("/_emulator/locks/memory", json!({ "device_id": lock(0) })).await;
        few.post("/_emulator/locks/enter_code", json!({ "device_id": lock(0), "code": "246801" })).await;
        few.post("/_emulator/locks/press_lock", json!({ "device_id": lock(0) })).await;
        few.post("/_emulator/webhook_deliveries/list", json!({})).await;
        few.post("/_emulator/webhook_deliveries/wait", json!({})).await;
        few.post("/_emulator/locks/remove_code", json!({ "device_id": lock(0), "code": "246801" })).await;
        let offline = json!({ "device_id": lock(1), "is_offline_access_code": true,
                              "starts_at": "2030-01-01T00:00:00Z", "ends_at": "2030-01-02T00:00:00Z" });
        few.post("/access_codes/create", offline).await;
        few.post(
            "/_emulator/access_codes/add_error",
            json!({ "access_code_id": code, "error_code": "provider_issue" }),
        )
        .await;
        few.post("/access_codes/delete", json!({ "access_code_id": code })).await;
        few.post("/action_attempts/list", json!({})).await;
        few.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await;
        few.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "access_code_id": code })).await;
        few.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "device_id": lock(0) })).await;
        few.post("/_emulator/rate_limits/set", json!("seam")).await;
        few.post("/_emulator/strictness/set", json!("strict")).await;
        let wait = json!({ "outcome": { "delay": "PT0S" }, "probability": 0.5 });
        let wait = few.post("/_emulator/http_faults/create", wait).await["http_fault"]["http_fault_id"].clone();
        few.post("/_emulator/http_faults/list", json!({})).await;
        few.post("/access_codes/create_multiple", json!({ "device_ids": [lock(0), lock(3)] })).await;
        few.post("/_emulator/http_faults/delete", json!({ "http_fault_id": wait })).await;
        few.post("/devices/list", json!({})).await;
        few.post("/devices/get", json!({ "device_id": lock(3) })).await;
        few.post("/_emulator/devices/update", json!({ "device_id": lock(0), "account_connected": false })).await;
        few.post("/devices/simulate/disconnect", json!({ "device_id": lock(3) })).await;
        few.post("/_emulator/faults/create", json!({ "operation": "set", "outcome": "never", "times": 1 })).await;
        let snapshot = few.post("/_emulator/snapshots/create", json!({})).await["snapshot_id"].clone();
        let exported = few.ask("GET", "/_emulator/snapshots/export", json!({})).await;
        let imported = few.post("/_emulator/snapshots/import", exported).await["snapshot_id"].clone();
        few.ask("GET", "/_emulator/snapshots/export", json!({ "snapshot_id": imported })).await;
        few.post("/_emulator/snapshots/list", json!({})).await;
        few.post("/_emulator/workspaces/reset", json!({})).await;
        few.post("/_emulator/snapshots/restore", json!({ "snapshot_id": snapshot })).await;
        few.post("/_emulator/snapshots/delete", json!({ "snapshot_id": snapshot })).await;
        latchkey::testing::engine::retention::remove_older_than(&few.app, TimeDelta::days(1)).await.unwrap();
        few.post("/_emulator/clock/hold", json!({})).await;
        few.post("/_emulator/clock/advance", json!({ "by": "P1D" })).await;
        few.post("/_emulator/clock/advance", json!({ "until": "next" })).await;
        few.post("/_emulator/faults/delete", json!({ "fault_id": fault })).await;
        few.post("/_emulator/workspaces/delete", json!({})).await;
        latchkey::testing::engine::workspaces::remove_expired(&few.app).await.unwrap();
        let plans = few.plans().await;
        assert!(plans.len() > 60, "{}", plans.len());
        let mut wrong = Vec::new();
        for (statement, plan) in plans.iter().filter(|(statement, _)| !EXCEPT.iter().any(|it| statement.contains(it))) {
            let reads_on = |(index, line): (usize, &String)| {
                line.contains("Seq Scan")
                    || (line.contains("Scan using") && !plan.get(index + 1).is_some_and(|it| it.contains("Index Cond")))
            };
            if plan.iter().enumerate().any(reads_on) {
                wrong.push(format!("{statement}\n{}", plan.join("\n")));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), plans.len(), wrong.join("\n\n"));
    });
}
