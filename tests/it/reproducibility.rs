//! The same story told again gets the same answers, byte for byte: on another server, after a restore, and after a
//! journey through a file.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use crate::support::{START, UNKNOWN, app, check_answer, run};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use latchkey::testing::clock::{from_iso, to_iso};
use latchkey::testing::engine::app::App;
use latchkey::testing::postgres::{self, PoolLimits};
use latchkey::testing::server;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions as _};
use std::collections::BTreeSet;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tower::ServiceExt;

/// How many calls the story has.
const CALLS: usize = 420;

const SEED: &str = "exactness";

/// The locks of the workspace, one for each way in which brands differ.
const TYPES: [&str; 9] = [
    "august_lock",
    "schlage_lock",
    "nuki_lock",
    "smartthings_lock",
    "ttlock_lock",
    "lockly_lock",
    "igloohome_lock",
    "salto_lock",
    "dormakaba_oracode_door",
];

/// A call with its answer.
type Exchange = (String, u16, String);

/// A server to tell the story to.
struct Server(Router);

impl Server {
    /// The one that all tests share.
    fn shared() -> Self {
        Self(server::router(app()))
    }

    /// One with a database of its own, in which nothing ever happened.
    async fn fresh() -> Self {
        let shared = app();
        let name = format!("exactness_{}", latchkey::testing::ids::random_id().simple());
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(shared.pool.raw()).await.unwrap();
        let url = shared.pool.raw().connect_options().as_ref().clone().database(&name).to_url_lossy();
        let pool = postgres::connect(url.as_str(), PoolLimits::of(&shared.config)).await.unwrap();
        Self(server::router(App::new(shared.config.clone(), pool).unwrap()))
    }

    async fn ask(&self, key: &str, path: &str, body: &Value) -> (u16, String) {
        let method = if ["/_emulator/clock", "/_emulator/snapshots/export"].contains(&path) { "GET" } else { "POST" };
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        request = request.header(header::CONTENT_TYPE, "application/json");
        if !key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let response = self.0.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        check_answer(method, path, status, &serde_json::from_str(&text).unwrap());
        (status, text)
    }

    async fn ok(&self, key: &str, path: &str, body: Value) -> Value {
        let (status, text) = self.ask(key, path, &body).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The beginning of the story: its workspace is made.
    async fn begin(&self) -> (Story, Vec<Exchange>) {
        let locks: Vec<_> = TYPES.iter().map(|device_type| json!({ "device_type": device_type })).collect();
        let params = json!({ "seed": SEED, "clock": { "held_at": START }, "locks": locks });
        let (status, text) = self.ask("", "/_emulator/workspaces/create", &params).await;
        let made: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status, 200, "{text}");
        let devices = made["devices"].as_array().unwrap();
        let story = Story {
            key: made["api_key"].as_str().unwrap().to_owned(),
            locks: devices.iter().map(|device| device["device_id"].clone()).collect(),
            account: devices[0]["connected_account_id"].clone(),
            now: START.to_owned(),
            dice: 7,
            ..Story::default()
        };
        (story, vec![("make".to_owned(), status, text)])
    }

    /// So many further calls.
    async fn tell(&self, story: &mut Story, calls: usize) -> Vec<Exchange> {
        let mut told = Vec::new();
        for _ in 0..calls {
            let (path, body) = story.next();
            let (status, text) = self.ask(&story.key, path, &body).await;
            story.learn(path, &body, &serde_json::from_str(&text).unwrap());
            told.push((format!("{path} {body}"), status, text));
        }
        told
    }

    /// The whole story, and the end of its workspace.
    async fn tell_all(&self) -> Vec<Exchange> {
        let (mut story, mut told) = self.begin().await;
        told.extend(self.tell(&mut story, CALLS).await);
        self.end(&story).await;
        told
    }

    async fn end(&self, story: &Story) {
        self.ok(&story.key, "/_emulator/workspaces/delete", json!({})).await;
    }
}

/// What was learnt so far: what is asked next is a function of the answers alone.
#[derive(Clone, Default)]
struct Story {
    key: String,
    dice: u64,
    calls: usize,
    /// How often each kind of call had its turn.
    turns: [usize; 3],
    locks: Vec<Value>,
    account: Value,
    codes: Vec<Value>,
    foreign: Vec<Value>,
    backed_up: Vec<Value>,
    attempts: Vec<Value>,
    events: Vec<Value>,
    faults: Vec<Value>,
    /// Requests for pages that follow.
    pages: Vec<(&'static str, Value)>,
    now: String,
}

impl Story {
    fn roll(&mut self, sides: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.dice >> 33).unwrap() % sides
    }

    fn one_of(&mut self, list: &[Value]) -> Value {
        let index = self.roll(list.len().max(1));
        list.get(index).cloned().unwrap_or(json!(UNKNOWN))
    }

    /// One of the latest, which are the likeliest to be there still.
    fn late(&mut self, list: &[Value]) -> Value {
        self.one_of(&list[list.len().saturating_sub(6)..])
    }

    fn window(&mut self) -> (String, String) {
        let now = from_iso(&self.now).unwrap();
        let hours = |count: usize| chrono::TimeDelta::hours(i64::try_from(count).unwrap());
        let starts_at = now + hours(self.roll(150)) - hours(self.roll(2));
        let ends_at = starts_at + hours(3 + self.roll(100));
        (to_iso(starts_at), to_iso(ends_at))
    }

    /// The next of so many calls of a kind, one after the other.
    fn turn(&mut self, kind: usize, of: usize) -> usize {
        self.turns[kind] += 1;
        self.turns[kind] % of
    }

    /// What is asked next: each kind of call in turn, so that none is left out, about whatever the dice say.
    fn next(&mut self) -> (&'static str, Value) {
        self.calls += 1;
        if self.calls.is_multiple_of(5) {
            // Something always happens, and time always goes on.
            return match self.roll(8) {
                0 => ("/_emulator/clock/advance", json!({ "until": "next" })),
                1 => ("/_emulator/clock/advance", json!({ "by": "P1D" })),
                2 | 3 => ("/_emulator/clock/advance", json!({ "by": "PT1S" })),
                _ => {
                    let (starts_at, ends_at) = self.window();
                    let lock = self.one_of(&self.locks.clone());
                    ("/access_codes/create", json!({ "device_id": lock, "starts_at": starts_at, "ends_at": ends_at }))
                }
            };
        }
        let lock = self.one_of(&self.locks.clone());
        let code = self.late(&self.codes.clone());
        match (self.calls - self.calls / 5) % 3 {
            0 => self.about_codes(&lock, &code),
            1 => self.at_the_lock(&lock, &code),
            _ => self.reading(&lock, &code),
        }
    }

    /// Making and changing codes.
    fn about_codes(&mut self, lock: &Value, code: &Value) -> (&'static str, Value) {
        let (starts_at, ends_at) = self.window();
        let pin = format!("{:06}", 246_801 + self.roll(3));
        match self.turn(0, 16) {
            0 => ("/access_codes/create", json!({ "device_id": lock, "name": "guest", "sync": true })),
            1 => ("/access_codes/create", json!({ "device_id": lock, "common_code_key": "staff" })),
            2 => ("/access_codes/create", json!({ "device_id": lock, "code": "12" })),
            3 => {
                let params = json!({ "device_id": self.locks[0], "starts_at": starts_at, "ends_at": ends_at,
                                     "use_backup_access_code_pool": true });
                ("/access_codes/create", params)
            }
            4 => {
                let index = [6, 5, 8][self.roll(3)];
                let params = json!({ "device_id": self.locks[index], "is_offline_access_code": true,
                                     "starts_at": starts_at, "ends_at": ends_at, "max_time_rounding": "1d" });
                ("/access_codes/create", params)
            }
            5 => (
                "/access_codes/create_multiple",
                json!({ "device_ids": self.locks, "behavior_when_code_cannot_be_shared": "create_random_code" }),
            ),
            6 => (
                "/access_codes/create_multiple",
                json!({ "device_ids": self.locks[..3], "starts_at": starts_at, "ends_at": ends_at }),
            ),
            7 | 8 => ("/access_codes/update", json!({ "access_code_id": code, "name": pin, "code": pin })),
            9 => (
                "/access_codes/update",
                json!({ "access_code_id": code, "starts_at": starts_at, "ends_at": ends_at, "sync": true }),
            ),
            10 => ("/access_codes/update_multiple", json!({ "common_code_key": "staff", "name": pin })),
            11 => ("/access_codes/delete", json!({ "access_code_id": code, "sync": self.roll(2) == 0 })),
            12 => (
                "/access_codes/pull_backup_access_code",
                json!({ "access_code_id": self.late(&self.backed_up.clone()) }),
            ),
            13 => ("/access_codes/update", json!({ "access_code_id": code, "is_managed": false })),
            14 => (
                "/access_codes/unmanaged/convert_to_managed",
                json!({ "access_code_id": self.late(&self.foreign.clone()) }),
            ),
            _ => (
                "/access_codes/unmanaged/update",
                json!({ "access_code_id": self.late(&self.foreign.clone()), "is_managed": true, "force": true }),
            ),
        }
    }

    /// What happens to locks and codes other than by the API, and what is arranged to.
    fn at_the_lock(&mut self, lock: &Value, code: &Value) -> (&'static str, Value) {
        let pin = format!("{:06}", 135_790 + self.roll(3));
        let foreign = self.late(&self.foreign.clone());
        match self.turn(1, 24) {
            0 | 1 => ("/_emulator/locks/add_code", json!({ "device_id": lock, "code": pin })),
            2 => (
                "/_emulator/locks/change_code",
                json!({ "device_id": lock, "code": pin, "new_code": "864209", "name": "changed" }),
            ),
            3 => ("/_emulator/locks/remove_code", json!({ "device_id": lock, "code": pin })),
            4 => (
                "/access_codes/simulate/create_unmanaged_access_code",
                json!({ "device_id": lock, "name": "theirs", "code": pin }),
            ),
            5 => ("/access_codes/unmanaged/delete", json!({ "access_code_id": foreign })),
            6 => ("/devices/simulate/disconnect", json!({ "device_id": lock })),
            7 | 8 => ("/devices/simulate/connect", json!({ "device_id": lock })),
            9 => ("/devices/simulate/disconnect_from_hub", json!({ "device_id": lock })),
            10 | 11 => ("/devices/simulate/connect_to_hub", json!({ "device_id": lock })),
            12 if self.roll(3) == 0 => ("/devices/simulate/remove", json!({ "device_id": self.locks[2] })),
            12 => ("/_emulator/devices/update", json!({ "device_id": self.locks[2], "removed": false })),
            13 => ("/connected_accounts/simulate/disconnect", json!({ "connected_account_id": self.account })),
            14 | 15 => ("/_emulator/devices/update", json!({ "device_id": self.locks[0], "account_connected": true })),
            16 => {
                let operation = ["set", "update", "remove", "refill"][self.roll(4)];
                let outcome = [json!({ "fail": {} }), json!({ "delay": "PT5M" })][self.roll(2)].clone();
                ("/_emulator/faults/create", json!({ "operation": operation, "outcome": outcome, "times": 2 }))
            }
            17 => ("/_emulator/faults/delete", json!({ "fault_id": self.one_of(&self.faults.clone()) })),
            18 => {
                ("/_emulator/access_codes/add_error", json!({ "access_code_id": code, "error_code": "provider_issue" }))
            }
            19 => (
                "/_emulator/access_codes/add_warning",
                json!({ "access_code_id": code, "warning_code": "delay_in_setting_on_device" }),
            ),
            20 => ("/_emulator/access_codes/clear", json!({ "access_code_id": code })),
            21 => ("/_emulator/access_codes/step", json!({ "access_code_id": code })),
            22 => {
                let after = ["PT0.25S", "PT0S", "PT2M"][self.roll(3)];
                ("/_emulator/programming/set", json!({ "after": after }))
            }
            _ => (
                "/_emulator/devices/update",
                json!({ "device_id": lock, "battery_level": 0.5, "backup_access_code_pool_size": 3,
                          "errors": [{ "code": "odd" }] }),
            ),
        }
    }

    /// What changes nothing.
    fn reading(&mut self, lock: &Value, code: &Value) -> (&'static str, Value) {
        if self.roll(4) == 0
            && let Some(page) = self.pages.pop()
        {
            return page;
        }
        match self.turn(2, 27) {
            0 => ("/access_codes/get", json!({ "access_code_id": code })),
            1 | 2 => ("/access_codes/list", json!({ "device_id": lock, "limit": 2 })),
            3 => ("/access_codes/list", json!({ "limit": 5, "search": "1" })),
            4 => ("/access_codes/generate_code", json!({ "device_id": lock })),
            5 => ("/access_codes/get_timeline", json!({ "access_code_id": code, "limit": 2 })),
            6 => (
                "/access_codes/report_device_constraints",
                json!({ "device_id": self.locks[3],
                  "supported_code_lengths": [4, 6] }),
            ),
            7 => ("/access_codes/unmanaged/list", json!({ "device_id": lock, "limit": 1 })),
            8 => ("/access_codes/unmanaged/get", json!({ "access_code_id": self.late(&self.foreign.clone()) })),
            9 | 10 => ("/action_attempts/list", json!({ "limit": 7 })),
            11 => ("/action_attempts/get", json!({ "action_attempt_id": self.one_of(&self.attempts.clone()) })),
            12 => ("/devices/get", json!({ "device_id": lock })),
            13 => ("/devices/list", json!({ "limit": 4 })),
            14 => ("/devices/list", json!({})),
            15 => ("/events/get", json!({ "event_id": self.one_of(&self.events.clone()) })),
            16 => ("/events/get", json!({ "device_id": lock })),
            17 | 18 => {
                let offset = self.roll(30);
                ("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "limit": 20, "unstable_offset": offset }))
            }
            19 => ("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "device_id": lock })),
            20 => ("/events/list", json!({ "between": [START, self.now], "event_type": "access_code.changed" })),
            21 => ("/workspaces/get", json!({})),
            22 => ("/_emulator/clock", json!({})),
            23 => ("/_emulator/faults/list", json!({})),
            24 => ("/_emulator/locks/memory", json!({ "device_id": lock })),
            25 => ("/_emulator/clock/advance", json!({ "to": START })),
            _ => ("/_emulator/devices/create", json!({ "device_type": "ultraloq_lock", "online": false })),
        }
    }

    fn learn(&mut self, path: &'static str, asked: &Value, answer: &Value) {
        let many = answer["access_codes"].as_array().cloned().unwrap_or_default();
        for code in many.iter().chain(answer.get("access_code")).filter(|code| !code.is_null()) {
            let id = code["access_code_id"].clone();
            if path == "/access_codes/create" && asked.get("use_backup_access_code_pool").is_some() {
                self.backed_up.push(id.clone());
            }
            if code["is_managed"] == true { self.codes.push(id) } else { self.foreign.push(id) }
        }
        self.attempts.extend(answer.get("action_attempt").map(|attempt| attempt["action_attempt_id"].clone()));
        self.faults.extend(answer.get("fault").map(|fault| fault["fault_id"].clone()));
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        self.events.extend(events.iter().map(|event| event["event_id"].clone()));
        if let Some(cursor) = answer["pagination"]["next_page_cursor"].as_str() {
            let mut next = asked.clone();
            next["page_cursor"] = json!(cursor);
            self.pages.push((path, next));
        }
        if let Some(now) = answer["now"].as_str() {
            now.clone_into(&mut self.now);
        }
    }
}

/// The story as a server with a database of its own tells it.
async fn first_telling() -> &'static [Exchange] {
    static TOLD: OnceCell<Vec<Exchange>> = OnceCell::const_new();
    TOLD.get_or_init(async || Server::fresh().await.tell_all().await).await
}

/// There can be one workspace of a seed on the shared server at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::const_new(());
    ONE.lock().await
}

#[track_caller]
fn assert_same(told: &[Exchange], first: &[Exchange]) {
    for (index, (one, other)) in told.iter().zip(first).enumerate() {
        assert_eq!(one, other, "call {index}");
    }
    assert_eq!(told.len(), first.len());
}

#[test]
fn a_story_told_again_on_another_server_gets_the_same_answers() {
    run(async {
        let first = first_telling().await;
        let _alone = alone().await;
        assert_same(&Server::shared().tell_all().await, first);
        // And when its workspace was there before.
        assert_same(&Server::shared().tell_all().await, first);
    });
}

#[test]
fn the_story_is_about_everything_there_is() {
    run(async {
        let first = first_telling().await;
        let path = |told: &Exchange| told.0.split(' ').next().unwrap().to_owned();
        let went_well: BTreeSet<_> = first.iter().filter(|told| told.1 == 200).map(path).collect();
        let of_seam = latchkey::testing::api::routes().into_parts().1;
        let untold: Vec<_> = of_seam.into_iter().filter(|path| !went_well.contains(*path)).collect();
        assert!(untold.is_empty(), "{untold:?}");
        assert!(went_well.iter().filter(|path| path.starts_with("/_emulator")).count() >= 14, "{went_well:?}");
        let refused = first.iter().filter(|told| told.1 != 200).count();
        assert!((40..200).contains(&refused), "{refused}");
        assert!(first.iter().all(|told| told.1 < 500));
        assert!(first.iter().any(|told| told.0.contains("page_cursor") && told.1 == 200));
    });
}

#[test]
fn what_came_after_a_snapshot_leaves_no_trace_when_it_is_restored() {
    run(async {
        let first = first_telling().await;
        let _alone = alone().await;
        let server = Server::shared();
        let (mut story, mut told) = server.begin().await;
        told.extend(server.tell(&mut story, CALLS / 2).await);
        let snapshot = server.ok(&story.key, "/_emulator/snapshots/create", json!({})).await;
        // Another story, which goes on from here with other dice.
        let mut other = Story { dice: 4711, ..story.clone() };
        server.tell(&mut other, 100).await;
        let restore = json!({ "snapshot_id": snapshot["snapshot_id"] });
        let restored = server.ok(&story.key, "/_emulator/snapshots/restore", restore).await;
        assert_eq!(restored["now"], story.now);
        told.extend(server.tell(&mut story, CALLS - CALLS / 2).await);
        server.end(&story).await;
        assert_same(&told, first);
    });
}

#[test]
fn a_workspace_that_is_reset_lives_the_same_story_again() {
    run(async {
        let first = first_telling().await;
        let _alone = alone().await;
        let server = Server::shared();
        let (mut story, mut told) = server.begin().await;
        let begun = story.clone();
        server.tell(&mut Story { dice: 4711, ..story.clone() }, 100).await;
        for _ in 0..2 {
            server.ok(&story.key, "/_emulator/workspaces/reset", json!({})).await;
            story = begun.clone();
            told.truncate(1);
            told.extend(server.tell(&mut story, CALLS).await);
            assert_same(&told, first);
        }
        server.end(&story).await;
    });
}

#[test]
fn a_story_goes_on_in_a_new_workspace_on_another_server_from_a_file() {
    run(async {
        let first = first_telling().await;
        let _alone = alone().await;
        let server = Server::shared();
        let (mut story, mut told) = server.begin().await;
        told.extend(server.tell(&mut story, CALLS / 2).await);
        let exported = server.ok(&story.key, "/_emulator/snapshots/export", json!({})).await;
        assert_eq!(server.ok(&story.key, "/_emulator/snapshots/export", json!({})).await, exported);
        let workspace_id = exported["snapshot"]["workspace_id"].clone();
        server.end(&story).await;
        // A workspace that has nothing of the old one but its id: the rest, its seed too, comes with the file.
        for elsewhere in [&server, &Server::fresh().await] {
            let params = json!({ "workspace_id": workspace_id, "api_key": "seam_test_exactness", "locks": 2 });
            elsewhere.ok("", "/_emulator/workspaces/create", params).await;
            let key = "seam_test_exactness";
            let imported = elsewhere.ok(key, "/_emulator/snapshots/import", exported.clone()).await;
            let restore = json!({ "snapshot_id": imported["snapshot_id"] });
            elsewhere.ok(key, "/_emulator/snapshots/restore", restore).await;
            let again = elsewhere.ok(key, "/_emulator/snapshots/export", json!({})).await;
            assert_eq!(again, exported);
            let mut story = Story { key: key.to_owned(), ..story.clone() };
            let mut whole = told.clone();
            whole.extend(elsewhere.tell(&mut story, CALLS - CALLS / 2).await);
            elsewhere.end(&story).await;
            // The publishable key is one of the keys that stay.
            for ((asked, status, text), (first_asked, first_status, first_text)) in whole.iter().zip(first) {
                assert_eq!((asked, status), (first_asked, first_status));
                if !asked.starts_with("/workspaces/get") {
                    assert_eq!(text, first_text, "{asked}");
                }
            }
        }
    });
}
