//! Reads of access grants and methods: filters, related objects, pages.

use super::{FAR, codes, far_stay, grant};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

async fn list(workspace: &TestWorkspace, filter: Value) -> Vec<Value> {
    let found = workspace.post("/access_grants/list", filter).await.ok();
    let grants = found["access_grants"].as_array().unwrap().iter();
    grants.map(|grant| grant["access_grant_id"].clone()).collect()
}

#[test]
fn access_grants_are_found_by_each_filter() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let space = json!({ "name": "Apartment", "device_ids": [workspace.lock(1)] });
        let space = workspace.post("/spaces/create", space).await.ok()["space"]["space_id"].clone();
        let first = json!({
            "device_ids": [workspace.lock(0)], "access_grant_key": "first", "reservation_key": "stay",
            "user_identity": { "full_name": "Jane Doe", "email_address": "jane@example.com" },
        });
        let first = grant(&workspace, first).await;
        let second = grant(&workspace, json!({ "space_ids": [space] })).await;
        let (one, two) = (first["access_grant_id"].clone(), second["access_grant_id"].clone());
        let code = codes(&workspace, &second).await[0]["access_code_id"].clone();
        for (filter, expected) in [
            (json!({}), vec![two.clone(), one.clone()]),
            (json!({ "access_grant_ids": [one] }), vec![one.clone()]),
            (json!({ "access_grant_key": "first" }), vec![one.clone()]),
            (json!({ "access_code_id": code }), vec![two.clone()]),
            (json!({ "device_id": workspace.lock(0) }), vec![one.clone()]),
            (json!({ "device_id": workspace.lock(1) }), vec![two.clone()]),
            (json!({ "space_id": space }), vec![two.clone()]),
            (json!({ "location_id": space }), vec![two.clone()]),
            (json!({ "user_identity_id": first["user_identity_id"] }), vec![one.clone()]),
            (json!({ "reservation_key": "stay" }), vec![one.clone()]),
            (json!({ "search": "JANE@" }), vec![one.clone()]),
            (json!({ "search": "nobody" }), vec![]),
            (json!({ "customer_key": "acme" }), vec![]),
            (json!({ "acs_system_id": UNKNOWN }), vec![]),
        ] {
            assert_eq!(list(&workspace, filter.clone()).await, expected, "{filter}");
        }
        let without_key = workspace.get("/access_grants/list?access_grant_key=").await.ok();
        assert_eq!(without_key["access_grants"][0]["access_grant_id"], two);
        assert_eq!(without_key["access_grants"].as_array().unwrap().len(), 1);
        for filter in ["access_grant_id", "access_method_id"] {
            let id = if filter == "access_grant_id" { &one } else { &first["access_method_ids"][0] };
            let mut params = json!({});
            params[filter] = id.clone();
            let found = workspace.post("/access_codes/list", params.clone()).await.ok();
            assert_eq!(found["access_codes"].as_array().unwrap().len(), 1);
            assert!(!workspace.events(params).await.is_empty());
        }
        let found = workspace.post("/access_codes/list", json!({ "access_grant_key": "first" })).await.ok();
        assert_eq!(found["access_codes"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn access_grants_are_listed_in_pages() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for _ in 0..3 {
            far_stay(&workspace).await;
        }
        let first = workspace.post("/access_grants/list", json!({ "limit": 2 })).await.ok();
        let cursor = &first["pagination"]["next_page_cursor"];
        let second = workspace.post("/access_grants/list", json!({ "limit": 2, "page_cursor": cursor })).await.ok();
        assert_eq!(second["access_grants"].as_array().unwrap().len(), 1);
        assert_eq!(second["pagination"]["has_next_page"], false);
    });
}

#[test]
fn access_methods_are_listed_by_their_grant() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let params = json!({
            "device_ids": workspace.locks(), "access_grant_key": "stay",
            "requested_access_methods": [{ "mode": "code" }, { "mode": "code" }],
        });
        let created = grant(&workspace, params).await;
        let by_key = json!({ "access_grant_key": "stay", "limit": 1 });
        let found = workspace.post("/access_methods/list", by_key).await.ok();
        assert_eq!(found["pagination"]["has_next_page"], true);
        let code = codes(&workspace, &created).await.remove(0);
        let by_code = json!({
            "access_grant_id": created["access_grant_id"], "access_code_id": code["access_code_id"],
            "device_id": code["device_id"],
        });
        let found = workspace.post("/access_methods/list", by_code).await.ok();
        assert_eq!(found["access_methods"][0]["code"], code["code"]);
        assert_eq!(found["access_methods"].as_array().unwrap().len(), 1);
        let alone = json!({ "device_id": code["device_id"] });
        workspace.post("/access_methods/list", alone).await.error(400, "invalid_input");
    });
}

#[test]
fn access_grant_and_method_name_their_related_objects() {
    run(async {
        let workspace = TestWorkspace::with_locks(3).await;
        let created = far_stay(&workspace).await;
        let params = json!({ "access_grant_ids": [created["access_grant_id"]] });
        let batch = workspace.post("/access_grants/get_related", params.clone()).await.ok()["batch"].clone();
        let count = |batch: &Value, name: &str| batch[name].as_array().map(Vec::len);
        assert_eq!(count(&batch, "devices"), Some(3));
        assert_eq!((count(&batch, "user_identities"), count(&batch, "access_methods")), (Some(1), Some(1)));
        assert_eq!((count(&batch, "spaces"), count(&batch, "acs_systems")), (Some(0), Some(0)));
        let mut some = params;
        some["include"] = json!(["devices", "access_methods"]);
        some["exclude"] = json!(["devices"]);
        let batch = workspace.post("/access_grants/get_related", some).await.ok()["batch"].clone();
        assert_eq!(batch.as_object().unwrap().keys().collect::<Vec<_>>(), ["access_methods"]);
        let params = json!({ "access_method_ids": created["access_method_ids"] });
        let batch = workspace.post("/access_methods/get_related", params).await.ok()["batch"].clone();
        assert_eq!((count(&batch, "devices"), count(&batch, "access_grants")), (Some(3), Some(1)));
        let unknown = json!({ "access_grant_ids": [UNKNOWN] });
        workspace.post("/access_grants/get_related", unknown).await.error(404, "access_grant_not_found");
    });
}

#[test]
fn access_grant_is_read_by_its_key_or_its_id() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({ "device_ids": workspace.locks(), "access_grant_key": "stay", "ends_at": FAR[1] });
        let created = grant(&workspace, params).await;
        let found = workspace.get("/access_grants/get?access_grant_key=stay").await.ok();
        assert_eq!(found["access_grant"]["access_grant_id"], created["access_grant_id"]);
        let both = json!({ "access_grant_key": "stay", "access_grant_id": created["access_grant_id"] });
        workspace.post("/access_grants/get", both).await.error(400, "invalid_input");
        workspace.post("/access_grants/get", json!({})).await.error(400, "invalid_input");
    });
}

#[test]
fn access_grants_and_methods_that_are_unmanaged_do_not_exist() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let found = workspace.post("/access_grants/unmanaged/list", json!({})).await.ok();
        assert_eq!(found["access_grants"], json!([]));
        let id = json!({ "access_grant_id": UNKNOWN });
        workspace.post("/access_grants/unmanaged/get", id).await.error(404, "access_grant_not_found");
        let id = json!({ "access_method_id": UNKNOWN });
        workspace.post("/access_methods/unmanaged/get", id).await.error(404, "access_method_not_found");
        let created = far_stay(&workspace).await;
        let params = json!({ "access_method_id": created["access_method_ids"][0], "acs_encoder_id": UNKNOWN });
        workspace.post("/access_methods/encode", params).await.error(400, "invalid_input");
    });
}
