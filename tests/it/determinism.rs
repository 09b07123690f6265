//! Determinism: the same seed and the same requests on a held clock get the same responses, byte for byte.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use crate::support::{START, TestWorkspace, UNKNOWN, post_as, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Linear congruential generator: pseudorandom numbers, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_of<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        let index = self.roll(list.len().max(1));
        list.get(index).cloned()
    }
}

/// State of the script, taken from the responses so far. It alone determines the next request.
struct Script {
    dice: Dice,
    locks: Vec<String>,
    codes: Vec<Value>,
    attempts: Vec<Value>,
    events: Vec<Value>,
    now: String,
}

impl Script {
    fn window(&mut self) -> (String, String) {
        let now = latchkey::testing::clock::from_iso(&self.now).unwrap();
        let hours = |count: usize| chrono::TimeDelta::hours(i64::try_from(count).unwrap());
        let starts_at = now + hours(self.dice.roll(200)) - hours(self.dice.roll(2));
        let ends_at = starts_at + hours(3 + self.dice.roll(100));
        (latchkey::testing::clock::to_iso(starts_at), latchkey::testing::clock::to_iso(ends_at))
    }

    fn next(&mut self) -> (&'static str, Value) {
        let lock = self.dice.one_of(&self.locks).unwrap();
        let code = self.dice.one_of(&self.codes).unwrap_or(json!(UNKNOWN));
        match self.dice.roll(40) {
            0..=3 => ("/access_codes/create", json!({ "device_id": lock, "name": "guest" })),
            4 | 5 => {
                let (starts_at, ends_at) = self.window();
                let native = self.dice.roll(2) == 0;
                (
                    "/access_codes/create",
                    json!({ "device_id": lock, "starts_at": starts_at, "ends_at": ends_at,
                            "prefer_native_scheduling": native, "preferred_code_length": 6 }),
                )
            }
            6 => ("/access_codes/create", json!({ "device_id": lock, "common_code_key": "staff" })),
            7 | 8 => {
                let random =
                    json!({ "device_ids": self.locks, "behavior_when_code_cannot_be_shared": "create_random_code" });
                ("/access_codes/create_multiple", random)
            }
            9 => ("/access_codes/generate_code", json!({ "device_id": lock })),
            10 => ("/access_codes/get", json!({ "access_code_id": code })),
            11 => ("/access_codes/list", json!({ "device_id": lock, "limit": 5 })),
            12 => ("/access_codes/delete", json!({ "access_code_id": code })),
            13 => ("/access_codes/delete", json!({ "access_code_id": code, "sync": true })),
            14 => ("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "limit": 50, "device_id": lock })),
            15 => {
                let event = self.dice.one_of(&self.events).unwrap_or(json!(UNKNOWN));
                ("/events/get", json!({ "event_id": event }))
            }
            16 => {
                let attempt = self.dice.one_of(&self.attempts).unwrap_or(json!(UNKNOWN));
                ("/action_attempts/get", json!({ "action_attempt_id": attempt }))
            }
            17 => ("/action_attempts/list", json!({ "limit": 10 })),
            18 => ("/devices/list", json!({ "limit": 3 })),
            19 => ("/devices/get", json!({ "device_id": lock })),
            20 => {
                let by = ["PT0.1S", "PT1H", "P1D", "P3D"][self.dice.roll(4)];
                ("/_emulator/clock/advance", json!({ "by": by }))
            }
            21 => ("/_emulator/clock/advance", json!({ "until": "next" })),
            22 => {
                let online = self.dice.roll(2) == 0;
                ("/_emulator/devices/update", json!({ "device_id": lock, "online": online }))
            }
            23 | 24 => self.connection_or_fault(&lock),
            25..=37 => self.less_common_request(&lock, &code),
            _ => {
                let bad = [
                    ("/access_codes/create", json!({ "device_id": "door" })),
                    ("/access_codes/create", json!({ "device_id": UNKNOWN })),
                    ("/access_codes/create", json!({ "device_id": lock, "code": "12" })),
                    ("/access_codes/create", json!({ "device_id": lock, "starts_at": START })),
                    ("/access_codes/create_multiple", json!({ "device_ids": [lock, lock] })),
                    ("/access_codes/list", json!({})),
                    ("/_emulator/devices/create", json!({ "device_type": "ultraloq_lock", "online": false })),
                ];
                self.dice.one_of(&bad).unwrap()
            }
        }
    }

    /// Returns a request that connects or disconnects a lock, or that creates or lists faults.
    fn connection_or_fault(&mut self, lock: &str) -> (&'static str, Value) {
        let flag = self.dice.roll(2) == 0;
        match self.dice.roll(6) {
            0 => ("/_emulator/devices/update", json!({ "device_id": lock, "account_connected": flag })),
            1 => ("/devices/simulate/disconnect", json!({ "device_id": lock })),
            2 | 3 => ("/devices/simulate/connect", json!({ "device_id": lock })),
            4 => {
                let operation = ["set", "update", "remove", "refill"][self.dice.roll(4)];
                let outcome = [json!({ "fail": {} }), json!({ "delay": "PT5M" })][self.dice.roll(2)].clone();
                ("/_emulator/faults/create", json!({ "operation": operation, "outcome": outcome, "times": 2 }))
            }
            _ => ("/_emulator/faults/list", json!({})),
        }
    }

    /// Returns one of the less common requests that create or change codes.
    fn less_common_request(&mut self, lock: &str, code: &Value) -> (&'static str, Value) {
        let pin = format!("{:06}", 135_790 + self.dice.roll(3));
        match self.dice.roll(10) {
            0 | 1 => {
                let (starts_at, ends_at) = self.window();
                (
                    "/access_codes/create",
                    json!({ "device_id": self.locks[0], "starts_at": starts_at, "ends_at": ends_at,
                            "use_backup_access_code_pool": true }),
                )
            }
            2 | 3 => ("/access_codes/pull_backup_access_code", json!({ "access_code_id": code })),
            4 => {
                let (starts_at, ends_at) = self.window();
                (
                    "/access_codes/create",
                    json!({ "device_id": self.locks[6], "is_offline_access_code": true, "starts_at": starts_at,
                            "ends_at": ends_at, "max_time_rounding": "1d" }),
                )
            }
            5 => ("/_emulator/locks/add_code", json!({ "device_id": lock, "code": pin })),
            6 => ("/_emulator/locks/remove_code", json!({ "device_id": lock, "code": pin })),
            7 => ("/access_codes/update", json!({ "access_code_id": code, "name": pin })),
            8 => ("/access_codes/unmanaged/convert_to_managed", json!({ "access_code_id": code })),
            _ => {
                ("/_emulator/devices/update", json!({ "device_id": self.locks[0], "backup_access_code_pool_size": 7 }))
            }
        }
    }

    fn record(&mut self, response: &Value) {
        let listed = response["access_codes"].as_array().cloned().unwrap_or_default();
        let codes = listed.iter().chain(response.get("access_code"));
        self.codes.extend(codes.map(|code| code["access_code_id"].clone()));
        self.attempts.extend(response.get("action_attempt").map(|attempt| attempt["action_attempt_id"].clone()));
        let events = response["events"].as_array().cloned().unwrap_or_default();
        self.events.extend(events.iter().map(|event| event["event_id"].clone()));
        if let Some(now) = response["now"].as_str() {
            now.clone_into(&mut self.now);
        }
    }
}

/// Runs the script in a new workspace with this seed and returns each request with the status and text of its response.
async fn run_script(seed: &str) -> Vec<(String, u16, String)> {
    let types = [
        "august_lock",
        "schlage_lock",
        "nuki_lock",
        "smartthings_lock",
        "ttlock_lock",
        "lockly_lock",
        "igloohome_lock",
    ];
    let locks: Vec<_> = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
    let params = json!({ "seed": seed, "clock": { "held_at": START }, "locks": locks });
    let created = post_as("", "/_emulator/workspaces/create", params).await;
    let mut responses = vec![("make".to_owned(), created.status, created.text.clone())];
    let created = created.ok();
    let key = created["api_key"].as_str().unwrap().to_owned();
    let devices = created["devices"].as_array().unwrap().iter();
    let mut script = Script {
        dice: Dice(42),
        locks: devices.map(|device| device["device_id"].as_str().unwrap().to_owned()).collect(),
        codes: Vec::new(),
        attempts: Vec::new(),
        events: Vec::new(),
        now: START.to_owned(),
    };
    for _ in 0..600 {
        let (path, body) = script.next();
        let request = format!("{path} {body}");
        let response = post_as(&key, path, body).await;
        script.record(&response.body);
        responses.push((request, response.status, response.text));
    }
    let deleted = post_as(&key, "/_emulator/workspaces/delete", json!({})).await;
    responses.push(("unmake".to_owned(), deleted.status, deleted.text));
    responses
}

/// Returns all UUIDs in the responses, except [`UNKNOWN`].
fn ids(responses: &[(String, u16, String)]) -> BTreeSet<String> {
    fn collect(value: &Value, ids: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if text.len() == 36 && text.matches('-').count() == 4 => {
                ids.insert(text.clone());
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, ids)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, ids)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for (_, _, text) in responses {
        collect(&serde_json::from_str(text).unwrap(), &mut found);
    }
    found.remove(UNKNOWN);
    found
}

#[test]
fn requests_in_workspaces_of_one_seed_get_the_same_bytes() {
    run(async {
        let first = run_script("byte for byte").await;
        let second = run_script("byte for byte").await;
        assert_eq!(first.len(), 602);
        for (one, other) in first.iter().zip(&second) {
            assert_eq!(one, other);
        }
        // Most requests of the script succeed, and some fail.
        let successes = first.iter().filter(|(_, status, _)| *status == 200).count();
        assert!((350..550).contains(&successes), "{successes}");
        assert!(first.iter().all(|(_, status, _)| *status < 500));
        let paths: BTreeSet<_> = first
            .iter()
            .filter(|response| response.1 == 200)
            .filter_map(|response| response.0.split(' ').next())
            .collect();
        assert!(paths.len() >= 25, "{paths:?}");
        let ids = ids(&first);
        assert!(ids.len() > 300, "{}", ids.len());
        for id in ids {
            let id = uuid::Uuid::parse_str(&id).unwrap();
            assert_eq!((id.get_version_num(), id.get_variant()), (4, uuid::Variant::RFC4122), "{id}");
        }
    });
}

#[test]
fn ids_keys_and_pins_differ_between_seeds() {
    run(async {
        let (one, other) = (run_script("one seed").await, run_script("another seed").await);
        let common: Vec<_> = ids(&one).intersection(&ids(&other)).cloned().collect();
        assert_eq!(common, [""; 0]);
        let (one, other): (Value, Value) =
            (serde_json::from_str(&one[0].2).unwrap(), serde_json::from_str(&other[0].2).unwrap());
        for name in ["api_key", "publishable_key", "personal_access_token"] {
            assert_ne!(one[name], other[name], "{name}");
        }
        let pins = async |seed: &str| {
            let workspace = TestWorkspace::create_with(json!({ "seed": seed, "locks": 1 })).await;
            let mut pins = Vec::new();
            for _ in 0..8 {
                pins.push(workspace.create(json!({ "device_id": workspace.lock(0) })).await["code"].clone());
            }
            workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
            pins
        };
        assert_eq!(pins("one seed").await, pins("one seed").await);
        assert_ne!(pins("one seed").await, pins("another seed").await);
    });
}

#[test]
fn seed_is_rejected_while_another_workspace_uses_it() {
    run(async {
        let params = json!({ "seed": "one at a time", "locks": 1 });
        let workspace = TestWorkspace::create_with(params.clone()).await;
        let error = post_as("", "/_emulator/workspaces/create", params.clone()).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains("seed"), "{error}");
        workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        let again = TestWorkspace::create_with(params).await;
        assert_eq!((again.api_key.clone(), again.locks()), (workspace.api_key.clone(), workspace.locks()));
        again.post("/_emulator/workspaces/delete", json!({})).await.ok();
    });
}

#[test]
fn responses_do_not_depend_on_other_workspaces_reads_or_rejected_requests() {
    run(async {
        let params = json!({ "seed": "undisturbed", "locks": 2 });
        let mut seen = Vec::new();
        for disturbed in [false, true] {
            let workspace = TestWorkspace::create_with(params.clone()).await;
            let other = TestWorkspace::with_locks(1).await;
            let mut responses = Vec::new();
            for _ in 0..5 {
                if disturbed {
                    other.create(json!({ "device_id": other.lock(0) })).await;
                    // Neither reads nor rejected requests change the workspace.
                    workspace.post("/access_codes/generate_code", json!({ "device_id": workspace.lock(0) })).await.ok();
                    workspace.post("/events/list", json!({ "since": START })).await.ok();
                    let invalid = json!({ "device_id": workspace.lock(0), "code": "1" });
                    workspace.post("/access_codes/create", invalid).await.error(400, "invalid_input");
                }
                responses.push(
                    workspace
                        .post("/access_codes/create_multiple", json!({ "device_ids": workspace.locks() }))
                        .await
                        .text,
                );
                responses.push(workspace.post("/_emulator/clock/advance", json!({ "by": "PT1S" })).await.text);
            }
            responses.push(workspace.post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await.text);
            workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
            seen.push(responses);
        }
        assert_eq!(seen[0], seen[1]);
    });
}
