//! Snapshots: a workspace as it was, here or from a file, and the reset to how it began.

#![expect(clippy::unwrap_used, reason = "this is a test")]

mod damaged;

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

    /// Everything there is to see.
    async fn sight(&self) -> Vec<String> {
        let mut seen = Vec::new();
        let reads = [
            ("/action_attempts/list", json!({})),
            ("/devices/list", json!({})),
            ("/events/list", json!({ "since": "2000-01-01T00:00:00Z", "limit": 1000 })),
            ("/workspaces/get", json!({})),
            ("/_emulator/faults/list", json!({})),
        ];
        for (path, params) in reads {
            seen.push(self.post(path, params).await.text);
        }
        for lock in self.locks() {
            seen.push(self.post("/access_codes/list", json!({ "device_id": lock })).await.text);
            seen.push(self.post("/_emulator/locks/memory", json!({ "device_id": lock })).await.text);
            seen.push(self.post("/access_codes/unmanaged/list", json!({ "device_id": lock })).await.text);
        }
        seen.push(self.get("/_emulator/clock").await.text);
        seen
    }

    /// A workspace with something of everything in it.
    async fn lived_in(mut params: Value) -> Self {
        let types = ["august_lock", "schlage_lock", "igloohome_lock"];
        let locks: Vec<_> = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
        params["locks"] = json!(locks);
        let workspace = Self::make(params).await;
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
fn everything_is_as_it_was_when_the_snapshot_was_taken() {
    run(async {
        let workspace = TestWorkspace::lived_in(json!({})).await;
        let before = workspace.sight().await;
        let snapshot = workspace.snapshot().await;
        assert_eq!(workspace.sight().await, before, "taking one changes nothing");
        workspace.change_lock(0, json!({ "online": true, "name": "Renamed", "account_connected": false })).await;
        workspace.post("/_emulator/devices/create", json!({ "device_type": "yale_lock" })).await.ok();
        for code in workspace.codes_on(1).await {
            workspace.post("/access_codes/delete", json!({ "access_code_id": code["access_code_id"] })).await.ok();
        }
        workspace.post("/_emulator/programming/set", json!({ "programming": "by_hand" })).await.ok();
        workspace.create(json!({ "device_id": workspace.lock(2), "common_code_key": "others" })).await;
        workspace.advance("P30D").await;
        assert_ne!(workspace.sight().await, before);
        assert_eq!(workspace.restore(&snapshot).await, "2026-03-06T12:00:00.000Z");
        assert_eq!(workspace.sight().await, before);
        // It goes on from there: what was under way is done, at its own time.
        workspace.change_lock(0, json!({ "online": true })).await;
        workspace.advance("PT10M").await;
        assert_eq!(workspace.memory(0).await.len(), 2);
    });
}

#[test]
fn a_reset_goes_back_to_the_beginning_and_keeps_keys_and_snapshots() {
    run(async {
        let workspace = TestWorkspace::make(json!({ "locks": 2 })).await;
        let before = workspace.sight().await;
        let snapshot = workspace.snapshot().await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.post("/_emulator/devices/create", json!({ "device_type": "yale_lock" })).await.ok();
        workspace.post("/_emulator/faults/create", json!({ "operation": "set", "outcome": "never" })).await.ok();
        workspace.advance("P1D").await;
        assert_eq!(workspace.reset().await, START);
        assert_eq!(workspace.sight().await, before);
        assert_eq!(workspace.snapshots().await.len(), 1);
        assert_eq!(workspace.restore(&snapshot).await, START);
        // Twice is as good as once, and nothing of it is in the way of going on.
        workspace.reset().await;
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        workspace.advance("PT1S").await;
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "set");
    });
}

#[test]
fn the_default_sandbox_can_be_reset_as_any_other() {
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
fn snapshots_are_listed_in_their_order_and_outlast_what_is_restored() {
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
        assert_eq!(workspace.restore(&second).await, "2026-03-03T12:00:00.000Z", "forth as well as back");
        let third = workspace.snapshot().await;
        assert!(third != first && third != second);
        workspace.post("/_emulator/snapshots/delete", json!({ "snapshot_id": first })).await.ok();
        let gone = json!({ "snapshot_id": first });
        for path in ["delete", "restore"] {
            let path = format!("/_emulator/snapshots/{path}");
            workspace.post(&path, gone.clone()).await.error(404, "snapshot_not_found");
        }
        let left: Vec<_> = workspace.snapshots().await.iter().map(|it| it["snapshot_id"].clone()).collect();
        assert_eq!(left, [second, third]);
    });
}

#[test]
fn a_running_clock_goes_on_from_the_instant_it_had_and_a_live_one_stays_live() {
    run(async {
        let running = json!({ "running_from": "2026-03-02T12:00:00Z", "rate": 2.0 });
        let workspace = TestWorkspace::make(json!({ "locks": 1, "clock": running })).await;
        let snapshot = workspace.snapshot().await;
        workspace.post("/_emulator/clock/hold", json!({ "at": "2027-01-01T00:00:00Z" })).await.ok();
        for now in [workspace.restore(&snapshot).await, workspace.reset().await] {
            let clock = workspace.get("/_emulator/clock").await.ok();
            assert_eq!((&clock["mode"], &clock["rate"]), (&json!("running"), &json!(2.0)));
            let (begun, now) = (from_iso(START).unwrap(), from_iso(now.as_str().unwrap()).unwrap());
            assert!((0..60_000).contains(&(now - begun).num_milliseconds()), "{now}");
        }
        // Codes are woken by that clock again.
        let code = workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let snapshot = workspace.snapshot().await;
        workspace.post("/_emulator/clock/hold", json!({})).await.ok();
        workspace.restore(&snapshot).await;
        workspace.post("/_emulator/clock/run", json!({ "from": "2026-03-02T13:00:00Z" })).await.ok();
        workspace.tick().await;
        assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "set");

        let live = TestWorkspace::make(json!({ "locks": 1, "clock": "live" })).await;
        let snapshot = live.snapshot().await;
        live.post("/_emulator/clock/hold", json!({ "at": "2099-01-01T00:00:00Z" })).await.ok();
        let now = live.restore(&snapshot).await;
        let now = from_iso(now.as_str().unwrap()).unwrap();
        assert!((machine_now() - now).num_milliseconds().abs() < 60_000, "{now}");
        assert_eq!(live.get("/_emulator/clock").await.ok()["mode"], "live");
    });
}

#[test]
fn a_file_of_another_workspace_is_taken_where_its_ids_and_seed_are_free() {
    run(async {
        let workspace = TestWorkspace::lived_in(json!({ "seed": "moved by file", "name": "Old" })).await;
        let exported = workspace.export().await;
        let other = TestWorkspace::with_locks(1).await;
        let before = other.sight().await;
        let error = other.import(&exported).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains("seed"), "{error}");
        let unseeded = TestWorkspace::lived_in(json!({})).await.export().await;
        let error = other.import(&unseeded).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains("device_id"), "{error}");
        assert_eq!((other.snapshots().await.len(), other.sight().await), (0, before));

        let there = workspace.sight().await;
        let ids = [workspace.workspace_id.clone(), other.workspace_id.clone()];
        workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
        let imported = other.import(&exported).await.ok()["snapshot_id"].clone();
        assert_eq!(other.snapshots().await[0]["is_imported"], true);
        other.restore(&imported).await;
        let moved = TestWorkspace { devices: workspace.devices.clone(), ..other };
        for (here, there) in moved.sight().await.into_iter().zip(there) {
            if !there.contains("publishable_key") {
                assert_eq!(here, there.replace(&ids[0], &ids[1]));
            }
        }
        let shown = moved.post("/workspaces/get", json!({})).await.ok()["workspace"].clone();
        assert_eq!((&shown["name"], &shown["workspace_id"]), (&json!("Old"), &json!(ids[1])));
        // Back to what it was before: its own lock, and no seed.
        moved.reset().await;
        TestWorkspace::make(json!({ "seed": "moved by file" }))
            .await
            .post("/_emulator/workspaces/delete", json!({}))
            .await
            .ok();
        // Meanwhile somebody may have taken what a snapshot needs.
        let thief = TestWorkspace::make(json!({ "seed": "moved by file" })).await;
        let restore = json!({ "snapshot_id": imported });
        moved.post("/_emulator/snapshots/restore", restore.clone()).await.error(409, "conflict");
        thief.post("/_emulator/workspaces/delete", json!({})).await.ok();
        let taken = json!([{ "device_type": "august_lock", "device_id": workspace.lock(0) }]);
        let thief = TestWorkspace::with(taken).await;
        let error = moved.post("/_emulator/snapshots/restore", restore).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains(&workspace.lock(0)), "{error}");
        thief.post("/_emulator/workspaces/delete", json!({})).await.ok();
    });
}

#[test]
fn an_export_can_be_sent_back_as_it_is_even_where_it_is_longer_than_other_requests_may_be() {
    run(async {
        let workspace = TestWorkspace::with_locks(4000).await;
        let exported = workspace.get("/_emulator/snapshots/export").await;
        assert!(exported.text.len() > app().config.body_limit, "{}", exported.text.len());
        let bearer = format!("Bearer {}", workspace.api_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let imported = ask("POST", "/_emulator/snapshots/import", &headers, exported.text.clone()).await.ok();
        ask("POST", "/_emulator/snapshots/restore", &headers, exported.text).await.error(413, "payload_too_large");
        assert_eq!(workspace.snapshots().await.len(), 1);
        let one = format!("/_emulator/snapshots/export?snapshot_id={}", imported["snapshot_id"].as_str().unwrap());
        assert_eq!(workspace.get(&one).await.ok()["snapshot"], workspace.export().await);
    });
}

#[test]
fn snapshots_are_their_workspace_s_own_and_go_with_it() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let snapshot = workspace.snapshot().await;
        let of_another = json!({ "snapshot_id": snapshot });
        for path in ["restore", "delete"] {
            let path = format!("/_emulator/snapshots/{path}");
            other.post(&path, of_another.clone()).await.error(404, "snapshot_not_found");
            other.post(&path, json!({ "snapshot_id": UNKNOWN })).await.error(404, "snapshot_not_found");
            other.post(&path, json!({})).await.invalid("snapshot_id");
            other.post(&path, json!({ "snapshot_id": "first" })).await.invalid("snapshot_id");
            post_as("seam_test_nobody", &path, of_another.clone()).await.error(401, "unauthorized");
            let nowhere = json!({ "snapshot_id": snapshot, "workspace_id": UNKNOWN });
            post_as("", &path, nowhere).await.error(404, "workspace_not_found");
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
        // The beginning is no snapshot that could be named.
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
        let left: i64 = sqlx::query_scalar("select count(*) from snapshot where workspace_id = $1::uuid")
            .bind(uuid::Uuid::parse_str(&workspace.workspace_id).unwrap())
            .fetch_one(app().pool.raw())
            .await
            .unwrap();
        assert_eq!(left, 0);
    });
}

#[test]
fn a_workspace_whose_beginning_nobody_recorded_cannot_be_reset() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        sqlx::query("delete from snapshot where workspace_id = $1::uuid and ordinal = 0")
            .bind(uuid::Uuid::parse_str(&workspace.workspace_id).unwrap())
            .execute(app().pool.raw())
            .await
            .unwrap();
        let error = workspace.post("/_emulator/workspaces/reset", json!({})).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains("make it anew"), "{error}");
    });
}

#[test]
fn requests_that_come_while_a_workspace_is_restored_come_before_it_or_after() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        workspace.create(json!({ "device_id": workspace.lock(0), "common_code_key": "staff" })).await;
        let snapshot = workspace.snapshot().await;
        let going_back = async {
            for turn in 0..12 {
                if turn % 3 == 2 { drop(workspace.reset().await) } else { drop(workspace.restore(&snapshot).await) }
            }
        };
        let making = async |name: &'static str| {
            for turn in 0..12 {
                let many = json!({ "device_ids": workspace.locks(), "name": name,
                                   "behavior_when_code_cannot_be_shared": "create_random_code" });
                let answer = match turn % 4 {
                    0 => workspace.post("/access_codes/create_multiple", many).await,
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
                // Its locks are there all the time. What may be in the way is another code of the same key.
                let is_second = answer.body["error"]["type"] == "duplicate_access_code";
                assert!(answer.status == 200 || is_second, "{}", answer.body);
            }
        };
        let snapshots = async {
            for _ in 0..6 {
                let taken = workspace.snapshot().await;
                workspace.post("/_emulator/snapshots/delete", json!({ "snapshot_id": taken })).await.ok();
            }
        };
        tokio::join!(going_back, making("one"), making("two"), making("three"), snapshots);
        // What is left is one whole story: it can be exported, and believed.
        let exported = workspace.export().await;
        workspace.import(&exported).await.ok();
        workspace.reset().await;
        assert_eq!(workspace.codes_on(0).await, [Value::Null; 0]);
    });
}

#[test]
fn no_table_of_a_workspace_is_forgotten() {
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
        // What JSON a column may hold, only the code that reads it knows.
        let json: Vec<(String, String)> = sqlx::query_as(
            "select table_name::text, column_name::text from information_schema.columns
             where data_type = 'jsonb' and table_schema = 'public'",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        for (table, column) in json {
            let table = TABLES.iter().chain([&WORKSPACE]).find(|it| it.name == table).unwrap();
            assert!(table.checks.iter().any(|(checked, _)| *checked == column), "{}.{column}", table.name);
        }
    });
}
