//! `/webhooks/*`: webhooks are created, read, changed and deleted.

use crate::support::{TestWorkspace, UNKNOWN, app, ask, run};
use serde_json::{Value, json};

const EXAMPLE: &str = "https://example.com/hooks";

/// Creates a webhook with these parameters, and returns it.
pub(crate) async fn create_webhook(workspace: &TestWorkspace, url: &str, event_types: Value) -> Value {
    let params = json!({ "url": url, "event_types": event_types });
    workspace.post("/webhooks/create", params).await.ok()["webhook"].clone()
}

async fn listed(workspace: &TestWorkspace) -> Vec<Value> {
    let listed = workspace.get("/webhooks/list").await.ok();
    listed["webhooks"].as_array().unwrap().clone()
}

#[test]
fn webhooks_are_created_read_changed_and_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let first = workspace.post("/webhooks/create", json!({ "url": EXAMPLE })).await.ok()["webhook"].clone();
        assert_eq!((&first["url"], &first["event_types"]), (&json!(EXAMPLE), &json!(["*"])));
        let secret = first["secret"].as_str().unwrap();
        assert!(secret.starts_with("whsec_") && secret.len() == "whsec_".len() + 32, "{secret}");
        let second = create_webhook(&workspace, "http://127.0.0.1:9/", json!(["access_code.created"])).await;
        assert_ne!(first["secret"], second["secret"]);
        assert_eq!(listed(&workspace).await, [first.clone(), second.clone()], "in the order of their creation");
        let by_id = json!({ "webhook_id": second["webhook_id"] });
        assert_eq!(workspace.post("/webhooks/get", by_id.clone()).await.ok()["webhook"], second);

        let update = json!({ "webhook_id": second["webhook_id"], "event_types": ["lock.locked", "*"] });
        let updated = workspace.post("/webhooks/update", update).await.ok();
        assert_eq!(updated, json!({ "ok": true }));
        let changed = workspace.post("/webhooks/get", by_id.clone()).await.ok()["webhook"].clone();
        assert_eq!(changed["event_types"], json!(["lock.locked", "*"]));
        assert_eq!((&changed["url"], &changed["secret"]), (&second["url"], &second["secret"]));

        let id = first["webhook_id"].as_str().unwrap();
        assert_eq!(workspace.request("DELETE", &format!("/webhooks/delete?webhook_id={id}")).await.ok(), updated);
        assert_eq!(listed(&workspace).await, [changed]);
        workspace.get(&format!("/webhooks/get?webhook_id={id}")).await.error(404, "webhook_not_found");
        workspace.post("/webhooks/delete", json!({ "webhook_id": id })).await.error(404, "webhook_not_found");
        let update = json!({ "webhook_id": id, "event_types": ["*"] });
        workspace.post("/webhooks/update", update).await.error(404, "webhook_not_found");
    });
}

#[test]
fn webhooks_of_other_workspaces_do_not_exist() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(0).await, TestWorkspace::with_locks(0).await);
        let webhook = create_webhook(&workspace, EXAMPLE, json!(["*"])).await;
        for id in [webhook["webhook_id"].clone(), json!(UNKNOWN), json!("mine")] {
            for path in ["get", "delete", "update"] {
                let params = json!({ "webhook_id": id, "event_types": ["*"] });
                let error = other.post(&format!("/webhooks/{path}"), params).await.error(404, "webhook_not_found");
                assert_eq!(error["message"], "Webhook not found");
            }
        }
        assert_eq!(listed(&other).await, [Value::Null; 0]);
        assert_eq!(listed(&workspace).await, [webhook]);
    });
}

#[test]
fn webhook_event_types_are_those_of_seam() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let types =
            json!(["access_code.failed_to_expire", "device.added", "device.added", "thermostat.manually_adjusted"]);
        let webhook = create_webhook(&workspace, EXAMPLE, types).await;
        let expected = json!(["access_code.failed_to_delete", "device.added", "thermostat.manually_adjusted"]);
        assert_eq!(webhook["event_types"], expected, "current names, each once");
        assert_eq!(create_webhook(&workspace, EXAMPLE, json!([])).await["event_types"], json!([]));
        for (path, more) in
            [("create", json!({ "url": EXAMPLE })), ("update", json!({ "webhook_id": webhook["webhook_id"] }))]
        {
            let mut params = more;
            params["event_types"] = json!(["access_code.created", "access_code.*", "nope"]);
            let path = format!("/webhooks/{path}");
            let error = workspace.post(&path, params.clone()).await.error(400, "invalid_event_types");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("access_code.*, nope") && !message.contains("created"), "{message}");
            params["event_types"] =
                json!((1..=9).map(|number| format!("x{number}")).chain(["x1".to_owned()]).collect::<Vec<_>>());
            let error = workspace.post(&path, params).await.error(400, "invalid_event_types");
            assert!(error["message"].as_str().unwrap().contains("x1, x2, x3, x4, x5, and others"), "{error}");
        }
        assert_eq!(listed(&workspace).await.len(), 2);
    });
}

#[test]
fn webhook_urls_are_of_http_or_https() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let long = format!("http://localhost/{}", "a".repeat(2000));
        for url in ["ftp://localhost/", "mailto:a@example.com", "localhost:80", "http://", "/hooks", "", &long] {
            workspace.post("/webhooks/create", json!({ "url": url })).await.invalid("url");
        }
        workspace.post("/webhooks/create", json!({})).await.invalid("url");
        for url in ["HTTPS://Example.com", "http://10.0.0.1:8080/a?b=c#d", "http://[::1]/", "http://localhost"] {
            assert_eq!(create_webhook(&workspace, url, json!(["*"])).await["url"], url);
        }
    });
}

#[test]
fn webhooks_of_a_workspace_are_limited() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        for _ in 0..50 {
            create_webhook(&workspace, EXAMPLE, json!(["*"])).await;
        }
        let error = workspace.post("/webhooks/create", json!({ "url": EXAMPLE })).await.error(400, "too_many_webhooks");
        assert!(error["message"].as_str().unwrap().contains("50 webhooks"), "{error}");
        let first = listed(&workspace).await[0]["webhook_id"].clone();
        workspace.post("/webhooks/delete", json!({ "webhook_id": first })).await.ok();
        create_webhook(&workspace, EXAMPLE, json!(["*"])).await;
    });
}

#[test]
fn webhooks_of_a_seeded_workspace_have_the_same_ids_and_secrets_after_a_reset() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "seed": "webhooks of a seed" })).await;
        let webhook = create_webhook(&workspace, EXAMPLE, json!(["*"])).await;
        workspace.post("/_emulator/workspaces/reset", json!({})).await.ok();
        assert_eq!(listed(&workspace).await, [Value::Null; 0]);
        assert_eq!(create_webhook(&workspace, EXAMPLE, json!(["*"])).await, webhook);
    });
}

#[test]
fn webhooks_are_part_of_a_snapshot_without_their_secrets() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let (kept, deleted) = (
            create_webhook(&workspace, EXAMPLE, json!(["device.added"])).await,
            create_webhook(&workspace, EXAMPLE, json!(["*"])).await,
        );
        let snapshot = workspace.post("/_emulator/snapshots/create", json!({})).await.ok()["snapshot_id"].clone();
        let exported = workspace.get("/_emulator/snapshots/export").await.ok();
        let secret = |webhook: &Value| webhook["secret"].as_str().unwrap().to_owned();
        assert!(!exported.to_string().contains(&secret(&kept)));
        let update = json!({ "webhook_id": kept["webhook_id"], "event_types": [] });
        workspace.post("/webhooks/update", update).await.ok();
        workspace.post("/webhooks/delete", json!({ "webhook_id": deleted["webhook_id"] })).await.ok();
        create_webhook(&workspace, "http://localhost/later", json!(["*"])).await;
        workspace.post("/_emulator/snapshots/restore", json!({ "snapshot_id": snapshot })).await.ok();
        let restored = listed(&workspace).await;
        assert_eq!(restored.len(), 2);
        assert_eq!(restored[0], kept, "a webhook that still exists keeps its secret");
        assert_eq!(restored[1]["webhook_id"], deleted["webhook_id"]);
        assert!(secret(&restored[1]).starts_with("whsec_"));
        assert_ne!(secret(&restored[1]), secret(&deleted), "the secret of a deleted webhook is lost");
    });
}

#[test]
fn webhook_creation_waits_for_transactions_that_may_record_events() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        #[expect(clippy::disallowed_methods, reason = "a transaction of another process")]
        let mut tx = app().pool.raw().begin().await.unwrap();
        let lock = "select device_id from device where device_id = $1::text::uuid for update";
        sqlx::query(lock).bind(workspace.lock(0)).execute(&mut *tx).await.unwrap();
        let own_process: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await.unwrap();
        let bearer = format!("Bearer {}", workspace.api_key);
        let body = json!({ "url": EXAMPLE }).to_string();
        let creation = tokio::spawn(async move {
            let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
            ask("POST", "/webhooks/create", &headers, body).await.ok()
        });
        let waiting = "select count(*) from pg_stat_activity where $1 = any(pg_blocking_pids(pid))";
        let begun = std::time::Instant::now();
        while sqlx::query_scalar::<_, i64>(waiting).bind(own_process).fetch_one(app().pool.raw()).await.unwrap() == 0 {
            assert!(begun.elapsed() < std::time::Duration::from_secs(10) && !creation.is_finished());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(!creation.is_finished());
        tx.rollback().await.unwrap();
        assert_eq!(creation.await.unwrap()["webhook"]["url"], EXAMPLE);
    });
}
