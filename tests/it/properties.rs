//! Random sequences of requests, edits at the lock, faults and moves of the clock, through HTTP: whatever happens, what
//! the API says and what the locks hold agree in the end, and a restart in the middle makes no difference.

use crate::support::{START, app, check_answer, run};
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

/// The lock on which PINs are chosen: none of [`PINS`] is one that it takes.
const PICKY: usize = 3;

/// One thing that somebody does; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Deed {
    Create { lock: usize, pin: usize, frame: usize, native: bool, external: bool, pool: bool },
    CreateChosen { frame: usize, is_linked: bool },
    Update { code: usize, pin: Option<usize>, frame: Option<usize>, name: Option<u8> },
    Delete { code: usize },
    Pull { code: usize },
    ChangeAtLock { code: usize, pin: usize },
    RemoveAtLock { code: usize },
    AddAtLock { lock: usize, pin: usize },
    Convert { code: usize },
    DeleteForeign { code: usize },
    LetGo { code: usize },
    Fault { operation: usize, outcome: usize, times: u8 },
    Online { lock: usize, online: bool },
    Advance { by: usize },
}

/// Time frames relative to now, in minutes; none: for ever.
const FRAMES: [Option<(i64, i64)>; 6] =
    [None, Some((-30, 300)), Some((30, 600)), Some((90, 4000)), Some((6000, 9000)), Some((-5, 20))];
const STRIDES: [&str; 7] = ["PT0.1S", "PT0.25S", "PT10S", "PT2M", "PT15M", "PT3H", "P4D"];

fn any_deed() -> impl Strategy<Value = Deed> {
    let code = 0..40_usize;
    let (lock, pin, frame) = (0..LOCKS, 0..PINS.len(), 0..FRAMES.len());
    prop_oneof![
        6 => (lock.clone(), pin.clone(), frame.clone(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(
            |(lock, pin, frame, native, external, pool)| Deed::Create { lock, pin, frame, native, external, pool }
        ),
        3 => (frame.clone(), any::<bool>()).prop_map(|(frame, is_linked)| Deed::CreateChosen { frame, is_linked }),
        5 => (code.clone(), prop::option::of(pin.clone()), prop::option::of(frame), prop::option::of(any::<u8>()))
            .prop_map(|(code, pin, frame, name)| Deed::Update { code, pin, frame, name }),
        2 => code.clone().prop_map(|code| Deed::Delete { code }),
        1 => code.clone().prop_map(|code| Deed::Pull { code }),
        2 => (code.clone(), pin.clone()).prop_map(|(code, pin)| Deed::ChangeAtLock { code, pin }),
        2 => code.clone().prop_map(|code| Deed::RemoveAtLock { code }),
        2 => (lock.clone(), pin).prop_map(|(lock, pin)| Deed::AddAtLock { lock, pin }),
        1 => code.clone().prop_map(|code| Deed::Convert { code }),
        1 => code.clone().prop_map(|code| Deed::DeleteForeign { code }),
        1 => code.prop_map(|code| Deed::LetGo { code }),
        2 => (0..4_usize, 0..4_usize, 1..4_u8)
            .prop_map(|(operation, outcome, times)| Deed::Fault { operation, outcome, times }),
        2 => (lock, any::<bool>()).prop_map(|(lock, online)| Deed::Online { lock, online }),
        7 => (0..STRIDES.len()).prop_map(|by| Deed::Advance { by }),
    ]
}

/// A process, as far as requests can tell: a server with nothing in its memory yet, on the database there is.
fn process() -> Router {
    let shared = app();
    let fresh = App::new(shared.config.clone(), shared.pools()).expect("the contracts parse");
    server::router(fresh)
}

/// One run of a sequence.
struct Story {
    router: Router,
    api_key: String,
    locks: Vec<String>,
    now: chrono::DateTime<chrono::Utc>,
    /// The ids of all codes ever seen, in the order in which they were made.
    codes: Vec<String>,
    /// Which of them are backups that were pulled.
    pulled: BTreeSet<String>,
    /// Everything that is stored, as it was after the last change that was refused, while nothing else was asked for.
    stored: Option<Value>,
    /// Which of them somebody changed at the lock: what is allowed there may clash with what was asked of others.
    changed_outside: BTreeSet<String>,
}

/// How many codes each lock of a story holds.
const CAPACITIES: [usize; LOCKS] = [usize::MAX, 4, usize::MAX, 5];

impl Story {
    async fn begin() -> Self {
        let router = process();
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "ttlock_lock", "native_scheduling": false, "max_active_codes_supported": 4 },
            { "device_type": "nuki_lock", "code_constraints": [], "backup_access_code_pool_size": 2 },
            { "device_type": "wyze_lock", "supported_code_lengths": [4, 6], "max_active_codes_supported": 5,
              "code_constraints": [
                  { "constraint_type": "cannot_contain_0789" }, { "constraint_type": "unique_first_four_digits" },
              ] },
        ]);
        let mut story = Self {
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
        let (status, made) = story.post("/_emulator/workspaces/create", params).await;
        assert_eq!(status, 200, "{made}");
        made["api_key"].as_str().expect("a key").clone_into(&mut story.api_key);
        let devices = made["devices"].as_array().expect("a list");
        story.locks = devices.iter().map(|it| it["device_id"].as_str().expect("an id").to_owned()).collect();
        story
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let mut request =
            Request::post(path).header(header::CONTENT_TYPE, "application/json").header(header::HOST, "localhost");
        if !self.api_key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.api_key));
        }
        let request = request.body(Body::from(body.to_string())).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
        check_answer("POST", path, status, &answer);
        assert!(status < 500, "{path} {body} answered {status} {answer}");
        (status, answer)
    }

    /// Asks for a change. One that is refused changes no table.
    async fn change(&mut self, path: &str, body: Value) -> (u16, Value) {
        let before = match self.stored.take() {
            Some(stored) => stored,
            None => self.tables().await,
        };
        let (status, answer) = self.post(path, body.clone()).await;
        if status >= 400 {
            let after = self.tables().await;
            if let Some((was, is)) = first_difference(&before, &after) {
                panic!("{path} {body} was refused with {answer}, and {was} became {is}");
            }
            self.stored = Some(after);
        }
        (status, answer)
    }

    /// All rows of the workspace.
    async fn tables(&self) -> Value {
        let request = Request::get("/_emulator/snapshots/export")
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.api_key));
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let mut answer: Value = serde_json::from_slice(&bytes).expect("JSON");
        answer["snapshot"]["tables"].take()
    }

    fn window(&self, frame: usize) -> Option<(String, String)> {
        let (starts_at, ends_at) = FRAMES[frame]?;
        let at = |minutes| latchkey::testing::clock::to_iso(self.now + chrono::TimeDelta::minutes(minutes));
        Some((at(starts_at), at(ends_at)))
    }

    fn note(&mut self, code: &Value) {
        if let Some(id) = code["access_code_id"].as_str()
            && !self.codes.iter().any(|known| known == id)
        {
            self.codes.push(id.to_owned());
        }
    }

    fn code(&self, index: usize) -> Option<String> {
        (!self.codes.is_empty()).then(|| self.codes[index % self.codes.len()].clone())
    }

    async fn act(&mut self, deed: &Deed) {
        match deed {
            Deed::Create { lock, pin, frame, native, external, pool } => {
                let mut params = json!({ "device_id": self.locks[*lock], "code": PINS[*pin], "name": "guest",
                                         "prefer_native_scheduling": native, "allow_external_modification": external });
                if let Some((starts_at, ends_at)) = self.window(*frame) {
                    params["starts_at"] = json!(starts_at);
                    params["ends_at"] = json!(ends_at);
                    params["use_backup_access_code_pool"] = json!(pool);
                }
                let (_, made) = self.change("/access_codes/create", params).await;
                self.note(&made["access_code"]);
            }
            Deed::CreateChosen { frame, is_linked } => {
                let mut params = json!({ "name": "chosen" });
                if let Some((starts_at, ends_at)) = self.window(*frame) {
                    params["starts_at"] = json!(starts_at);
                    params["ends_at"] = json!(ends_at);
                }
                // Others differ from workspace to workspace: nobody meddles with them.
                let (path, (_, made)) = if *is_linked {
                    params["device_ids"] = json!([self.locks[0], self.locks[PICKY]]);
                    ("access_codes", self.change("/access_codes/create_multiple", params).await)
                } else {
                    params["device_id"] = json!(self.locks[PICKY]);
                    ("access_code", self.change("/access_codes/create", params).await)
                };
                match &made[path] {
                    Value::Array(codes) => codes.iter().for_each(check_chosen),
                    Value::Null => {}
                    code => check_chosen(code),
                }
            }
            Deed::Update { code, pin, frame, name } => {
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
            Deed::Pull { code } => {
                let Some(id) = self.code(*code) else { return };
                let pulled =
                    self.change("/access_codes/pull_backup_access_code", json!({ "access_code_id": id })).await.1;
                self.note(&pulled["access_code"]);
                self.pulled.extend(pulled["access_code"]["access_code_id"].as_str().map(str::to_owned));
            }
            Deed::ChangeAtLock { code, pin } => self.at_lock(*code, "change_code", Some(PINS[*pin])).await,
            Deed::RemoveAtLock { code } => self.at_lock(*code, "remove_code", None).await,
            Deed::AddAtLock { lock, pin } => {
                let params = json!({ "device_id": self.locks[*lock], "code": PINS[*pin], "name": "stranger" });
                let (_, made) = self.change("/_emulator/locks/add_code", params).await;
                self.note(&made["access_code"]);
            }
            Deed::Delete { code } => self.of_code(*code, "/access_codes/delete", json!({})).await,
            Deed::Convert { code } => {
                self.of_code(*code, "/access_codes/unmanaged/convert_to_managed", json!({})).await;
            }
            Deed::DeleteForeign { code } => self.of_code(*code, "/access_codes/unmanaged/delete", json!({})).await,
            Deed::LetGo { code } => {
                self.of_code(*code, "/access_codes/update", json!({ "is_managed": false })).await;
            }
            Deed::Fault { operation, outcome, times } => {
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
            Deed::Online { lock, online } => {
                let params = json!({ "device_id": self.locks[*lock], "online": online });
                self.change("/_emulator/devices/update", params).await;
            }
            Deed::Advance { by } => self.advance(STRIDES[*by]).await,
        }
    }

    async fn of_code(&mut self, index: usize, path: &str, mut params: Value) {
        if let Some(id) = self.code(index) {
            params["access_code_id"] = json!(id);
            self.change(path, params).await;
        }
    }

    async fn at_lock(&mut self, index: usize, what: &str, pin: Option<&str>) {
        let Some(id) = self.code(index) else { return };
        for lock in self.locks.clone() {
            let mut params = json!({ "device_id": lock, "access_code_id": id });
            if let Some(pin) = pin {
                params["new_code"] = json!(pin);
            }
            let (status, _) = self.change(&format!("/_emulator/locks/{what}"), params).await;
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

    /// Takes every hindrance away and waits until nothing is left to try.
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

    async fn everything(&self) -> Vec<(Vec<Value>, Vec<Value>, Vec<Value>)> {
        let mut all = Vec::new();
        for lock in &self.locks {
            let of_lock = json!({ "device_id": lock });
            let codes = self.post("/access_codes/list", of_lock.clone()).await.1;
            let foreign = self.post("/access_codes/unmanaged/list", of_lock.clone()).await.1;
            let memory = self.post("/_emulator/locks/memory", of_lock).await.1;
            let list = |value: &Value| value.as_array().expect("a list").clone();
            all.push((list(&codes["access_codes"]), list(&foreign["access_codes"]), list(&memory["codes"])));
        }
        all
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

/// A PIN that was chosen for the picky lock, or for it and another, is one that it takes.
fn check_chosen(code: &Value) {
    let pin = code["code"].as_str().expect("a PIN");
    let first_four: BTreeSet<char> = pin.chars().take(4).collect();
    let is_taken = matches!(pin.len(), 4 | 6) && !pin.contains(['0', '7', '8', '9']) && first_four.len() == 4;
    assert!(is_taken, "the lock does not take {pin}");
}

/// No PIN is claimed twice by managed codes in overlapping time frames, except by what somebody did at the lock.
fn check_claims(codes: &[Value], changed_outside: &BTreeSet<String>) {
    let is_ours = |code: &&Value| !changed_outside.contains(code["access_code_id"].as_str().unwrap_or_default());
    let codes: Vec<&Value> = codes.iter().filter(is_ours).collect();
    for (index, one) in codes.iter().enumerate() {
        for other in &codes[index + 1..] {
            let is_over = |code: &Value| code["status"] == "removing";
            assert!(
                one["code"] != other["code"] || !overlap(one, other) || is_over(one) || is_over(other),
                "one PIN twice: {one} and {other}"
            );
        }
    }
}

/// What the API says of a lock is what the lock holds; what is pending is what differs.
fn check_quiet(codes: &[Value], foreign: &[Value], memory: &[Value]) {
    for code in codes {
        let held = memory.iter().find(|held| held["access_code_id"] == code["access_code_id"]);
        let pending: Vec<&str> = code["pending_mutations"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|it| it["mutation_code"].as_str())
            .collect();
        let is_left_off = code["warnings"].as_array().expect("a list").iter().any(|it| it["change_type"] == "removed");
        let agrees = held.map_or(is_left_off, |held| same_entry(code, held));
        assert_eq!(pending.is_empty(), agrees, "{code} and {held:?}");
        // Only what stands in the lock's memory, or is for later, may still be open.
        if !pending.is_empty() && pending != ["deferring_creation"] {
            let errors = code["errors"].as_array().expect("a list");
            let is_blocked = errors.iter().any(|error| {
                matches!(
                    error["error_code"].as_str(),
                    Some("duplicate_code_on_device" | "no_space_for_access_code_on_device")
                )
            });
            assert!(is_blocked, "nothing keeps this code: {code}");
        }
    }
    for code in foreign {
        let held = memory.iter().find(|held| held["access_code_id"] == code["access_code_id"]);
        assert!(held.is_some_and(|held| same_entry(code, held)), "{code} and {held:?}");
    }
    for held in memory.iter().filter(|held| held["is_backup"] == false) {
        let is_known = |code: &&Value| code["access_code_id"] == held["access_code_id"];
        assert!(codes.iter().chain(foreign).any(|code| is_known(&code)), "nobody knows {held}");
    }
}

/// A memory never has more codes than it has places, and no PIN twice.
fn check_memory(memory: &[Value], capacity: usize) {
    assert!(memory.len() <= capacity, "more than {capacity}: {memory:?}");
    let pins: BTreeSet<&str> = memory.iter().map(|held| held["code"].as_str().expect("a PIN")).collect();
    assert_eq!(pins.len(), memory.len(), "one PIN twice: {memory:?}");
}

/// No event is later than its clock. Replayed in order, they say which codes there are and which of them the locks hold.
fn check_events(events: &[Value], now: &str, memory: &BTreeSet<String>, listed: &BTreeSet<String>) {
    let (mut there, mut held) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        for instant in ["occurred_at", "created_at"] {
            assert!(event[instant].as_str().is_some_and(|instant| instant <= now), "later than {now}: {event}");
        }
        let Some(id) = event["access_code_id"].as_str() else { continue };
        match event["event_type"].as_str().expect("a type") {
            "access_code.created" => drop(there.insert(id.to_owned())),
            "access_code.unmanaged.created" => {
                there.insert(id.to_owned());
                held.insert(id.to_owned());
            }
            "access_code.set_on_device" | "access_code.scheduled_on_device" => drop(held.insert(id.to_owned())),
            "access_code.removed_from_device" | "access_code.deleted_external_to_seam" => drop(held.remove(id)),
            "access_code.deleted" | "access_code.unmanaged.removed" => {
                there.remove(id);
                held.remove(id);
            }
            _ => {}
        }
    }
    assert_eq!(&held, memory, "what the events say the locks hold");
    assert!(listed.is_subset(&there), "{listed:?} are listed, {there:?} were told of");
}

/// The state of a story without what differs from workspace to workspace: ids become the places of their codes.
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
                !matches!(key.as_str(), "workspace_id" | "event_id" | "connected_account_id" | "common_code_key")
            })
            .map(|(key, value)| (key.clone(), without_ids(value, names)))
            .collect(),
        other => other.clone(),
    }
}

/// Runs a sequence, with a restart before the deed at this place, and gives what is left of it.
async fn tell(deeds: &[Deed], restart: Option<usize>) -> Value {
    let mut story = Story::begin().await;
    for (index, deed) in deeds.iter().enumerate() {
        if restart == Some(index) {
            story.router = process();
        }
        story.act(deed).await;
        for (lock, (codes, _, held)) in story.everything().await.into_iter().enumerate() {
            check_claims(&codes, &story.changed_outside);
            check_memory(&held, CAPACITIES[lock]);
        }
    }
    story.settle().await;
    let everything = story.everything().await;
    let (mut memory, mut listed) = (BTreeSet::new(), BTreeSet::new());
    let id = |code: &Value| code["access_code_id"].as_str().expect("an id").to_owned();
    for (codes, foreign, held) in &everything {
        check_quiet(codes, foreign, held);
        check_claims(codes, &story.changed_outside);
        memory.extend(held.iter().map(id));
        listed.extend(codes.iter().chain(foreign).map(id));
    }
    let events = story.events().await;
    check_events(&events, &latchkey::testing::clock::to_iso(story.now), &memory, &listed);
    // Backups get names and PINs that nobody asked for: they differ from workspace to workspace.
    let mut names = BTreeMap::new();
    let mut backups = BTreeSet::new();
    let made = events.iter().filter(|event| {
        matches!(event["event_type"].as_str(), Some("access_code.created" | "access_code.unmanaged.created"))
    });
    for event in made {
        let known = id(event);
        if !story.codes.contains(&known) || story.pulled.contains(&known) {
            backups.insert(known.clone());
        }
        names.insert(known, format!("code {}", names.len()));
    }
    names.extend(story.locks.iter().enumerate().map(|(index, lock)| (lock.clone(), format!("lock {index}"))));
    let plain = |values: &[Value]| {
        let ours =
            values.iter().filter(|value| !backups.contains(value["access_code_id"].as_str().unwrap_or_default()));
        let ours = ours.filter(|value| value["is_backup"] != true);
        let mut plain: Vec<String> = ours.map(|value| without_ids(value, &names).to_string()).collect();
        plain.sort();
        json!(plain)
    };
    let state: Vec<Value> =
        everything.iter().map(|(codes, foreign, held)| json!([plain(codes), plain(foreign), held.len()])).collect();
    json!([state, plain(&events)])
}

/// The first place in which two trees differ.
fn first_difference<'a>(one: &'a Value, other: &'a Value) -> Option<(&'a Value, &'a Value)> {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            ones.iter().zip(others).find_map(|(one, other)| first_difference(one, other))
        }
        _ => (one != other).then_some((one, other)),
    }
}

#[test]
fn whatever_happens_the_api_and_the_locks_agree_in_the_end_and_a_restart_makes_no_difference() {
    let cases = std::env::var("LATCHKEY_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(16);
    let mut runner =
        TestRunner::new(Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() });
    let sequences = proptest::collection::vec(any_deed(), 4..40);
    let outcome = runner.run(&(sequences, 0..40_usize), |(deeds, restart)| {
        let straight = run(tell(&deeds, None));
        let restarted = run(tell(&deeds, Some(restart % deeds.len())));
        if let Some((one, other)) = first_difference(&straight, &restarted) {
            return Err(TestCaseError::fail(format!("without a restart:\n{one}\nwith one:\n{other}")));
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
