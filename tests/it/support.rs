//! Test server and test workspaces: all tests share one server, and each test has its own workspaces.
//!
//! Each response is checked against the contract before the test receives it.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, header};
use clap::Parser;
use http_body_util::BodyExt;
use latchkey::testing::clock::machine_now;
use latchkey::testing::config::Config;
use latchkey::testing::contract::{self, Contract};
use latchkey::testing::engine::app::App;
use latchkey::testing::engine::scheduler;
use latchkey::testing::postgres::private::Download;
use latchkey::testing::postgres::{self, Database, PoolLimits};
use latchkey::testing::server;
use serde_json::{Value, json};
use std::sync::{LazyLock, OnceLock};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Default instant at which the clock of a test workspace is held.
pub(crate) const START: &str = "2026-03-02T12:00:00.000Z";

/// A device id that no workspace has.
pub(crate) const UNKNOWN: &str = "00000000-0000-4000-8000-00000000dead";

/// Secret of the test server for console sessions.
pub(crate) const CONSOLE_SESSION_SECRET: &str = "console sessions of the tests";

struct Server {
    runtime: Runtime,
    app: App,
    router: Router,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        // A delivery to a webhook is given up within two seconds, instead of 28 hours.
        let webhooks = ["--webhook-retry-scale", "0.00001", "--webhook-timeout", "PT1S"];
        let mut config = Config::parse_from(["latchkey", "--ephemeral"].into_iter().chain(webhooks));
        config.settings.database_connections = 24;
        config.settings.console_session_secret = Some(CONSOLE_SESSION_SECRET.to_owned());
        let database = Database::open(&config, CancellationToken::new()).expect("a private PostgreSQL starts");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
        let pool = runtime
            .block_on(postgres::connect(&database, PoolLimits::of(&config.settings)))
            .expect("the database is up to date");
        // The database stops when the process ends.
        std::mem::forget(database);
        let app = App::new(config.settings, pool).expect("the contracts parse");
        let router = server::router(app.clone());
        Server { runtime, app, router }
    })
}

/// Waits until a condition holds. Panics after 20 seconds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "timeout: {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Returns the settings of this machine for the download of PostgreSQL.
pub(crate) fn download() -> Download {
    Download {
        is_offline: std::env::var_os("LATCHKEY_OFFLINE").is_some(),
        mirror: std::env::var("LATCHKEY_POSTGRES_MIRROR").ok(),
        cache_directory: std::env::var_os("LATCHKEY_CACHE_DIR").map(Into::into),
        ..Download::default()
    }
}

/// Runs a test on the runtime of the server's database connections.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    server().runtime.block_on(test)
}

/// Returns the handle to the server, for functions that have no route.
pub(crate) fn app() -> App {
    server().app.clone()
}

/// Returns the types of these events.
pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event_type"].as_str().expect("a text")).collect()
}

/// Response to a test.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Value,
    /// Body before it was parsed.
    pub(crate) text: String,
}

impl Reply {
    /// Asserts that the response is a success, and returns its body.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!((self.status, &self.body["ok"]), (200, &json!(true)), "{}", self.body);
        self.body
    }

    /// Asserts that the response is this error, and returns its `error`.
    #[track_caller]
    pub(crate) fn error(self, status: u16, kind: &str) -> Value {
        assert_eq!((self.status, &self.body["ok"]), (status, &json!(false)), "{}", self.body);
        assert_eq!(self.body["error"]["type"], kind, "{}", self.body);
        assert!(self.body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
        self.body["error"].clone()
    }

    /// Asserts that the response is `invalid_input`, and returns the messages about this parameter.
    #[track_caller]
    pub(crate) fn invalid(self, parameter: &str) -> Vec<String> {
        let error = self.error(400, "invalid_input");
        let messages = &error["validation_errors"][parameter]["_errors"];
        serde_json::from_value(messages.clone()).unwrap_or_else(|_| panic!("no messages about {parameter} in {error}"))
    }
}

/// Returns a contract in which the responses of Latchkey replace those of Seam, for the deviations that the contract
/// lists.
fn with_deviations(contract: &Contract) -> String {
    let mut document = contract.document().clone();
    let deviations = document["x-latchkey-deviations"].as_array().cloned().unwrap_or_default();
    for deviation in deviations.iter().filter(|deviation| deviation.get("answered").is_some()) {
        let path = deviation["path"].as_str().expect("a pointer");
        for method in ["get", "post", "put", "patch", "delete"] {
            if let Some(value) = document.pointer_mut(&path.replace("/*/", &format!("/{method}/"))) {
                *value = deviation["answered"].clone();
            }
        }
    }
    document.to_string()
}

/// Contract of Seam's API, and that of the control plane. Parsed once: a debug build takes some time for it.
pub(crate) static SEAM_CONTRACT: LazyLock<Contract> =
    LazyLock::new(|| Contract::parse(contract::OPENAPI.text().expect("the contract")).expect("the contract parses"));
pub(crate) static CONTROL_CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    Contract::parse(contract::CONTROL_OPENAPI.text().expect("the contract")).expect("the contract parses")
});

/// Checks a response against the contract that contains its path, if any.
pub(crate) fn check_response(method: &str, path: &str, status: u16, body: &Value) {
    static CONTRACTS: OnceLock<[Contract; 2]> = OnceLock::new();
    let contracts = CONTRACTS.get_or_init(|| {
        [&SEAM_CONTRACT, &CONTROL_CONTRACT]
            .map(|contract| Contract::parse(&with_deviations(contract)).expect("the contract parses"))
    });
    let endpoint = contracts.iter().find_map(|contract| contract.endpoint(path));
    if let Some(operation) = endpoint.and_then(|endpoint| endpoint.operation(method)) {
        let checked = operation.check_response(status, body);
        assert_eq!(checked, Ok(()), "{method} {path} returned {status} {body}");
    }
}

/// Sends a request unchanged, and checks the response against the contract that contains its path, if any.
pub(crate) async fn send(request: Request<Body>) -> Reply {
    let server = server();
    let (path, method) = (request.uri().path().to_owned(), request.method().to_string());
    let response: Response<Body> = server.router.clone().oneshot(request).await.expect("the router never fails");
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    assert!(headers.contains_key("seam-request-id"), "{method} {path} has no request id");
    if headers.get(header::CONTENT_TYPE).is_some_and(|content_type| content_type == "text/event-stream") {
        // The body does not end.
        return Reply { status, headers, body: Value::Null, text: String::new() };
    }
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(bytes.to_vec()).expect("a text");
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page {
        return Reply { status, headers, body: Value::Null, text };
    }
    let body: Value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("a JSON body") };
    check_response(&method, &path, status, &body);
    Reply { status, headers, body, text }
}

/// Sends a request with these headers and this body. The default `Host` is `localhost`.
pub(crate) async fn ask(method: &str, path_and_query: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
    let mut request = Request::builder().method(method).uri(path_and_query);
    if headers.iter().all(|(name, _)| *name != "host") {
        request = request.header(header::HOST, "localhost");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request.body(body.into()).expect("a request")).await
}

/// Sends a POST with a JSON body, and with this API key unless it is empty.
pub(crate) async fn post_as(api_key: &str, path: &str, body: Value) -> Reply {
    let mut request =
        Request::post(path).header(header::CONTENT_TYPE, "application/json").header(header::HOST, "localhost");
    if !api_key.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {api_key}"));
    }
    send(request.body(Body::from(body.to_string())).expect("a request")).await
}

/// Workspace of one test.
#[derive(Debug)]
pub(crate) struct TestWorkspace {
    pub(crate) api_key: String,
    pub(crate) workspace_id: String,
    pub(crate) personal_access_token: String,
    pub(crate) devices: Vec<Value>,
}

impl TestWorkspace {
    /// Creates a workspace whose clock is held at [`START`], with this number of August locks.
    pub(crate) async fn with_locks(count: usize) -> Self {
        Self::create_with(json!({ "locks": count })).await
    }

    /// Creates a workspace whose clock is held at [`START`], with these locks (`device_type` and overrides).
    pub(crate) async fn with(locks: Value) -> Self {
        Self::create_with(json!({ "locks": locks })).await
    }

    /// Creates a workspace with these parameters. The default `clock` is held at [`START`].
    pub(crate) async fn create_with(mut params: Value) -> Self {
        if params.get("clock").is_none() {
            params["clock"] = json!({ "held_at": START });
        }
        let created = post_as("", "/_emulator/workspaces/create", params).await.ok();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            api_key: text(&created["api_key"]),
            workspace_id: text(&created["workspace"]["workspace_id"]),
            personal_access_token: text(&created["personal_access_token"]),
            devices: created["devices"].as_array().expect("a list").clone(),
        }
    }

    /// Returns the id of the lock at this index.
    pub(crate) fn lock(&self, index: usize) -> String {
        self.devices[index]["device_id"].as_str().expect("an id").to_owned()
    }

    /// Returns the ids of all locks.
    pub(crate) fn locks(&self) -> Vec<String> {
        (0..self.devices.len()).map(|index| self.lock(index)).collect()
    }

    /// Sends a POST with the API key of this workspace.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        post_as(&self.api_key, path, body).await
    }

    /// Sends a GET with the API key of this workspace.
    pub(crate) async fn get(&self, path_and_query: &str) -> Reply {
        self.request("GET", path_and_query).await
    }

    /// Sends a request without a body, with the API key of this workspace.
    pub(crate) async fn request(&self, method: &str, path_and_query: &str) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path_and_query)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.api_key));
        send(request.body(Body::empty()).expect("a request")).await
    }

    /// Moves the held clock of this workspace by an ISO 8601 duration.
    pub(crate) async fn advance(&self, by: &str) -> Value {
        self.post("/_emulator/clock/advance", json!({ "by": by })).await.ok()
    }

    /// Creates an access code with these parameters and returns it.
    pub(crate) async fn create(&self, parameters: Value) -> Value {
        self.post("/access_codes/create", parameters).await.ok()["access_code"].clone()
    }

    /// Returns the events that match this filter, in order.
    pub(crate) async fn events(&self, mut filter: Value) -> Vec<Value> {
        if filter.get("between").is_none() && filter.get("since").is_none() {
            filter["since"] = json!("2000-01-01T00:00:00Z");
        }
        if filter.get("limit").is_none() {
            filter["limit"] = json!(10_000);
        }
        self.post("/events/list", filter).await.ok()["events"].as_array().expect("a list").clone()
    }

    /// Runs all steps that are due now in this workspace, whose clock is not held.
    pub(crate) async fn tick(&self) {
        let app = app();
        let due = "select (select count(*) from access_code where workspace_id = $1::text::uuid and wake_at <= $2)
                        + (select count(*) from device where workspace_id = $1::text::uuid and wake_at <= $2)";
        let now = machine_now();
        // A tick processes all workspaces, and skips devices that the tick of another test is processing.
        loop {
            scheduler::tick(&app).await.expect("the scheduler returns no error");
            let due = sqlx::query_scalar::<_, i64>(due).bind(&self.workspace_id).bind(now);
            if due.fetch_one(app.pool.raw()).await.expect("a count") == 0 {
                return;
            }
        }
    }

    /// Returns the current state of the access code with this id.
    pub(crate) async fn access_code(&self, access_code_id: &Value) -> Value {
        self.post("/access_codes/get", json!({ "access_code_id": access_code_id })).await.ok()["access_code"].clone()
    }

    /// Returns the codes in the memory of the lock at this index, slot by slot.
    pub(crate) async fn memory(&self, index: usize) -> Vec<Value> {
        let memory = self.post("/_emulator/locks/memory", json!({ "device_id": self.lock(index) })).await.ok();
        memory["codes"].as_array().expect("a list").clone()
    }

    /// Changes the lock at this index and returns it.
    pub(crate) async fn change_lock(&self, index: usize, mut changes: Value) -> Value {
        changes["device_id"] = json!(self.lock(index));
        self.post("/_emulator/devices/update", changes).await.ok()["device"].clone()
    }

    /// Moves the held clock of this workspace to an instant.
    pub(crate) async fn advance_to(&self, instant: &str) {
        self.post("/_emulator/clock/advance", json!({ "to": instant })).await.ok();
    }

    /// Returns all events about access codes, in order: those of accounts and devices are left out.
    pub(crate) async fn code_events(&self) -> Vec<Value> {
        let listed = self.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "limit": 10_000 })).await.ok();
        let events = listed["events"].as_array().expect("a list").iter();
        events.filter(|event| event.get("access_code_id").is_some()).cloned().collect()
    }

    /// Returns the type and the instant of each event about a code, in order.
    pub(crate) async fn events_of(&self, access_code_id: &Value) -> Vec<(String, String)> {
        let params = json!({ "since": "2000-01-01T00:00:00Z", "access_code_id": access_code_id, "limit": 1000 });
        let events = self.post("/events/list", params).await.ok();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let events = events["events"].as_array().expect("a list").iter();
        events.map(|event| (text(&event["event_type"]), text(&event["occurred_at"]))).collect()
    }
}
