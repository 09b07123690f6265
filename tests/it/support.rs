//! One server for all tests, and a workspace of its own for each.
//!
//! Every answer a test sees is checked against the contract on its way.

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
use latchkey::testing::postgres::{self, Database, PoolLimits};
use latchkey::testing::server;
use serde_json::{Value, json};
use std::sync::OnceLock;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// The instant at which the clock of a test's workspace is held unless it says otherwise.
pub(crate) const START: &str = "2026-03-02T12:00:00.000Z";

/// A device id that no workspace has.
pub(crate) const UNKNOWN: &str = "00000000-0000-4000-8000-00000000dead";

struct Server {
    runtime: Runtime,
    app: App,
    router: Router,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let mut config = Config::parse_from(["latchkey", "--ephemeral"]);
        config.settings.database_connections = 24;
        let database = Database::open(&config).expect("a private PostgreSQL starts");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
        let pool = runtime
            .block_on(postgres::connect(&database.url(), PoolLimits::of(&config.settings)))
            .expect("the database is up to date");
        // The process's end ends it; nothing here lives longer.
        std::mem::forget(database);
        let app = App::new(config.settings, pool).expect("the contracts parse");
        let router = server::router(app.clone());
        Server { runtime, app, router }
    })
}

/// Runs a test on the runtime that the server's connections belong to.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    server().runtime.block_on(test)
}

/// The server's own handle, for what has no route.
pub(crate) fn app() -> App {
    server().app.clone()
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Value,
    /// The body as it was sent.
    pub(crate) text: String,
}

impl Reply {
    /// The body of an answer that has to be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!((self.status, &self.body["ok"]), (200, &json!(true)), "{}", self.body);
        self.body
    }

    /// The `error` of an answer that has to be this one.
    #[track_caller]
    pub(crate) fn error(self, status: u16, kind: &str) -> Value {
        assert_eq!((self.status, &self.body["ok"]), (status, &json!(false)), "{}", self.body);
        assert_eq!(self.body["error"]["type"], kind, "{}", self.body);
        assert!(self.body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
        self.body["error"].clone()
    }

    /// The messages about one parameter of an answer that has to be `invalid_input`.
    #[track_caller]
    pub(crate) fn invalid(self, parameter: &str) -> Vec<String> {
        let error = self.error(400, "invalid_input");
        let messages = &error["validation_errors"][parameter]["_errors"];
        serde_json::from_value(messages.clone()).unwrap_or_else(|_| panic!("nothing about {parameter} in {error}"))
    }
}

/// The document with what is answered in place of what Seam's contract says, where it names such a deviation.
fn as_answered(document: &str) -> String {
    let mut document: Value = serde_json::from_str(document).expect("JSON");
    let deviations = document["x-latchkey-deviations"].as_array().cloned().unwrap_or_default();
    for deviation in deviations.iter().filter(|deviation| deviation.get("answered").is_some()) {
        let path = deviation["path"].as_str().expect("a pointer");
        for method in ["get", "post", "put", "patch", "delete"] {
            if let Some(index) = document.pointer_mut(&path.replace("/*/", &format!("/{method}/"))) {
                *index = deviation["answered"].clone();
            }
        }
    }
    document.to_string()
}

/// Checks an answer against the contract that has its path, if one has.
pub(crate) fn check_answer(method: &str, path: &str, status: u16, body: &Value) {
    static CONTRACTS: OnceLock<[Contract; 2]> = OnceLock::new();
    let contracts = CONTRACTS.get_or_init(|| {
        [contract::OPENAPI, contract::CONTROL_OPENAPI]
            .map(|document| Contract::parse(&as_answered(document)).expect("the contract parses"))
    });
    let endpoint = contracts.iter().find_map(|contract| contract.endpoint(path));
    if let Some(operation) = endpoint.and_then(|endpoint| endpoint.operation(method)) {
        let checked = operation.check_response(status, body);
        assert_eq!(checked, Ok(()), "{method} {path} answered {status} {body}");
    }
}

/// Sends a request as it is and checks the answer against the contract that has its path, if one has.
pub(crate) async fn send(request: Request<Body>) -> Reply {
    let server = server();
    let (path, method) = (request.uri().path().to_owned(), request.method().to_string());
    let response: Response<Body> = server.router.clone().oneshot(request).await.expect("the router never fails");
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    assert!(headers.contains_key("seam-request-id"), "{method} {path} has no request id");
    if headers.get(header::CONTENT_TYPE).is_some_and(|content_type| content_type == "text/event-stream") {
        // It has no end.
        return Reply { status, headers, body: Value::Null, text: String::new() };
    }
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(bytes.to_vec()).expect("a text");
    let body: Value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("a JSON body") };
    check_answer(&method, &path, status, &body);
    Reply { status, headers, body, text }
}

/// A request with these headers and this body; it is for `localhost` unless a header says otherwise.
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

/// A POST with a JSON body and, unless empty, an API key.
pub(crate) async fn post_as(api_key: &str, path: &str, body: Value) -> Reply {
    let mut request =
        Request::post(path).header(header::CONTENT_TYPE, "application/json").header(header::HOST, "localhost");
    if !api_key.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {api_key}"));
    }
    send(request.body(Body::from(body.to_string())).expect("a request")).await
}

/// A workspace of one test.
#[derive(Debug)]
pub(crate) struct TestWorkspace {
    pub(crate) api_key: String,
    pub(crate) workspace_id: String,
    pub(crate) personal_access_token: String,
    pub(crate) devices: Vec<Value>,
}

impl TestWorkspace {
    /// A workspace whose clock is held at [`START`], with so many August locks.
    pub(crate) async fn with_locks(count: usize) -> Self {
        Self::make(json!({ "locks": count })).await
    }

    /// A workspace whose clock is held at [`START`], with these locks (`device_type` and overrides).
    pub(crate) async fn with(locks: Value) -> Self {
        Self::make(json!({ "locks": locks })).await
    }

    /// A workspace as asked for; its clock is held at [`START`] unless `clock` says otherwise.
    pub(crate) async fn make(mut params: Value) -> Self {
        if params.get("clock").is_none() {
            params["clock"] = json!({ "held_at": START });
        }
        let made = post_as("", "/_emulator/workspaces/create", params).await.ok();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            api_key: text(&made["api_key"]),
            workspace_id: text(&made["workspace"]["workspace_id"]),
            personal_access_token: text(&made["personal_access_token"]),
            devices: made["devices"].as_array().expect("a list").clone(),
        }
    }

    /// The id of the lock at this place.
    pub(crate) fn lock(&self, index: usize) -> String {
        self.devices[index]["device_id"].as_str().expect("an id").to_owned()
    }

    /// The ids of all locks.
    pub(crate) fn locks(&self) -> Vec<String> {
        (0..self.devices.len()).map(|index| self.lock(index)).collect()
    }

    /// A POST with this workspace's key.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        post_as(&self.api_key, path, body).await
    }

    /// A GET with this workspace's key.
    pub(crate) async fn get(&self, path_and_query: &str) -> Reply {
        self.request("GET", path_and_query).await
    }

    /// A request without a body and with this workspace's key.
    pub(crate) async fn request(&self, method: &str, path_and_query: &str) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path_and_query)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.api_key));
        send(request.body(Body::empty()).expect("a request")).await
    }

    /// Moves the workspace's held clock by an ISO 8601 duration.
    pub(crate) async fn advance(&self, by: &str) -> Value {
        self.post("/_emulator/clock/advance", json!({ "by": by })).await.ok()
    }

    /// Makes a code from these parameters and gives it.
    pub(crate) async fn create(&self, parameters: Value) -> Value {
        self.post("/access_codes/create", parameters).await.ok()["access_code"].clone()
    }

    /// Makes everything happen that is due by now in this workspace, whose clock is not held.
    pub(crate) async fn tick(&self) {
        let app = app();
        let due = "select count(*) from access_code where workspace_id = $1::text::uuid and wake_at <= $2";
        let now = machine_now();
        // The scheduler works for all workspaces, and passes over what the tick of another test has in hand.
        loop {
            scheduler::tick(&app).await.expect("the scheduler works");
            let due = sqlx::query_scalar::<_, i64>(due).bind(&self.workspace_id).bind(now);
            if due.fetch_one(app.pool.raw()).await.expect("a count") == 0 {
                return;
            }
        }
    }

    /// The code with this id as it is now.
    pub(crate) async fn access_code(&self, access_code_id: &Value) -> Value {
        self.post("/access_codes/get", json!({ "access_code_id": access_code_id })).await.ok()["access_code"].clone()
    }

    /// What the lock at this place holds, slot by slot.
    pub(crate) async fn memory(&self, index: usize) -> Vec<Value> {
        let memory = self.post("/_emulator/locks/memory", json!({ "device_id": self.lock(index) })).await.ok();
        memory["codes"].as_array().expect("a list").clone()
    }

    /// Changes the lock at this place and gives it.
    pub(crate) async fn change_lock(&self, index: usize, mut changes: Value) -> Value {
        changes["device_id"] = json!(self.lock(index));
        self.post("/_emulator/devices/update", changes).await.ok()["device"].clone()
    }

    /// Moves the workspace's held clock to an instant.
    pub(crate) async fn advance_to(&self, instant: &str) {
        self.post("/_emulator/clock/advance", json!({ "to": instant })).await.ok();
    }

    /// The types of all events about a code, in order.
    pub(crate) async fn events_of(&self, access_code_id: &Value) -> Vec<(String, String)> {
        let params = json!({ "since": "2000-01-01T00:00:00Z", "access_code_id": access_code_id, "limit": 1000 });
        let events = self.post("/events/list", params).await.ok();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let events = events["events"].as_array().expect("a list").iter();
        events.map(|event| (text(&event["event_type"]), text(&event["occurred_at"]))).collect()
    }
}
