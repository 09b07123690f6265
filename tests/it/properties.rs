//! Property test: random sequences of requests, changes at the lock, faults and moves of the clock, sent over HTTP. At
//! the end the API and the memories of the locks agree, and a restart in the middle makes no difference.

use crate::support::{START, app, check_response, run};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use latchkey::testing::engine::app::App;
use latchkey::testing::server;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tower::ServiceExt;

const PINS: [&str; 6] = ["135790", "246801", "135791", "975310", "864209", "112358"];
const LOCKS: usize = 4;

/// Index of the lock for which PINs are generated. It accepts none of [`PINS`].
const PICKY: usize = 3;

/// One action of a sequence. The numbers select among the existing locks, codes, PINs and time frames.
#[derive(Clone, Debug)]
enum Action {
    Create { lock: usize, pin: usize, frame: usize, native: bool, external: bool, pool: bool },
    CreateGenerated { frame: usize, is_linked: bool },
    Update { code: usize, pin: Option<usize>, frame: Option<usize>, name: Option<u8> },
    Delete { code: usize },
    Pull { code: usize },
    ChangeAtLock { code: usize, pin: usize },
    RemoveAtLock { code: usize },
    AddAtLock { lock: usize, pin: usize },
    Convert { code: usize },
    DeleteUnmanaged { code: usize },
    Unmanage { code: usize },
    Fault { operation: usize, outcome: usize, times: u8 },
    Online { lock: usize, online: bool },
    Advance { by: usize },
}

/// Time frames relative to now, in minutes. `None` is an ongoing code.
const FRAMES: [Option<(i64, i64)>; 6] =
    [None, Some((-30, 300)), Some((30, 600)), Some((90, 4000)), Some((6000, 9000)), Some((-5, 20))];
const ADVANCES: [&str; 7] = ["PT0.1S", "PT0.25S", "PT10S", "PT2M", "PT15M", "PT3H", "P4D"];

fn any_action() -> impl Strategy<Value = Action> {
    let code = 0..40_usize;
    let (lock, pin, frame) = (0..LOCKS, 0..PINS.len(), 0..FRAMES.len());
    prop_oneof![
        6 => (lock.clone(), pin.clone(), frame.clone(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(lock, pin, frame, native, external, pool)| {
                Action::Create { lock, pin, frame, native, external, pool }
            }),
        3 => (frame.clone(), any::<bool>()).prop_map(|(frame, is_linked)| Action::CreateGenerated { frame, is_linked }),
        5 => (code.clone(), prop::option::of(pin.clone()), prop::option::of(frame), prop::option::of(any::<u8>()))
            .prop_map(|(code, pin, frame, name)| Action::Update { code, pin, frame, name }),
        2 => code.clone().prop_map(|code| Action::Delete { code }),
        1 => code.clone().prop_map(|code| Action::Pull { code }),
        2 => (code.clone(), pin.clone()).prop_map(|(code, pin)| Action::ChangeAtLock { code, pin }),
        2 => code.clone().prop_map(|code| Action::RemoveAtLock { code }),
        2 => (lock.clone(), pin).prop_map(|(lock, pin)| Action::AddAtLock { lock, pin }),
        1 => code.clone().prop_map(|code| Action::Convert { code }),
        1 => code.clone().prop_map(|code| Action::DeleteUnmanaged { code }),
        1 => code.prop_map(|code| Action::Unmanage { code }),
        2 => (0..4_usize, 0..4_usize, 1..4_u8)
            .prop_map(|(operation, outcome, times)| Action::Fault { operation, outcome, times }),
        2 => (lock, any::<bool>()).prop_map(|(lock, online)| Action::Online { lock, online }),
        7 => (0..ADVANCES.len()).prop_map(|by| Action::Advance { by }),
    ]
}

/// Creates a server with empty caches on the shared database, as after a restart of the process.
fn new_server() -> Router {
    let shared = app();
    let fresh = App::new(shared.config.clone(), shared.pools()).expect("the contracts parse");
    server::router(fresh)
}

/// One run of a sequence.
struct Scenario {
    router: Router,
    api_key: String,
    locks: Vec<String>,
    now: chrono::DateTime<chrono::Utc>,
    /// Ids of the codes that actions can select, in the order of creation.
    codes: Vec<String>,
    /// Ids of the pulled backup codes among them.
    pulled: BTreeSet<String>,
    /// All rows of the workspace after the last change, if it was rejected. `None` after a successful change.
    stored: Option<Value>,
    /// Ids of the codes that were changed at the lock. Their PINs can conflict with those requested for other codes.
    changed_outside: BTreeSet<String>,
}

/// Maximum number of codes on each lock of a scenario.
const CAPACITIES: [usize; LOCKS] = [usize::MAX, 4, usize::MAX, 5];

impl Scenario {
    async fn begin() -> Self {
        let router = new_server();
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "ttlock_lock", "native_scheduling": false, "max_active_codes_supported": 4 },
            { "device_type": "nuki_lock", "code_constraints": [], "backup_access_code_pool_size": 2 },
            { "device_type": "wyze_lock", "supported_code_lengths": [4, 6], "max_active_codes_supported": 5,
              "code_constraints": [
                  { "constraint_type": "cannot_contain_0789" }, { "constraint_type": "unique_first_four_digits" },
              ] },
        ]);
        let mut scenario = Self {
            router,
            api_key: String::new(),
            locks: Vec::new(),
            now: latchkey::testing::clock::from_iso(START).expect("an instant"),
            codes: Vec::new(),
            pulled: BTreeSet::new(),
            stored: None,
            changed_outside: BTreeSet::new(),
        };
        let params = json!({ "clock": { "held_at": START }, "locks": locks });
        let (status, created) = scenario.post("/_emulator/workspaces/create", params).await;
        assert_eq!(status, 200, "{created}");
        created["api_key"].as_str().expect("a key").clone_into(&mut scenario.api_key);
        let devices = created["devices"].as_array().expect("a list");
        scenario.locks = devices.iter().map(|device| device["device_id"].as_str().expect("an id").to_owned()).collect();
        scenario
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let mut request =
            Request::post(path).header(header::CONTENT_TYPE, "application/json").header(header::HOST, "localhost");
        if !self.api_key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.api_key));
        }
        let request = request.body(Body::from(body.to_string())).expect("a request");
        let reply = self.router.clone().oneshot(request).await.expect("the router never fails");
        let status = reply.status().as_u16();
        let bytes = reply.into_body().collect().await.expect("a body").to_bytes();
        let response: Value = serde_json::from_slice(&bytes).expect("JSON");
        check_response("POST", path, status, &response);
        assert!(status < 500, "{path} {body} returned {status} {response}");
        (status, response)
    }

    /// Sends a request that changes the workspace. Checks that a rejected request changes no row.
    async fn change(&mut self, path: &str, body: Value) -> (u16, Value) {
        let before = match self.stored.take() {
            Some(stored) => stored,
            None => self.tables().await,
        };
        let (status, response) = self.post(path, body.clone()).await;
        if status >= 400 {
            let after = self.tables().await;
            if let Some((was, is)) = first_difference(&before, &after) {
                panic!("{path} {body} was rejected with {response}, but {was} became {is}");
            }
            self.stored = Some(after);
        }
        (status, response)
    }

    /// Returns all rows of the workspace.
    async fn tables(&self) -> Value {
        let request = Request::get("/_emulator/snapshots/export")
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.api_key));
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let mut document: Value = serde_json::from_slice(&bytes).expect("JSON");
        document["snapshot"]["tables"].take()
    }

    fn window(&self, frame: usize) -> Option<(String, String)> {
        let (starts_at, ends_at) = FRAMES[frame]?;
        let at = |minutes| latchkey::testing::clock::to_iso(self.now + chrono::TimeDelta::minutes(minutes));
        Some((at(starts_at), at(ends_at)))
    }

    fn record_code(&mut self, code: &Value) {
        if let Some(id) = code["access_code_id"].as_str()
            && !self.codes.iter().any(|known| known == id)
        {
            self.codes.push(id.to_owned());
        }
    }

    fn code(&self, index: usize) -> Option<String> {
        (!self.codes.is_empty()).then(|| self.codes[index % self.codes.len()].clone())
    }

    async fn perform(&mut self, action: &Action) {
        match action {
            Action::Create { lock, pin, frame, native, external, pool } => {
                let mut params = json!({ "device_id": self.locks[*lock], "code": PINS[*pin], "name": "guest",
                                         "prefer_native_scheduling": native, "allow_external_modification": external });
                if let Some((starts_at, ends_at)) = self.window(*frame) {
                    params["starts_at"] = json!(starts_at);
                    params["ends_at"] = json!(ends_at);
                    params["use_backup_access_code_pool"] = json!(pool);
                }
                let (_, created) = self.change("/access_codes/create", params).await;
                self.record_code(&created["access_code"]);
            }
            Action::CreateGenerated { frame, is_linked } => {
                let mut params = json!({ "name": "chosen" });
                if let Some((starts_at, ends_at)) = self.window(*frame) {
                    params["starts_at"] = json!(starts_at);
                    params["ends_at"] = json!(ends_at);
                }
                // Generated PINs differ between workspaces, so the other actions do not use these codes.
                let (key, (_, created)) = if *is_linked {
                    params["device_ids"] = json!([self.locks[0], self.locks[PICKY]]);
                    ("access_codes", self.change("/access_codes/create_multiple", params).await)
                } else {
                    params["device_id"] = json!(self.locks[PICKY]);
                    ("access_code", self.change("/access_codes/create", params).await)
                };
                match &created[key] {
                    Value::Array(codes) => codes.iter().for_each(check_generated_pin),
                    Value::Null => {}
                    code => check_generated_pin(code),
                }
            }
            Action::Update { code, pin, frame, name } => {
                let Some(id) = self.code(*code) else { return };
                let mut params = json!({ "access_code_id": id });
                if let Some(pin) = pin {
                    params["code"] = json!(PINS[*pin]);
                }
                if let Some(name) = name {
                    params["name"] = json!(format!("guest {name}"));
                }
                match frame.map(|frame| self.window(frame)) {
                    Some(Some((starts_at, ends_at))) => {
                        params["starts_at"] = json!(starts_at);
                        params["ends_at"] = json!(ends_at);
                    }
                    Some(None) => params["type"] = json!("ongoing"),
                    None => {}
                }
                self.change("/access_codes/update", params).await;
            }
            Action::Pull { code } => {
                let Some(id) = self.code(*code) else { return };
                let pulled =
                    self.change("/access_codes/pull_backup_access_code", json!({ "access_code_id": id })).await.1;
                self.record_code(&pulled["access_code"]);
                self.pulled.extend(pulled["access_code"]["access_code_id"].as_str().map(str::to_owned));
            }
            Action::ChangeAtLock { code, pin } => self.at_lock(*code, "change_code", Some(PINS[*pin])).await,
            Action::RemoveAtLock { code } => self.at_lock(*code, "remove_code", None).await,
            Action::AddAtLock { lock, pin } => {
                let params = json!({ "device_id": self.locks[*lock], "code": PINS[*pin], "name": "stranger" });
                let (_, created) = self.change("/_emulator/locks/add_code", params).await;
                self.record_code(&created["access_code"]);
            }
            Action::Delete { code } => self.request_for_code(*code, "/access_codes/delete", json!({})).await,
            Action::Convert { code } => {
                self.request_for_code(*code, "/access_codes/unmanaged/convert_to_managed", json!({})).await;
            }
            Action::DeleteUnmanaged { code } => {
                self.request_for_code(*code, "/access_codes/unmanaged/delete", json!({})).await;
            }
            Action::Unmanage { code } => {
                self.request_for_code(*code, "/access_codes/update", json!({ "is_managed": false })).await;
            }
            Action::Fault { operation, outcome, times } => {
                let outcome = [
                    json!({ "fail": {} }),
                    json!({ "fail": { "error_code": "provider_issue", "message": "broken" } }),
                    json!({ "delay": "PT5M" }),
                    json!({ "delay": "PT0.05S" }),
                ][*outcome]
                    .clone();
                let operation = ["set", "update", "remove", "refill"][*operation];
                let params = json!({ "operation": operation, "outcome": outcome, "times": times });
                self.change("/_emulator/faults/create", params).await;
            }
            Action::Online { lock, online } => {
                let params = json!({ "device_id": self.locks[*lock], "online": online });
                self.change("/_emulator/devices/update", params).await;
            }
            Action::Advance { by } => self.advance(ADVANCES[*by]).await,
        }
    }

    async fn request_for_code(&mut self, index: usize, path: &str, mut params: Value) {
        if let Some(id) = self.code(index) {
            params["access_code_id"] = json!(id);
            self.change(path, params).await;
        }
    }

    async fn at_lock(&mut self, index: usize, route: &str, pin: Option<&str>) {
        let Some(id) = self.code(index) else { return };
        for lock in self.locks.clone() {
            let mut params = json!({ "device_id": lock, "access_code_id": id });
            if let Some(pin) = pin {
                params["new_code"] = json!(pin);
            }
            let (status, _) = self.change(&format!("/_emulator/locks/{route}"), params).await;
            if status == 200 {
                self.changed_outside.insert(id.clone());
            }
        }
    }

    async fn advance(&mut self, by: &str) {
        let (status, moved) = self.change("/_emulator/clock/advance", json!({ "by": by })).await;
        assert_eq!(status, 200, "{moved}");
        self.now = latchkey::testing::clock::from_iso(moved["now"].as_str().expect("an instant")).expect("an instant");
    }

    /// Deletes all faults, connects all locks, and moves the clock until no retry is left.
    async fn settle(&mut self) {
        let faults = self.post("/_emulator/faults/list", json!({})).await.1;
        for fault in faults["faults"].as_array().expect("a list") {
            self.change("/_emulator/faults/delete", json!({ "fault_id": fault["fault_id"] })).await;
        }
        for lock in self.locks.clone() {
            self.change("/_emulator/devices/update", json!({ "device_id": lock, "online": true })).await;
        }
        // The longest time between two attempts is ten minutes, the longest delay five.
        self.advance("PT21M").await;
        self.advance("PT11M").await;
    }

    async fn codes_and_memories(&self) -> Vec<(Vec<Value>, Vec<Value>, Vec<Value>)> {
        let mut contents = Vec::new();
        for lock in &self.locks {
            let of_lock = json!({ "device_id": lock });
            let codes = self.post("/access_codes/list", of_lock.clone()).await.1;
            let unmanaged = self.post("/access_codes/unmanaged/list", of_lock.clone()).await.1;
            let memory = self.post("/_emulator/locks/memory", of_lock).await.1;
            let list = |value: &Value| value.as_array().expect("a list").clone();
            contents.push((list(&codes["access_codes"]), list(&unmanaged["access_codes"]), list(&memory["codes"])));
        }
        contents
    }

    async fn events(&self) -> Vec<Value> {
        let params = json!({ "since": "2000-01-01T00:00:00Z", "limit": 100_000 });
        self.post("/events/list", params).await.1["events"].as_array().expect("a list").clone()
    }
}

fn overlap(one: &Value, other: &Value) -> bool {
    match (
        one["starts_at"].as_str().zip(one["ends_at"].as_str()),
        other["starts_at"].as_str().zip(other["ends_at"].as_str()),
    ) {
        (Some(one), Some(other)) => one.0 < other.1 && other.0 < one.1,
        _ => true,
    }
}

fn same_entry(code: &Value, held: &Value) -> bool {
    ["code", "name", "starts_at", "ends_at"].iter().all(|key| code[*key] == held[*key])
}

/// Checks that the picky lock accepts the PIN that was generated for it, alone or together with another lock.
fn check_generated_pin(code: &Value) {
    let pin = code["code"].as_str().expect("a PIN");
    let first_four: BTreeSet<char> = pin.chars().take(4).collect();
    let is_accepted = matches!(pin.len(), 4 | 6) && !pin.contains(['0', '7', '8', '9']) && first_four.len() == 4;
    assert!(is_accepted, "the lock does not accept {pin}");
}

/// Checks that no two managed codes have one PIN in overlapping time frames. Codes that were changed at the lock are
/// exempt.
fn check_pin_conflicts(codes: &[Value], changed_outside: &BTreeSet<String>) {
    let is_checked = |code: &&Value| !changed_outside.contains(code["access_code_id"].as_str().unwrap_or_default());
    let codes: Vec<&Value> = codes.iter().filter(is_checked).collect();
    for (index, one) in codes.iter().enumerate() {
        for other in &codes[index + 1..] {
            let is_removing = |code: &Value| code["status"] == "removing";
            assert!(
                one["code"] != other["code"] || !overlap(one, other) || is_removing(one) || is_removing(other),
                "the same PIN twice: {one} and {other}"
            );
        }
    }
}

/// Checks that the codes in the API and in the memory of the lock are the same, except for pending mutations.
fn check_agreement(codes: &[Value], unmanaged: &[Value], memory: &[Value]) {
    for code in codes {
        let held = memory.iter().find(|held| held["access_code_id"] == code["access_code_id"]);
        let pending: Vec<&str> = code["pending_mutations"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|mutation| mutation["mutation_code"].as_str())
            .collect();
        let is_removed_at_lock =
            code["warnings"].as_array().expect("a list").iter().any(|warning| warning["change_type"] == "removed");
        let agrees = held.map_or(is_removed_at_lock, |held| same_entry(code, held));
        assert_eq!(pending.is_empty(), agrees, "{code} and {held:?}");
        // Only a duplicate PIN, a full memory or a later start may leave mutations pending.
        if !pending.is_empty() && pending != ["deferring_creation"] {
            let errors = code["errors"].as_array().expect("a list");
            let is_blocked = errors.iter().any(|error| {
                matches!(
                    error["error_code"].as_str(),
                    Some("duplicate_code_on_device" | "no_space_for_access_code_on_device")
                )
            });
            assert!(is_blocked, "no error explains the pending mutation: {code}");
        }
    }
    for code in unmanaged {
        let held = memory.iter().find(|held| held["access_code_id"] == code["access_code_id"]);
        assert!(held.is_some_and(|held| same_entry(code, held)), "{code} and {held:?}");
    }
    for held in memory.iter().filter(|held| held["is_backup"] == false) {
        let is_known = |code: &&Value| code["access_code_id"] == held["access_code_id"];
        assert!(codes.iter().chain(unmanaged).any(|code| is_known(&code)), "no code is listed for {held}");
    }
}

/// Checks that a memory has no more codes than its capacity, and no PIN twice.
fn check_memory(memory: &[Value], capacity: usize) {
    assert!(memory.len() <= capacity, "more than {capacity}: {memory:?}");
    let pins: BTreeSet<&str> = memory.iter().map(|held| held["code"].as_str().expect("a PIN")).collect();
    assert_eq!(pins.len(), memory.len(), "the same PIN twice: {memory:?}");
}

/// Checks that no event is later than `now`, and replays the events in order. The result must be the codes that the
/// locks store, and contain all listed codes.
fn check_events(events: &[Value], now: &str, memory: &BTreeSet<String>, listed: &BTreeSet<String>) {
    let (mut existing, mut stored) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        for instant in ["occurred_at", "created_at"] {
            assert!(event[instant].as_str().is_some_and(|instant| instant <= now), "later than {now}: {event}");
        }
        let Some(id) = event["access_code_id"].as_str() else { continue };
        match event["event_type"].as_str().expect("a type") {
            "access_code.created" => drop(existing.insert(id.to_owned())),
            "access_code.unmanaged.created" => {
                existing.insert(id.to_owned());
                stored.insert(id.to_owned());
            }
            "access_code.set_on_device" | "access_code.scheduled_on_device" => drop(stored.insert(id.to_owned())),
            "access_code.removed_from_device" | "access_code.deleted_external_to_seam" => drop(stored.remove(id)),
            "access_code.deleted" | "access_code.unmanaged.removed" => {
                existing.remove(id);
                stored.remove(id);
            }
            _ => {}
        }
    }
    assert_eq!(&stored, memory, "the replayed events differ from the codes on the locks");
    assert!(listed.is_subset(&existing), "{listed:?} are listed, but {existing:?} exist by the events");
}

/// Returns a value without the data that differs between workspaces. Ids are replaced by names like `code 3`.
fn without_ids(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            for (id, name) in names {
                text = text.replace(id, name);
            }
            json!(text)
        }
        Value::Array(items) => items.iter().map(|item| without_ids(item, names)).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| {
                let names =
                    ["workspace_id", "event_id", "connected_account_id", "connect_webview_id", "common_code_key"];
                !names.contains(&key.as_str())
            })
            .map(|(key, value)| (key.clone(), without_ids(value, names)))
            .collect(),
        other => other.clone(),
    }
}

/// Runs a sequence, with a restart before the action with the index `restart`, and returns the final state and events.
async fn run_sequence(actions: &[Action], restart: Option<usize>) -> Value {
    let mut scenario = Scenario::begin().await;
    for (index, action) in actions.iter().enumerate() {
        if restart == Some(index) {
            scenario.router = new_server();
        }
        scenario.perform(action).await;
        for (lock, (codes, _, held)) in scenario.codes_and_memories().await.into_iter().enumerate() {
            check_pin_conflicts(&codes, &scenario.changed_outside);
            check_memory(&held, CAPACITIES[lock]);
        }
    }
    scenario.settle().await;
    let contents = scenario.codes_and_memories().await;
    let (mut memory, mut listed) = (BTreeSet::new(), BTreeSet::new());
    let id = |code: &Value| code["access_code_id"].as_str().expect("an id").to_owned();
    for (codes, unmanaged, held) in &contents {
        check_agreement(codes, unmanaged, held);
        check_pin_conflicts(codes, &scenario.changed_outside);
        memory.extend(held.iter().map(id));
        listed.extend(codes.iter().chain(unmanaged).map(id));
    }
    let events = scenario.events().await;
    check_events(&events, &latchkey::testing::clock::to_iso(scenario.now), &memory, &listed);
    // Names and PINs of backup codes are generated and differ between workspaces, so these codes are not compared.
    let mut names = BTreeMap::new();
    let mut backups = BTreeSet::new();
    let creations = events.iter().filter(|event| {
        matches!(event["event_type"].as_str(), Some("access_code.created" | "access_code.unmanaged.created"))
    });
    for event in creations {
        let code_id = id(event);
        if !scenario.codes.contains(&code_id) || scenario.pulled.contains(&code_id) {
            backups.insert(code_id.clone());
        }
        names.insert(code_id, format!("code {}", names.len()));
    }
    names.extend(scenario.locks.iter().enumerate().map(|(index, lock)| (lock.clone(), format!("lock {index}"))));
    let plain = |values: &[Value]| {
        let comparable =
            values.iter().filter(|value| !backups.contains(value["access_code_id"].as_str().unwrap_or_default()));
        let comparable = comparable.filter(|value| value["is_backup"] != true);
        let mut plain: Vec<String> = comparable.map(|value| without_ids(value, &names).to_string()).collect();
        plain.sort();
        json!(plain)
    };
    let state: Vec<Value> =
        contents.iter().map(|(codes, unmanaged, held)| json!([plain(codes), plain(unmanaged), held.len()])).collect();
    json!([state, plain(&events)])
}

/// Returns the first pair of values in which two trees differ.
fn first_difference<'a>(one: &'a Value, other: &'a Value) -> Option<(&'a Value, &'a Value)> {
    match (one, other) {
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            left.iter().zip(right).find_map(|(one, other)| first_difference(one, other))
        }
        _ => (one != other).then_some((one, other)),
    }
}

#[test]
fn random_requests_leave_api_and_locks_consistent_even_after_a_restart() {
    let cases = std::env::var("LATCHKEY_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(16);
    let mut runner =
        TestRunner::new(Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() });
    let sequences = proptest::collection::vec(any_action(), 4..40);
    let outcome = runner.run(&(sequences, 0..40_usize), |(actions, restart)| {
        let uninterrupted = run(run_sequence(&actions, None));
        let restarted = run(run_sequence(&actions, Some(restart % actions.len())));
        if let Some((one, other)) = first_difference(&uninterrupted, &restarted) {
            return Err(TestCaseError::fail(format!("without a restart:\n{one}\nwith one:\n{other}")));
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
