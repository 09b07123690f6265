//! Query plans: each statement finds its rows by a condition on an index, not by a scan of a table or of a whole index.

use crate::support::{app, run};
use crate::webhook_receiver::{ACCEPT, Answer, Receiver};
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
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::task::JoinHandle;
use tower::ServiceExt;
use uuid::Uuid;

/// Parts of exempt statements: they read only the first row of an index, or list everything.
const EXCEPT: [&str; 2] = ["order by wake_at limit 1", "from workspace w order by w.sequence"];

/// Parts of statements that are exempt while their only table has one row. They read it in their order, or they find an
/// array by an index that has no order.
const EXCEPT_ONE_ROW: [&str; 5] = [
    "where workspace_id = $1 order by device_id for update",
    "from workspace w where",
    "device_ids @> array[",
    "device_ids && $2",
    "space_ids ?| $2",
];

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
        let config = Settings { seed: Some(Some("plans of a server".to_owned())), ..shared.config.clone() };
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

    /// Creates spaces and user identities with these devices, uses them, and deletes them.
    async fn use_spaces(&self, devices: &[Value]) {
        let params = json!({ "name": "Room", "space_key": "r", "customer_key": "c", "device_ids": [devices[0]] });
        let space = self.post("/spaces/create", params).await["space"]["space_id"].clone();
        self.post("/spaces/add_devices", json!({ "space_id": space, "device_ids": devices })).await;
        let found = self.post("/devices/list", json!({ "space_id": space })).await;
        let account = &found["devices"][0]["connected_account_id"];
        for path in ["/spaces/add_connected_account", "/spaces/remove_connected_account"] {
            self.post(path, json!({ "space_id": space, "connected_account_id": account })).await;
        }
        self.post("/spaces/get", json!({ "space_key": "r" })).await;
        self.post("/spaces/list", json!({ "space_key": "r" })).await;
        self.post("/spaces/list", json!({ "search": "r", "customer_key": "c", "connected_account_id": account })).await;
        self.post("/spaces/get_related", json!({ "space_ids": [space], "space_keys": ["r"] })).await;
        self.post("/connected_accounts/list", json!({ "space_id": space })).await;
        let since = json!({ "since": "2000-01-01T00:00:00Z", "space_id": space, "customer_key": "c" });
        self.post("/events/list", since).await;
        let one = self.post("/user_identities/create", json!({ "user_identity_key": "one" })).await;
        let two = self.post("/user_identities/create", json!({ "user_identity_key": "two" })).await;
        let id = |created: &Value| json!({ "user_identity_id": created["user_identity"]["user_identity_id"] });
        let mut access = id(&two);
        access["device_id"] = devices[0].clone();
        self.post("/user_identities/grant_access_to_device", access.clone()).await;
        self.post("/user_identities/revoke_access_to_device", access).await;
        self.post("/user_identities/update", id(&two)).await;
        self.post("/client_sessions/create", id(&two)).await;
        let merge = json!({ "user_identity_key": "one", "merged_user_identity_keys": ["two"] });
        self.post("/user_identities/merge", merge).await;
        self.post("/client_sessions/list", id(&two)).await;
        self.post("/user_identities/get", id(&two)).await;
        self.post("/user_identities/list", json!({ "search": "o", "created_before": "2099-01-01T00:00:00Z" })).await;
        self.post("/user_identities/list_accessible_devices", id(&one)).await;
        self.post("/user_identities/delete", id(&one)).await;
        let other = self.post("/_emulator/devices/create", json!({ "device_type": "nuki_lock" })).await;
        let replaced = json!({ "space_id": space, "device_ids": [other["device"]["device_id"]] });
        self.post("/spaces/update", replaced.clone()).await;
        self.post("/devices/delete", json!({ "device_id": replaced["device_ids"][0] })).await;
        self.post("/spaces/delete", json!({ "space_id": space })).await;
    }

    /// Returns each prepared statement with the lines of its plan, as if all tables were of this size.
    async fn plans(&self, size: Size) -> Vec<(String, Vec<String>)> {
        // Transactions on all connections at the same time.
        let mut transactions = Vec::new();
        for (pool, count) in [(&self.app.pool, 1), (&self.app.background, 2), (&self.app.deliveries, 2)] {
            for _ in 0..count {
                transactions.push(pool.begin(Uuid::nil()).await.unwrap());
            }
        }
        let mut statements = BTreeMap::new();
        for connection in &mut transactions {
            let prepared = "select statement, parameter_types::text[] as types from pg_prepared_statements";
            for row in sqlx::raw_sql(prepared).fetch_all(&mut **connection).await.unwrap() {
                statements.insert(row.get::<String, _>("statement"), row.get::<Vec<String>, _>("types"));
            }
        }
        let connection = &mut transactions[0];
        statements.extend(statements_of_functions(connection).await);
        sqlx::raw_sql(AssertSqlSafe(size.set_statistics())).execute(&mut **connection).await.unwrap();
        let mut plans = Vec::new();
        for (index, (statement, types)) in statements.into_iter().enumerate() {
            let in_parentheses = |list: String| if list.is_empty() { list } else { format!("({list})") };
            let nulls = in_parentheses(vec!["null"; types.len()].join(", "));
            let prepare = format!("prepare plan_{index} {} as {statement}", in_parentheses(types.join(", ")));
            // A statement that is not a query has no plan. The error ends only this savepoint.
            let mut savepoint = connection.begin().await.unwrap();
            if sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *savepoint).await.is_err() {
                continue;
            }
            let explain = AssertSqlSafe(format!("explain (costs off) execute plan_{index}{nulls}"));
            let Ok(plan) = sqlx::raw_sql(explain).fetch_all(&mut *savepoint).await else { continue };
            plans.push((statement, plan.iter().map(|line| line.get(0)).collect()));
        }
        plans
    }
}

/// Size that the planner assumes for all tables. Without this, it depends on the time of the last automatic `analyze`.
#[derive(Clone, Copy)]
enum Size {
    /// Nothing is known yet: PostgreSQL assumes ten pages.
    Unknown,
    /// One row.
    OneRow,
}

impl Size {
    /// Statements that set the statistics until the end of the transaction. The planner multiplies the rows per page by
    /// the real number of pages.
    fn set_statistics(self) -> String {
        let (pages, rows) = match self {
            Self::Unknown => (0, -1),
            Self::OneRow => (1_000_000, 1),
        };
        format!(
            "delete from pg_statistic
             where starelid in (select oid from pg_class where relnamespace = 'public'::regnamespace);
             update pg_class set relpages = {pages}, reltuples = {rows}
             where relnamespace = 'public'::regnamespace and relkind in ('r', 'i')"
        )
    }
}

/// Returns the statements of the functions that lock devices, with their types: a function hides its plans.
async fn statements_of_functions(connection: &mut PgConnection) -> Vec<(String, Vec<String>)> {
    let functions = "select prosrc from pg_proc where proname like 'lock\\_devices%'";
    let functions: Vec<String> = sqlx::query_scalar(functions).fetch_all(&mut *connection).await.unwrap();
    assert_eq!(functions.len(), 2);
    let statement = |body: String| {
        let statement = body.split_once("perform").and_then(|(_, rest)| rest.split_once(';')).unwrap().0;
        let statement = statement.replace("of_workspace", "$1").replace("any(device_ids)", "any($2)");
        let statement = statement.replace("any(access_code_ids)", "any($2)").replace("of_accounts", "$3");
        (format!("select {statement}"), ["uuid", "uuid[]", "uuid[]"].map(str::to_owned).to_vec())
    };
    functions.into_iter().map(statement).collect()
}

/// Returns the statements, with their plans, that read a table or an index without a condition on an index.
fn statements_that_scan(plans: &[(String, Vec<String>)], except: &[&str]) -> Vec<String> {
    let mut scanning = Vec::new();
    for (statement, plan) in plans.iter().filter(|(statement, _)| !except.iter().any(|part| statement.contains(part))) {
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

/// Sends requests with each kind of credential, and those that create and change client sessions.
async fn send_requests_of_credentials(server: &mut SmallServer, created: &Value) {
    let api_key = server.api_key.clone();
    let account = &created["devices"][0]["connected_account_id"];
    let params = json!({ "user_identifier_key": "jane", "connected_account_ids": [account] });
    let session = server.post("/client_sessions/create", params).await["client_session"].clone();
    let id = json!({ "client_session_id": session["client_session_id"] });
    server.post("/client_sessions/get", id.clone()).await;
    server.post("/client_sessions/get_or_create", json!({ "user_identifier_key": "jane" })).await;
    server.post("/client_sessions/list", json!({ "without_user_identifier_key": true })).await;
    let grant = json!({ "user_identifier_key": "jane", "connected_account_ids": [created["devices"][1]["connected_account_id"]] });
    server.post("/client_sessions/grant_access", grant).await;
    session["token"].as_str().unwrap().clone_into(&mut server.api_key);
    server.post("/devices/list", json!({})).await;
    let key = json!({ "device_id": created["devices"][0]["device_id"], "common_code_key": "of a session" });
    server.post("/access_codes/create", key).await;
    server.api_key = api_key;
    server.post("/client_sessions/revoke", id.clone()).await;
    server.post("/client_sessions/delete", id).await;
    server.post("/workspaces/update", json!({ "name": "Plans" })).await;
    server.post("/workspaces/reset_sandbox", json!({})).await;
    let api_key = std::mem::take(&mut server.api_key);
    created["personal_access_token"].as_str().unwrap().clone_into(&mut server.api_key);
    server.post("/workspaces/list", json!({})).await;
    let created = server.post("/workspaces/create", json!({ "name": "Another" })).await;
    server.api_key.clear();
    let workspace_id = created["workspace"]["workspace_id"].clone();
    server.post("/_emulator/workspaces/delete", json!({ "workspace_id": workspace_id })).await;
    server.api_key = api_key;
}

/// Sends events of a new code on this lock to a new webhook, whose receiver fails once, and sends one of them again.
/// Returns the id of the webhook, and the task that sends.
async fn deliver_to_a_webhook(server: &SmallServer, lock: Value) -> (Value, JoinHandle<()>) {
    let receiver = Receiver::answering(|_, count| if count == 0 { Answer::Status(500, "") } else { ACCEPT }).await;
    let delivery = tokio::spawn(latchkey::testing::delivery::run(server.app.clone()));
    let webhook = server.post("/webhooks/create", json!({ "url": receiver.url })).await["webhook"].clone();
    server.post("/webhooks/get", json!({ "webhook_id": webhook["webhook_id"] })).await;
    server.post("/webhooks/list", json!({})).await;
    server.post("/webhooks/update", json!({ "webhook_id": webhook["webhook_id"], "event_types": ["*"] })).await;
    server.post("/access_codes/create", json!({ "device_id": lock })).await;
    server.post("/_emulator/webhook_deliveries/wait", json!({})).await;
    let params = json!({ "webhook_id": webhook["webhook_id"], "status": "succeeded" });
    let delivered = server.post("/_emulator/webhook_deliveries/list", params).await;
    let params = json!({ "webhook_delivery_id": delivered["webhook_deliveries"][0]["webhook_delivery_id"] });
    server.post("/_emulator/webhook_deliveries/redeliver", params).await;
    receiver.wait_for(4).await;
    (webhook["webhook_id"].clone(), delivery)
}

/// Sends requests that read, control, change and delete devices.
async fn change_devices(server: &SmallServer, first: &Value, other: &Value) {
    server.post("/devices/unmanaged/list", json!({})).await;
    server.post("/devices/get", json!({ "device_id": other })).await;
    server.post("/locks/unlock_door", json!({ "device_id": other })).await;
    server.post("/locks/list", json!({ "device_type": "august_lock" })).await;
    server.post("/_emulator/devices/update", json!({ "device_id": first, "account_connected": false })).await;
    server.post("/_emulator/devices/update", json!({ "device_id": first, "account_connected": true })).await;
    server.post("/devices/simulate/disconnect", json!({ "device_id": first })).await;
    server.post("/devices/update", json!({ "device_id": other, "name": "Vault" })).await;
    server.post("/devices/list", json!({ "search": "v", "custom_metadata_has": { "a": "b" } })).await;
    let spare = server.post("/_emulator/devices/create", json!({ "device_type": "nuki_lock" })).await;
    let spare = json!({ "device_id": spare["device"]["device_id"], "is_managed": false });
    server.post("/devices/update", spare.clone()).await;
    server.post("/devices/delete", json!({ "device_id": spare["device_id"] })).await;
}

/// Asserts that each prepared statement finds its rows by a condition on an index, whatever the planner knows.
async fn assert_no_scans(server: &SmallServer) {
    let except_one_row = [&EXCEPT[..], &EXCEPT_ONE_ROW].concat();
    for (size, except) in [(Size::Unknown, &EXCEPT[..]), (Size::OneRow, &except_one_row)] {
        let plans = server.plans(size).await;
        assert!(plans.len() > 150, "{}", plans.len());
        let scanning = statements_that_scan(&plans, except);
        assert!(scanning.is_empty(), "{} of {}:\n{}", scanning.len(), plans.len(), scanning.join("\n\n"));
    }
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
        let period = json!({ "device_ids": [lock(0)], "from": "2030-01-01T00:00:00Z", "to": "2031-01-01T00:00:00Z" });
        server.post("/_emulator/access_codes/list", period).await;
        server.post("/_emulator/access_codes/list", json!({ "access_code_ids": [code] })).await;
        server.post("/_emulator/access_codes/count", json!({ "device_ids": [lock(0), lock(3)] })).await;
        let unmanaged = json!({ "device_id": lock(0), "code": "246801" });
        let unmanaged = id(&server.post("/_emulator/locks/add_code", unmanaged).await);
        server.post("/access_codes/unmanaged/list", json!({ "device_id": lock(0) })).await;
        server.post("/access_codes/unmanaged/get", json!({ "access_code_id": unmanaged })).await;
        server.post("/access_codes/unmanaged/convert_to_managed", json!({ "access_code_id": unmanaged })).await;
        server.post("/_emulator/locks/memory", json!({ "device_id": lock(0) })).await;
        server.post("/_emulator/locks/enter_code", json!({ "device_id": lock(0), "code": "246801" })).await;
        server.post("/_emulator/locks/press_lock", json!({ "device_id": lock(0) })).await;
        server.use_spaces(&[lock(0), lock(3)]).await;
        let (webhook, delivery) = deliver_to_a_webhook(&server, lock(3)).await;
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
        change_devices(&server, &lock(0), &lock(3)).await;
        server.post("/_emulator/faults/create", json!({ "operation": "set", "outcome": "never", "times": 1 })).await;
        let snapshot = server.post("/_emulator/snapshots/create", json!({})).await["snapshot_id"].clone();
        let exported = server.send("GET", "/_emulator/snapshots/export", json!({})).await;
        let imported = server.post("/_emulator/snapshots/import", exported).await["snapshot_id"].clone();
        server.send("GET", "/_emulator/snapshots/export", json!({ "snapshot_id": imported })).await;
        server.post("/_emulator/snapshots/list", json!({})).await;
        server.post("/_emulator/workspaces/reset", json!({})).await;
        send_requests_of_credentials(&mut server, &created).await;
        server.post("/_emulator/snapshots/restore", json!({ "snapshot_id": snapshot })).await;
        server.post("/_emulator/snapshots/delete", json!({ "snapshot_id": snapshot })).await;
        latchkey::testing::engine::retention::remove_older_than(&server.app, TimeDelta::days(1)).await.unwrap();
        server.post("/_emulator/clock/hold", json!({})).await;
        server.post("/_emulator/clock/advance", json!({ "by": "P1D" })).await;
        server.post("/_emulator/clock/advance", json!({ "until": "next" })).await;
        server.post("/_emulator/faults/delete", json!({ "fault_id": fault })).await;
        server.post("/webhooks/delete", json!({ "webhook_id": webhook })).await;
        delivery.abort();
        server.post("/_emulator/workspaces/delete", json!({})).await;
        latchkey::testing::engine::workspaces::remove_expired_workspaces(&server.app).await.unwrap();
        assert_no_scans(&server).await;
    });
}
