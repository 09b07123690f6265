//! Server settings that are defaults of new workspaces: clock, seed, retention and programming.

use super::{Latchkey, client, command, latchkey_unkeyed, post, wait_for};
use crate::support::download;
use latchkey::testing::postgres::private::{Durability, Options, PrivatePostgres};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Sends a fixed sequence of requests to a fresh server, one after the other. Returns the responses.
async fn responses_of_a_day(latchkey: &Latchkey) -> Vec<Value> {
    let mut responses = Vec::new();
    let sandbox = &latchkey.api_key;
    let mut keys = vec![sandbox.clone()];
    for params in [
        json!({ "locks": 2 }),
        json!({ "name": "named", "locks": [{ "device_type": "schlage_lock" }] }),
        json!({ "workspace_id": "33333333-3333-4333-8333-333333333333", "locks": 1 }),
        json!({ "seed": "own", "locks": 1 }),
        // A rejected request does not change what the next one gets.
        json!({ "workspace_id": "33333333-3333-4333-8333-333333333333" }),
        json!({ "locks": 1 }),
    ] {
        let created = latchkey_unkeyed(latchkey, "/_emulator/workspaces/create", params).await;
        keys.extend(created["api_key"].as_str().map(str::to_owned));
        responses.push(created);
    }
    for key in &keys {
        let post = async |path: &str, body: Value| post(&latchkey.base_url, key, path, &body).await.unwrap();
        let devices = post("/devices/list", json!({})).await;
        let device_id = devices["devices"][0]["device_id"].clone();
        responses.push(devices);
        for _ in 0..3 {
            responses.push(post("/access_codes/create", json!({ "device_id": device_id, "name": "guest" })).await);
        }
        responses.push(post("/_emulator/clock/advance", json!({ "by": "PT1S" })).await);
        responses.push(post("/access_codes/list", json!({ "device_id": device_id })).await);
        responses.push(post("/events/list", json!({ "since": "2000-01-01T00:00:00Z" })).await);
    }
    responses.push(latchkey_unkeyed(latchkey, "/_emulator/workspaces/list", json!({})).await);
    for response in &mut responses {
        // An error has the id of its request, which differs.
        drop(response.get_mut("error").and_then(|error| error.as_object_mut()?.remove("request_id")));
    }
    responses
}

#[test]
fn seed_with_held_clocks_determines_the_responses_of_a_fresh_server() {
    let served = |seed: &str| {
        let latchkey = Latchkey::start(&["--ephemeral", "--clock", "held", "--seed", seed]);
        wait_for(responses_of_a_day(&latchkey))
    };
    let (first, again, other) = (served("1"), served("1"), served("2"));
    assert_eq!(first, again);
    for (index, (one, other)) in first.iter().zip(&other).enumerate() {
        // A workspace with a seed of its own (3) does not depend on the seed of the server.
        let api_key = one["api_key"].as_str().filter(|_| one["workspace"].is_object());
        if let Some(api_key) = api_key.filter(|_| index != 3) {
            assert_ne!(json!(api_key), other["api_key"]);
        }
    }
    assert_eq!(first[3], other[3]);
    assert_eq!(first[4]["error"]["type"], "conflict");
    let last = first.last().unwrap()["workspaces"].as_array().unwrap();
    let now = |workspace: &Value| workspace["clock"]["now"].as_str().unwrap().to_owned();
    assert!(last.iter().all(|workspace| now(workspace) == "2026-01-01T00:00:01.000Z"), "{last:?}");
}

#[test]
fn clock_setting_of_the_server_is_the_default_of_new_workspaces() {
    let latchkey = Latchkey::start(&["--ephemeral", "--clock=held:2026-03-02T12:00:00+01:00"]);
    assert!(latchkey.startup_lines.iter().any(|line| line.contains("held at 2026-03-02T11:00:00.000Z")));
    wait_for(async {
        for (params, mode) in [
            (json!({}), "held"),
            (json!({ "clock": "live" }), "live"),
            (json!({ "clock": { "running_from": "2026-01-01T00:00:00Z" } }), "running"),
        ] {
            let workspace = latchkey_unkeyed(&latchkey, "/_emulator/workspaces/create", params).await;
            let list = "/_emulator/workspaces/list";
            let listed =
                post(&latchkey.base_url, workspace["api_key"].as_str().unwrap(), list, &json!({})).await.unwrap();
            assert_eq!(listed["workspaces"][0]["clock"]["mode"], mode);
        }
        // The default sandbox has the clock of the settings, too.
        let code = latchkey.post("/access_codes/create", json!({ "device_id": lock(&latchkey).await })).await;
        assert_eq!(code["access_code"]["created_at"], "2026-03-02T11:00:00.000Z");
        latchkey.post("/_emulator/clock/advance", json!({ "by": "PT0.25S" })).await;
        let params = json!({ "access_code_id": code["access_code"]["access_code_id"] });
        assert_eq!(latchkey.post("/access_codes/get", params).await["access_code"]["status"], "set");
    });
}

async fn lock(latchkey: &Latchkey) -> Value {
    latchkey.post("/devices/list", json!({})).await["devices"][0]["device_id"].clone()
}

#[test]
fn invalid_clock_seed_and_retention_settings_are_rejected_at_the_start() {
    for argument in [
        "--clock=",
        "--clock=still",
        "--clock=held:",
        "--clock=held:tomorrow",
        "--clock=running",
        "--seed=",
        "--retention=P1M",
        "--retention=-P1D",
        "--retention=PT0.5S",
        "--retention=",
    ] {
        let output = command(&["--ephemeral", "--port=0", argument]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{argument}");
    }
}

#[test]
fn seed_shared_by_two_servers_on_one_database_gives_distinct_api_keys() {
    let folder = super::folder();
    let options = Options {
        data_directory: Some(folder.path().to_path_buf()),
        bin_directory: None,
        download: download(),
        durability: Durability::Temporary,
    };
    let postgres = PrivatePostgres::start(&options).unwrap();
    let start = || Latchkey::await_ready(command(&["--port", "0", "--seed", "7"]).env("DATABASE_URL", postgres.url()));
    let (one, other) = (start(), start());
    wait_for(async {
        let mut keys = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let (first, second) = tokio::join!(
                latchkey_unkeyed(&one, "/_emulator/workspaces/create", json!({ "locks": 1 })),
                latchkey_unkeyed(&other, "/_emulator/workspaces/create", json!({ "locks": 1 })),
            );
            for workspace in [first, second] {
                assert_eq!(workspace["ok"], true, "{workspace}");
                keys.insert(workspace["api_key"].to_string());
            }
        }
        assert_eq!(keys.len(), 10);
    });
}

#[test]
fn retention_setting_deletes_events_that_are_too_old() {
    let latchkey = Latchkey::start(&["--ephemeral", "--retention=PT1S", "--programming=PT0S"]);
    wait_for(async {
        let lock = lock(&latchkey).await;
        let code = latchkey.post("/access_codes/create", json!({ "device_id": lock })).await["access_code"].clone();
        let since = json!({ "since": "2000-01-01T00:00:00Z" });
        let begun = Instant::now();
        while latchkey.post("/events/list", since.clone()).await["events"] != json!([]) {
            assert!(begun.elapsed() < Duration::from_secs(20), "the events are not removed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let params = json!({ "access_code_id": code["access_code_id"] });
        assert_eq!(latchkey.post("/access_codes/get", params).await["ok"], true);
    });
}

#[test]
fn programming_setting_takes_at_once_and_by_hand() {
    for (flag, status, can_step) in [("at_once", "set", false), ("by_hand", "setting", true)] {
        let latchkey = Latchkey::start(&["--ephemeral", "--programming", flag]);
        wait_for(async {
            let lock = lock(&latchkey).await;
            let code = latchkey.post("/access_codes/create", json!({ "device_id": lock })).await["access_code"].clone();
            assert_eq!(code["status"], status, "{flag}");
            let step = json!({ "access_code_id": code["access_code_id"] });
            let response = latchkey_unkeyed(&latchkey, "/_emulator/access_codes/step", step).await;
            assert_eq!(response["ok"], can_step, "{flag}: {response}");
        });
    }
}

#[test]
fn variable_that_is_empty_counts_as_unset_and_switches_take_0_and_1() {
    let doctor = |ephemeral: &str| {
        let mut command = command(&["doctor", "--port", "0"]);
        for name in ["DATABASE_URL", "LATCHKEY_ADMIN_TOKEN", "LATCHKEY_PROGRAMMING", "LATCHKEY_QUIET"] {
            command.env(name, "");
        }
        let output = command.env("LATCHKEY_EPHEMERAL", ephemeral).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    };
    for (ephemeral, expected) in [("1", true), ("yes", true), ("TRUE", true), ("0", false), ("", false)] {
        let (code, text) = doctor(ephemeral);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(text.contains("new at each start"), expected, "{ephemeral}: {text}");
    }
    let (code, text) = doctor("maybe");
    assert!(code == Some(2) && text.contains("--ephemeral") && text.contains("give true or false"), "{text}");
}

#[test]
fn admin_token_with_an_open_control_plane_is_an_error() {
    let stderr = super::failed_start(&mut command(&["--control-plane", "open", "--admin-token", "secret"]));
    assert!(stderr.contains("--control-plane guarded") && stderr.contains("omit the token"), "{stderr}");
}

#[test]
fn command_line_of_the_fake_starts_a_server_with_its_seed() {
    let mut fake = command(&["serve", "--like-fake", "--seed"]);
    let latchkey = Latchkey::await_ready(fake.env("PORT", "0"));
    wait_for(async {
        let seed = client().get(format!("{}/_fake/default_seed", latchkey.base_url)).send().await.unwrap();
        assert_eq!(seed.headers()["seam-request-id"], "request1");
        let seed: Value = seed.json().await.unwrap();
        let url = format!("{}/devices/get?device_id={}", latchkey.base_url, seed["august_device_1"].as_str().unwrap());
        let found = client().get(url).bearer_auth(seed["seam_apikey1_token"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(found.json::<Value>().await.unwrap()["device"]["device_type"], "august_lock");
    });
    assert!(latchkey.startup_lines.iter().any(|line| line.contains("deleted when the server stops")));
}

#[test]
fn like_fake_takes_no_database_that_stays() {
    let folder = super::folder();
    let directory = folder.path().to_str().unwrap();
    for (arguments, url) in [(vec!["--data-dir", directory], None), (vec![], Some("postgres://localhost:1/x"))] {
        let mut serve = command(&[&["serve", "--like-fake", "--port", "0"][..], &arguments].concat());
        serve.envs(url.map(|url| ("DATABASE_URL", url)));
        let stderr = super::failed_start(&mut serve);
        assert!(stderr.contains("omit --data-dir") && stderr.contains("DATABASE_URL"), "{stderr}");
    }
}

#[test]
fn port_and_seed_are_those_of_the_fake_only_with_like_fake() {
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = command(arguments).envs(variables.iter().copied()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    };
    let (code, text) = run(&["serve", "--like-fake", "--seed"], &[("PORT", "http")]);
    assert!(code == Some(1) && text.contains("PORT is no port"), "{text}");
    for arguments in [&["serve", "--seed"][..], &["--seed"]] {
        let (code, text) = run(arguments, &[("PORT", "http")]);
        assert!(code == Some(1) && text.contains("--seed needs a value"), "{text}");
    }
    // Another command has another use for the variables.
    let environment = [("PORT", "http"), ("LATCHKEY_LIKE_FAKE", "on")];
    let (code, text) = run(&["completion", "bash"], &environment);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&["health", "--port", "1"], &environment);
    assert!(code == Some(1) && !text.contains("PORT is"), "{text}");
}
