//! Workspaces that are used at the same time: each sees its whole history and nothing else, as if it were alone.

#![expect(clippy::unwrap_used, reason = "this is a test")]

mod routes;

use crate::support::{TestWorkspace, post_as, run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Number of concurrent clients.
const CLIENTS: usize = 16;
/// Number of different scenarios per client, which runs them one after the other, each in a new workspace.
const SCENARIOS: usize = 2;

/// Pseudorandom numbers, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Runs a scenario in a new workspace, the same for the same number. Returns all responses, and at the end all data
/// that the API shows. All workspaces use the same PINs, names and keys.
async fn run_scenario(number: usize) -> Vec<Value> {
    const PINS: [&str; 4] = ["482600", "713900", "135790", "246801"];
    let mut dice = Dice(number as u64 + 1);
    let locks = json!([{ "device_type": "august_lock", "backup_access_code_pool_size": 1 },
                       { "device_type": "ttlock_lock", "native_scheduling": false },
                       { "device_type": "igloohome_lock" }]);
    let workspace = TestWorkspace::create_with(json!({ "seed": format!("isolation {number}"), "locks": locks })).await;
    let mut history = Vec::new();
    let mut codes: Vec<Value> = Vec::new();
    let staff = json!({ "device_ids": workspace.locks(), "common_code_key": "staff", "name": "staff" });
    let mut next = Some(("/access_codes/create_multiple", staff));
    for _ in 0..14 {
        let lock = workspace.lock(dice.roll(3));
        let code = codes.get(dice.roll(codes.len().max(1))).cloned().unwrap_or_default();
        let pin = PINS[dice.roll(4)];
        let (path, params) = next.take().unwrap_or_else(|| match dice.roll(10) {
            0 | 1 => ("/access_codes/create", json!({ "device_id": lock, "name": "guest", "code": pin })),
            2 => {
                let days = 3 + dice.roll(9);
                let window = json!({ "device_id": lock, "name": "guest", "use_backup_access_code_pool": true,
                                     "starts_at": format!("2026-03-{days:02}T15:00:00Z"),
                                     "ends_at": format!("2026-03-{:02}T11:00:00Z", days + 4) });
                ("/access_codes/create", window)
            }
            3 => ("/access_codes/update", json!({ "access_code_id": code, "name": "late", "code": pin })),
            4 => ("/access_codes/delete", json!({ "access_code_id": code })),
            5 => ("/_emulator/faults/create", json!({ "operation": "set", "outcome": { "fail": {} }, "times": 1 })),
            6 => ("/_emulator/devices/update", json!({ "device_id": lock, "online": dice.roll(2) == 0 })),
            7 => ("/_emulator/locks/enter_code", json!({ "device_id": lock, "code": pin })),
            _ => {
                let by = ["PT0.25S", "PT30S", "PT5H", "P2D"][dice.roll(4)];
                ("/_emulator/clock/advance", json!({ "by": by }))
            }
        });
        let response = workspace.post(path, params).await.body;
        let created = response["access_codes"].as_array().cloned().unwrap_or_default();
        codes.extend(created.iter().chain(response.get("access_code")).map(|code| code["access_code_id"].clone()));
        history.push(response);
    }
    let since = "2000-01-01T00:00:00Z";
    let mut final_requests = vec![
        ("/_emulator/clock/advance", json!({ "by": "P30D" })),
        ("/events/list", json!({ "since": since, "limit": 10_000 })),
        ("/action_attempts/list", json!({ "limit": 500 })),
        ("/devices/list", json!({})),
        ("/_emulator/faults/list", json!({})),
    ];
    for device_id in workspace.locks() {
        for path in ["/access_codes/list", "/access_codes/unmanaged/list", "/_emulator/locks/memory"] {
            final_requests.push((path, json!({ "device_id": device_id })));
        }
    }
    for (path, params) in final_requests {
        history.push(workspace.post(path, params).await.ok());
    }
    workspace.post("/_emulator/workspaces/delete", json!({})).await.ok();
    post_as(&workspace.api_key, "/devices/list", json!({})).await.error(401, "unauthorized");
    history
}

#[test]
fn concurrent_workspaces_behave_as_if_each_were_alone() {
    let workspaces = std::env::var("LATCHKEY_TEST_WORKSPACES").ok().and_then(|count| count.parse().ok()).unwrap_or(160);
    run(async move {
        let mut alone = BTreeMap::new();
        for number in 0..CLIENTS * SCENARIOS {
            alone.insert(number, run_scenario(number).await);
        }
        let events: usize = alone.values().map(|history| history[15]["events"].as_array().unwrap().len()).sum();
        assert!(events > CLIENTS * SCENARIOS * 5, "the scenarios have only {events} events");
        let alone = Arc::new(alone);
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let alone = Arc::clone(&alone);
            clients.spawn(async move {
                let rounds = workspaces / CLIENTS + usize::from(client < workspaces % CLIENTS);
                for round in 0..rounds {
                    let number = client * SCENARIOS + round % SCENARIOS;
                    let among_others = run_scenario(number).await;
                    for (one, other) in alone[&number].iter().zip(&among_others) {
                        assert_eq!(one, other, "other workspaces changed workspace {round} of client {client}");
                    }
                    assert_eq!(alone[&number].len(), among_others.len());
                }
                rounds
            });
        }
        assert_eq!(clients.join_all().await.into_iter().sum::<usize>(), workspaces);
    });
}
