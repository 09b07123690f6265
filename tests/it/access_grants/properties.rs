//! Property test: random sequences of requests for grants, spaces and codes, lock trouble and moves of the clock. At the
//! end the locks hold exactly what the grants and the other codes ask for, and the events give the same state.

mod checks;

use crate::support::{TestWorkspace, run};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
    Grant { locks: u8, space: Option<usize>, times: usize, wish: bool, methods: usize },
    ChangeTimes { grant: usize, times: usize },
    DeleteGrant { grant: usize },
    DeleteMethods { grant: usize },
    DeleteOneMethod { grant: usize, method: usize },
    AddMethod { grant: usize },
    Rename { grant: usize },
    DeleteIdentity { grant: usize },
    MergeIdentities { grant: usize, other: usize },
    SetSpace { space: usize, locks: u8 },
    DeleteSpace { space: usize },
    Code { lock: usize, times: usize },
    DeleteCode { code: usize },
    ChangeAtLock { lock: usize },
    AddAtLock { lock: usize, code: usize },
    RemoveAtLock { lock: usize },
    Online { lock: usize, online: bool },
    Fault { lock: usize },
    Advance { by: usize },
    SnapshotAndRestore,
}

fn any_action() -> impl Strategy<Value = Action> {
    let grant = 0..10_usize;
    prop_oneof![
        4 => (1..16_u8, prop::option::of(0..SPACES), 0..TIMES.len(), any::<bool>(), 1..3_usize)
            .prop_map(|(locks, space, times, wish, methods)| Action::Grant { locks, space, times, wish, methods }),
        3 => (grant.clone(), 0..TIMES.len()).prop_map(|(grant, times)| Action::ChangeTimes { grant, times }),
        1 => grant.clone().prop_map(|grant| Action::DeleteGrant { grant }),
        1 => grant.clone().prop_map(|grant| Action::DeleteMethods { grant }),
        1 => (grant.clone(), 0..3_usize).prop_map(|(grant, method)| Action::DeleteOneMethod { grant, method }),
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
        1 => Just(Action::SnapshotAndRestore),
    ]
}

/// One run of a sequence.
struct Scenario {
    workspace: TestWorkspace,
    spaces: Vec<Value>,
    grants: Vec<Value>,
    codes: Vec<Value>,
    /// Grants of which a single method was deleted: its locks may have no code.
    partly_deleted: BTreeSet<String>,
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
        Self { workspace, spaces, grants: Vec::new(), codes: Vec::new(), partly_deleted: BTreeSet::new() }
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
            Action::DeleteMethods { grant } => {
                self.of_grant(grant, "/access_methods/delete", &mut json!({})).await;
            }
            Action::DeleteOneMethod { grant, method } => {
                if let Some(found) = self.grant(grant).await
                    && let Some(id) = found["access_method_ids"].get(method)
                {
                    self.workspace.post("/access_methods/delete", json!({ "access_method_id": id })).await.ok();
                    self.partly_deleted.insert(found["access_grant_id"].as_str().unwrap().to_owned());
                }
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
            Action::SnapshotAndRestore => {
                let created = self.workspace.post("/_emulator/snapshots/create", json!({})).await.ok();
                let snapshot = json!({ "snapshot_id": created["snapshot_id"] });
                self.workspace.post("/_emulator/snapshots/restore", snapshot).await.ok();
            }
        }
    }

    /// Returns one of the grants; `None` if it is gone.
    async fn grant(&self, grant: usize) -> Option<Value> {
        let params = json!({ "access_grant_id": self.grants.get(grant)? });
        let reply = self.workspace.post("/access_grants/get", params).await;
        reply.body.get("access_grant").cloned()
    }

    /// Returns the identity of one of the grants; `None` if the grant is gone.
    async fn identity_of(&self, grant: usize) -> Option<Value> {
        Some(self.grant(grant).await?["user_identity_id"].clone())
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
}

async fn new_space(workspace: &TestWorkspace, params: Value) -> Value {
    workspace.post("/spaces/create", params).await.ok()["space"]["space_id"].clone()
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
