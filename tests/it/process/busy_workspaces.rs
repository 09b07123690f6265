//! Long work of one workspace: it does not delay other workspaces, and it stops when its client disconnects.

use super::{Latchkey, client, command, folder, post, wait_for};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// Creates a workspace with a held clock and codes whose programming always fails. Returns its API key.
async fn with_failing_codes(latchkey: &Latchkey, count: usize) -> String {
    let params = json!({ "clock": { "held_at": "2026-03-02T12:00:00Z" }, "locks": count });
    let workspace = latchkey.post("/_emulator/workspaces/create", params).await;
    let key = workspace["api_key"].as_str().unwrap().to_owned();
    let send = async |path: &str, body: Value| post(&latchkey.base_url, &key, path, &body).await.unwrap();
    send("/_emulator/faults/create", json!({ "operation": "set", "outcome": { "fail": {} } })).await;
    let devices: Vec<&Value> =
        workspace["devices"].as_array().unwrap().iter().map(|device| &device["device_id"]).collect();
    let created = send("/access_codes/create_multiple", json!({ "device_ids": devices })).await;
    assert_eq!(created["ok"], true, "{created}");
    key
}

/// Sends `count` pairs of requests of the sandbox. Returns the longest duration of a pair.
async fn longest_of(latchkey: &Latchkey, count: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..count {
        let started = Instant::now();
        let health = client().get(format!("{}/health", latchkey.base_url)).send().await.unwrap();
        assert_eq!(health.status(), 200);
        latchkey.post("/devices/list", json!({})).await;
        longest = longest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    longest
}

#[test]
fn advance_beyond_the_step_limit_is_rejected_and_delays_no_other_workspace() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    wait_for(async {
        let mut advances = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let (url, key) = (latchkey.base_url.clone(), with_failing_codes(&latchkey, 20).await);
            advances.spawn(async move {
                let params = json!({ "by": "P6570D" });
                post(&url, &key, "/_emulator/clock/advance", &params).await.unwrap()
            });
        }
        let longest = longest_of(&latchkey, 100).await;
        assert!(longest < Duration::from_secs(2), "{longest:?}");
        for refused in advances.join_all().await {
            assert_eq!(refused["error"]["type"], "too_many_steps", "{refused}");
            assert_eq!(refused["error"]["data"], json!({ "steps": 640_000, "limit": 640_000 }));
        }
    });
}

#[test]
fn advance_stops_when_its_client_disconnects() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    wait_for(async {
        let key = with_failing_codes(&latchkey, 20).await;
        let mut client = latchkey.connect();
        let body = r#"{"by":"P6570D"}"#;
        write!(
            client,
            "POST /_emulator/clock/advance HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(client);
        // The advance would hold the row locks of its workspace for as long as it runs.
        let begun = Instant::now();
        let moved = post(&latchkey.base_url, &key, "/_emulator/clock/advance", &json!({ "by": "PT1S" })).await.unwrap();
        assert_eq!(moved["now"], "2026-03-02T12:00:01.000Z", "the aborted request changed nothing");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    });
}

#[test]
fn clock_with_a_huge_rate_does_not_delay_other_workspaces() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    wait_for(async {
        let key = with_failing_codes(&latchkey, 20).await;
        let run = json!({ "rate": 1_000_000_000_000_f64 });
        post(&latchkey.base_url, &key, "/_emulator/clock/run", &run).await.unwrap();
        let longest = longest_of(&latchkey, 50).await;
        assert!(longest < Duration::from_secs(2), "{longest:?}");
        let found = latchkey.post("/devices/list", json!({})).await;
        let created =
            latchkey.post("/access_codes/create", json!({ "device_id": found["devices"][0]["device_id"] })).await;
        let params = json!({ "access_code_id": created["access_code"]["access_code_id"] });
        let begun = Instant::now();
        while latchkey.post("/access_codes/get", params.clone()).await["access_code"]["status"] != "set" {
            assert!(begun.elapsed() < Duration::from_secs(3), "the lock does not confirm");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn database_connections_setting_must_be_at_least_one() {
    let stderr = usage_error(&["--database-connections", "0"]);
    assert!(stderr.contains("--database-connections") && stderr.contains("1.."), "{stderr}");
}

fn usage_error(arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

/// A small file system in memory, unmounted on drop.
struct SmallFileSystem(tempfile::TempDir);

impl SmallFileSystem {
    /// Mounts the file system. `None` if that fails: only root may mount, and not on every machine.
    fn new(megabytes: usize) -> Option<Self> {
        let folder = folder();
        let size = format!("size={megabytes}m,mode=755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(folder))
    }
}

impl Drop for SmallFileSystem {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).output();
    }
}

#[test]
fn full_disk_fails_requests_until_it_has_space_again() {
    let Some(small) = SmallFileSystem::new(120) else { return };
    let latchkey = Latchkey::with_data(&small.0.path().join("kept"));
    wait_for(async {
        let locks = latchkey.post("/devices/list", json!({})).await;
        let params = json!({ "device_id": locks["devices"][0]["device_id"], "name": "guest" });
        let fill = small.0.path().join("fill");
        let create = async || {
            let request = client().post(format!("{}/access_codes/create", latchkey.base_url));
            let response = request.bearer_auth(&latchkey.api_key).json(&params).send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        };
        assert_eq!(create().await.0, 200);
        let output = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", fill.display())).output();
        assert!(!output.unwrap().status.success(), "dd fails because the disk is full");
        let mut created = 1;
        let begun = Instant::now();
        loop {
            match create().await {
                (200, _) => created += 1,
                (503, body) => {
                    assert_eq!(body["error"]["type"], "service_unavailable", "{body}");
                    break;
                }
                // The database stops during a commit if it cannot write its log: the outcome is unknown.
                (500, body) => {
                    assert!(body.to_string().contains("may have been executed"), "{body}");
                    break;
                }
                (_, body) => panic!("{body}"),
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "the disk is still not full after {created} codes");
        }
        std::fs::remove_file(&fill).unwrap();
        let begun = Instant::now();
        while create().await.0 != 200 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the server does not recover");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}
