//! Input that is too large or has too many mistakes: the error response stays short.

use super::JSON;
use crate::support::{TestWorkspace, run};
use serde_json::{Map, Value, json};

/// Checks that an error counts all issues and lists a hundred of them. Returns its message.
#[track_caller]
fn check_issue_count(error: &Value, count: usize) -> &str {
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("{count} Input Errors, the first 100 are: ")), "{message:.300}");
    let tree = error["validation_errors"].to_string();
    assert_eq!(tree.matches("_errors\":[\"").count(), 100, "{tree:.300}");
    message
}

fn unknown(count: usize) -> Map<String, Value> {
    (0..count).map(|number| (format!("devcie_id{number}"), json!(1))).collect()
}

#[test]
fn unknown_parameters_are_counted_and_a_hundred_are_listed() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.post("/_emulator/strictness/set", json!({ "strictness": "strict" })).await.ok();
        for path in ["/devices/list", "/_emulator/devices/create"] {
            let mut body = unknown(50_000);
            body.insert("device_type".to_owned(), json!("august_lock"));
            let refused = workspace.post(path, body.into()).await.error(400, "invalid_input");
            let message = check_issue_count(&refused, 50_000);
            assert!(message.ends_with("for \"devcie_id99\"") && message.len() < 20_000, "{message:.300}");
        }
        let few = workspace.post("/devices/list", unknown(100).into()).await.error(400, "invalid_input");
        assert!(few["message"].as_str().unwrap().starts_with("100 Input Errors: Unknown parameter"), "{few:.300}");
        let more = workspace.post("/devices/list", unknown(101).into()).await.error(400, "invalid_input");
        check_issue_count(&more, 101);
        let logged = workspace.get("/_emulator/requests").await.ok();
        let logged = logged["requests"].as_array().unwrap().last().unwrap();
        assert_eq!(logged["unknown_parameters"].as_array().unwrap().len(), 100);
    });
}

#[test]
fn invalid_values_are_counted_and_a_hundred_are_listed() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let body = json!({ "device_ids": vec![1; 50_000], "starts_at": false });
        let refused = workspace.post("/access_codes/create_multiple", body).await.error(400, "invalid_input");
        check_issue_count(&refused, 50_001);
        let body = json!({ "event_types": vec!["a"; 10_000] });
        let refused = workspace.post("/events/list", body).await.error(400, "invalid_input");
        check_issue_count(&refused, 10_000);
        // The mismatches of a value with a union are no issues of their own, and at most a hundred are listed, too.
        let body = json!({ "locks": vec![1; 10_000] });
        let refused = workspace.post("/_emulator/workspaces/create", body).await.error(400, "invalid_input");
        assert_eq!(refused["message"], "Invalid input for \"locks\"");
        assert_eq!(refused["validation_errors"].to_string().matches("received").count(), 100);
    });
}

#[test]
fn control_plane_lists_that_are_too_long_are_rejected_by_name() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let lock = json!({ "device_type": "august_lock" });
        let many = workspace.post("/_emulator/workspaces/create", json!({ "locks": vec![lock; 10_001] })).await;
        assert_eq!(many.invalid("locks"), ["Array must contain at most 10000 element(s)"]);
        for (name, item) in [
            ("code_constraints", json!({ "constraint_type": "no_zeros" })),
            ("errors", json!({ "error_code": "device_offline" })),
            ("warnings", json!({ "warning_code": "unknown_issue_with_phone" })),
        ] {
            let params = |count| json!({ "device_type": "august_lock", name: vec![item.clone(); count] });
            let many = workspace.post("/_emulator/devices/create", params(101)).await;
            assert_eq!(many.invalid(name), ["Array must contain at most 100 element(s)"], "{name}");
        }
        let allowed = vec![json!({ "constraint_type": "no_zeros" }); 100];
        let params = json!({ "device_type": "august_lock", "code_constraints": allowed });
        workspace.post("/_emulator/devices/create", params).await.ok();
    });
}

#[test]
fn long_names_and_values_are_cut_in_error_messages() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let long = "x".repeat(900_000);
        let quoted = format!("{}…", "x".repeat(200));
        let refused =
            workspace.post("/_emulator/devices/create", json!({ "device_type": "august_lock", &long: 1 })).await;
        assert_eq!(refused.error(400, "invalid_input")["message"], format!("Unknown parameter for \"{quoted}\""));
        let refused = workspace.post("/events/list", json!({ "event_type": long })).await.invalid("event_type");
        assert!(refused[0].ends_with(&format!("received '{quoted}'")), "{:.300}", refused[0]);
        let params = json!({ "device_id": workspace.lock(0), "code": "2468", "name": long });
        workspace.create(json!({ "device_id": workspace.lock(0), "code": "2468" })).await;
        let refused = workspace.post("/access_codes/create", params).await.error(409, "duplicate_access_code");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains(&format!(" named {quoted}")) && message.len() < 1000, "{message:.1000}");
        let key = "k".repeat(5000);
        let path = format!("/devices/list?custom_metadata_has.{key}=1&custom_metadata_has.{key}=2");
        let refused = workspace.get(&path).await.error(400, "invalid_query_params");
        assert!(refused["message"].as_str().unwrap().len() < 500, "{refused:.1000}");
    });
}

#[test]
fn numbers_beyond_the_range_of_a_double_are_rejected() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let digits = "9".repeat(100_000);
        for number in ["1e400", "-1e400", &digits, &format!("-{digits}.{digits}e{digits}"), "1e999999999999"] {
            for (path, name) in
                [("/devices/list", "limit"), ("/access_codes/create", "preferred_code_length"), ("/events/list", "x")]
            {
                let body = format!("{{\"{name}\": {number}}}");
                workspace.ask("POST", path, &[JSON], body.clone()).await.error(400, "invalid_input");
                workspace.ask("POST", path, &[JSON], format!("{{\"y\": [{body}]}}")).await.error(400, "invalid_input");
            }
        }
        for number in ["1e308", "-1e308", "18446744073709551615", "1e-400"] {
            let body = format!("{{\"limit\": {number}}}");
            let reply = workspace.ask("POST", "/devices/list", &[JSON], body).await;
            assert!(reply.status < 500, "{number}: {}", reply.body);
        }
    });
}
