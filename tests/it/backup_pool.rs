//! Backup codes: automatic filling of backup pools, and pulling backups from them.

use crate::access_codes::{on_lock, rows};
use crate::concurrency::send_concurrently;
use crate::support::{Reply, START, TestWorkspace, UNKNOWN, app, ask, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const CREATE: &str = "/access_codes/create";
const PULL: &str = "/access_codes/pull_backup_access_code";
const UPDATE_DEVICE: &str = "/_emulator/devices/update";

/// Request parameters for a code on the lock at `index` that starts in ten days, lasts two, and uses the backup pool.
fn guest(workspace: &TestWorkspace, index: usize) -> Value {
    let window = json!({ "starts_at": "2026-03-12T12:00:00.000Z", "ends_at": "2026-03-14T12:00:00.000Z" });
    let mut params = on_lock(workspace, index, window);
    params["name"] = json!("guest");
    params["use_backup_access_code_pool"] = json!(true);
    params
}

/// Creates a workspace with one August lock that has a backup pool of this size.
async fn with_pool(size: u32) -> TestWorkspace {
    TestWorkspace::with(json!([{ "device_type": "august_lock", "backup_access_code_pool_size": size }])).await
}

fn id(code: &Value) -> &str {
    code["access_code_id"].as_str().unwrap()
}

async fn request_pull(workspace: &TestWorkspace, access_code_id: &str) -> Reply {
    workspace.post(PULL, json!({ "access_code_id": access_code_id })).await
}

/// Pulls the backup of a code and returns it.
async fn pull(workspace: &TestWorkspace, code: &Value) -> Value {
    let pulled = request_pull(workspace, id(code)).await.ok();
    assert_eq!(pulled["access_code"], pulled["backup_access_code"]);
    pulled["backup_access_code"].clone()
}

/// Returns the codes that the lock at `index` holds.
async fn memory(workspace: &TestWorkspace, index: usize) -> Vec<Value> {
    let held = workspace.get(&format!("/_emulator/locks/memory?device_id={}", workspace.lock(index))).await.ok();
    held["codes"].as_array().unwrap().clone()
}

/// Returns the ids of the backups that the lock at `index` holds, pulled or not.
async fn backups(workspace: &TestWorkspace, index: usize) -> Vec<String> {
    let held = memory(workspace, index).await.into_iter();
    held.filter(|held| held["is_backup"] == true).map(|held| id(&held).to_owned()).collect()
}

/// Counts the backups that are not pulled, on a lock or not yet programmed.
async fn count_unpulled(workspace: &TestWorkspace) -> i64 {
    let statement = "select count(*) from access_code
                     where workspace_id = $1 and pool_device_id is not null and gone_at is null";
    let workspace_id: Uuid = workspace.workspace_id.parse().unwrap();
    sqlx::query_scalar(statement).bind(workspace_id).fetch_one(app().pool.raw()).await.unwrap()
}

async fn device(workspace: &TestWorkspace, index: usize) -> Value {
    workspace.post("/devices/get", on_lock(workspace, index, json!({}))).await.ok()["device"].clone()
}

async fn is_available(workspace: &TestWorkspace, code: &Value) -> bool {
    workspace.access_code(&code["access_code_id"]).await["is_backup_access_code_available"].as_bool().unwrap()
}

async fn advance_to(workspace: &TestWorkspace, instant: &str) {
    workspace.post("/_emulator/clock/advance", json!({ "to": instant })).await.ok();
}

async fn set(workspace: &TestWorkspace, index: usize, changed: Value) -> Value {
    workspace.post(UPDATE_DEVICE, on_lock(workspace, index, changed)).await.ok()["device"].clone()
}

async fn fault(workspace: &TestWorkspace, params: Value) -> Value {
    workspace.post("/_emulator/faults/create", params).await.ok()["fault"].clone()
}

fn error_codes(resource: &Value) -> Vec<&str> {
    resource["errors"].as_array().unwrap().iter().map(|error| error["error_code"].as_str().unwrap()).collect()
}

fn warning_codes(resource: &Value) -> Vec<&str> {
    resource["warnings"].as_array().unwrap().iter().map(|warning| warning["warning_code"].as_str().unwrap()).collect()
}

async fn is_gone(workspace: &TestWorkspace, access_code_id: &str) -> bool {
    let reply = workspace.post("/access_codes/get", json!({ "access_code_id": access_code_id })).await;
    reply.status == 404
}

/// Returns all events of this type, in order.
async fn events_of_type(workspace: &TestWorkspace, event_type: &str) -> Vec<Value> {
    let params = json!({ "since": "2000-01-01T00:00:00Z", "event_type": event_type, "limit": 1000 });
    workspace.post("/events/list", params).await.ok()["events"].as_array().unwrap().clone()
}

/// Returns the events of a code as `name@instant`.
async fn events(workspace: &TestWorkspace, access_code_id: &str) -> Vec<String> {
    let events = workspace.events_of(&json!(access_code_id)).await.into_iter();
    events.map(|(name, at)| format!("{}@{at}", name.strip_prefix("access_code.").unwrap())).collect()
}

/// Returns the ids in a list response.
async fn listed(workspace: &TestWorkspace, params: Value) -> Vec<String> {
    let listed = workspace.post("/access_codes/list", params).await.ok();
    listed["access_codes"].as_array().unwrap().iter().map(|code| id(code).to_owned()).collect()
}

#[test]
fn use_backup_access_code_pool_fills_the_pool_before_the_response() {
    run(async {
        for path in [CREATE, "/access_codes/create_multiple"] {
            let workspace = TestWorkspace::with_locks(2).await;
            let plain = workspace.create(on_lock(&workspace, 0, json!({}))).await;
            assert_eq!(plain["is_backup_access_code_available"], false);
            let mut params = guest(&workspace, 0);
            params["device_ids"] = json!([workspace.lock(0)]);
            let created = workspace.post(path, params).await.ok();
            let created = created.get("access_code").unwrap_or(&created["access_codes"][0]);
            assert_eq!(created["is_backup_access_code_available"], true, "{path}");
            assert_eq!((&created["is_backup"], &created["status"]), (&json!(false), &json!("unset")));
            assert!(is_available(&workspace, &plain).await, "true for an ongoing code created without the pool, too");
            let pool = backups(&workspace, 0).await;
            assert_eq!((pool.len(), memory(&workspace, 0).await.len()), (5, 5));
            for backup in &pool {
                let code = workspace.access_code(&json!(backup)).await;
                assert_eq!(code["name"], format!("Backup {backup} (Seam)"));
                assert_eq!((&code["is_backup"], &code["is_managed"]), (&json!(true), &json!(true)));
                assert_eq!(code["is_backup_access_code_available"], false);
                assert_eq!(
                    events(&workspace, backup).await,
                    [format!("created@{START}"), format!("set_on_device@{START}")]
                );
            }
            let pins: BTreeSet<String> =
                memory(&workspace, 0).await.iter().map(|held| held["code"].as_str().unwrap().to_owned()).collect();
            assert_eq!((pins.len(), pins.contains(created["code"].as_str().unwrap())), (5, false));
            let shown = device(&workspace, 0).await;
            assert_eq!(shown["properties"]["backup_access_code_pool_enabled"], true);
            assert_eq!((error_codes(&shown), warning_codes(&shown)), (vec![], vec![]));
            workspace.create(guest(&workspace, 0)).await;
            workspace.advance("PT1H").await;
            assert_eq!(
                (backups(&workspace, 0).await, count_unpulled(&workspace).await),
                (pool, 5),
                "a full pool gets no more backups"
            );
            let elsewhere = workspace.create(on_lock(&workspace, 1, json!({}))).await;
            assert_eq!(elsewhere["is_backup_access_code_available"], false);
            assert_ne!(device(&workspace, 1).await["properties"]["backup_access_code_pool_enabled"], true);
        }
    });
}

#[test]
fn pool_of_an_offline_lock_is_filled_when_it_is_back() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        set(&workspace, 0, json!({ "online": false })).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        assert_eq!(code["is_backup_access_code_available"], false);
        assert_eq!(error_codes(&code), ["device_disconnected", "empty_backup_access_code_pool"]);
        workspace.advance("PT1H").await;
        assert_eq!((memory(&workspace, 0).await.len(), is_available(&workspace, &code).await), (0, false));
        set(&workspace, 0, json!({ "online": true })).await;
        workspace.advance("PT0.249S").await;
        assert!(!is_available(&workspace, &code).await);
        workspace.advance("PT0.001S").await;
        assert!(is_available(&workspace, &code).await);
        assert_eq!(backups(&workspace, 0).await.len(), 5);
        assert_eq!(error_codes(&device(&workspace, 0).await), [""; 0]);
    });
}

#[test]
fn pool_size_is_set_per_lock() {
    run(async {
        let sized = |size: u32| json!({ "device_type": "august_lock", "backup_access_code_pool_size": size });
        let workspace =
            TestWorkspace::with(json!([sized(2), sized(0), { "device_type": "august_lock" }, sized(1)])).await;
        for (index, size) in [2, 0, 5, 1].into_iter().enumerate() {
            let code = workspace.create(guest(&workspace, index)).await;
            assert_eq!(code["is_backup_access_code_available"], size > 0);
            workspace.advance("PT1H").await;
            assert_eq!(backups(&workspace, index).await.len(), size);
            if size == 0 {
                request_pull(&workspace, id(&code)).await.error(404, "backup_access_code_not_found");
            }
        }
    });
}

#[test]
fn pool_requires_a_time_bound_code_and_a_lock_that_supports_it() {
    run(async {
        let unable = json!({ "device_type": "august_lock", "supports_backup_access_code_pool": false });
        let workspace =
            TestWorkspace::with(json!([{ "device_type": "august_lock" }, { "device_type": "salto_lock" }, unable]))
                .await;
        let before = rows(&workspace).await;
        let ongoing = on_lock(&workspace, 0, json!({ "use_backup_access_code_pool": true }));
        let error = workspace.post(CREATE, ongoing).await.error(400, "invalid_input");
        assert_eq!(error["message"], "Cannot use the backup pool for ongoing codes");
        let mut several = json!({ "device_ids": [workspace.lock(0)], "use_backup_access_code_pool": true });
        let error = workspace.post("/access_codes/create_multiple", several.clone()).await.error(400, "invalid_input");
        assert_eq!(error["message"], "Cannot use the backup pool for ongoing codes");
        let refused = ["The device has no backup access code pool. See properties.supports_backup_access_code_pool"];
        for index in [1, 2] {
            let messages =
                workspace.post(CREATE, guest(&workspace, index)).await.invalid("use_backup_access_code_pool");
            assert_eq!(messages, refused);
            assert_eq!(device(&workspace, index).await["properties"]["supports_backup_access_code_pool"], false);
            let enabled = json!({ "backup_access_code_pool_enabled": true });
            let reply = workspace.post(UPDATE_DEVICE, on_lock(&workspace, index, enabled)).await;
            assert_eq!(reply.invalid("backup_access_code_pool_enabled"), refused);
        }
        // The request fails as a whole if one of its locks has no backup pool.
        several = guest(&workspace, 0);
        several["device_ids"] = json!([workspace.lock(0), workspace.lock(2)]);
        let reply = workspace.post("/access_codes/create_multiple", several).await;
        assert_eq!(reply.invalid("use_backup_access_code_pool"), refused);
        assert_eq!((rows(&workspace).await, memory(&workspace, 0).await.len()), (before, 0));
        let properties = device(&workspace, 0).await["properties"].clone();
        assert_eq!(properties["supports_backup_access_code_pool"], true);
        assert_ne!(properties["backup_access_code_pool_enabled"], true);
    });
}

#[test]
fn backups_are_listed_only_after_they_are_pulled() {
    run(async {
        let workspace = with_pool(3).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let pool = backups(&workspace, 0).await;
        let of_device = on_lock(&workspace, 0, json!({}));
        let by_id = json!({ "access_code_ids": [id(&code), pool[0], pool[1], pool[2]] });
        let by_name = on_lock(&workspace, 0, json!({ "search": "backup" }));
        assert_eq!(listed(&workspace, of_device.clone()).await, [id(&code)]);
        assert_eq!(listed(&workspace, by_id.clone()).await, [id(&code)]);
        assert_eq!(listed(&workspace, by_name.clone()).await, [""; 0]);
        for backup in &pool {
            assert_eq!(workspace.access_code(&json!(backup)).await["access_code_id"], *backup.as_str());
        }
        let pulled = pull(&workspace, &code).await;
        assert!(pool.iter().any(|backup| backup == id(&pulled)));
        workspace.advance("PT1H").await;
        let expected = BTreeSet::from([id(&code).to_owned(), id(&pulled).to_owned()]);
        assert_eq!(BTreeSet::from_iter(listed(&workspace, of_device).await), expected);
        assert_eq!(BTreeSet::from_iter(listed(&workspace, by_id).await), expected);
        assert_eq!(listed(&workspace, by_name).await, [id(&pulled)]);
    });
}

#[test]
fn pulled_backup_works_at_once_and_ends_with_the_original() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let pool = backups(&workspace, 0).await;
        // Three days after the pool was filled, a week before the original starts, and without any error.
        advance_to(&workspace, "2026-03-05T12:00:00.000Z").await;
        let pulled = pull(&workspace, &code).await;
        assert!(pool.iter().any(|backup| backup == id(&pulled)));
        for (property, expected) in [
            ("type", json!("time_bound")),
            ("status", json!("set")),
            ("starts_at", json!("2026-03-05T12:00:00.000Z")),
            ("ends_at", code["ends_at"].clone()),
            ("created_at", json!(START)),
            ("is_backup", json!(true)),
            ("is_backup_access_code_available", json!(false)),
            ("is_external_modification_allowed", json!(false)),
            ("pending_mutations", json!([])),
            ("errors", json!([])),
            ("warnings", json!([])),
            ("pulled_backup_access_code_id", Value::Null),
        ] {
            assert_eq!(pulled[property], expected, "{property}");
        }
        assert_ne!(pulled["code"], code["code"]);
        for instant in ["2026-03-05T12:00:00.250Z", "2026-03-05T13:00:00.000Z", "2026-03-14T11:59:59.999Z"] {
            advance_to(&workspace, instant).await;
            assert_eq!(workspace.access_code(&pulled["access_code_id"]).await, pulled, "at {instant}");
            let held = memory(&workspace, 0).await.into_iter().find(|held| id(held) == id(&pulled)).unwrap();
            assert_eq!((&held["code"], &held["ends_at"]), (&pulled["code"], &pulled["ends_at"]));
        }
        advance_to(&workspace, "2026-03-14T12:00:00.000Z").await;
        assert_eq!(workspace.access_code(&pulled["access_code_id"]).await["status"], "removing");
        workspace.advance("PT0.25S").await;
        assert!(is_gone(&workspace, id(&pulled)).await);
        assert!(!backups(&workspace, 0).await.iter().any(|backup| backup == id(&pulled)));
        assert_eq!(
            events(&workspace, id(&pulled)).await,
            [
                "created@2026-03-02T12:00:00.000Z",
                "set_on_device@2026-03-02T12:00:00.000Z",
                "removed_from_device@2026-03-14T12:00:00.250Z",
                "deleted@2026-03-14T12:00:00.250Z",
            ]
        );
    });
}

#[test]
fn original_names_its_backup_in_a_field_a_warning_and_an_event() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        assert_eq!((&code["pulled_backup_access_code_id"], &code["warnings"]), (&Value::Null, &json!([])));
        advance_to(&workspace, "2026-03-03T08:00:00.000Z").await;
        let pulled = pull(&workspace, &code).await;
        let original = workspace.access_code(&code["access_code_id"]).await;
        assert_eq!(original["pulled_backup_access_code_id"], pulled["access_code_id"]);
        assert_eq!(warning_codes(&original), ["using_backup_access_code"]);
        assert_eq!(original["warnings"][0]["created_at"], "2026-03-03T08:00:00.000Z");
        for property in ["code", "status", "starts_at", "ends_at", "is_backup", "pending_mutations", "errors"] {
            assert_eq!(original[property], code[property], "{property}");
        }
        workspace.advance("PT1H").await;
        let events = events_of_type(&workspace, "access_code.backup_access_code_pulled").await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["access_code_id"], code["access_code_id"]);
        assert_eq!(events[0]["backup_access_code_id"], pulled["access_code_id"]);
        assert_eq!(events[0]["occurred_at"], "2026-03-03T08:00:00.000Z");
    });
}

#[test]
fn repeated_pull_returns_the_same_backup() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let first = pull(&workspace, &code).await;
        let before = rows(&workspace).await;
        assert_eq!(pull(&workspace, &code).await, first);
        assert_eq!(rows(&workspace).await, before);
        workspace.advance("P1D").await;
        let before = rows(&workspace).await;
        assert_eq!(pull(&workspace, &code).await, first);
        assert_eq!((rows(&workspace).await, count_unpulled(&workspace).await), (before, 5));
        // The pulled backup is also returned while the pool is empty.
        fault(&workspace, json!({ "operation": "refill", "outcome": "never" })).await;
        for _ in 0..5 {
            let other = workspace.create(guest(&workspace, 0)).await;
            pull(&workspace, &other).await;
        }
        assert!(!is_available(&workspace, &code).await);
        assert_eq!(pull(&workspace, &code).await["access_code_id"], first["access_code_id"]);
    });
}

#[test]
fn pulled_backup_is_replaced_in_the_pool() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let before = backups(&workspace, 0).await;
        pull(&workspace, &code).await;
        assert_eq!(count_unpulled(&workspace).await, 5, "the pool has a new backup at once");
        assert_eq!(backups(&workspace, 0).await, before, "the new backup is not on the lock yet");
        assert!(is_available(&workspace, &code).await);
        workspace.advance("PT0.249S").await;
        assert_eq!(backups(&workspace, 0).await.len(), 5);
        workspace.advance("PT0.001S").await;
        let after = backups(&workspace, 0).await;
        assert_eq!((after.len(), count_unpulled(&workspace).await), (6, 5));
        assert!(is_available(&workspace, &code).await);
        let new = after.iter().find(|backup| !before.contains(backup)).unwrap();
        assert_eq!(
            events(&workspace, new).await,
            [format!("created@{START}"), "set_on_device@2026-03-02T12:00:00.250Z".to_owned()]
        );
        assert_eq!(workspace.access_code(&json!(new)).await["name"], format!("Backup {new} (Seam)"));
    });
}

#[test]
fn refill_is_a_fault_operation_separate_from_set() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        fault(&workspace, json!({ "operation": "refill", "outcome": { "delay": "PT5S" } })).await;
        fault(&workspace, json!({ "operation": "set", "outcome": { "fail": {} } })).await;
        pull(&workspace, &code).await;
        workspace.advance("PT4.999S").await;
        assert_eq!(backups(&workspace, 0).await.len(), 5);
        workspace.advance("PT0.001S").await;
        assert_eq!(backups(&workspace, 0).await.len(), 6);
        let faults = workspace.post("/_emulator/faults/list", json!({})).await.ok();
        assert_eq!((&faults["faults"][0]["used"], &faults["faults"][1]["used"]), (&json!(1), &json!(0)));
    });
}

/// Pulls backups for these codes concurrently. Returns the id of each backup, or `None` if none was found.
async fn pull_together(workspace: &TestWorkspace, codes: &[&Value]) -> Vec<Option<String>> {
    let requests = codes.iter().map(|code| (PULL, json!({ "access_code_id": id(code) }))).collect();
    let replies = send_concurrently(&workspace.api_key, requests).await.into_iter();
    let got = |reply: Reply| {
        if reply.status == 404 {
            reply.error(404, "backup_access_code_not_found");
            return None;
        }
        Some(id(&reply.ok()["backup_access_code"]).to_owned())
    };
    replies.map(got).collect()
}

async fn guests(workspace: &TestWorkspace, count: usize) -> Vec<Value> {
    let mut codes = Vec::new();
    for _ in 0..count {
        codes.push(workspace.create(guest(workspace, 0)).await);
    }
    codes
}

#[test]
fn concurrent_pulls_never_share_a_backup() {
    run(async {
        for (originals, size) in [(10, 5), (16, 16), (16, 5)] {
            let workspace = with_pool(size).await;
            let codes = guests(&workspace, originals).await;
            let got = pull_together(&workspace, &codes.iter().collect::<Vec<_>>()).await;
            let pulled: Vec<&String> = got.iter().flatten().collect();
            assert_eq!(pulled.len(), size as usize, "pulls for {originals} codes");
            assert_eq!(pulled.iter().collect::<BTreeSet<_>>().len(), pulled.len(), "each backup is pulled once");
            for (code, got) in codes.iter().zip(&got) {
                let code = workspace.access_code(&code["access_code_id"]).await;
                assert_eq!(code["pulled_backup_access_code_id"], json!(got));
            }
            assert_eq!(events_of_type(&workspace, "access_code.backup_access_code_pulled").await.len(), pulled.len());
            assert_eq!(count_unpulled(&workspace).await, i64::from(size), "each pulled backup is replaced once");
        }
        for (times, size) in [(16, 1), (20, 5)] {
            let workspace = with_pool(size).await;
            let code = workspace.create(guest(&workspace, 0)).await;
            let got = pull_together(&workspace, &vec![&code; times]).await;
            assert_eq!(got.iter().flatten().count(), times);
            assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), 1, "all pulls for a code return the same backup");
            assert_eq!(events_of_type(&workspace, "access_code.backup_access_code_pulled").await.len(), 1);
            assert_eq!(count_unpulled(&workspace).await, i64::from(size));
        }
        // Two requests for each of eight codes.
        let workspace = with_pool(16).await;
        let codes = guests(&workspace, 8).await;
        let got = pull_together(&workspace, &codes.iter().chain(&codes).collect::<Vec<_>>()).await;
        assert_eq!(got[..8], got[8..]);
        assert_eq!(got.iter().flatten().collect::<BTreeSet<_>>().len(), 8);
    });
}

#[test]
fn concurrent_pulls_share_no_backup_while_the_scheduler_fills_the_pool() {
    run(async {
        let lock = json!({ "device_type": "august_lock", "backup_access_code_pool_size": 4 });
        let workspace =
            TestWorkspace::create_with(json!({ "clock": "live", "programming": "at_once", "locks": [lock] })).await;
        let window = json!({ "starts_at": "2099-03-12T12:00:00Z", "ends_at": "2099-03-14T12:00:00Z" });
        let mut codes = Vec::new();
        for _ in 0..16 {
            let mut params = on_lock(&workspace, 0, window.clone());
            params["use_backup_access_code_pool"] = json!(true);
            codes.push(workspace.create(params).await);
        }
        let (mut pulled, mut left) = (Vec::new(), codes.iter().collect::<Vec<_>>());
        while !left.is_empty() {
            let (got, ()) = tokio::join!(pull_together(&workspace, &left), workspace.tick());
            assert!(got.iter().flatten().count() >= left.len().min(4), "the pool was full");
            let without_backup =
                |(code, got): (&&'_ Value, &Option<String>)| got.is_none().then(|| id(code).to_owned());
            let without_backup: Vec<String> = left.iter().zip(&got).filter_map(without_backup).collect();
            left.retain(|code| without_backup.iter().any(|missing| missing == id(code)));
            pulled.extend(got.into_iter().flatten());
            workspace.tick().await;
        }
        assert_eq!((pulled.len(), pulled.iter().collect::<BTreeSet<_>>().len()), (16, 16));
        assert_eq!((count_unpulled(&workspace).await, backups(&workspace, 0).await.len()), (4, 20));
    });
}

#[test]
fn pull_rejects_codes_that_cannot_have_a_backup() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        let elsewhere = other.create(guest(&other, 0)).await;
        let without_pool = {
            let mut params = guest(&workspace, 1);
            params["use_backup_access_code_pool"] = json!(false);
            workspace.create(params).await
        };
        let code = workspace.create(guest(&workspace, 0)).await;
        let ongoing = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        let ongoing_without_pool = workspace.create(on_lock(&workspace, 1, json!({}))).await;
        let gone = workspace.create(guest(&workspace, 0)).await;
        let removing = workspace.create(guest(&workspace, 0)).await;
        let unmanaged =
            on_lock(&workspace, 0, json!({ "code": "4826", "starts_at": START, "ends_at": code["ends_at"] }));
        let unmanaged = workspace.post("/_emulator/locks/add_code", unmanaged).await.ok()["access_code"].clone();
        workspace.post("/access_codes/delete", json!({ "access_code_id": id(&gone) })).await.ok();
        workspace.advance("PT1S").await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": id(&removing) })).await.ok();
        let before = rows(&workspace).await;
        for ongoing in [&ongoing, &ongoing_without_pool] {
            let error = request_pull(&workspace, id(ongoing)).await.error(400, "access_code_not_time_bound");
            assert_eq!(error["message"], "Backups can only be used for time_bound access codes.");
        }
        let backup = &backups(&workspace, 0).await[0];
        for access_code_id in [UNKNOWN, id(&gone), id(&removing), id(&elsewhere), id(&unmanaged), backup] {
            let error = request_pull(&workspace, access_code_id).await.error(404, "access_code_not_found");
            assert_eq!(error["data"]["access_code_id"], access_code_id);
        }
        let error = request_pull(&workspace, id(&without_pool)).await.error(404, "backup_access_code_not_found");
        assert_eq!(error["message"], "Backup access code not found");
        assert_eq!(rows(&workspace).await, before);
        fault(&workspace, json!({ "operation": "refill", "outcome": "never" })).await;
        let not_ready = workspace.create(guest(&workspace, 1)).await;
        let before = rows(&workspace).await;
        request_pull(&workspace, id(&not_ready)).await.error(404, "backup_access_code_not_found");
        assert_eq!(rows(&workspace).await, before);
        let pulled = pull(&workspace, &code).await;
        request_pull(&workspace, id(&pulled)).await.error(404, "access_code_not_found");
        let other_key = other.post(PULL, json!({ "access_code_id": id(&code) })).await;
        other_key.error(404, "access_code_not_found");
    });
}

#[test]
fn pull_rejects_malformed_requests_by_parameter_name() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let before = rows(&workspace).await;
        for (params, message) in [
            (json!({}), "Required"),
            (json!({ "access_code_id": null }), "Expected string, received null"),
            (json!({ "access_code_id": 7 }), "Expected string, received number"),
            (json!({ "access_code_id": [id(&code)] }), "Expected string, received array"),
            (json!({ "access_code_id": "" }), "Invalid uuid"),
            (json!({ "access_code_id": "guest" }), "Invalid uuid"),
        ] {
            assert_eq!(workspace.post(PULL, params.clone()).await.invalid("access_code_id"), [message], "{params}");
        }
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            let path = format!("{PULL}?access_code_id={}", id(&code));
            workspace.request(method, &path).await.error(405, "method_not_allowed");
        }
        let body = json!({ "access_code_id": id(&code) }).to_string();
        let json = ("content-type", "application/json");
        ask("POST", PULL, &[json], body.clone()).await.error(401, "unauthorized");
        let bearer = format!("Bearer {}", workspace.api_key);
        let text = [("authorization", bearer.as_str()), ("content-type", "text/plain")];
        ask("POST", PULL, &text, body).await.error(400, "invalid_content_type");
        assert_eq!(rows(&workspace).await, before);
        // Unknown parameters are ignored.
        let params = json!({ "access_code_id": id(&code), "device_id": UNKNOWN, "sync": "perhaps" });
        workspace.post(PULL, params).await.ok();
    });
}

#[test]
fn empty_pool_is_an_error_of_the_lock_and_its_codes_until_it_is_filled() {
    run(async {
        let workspace = with_pool(1).await;
        let fault = fault(&workspace, json!({ "operation": "refill", "outcome": { "fail": {} } })).await;
        let plain = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        workspace.advance("PT1M").await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let shown = device(&workspace, 0).await;
        assert_eq!(error_codes(&shown), ["empty_backup_access_code_pool"]);
        assert_eq!(shown["errors"][0]["is_device_error"], true);
        assert_eq!(shown["errors"][0]["created_at"], "2026-03-02T12:01:00.000Z");
        assert_eq!(code["errors"], shown["errors"]);
        assert_eq!(code["is_backup_access_code_available"], false);
        let plain = workspace.access_code(&plain["access_code_id"]).await;
        assert_eq!((&plain["errors"], &plain["is_backup_access_code_available"]), (&shown["errors"], &json!(false)));
        let deleted = json!({ "fault_id": fault["fault_id"] });
        workspace.post("/_emulator/faults/delete", deleted).await.ok();
        workspace.advance("PT10.249S").await;
        assert_eq!(error_codes(&device(&workspace, 0).await), ["empty_backup_access_code_pool"]);
        workspace.advance("PT0.001S").await;
        assert_eq!(device(&workspace, 0).await["errors"], json!([]));
        for code in [&code, &plain] {
            let code = workspace.access_code(&code["access_code_id"]).await;
            assert_eq!((&code["errors"], &code["is_backup_access_code_available"]), (&json!([]), &json!(true)));
        }
        // Pulling the last backup empties the pool.
        pull(&workspace, &code).await;
        let shown = device(&workspace, 0).await;
        assert_eq!(error_codes(&shown), ["empty_backup_access_code_pool"]);
        assert_eq!(shown["errors"][0]["created_at"], "2026-03-02T12:01:10.250Z");
        assert!(!is_available(&workspace, &plain).await);
        workspace.advance("PT0.25S").await;
        assert_eq!(device(&workspace, 0).await["errors"], json!([]));
        assert!(is_available(&workspace, &plain).await);
    });
}

#[test]
fn failed_refill_leaves_a_warning_until_the_pool_is_full() {
    run(async {
        let workspace = with_pool(3).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        fault(&workspace, json!({ "operation": "refill", "outcome": { "fail": {} }, "times": 1 })).await;
        pull(&workspace, &code).await;
        assert_eq!(warning_codes(&device(&workspace, 0).await), [""; 0], "no warning before the refill has failed");
        workspace.advance("PT0.25S").await;
        let shown = device(&workspace, 0).await;
        assert_eq!((warning_codes(&shown), error_codes(&shown)), (vec!["partial_backup_access_code_pool"], vec![]));
        assert!(is_available(&workspace, &code).await);
        workspace.advance("PT10.249S").await;
        assert_eq!(warning_codes(&device(&workspace, 0).await), ["partial_backup_access_code_pool"]);
        workspace.advance("PT0.001S").await;
        assert_eq!(warning_codes(&device(&workspace, 0).await), [""; 0]);
        assert_eq!(backups(&workspace, 0).await.len(), 4);
    });
}

#[test]
fn lock_warns_about_more_pulled_backups_than_its_pool_size() {
    run(async {
        for keeps in [false, true] {
            let lock = json!({ "device_type": "august_lock", "backup_access_code_pool_size": 2 });
            let workspace =
                TestWorkspace::create_with(json!({ "locks": [lock], "keep_expired_access_codes": keeps })).await;
            for day in [13, 14, 15] {
                let mut params = guest(&workspace, 0);
                params["ends_at"] = json!(format!("2026-03-{day}T12:00:00Z"));
                let code = workspace.create(params).await;
                assert_eq!(warning_codes(&device(&workspace, 0).await), [""; 0], "no warning up to the pool size");
                pull(&workspace, &code).await;
                workspace.advance("PT1S").await;
            }
            assert_eq!(warning_codes(&device(&workspace, 0).await), ["many_active_backup_codes"]);
            advance_to(&workspace, "2026-03-13T11:59:59.999Z").await;
            assert_eq!(warning_codes(&device(&workspace, 0).await), ["many_active_backup_codes"]);
            advance_to(&workspace, "2026-03-13T12:00:00.250Z").await;
            assert_eq!(warning_codes(&device(&workspace, 0).await), [""; 0], "keep_expired_access_codes: {keeps}");
        }
    });
}

#[test]
fn disabled_pool_loses_its_backups_but_not_the_pulled_ones() {
    run(async {
        let workspace = with_pool(3).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let without = workspace.create(guest(&workspace, 0)).await;
        let pulled = pull(&workspace, &code).await;
        workspace.advance("PT1S").await;
        let unpulled: Vec<String> =
            backups(&workspace, 0).await.into_iter().filter(|backup| backup != id(&pulled)).collect();
        let disabled = set(&workspace, 0, json!({ "backup_access_code_pool_enabled": false })).await;
        assert_eq!(disabled["properties"]["backup_access_code_pool_enabled"], false);
        assert_eq!(disabled["errors"], json!([]));
        assert!(!is_available(&workspace, &without).await);
        for backup in &unpulled {
            assert_eq!(workspace.access_code(&json!(backup)).await["status"], "removing");
        }
        request_pull(&workspace, id(&without)).await.error(404, "backup_access_code_not_found");
        workspace.advance("PT0.25S").await;
        assert_eq!(backups(&workspace, 0).await, [id(&pulled)]);
        for backup in &unpulled {
            assert!(is_gone(&workspace, backup).await);
            assert_eq!(
                events(&workspace, backup).await[2..],
                ["removed_from_device@2026-03-02T12:00:01.250Z", "deleted@2026-03-02T12:00:01.250Z"]
            );
        }
        workspace.advance("P1D").await;
        assert_eq!((count_unpulled(&workspace).await, device(&workspace, 0).await["errors"].clone()), (0, json!([])));
        assert_eq!(pull(&workspace, &code).await, pulled);
        assert_eq!(workspace.access_code(&pulled["access_code_id"]).await["status"], "set");
        request_pull(&workspace, id(&without)).await.error(404, "backup_access_code_not_found");
        // Switching the pool off again changes nothing.
        let before = rows(&workspace).await;
        set(&workspace, 0, json!({ "backup_access_code_pool_enabled": false })).await;
        assert_eq!(rows(&workspace).await, before);
    });
}

#[test]
fn enabled_pool_is_refilled_while_its_old_backups_are_removed() {
    run(async {
        let workspace = with_pool(3).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let old = backups(&workspace, 0).await;
        set(&workspace, 0, json!({ "backup_access_code_pool_enabled": false })).await;
        let enabled = set(&workspace, 0, json!({ "backup_access_code_pool_enabled": true })).await;
        assert_eq!(enabled["properties"]["backup_access_code_pool_enabled"], true);
        assert_eq!(error_codes(&enabled), ["empty_backup_access_code_pool"]);
        request_pull(&workspace, id(&code)).await.error(404, "backup_access_code_not_found");
        workspace.advance("PT0.25S").await;
        let new = backups(&workspace, 0).await;
        assert_eq!((new.len(), new.iter().any(|backup| old.contains(backup))), (3, false));
        assert!(is_available(&workspace, &code).await);
        set(&workspace, 0, json!({ "backup_access_code_pool_enabled": false })).await;
        let again = workspace.create(guest(&workspace, 0)).await;
        assert_eq!(again["is_backup_access_code_available"], true, "a create request enables the pool, too");
        workspace.advance("PT0.25S").await;
        assert_eq!(backups(&workspace, 0).await.len(), 3);
    });
}

#[test]
fn unpulled_backup_cannot_be_changed_or_deleted() {
    run(async {
        let workspace = with_pool(1).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let backup = backups(&workspace, 0).await.remove(0);
        let before = rows(&workspace).await;
        let renamed = json!({ "access_code_id": backup, "name": "mine" });
        workspace.post("/access_codes/update", renamed.clone()).await.error(404, "access_code_not_found");
        let deleted = json!({ "access_code_id": backup });
        workspace.post("/access_codes/delete", deleted.clone()).await.error(404, "access_code_not_found");
        assert_eq!((rows(&workspace).await, backups(&workspace, 0).await.len()), (before, 1));
        assert_eq!(id(&pull(&workspace, &code).await), backup);
        workspace.post("/access_codes/update", renamed).await.ok();
        workspace.advance("PT1S").await;
        let pulled = workspace.access_code(&json!(backup)).await;
        assert_eq!((&pulled["name"], &pulled["status"]), (&json!("mine"), &json!("set")));
        workspace.post("/access_codes/delete", deleted).await.ok();
        workspace.advance("PT1S").await;
        assert!(is_gone(&workspace, &backup).await);
    });
}

#[test]
fn pulled_backup_outlives_its_deleted_original_until_the_originals_end() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(guest(&workspace, 0)).await;
        let pulled = pull(&workspace, &code).await;
        workspace.advance("PT1H").await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": id(&code) })).await.ok();
        workspace.advance("PT1S").await;
        assert!(is_gone(&workspace, id(&code)).await);
        advance_to(&workspace, "2026-03-14T11:59:59.999Z").await;
        assert_eq!(workspace.access_code(&pulled["access_code_id"]).await, pulled);
        assert!(backups(&workspace, 0).await.iter().any(|backup| backup == id(&pulled)));
        advance_to(&workspace, "2026-03-14T12:00:00.250Z").await;
        assert!(is_gone(&workspace, id(&pulled)).await);
        assert_eq!(backups(&workspace, 0).await.len(), 5);
    });
}

#[test]
fn pulled_backup_works_when_its_original_cannot_be_set() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        fault(&workspace, json!({ "operation": "set", "outcome": { "fail": {} } })).await;
        let mut params = guest(&workspace, 0);
        params["starts_at"] = json!("2026-03-02T11:00:00.000Z");
        params["ends_at"] = json!("2026-03-02T18:00:00.000Z");
        let code = workspace.create(params).await;
        assert_eq!((&code["status"], &code["errors"]), (&json!("setting"), &json!([])));
        workspace.advance("PT0.25S").await;
        let failing = workspace.access_code(&code["access_code_id"]).await;
        assert_eq!(error_codes(&failing), ["failed_to_set_on_device"]);
        assert_eq!(failing["is_backup_access_code_available"], true);
        workspace.advance("PT1S").await;
        let pulled = pull(&workspace, &code).await;
        assert_eq!((&pulled["status"], &pulled["errors"]), (&json!("set"), &json!([])));
        assert_eq!(pulled["ends_at"], "2026-03-02T18:00:00.000Z");
        let held: Vec<Value> = memory(&workspace, 0).await.into_iter().map(|held| held["code"].clone()).collect();
        assert!(held.contains(&pulled["code"]) && !held.contains(&code["code"]));
        advance_to(&workspace, "2026-03-02T17:59:59.999Z").await;
        let failing = workspace.access_code(&code["access_code_id"]).await;
        assert_eq!((&failing["status"], error_codes(&failing)), (&json!("setting"), vec!["failed_to_set_on_device"]));
        assert_eq!(workspace.access_code(&pulled["access_code_id"]).await["status"], "set");
        advance_to(&workspace, "2026-03-02T18:00:00.000Z").await;
        for code in [&code, &pulled] {
            assert_eq!(workspace.access_code(&code["access_code_id"]).await["status"], "removing");
        }
        workspace.advance("PT0.25S").await;
        assert!(is_gone(&workspace, id(&code)).await && is_gone(&workspace, id(&pulled)).await);
        assert_eq!(
            events(&workspace, id(&code)).await,
            [
                "created@2026-03-02T12:00:00.000Z",
                "failed_to_set_on_device@2026-03-02T12:00:00.250Z",
                "backup_access_code_pulled@2026-03-02T12:00:01.250Z",
                "deleted@2026-03-02T18:00:00.250Z",
            ]
        );
    });
}

#[test]
fn enlarged_pool_is_filled_and_reduced_pool_keeps_its_backups() {
    run(async {
        let workspace = with_pool(2).await;
        workspace.create(guest(&workspace, 0)).await;
        set(&workspace, 0, json!({ "backup_access_code_pool_size": 4 })).await;
        assert_eq!(count_unpulled(&workspace).await, 4);
        workspace.advance("PT1S").await;
        assert_eq!(backups(&workspace, 0).await.len(), 4);
        set(&workspace, 0, json!({ "backup_access_code_pool_size": 1 })).await;
        workspace.advance("PT1S").await;
        assert_eq!(backups(&workspace, 0).await.len(), 4);
        set(&workspace, 0, json!({ "backup_access_code_pool_enabled": false })).await;
        set(&workspace, 0, json!({ "backup_access_code_pool_size": 3 })).await;
        workspace.advance("PT1S").await;
        assert_eq!(count_unpulled(&workspace).await, 0, "a disabled pool is not filled");
    });
}

#[test]
fn failure_event_has_the_pool_errors_of_its_instant_for_any_clock_step() {
    run(async {
        let mut device_errors = Vec::new();
        for steps in [vec!["PT10M"], vec!["PT0.25S", "PT9M59.75S"]] {
            let lock = json!([{ "device_type": "august_lock", "backup_access_code_pool_size": 1 }]);
            let workspace = TestWorkspace::with(lock).await;
            let fault = json!({ "operation": "refill", "outcome": { "fail": {} }, "times": 1 });
            workspace.post("/_emulator/faults/create", fault).await.ok();
            // The backup fails once and is on the lock after ten seconds. The code fails later.
            let stay = json!({ "device_id": workspace.lock(0), "use_backup_access_code_pool": true,
                               "starts_at": "2026-03-02T13:05:00Z", "ends_at": "2026-03-03T12:00:00Z",
                               "prefer_native_scheduling": false });
            let stay = workspace.create(stay).await["access_code_id"].clone();
            let fails = json!({ "operation": "set", "outcome": { "fail": {} }, "times": 1 });
            workspace.post("/_emulator/faults/create", fails).await.ok();
            for by in steps {
                workspace.advance(by).await;
            }
            let params = json!({ "since": "2000-01-01T00:00:00Z", "access_code_id": stay,
                                 "event_type": "access_code.failed_to_set_on_device" });
            let event = workspace.post("/events/list", params).await.ok()["events"][0].clone();
            assert_eq!(event["occurred_at"], "2026-03-02T12:05:00.250Z");
            assert_eq!(event["device_errors"], json!([]), "the pool has been filled before");
            device_errors.push(event["device_errors"].clone());
        }
        assert_eq!(device_errors[0], device_errors[1]);
    });
}

#[test]
fn code_is_programmed_before_the_backups_of_its_own_request() {
    run(async {
        for programming in [json!({ "after": "PT0.25S" }), json!("at_once")] {
            for capacity in 1..=5 {
                let locks = json!([{ "device_type": "august_lock", "max_active_codes_supported": capacity }]);
                let workspace = TestWorkspace::create_with(json!({ "locks": locks, "programming": programming })).await;
                let params = json!({ "use_backup_access_code_pool": true, "starts_at": START,
                                     "ends_at": "2026-03-05T12:00:00Z" });
                let code = workspace.create(on_lock(&workspace, 0, params)).await;
                for by in ["PT0S", "PT0.25S", "PT1H"] {
                    workspace.advance(by).await;
                    let held = memory(&workspace, 0).await;
                    assert!(held.len() <= capacity, "{capacity}: {held:?}");
                }
                let set = workspace.access_code(&code["access_code_id"]).await;
                assert_eq!(set["status"], "set", "{capacity} {programming}");
                let own = set["errors"].as_array().unwrap().iter().find(|error| error["is_access_code_error"] == true);
                assert_eq!(own, None, "{capacity} {programming}");
                assert_eq!(memory(&workspace, 0).await.len(), capacity, "backups use the remaining places");
            }
        }
    });
}
