//! Rate limits of locks, and the strictness about unknown parameters.

use crate::concurrency::send_concurrently;
use crate::support::{Reply, TestWorkspace, UNKNOWN, ask, post_as, run};
use serde_json::{Value, json};

async fn set_limits(workspace: &TestWorkspace, limits: Value) -> Value {
    workspace.post("/_emulator/rate_limits/set", limits).await.ok()["limits"].clone()
}

async fn create(workspace: &TestWorkspace, index: usize) -> Reply {
    workspace.post("/access_codes/create", json!({ "device_id": workspace.lock(index) })).await
}

fn id_of(created: Reply) -> Value {
    created.ok()["access_code"]["access_code_id"].clone()
}

async fn count_attempts(workspace: &TestWorkspace) -> usize {
    let listed = workspace.post("/action_attempts/list", json!({ "device_id": workspace.lock(0) })).await.ok();
    listed["action_attempts"].as_array().unwrap().len()
}

#[test]
fn seam_rate_limits_count_per_device_and_minute_of_the_workspace_clock() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let seam = json!({ "create": 10, "update": 10, "delete": 20, "lock": 15, "unlock": 15, "per": "PT60S" });
        assert_eq!(set_limits(&workspace, json!("seam")).await, seam);
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(id_of(create(&workspace, 0).await));
        }
        workspace.advance("PT20.5S").await;
        let refused = create(&workspace, 0).await;
        assert_eq!(refused.headers["retry-after"], "40", "39.5 seconds, rounded up");
        let error = refused.error(429, "rate_limit_exceeded");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&workspace.lock(0)) && message.contains("2026-03-02T12:01:00.000Z"), "{message}");
        assert_eq!(error["data"]["device_id"], json!(workspace.lock(0)));
        create(&workspace, 1).await.ok();
        // A rejected request does not count and creates no action attempt.
        assert_eq!(count_attempts(&workspace).await, 10);
        for (id, name) in ids.iter().zip('a'..) {
            let renamed = json!({ "access_code_id": id, "name": name.to_string() });
            workspace.post("/access_codes/update", renamed).await.ok();
        }
        let renamed = json!({ "access_code_id": ids[0], "name": "z" });
        workspace.post("/access_codes/update", renamed.clone()).await.error(429, "rate_limit_exceeded");
        workspace.advance("PT39.5S").await;
        ids.push(id_of(create(&workspace, 0).await));
        workspace.post("/access_codes/update", renamed.clone()).await.error(429, "rate_limit_exceeded");
        workspace.advance("PT20.5S").await;
        workspace.post("/access_codes/update", renamed).await.ok();
        for _ in 0..9 {
            ids.push(id_of(create(&workspace, 0).await));
        }
        assert_eq!(ids.len(), 20);
        for id in &ids {
            workspace.post("/access_codes/delete", json!({ "access_code_id": id })).await.ok();
        }
    });
}

#[test]
fn delete_limit_is_separate_and_a_rejected_deletion_changes_nothing() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let ids = [id_of(create(&workspace, 0).await), id_of(create(&workspace, 0).await)];
        set_limits(&workspace, json!({ "delete": 1 })).await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": ids[0] })).await.ok();
        let refused = workspace.post("/access_codes/delete", json!({ "access_code_id": ids[1] })).await;
        refused.error(429, "rate_limit_exceeded");
        assert_eq!(workspace.access_code(&ids[1]).await["pending_mutations"][0]["mutation_code"], "creating");
        workspace.advance("PT1M").await;
        workspace.post("/access_codes/delete", json!({ "access_code_id": ids[1] })).await.ok();
    });
}

#[test]
fn rate_limits_are_off_until_set_and_off_again_when_removed() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        for _ in 0..11 {
            create(&workspace, 0).await.ok();
        }
        let expected =
            json!({ "create": 2, "update": null, "delete": null, "lock": null, "unlock": null, "per": "PT90.500S" });
        assert_eq!(set_limits(&workspace, json!({ "create": 2, "per": "PT1M30.5S" })).await, expected);
        assert_eq!(set_limits(&workspace, json!({ "limits": { "create": 2, "per": "PT1M30.5S" } })).await, expected);
        create(&workspace, 0).await.error(429, "rate_limit_exceeded");
        create(&other, 0).await.ok();
        assert_eq!(set_limits(&workspace, json!({ "limits": "off" })).await, "off");
        create(&workspace, 0).await.ok();
    });
}

#[test]
fn request_for_several_locks_counts_for_each_and_runs_wholly_or_not_at_all() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        set_limits(&workspace, json!({ "create": 2, "update": 1 })).await;
        let on_all_locks = json!({ "device_ids": workspace.locks() });
        let created = workspace.post("/access_codes/create_multiple", on_all_locks.clone()).await.ok();
        create(&workspace, 1).await.ok();
        let refused = workspace.post("/access_codes/create_multiple", on_all_locks.clone()).await;
        let error = refused.error(429, "rate_limit_exceeded");
        assert_eq!(error["data"]["device_id"], json!(workspace.lock(1)));
        for index in [0, 2] {
            let on_lock = json!({ "device_id": workspace.lock(index) });
            let listed = workspace.post("/access_codes/list", on_lock).await.ok();
            assert_eq!(listed["access_codes"].as_array().unwrap().len(), 1, "no code was created");
            create(&workspace, index).await.ok();
            create(&workspace, index).await.error(429, "rate_limit_exceeded");
        }
        let key = &created["access_codes"][0]["common_code_key"];
        let renamed = |name: &str| json!({ "common_code_key": key, "name": name });
        workspace.post("/access_codes/update_multiple", renamed("a")).await.ok();
        workspace.post("/access_codes/update_multiple", renamed("b")).await.error(429, "rate_limit_exceeded");
        let code = &created["access_codes"][0]["access_code_id"];
        assert_eq!(workspace.access_code(code).await["name"], "a");
        workspace.advance("PT1M").await;
        workspace.post("/access_codes/update_multiple", renamed("b")).await.ok();
        workspace.post("/access_codes/create_multiple", on_all_locks).await.ok();
    });
}

#[test]
fn rate_limits_count_all_requests_of_a_batch() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        set_limits(&workspace, json!({ "create": 5, "update": 3 })).await;
        let requests = (0..30).map(|index| ("/access_codes/create", json!({ "device_id": workspace.lock(index % 2) })));
        let replies = send_concurrently(&workspace.api_key, requests.collect()).await;
        let (created, refused): (Vec<Reply>, Vec<Reply>) = replies.into_iter().partition(|reply| reply.status == 200);
        assert_eq!(created.len(), 10);
        assert!(refused.iter().all(|reply| reply.status == 429));
        let ids: Vec<Value> = created.into_iter().map(id_of).collect();
        let update = |name: usize| {
            ("/access_codes/update", json!({ "access_code_id": ids[name % 10], "name": name.to_string() }))
        };
        let replies = send_concurrently(&workspace.api_key, (0..30).map(update).collect()).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 6);
        assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 429)));
    });
}

#[test]
fn rate_limits_that_are_invalid_are_rejected() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let invalid_limits = [
            json!({}),
            json!("sometimes"),
            json!(5),
            json!([]),
            json!({ "limits": {} }),
            json!({ "limits": "on" }),
            json!({ "limits": { "create": 0 } }),
            json!({ "limits": { "creat": 1 } }),
            json!({ "limits": "seam", "create": 1 }),
            json!({ "create": 0 }),
            json!({ "create": 1.5 }),
            json!({ "create": 10_000_000_000_i64 }),
            json!({ "delete": "few" }),
            json!({ "per": "PT1M" }),
            json!({ "create": 1, "per": "PT0S" }),
            json!({ "create": 1, "per": "-PT1M" }),
            json!({ "create": 1, "per": "minute" }),
        ];
        for params in invalid_limits {
            workspace.post("/_emulator/rate_limits/set", params).await.error(400, "invalid_input");
        }
        let nowhere = json!({ "limits": "seam", "workspace_id": UNKNOWN });
        post_as("", "/_emulator/rate_limits/set", nowhere).await.error(404, "workspace_not_found");
        post_as("seam_test_wrong", "/_emulator/rate_limits/set", json!("seam")).await.error(401, "unauthorized");
        for _ in 0..11 {
            create(&workspace, 0).await.ok();
        }
    });
}

#[test]
fn strict_workspace_rejects_unknown_parameters_and_suggests_a_name() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(1).await, TestWorkspace::with_locks(1).await);
        let set_strictness = async |params: Value| workspace.post("/_emulator/strictness/set", params).await.ok();
        let misspelt =
            |workspace: &TestWorkspace| json!({ "device_id": workspace.lock(0), "preferred_code_lenght": 5 });
        workspace.post("/access_codes/create", misspelt(&workspace)).await.ok();
        assert_eq!(set_strictness(json!("strict")).await["strictness"], "strict");
        let messages =
            workspace.post("/access_codes/create", misspelt(&workspace)).await.invalid("preferred_code_lenght");
        assert_eq!(messages, [r#"Unknown parameter (did you mean "preferred_code_length"?)"#]);
        other.post("/access_codes/create", misspelt(&other)).await.ok();
        // The missing parameter is reported, too.
        let error = workspace.post("/access_codes/create", json!({ "devcie_id": 1 })).await.error(400, "invalid_input");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(r#"(did you mean "device_id"?) for "devcie_id""#), "{message}");
        assert!(message.contains("device_id is required"), "{message}");
        assert_eq!(workspace.get("/devices/list?limti=1").await.invalid("limti").len(), 1);
        assert_eq!(workspace.get("/devices/list?x=1").await.invalid("x"), ["Unknown parameter"]);
        assert_eq!(workspace.get("/workspaces/get?x=1").await.invalid("x"), ["Unknown parameter"]);
        let free = json!({ "custom_metadata_has": { "any": "thing" }, "limit": 5 });
        workspace.post("/devices/list", free).await.ok();
        workspace.get("/devices/list?custom_metadata_has.any=thing&_strict=true").await.ok();
        assert_eq!(set_strictness(json!({ "strictness": "seam" })).await["strictness"], "seam");
        // The control plane is always strict.
        let misspelt_times = json!({ "operation": "set", "outcome": "never", "time": 1 });
        let messages = workspace.post("/_emulator/faults/create", misspelt_times).await.invalid("time");
        assert_eq!(messages, [r#"Unknown parameter (did you mean "times"?)"#]);
        workspace.post("/access_codes/create", misspelt(&workspace)).await.ok();

        for wrong in [json!({}), json!("lax"), json!(true), json!({ "strictness": null })] {
            workspace.post("/_emulator/strictness/set", wrong).await.invalid("strictness");
        }
        let nowhere = json!({ "strictness": "strict", "workspace_id": UNKNOWN });
        post_as("", "/_emulator/strictness/set", nowhere).await.error(404, "workspace_not_found");
        let wrong = [("authorization", "Bearer seam_test_wrong"), ("content-type", "application/json")];
        ask("POST", "/_emulator/strictness/set", &wrong, r#""strict""#).await.error(401, "unauthorized");
    });
}

#[test]
fn strict_workspace_accepts_everything_that_official_clients_send() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        workspace.post("/_emulator/strictness/set", json!("strict")).await.ok();
        let code = workspace
            .create(json!({
                "device_id": workspace.lock(0), "name": "Ada", "code": "4567", "starts_at": "2026-03-02T12:00:00Z",
                "ends_at": "2026-03-05T12:00:00Z", "attempt_for_offline_device": true, "sync": false,
                "prefer_native_scheduling": true, "use_backup_access_code_pool": false, "is_offline_access_code": false,
            }))
            .await;
        let id = &code["access_code_id"];
        workspace.post("/access_codes/update", json!({ "access_code_id": id, "name": "Eve" })).await.ok();
        workspace.get(&format!("/access_codes/get?access_code_id={}&_strict=true", id.as_str().unwrap())).await.ok();
        let ids =
            format!("/devices/list?device_ids={}&device_ids={}&_strict=true", workspace.lock(0), workspace.lock(1));
        workspace.get(&ids).await.ok();
    });
}
