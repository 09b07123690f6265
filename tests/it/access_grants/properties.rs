//! Property test: random sequences of requests for grants, spaces and codes, lock trouble and moves of the clock. At the
//! end the locks hold exactly what the grants and the other codes ask for, and the events give the same state.

use crate::support::{TestWorkspace, run};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const LOCKS: usize = 4;
const SPACES: usize = 2;

/// Index and capacity of a lock that is soon full.
const SMALL_LOCK: usize = 2;
const SMALL_CAPACITY: usize = 3;

/// Times relative to now, in hours; `None`: no end.
const TIMES: [(i64, Option<i64>); 5] = [(0, None), (-1, Some(5)), (2, Some(30)), (100, Some(200)), (0, Some(1))];
const ADVANCES: [&str; 6] = ["PT0.1S", "PT1S", "PT6M", "PT3H", "P2D", "P5D"];

/// One action of a sequence. The numbers select among the existing objects.
#[derive(Clone, Debug)]
enum Action {
    Grant {
        locks: u8,
        space: Option<usize>,
        times: usize,
        wish: bool,
        methods: usize,
    },
    ChangeTimes {
        grant: usize,
        times: usize,
    },
    DeleteGrant {
        grant: usize,
    },
    DeleteMethod {
        grant: usize,
    },
    AddMethod {
        grant: usize,
    },
    Rename {
        grant: usize,
    },
    DeleteIdentity {
        grant: usize,
    },
    MergeIdentities {
        grant: usize,
        other: usize,
    },
    SetSpace {
        space: usize,
        locks: u8,
    },
    DeleteSpace {
        space: usize,
    },
    Code {
        lock: usize,
        times: usize,
    },
    DeleteCode {
        code: usize,
    },
    ChangeAtLock {
        lock: usize,
    },
    AddAtLock {
        lock: usize,
        code: usize,
    },
    RemoveAtLock {
        lock: usize,
    },
    Online {
        lock: usize,
        online: bool,
    },
    Fault {
        lock: usize,
    },
    Advance {
        by: usize,
    },
    /// Creates a snapshot of the workspace and restores it.
    Restore,
}

fn any_action() -> impl Strategy<Value = Action> {
    let grant = 0..10_usize;
    prop_oneof![
        4 => (1..16_u8, prop::option::of(0..SPACES), 0..TIMES.len(), any::<bool>(), 1..3_usize)
            .prop_map(|(locks, space, times, wish, methods)| Action::Grant { locks, space, times, wish, methods }),
        3 => (grant.clone(), 0..TIMES.len()).prop_map(|(grant, times)| Action::ChangeTimes { grant, times }),
        1 => grant.clone().prop_map(|grant| Action::DeleteGrant { grant }),
        1 => grant.clone().prop_map(|grant| Action::DeleteMethod { grant }),
        1 => grant.clone().prop_map(|grant| Action::AddMethod { grant }),
        1 => grant.clone().prop_map(|grant| Action::Rename { grant }),
        1 => grant.clone().prop_map(|grant| Action::DeleteIdentity { grant }),
        1 => (grant.clone(), grant).prop_map(|(grant, other)| Action::MergeIdentities { grant, other }),
        3 => (0..SPACES, 0..16_u8).prop_map(|(space, locks)| Action::SetSpace { space, locks }),
        1 => (0..SPACES).prop_map(|space| Action::DeleteSpace { space }),
        2 => (0..LOCKS, 0..TIMES.len()).prop_map(|(lock, times)| Action::Code { lock, times }),
        1 => (0..10_usize).prop_map(|code| Action::DeleteCode { code }),
        1 => (0..LOCKS).prop_map(|lock| Action::ChangeAtLock { lock }),
        // Not on the small lock: a code would wait for good for the place that it has reserved there.
        1 => (0..SMALL_LOCK, 0..3_usize).prop_map(|(lock, code)| Action::AddAtLock { lock, code }),
        1 => (0..LOCKS).prop_map(|lock| Action::RemoveAtLock { lock }),
        3 => (0..LOCKS, any::<bool>()).prop_map(|(lock, online)| Action::Online { lock, online }),
        1 => (0..LOCKS).prop_map(|lock| Action::Fault { lock }),
        5 => (0..ADVANCES.len()).prop_map(|by| Action::Advance { by }),
        1 => Just(Action::Restore),
    ]
}

/// One run of a sequence.
struct Scenario {
    workspace: TestWorkspace,
    spaces: Vec<Value>,
    grants: Vec<Value>,
    codes: Vec<Value>,
}

impl Scenario {
    async fn begin() -> Self {
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "nuki_lock", "code_constraints": [] },
            { "device_type": "ttlock_lock", "native_scheduling": false, "supports_backup_access_code_pool": false,
              "max_active_codes_supported": SMALL_CAPACITY },
            { "device_type": "august_lock", "backup_access_code_pool_size": 2 },
        ]);
        let workspace = TestWorkspace::with(locks).await;
        let mut spaces = Vec::new();
        for index in 0..SPACES {
            let params = json!({ "name": format!("Space {index}"), "device_ids": [workspace.lock(index)] });
            spaces.push(new_space(&workspace, params).await);
        }
        Self { workspace, spaces, grants: Vec::new(), codes: Vec::new() }
    }

    fn locks(&self, mask: u8) -> Vec<String> {
        (0..LOCKS).filter(|index| mask & (1 << index) != 0).map(|index| self.workspace.lock(index)).collect()
    }

    async fn now(&self) -> String {
        let clock = self.workspace.get("/_emulator/clock").await.ok();
        clock["now"].as_str().unwrap().to_owned()
    }

    async fn times(&self, index: usize) -> Value {
        let now = chrono::DateTime::parse_from_rfc3339(&self.now().await).unwrap();
        let at = |hours: i64| (now + chrono::TimeDelta::hours(hours)).to_rfc3339();
        let (from, to) = TIMES[index];
        json!({ "starts_at": at(from), "ends_at": to.map(at) })
    }

    async fn act(&mut self, action: &Action) {
        match *action {
            Action::Grant { locks, space, times, wish, methods } => {
                let mut params = self.times(times).await;
                params["user_identity"] = json!({ "full_name": "Jane" });
                params["device_ids"] = json!(self.locks(locks));
                params["space_ids"] = json!(space.map(|space| &self.spaces[space]).into_iter().collect::<Vec<_>>());
                let method = if wish { json!({ "mode": "code", "code": "4711" }) } else { json!({ "mode": "code" }) };
                params["requested_access_methods"] = json!(vec![method; methods]);
                let created = self.workspace.post("/access_grants/create", params).await.ok();
                self.grants.push(created["access_grant"]["access_grant_id"].clone());
            }
            Action::ChangeTimes { grant, times } => {
                let mut params = self.times(times).await;
                self.of_grant(grant, "/access_grants/update", &mut params).await;
            }
            Action::DeleteGrant { grant } => self.of_grant(grant, "/access_grants/delete", &mut json!({})).await,
            Action::DeleteMethod { grant } => {
                self.of_grant(grant, "/access_methods/delete", &mut json!({})).await;
            }
            Action::AddMethod { grant } => {
                let mut params = json!({ "requested_access_methods": [{ "mode": "code" }] });
                self.of_grant(grant, "/access_grants/request_access_methods", &mut params).await;
            }
            Action::Rename { grant } => {
                self.of_grant(grant, "/access_grants/update", &mut json!({ "name": "Jim" })).await;
            }
            Action::DeleteIdentity { grant } => {
                if let Some(id) = self.identity_of(grant).await {
                    self.of_identity("/user_identities/delete", json!({ "user_identity_id": id })).await;
                }
            }
            Action::MergeIdentities { grant, other } => {
                let ids = (self.identity_of(grant).await, self.identity_of(other).await);
                if let (Some(id), Some(other_id)) = ids
                    && id != other_id
                {
                    let params = json!({ "user_identity_id": id, "merged_user_identity_ids": [other_id] });
                    self.of_identity("/user_identities/merge", params).await;
                }
            }
            Action::DeleteSpace { space } => {
                self.workspace.post("/spaces/delete", json!({ "space_id": self.spaces[space] })).await.ok();
                self.spaces[space] = new_space(&self.workspace, json!({ "name": "New space" })).await;
            }
            Action::SetSpace { space, locks } => {
                let params = json!({ "space_id": self.spaces[space], "device_ids": self.locks(locks) });
                self.workspace.post("/spaces/update", params).await.ok();
            }
            Action::Code { lock, times } => {
                let mut params = self.times(times).await;
                params["device_id"] = json!(self.workspace.lock(lock));
                if params["ends_at"].is_null() {
                    params = json!({ "device_id": params["device_id"] });
                }
                let created = self.workspace.post("/access_codes/create", params).await;
                self.codes.extend(created.body.get("access_code").map(|code| code["access_code_id"].clone()));
            }
            Action::DeleteCode { code } => {
                if let Some(id) = self.codes.get(code) {
                    self.workspace.post("/access_codes/delete", json!({ "access_code_id": id })).await;
                }
            }
            Action::ChangeAtLock { lock } => self.change_at_lock(lock).await,
            Action::AddAtLock { lock, code } => {
                // A PIN that no code of a grant has: such a code would be refused by the lock for good.
                let code = ["2580", "2581", "2582"][code];
                let params = json!({ "device_id": self.workspace.lock(lock), "code": code });
                self.workspace.post("/_emulator/locks/add_code", params).await;
            }
            Action::RemoveAtLock { lock } => {
                if let Some(held) = self.workspace.memory(lock).await.first() {
                    let params =
                        json!({ "device_id": self.workspace.lock(lock), "access_code_id": held["access_code_id"] });
                    self.workspace.post("/_emulator/locks/remove_code", params).await.ok();
                }
            }
            Action::Online { lock, online } => {
                drop(self.workspace.change_lock(lock, json!({ "online": online })).await);
            }
            Action::Fault { lock } => {
                let fault = json!({ "device_id": self.workspace.lock(lock), "operation": "set",
                                    "outcome": { "fail": {} }, "times": 2 });
                self.workspace.post("/_emulator/faults/create", fault).await.ok();
            }
            Action::Advance { by } => drop(self.workspace.advance(ADVANCES[by]).await),
            Action::Restore => {
                let created = self.workspace.post("/_emulator/snapshots/create", json!({})).await.ok();
                let snapshot = json!({ "snapshot_id": created["snapshot_id"] });
                self.workspace.post("/_emulator/snapshots/restore", snapshot).await.ok();
            }
        }
    }

    /// Returns the identity of one of the grants; `None` if the grant is gone.
    async fn identity_of(&self, grant: usize) -> Option<Value> {
        let params = json!({ "access_grant_id": self.grants.get(grant)? });
        let reply = self.workspace.post("/access_grants/get", params).await;
        Some(reply.body.get("access_grant")?["user_identity_id"].clone())
    }

    /// Sends a request about one of the grants, which may be gone.
    async fn of_grant(&self, grant: usize, path: &str, params: &mut Value) {
        if let Some(id) = self.grants.get(grant) {
            params["access_grant_id"] = id.clone();
            let reply = self.workspace.post(path, params.clone()).await;
            assert!(matches!(reply.status, 200 | 400 | 404), "{path} {params} returned {}", reply.body);
        }
    }

    /// Sends a request about identities. They may be gone, while their grants are still being deleted.
    async fn of_identity(&self, path: &str, params: Value) {
        let reply = self.workspace.post(path, params).await;
        assert!(matches!(reply.status, 200 | 404), "{path} returned {}", reply.body);
    }

    /// Renames the first code in the memory of a lock.
    async fn change_at_lock(&self, lock: usize) {
        if let Some(held) = self.workspace.memory(lock).await.first() {
            let params = json!({ "device_id": self.workspace.lock(lock), "access_code_id": held["access_code_id"],
                                 "name": "somebody" });
            self.workspace.post("/_emulator/locks/change_code", params).await;
        }
    }

    /// Ends all trouble, and waits until nothing is left to be done soon.
    async fn settle(&self) {
        let faults = self.workspace.post("/_emulator/faults/list", json!({})).await.ok();
        for fault in faults["faults"].as_array().unwrap() {
            self.workspace.post("/_emulator/faults/delete", json!({ "fault_id": fault["fault_id"] })).await.ok();
        }
        for lock in 0..LOCKS {
            self.workspace.change_lock(lock, json!({ "online": true })).await;
        }
        self.workspace.advance("PT30M").await;
        self.workspace.advance("PT1S").await;
    }

    async fn check(&self) -> Result<(), TestCaseError> {
        let mut expected: BTreeSet<(String, String)> = BTreeSet::new();
        let grants = self.workspace.post("/access_grants/list", json!({})).await.ok();
        let mut methods_by_id = BTreeMap::new();
        for grant in grants["access_grants"].as_array().unwrap() {
            self.check_grant(grant, &mut methods_by_id).await?;
        }
        for lock in 0..LOCKS {
            let device_id = self.workspace.lock(lock);
            let of_device = json!({ "device_id": device_id });
            let codes = self.workspace.post("/access_codes/list", of_device).await.ok();
            let codes = codes["access_codes"].as_array().unwrap();
            for code in codes.iter().filter(|code| code["status"] == "set" || code["is_scheduled_on_device"] == true) {
                expected.insert((device_id.clone(), code["code"].as_str().unwrap().to_owned()));
            }
            let of_device = json!({ "device_id": device_id });
            let unmanaged = self.workspace.post("/access_codes/unmanaged/list", of_device).await.ok();
            for code in unmanaged["access_codes"].as_array().unwrap() {
                expected.insert((device_id.clone(), code["code"].as_str().unwrap().to_owned()));
            }
            let memory = self.workspace.memory(lock).await;
            let held: Vec<(String, String)> = memory
                .iter()
                .filter(|held| held["is_backup"] != true || codes.iter().any(|code| code["code"] == held["code"]))
                .map(|held| (device_id.clone(), held["code"].as_str().unwrap().to_owned()))
                .collect();
            let distinct: BTreeSet<_> = held.iter().cloned().collect();
            prop_assert_eq!(held.len(), distinct.len(), "a PIN is on a lock twice: {:?}", memory);
            let of_lock: BTreeSet<_> = expected.iter().filter(|(id, _)| *id == device_id).cloned().collect();
            prop_assert_eq!(distinct, of_lock, "{:?} {:?}", memory, codes);
        }
        self.check_events(&grants, &methods_by_id).await
    }

    /// Checks that a grant has exactly the codes that it asks for.
    async fn check_grant(
        &self,
        grant: &Value,
        methods_by_id: &mut BTreeMap<String, Value>,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(&grant["pending_mutations"], &json!([]), "{}", grant);
        let id = json!({ "access_grant_ids": [grant["access_grant_id"]] });
        let related = self.workspace.post("/access_grants/get_related", id).await.ok()["batch"].clone();
        let covered: BTreeSet<String> = texts(&related["devices"], "device_id");
        for method in related["access_methods"].as_array().unwrap() {
            methods_by_id.insert(method["access_method_id"].as_str().unwrap().to_owned(), method.clone());
        }
        let of_grant = json!({ "access_grant_id": grant["access_grant_id"] });
        let codes = self.workspace.post("/access_codes/list", of_grant).await.ok()["access_codes"].clone();
        let codes = codes.as_array().unwrap();
        if grant["display_status"] == "Expired" {
            prop_assert_eq!(codes.len(), 0, "{}", grant);
            return Ok(());
        }
        let missing: BTreeSet<String> = grant["errors"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|error| error["missing_device_ids"].as_array().cloned().unwrap_or_default())
            .map(|id| id.as_str().unwrap().to_owned())
            .collect();
        if !missing.is_empty() {
            prop_assert_eq!(missing.iter().collect::<Vec<_>>(), [&self.workspace.lock(SMALL_LOCK)], "{}", grant);
            let memory = self.workspace.memory(SMALL_LOCK).await;
            // The code of a later grant is set later.
            let is_later = grant["starts_at"].as_str().unwrap() > self.now().await.as_str();
            prop_assert!(memory.len() >= SMALL_CAPACITY || is_later, "{} {:?}", grant, memory);
        }
        let requested = grant["requested_access_methods"].as_array().unwrap();
        for entry in requested.iter().filter(|entry| !entry["created_access_method_ids"].as_array().unwrap().is_empty())
        {
            let mut found = BTreeSet::new();
            for method_id in entry["created_access_method_ids"].as_array().unwrap() {
                let of_method = json!({ "access_method_id": method_id });
                let codes = self.workspace.post("/access_codes/list", of_method).await.ok()["access_codes"].clone();
                let codes: Vec<&Value> =
                    codes.as_array().unwrap().iter().filter(|code| code["is_backup"] != true).collect();
                let has_place = |code: &&Value| {
                    let errors = code["errors"].as_array().unwrap();
                    !missing.contains(code["device_id"].as_str().unwrap())
                        && errors.iter().all(|error| error["error_code"] != "no_space_for_access_code_on_device")
                };
                for code in &codes {
                    let method = &methods_by_id[method_id.as_str().unwrap()];
                    prop_assert!(code["code"] == method["code"] || !method["warnings"].as_array().unwrap().is_empty());
                    // A method waits for a lock that got full before its code was set.
                    let is_issued = method["is_issued"] == true;
                    prop_assert!(is_issued || !codes.iter().all(has_place), "{}", method);
                    let is_new = found.insert(code["device_id"].as_str().unwrap().to_owned());
                    prop_assert!(is_new, "two codes of one method on a lock: {:?}", codes);
                }
            }
            // A lock that is full has a code too, which waits for a place.
            prop_assert_eq!(&found, &covered, "{}", grant);
        }
        Ok(())
    }

    /// Checks that the events of grants and methods give the present state.
    async fn check_events(&self, grants: &Value, methods_by_id: &BTreeMap<String, Value>) -> Result<(), TestCaseError> {
        let mut exists: BTreeSet<String> = BTreeSet::new();
        let mut issued: BTreeMap<String, bool> = BTreeMap::new();
        for event in self.workspace.events(json!({})).await {
            let id = event.get("access_method_id").or_else(|| event.get("access_grant_id"));
            let Some(id) = id.and_then(Value::as_str).map(str::to_owned) else { continue };
            match event["event_type"].as_str().unwrap() {
                "access_grant.created" | "access_method.created" => drop(exists.insert(id)),
                "access_grant.deleted" | "access_method.deleted" => drop(exists.remove(&id)),
                "access_method.issued" | "access_method.reissued" => drop(issued.insert(id, true)),
                "access_method.revoked" => drop(issued.insert(id, false)),
                _ => {}
            }
        }
        let mut present = texts(&grants["access_grants"], "access_grant_id");
        present.extend(methods_by_id.keys().cloned());
        prop_assert_eq!(exists, present);
        for (id, method) in methods_by_id {
            prop_assert_eq!(method["is_issued"] == true, issued.get(id).copied().unwrap_or(false), "{}", method);
        }
        Ok(())
    }
}

async fn new_space(workspace: &TestWorkspace, params: Value) -> Value {
    workspace.post("/spaces/create", params).await.ok()["space"]["space_id"].clone()
}

fn texts(list: &Value, name: &str) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|object| object[name].as_str().unwrap().to_owned()).collect()
}

#[test]
fn access_grants_and_locks_agree_after_any_sequence() {
    let cases = std::env::var("LATCHKEY_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let sequences = prop::collection::vec(any_action(), 1..25);
    let result = runner.run(&sequences, |actions| {
        run(async {
            let mut scenario = Scenario::begin().await;
            for action in &actions {
                scenario.act(action).await;
            }
            scenario.settle().await;
            scenario.check().await
        })
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Sequences of actions after which a grant was once pending for good.
#[test]
fn access_grant_with_two_methods_on_a_lock_with_one_place_is_not_pending() {
    let on_small_lock =
        |times, methods| Action::Grant { locks: 1 << SMALL_LOCK, space: None, times, wish: false, methods };
    let sequences = [
        vec![
            Action::Grant { locks: 1, space: Some(0), times: 2, wish: false, methods: 2 },
            Action::Advance { by: 0 },
            on_small_lock(0, 2),
            Action::SetSpace { space: 0, locks: 1 << SMALL_LOCK },
        ],
        // The lock has places in the new times.
        vec![on_small_lock(1, 2), on_small_lock(0, 2), Action::ChangeTimes { grant: 1, times: 3 }],
        // The lock is full in the new times too.
        vec![on_small_lock(0, 2), on_small_lock(0, 2), Action::ChangeTimes { grant: 1, times: 3 }],
    ];
    for actions in sequences {
        run(async {
            let mut scenario = Scenario::begin().await;
            for action in &actions {
                scenario.act(action).await;
            }
            scenario.settle().await;
            scenario.check().await.unwrap_or_else(|error| panic!("{actions:?}: {error}"));
        });
    }
}
