//! Number of SQL statements per request: it does not depend on the number of locks and codes.

use super::{Latchkey, command, eventually, folder, post, wait_for};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A Latchkey server that logs each SQL statement.
struct Watched {
    latchkey: Latchkey,
    log: PathBuf,
}

impl Watched {
    fn start(folder: &Path) -> Self {
        let log = folder.join("log");
        let mut command = command(&["--ephemeral", "--port", "0", "--log-json"]);
        let filter = "warn,sqlx::query=debug,latchkey::requests=info";
        command.env("RUST_LOG", filter).stderr(File::create(&log).unwrap());
        let server = Self { latchkey: Latchkey::await_ready(&mut command), log };
        // The statements of the start are logged before the first request.
        wait_for(server.latchkey.post("/devices/list", json!({})));
        server.await_requests(1);
        server
    }

    /// Waits until this number of requests is logged. The lines of the statements of a request precede its own line.
    fn await_requests(&self, count: usize) {
        eventually("the request is logged", || self.requests() >= count);
    }

    /// Returns the number of logged requests.
    fn requests(&self) -> usize {
        self.lines().iter().filter(|line| line["target"] == "latchkey::requests").count()
    }

    fn lines(&self) -> Vec<Value> {
        let log = fs::read_to_string(&self.log).unwrap();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Sends a request. Returns the response and the statements of the request.
    async fn ask(&self, api_key: &str, path: &str, params: Value) -> (Value, Vec<String>) {
        let (before, requests) = (self.statements().len(), self.requests());
        let response = post(&self.latchkey.base_url, api_key, path, &params).await.unwrap();
        assert_eq!(response["ok"], true, "{response}");
        self.await_requests(requests + 1);
        (response, self.statements()[before..].to_vec())
    }

    /// Returns all statements so far. Without those of new connections and of the loops that look for due work, and
    /// without the look-up of an API key, which happens only once a second.
    fn statements(&self) -> Vec<String> {
        const IGNORED: [&str; 9] = [
            // Settings of a new connection.
            "set lock_timeout",
            "set client_connection_check_interval",
            "with due as (",
            r#"select d.device_id as "device_id!", d.workspace_id"#,
            "select device_id from device\n         where wake_at <=",
            "select least(\n             (select wake_at",
            "select workspace_id from workspace where expires_at",
            "select w.workspace_id, w.name",
            "with recursive planned",
        ];
        let lines = self.lines().into_iter();
        lines
            // A short statement is only in the summary.
            .filter_map(|line| {
                let full = line["fields"]["db.statement"].as_str()?.trim();
                Some(if full.is_empty() { line["fields"]["summary"].as_str()? } else { full }.to_owned())
            })
            .filter(|statement| IGNORED.iter().all(|ignored| !statement.starts_with(ignored)))
            .collect()
    }

    /// Sends a sequence of requests in a workspace with this many locks. Returns the number of statements per request.
    async fn statement_counts(&self, locks: usize) -> Vec<(&'static str, usize)> {
        let workspace = json!({ "clock": { "held_at": "2026-03-02T12:00:00Z" }, "locks": locks });
        let (workspace, workspace_statements) =
            self.ask(&self.latchkey.api_key, "/_emulator/workspaces/create", workspace).await;
        let api_key = workspace["api_key"].as_str().unwrap();
        let devices = workspace["devices"].as_array().unwrap();
        let device_ids: Vec<&Value> = devices.iter().map(|device| &device["device_id"]).collect();
        let window = json!({ "starts_at": "2026-03-02T11:00:00Z", "ends_at": "2026-03-03T12:00:00Z",
                             "device_ids": device_ids, "use_backup_access_code_pool": true });
        let (codes, code_statements) = self.ask(api_key, "/access_codes/create_multiple", window).await;
        let key = &codes["access_codes"][0]["common_code_key"];
        let mut counts =
            vec![("workspaces/create", workspace_statements.len()), ("create_multiple", code_statements.len())];
        let moved = json!({ "common_code_key": key, "name": "moved", "starts_at": "2026-03-02T13:00:00Z",
                            "ends_at": "2026-03-04T12:00:00Z" });
        let account = json!({ "connected_account_id": devices[0]["connected_account_id"] });
        let requests = [
            ("/_emulator/clock/advance", json!({ "by": "PT1M" })),
            ("/access_codes/update_multiple", moved),
            ("/_emulator/clock/advance", json!({ "by": "PT2H" })),
            ("/access_codes/list", json!({ "device_id": device_ids[0] })),
            ("/devices/list", json!({})),
            ("/connected_accounts/simulate/disconnect", account),
            ("/_emulator/programming/set", json!({ "programming": "at_once" })),
            ("/_emulator/clock/advance", json!({ "by": "P3D" })),
        ];
        for (path, params) in requests {
            counts.push((path, self.ask(api_key, path, params).await.1.len()));
        }
        let (snapshot, statements) = self.ask(api_key, "/_emulator/snapshots/create", json!({})).await;
        counts.push(("snapshots/create", statements.len()));
        for (path, params) in [
            ("/_emulator/snapshots/restore", json!({ "snapshot_id": snapshot["snapshot_id"] })),
            ("/_emulator/workspaces/reset", json!({})),
        ] {
            counts.push((path, self.ask(api_key, path, params).await.1.len()));
        }
        counts
    }
}

#[test]
fn statement_count_of_a_request_does_not_depend_on_the_number_of_locks() {
    let folder = folder();
    let watched = Watched::start(folder.path());
    let (two, two_hundred) =
        wait_for(async { (watched.statement_counts(2).await, watched.statement_counts(200).await) });
    assert_eq!(two, two_hundred);
    let update_multiple = two.iter().find(|(path, _)| *path == "/access_codes/update_multiple").unwrap();
    assert!((1..=12).contains(&update_multiple.1), "{two:?}");
}

#[test]
fn unused_features_of_a_workspace_cost_its_requests_no_statement() {
    let folder = folder();
    let watched = Watched::start(folder.path());
    wait_for(async {
        let workspace = json!({ "clock": { "held_at": "2026-03-02T12:00:00Z" }, "locks": 1 });
        let workspace = watched.ask(&watched.latchkey.api_key, "/_emulator/workspaces/create", workspace).await.0;
        let api_key = workspace["api_key"].as_str().unwrap();
        let lock = json!({ "device_id": workspace["devices"][0]["device_id"] });
        let ask = async |path: &str, params: Value| watched.ask(api_key, path, params).await;
        let count = async |path: &str| ask(path, lock.clone()).await.1.len();
        let (get, create) = (count("/devices/get").await, count("/access_codes/create").await);
        let fault = json!({ "outcome": "reset", "path": "/nowhere" });
        let fault = ask("/_emulator/http_faults/create", fault).await.0;
        ask("/_emulator/rate_limits/set", json!("seam")).await;
        ask("/_emulator/strictness/set", json!("strict")).await;
        assert!(count("/devices/get").await > get && count("/access_codes/create").await > create);
        let id = json!({ "http_fault_id": fault["http_fault"]["http_fault_id"] });
        ask("/_emulator/http_faults/delete", id).await;
        assert_eq!((count("/devices/get").await, count("/access_codes/create").await), (get, create + 1));
        ask("/_emulator/rate_limits/set", json!("off")).await;
        assert_eq!((count("/devices/get").await, count("/access_codes/create").await), (get, create));
    });
}

#[test]
fn statement_count_of_an_access_grant_does_not_depend_on_the_number_of_locks() {
    let folder = folder();
    let watched = Watched::start(folder.path());
    let counts = async |locks: usize| {
        let workspace = json!({ "clock": { "held_at": "2026-03-02T12:00:00Z" }, "locks": locks });
        let workspace = watched.ask(&watched.latchkey.api_key, "/_emulator/workspaces/create", workspace).await.0;
        let api_key = workspace["api_key"].as_str().unwrap();
        let devices = workspace["devices"].as_array().unwrap();
        let device_ids: Vec<&Value> = devices.iter().map(|device| &device["device_id"]).collect();
        let space = json!({ "name": "Hotel", "device_ids": device_ids[..locks / 2] });
        let space_id = watched.ask(api_key, "/spaces/create", space).await.0["space"]["space_id"].clone();
        let params = json!({ "user_identity": { "full_name": "Jane" }, "requested_access_methods": [{ "mode": "code" }],
                             "device_ids": device_ids[locks / 2..], "space_ids": [space_id],
                             "ends_at": "2026-03-05T12:00:00Z" });
        let (created, statements) = watched.ask(api_key, "/access_grants/create", params).await;
        assert_eq!(created["access_grant"]["errors"], json!([]));
        let id = &created["access_grant"]["access_grant_id"];
        let mut counts = vec![("create", statements.len())];
        for (path, params) in [
            ("/_emulator/clock/advance", json!({ "by": "PT1M" })),
            ("/access_grants/get", json!({ "access_grant_id": id })),
            ("/access_grants/get_related", json!({ "access_grant_ids": [id] })),
            ("/access_grants/update", json!({ "access_grant_id": id, "ends_at": "2026-03-06T12:00:00Z" })),
            ("/_emulator/clock/advance", json!({ "by": "PT1M" })),
            ("/spaces/update", json!({ "space_id": space_id, "device_ids": [] })),
            ("/access_grants/delete", json!({ "access_grant_id": id })),
            ("/_emulator/clock/advance", json!({ "by": "PT1M" })),
        ] {
            counts.push((path, watched.ask(api_key, path, params).await.1.len()));
        }
        counts
    };
    let (two, two_hundred) = wait_for(async { (counts(2).await, counts(200).await) });
    assert_eq!(two, two_hundred);
}
