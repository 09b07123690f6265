//! Random requests made from both contracts, over connections as clients have them: whatever is sent, the answer is an
//! envelope that the contract has, it comes soon, and it is no failure of the server.
//!
//! `LATCHKEY_TEST_REQUESTS` says how many, `LATCHKEY_TEST_SEED` where the random numbers begin. What a lane sends follows
//! from the seed, but for ids and instants that the server made up.

mod requests;
mod values;
mod wire;

use self::requests::{Caller, Operation};
use self::values::{Known, Random};
use self::wire::{Answer, Connection, Request};
use super::Latchkey;
use crate::support::{START, check_answer};
use latchkey::testing::contract;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs, thread};

/// As many as take a debug build a few seconds.
const REQUESTS: usize = 4000;

/// So many clients ask at the same time.
const LANES: usize = 4;

/// After so many requests of a lane its oldest workspace makes room for a new one.
const WORLD_LASTS: usize = 150;

/// By how much the server may grow after a tenth of the requests: what it keeps has its limits, such as the request log.
const GROWTH_KB: u64 = 100 * 1024;

fn setting(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// The memory of a process, where the system tells it.
fn resident_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// A workspace that a lane made, with what it heard of it.
struct TestWorkspace {
    api_key: String,
    workspace_id: String,
    personal_access_token: String,
    known: Known,
}

/// One client.
struct Lane<'a> {
    name: String,
    random: Random,
    connection: Connection,
    operations: &'a [Operation<'a>],
    /// The oldest first; the very first is the sandbox, which all lanes share.
    workspaces: Vec<TestWorkspace>,
    /// Workspaces that random requests made.
    strays: Vec<String>,
    asked: usize,
    /// How often each operation was answered with each status.
    answered: BTreeMap<String, BTreeMap<u16, usize>>,
}

/// Tells of the request at which a test failed.
struct DescribeOnPanic<'a>(&'a Lane<'a>, &'a Request);

impl Drop for DescribeOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}, request {}: {}", self.0.name, self.0.asked, self.1);
        }
    }
}

impl<'a> Lane<'a> {
    fn new(latchkey: &Latchkey, operations: &'a [Operation<'a>], seed: usize, number: usize) -> Self {
        let sandbox = TestWorkspace {
            api_key: latchkey.api_key.clone(),
            workspace_id: super::word_after(&latchkey.welcome, "workspace"),
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
            asked: 0,
            answered: BTreeMap::new(),
        }
    }

    fn control(&mut self, path: &str, body: &Value) -> Value {
        let headers = vec![("content-type", "application/json".to_owned())];
        let (path, body) = (path.to_owned(), body.to_string().into_bytes());
        let answer = self.connection.ask(&Request { method: "POST".to_owned(), path, query: None, headers, body });
        assert!(matches!(answer.status, 200 | 404), "{}", answer.body);
        answer.body
    }

    /// Makes a workspace with locks that differ, and deletes what is old, so that the data does not grow.
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
        let made =
            self.control("/_emulator/workspaces/create", &json!({ "clock": { "held_at": START }, "locks": locks }));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let exported = self.workspaces.iter().rev().find_map(|workspace| workspace.known.exported.clone());
        let mut known = Known::default();
        known.exported = exported;
        known.learn(&mut self.random, &made);
        self.workspaces.push(TestWorkspace {
            api_key: text(&made["api_key"]),
            workspace_id: text(&made["workspace"]["workspace_id"]),
            personal_access_token: text(&made["personal_access_token"]),
            known,
        });
    }

    /// What to ask for next: often for what makes codes, seldom for what takes away what there is.
    fn operation(&mut self) -> &'a Operation<'a> {
        const MAKING: [&str; 4] = [
            "/access_codes/create",
            "/access_codes/create_multiple",
            "/access_codes/simulate/create_unmanaged_access_code",
            "/_emulator/locks/add_code",
        ];
        const TAKING: [&str; 5] = [
            "/_emulator/workspaces/delete",
            "/_emulator/workspaces/reset",
            "/_emulator/snapshots/restore",
            "/devices/simulate/remove",
            "/connected_accounts/simulate/disconnect",
        ];
        let wants_code = self.random.per_mille(150);
        loop {
            let operation = self.random.pick(self.operations);
            let keeps = !TAKING.contains(&operation.path) || self.random.per_mille(150);
            if keeps && (!wants_code || MAKING.contains(&operation.path)) {
                return operation;
            }
        }
    }

    fn step(&mut self) {
        if self.asked.is_multiple_of(WORLD_LASTS) {
            self.renew();
        }
        self.asked += 1;
        // The sandbox is in use less: all make a mess of it.
        let workspace = if self.random.per_mille(100) { 0 } else { 1 + self.random.below(self.workspaces.len() - 1) };
        let elsewhere = self.random.below(self.workspaces.len());
        let told_of = if self.random.per_mille(950) { workspace } else { elsewhere };
        let operation = self.operation();
        let caller = Caller {
            api_key: &self.workspaces[workspace].api_key,
            workspace_id: &self.workspaces[workspace].workspace_id,
            personal_access_token: &self.workspaces[workspace].personal_access_token,
            foreign_key: &self.workspaces[elsewhere].api_key,
        };
        let request = requests::request(&mut self.random, operation, &caller, &self.workspaces[told_of].known);
        let mut connection = std::mem::replace(&mut self.connection, Connection::to(""));
        let told = DescribeOnPanic(self, &request);
        let answer = connection.ask(&request);
        check(&request, &answer);
        drop(told);
        self.connection = connection;
        let name = format!("{} {}", operation.method, operation.path);
        *self.answered.entry(name).or_default().entry(answer.status).or_default() += 1;

        if answer.status == 200 {
            self.heed(operation.path, workspace, &answer.body);
        } else if let (404, Some(kind)) = (answer.status, answer.body["error"]["type"].as_str()) {
            self.workspaces[told_of].known.forget(kind, &request.to_string());
        }
    }

    fn heed(&mut self, path: &str, workspace: usize, answer: &Value) {
        match path {
            "/_emulator/workspaces/delete" if self.workspaces.len() > 2 && workspace > 0 => {
                self.workspaces.remove(workspace);
            }
            "/_emulator/workspaces/delete" => self.renew(),
            "/_emulator/workspaces/create" => {
                self.strays.extend(answer["workspace"]["workspace_id"].as_str().map(str::to_owned));
            }
            // What others asked for, or what is wrong.
            "/_emulator/workspaces/list" | "/_emulator/requests" => {}
            _ => self.workspaces[workspace].known.learn(&mut self.random, answer),
        }
    }
}

/// Checks that an answer is what a client can count on.
fn check(request: &Request, answer: &Answer) {
    let Answer { status, body } = answer;
    assert!(*status < 500 || *status == 501, "answered {status} {body}");
    if request.method == "HEAD" || (request.method == "OPTIONS" && *status < 300) {
        return;
    }
    if body.is_null() && matches!(status, 400 | 414 | 431) {
        // A head that the HTTP library refuses by itself, before anything of ours sees it.
        return;
    }
    assert_eq!(body["ok"], json!(*status == 200), "answered {status} {body}");
    if *status != 200 {
        for field in ["type", "message"] {
            assert!(body["error"][field].as_str().is_some_and(|text| !text.is_empty()), "answered {status} {body}");
        }
    }
    check_answer(&request.method, &request.path, *status, body);
}

/// Has the other lanes end with one that fails.
struct Last<'a>(&'a AtomicBool);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.store(thread::panicking() || self.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Runs all lanes; gives how often each operation was answered with each status.
fn ask(
    latchkey: &Latchkey,
    operations: &[Operation<'_>],
    seed: usize,
    requests: usize,
) -> BTreeMap<String, BTreeMap<u16, usize>> {
    let stop = AtomicBool::new(false);
    let run = |number| {
        let mut lane = Lane::new(latchkey, operations, seed, number);
        let _last = Last(&stop);
        let mut at_first = None;
        for done in 0..requests / LANES {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            lane.step();
            if done == requests / LANES / 10 {
                at_first = resident_kb(latchkey.child.id());
            }
        }
        if let (0, Some(before), Some(after)) = (number, at_first, resident_kb(latchkey.child.id())) {
            println!("memory after a tenth {before} kB, in the end {after} kB");
            assert!(after < before + GROWTH_KB, "the server grew from {before} kB to {after} kB");
        }
        lane.answered
    };
    let run = &run;
    let mut all: BTreeMap<String, BTreeMap<u16, usize>> = BTreeMap::new();
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || run(number))).collect();
        for lane in lanes {
            for (operation, statuses) in lane.join().expect("a lane met no failure") {
                for (status, count) in statuses {
                    *all.entry(operation.clone()).or_default().entry(status).or_default() += count;
                }
            }
        }
    });
    all
}

#[test]
fn random_requests_are_all_answered_in_the_envelope_and_none_with_a_failure() {
    let documents =
        [contract::OPENAPI, contract::CONTROL_OPENAPI].map(|text| serde_json::from_str::<Value>(text).unwrap());
    let operations: Vec<Operation<'_>> = documents.iter().flat_map(requests::operations).collect();
    let (requests, seed) = (setting("LATCHKEY_TEST_REQUESTS", REQUESTS), setting("LATCHKEY_TEST_SEED", 1));
    let mut latchkey = Latchkey::start(&["--ephemeral"]);
    let answered = ask(&latchkey, &operations, seed, requests);
    let mut successes = 0;
    for (operation, statuses) in &answered {
        println!("{operation}: {statuses:?}");
        successes += statuses.get(&200).copied().unwrap_or_default();
    }
    assert!(latchkey.child.try_wait().unwrap().is_none(), "the server ended");
    // Otherwise little would be tested but the refusals.
    assert!(successes * 3 > requests, "only {successes} of {requests} did something");
}
