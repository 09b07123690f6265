//! Random requests derived from both contracts, sent over real connections. Every response is an envelope of the
//! contract, arrives soon and is no internal error of the server.
//!
//! `LATCHKEY_TEST_REQUESTS` sets the number of requests, `LATCHKEY_TEST_SEED` the seed of the random numbers. The
//! requests of a lane follow from the seed, except for ids and timestamps that the server chooses.

mod requests;
mod values;
mod wire;

use self::requests::{Caller, Operation};
use self::values::{Known, Random};
use self::wire::{Connection, Request, Response};
use super::Latchkey;
use crate::support::{START, check_response};
use latchkey::testing::contract;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs, thread};

/// Default number of requests, which takes a debug build a few seconds.
const REQUESTS: usize = 4000;

/// Number of concurrent clients.
const LANES: usize = 4;

/// Number of requests after which a lane replaces its oldest workspace.
const REQUESTS_PER_WORKSPACE: usize = 150;

/// Maximum growth of the server's memory after the first tenth of the requests. The data that the server stores in
/// memory is limited, such as the request log.
const GROWTH_KB: u64 = 100 * 1024;

fn setting(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// Returns the resident memory of a process in kB. `None` on systems without `/proc`.
fn resident_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// A workspace that a lane created, with the values known from its responses.
struct TestWorkspace {
    api_key: String,
    workspace_id: String,
    personal_access_token: String,
    known: Known,
}

/// One of the concurrent clients.
struct Lane<'a> {
    name: String,
    random: Random,
    connection: Connection,
    operations: &'a [Operation<'a>],
    /// Oldest first. The very first is the sandbox, which all lanes share.
    workspaces: Vec<TestWorkspace>,
    /// Ids of workspaces that random requests created, to be deleted.
    strays: Vec<String>,
    request_count: usize,
    /// Number of responses per operation and status.
    responses: BTreeMap<String, BTreeMap<u16, usize>>,
}

/// Prints the request at which a test failed.
struct DescribeOnPanic<'a>(&'a Lane<'a>, &'a Request);

impl Drop for DescribeOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}, request {}: {}", self.0.name, self.0.request_count, self.1);
        }
    }
}

impl<'a> Lane<'a> {
    fn new(latchkey: &Latchkey, operations: &'a [Operation<'a>], seed: usize, number: usize) -> Self {
        let sandbox = TestWorkspace {
            api_key: latchkey.api_key.clone(),
            workspace_id: super::word_after(&latchkey.startup_lines, "workspace"),
            personal_access_token: String::new(),
            known: Known::default(),
        };
        Self {
            name: format!("seed {seed}, lane {number}"),
            random: Random((seed * 1000 + number) as u64),
            connection: Connection::to(latchkey.authority()),
            operations,
            workspaces: vec![sandbox],
            strays: Vec::new(),
            request_count: 0,
            responses: BTreeMap::new(),
        }
    }

    fn control(&mut self, path: &str, body: &Value) -> Value {
        let headers = vec![("content-type", "application/json".to_owned())];
        let (path, body) = (path.to_owned(), body.to_string().into_bytes());
        let response = self.connection.send(&Request { method: "POST".to_owned(), path, query: None, headers, body });
        assert!(matches!(response.status, 200 | 404), "{}", response.body);
        response.body
    }

    /// Creates a workspace with different kinds of locks and deletes old workspaces, so that the data does not grow.
    fn renew(&mut self) {
        if self.workspaces.len() > 2 {
            let old = self.workspaces.remove(1);
            self.strays.push(old.workspace_id);
        }
        for workspace_id in std::mem::take(&mut self.strays) {
            self.control("/_emulator/workspaces/delete", &json!({ "workspace_id": workspace_id }));
        }
        if self.name.ends_with("lane 0") {
            self.control("/_emulator/workspaces/reset", &json!({}));
        }
        let locks = json!([
            { "device_type": "august_lock" },
            { "device_type": "ttlock_lock", "native_scheduling": false, "max_active_codes_supported": 6 },
            { "device_type": "nuki_lock", "code_constraints": [], "backup_access_code_pool_size": 2 },
            { "device_type": "igloohome_lock" },
            { "device_type": "schlage_lock" },
        ]);
        let created =
            self.control("/_emulator/workspaces/create", &json!({ "clock": { "held_at": START }, "locks": locks }));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let exported = self.workspaces.iter().rev().find_map(|workspace| workspace.known.exported.clone());
        let mut known = Known::default();
        known.exported = exported;
        known.learn(&mut self.random, &created);
        self.workspaces.push(TestWorkspace {
            api_key: text(&created["api_key"]),
            workspace_id: text(&created["workspace"]["workspace_id"]),
            personal_access_token: text(&created["personal_access_token"]),
            known,
        });
    }

    /// Picks the next operation: often one that creates codes, seldom one that removes existing data.
    fn operation(&mut self) -> &'a Operation<'a> {
        const CREATING: [&str; 5] = [
            "/access_codes/create",
            "/access_codes/create_multiple",
            "/access_codes/simulate/create_unmanaged_access_code",
            "/_emulator/locks/add_code",
            "/access_grants/create",
        ];
        const REMOVING: [&str; 5] = [
            "/_emulator/workspaces/delete",
            "/_emulator/workspaces/reset",
            "/_emulator/snapshots/restore",
            "/devices/simulate/remove",
            "/connected_accounts/simulate/disconnect",
        ];
        let must_create = self.random.per_mille(150);
        loop {
            let operation = self.random.pick(self.operations);
            let is_allowed = !REMOVING.contains(&operation.path) || self.random.per_mille(150);
            if is_allowed && (!must_create || CREATING.contains(&operation.path)) {
                return operation;
            }
        }
    }

    fn step(&mut self) {
        if self.request_count.is_multiple_of(REQUESTS_PER_WORKSPACE) {
            self.renew();
        }
        self.request_count += 1;
        // The sandbox is used less often, because all lanes change it.
        let workspace = if self.random.per_mille(100) { 0 } else { 1 + self.random.below(self.workspaces.len() - 1) };
        let elsewhere = self.random.below(self.workspaces.len());
        let known_from = if self.random.per_mille(950) { workspace } else { elsewhere };
        let operation = self.operation();
        let caller = Caller {
            api_key: &self.workspaces[workspace].api_key,
            workspace_id: &self.workspaces[workspace].workspace_id,
            personal_access_token: &self.workspaces[workspace].personal_access_token,
            other_key: &self.workspaces[elsewhere].api_key,
        };
        let request = requests::request(&mut self.random, operation, &caller, &self.workspaces[known_from].known);
        let mut connection = std::mem::replace(&mut self.connection, Connection::to(""));
        let guard = DescribeOnPanic(self, &request);
        let response = connection.send(&request);
        check(&request, &response);
        drop(guard);
        self.connection = connection;
        let name = format!("{} {}", operation.method, operation.path);
        *self.responses.entry(name).or_default().entry(response.status).or_default() += 1;

        if response.status == 200 {
            self.learn_from(operation.path, workspace, &response.body);
        } else if let (404, Some(kind)) = (response.status, response.body["error"]["type"].as_str()) {
            self.workspaces[known_from].known.forget(kind, &request.to_string());
        }
    }

    fn learn_from(&mut self, path: &str, workspace: usize, response: &Value) {
        match path {
            "/_emulator/workspaces/delete" if self.workspaces.len() > 2 && workspace > 0 => {
                self.workspaces.remove(workspace);
            }
            "/_emulator/workspaces/delete" => self.renew(),
            "/_emulator/workspaces/create" => {
                self.strays.extend(response["workspace"]["workspace_id"].as_str().map(str::to_owned));
            }
            // These responses list values of other lanes or of rejected requests.
            "/_emulator/workspaces/list" | "/_emulator/requests" => {}
            _ => self.workspaces[workspace].known.learn(&mut self.random, response),
        }
    }
}

/// Checks that a response has the form that a client can rely on.
fn check(request: &Request, response: &Response) {
    let Response { status, body } = response;
    assert!(*status < 500 || *status == 501, "returned {status} {body}");
    if request.method == "HEAD" || (request.method == "OPTIONS" && *status < 300) {
        return;
    }
    if body.is_null() && matches!(status, 400 | 414 | 431) {
        // The HTTP library itself rejects such a request head, before Latchkey reads it.
        return;
    }
    assert_eq!(body["ok"], json!(*status == 200), "returned {status} {body}");
    if *status != 200 {
        for field in ["type", "message"] {
            assert!(body["error"][field].as_str().is_some_and(|text| !text.is_empty()), "returned {status} {body}");
        }
    }
    check_response(&request.method, &request.path, *status, body);
}

/// Stops the other lanes when one lane fails.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.store(thread::panicking() || self.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Runs all lanes. Returns the number of responses per operation and status.
fn run_lanes(
    latchkey: &Latchkey,
    operations: &[Operation<'_>],
    seed: usize,
    requests: usize,
) -> BTreeMap<String, BTreeMap<u16, usize>> {
    let stop = AtomicBool::new(false);
    let run_lane = |number| {
        let mut lane = Lane::new(latchkey, operations, seed, number);
        let _last = StopOnPanic(&stop);
        let mut early = None;
        for done in 0..requests / LANES {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            lane.step();
            if done == requests / LANES / 10 {
                early = resident_kb(latchkey.child.id());
            }
        }
        if let (0, Some(before), Some(after)) = (number, early, resident_kb(latchkey.child.id())) {
            println!("memory after a tenth {before} kB, in the end {after} kB");
            assert!(after < before + GROWTH_KB, "the server grew from {before} kB to {after} kB");
        }
        lane.responses
    };
    let run_lane = &run_lane;
    let mut totals: BTreeMap<String, BTreeMap<u16, usize>> = BTreeMap::new();
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || run_lane(number))).collect();
        for lane in lanes {
            for (operation, statuses) in lane.join().expect("a lane does not panic") {
                for (status, count) in statuses {
                    *totals.entry(operation.clone()).or_default().entry(status).or_default() += count;
                }
            }
        }
    });
    totals
}

#[test]
fn random_requests_get_envelopes_of_the_contract_and_no_internal_error() {
    let documents = [&contract::OPENAPI, &contract::CONTROL_OPENAPI]
        .map(|document| serde_json::from_str::<Value>(document.text().unwrap()).unwrap());
    let operations: Vec<Operation<'_>> = documents.iter().flat_map(requests::operations).collect();
    let (requests, seed) = (setting("LATCHKEY_TEST_REQUESTS", REQUESTS), setting("LATCHKEY_TEST_SEED", 1));
    let mut latchkey = Latchkey::start(&["--ephemeral"]);
    let statuses_by_operation = run_lanes(&latchkey, &operations, seed, requests);
    let mut successes = 0;
    for (operation, statuses) in &statuses_by_operation {
        println!("{operation}: {statuses:?}");
        successes += statuses.get(&200).copied().unwrap_or_default();
    }
    assert!(latchkey.child.try_wait().unwrap().is_none(), "the server ended");
    // With fewer successes the test would cover little more than rejections.
    assert!(successes * 3 > requests, "only {successes} of {requests} requests succeeded");
}
