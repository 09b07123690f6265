//! Webhook deliveries: the endpoints while a workspace has no webhooks.

use crate::support::{TestWorkspace, UNKNOWN, ask, post_as, run};
use serde_json::{Value, json};

#[test]
fn webhook_deliveries_are_empty_without_webhooks() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.create(json!({ "device_id": workspace.lock(0) })).await;
        let moved = json!({ "by": "PT1S", "wait_for_webhooks": true });
        assert_eq!(workspace.post("/_emulator/clock/advance", moved).await.ok()["events"], 1);
        for params in [json!({}), json!({ "event_id": UNKNOWN, "webhook_id": UNKNOWN, "status": "failed", "limit": 5 })]
        {
            let listed = workspace.post("/_emulator/webhook_deliveries/list", params).await.ok();
            assert_eq!(listed["webhook_deliveries"], json!([]));
        }
        for params in [json!({}), json!({ "timeout": "PT0S" }), json!({ "timeout": "PT1H" })] {
            assert_eq!(workspace.post("/_emulator/webhook_deliveries/wait", params).await.ok()["outstanding"], 0);
        }
        let params = json!({ "webhook_delivery_id": UNKNOWN });
        workspace
            .post("/_emulator/webhook_deliveries/redeliver", params)
            .await
            .error(404, "webhook_delivery_not_found");
    });
}

#[test]
fn webhook_deliveries_reject_invalid_input() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let invalid: [(&str, &str, Value); 12] = [
            ("list", "webhook_id", json!("mine")),
            ("list", "event_id", json!(5)),
            ("list", "status", json!("lost")),
            ("list", "limit", json!(0)),
            ("list", "limit", json!(-1)),
            ("list", "limit", json!(1.5)),
            ("redeliver", "webhook_delivery_id", json!("that one")),
            ("redeliver", "webhook_delivery_id", Value::Null),
            ("wait", "timeout", json!("-PT1S")),
            ("wait", "timeout", json!("soon")),
            ("wait", "timeout", json!("P1M")),
            ("wait", "timeout", json!(5)),
        ];
        for (route, name, value) in invalid {
            let path = format!("/_emulator/webhook_deliveries/{route}");
            workspace.post(&path, json!({ name: value })).await.invalid(name);
        }
        for (route, params) in [
            ("list", json!({})),
            ("redeliver", json!({ "webhook_delivery_id": UNKNOWN })),
            ("wait", json!({ "timeout": "PT1S" })),
        ] {
            let path = format!("/_emulator/webhook_deliveries/{route}");
            post_as("seam_testwrong_key", &path, params.clone()).await.error(401, "unauthorized");
            ask("GET", &path, &[], "").await.error(405, "method_not_allowed");
            let mut unknown_workspace = params.clone();
            unknown_workspace["workspace_id"] = json!(UNKNOWN);
            post_as("", &path, unknown_workspace).await.error(404, "workspace_not_found");
        }
        workspace
            .post("/_emulator/clock/advance", json!({ "by": "PT1S", "wait_for_webhooks": "yes" }))
            .await
            .invalid("wait_for_webhooks");
    });
}
