//! Imports of large snapshots: how many run at the same time, and their memory.

use super::{Latchkey, client, eventually, send_checked, wait_for, word_after};
use latchkey::testing::store::snapshots::checksum;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::fs;
use std::io::{Read as _, Write as _};
use std::thread;
use std::time::Duration;

const IMPORT: &str = "/_emulator/snapshots/import";

/// Sends an import. Returns the status and the response.
fn import(latchkey: &Latchkey, api_key: &str, body: String) -> (u16, Value) {
    wait_for(async {
        let request = client().post(format!("{}{IMPORT}", latchkey.base_url)).bearer_auth(api_key);
        let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    })
}

/// Exports a workspace as the body of an import, padded with spaces to at least `length` bytes.
fn body(latchkey: &Latchkey, api_key: &str, length: usize) -> String {
    let url = format!("{}/_emulator/snapshots/export", latchkey.base_url);
    let exported =
        wait_for(send_checked("/_emulator/snapshots/export", client().get(url).bearer_auth(api_key))).unwrap();
    let exported = exported.to_string();
    let more = " ".repeat(length.saturating_sub(exported.len()));
    exported + &more
}

fn head(latchkey: &Latchkey, length: &str) -> String {
    format!(
        "POST {IMPORT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         authorization: Bearer {}\r\nconnection: close\r\n{length}\r\n\r\n",
        latchkey.api_key
    )
}

#[test]
fn import_announced_too_large_is_rejected_before_its_body_is_sent() {
    let latchkey = Latchkey::start(&["--ephemeral", "--snapshot-limit", "3000000"]);
    let mut stream = latchkey.connect();
    stream.write_all(head(&latchkey, "content-length: 3000001").as_bytes()).unwrap();
    let mut refused = String::new();
    stream.read_to_string(&mut refused).unwrap();
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    assert!(refused.contains("larger than 3000000 bytes"), "{refused}");
}

#[test]
fn large_imports_run_one_at_a_time_and_small_imports_do_not_wait() {
    const LARGE: usize = 2 * 1024 * 1024;
    let latchkey = Latchkey::start(&["--ephemeral", "--snapshot-limit", "3145728", "--request-timeout", "2"]);
    let other = wait_for(latchkey.post("/_emulator/workspaces/create", json!({})));
    let other = other["api_key"].as_str().unwrap();
    let (large, small) = (body(&latchkey, &latchkey.api_key, LARGE), body(&latchkey, other, 0));
    let url = word_after(&latchkey.startup_lines, "database").split('\'').nth(1).unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut database = runtime.block_on(PgConnection::connect(&url)).unwrap();
    // Imports into the default workspace wait for this row lock.
    let held = sqlx::query("begin").execute(&mut database);
    runtime.block_on(held).unwrap();
    let held = sqlx::query("select from workspace where workspace_id = $1::uuid for update")
        .bind(uuid::Uuid::parse_str(&word_after(&latchkey.startup_lines, "workspace")).unwrap())
        .execute(&mut database);
    runtime.block_on(held).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| import(&latchkey, &latchkey.api_key, large.clone()));
        eventually("the first import waits for the workspace", || {
            let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
            runtime.block_on(sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut database)).unwrap() > 0
        });
        let (status, busy) = import(&latchkey, other, large.clone());
        assert_eq!((status, &busy["error"]["type"]), (503, &json!("service_unavailable")), "{busy}");
        assert!(busy["error"]["message"].as_str().unwrap().contains("busy"), "{busy}");
        // A chunked body without a length counts as large, because it may grow up to the limit.
        let mut stream = latchkey.connect();
        let chunk = format!("{}{:x}\r\n", head(&latchkey, "transfer-encoding: chunked"), 1_200_000);
        stream.write_all(chunk.as_bytes()).unwrap();
        stream.write_all(" ".repeat(1_200_000).as_bytes()).unwrap();
        let mut refused = [0; 12];
        stream.read_exact(&mut refused).unwrap();
        assert_eq!(&refused, b"HTTP/1.1 503");
        let (status, imported) = import(&latchkey, other, small.clone());
        assert_eq!(status, 200, "{imported}");
        // The second large import starts when the first one has ended.
        let second = scope.spawn(|| import(&latchkey, other, body(&latchkey, other, LARGE)));
        thread::sleep(Duration::from_millis(500));
        assert!(!first.is_finished() && !second.is_finished());
        runtime.block_on(sqlx::query("rollback").execute(&mut database)).unwrap();
        for import in [first, second] {
            let (status, imported) = import.join().unwrap();
            assert_eq!(status, 200, "{imported}");
        }
    });
}

/// Reads a figure from `/proc/PID/status`, in bytes.
#[cfg(target_os = "linux")]
fn memory(latchkey: &Latchkey, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", latchkey.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// Returns the snapshot with about `bytes` bytes of additional events.
#[cfg(target_os = "linux")]
fn with_events(mut document: Value, bytes: usize) -> Value {
    let events = document["tables"]["event"].as_array_mut().unwrap();
    let row = events[0].clone();
    for number in 0..bytes / row.to_string().len() {
        let mut another = row.clone();
        another["event_id"] = json!(format!("00000000-0000-4000-8000-{number:012x}"));
        events.push(another);
    }
    document["checksum"] = json!(checksum(document.as_object().unwrap()).unwrap());
    document
}

#[cfg(target_os = "linux")]
#[test]
fn import_takes_less_than_three_times_the_memory_of_its_document() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    let locks = wait_for(latchkey.post("/devices/list", json!({})));
    let code = json!({ "device_id": locks["devices"][0]["device_id"], "sync": true });
    wait_for(latchkey.post("/access_codes/create", code));
    let exported: Value = serde_json::from_str(&body(&latchkey, &latchkey.api_key, 0)).unwrap();
    let large = json!({ "snapshot": with_events(exported["snapshot"].clone(), 20_000_000) }).to_string();
    let (length, before) = (large.len() as u64, memory(&latchkey, "VmRSS"));
    let (status, imported) = import(&latchkey, &latchkey.api_key, large);
    assert_eq!(status, 200, "{imported}");
    let growth = memory(&latchkey, "VmHWM") - before;
    assert!(growth < 3 * length + 24_000_000, "memory grew by {growth} bytes for a document of {length}");
    let restore = json!({ "snapshot_id": imported["snapshot_id"] });
    wait_for(latchkey.post("/_emulator/snapshots/restore", restore));
    let exported = body(&latchkey, &latchkey.api_key, 0);
    assert!(exported.len() as u64 > length / 10 * 9, "the export contains all events");
}
