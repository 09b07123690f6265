//! `/access_codes/get`, `/list` and `/generate_code`.

use super::{on_lock, pin, request_errors, rows};
use crate::support::{TestWorkspace, UNKNOWN, run};
use serde_json::{Value, json};

/// Returns the ids in a list response, in its order.
fn ids(listed: &Value) -> Vec<&str> {
    listed["access_codes"].as_array().unwrap().iter().map(|code| code["access_code_id"].as_str().unwrap()).collect()
}

fn id(code: &Value) -> &str {
    code["access_code_id"].as_str().unwrap()
}

#[test]
fn get_finds_a_code_by_id_or_by_lock_and_pin() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        let elsewhere = workspace.create(on_lock(&workspace, 1, json!({ "code": "4826" }))).await;
        for (params, found) in [
            (json!({ "access_code_id": code["access_code_id"] }), &code),
            (json!({ "access_code_id": code["access_code_id"], "device_id": workspace.lock(0) }), &code),
            (on_lock(&workspace, 0, json!({ "code": "4826" })), &code),
            (on_lock(&workspace, 1, json!({ "code": "4826" })), &elsewhere),
        ] {
            let body = workspace.post("/access_codes/get", params).await.ok();
            assert_eq!(body, json!({ "access_code": found, "ok": true }));
        }
        let path = format!("/access_codes/get?access_code_id={}&_strict=true", id(&code));
        assert_eq!(workspace.get(&path).await.ok()["access_code"], code);
        let path = format!("/access_codes/get?device_id={}&code=4826", workspace.lock(1));
        assert_eq!(workspace.get(&path).await.ok()["access_code"], elsewhere);
    });
}

#[test]
fn get_by_pin_finds_the_code_with_the_earliest_time_frame() {
    run(async {
        let workspace =
            TestWorkspace::create_with(json!({ "locks": 1, "allow_same_code_in_disjoint_windows": true })).await;
        let window = |day: u32| {
            let (starts_at, ends_at) = (format!("2026-04-{day}T12:00:00Z"), format!("2026-04-{day}T18:00:00Z"));
            on_lock(&workspace, 0, json!({ "code": "4826", "starts_at": starts_at, "ends_at": ends_at }))
        };
        workspace.create(window(20)).await;
        let first = workspace.create(window(10)).await;
        workspace.create(window(15)).await;
        let found = workspace.post("/access_codes/get", on_lock(&workspace, 0, json!({ "code": "4826" }))).await.ok();
        assert_eq!(found["access_code"], first);
    });
}

#[test]
fn get_does_not_find_unknown_codes_or_those_of_other_workspaces() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        let code = workspace.create(on_lock(&workspace, 0, json!({ "code": "4826" }))).await;
        let id = &code["access_code_id"];
        for params in [
            json!({ "access_code_id": UNKNOWN }),
            json!({ "access_code_id": id, "device_id": workspace.lock(1) }),
            on_lock(&workspace, 1, json!({ "code": "4826" })),
            on_lock(&workspace, 0, json!({ "code": "482" })),
            json!({ "device_id": UNKNOWN, "code": "4826" }),
        ] {
            let error = workspace.post("/access_codes/get", params.clone()).await.error(404, "access_code_not_found");
            assert_eq!(error["message"], "Could not find an access_code with device_id or access_code_id");
            let mut selectors = params;
            selectors.as_object_mut().unwrap().remove("code");
            assert_eq!(error["data"], selectors, "only the ids of the request");
        }
        other.post("/access_codes/get", json!({ "access_code_id": id })).await.error(404, "access_code_not_found");
        let by_pin = json!({ "device_id": workspace.lock(0), "code": "4826" });
        other.post("/access_codes/get", by_pin).await.error(404, "access_code_not_found");
    });
}

#[test]
fn get_requires_either_an_id_or_a_lock_and_a_pin() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for params in [json!({}), json!({ "code": "4826" }), on_lock(&workspace, 0, json!({}))] {
            let error = workspace.post("/access_codes/get", params).await.error(400, "invalid_input");
            assert_eq!(request_errors(&error), ["Either access_code_id, or device_id and code, are required"]);
        }
        let conflicting = json!({ "access_code_id": UNKNOWN, "code": "4826" });
        let error = workspace.post("/access_codes/get", conflicting).await.error(400, "invalid_input");
        assert_eq!(request_errors(&error), ["Give access_code_id, or device_id and code, not both"]);
        let malformed = json!({ "access_code_id": "4826" });
        assert_eq!(workspace.post("/access_codes/get", malformed).await.invalid("access_code_id"), ["Invalid uuid"]);
    });
}

#[test]
fn list_returns_codes_newest_first_by_lock_and_by_id() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        let mut codes = Vec::new();
        for index in [0, 1, 0, 1, 0] {
            codes.push(workspace.create(on_lock(&workspace, index, json!({}))).await);
            workspace.advance("PT1M").await;
        }
        let list = async |params| workspace.post("/access_codes/list", params).await.ok();
        let first = list(json!({ "device_id": workspace.lock(0) })).await;
        assert_eq!(ids(&first), [id(&codes[4]), id(&codes[2]), id(&codes[0])]);
        assert_eq!(
            first["pagination"],
            json!({ "next_page_cursor": null, "has_next_page": false, "next_page_url": null })
        );
        assert_eq!(first["access_codes"][0], workspace.access_code(&codes[4]["access_code_id"]).await);

        let by_ids = json!({ "access_code_ids": [id(&codes[0]), id(&codes[3]), id(&codes[1]), UNKNOWN] });
        assert_eq!(ids(&list(by_ids.clone()).await), [id(&codes[3]), id(&codes[1]), id(&codes[0])]);
        let mut combined = by_ids.clone();
        combined["device_id"] = json!(workspace.lock(1));
        assert_eq!(ids(&list(combined).await), [id(&codes[3]), id(&codes[1])], "both filters apply");
        assert_eq!(ids(&list(json!({ "access_code_ids": [] })).await), [""; 0]);
        let path = format!("/access_codes/list?access_code_ids={}&access_code_ids={}", id(&codes[0]), id(&codes[1]));
        assert_eq!(ids(&workspace.get(&path).await.ok()), [id(&codes[1]), id(&codes[0])]);
        assert_eq!(ids(&other.post("/access_codes/list", by_ids).await.ok()), [""; 0]);
    });
}

#[test]
fn list_of_an_unknown_device_is_not_found() {
    run(async {
        let (workspace, other) = (TestWorkspace::with_locks(2).await, TestWorkspace::with_locks(1).await);
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        for path in ["/access_codes/list", "/access_codes/unmanaged/list"] {
            for device_id in [UNKNOWN.to_owned(), other.lock(0)] {
                let params = json!({ "device_id": device_id });
                workspace.post(path, params).await.error(404, "device_not_found");
                workspace.get(&format!("{path}?device_id={device_id}")).await.error(404, "device_not_found");
            }
            assert_eq!(ids(&workspace.post(path, on_lock(&workspace, 1, json!({}))).await.ok()), [""; 0], "{path}");
        }
        workspace.change_lock(0, json!({ "removed": true })).await;
        let listed = workspace.post("/access_codes/list", on_lock(&workspace, 0, json!({}))).await.ok();
        assert_eq!(ids(&listed), [id(&code)], "a removed device is found while it has codes");
    });
}

#[test]
fn list_selectors_that_are_not_emulated_select_nothing() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({}))).await;
        for name in ["access_grant_id", "access_grant_key", "access_method_id", "customer_key", "user_identifier_key"] {
            for mut params in [json!({}), on_lock(&workspace, 0, json!({})), json!({ "access_code_ids": [id(&code)] })]
            {
                params[name] = json!(UNKNOWN);
                assert_eq!(ids(&workspace.post("/access_codes/list", params).await.ok()), [""; 0], "{name}");
            }
        }
    });
}

#[test]
fn list_requires_a_selector() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for params in [json!({}), json!({ "search": "4826" }), json!({ "limit": 5 })] {
            let error = workspace.post("/access_codes/list", params).await.error(400, "invalid_input");
            assert_eq!(error["message"], "Either 'device_id' or 'access_code_ids' is required");
        }
    });
}

#[test]
fn search_matches_a_literal_part_of_name_pin_or_id() {
    run(async {
        // The seed fixes the ids, so that none contains a search text by chance.
        let workspace = TestWorkspace::create_with(json!({ "locks": 1, "seed": "parts of names, PINs and ids" })).await;
        let anna =
            workspace.create(on_lock(&workspace, 0, json!({ "name": "Anna 100%_sure", "code": "482615" }))).await;
        let bob = workspace.create(on_lock(&workspace, 0, json!({ "name": "Bob", "code": "937261" }))).await;
        let unnamed = workspace.create(on_lock(&workspace, 0, json!({ "code": "555555" }))).await;
        let part_of_id = &id(&bob)[20..];
        for (search, found) in [
            ("anna", vec![&anna]),
            ("NNA 1", vec![&anna]),
            ("261", vec![&anna, &bob]),
            (part_of_id, vec![&bob]),
            ("5555", vec![&unnamed]),
            ("%_s", vec![&anna]),
            ("%", vec![&anna]),
            ("A_n", vec![]),
            ("\\", vec![]),
            ("'", vec![]),
        ] {
            let listed =
                workspace.post("/access_codes/list", on_lock(&workspace, 0, json!({ "search": search }))).await.ok();
            let mut found: Vec<&str> = found.into_iter().map(id).collect();
            let mut shown = ids(&listed);
            found.sort_unstable();
            shown.sort_unstable();
            assert_eq!(shown, found, "{search}");
        }
        let empty = on_lock(&workspace, 0, json!({ "search": "" }));
        assert!(!workspace.post("/access_codes/list", empty).await.invalid("search").is_empty());
        let nul = on_lock(&workspace, 0, json!({ "search": "\u{0}" }));
        assert!(!workspace.post("/access_codes/list", nul).await.invalid("search").is_empty());
    });
}

#[test]
fn pages_contain_each_code_once_in_order_even_with_equal_creation_times() {
    run(async {
        let workspace = TestWorkspace::with_locks(7).await;
        let created =
            workspace.post("/access_codes/create_multiple", json!({ "device_ids": workspace.locks() })).await.ok();
        let params = json!({ "access_code_ids": ids(&created), "limit": 3 });
        let listed = workspace.post("/access_codes/list", json!({ "access_code_ids": ids(&created) })).await.ok();
        assert_eq!(ids(&listed).len(), 7);
        let (mut seen, mut sizes, mut cursor) = (Vec::new(), Vec::new(), Value::Null);
        loop {
            let mut page = params.clone();
            page["page_cursor"] = cursor;
            let page = workspace.post("/access_codes/list", page).await.ok();
            sizes.push(ids(&page).len());
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            cursor = page["pagination"]["next_page_cursor"].clone();
            assert_eq!(page["pagination"]["has_next_page"], !cursor.is_null());
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!((seen, sizes), (ids(&listed).into_iter().map(str::to_owned).collect(), vec![3, 3, 1]));
    });
}

#[test]
fn next_page_url_leads_to_the_next_page() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        for name in ["a & b", "b & c", "& d"] {
            workspace.create(on_lock(&workspace, 0, json!({ "name": name }))).await;
            workspace.advance("PT1S").await;
        }
        let first = on_lock(&workspace, 0, json!({ "search": "&", "limit": 2 }));
        let first = workspace.post("/access_codes/list", first).await.ok();
        assert_eq!(first["access_codes"][0]["name"], "& d");
        let url = first["pagination"]["next_page_url"].as_str().unwrap();
        let second = workspace.get(url.strip_prefix("http://localhost").unwrap()).await.ok();
        assert_eq!(second["access_codes"].as_array().unwrap().len(), 1);
        assert_eq!(second["access_codes"][0]["name"], "a & b");
    });
}

#[test]
fn page_cursor_is_valid_only_for_the_request_it_came_with() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        for _ in 0..2 {
            workspace.create(on_lock(&workspace, 0, json!({}))).await;
        }
        let page = workspace.post("/access_codes/list", on_lock(&workspace, 0, json!({ "limit": 1 }))).await.ok();
        let cursor = &page["pagination"]["next_page_cursor"];
        for params in [
            on_lock(&workspace, 0, json!({ "limit": 2, "page_cursor": cursor })),
            on_lock(&workspace, 1, json!({ "limit": 1, "page_cursor": cursor })),
            on_lock(&workspace, 0, json!({ "limit": 1, "page_cursor": "made up" })),
            on_lock(&workspace, 0, json!({ "limit": 1, "page_cursor": "" })),
        ] {
            workspace.post("/access_codes/list", params).await.error(400, "mismatched_page_parameters");
        }
        for limit in [json!(0), json!(-1), json!(1.5)] {
            let params = on_lock(&workspace, 0, json!({ "limit": limit }));
            assert_eq!(workspace.post("/access_codes/list", params).await.invalid("limit").len(), 1);
        }
    });
}

#[test]
fn generate_code_returns_a_free_pin_and_stores_nothing() {
    run(async {
        let (workspace, other) =
            (TestWorkspace::with(json!([{ "device_type": "nuki_lock" }])).await, TestWorkspace::with_locks(1).await);
        let body = workspace.post("/access_codes/generate_code", on_lock(&workspace, 0, json!({}))).await.ok();
        let code = pin(&body["generated_code"]);
        assert_eq!(body, json!({ "generated_code": { "device_id": workspace.lock(0), "code": code }, "ok": true }));
        assert_eq!(rows(&workspace).await, [0; 4]);
        workspace.create(on_lock(&workspace, 0, json!({ "code": code }))).await;
        let path = format!("/access_codes/generate_code?device_id={}", workspace.lock(0));
        assert_eq!(pin(&workspace.get(&path).await.ok()["generated_code"]).len(), 6);
        for device_id in [UNKNOWN.to_owned(), other.lock(0)] {
            let reply = workspace.post("/access_codes/generate_code", json!({ "device_id": device_id })).await;
            reply.error(404, "device_not_found");
        }
        let incomplete = workspace.post("/access_codes/generate_code", json!({})).await;
        assert_eq!(incomplete.invalid("device_id"), ["Required"]);
    });
}
