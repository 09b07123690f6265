//! Snapshots: restore of a workspace, export and import of documents, and reset to the initial state.

#![expect(clippy::unwrap_used, reason = "this is a test")]

mod invalid_documents;

use crate::support::{Reply, START, TestWorkspace, UNKNOWN, app, ask, post_as, run};
use latchkey::testing::clock::{from_iso, machine_now};
use latchkey::testing::store::snapshots::tables::{LEFT_OUT, TABLES, WORKSPACE};
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl TestWorkspace {
    async fn snapshot(&self) -> Value {
        self.post("/_emulator/snapshots/create", json!({})).await.ok()["snapshot_id"].clone()
    }

    async fn restore(&self, snapshot_id: &Value) -> Value {
        self.post("/_emulator/snapshots/restore", json!({ "snapshot_id": snapshot_id })).await.ok()["now"].clone()
    }

    async fn reset(&self) -> Value {
        self.post("/_emulator/workspaces/reset", json!({})).await.ok()["now"].clone()
    }

    async fn export(&self) -> Value {
        self.get("/_emulator/snapshots/export").await.ok()["snapshot"].clone()
    }

    async fn import(&self, snapshot: &Value) -> Reply {
        self.post("/_emulator/snapshots/import", json!({ "snapshot": snapshot })).await
    }

    async fn snapshots(&self) -> Vec<Value> {
        let listed = self.post("/_emulator/snapshots/list", json!({})).await.ok();
        listed["snapshots"].as_array().unwrap().clone()
    }

    async fn codes_on(&self, index: usize) -> Vec<Value> {
        let listed = self.post("/access_codes/list", json!({ "device_id": self.lock(index) })).await.ok();
        listed["access_codes"].as_array().unwrap().clone()
    }

    /// Returns the texts of all responses that show the state of the workspace.
    async fn visible_state(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let reads = [
            ("/action_attempts/list", json!({})),
            ("/devices/list", json!({})),
            ("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "limit": 1000 })),
            ("/workspaces/get", json!({})),
            ("/_emulator/faults/list", json!({})),
        ];
        for (path, params) in reads {
            texts.push(self.post(path, params).await.text);
        }
        for lock in self.locks() {
            texts.push(self.post("/access_codes/list", json!({ "device_id": lock })).await.text);
            texts.push(self.post("/_emulator/locks/memory", json!({ "device_id": lock })).await.text);
            texts.push(self.post("/access_codes/unmanaged/list", json!({ "device_id": lock })).await.text);
        }
        texts.push(self.get("/_emulator/clock").await.text);
        texts
    }

    /// Creates a workspace with data of every kind: managed, unmanaged and backup codes, a fault, an error and an
    /// offline lock.
    async fn populated(mut params: Value) -> Self {
        let types = ["august_lock", "schlage_lock", "igloohome_lock"];
        let locks: Vec<_> = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
        params["locks"] = json!(locks);
        let workspace = Self::create_with(params).await;
        workspace.create(json!({ "device_id": workspace.lock(0), "name": "guest", "common_code_key": "staff" })).await;
        let ongoing = workspace.create(json!({ "device_id": workspace.lock(1) })).await;
        let window = json!({ "device_id": workspace.lock(1), "starts_at": "2026-03-05T12:00:00Z",
                             "ends_at": "2026-03-09T12:00:00Z", "use_backup_access_code_pool": true });
        workspace.create(window).await;
        let fault = json!({ "operation": "update", "outcome": { "delay": "PT5M" }, "times": 3 });
        workspace.post("/_emulator/faults/create", fault).await.ok();
        workspace
            .post("/_emulator/locks/add_code", json!({ "device_id": workspace.lock(0), "code": "864209" }))
            .await
            .ok();
        let id = &ongoing["access_code_id"];
        let injected = json!({ "access_code_id": id, "error_code": "provider_issue" });
        workspace.post("/_emulator/access_codes/add_error", injected).await.ok();
        if workspace.post("/_emulator/clock/advance", json!({ "by": "P4D" })).await.status != 200 {
            workspace.tick().await;
        }
        workspace.post("/access_codes/update", json!({ "access_code_id": id, "name": "renamed" })).await.ok();
        workspace.change_lock(0, json!({ "online": false })).await;
        workspace
    }
}

#[test]
fn restore_returns_the_workspace_to_the_state_of_the_snapshot() {
    run(async {
        let workspace = TestWorkspace::populated(json!({})).await;
        let before = workspace.visible_state().await;
        let snapshot = workspace.snapshot().await;
        assert_eq!(workspace.visible_state().await, before, "taking a snapshot changes nothing");
        workspace.change_lock(0, json!({ "online": true, "name": "Renamed", "account_connected": false })).await;
        workspace.post("/_emulator/devices/create", json!({ "device_type": "yale_lock" })).await.ok();
        for code in workspace.codes_on(1).await {
            workspace.post("/access_codes/delete", json!({ "access_code_id": code["access_code_id"] })).await.ok();
        }
        workspace.post("/_emulator/programming/set", json!({ "programming": "by_hand" })).await.ok();
        workspace.create(json!({ "device_id": workspace.lock(2), "common_code_key": "others" })).await;
        workspace.advance("P30D").await;
        assert_ne!(workspace.visible_state().await, before);
        assert_eq!(workspace.restore(&snapshot).await, "2026-03-06T12:00:00.000Z");
        assert_eq!(workspace.visible_state().await, before);
        // The workspace continues from there: operations in progress complete at their time.
        workspace.change_lock(0, json!({ "online": true })).await;
        workspace.advance("PT10M").await;
        assert_eq!(workspace.memory(0).await.len(), 2);
    });
}

#[test]
fn reset_restores_the_initial_state_and_keeps_keys_and_snapshots() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "locks": 2 })).await;
        let before = workspace.visible_state().await;
        let snapshot = workspace.snapshot().await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.post("/_emulator/devices/create", json!({ "device_type": "yale_lock" })).await.ok();
        workspace.post("/_emulator/faults/create", json!({ "operation": "set", "outcome": "never" })).await.ok();
        workspace.advance("P1D").await;
        assert_eq!(workspace.reset().await, START);
        assert_eq!(workspace.visible_state().await, before);
        assert_eq!(workspace.snapshots().await.len(), 1);
        assert_eq!(workspace.restore(&snapshot).await, START);
        // A second reset has the same result, and the workspace works as usual afterwards.
        workspace.reset().await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.advance("PT1S").await;
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "set");
    });
}

#[test]
fn default_sandbox_has_an_initial_state_for_a_reset() {
    run(async {
        let database = app();
        let locks = latchkey::testing::engine::sandbox::ensure(&database).await.unwrap();
        let beginning: i64 =
            sqlx::query_scalar("select count(*) from snapshot where workspace_id = $1 and ordinal = 0")
                .bind(locks[0].workspace_id)
                .fetch_one(database.pool.raw())
                .await
                .unwrap();
        assert_eq!(beginning, 1);
    });
}

#[test]
fn snapshots_are_listed_in_order_and_are_kept_by_a_restore() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let first = workspace.snapshot().await;
        workspace.advance("P1D").await;
        let second = workspace.snapshot().await;
        let listed = workspace.snapshots().await;
        let expected = json!([
            { "snapshot_id": first, "created_at": START, "now": START, "is_imported": false },
            { "snapshot_id": second, "created_at": "2026-03-03T12:00:00.000Z", "now": "2026-03-03T12:00:00.000Z",
              "is_imported": false },
        ]);
        assert_eq!(json!(listed), expected);
        assert_eq!(workspace.get("/_emulator/snapshots/list").await.ok()["snapshots"], expected);
        workspace.restore(&first).await;
        assert_eq!(json!(workspace.snapshots().await), expected);
        assert_eq!(workspace.restore(&second).await, "2026-03-03T12:00:00.000Z", "a restore can go forward, too");
        let third = workspace.snapshot().await;
        assert!(third != first && third != second);
        workspace.post("/_emulator/snapshots/delete", json!({ "snapshot_id": first })).await.ok();
        let deleted = json!({ "snapshot_id": first });
        for path in ["delete", "restore"] {
            let path = format!("/_emulator/snapshots/{path}");
            workspace.post(&path, deleted.clone()).await.error(404, "snapshot_not_found");
        }
        let remaining: Vec<_> =
            workspace.snapshots().await.iter().map(|snapshot| snapshot["snapshot_id"].clone()).collect();
        assert_eq!(remaining, [second, third]);
    });
}

#[test]
fn restore_continues_a_running_clock_and_leaves_a_live_clock_live() {
    run(async {
        let running = json!({ "running_from": "2026-03-02T12:00:00Z", "rate": 2.0 });
        let workspace = TestWorkspace::create_with(json!({ "locks": 1, "clock": running })).await;
        let snapshot = workspace.snapshot().await;
        workspace.post("/_emulator/clock/hold", json!({ "at": "2027-01-01T00:00:00Z" })).await.ok();
        for now in [workspace.restore(&snapshot).await, workspace.reset().await] {
            let clock = workspace.get("/_emulator/clock").await.ok();
            assert_eq!((&clock["mode"], &clock["rate"]), (&json!("running"), &json!(2.0)));
            let (start, now) = (from_iso(START).unwrap(), from_iso(now.as_str().unwrap()).unwrap());
            assert!((0..60_000).contains(&(now - start).num_milliseconds()), "{now}");
        }
        // The restored clock wakes the codes.
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let snapshot = workspace.snapshot().await;
        workspace.post("/_emulator/clock/hold", json!({})).await.ok();
        workspace.restore(&snapshot).await;
        workspace.post("/_emulator/clock/run", json!({ "from": "2026-03-02T13:00:00Z" })).await.ok();
        workspace.tick().await;
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "set");

        let live = TestWorkspace::create_with(json!({ "locks": 1, "clock": "live" })).await;
        let snapshot = live.snapshot().await;
        live.post("/_emulator/clock/hold", json!({ "at": "2099-01-01T00:00:00Z" })).await.ok();
        let now = live.restore(&snapshot).await;
        let now = from_iso(now.as_str().unwrap()).unwrap();
        assert!((machine_now() - now).num_milliseconds().abs() < 60_000, "{now}");
        assert_eq!(live.get("/_emulator/clock").await.ok()["mode"], "live");
    });
}

#[test]
fn import_from_another_workspace_needs_its_ids_and_seed_to_be_unused() {
    run(async {
        let workspace = TestWorkspace::populated(json!({ "seed": "moved by file", "name": "Old" })).await;
        let exported = workspace.export().await;
        let other = TestWorkspace::with_locks(1).await;
        let before = other.visible_state().await;
        let error = other.import(&exported).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains("seed"), "{error}");
        let unseeded = TestWorkspace::populated(json!({})).await.export().await;
        let error = other.import(&unseeded).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains("device_id"), "{error}");
        assert_eq!((other.snapshots().await.len(), other.visible_state().await), (0, before));

        let original = workspace.visible_state().await;
        let ids = [workspace.workspace_id.clone(), other.workspace_id.clone()];
        workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        let imported = other.import(&exported).await.ok()["snapshot_id"].clone();
        assert_eq!(other.snapshots().await[0]["is_imported"], true);
        other.restore(&imported).await;
        let moved = TestWorkspace { devices: workspace.devices.clone(), ..other };
        for (restored, original) in moved.visible_state().await.into_iter().zip(original) {
            if !original.contains("publishable_key") {
                assert_eq!(restored, original.replace(&ids[0], &ids[1]));
            }
        }
        let restored_workspace = moved.post("/workspaces/get", json!({})).await.ok()["workspace"].clone();
        assert_eq!((&restored_workspace["name"], &restored_workspace["workspace_id"]), (&json!("Old"), &json!(ids[1])));
        // The reset restores its own initial state: one lock and no seed.
        moved.reset().await;
        TestWorkspace::create_with(json!({ "seed": "moved by file" }))
            .await
            .post("/_emulator/workspaces/delete", json!({}))
            .await
            .ok();
        // The restore fails while another workspace uses the seed or an id of the snapshot.
        let blocker = TestWorkspace::create_with(json!({ "seed": "moved by file" })).await;
        let restore = json!({ "snapshot_id": imported });
        moved.post("/_emulator/snapshots/restore", restore.clone()).await.error(409, "conflict");
        blocker.post("/_emulator/workspaces/delete", json!({})).await.ok();
        let locks = json!([{ "device_type": "august_lock", "device_id": workspace.lock(0) }]);
        let blocker = TestWorkspace::with(locks).await;
        let error = moved.post("/_emulator/snapshots/restore", restore).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains(&workspace.lock(0)), "{error}");
        blocker.post("/_emulator/workspaces/delete", json!({})).await.ok();
    });
}

#[test]
fn import_accepts_an_export_above_the_body_limit_of_other_requests() {
    run(async {
        let workspace = TestWorkspace::with_locks(4000).await;
        let exported = workspace.get("/_emulator/snapshots/export").await;
        assert!(exported.text.len() > app().config.body_limit, "{}", exported.text.len());
        let bearer = format!("Bearer {}", workspace.api_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let imported = ask("POST", "/_emulator/snapshots/import", &headers, exported.text.clone()).await.ok();
        ask("POST", "/_emulator/snapshots/restore", &headers, exported.text).await.error(413, "payload_too_large");
        assert_eq!(workspace.snapshots().await.len(), 1);
        let path = format!("/_emulator/snapshots/export?snapshot_id={}", imported["snapshot_id"].as_str().unwrap());
        assert_eq!(workspace.get(&path).await.ok()["snapshot"], workspace.export().await);
    });
}

#[test]
fn snapshots_belong_to_their_workspace_and_are_deleted_with_it() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let snapshot = workspace.snapshot().await;
        let params = json!({ "snapshot_id": snapshot });
        for path in ["restore", "delete"] {
            let path = format!("/_emulator/snapshots/{path}");
            other.post(&path, params.clone()).await.error(404, "snapshot_not_found");
            other.post(&path, json!({ "snapshot_id": UNKNOWN })).await.error(404, "snapshot_not_found");
            other.post(&path, json!({})).await.invalid("snapshot_id");
            other.post(&path, json!({ "snapshot_id": "first" })).await.invalid("snapshot_id");
            post_as("seam_test_nobody", &path, params.clone()).await.error(401, "unauthorized");
            let unknown_workspace = json!({ "snapshot_id": snapshot, "workspace_id": UNKNOWN });
            post_as("", &path, unknown_workspace).await.error(404, "workspace_not_found");
        }
        let export = format!("/_emulator/snapshots/export?snapshot_id={}", snapshot.as_str().unwrap());
        other.get(&export).await.error(404, "snapshot_not_found");
        other.get("/_emulator/snapshots/export?snapshot_id=first").await.error(400, "invalid_input");
        assert!(other.snapshots().await.is_empty());
        for path in ["snapshots/create", "snapshots/list", "workspaces/reset"] {
            let path = format!("/_emulator/{path}");
            post_as("seam_test_nobody", &path, json!({})).await.error(401, "unauthorized");
            post_as("", &path, json!({ "workspace_id": UNKNOWN })).await.error(404, "workspace_not_found");
            other.post(&path, json!({ "workspace_id": 7 })).await.invalid("workspace_id");
        }
        // The initial state is not available as a snapshot.
        let beginning: uuid::Uuid =
            sqlx::query_scalar("select snapshot_id from snapshot where workspace_id = $1::uuid and ordinal = 0")
                .bind(uuid::Uuid::parse_str(&workspace.workspace_id).unwrap())
                .fetch_one(app().pool.raw())
                .await
                .unwrap();
        for path in ["restore", "delete"] {
            let path = format!("/_emulator/snapshots/{path}");
            workspace.post(&path, json!({ "snapshot_id": beginning })).await.error(404, "snapshot_not_found");
        }
        workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        let count: i64 = sqlx::query_scalar("select count(*) from snapshot where workspace_id = $1::uuid")
            .bind(uuid::Uuid::parse_str(&workspace.workspace_id).unwrap())
            .fetch_one(app().pool.raw())
            .await
            .unwrap();
        assert_eq!(count, 0);
    });
}

#[test]
fn reset_is_rejected_for_a_workspace_without_an_initial_state() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        sqlx::query("delete from snapshot where workspace_id = $1::uuid and ordinal = 0")
            .bind(uuid::Uuid::parse_str(&workspace.workspace_id).unwrap())
            .execute(app().pool.raw())
            .await
            .unwrap();
        let error = workspace.post("/_emulator/workspaces/reset", json!({})).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains("create it again"), "{error}");
    });
}

#[test]
fn requests_during_a_restore_are_served_before_or_after_it() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        workspace.create(json!({ "device_id": workspace.lock(0), "common_code_key": "staff" })).await;
        let snapshot = workspace.snapshot().await;
        let restores = async {
            for turn in 0..12 {
                if turn % 3 == 2 { drop(workspace.reset().await) } else { drop(workspace.restore(&snapshot).await) }
            }
        };
        let send_requests = async |name: &'static str| {
            for turn in 0..12 {
                let params = json!({ "device_ids": workspace.locks(), "name": name,
                                   "behavior_when_code_cannot_be_shared": "create_random_code" });
                let response = match turn % 4 {
                    0 => workspace.post("/access_codes/create_multiple", params).await,
                    1 => {
                        let keyed = json!({ "device_id": workspace.lock(turn % 3), "common_code_key": name });
                        workspace.post("/access_codes/create", keyed).await
                    }
                    2 => {
                        let keyed = json!({ "device_id": workspace.lock(turn % 3), "common_code_key": "staff" });
                        workspace.post("/access_codes/create", keyed).await
                    }
                    _ => workspace.post("/_emulator/clock/advance", json!({ "by": "PT1S" })).await,
                };
                // The locks exist all the time. The only possible error is a conflict with another code of this key.
                let is_duplicate = response.body["error"]["type"] == "duplicate_access_code";
                assert!(response.status == 200 || is_duplicate, "{}", response.body);
            }
        };
        let snapshots = async {
            for _ in 0..6 {
                let snapshot_id = workspace.snapshot().await;
                workspace.post("/_emulator/snapshots/delete", json!({ "snapshot_id": snapshot_id })).await.ok();
            }
        };
        tokio::join!(restores, send_requests("one"), send_requests("two"), send_requests("three"), snapshots);
        // The final state is consistent: its export can be imported.
        let exported = workspace.export().await;
        workspace.import(&exported).await.ok();
        workspace.reset().await;
        assert_eq!(workspace.codes_on(0).await, [Value::Null; 0]);
    });
}

#[test]
fn snapshot_tables_include_all_tables_of_a_workspace() {
    run(async {
        let pool = app().pool.raw().clone();
        let found: Vec<String> = sqlx::query_scalar(
            "select table_name::text from information_schema.columns
             where column_name = 'workspace_id' and table_schema = 'public'",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let listed = TABLES.iter().chain([&WORKSPACE]).map(|table| table.name).chain(LEFT_OUT);
        let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), listed, "see store::snapshots::tables");
        // Each JSON column needs a check, because only the code that reads it defines its format.
        let json: Vec<(String, String)> = sqlx::query_as(
            "select table_name::text, column_name::text from information_schema.columns
             where data_type = 'jsonb' and table_schema = 'public'",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        for (table, column) in json.into_iter().filter(|(table, _)| !LEFT_OUT.contains(&table.as_str())) {
            let table = TABLES.iter().chain([&WORKSPACE]).find(|listed| listed.name == table).unwrap();
            assert!(table.checks.iter().any(|(checked, _)| *checked == column), "{}.{column}", table.name);
        }
    });
}
