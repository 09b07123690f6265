//! Changed documents: the import rejects them with the error and stores nothing.

use super::*;
use latchkey::testing::store::snapshots::checksum;

/// Returns the document with a valid checksum, so that the import checks the rest of it.
fn signed(mut document: Value) -> Value {
    let checksum = checksum(document.as_object().unwrap()).unwrap();
    document["checksum"] = json!(checksum);
    document
}

/// Imports a document that must be rejected with a 400 response, and returns the error message.
async fn import_error(workspace: &TestWorkspace, document: &Value) -> String {
    workspace.import(document).await.invalid("snapshot").join(", ")
}

#[test]
fn changed_document_is_rejected_by_its_checksum() {
    run(async {
        let workspace = TestWorkspace::populated(json!({})).await;
        let (before, good) = (workspace.visible_state().await, workspace.export().await);
        assert_eq!(signed(good.clone()), good, "the checksum of the test equals the exported one");
        let mut edited = good.clone();
        edited["tables"]["device"][0]["name"] = json!("Another");
        let mut truncated = good.clone();
        truncated["tables"]["event"].as_array_mut().unwrap().pop();
        let mut unsigned = good.clone();
        unsigned.as_object_mut().unwrap().remove("checksum");
        for damaged in [edited, truncated, unsigned] {
            let message = import_error(&workspace, &damaged).await;
            assert!(message.starts_with("checksum"), "{message}");
        }
        // The order of the fields does not matter: other programs may write the document.
        let mut sorted: serde_json::Map<String, Value> = serde_json::Map::new();
        for (name, value) in good.as_object().unwrap().iter().rev() {
            sorted.insert(name.clone(), value.clone());
        }
        workspace.import(&Value::Object(sorted)).await.ok();
        assert_eq!((workspace.snapshots().await.len(), workspace.visible_state().await), (1, before));
    });
}

#[test]
fn import_without_a_document_is_rejected() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let path = "/_emulator/snapshots/import";
        workspace.post(path, json!({})).await.invalid("snapshot");
        for invalid in [json!(null), json!([]), json!("text"), json!(7)] {
            workspace.import(&invalid).await.invalid("snapshot");
        }
        assert!(import_error(&workspace, &json!({})).await.contains("not a snapshot of Latchkey"));
        let exported = workspace.export().await.to_string();
        let bearer = format!("Bearer {}", workspace.api_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let half = format!("{{\"snapshot\":{}", &exported[..exported.len() / 2]);
        ask("POST", path, &headers, half).await.error(400, "invalid_input");
        post_as("seam_test_nobody", path, json!({ "snapshot": {} })).await.error(401, "unauthorized");
        let unknown_workspace = json!({ "snapshot": workspace.export().await, "workspace_id": UNKNOWN });
        post_as("", path, unknown_workspace).await.error(404, "workspace_not_found");
        assert!(workspace.snapshots().await.is_empty());
    });
}

/// Change of a document: JSON pointer, new value (`None` removes the field), and a part of the expected error message.
type Damage = (&'static str, Option<Value>, &'static str);

/// Returns a text that is too long for an index even when it is compressed.
fn incompressible() -> String {
    let numbers = (0..5000_u64).scan(7_u64, |dice, _| {
        *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(dice.to_string())
    });
    numbers.collect()
}

fn damages() -> Vec<Damage> {
    let id = || Some(json!(UNKNOWN));
    vec![
        ("/format", Some(json!("zip")), "format"),
        ("/version", Some(json!(3)), "version 3 is unknown"),
        ("/version", Some(json!(0)), "version 0 is unknown"),
        ("/version", None, "version null"),
        ("/workspace_id", Some(json!("mine")), "workspace_id"),
        ("/tables/access_code/0/held_ends_at", Some(json!("2026-03-02T12:00:00Z")), "held_starts_at: must be null if"),
        ("/clock", None, "clock is missing"),
        ("/clock/mode", Some(json!("stopped")), "clock: unknown variant"),
        ("/clock/mode", Some(json!("running")), "clock: is not a valid clock"),
        ("/clock/now", Some(json!("yesterday")), "clock: is not a valid clock"),
        ("/clock/now", Some(json!("+12026-01-01T00:00:00Z")), "clock"),
        ("/workspace", Some(json!([])), "workspace is not an object"),
        ("/workspace/name", None, "workspace.name: is missing"),
        ("/workspace/name", Some(Value::Null), "workspace.name: is not a text"),
        ("/workspace/seed", Some(json!(7)), "workspace.seed: is not a text"),
        ("/workspace/slow_after_ms", Some(json!(-1)), "workspace.slow_after_ms: is not a number"),
        ("/workspace/faults_made", Some(json!(i64::MAX)), "workspace.faults_made: is not a number"),
        ("/workspace/publishable_key", Some(json!("seam_pk")), "workspace.publishable_key is unknown"),
        ("/tables", Some(json!([])), "tables is not an object"),
        ("/tables/device", Some(json!({})), "tables.device is not a list"),
        ("/tables/robot", Some(json!([])), "tables.robot is unknown"),
        ("/tables/device/0", Some(json!("lock")), "tables.device[0] is not an object"),
        ("/tables/device/1/color", Some(json!("red")), "tables.device[1] has other columns"),
        ("/tables/device/0/workspace_id", id(), "tables.device[0].workspace_id is unknown"),
        ("/tables/device/0/device_type", Some(json!("toaster")), "tables.device[0].device_type: toaster is not a lock"),
        ("/tables/device/0/device_id", Some(json!("front")), "tables.device[0].device_id: is not a UUID"),
        ("/tables/device/0/ordinal", Some(json!(2_147_483_647)), "tables.device[0].ordinal: is not a number"),
        ("/tables/device/0/ordinal", Some(json!(1)), "device_workspace_id_ordinal_key"),
        ("/tables/device/0/trouble", Some(json!({ "disconnected_at": "soon" })), "tables.device[0].trouble"),
        ("/tables/device/0/trouble", Some(Value::Null), "rejects"),
        ("/tables/device/0/overrides", Some(json!({ "battery_level": "low" })), "tables.device[0].overrides"),
        ("/tables/device/0/custom_metadata", Some(json!([])), "tables.device[0].custom_metadata"),
        ("/tables/device/1/backup_pool", Some(json!({})), "tables.device[1].backup_pool"),
        ("/tables/device/1/connected_account_id", id(), "there is no connected_account"),
        ("/tables/access_code/0/device_id", id(), "tables.access_code[0].device_id: there is no device"),
        ("/tables/access_code/0/code", Some(json!(1357)), "tables.access_code[0].code: is not a text"),
        ("/tables/access_code/0/code", Some(json!(incompressible())), "rejects"),
        ("/tables/access_code/0/starts_at", Some(json!("2026-03-05T12:00:00Z")), "access_code_check"),
        ("/tables/access_code/0/as_of", Some(json!("infinity")), "tables.access_code[0].as_of: is not an instant"),
        ("/tables/access_code/0/children", Some(json!(0.5)), "tables.access_code[0].children: is not a number"),
        ("/tables/access_code/0/is_managed", Some(json!("yes")), "tables.access_code[0].is_managed: is not true"),
        ("/tables/access_code/0/particulars", Some(json!({ "fate": "doom" })), "tables.access_code[0].particulars"),
        (
            "/tables/access_code/0/particulars",
            Some(json!({ "slow_since": "+12026-01-01T00:00:00Z" })),
            "tables.access_code[0].particulars",
        ),
        ("/tables/action_attempt/0/access_code_id", id(), "there is no access_code"),
        ("/tables/action_attempt/0/outcome", Some(json!({ "maybe": 1 })), "tables.action_attempt[0].outcome"),
        ("/tables/event/0/device_id", id(), "there is no device"),
        ("/tables/event/0/event_type", Some(Value::Null), "tables.event[0].event_type: is not a text"),
        ("/tables/event/0/payload", Some(json!("none")), "tables.event[0].payload"),
        ("/tables/fault/0/outcome", Some(json!({ "delay": "long" })), "tables.fault[0].outcome: long is not an ISO"),
        ("/tables/fault/0/after", Some(json!(-1)), "tables.fault[0].after: is not a number"),
        ("/tables/fault/0/times", Some(json!(0)), "fault_times_check"),
        ("/tables/fault/0/fault_id", None, "tables.fault[0].fault_id: is missing"),
    ]
}

fn apply(document: &Value, (index, value, _): &Damage) -> Value {
    let mut document = document.clone();
    let (parent, name) = index.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(name.to_owned(), value.clone())),
        (Value::Object(fields), None) => drop(fields.remove(name).unwrap()),
        (parent, value) => parent[name.parse::<usize>().unwrap()] = value.clone().unwrap(),
    }
    signed(document)
}

#[test]
fn invalid_document_is_rejected_with_the_path_of_the_error() {
    run(async {
        let workspace = TestWorkspace::populated(json!({})).await;
        let (before, good) = (workspace.visible_state().await, workspace.export().await);
        for damage in damages() {
            let reply = workspace.import(&apply(&good, &damage)).await;
            assert_eq!(reply.status, 400, "{}: {}", damage.0, reply.body);
            let message = reply.invalid("snapshot").join(", ");
            assert!(message.contains(damage.2), "{}: {message}", damage.0);
        }
        let mut doubled = good.clone();
        let event = doubled["tables"]["event"][0].clone();
        doubled["tables"]["event"].as_array_mut().unwrap().push(event);
        assert!(import_error(&workspace, &signed(doubled)).await.contains("is a duplicate"));
        assert_eq!((workspace.snapshots().await.len(), workspace.visible_state().await), (0, before));
        // An id that another workspace uses is valid, but conflicts.
        let other = TestWorkspace::with_locks(1).await;
        let own = good["tables"]["device"][2]["device_id"].as_str().unwrap();
        let renamed = good.to_string().replace(own, &other.lock(0));
        let conflicting = signed(serde_json::from_str(&renamed).unwrap());
        let error = workspace.import(&conflicting).await.error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains(&other.lock(0)), "{error}");
    });
}

#[test]
fn columns_missing_in_an_older_snapshot_get_their_default_values() {
    run(async {
        let workspace = TestWorkspace::populated(json!({})).await;
        let (before, mut old) = (workspace.visible_state().await, workspace.export().await);
        old["workspace"].as_object_mut().unwrap().remove("keeps_expired");
        old["tables"].as_object_mut().unwrap().remove("pin_group");
        for code in old["tables"]["access_code"].as_array_mut().unwrap() {
            code.as_object_mut().unwrap().remove("blocked_on");
        }
        let imported = workspace.import(&signed(old)).await.ok()["snapshot_id"].clone();
        workspace.restore(&imported).await;
        assert_eq!(workspace.visible_state().await, before);
    });
}

/// Collects the JSON pointers of a value and of all values in it, the value itself last.
fn collect_pointers(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| collect_pointers(value, &format!("{path}/{name}"), found));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| collect_pointers(value, &format!("{path}/{index}"), found));
        }
        _ => {}
    }
    found.push(path.to_owned());
}

#[test]
fn randomly_changed_documents_never_make_the_server_fail() {
    run(async {
        let workspace = TestWorkspace::populated(json!({})).await;
        let good = workspace.export().await;
        let mut pointers = Vec::new();
        collect_pointers(&good, "", &mut pointers);
        let values = [
            json!(null),
            json!(-1),
            json!(999_999_999),
            json!(1e300),
            json!(""),
            json!("x".repeat(5000)),
            json!([]),
            json!({}),
            json!(true),
            json!("9999-12-31T23:59:59.999Z"),
            json!("0001-01-01T00:00:00Z"),
        ];
        let mut dice = 1_usize;
        let mut import_count = 0;
        for turn in 0..240 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut document = good.clone();
            let pointer = &pointers[(dice >> 33) % pointers.len()];
            *document.pointer_mut(pointer).unwrap() = values[turn % values.len()].clone();
            if !document.is_object() {
                continue;
            }
            let reply = workspace.import(&signed(document)).await;
            let value = &values[turn % values.len()];
            assert!(matches!(reply.status, 200 | 400 | 409), "{pointer}: {value}: {}", reply.body);
            if reply.status != 200 {
                continue;
            }
            import_count += 1;
            workspace.restore(&reply.body["snapshot_id"]).await;
            // Further requests may be rejected, but the server does not fail.
            let code = json!({ "device_id": workspace.lock(1) });
            let requests = [("/_emulator/clock/advance", json!({ "by": "P1D" })), ("/access_codes/create", code)];
            for (path, params) in requests {
                assert!(workspace.post(path, params).await.status < 500, "{path}");
            }
            workspace.export().await;
            workspace
                .post("/_emulator/snapshots/delete", json!({ "snapshot_id": reply.body["snapshot_id"] }))
                .await
                .ok();
        }
        assert!(import_count > 10, "{import_count}");
    });
}

#[test]
fn version_1_document_is_read_with_the_checksum_of_version_1() {
    run(async {
        let workspace = TestWorkspace::populated(json!({})).await;
        let (before, good) = (workspace.visible_state().await, workspace.export().await);
        assert_eq!(good["version"], 2);
        let mut old = good.clone();
        old["version"] = json!(1);
        let imported = workspace.import(&signed(old.clone())).await.ok()["snapshot_id"].clone();
        workspace.restore(&imported).await;
        assert_eq!(workspace.visible_state().await, before);
        old["checksum"] = good["checksum"].clone();
        assert!(import_error(&workspace, &old).await.starts_with("checksum"));
    });
}

#[test]
fn version_2_checksum_is_computed_over_canonical_json() {
    // Another program computed the expected hash of the JSON with sorted keys and numbers as in RFC 8785.
    let document =
        json!({ "version": 2, "b": [1.0, 1e21, "é\n"], "a": { "z": null, "y": true }, "checksum": "not part of it" });
    let expected = checksum(document.as_object().unwrap()).unwrap();
    let other = json!({ "a": { "y": true, "z": null }, "b": [1, 1e21, "é\n"], "version": 2.0 });
    assert_eq!(checksum(other.as_object().unwrap()).unwrap(), expected);
    assert_eq!(expected, "7b9962163c89e72650196bc64c5d1ab4597aa1a6ec2174a501cba4a809f9cf47");
}

#[test]
fn inconsistent_document_is_rejected_or_corrected() {
    run(async {
        let seed = "rows that agree";
        let locks = json!([{ "device_type": "igloohome_lock" }, { "device_type": "wyze_lock" }]);
        let workspace = TestWorkspace::create_with(json!({ "seed": seed, "locks": locks })).await;
        let offline = json!({ "device_id": workspace.lock(0), "is_offline_access_code": true,
                              "starts_at": "2026-03-03T12:00:00Z", "ends_at": "2026-03-04T12:00:00Z" });
        workspace.create(offline.clone()).await;
        let later = json!({ "device_id": workspace.lock(1), "starts_at": "2026-04-03T12:00:00Z",
                            "ends_at": "2026-04-04T12:00:00Z" });
        let later = workspace.create(later).await["access_code_id"].clone();
        workspace.advance("PT1M").await;
        workspace.change_lock(1, json!({ "online": false })).await;
        workspace.change_lock(1, json!({ "account_connected": false })).await;
        workspace.change_lock(1, json!({ "account_connected": true, "online": true })).await;
        workspace.post("/_emulator/faults/create", json!({ "operation": "set", "outcome": { "fail": {} } })).await.ok();
        let good = workspace.export().await;
        workspace.import(&good).await.ok();
        // Find the account of the disconnected lock: the export orders the accounts by their ids.
        let accounts = good["tables"]["connected_account"].as_array().unwrap();
        let disconnected = accounts.iter().position(|account| account["provider"] == "wyze").unwrap();
        let (pointer_of_account, message_of_account) = if disconnected == 0 {
            ("/tables/connected_account/0/events_made", "tables.connected_account[0].events_made")
        } else {
            ("/tables/connected_account/1/events_made", "tables.connected_account[1].events_made")
        };
        for (index, value, message) in [
            ("/tables/access_code/0/particulars/offline/kind", None, "tables.access_code[0].particulars.offline.kind"),
            ("/tables/access_code/0/particulars/offline", None, "tables.access_code[0].particulars.offline.kind"),
            ("/tables/access_code/0/particulars/offline/kind", Some(json!("weekly")), "offline.kind: is not one of"),
            ("/tables/access_code/0/children", Some(json!(1)), "tables.access_code[0].children: is less than the "),
            ("/tables/device/1/events_made", Some(json!(0)), "tables.device[1].events_made: is less than the "),
            ("/tables/device/1/access_code_ordinal", Some(json!(0)), "tables.device[1].access_code_ordinal"),
            (pointer_of_account, Some(json!(1)), message_of_account),
            ("/workspace/faults_made", Some(json!(0)), "workspace.faults_made: is less than the 1"),
        ] {
            let error = import_error(&workspace, &apply(&good, &(index, value, ""))).await;
            assert!(error.contains(message), "{index}: {error}");
        }
        // `due_at` follows from the other data, so a wrong value has no effect.
        for wrong in [Value::Null, json!("2026-12-01T00:00:00Z")] {
            let edited = apply(&good, &("/tables/access_code/1/due_at", Some(wrong), ""));
            let imported = workspace.import(&edited).await.ok()["snapshot_id"].clone();
            workspace.restore(&imported).await;
            let fault = workspace.get("/_emulator/faults/list").await.ok()["faults"][0]["fault_id"].clone();
            workspace.post("/_emulator/faults/delete", json!({ "fault_id": fault })).await.ok();
            workspace.advance_to("2026-04-03T12:00:00.000Z").await;
            assert_eq!(workspace.access_code(&later).await["status"], "set");
            workspace.create(offline_later(&offline)).await;
        }
    });
}

fn offline_later(offline: &Value) -> Value {
    let mut later = offline.clone();
    later["starts_at"] = json!("2026-04-05T12:00:00Z");
    later["ends_at"] = json!("2026-04-06T12:00:00Z");
    later
}

#[test]
fn document_without_a_newer_column_gives_it_its_default() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let mut older = workspace.export().await;
        for device in older["tables"]["device"].as_array_mut().unwrap() {
            for newer in ["deleted_at", "is_managed", "nickname", "lock_operations"] {
                device.as_object_mut().unwrap().remove(newer).unwrap();
            }
        }
        let imported = workspace.import(&signed(older)).await.ok()["snapshot_id"].clone();
        let (first, second) = (json!({ "device_id": workspace.lock(0) }), json!({ "device_id": workspace.lock(1) }));
        workspace.post("/devices/delete", first.clone()).await.ok();
        let unmanaged = json!({ "device_id": workspace.lock(1), "is_managed": false });
        workspace.post("/devices/update", unmanaged).await.ok();
        workspace.restore(&imported).await;
        for lock in [first, second] {
            assert_eq!(workspace.post("/devices/get", lock).await.ok()["device"]["is_managed"], true);
        }
    });
}
