//! Workspaces from a fixtures file: what is loaded, and the paths of mistakes in the file.

use crate::support::{app, post_as, run};
use latchkey::testing::config::Settings;
use latchkey::testing::contract;
use latchkey::testing::server::fixtures::{Fixtures, FixturesError, Loaded, SCHEMA};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use uuid::Uuid;

/// Returns the id of the workspace with this number in these tests.
fn workspace_id(number: u128) -> String {
    Uuid::from_u128(0xf1f1_f1f1_0000_4000_8000_0000_0000_0000 + number).to_string()
}

fn read(document: &Value) -> Result<Fixtures, FixturesError> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("fixtures.json");
    fs::write(&file, document.to_string()).unwrap();
    Fixtures::read(&file, &app().config)
}

async fn load(document: &Value) -> Result<Loaded, FixturesError> {
    read(document)?.load(&app()).await
}

/// Loads a file that must be rejected. Returns its mistakes.
async fn mistakes(document: &Value) -> Vec<String> {
    match load(document).await {
        Err(FixturesError::Invalid { mistakes, .. }) => mistakes,
        other => panic!("{document}: {other:?}"),
    }
}

async fn workspace_exists(workspace_id: &str) -> bool {
    let listed = post_as("", "/_emulator/workspaces/list", json!({})).await.ok();
    listed["workspaces"].as_array().unwrap().iter().any(|workspace| workspace["workspace_id"] == workspace_id)
}

#[test]
fn example_file_is_loaded_as_written() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fixtures.json"));
    let text = fs::read_to_string(file).unwrap();
    // The ids and keys are changed, because another test loads the file unchanged.
    let text = text.replace("0a0a0a0a-0000", "0a0a0a0a-1111").replace("seam_test", "seam_test1");
    let mut document: Value = serde_json::from_str(&text.replace("\"seaside\"", "\"seaside again\"")).unwrap();
    assert!(document.as_object_mut().unwrap().contains_key("$schema"));
    run(async {
        let loaded = load(&document).await.unwrap();
        let names: Vec<_> = loaded.created.iter().map(|(workspace, _)| workspace.name.as_str()).collect();
        assert_eq!((names, loaded.unchanged.len()), (vec!["Seaside Rentals", "Full House"], 0));
        let key = "seam_test1sea_SeasideRentals";
        let post = async |path: &str, body: Value| post_as(key, path, body).await.ok();
        let devices = post("/devices/list", json!({})).await["devices"].clone();
        let house = &devices[0];
        assert_eq!(house["device_id"], "0a0a0a0a-1111-4000-8000-000000000101");
        assert_eq!(house["connected_account_id"], "0a0a0a0a-1111-4000-8000-0000000000a1");
        assert_eq!(house["properties"]["online"], true);
        assert_eq!(devices[1]["properties"]["online"], false);
        let shed = json!({ "device_id": devices[1]["device_id"], "online": true });
        let online = post("/_emulator/devices/update", shed).await;
        assert_eq!(online["device"]["properties"]["battery_level"], 0.15);
        post("/_emulator/devices/update", json!({ "device_id": devices[1]["device_id"], "online": false })).await;
        let codes = async |index: usize| {
            let listed = post("/access_codes/list", json!({ "device_id": devices[index]["device_id"] })).await;
            let mut codes = listed["access_codes"].as_array().unwrap().clone();
            codes.sort_by_key(|code| code["name"].to_string());
            codes
        };
        let at_the_house = codes(0).await;
        assert_eq!(at_the_house.len(), 2);
        assert_eq!((&at_the_house[0]["name"], &at_the_house[0]["status"]), (&json!("Guest in July"), &json!("unset")));
        assert_eq!(at_the_house[0]["starts_at"], "2026-07-03T22:00:00.000Z");
        assert_eq!((&at_the_house[1]["code"], &at_the_house[1]["status"]), (&json!("135790"), &json!("set")));
        let at_the_shed = codes(1).await;
        assert_eq!((&at_the_shed[0]["code"], &at_the_shed[0]["status"]), (&json!("135790"), &json!("setting")));
        assert_eq!(at_the_shed[0]["common_code_key"], "owner");
        let unmanaged = post("/access_codes/unmanaged/list", json!({ "device_id": devices[1]["device_id"] })).await;
        assert_eq!(unmanaged["access_codes"][0]["code"], "2468");
        assert_eq!(unmanaged["access_codes"].as_array().unwrap().len(), 1);
        let events = post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await;
        assert_eq!(events["events"][0]["occurred_at"], "2026-06-01T09:00:00.000Z");
        let full_house_key = "seam_test1ful_FullHouse";
        let full_lock =
            post_as(full_house_key, "/devices/list", json!({})).await.ok()["devices"][0]["device_id"].clone();
        let one_more = post_as(full_house_key, "/access_codes/create", json!({ "device_id": full_lock })).await;
        one_more.error(400, "no_space_for_access_code_on_device");
        // The same file again: existing workspaces stay unchanged.
        document["workspaces"][0]["name"] = json!("Renamed");
        document["workspaces"].as_array_mut().unwrap().push(json!({ "workspace_id": workspace_id(1) }));
        let again = load(&document).await.unwrap();
        assert_eq!((again.created.len(), again.unchanged.len()), (1, 2));
        assert_eq!(post("/workspaces/get", json!({})).await["workspace"]["name"], "Seaside Rentals");
        assert_eq!(codes(0).await, at_the_house);
    });
}

/// Returns a file with a person, a space of one lock, and a grant of the person for the space.
fn with_grant(number: u128) -> (Value, String) {
    let lock = format!("f1f1f1f1-0000-4000-8000-0000000{number:05x}");
    let key = format!("seam_test_fixtures{number}");
    let document = json!({ "workspaces": [{
        "workspace_id": workspace_id(number), "api_key": key,
        "locks": [{ "device_type": "august_lock", "device_id": lock }],
        "user_identities": [{ "full_name": "Jane", "user_identity_key": "jane" }],
        "spaces": [{ "name": "Apartment", "space_key": "12", "device_ids": [lock] }],
        "access_grants": [{ "user_identity_key": "jane", "space_keys": ["12"], "access_grant_key": "stay" }],
    }] });
    (document, key)
}

#[test]
fn access_grants_of_a_file_have_their_codes() {
    run(async {
        let (document, key) = with_grant(140);
        load(&document).await.unwrap();
        let found = post_as(&key, "/access_grants/get", json!({ "access_grant_key": "stay" })).await.ok();
        let grant = &found["access_grant"];
        assert_eq!((&grant["display_name"], &grant["errors"]), (&json!("Jane"), &json!([])));
        let space = post_as(&key, "/spaces/get", json!({ "space_key": "12" })).await.ok();
        assert_eq!(grant["space_ids"], json!([space["space"]["space_id"]]));
        let codes = post_as(&key, "/access_codes/list", json!({ "access_grant_key": "stay" })).await.ok();
        assert_eq!(codes["access_codes"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn access_grants_of_a_file_that_name_nothing_are_named_by_path() {
    run(async {
        for (change, expected) in [
            (json!({ "user_identity_key": "joe", "space_keys": ["12"] }), "User identity not found"),
            (json!({ "user_identity_key": "jane", "space_keys": ["13"] }), "Space not found"),
        ] {
            let (mut document, _) = with_grant(141);
            document["workspaces"][0]["access_grants"][0] = change;
            assert_eq!(mistakes(&document).await, [format!("workspaces[0].access_grants[0]: {expected}")]);
            assert!(!workspace_exists(&workspace_id(141)).await);
        }
    });
}

#[test]
fn workspace_settings_of_a_file_are_applied() {
    run(async {
        let document = json!({ "workspaces": [{
            "workspace_id": workspace_id(10),
            "api_key": "seam_test_fixture_ten",
            "publishable_key": "seam_pk_fixture_ten",
            "personal_access_token": "seam_at_fixture_ten",
            "programming": { "after": "PT1M" },
            "clock": { "held_at": "2026-03-02T12:00:00Z" },
            "ttl": "P1D",
            "keep_expired_access_codes": true,
            "connected_accounts": [{ "provider": "wyze", "connected": false }],
            "locks": [
                { "device_type": "wyze_lock", "access_codes": [{ "name": "cut off" }] },
                { "device_type": "august_lock", "access_codes": [{ "sync": false }, {}] },
                { "device_type": "igloohome_lock", "access_codes": [{
                    "is_offline_access_code": true, "starts_at": "2026-03-02T13:00:00Z",
                    "ends_at": "2026-03-03T13:00:00Z" }] },
            ],
        }] });
        load(&document).await.unwrap();
        let key = "seam_test_fixture_ten";
        let listed = post_as(key, "/_emulator/workspaces/list", json!({})).await.ok()["workspaces"][0].clone();
        assert_eq!(listed["publishable_key"], "seam_pk_fixture_ten");
        assert_eq!(listed["personal_access_token"], "seam_at_fixture_ten");
        assert!(listed["expires_at"].is_string());
        let devices = post_as(key, "/devices/list", json!({})).await.ok()["devices"].clone();
        assert_eq!(devices[0]["errors"][0]["error_code"], "account_disconnected");
        let mut statuses = Vec::new();
        for device in devices.as_array().unwrap() {
            let params = json!({ "device_id": device["device_id"] });
            let codes = post_as(key, "/access_codes/list", params).await.ok()["access_codes"].clone();
            let mut of_device: Vec<String> =
                codes.as_array().unwrap().iter().map(|code| code["status"].as_str().unwrap().to_owned()).collect();
            of_device.sort();
            statuses.push(of_device);
        }
        assert_eq!(statuses, [vec!["unknown"], vec!["set", "setting"], vec!["unset"]]);
        post_as(key, "/_emulator/workspaces/delete", json!({})).await.ok();
    });
}

/// Returns documents that break the schema once, each with the beginning of the expected message.
fn schema_mismatches() -> Vec<(Value, String)> {
    let workspace = |more: Value| {
        let mut workspace = json!({ "workspace_id": workspace_id(20) });
        workspace.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "workspaces": [workspace] })
    };
    let lock = |more: Value| {
        let mut lock = json!({ "device_type": "august_lock" });
        lock.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        workspace(json!({ "locks": [{ "device_type": "yale_lock" }, lock] }))
    };
    let code = |code: Value| lock(json!({ "access_codes": [{}, code] }));
    let unmanaged = |code: Value| lock(json!({ "unmanaged_access_codes": [code] }));
    let in_lock = "workspaces[0].locks[1]";
    vec![
        (json!({}), "workspaces: is required".to_owned()),
        (
            json!({ "rooms": [], "workspaces": [] }),
            "rooms: unknown property; these are known: $schema, workspaces".to_owned(),
        ),
        (json!({ "workspaces": {} }), "workspaces: ".to_owned()),
        (json!({ "workspaces": [{}] }), "workspaces[0].workspace_id: is required".to_owned()),
        (
            json!({ "workspaces": [{ "workspace_id": "mine" }] }),
            "workspaces[0].workspace_id: \"mine\" is invalid".to_owned(),
        ),
        (
            workspace(json!({ "api_key": "secret" })),
            "workspaces[0].api_key: \"secret\" is invalid. The API key".to_owned(),
        ),
        (workspace(json!({ "api_key": "seam_at_x" })), "workspaces[0].api_key: ".to_owned()),
        (workspace(json!({ "publishable_key": "x" })), "workspaces[0].publishable_key: ".to_owned()),
        (workspace(json!({ "personal_access_token": "x" })), "workspaces[0].personal_access_token: ".to_owned()),
        (
            workspace(json!({ "clock": "held" })),
            "workspaces[0].clock: \"held\" is invalid. The first state of the clock".to_owned(),
        ),
        (workspace(json!({ "clock": { "held_at": "today" } })), "workspaces[0].clock: ".to_owned()),
        (workspace(json!({ "programming": { "after": "soon" } })), "workspaces[0].programming: ".to_owned()),
        (workspace(json!({ "ttl": "-PT1H" })), "workspaces[0].ttl: ".to_owned()),
        (workspace(json!({ "seed": "" })), "workspaces[0].seed: ".to_owned()),
        (workspace(json!({ "name": "a\u{0}b" })), "workspaces[0].name: must not contain".to_owned()),
        (workspace(json!({ "locks": 3 })), "workspaces[0].locks: ".to_owned()),
        (
            workspace(json!({ "connected_accounts": [{}] })),
            "workspaces[0].connected_accounts[0].provider: is required".to_owned(),
        ),
        (
            workspace(json!({ "connected_accounts": [{ "provider": "acme" }] })),
            "workspaces[0].connected_accounts[0].provider: not a provider of locks".to_owned(),
        ),
        (
            workspace(json!({ "connected_accounts": [{ "provider": "wyze" }, { "provider": "wyze" }] })),
            "workspaces[0].connected_accounts[1].provider: ".to_owned(),
        ),
        (lock(json!({ "device_type": "barn_door" })), format!("{in_lock}.device_type: \"barn_door\" is not one of")),
        (
            lock(json!({ "colour": "red" })),
            format!(
                "{in_lock}.colour: unknown property; these are known: device_type, \
                                                    name"
            ),
        ),
        (lock(json!({ "device_id": 7 })), format!("{in_lock}.device_id: ")),
        (lock(json!({ "battery_level": 80 })), format!("{in_lock}.battery_level: ")),
        (
            lock(json!({ "code_constraints": [{ "constraint_type": "pretty" }] })),
            format!("{in_lock}.code_constraints[0].constraint_type: "),
        ),
        (lock(json!({ "errors": [{ "error_code": "tired" }] })), format!("{in_lock}.errors[0].error_code: ")),
        (lock(json!({ "access_codes": {} })), format!("{in_lock}.access_codes: ")),
        (code(json!({ "code": "12" })), format!("{in_lock}.access_codes[1].code: ")),
        (code(json!({ "code": 1234 })), format!("{in_lock}.access_codes[1].code: ")),
        (code(json!({ "starts_at": "tomorrow" })), format!("{in_lock}.access_codes[1].starts_at: ")),
        (
            code(json!({ "starts_at": "2026-03-02T12:00:00Z" })),
            format!("{in_lock}.access_codes[1]: Both starts_at and"),
        ),
        (
            code(json!({ "is_one_time_use": true })),
            format!("{in_lock}.access_codes[1].is_one_time_use: Only for offline"),
        ),
        (
            code(json!({ "device_id": workspace_id(1) })),
            format!("{in_lock}.access_codes[1].device_id: unknown property"),
        ),
        (unmanaged(json!({})), format!("{in_lock}.unmanaged_access_codes[0].code: is required")),
        (unmanaged(json!({ "code": "12345", "ends_at": 5 })), format!("{in_lock}.unmanaged_access_codes[0].ends_at: ")),
    ]
}

#[test]
fn schema_mismatches_are_named_by_path() {
    for (document, expected) in schema_mismatches() {
        match read(&document) {
            Err(FixturesError::Invalid { mistakes, .. }) => {
                assert!(mistakes.iter().any(|mistake| mistake.starts_with(&expected)), "{expected}: {mistakes:?}");
                assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            }
            other => panic!("{document}: {other:?}"),
        }
    }
    let several = read(&json!({ "workspaces": [{ "nam": "x" }, { "workspace_id": 1 }] })).unwrap_err().to_string();
    for index in ["workspaces[0].nam:", "workspaces[0].workspace_id:", "workspaces[1].workspace_id:"] {
        assert!(several.contains(index), "{several}");
    }
}

#[test]
fn values_in_use_in_the_file_or_on_the_server_are_named_by_path() {
    run(async {
        let device_id = workspace_id(0x101);
        let account_id = workspace_id(0x102);
        let first = json!({
            "workspace_id": workspace_id(30), "api_key": "seam_test_fixture_thirty", "seed": "fixture thirty",
            "publishable_key": "seam_pk_fixture_thirty", "personal_access_token": "seam_at_fixture_thirty",
            "locks": [{ "device_type": "august_lock", "device_id": device_id }],
            "connected_accounts": [{ "provider": "wyze", "connected_account_id": account_id }],
        });
        let second = |field: &str, value: Value| {
            let mut second = Map::from_iter([("workspace_id".to_owned(), json!(workspace_id(31)))]);
            second.insert(field.to_owned(), value);
            Value::Object(second)
        };
        let lock = json!([{ "device_type": "wyze_lock" }, { "device_type": "yale_lock", "device_id": device_id }]);
        let account = json!([{ "provider": "august", "connected_account_id": account_id }]);
        let cases = [
            (second("api_key", first["api_key"].clone()), "api_key"),
            (second("publishable_key", first["publishable_key"].clone()), "publishable_key"),
            (second("seed", first["seed"].clone()), "seed"),
            (second("locks", lock), "locks[1].device_id"),
            (second("connected_accounts", account), "connected_accounts[0].connected_account_id"),
        ];
        for (second, path) in &cases {
            let found = mistakes(&json!({ "workspaces": [first, second] })).await;
            assert_eq!(found, [format!("workspaces[1].{path}: is a duplicate")]);
        }
        let found = mistakes(&json!({ "workspaces": [first, first] })).await;
        assert!(found[0].starts_with("workspaces[1].workspace_id: is a duplicate"), "{found:?}");
        load(&json!({ "workspaces": [first] })).await.unwrap();
        for (second, path) in &cases {
            let found = mistakes(&json!({ "workspaces": [{ "workspace_id": workspace_id(32) }, second] })).await;
            assert_eq!(found, [format!("workspaces[1].{path}: is in use on this server, by another workspace")]);
            assert!(!workspace_exists(&workspace_id(32)).await && !workspace_exists(&workspace_id(31)).await);
        }
        for (field, value) in
            [("workspace_id", "00000000-0000-4000-8000-000000000001"), ("api_key", "seam_testsand_LatchkeySandbox")]
        {
            let found = mistakes(&json!({ "workspaces": [second(field, json!(value))] })).await;
            assert!(
                found[0].starts_with(&format!("workspaces[0].{field}: is that of the default sandbox")),
                "{found:?}"
            );
        }
    });
}

#[test]
fn codes_that_the_api_would_reject_are_named_by_path_and_nothing_is_loaded() {
    run(async {
        let cases = [
            (
                json!({ "device_type": "august_lock", "access_codes": [{ "code": "1234" }, { "code": "1234" }] }),
                "access_codes[1]: Cannot set duplicate",
            ),
            (
                json!({ "device_type": "august_lock", "access_codes": [{ "code": "1234567890" }] }),
                "access_codes[0].code: ",
            ),
            (
                json!({ "device_type": "august_lock", "max_active_codes_supported": 1, "access_codes": [{}, {}] }),
                "access_codes[1]: device ",
            ),
            (
                json!({ "device_type": "august_lock", "access_codes": [
                    { "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-01-02T00:00:00Z" }] }),
                "access_codes[0]",
            ),
            (
                json!({ "device_type": "august_lock", "unmanaged_access_codes": [{ "code": "4444" }, { "code": "4444" }] }),
                "unmanaged_access_codes[1]: Cannot set duplicate",
            ),
            (
                json!({ "device_type": "august_lock", "max_active_codes_supported": 1,
                        "unmanaged_access_codes": [{ "code": "4444" }, { "code": "5555" }] }),
                "unmanaged_access_codes[1]: device ",
            ),
            (
                json!({ "device_type": "august_lock", "unmanaged_access_codes": [
                    { "code": "4444", "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z" }] }),
                "unmanaged_access_codes[0]: ends_at must be after starts_at",
            ),
            (
                json!({ "device_type": "tedee_lock", "unmanaged_access_codes": [{ "code": "1111" }] }),
                "unmanaged_access_codes[0].code: The device cannot hold this code",
            ),
        ];
        for (lock, expected) in cases {
            let document = json!({ "workspaces": [
                { "workspace_id": workspace_id(40), "locks": [{ "device_type": "august_lock", "access_codes": [{}] }] },
                { "workspace_id": workspace_id(41), "locks": [{ "device_type": "yale_lock" }, lock] },
            ] });
            let found = mistakes(&document).await;
            assert!(found[0].starts_with(&format!("workspaces[1].locks[1].{expected}")), "{expected}: {found:?}");
            assert!(!workspace_exists(&workspace_id(40)).await && !workspace_exists(&workspace_id(41)).await);
        }
    });
}

#[test]
fn workspace_of_a_file_has_the_same_ids_again_on_a_server_of_the_same_seed() {
    run(async {
        let config = Settings { seed: Some(Some("of fixtures".to_owned())), ..app().config.clone() };
        let seeded = latchkey::testing::engine::app::App::new(config, app().pools()).unwrap();
        let document = json!({ "workspaces": [{ "workspace_id": workspace_id(50), "locks": [
            { "device_type": "august_lock", "access_codes": [{}] }] }] });
        let mut seen = Vec::new();
        for _ in 0..2 {
            let loaded = read(&document).unwrap().load(&seeded).await.unwrap();
            let key = &loaded.created[0].1;
            let device = post_as(key, "/devices/list", json!({})).await.ok()["devices"][0]["device_id"].clone();
            let codes = post_as(key, "/access_codes/list", json!({ "device_id": device })).await.ok();
            seen.push((key.clone(), device, codes["access_codes"][0]["code"].clone()));
            post_as(key, "/_emulator/workspaces/delete", json!({})).await.ok();
        }
        assert_eq!(seen[0], seen[1]);
    });
}

/// Converts a contract schema for the comparison with the schema of the file: without references, descriptions,
/// defaults and formats, and with the keywords of JSON Schema.
fn plain(document: &Value, schema: &Value) -> Value {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
        return plain(document, document.pointer(&reference[1..]).unwrap());
    }
    let list = |items: &Value| items.as_array().unwrap().iter().map(|item| plain(document, item)).collect::<Value>();
    let mut out = Map::new();
    for (keyword, value) in fields {
        let is_exclusive = fields.get("exclusiveMinimum") == Some(&json!(true));
        match keyword.as_str() {
            "description" | "default" | "format" | "nullable" | "additionalProperties" => {}
            "exclusiveMinimum" if value == &json!(true) => {}
            "minimum" if is_exclusive => drop(out.insert("exclusiveMinimum".to_owned(), value.clone())),
            "type" if fields.get("nullable") == Some(&json!(true)) => {
                out.insert("type".to_owned(), json!([value, "null"]));
            }
            "properties" => {
                let properties = value.as_object().unwrap().iter();
                let properties = properties.map(|(name, property)| (name.clone(), plain(document, property)));
                out.insert(keyword.clone(), Value::Object(properties.collect()));
            }
            "oneOf" => drop(out.insert(keyword.clone(), list(value))),
            "items" => drop(out.insert(keyword.clone(), plain(document, value))),
            _ if keyword.starts_with("x-") => {}
            _ => drop(out.insert(keyword.clone(), value.clone())),
        }
    }
    Value::Object(out)
}

#[test]
fn fixtures_schema_equals_the_schemas_of_the_contracts() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let emulator: Value = serde_json::from_str(contract::CONTROL_OPENAPI.text().unwrap()).unwrap();
    let api: Value = serde_json::from_str(contract::OPENAPI.text().unwrap()).unwrap();
    let body =
        |path: &str| format!("/paths/{}/post/requestBody/content/application~1json/schema", path.replace('/', "~1"));
    let create = body("/_emulator/workspaces/create");
    let lock = "/components/schemas/lock_spec/allOf/1".to_owned();
    let overrides = "/components/schemas/lock_overrides".to_owned();
    let mut compared = 0;
    for (document, pointer, of_file) in [
        (&emulator, &create, "workspace"),
        (&emulator, &lock, "lock"),
        (&emulator, &overrides, "lock"),
        (&api, &body("/access_codes/create"), "access_code"),
        (&emulator, &body("/_emulator/locks/add_code"), "unmanaged_access_code"),
    ] {
        let in_contract = document.pointer(pointer).unwrap()["properties"].as_object().unwrap();
        let in_file = schema["$defs"][of_file]["properties"].as_object().unwrap();
        for (name, property) in in_contract {
            // The file lists accounts separately. The other parameters are for requests only, or are old names.
            let not_in_file = [
                "account_connected",
                "device_id",
                "workspace_id",
                "locks",
                "allow_external_modification",
                "attempt_for_offline_device",
                "use_offline_access_code",
            ];
            let Some(file_property) = in_file.get(name) else {
                assert!(not_in_file.contains(&name.as_str()), "{of_file} has no {name}");
                continue;
            };
            if name != "locks" {
                assert_eq!(plain(&schema, file_property), plain(document, property), "{of_file}.{name}");
                compared += 1;
            }
        }
    }
    assert!(compared > 45, "{compared}");
}
