//! Time travel: a scenario gets the same responses and leaves the same rows, whether the clock moves in one advance or
//! in several.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use crate::support::{START, TestWorkspace, app, post_as, run};
use chrono::TimeDelta;
use latchkey::testing::clock::{Timestamp, from_iso, to_iso};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const PINS: [&str; 6] = ["135790", "246801", "135791", "975310", "864209", "112358"];
const HOUR: i64 = 3_600_000;
const LOCKS: usize = 5;

/// One action of a scenario. The numbers select among the existing locks, codes and PINs.
#[derive(Clone, Debug)]
enum Action {
    Create { lock: usize, pin: Option<usize>, window: Option<(i64, i64)>, native: bool, external: bool, pool: bool },
    CreateMultiple { window: Option<(i64, i64)> },
    Offline { hours: i64, once: bool },
    Update { code: usize, pin: Option<usize>, window: Option<(i64, i64)>, name: Option<u8> },
    Delete { code: usize },
    Pull { code: usize },
    AddAtLock { lock: usize, pin: usize, window: Option<(i64, i64)> },
    ChangeAtLock { lock: usize, pin: usize, new_pin: usize },
    RemoveAtLock { lock: usize, pin: usize },
    Enter { lock: usize, pin: usize },
    Convert { code: usize },
    DeleteUnmanaged { code: usize },
    Fault { operation: usize, outcome: usize, times: u8, after: u8 },
    Device { lock: usize, property: usize, value: bool },
    Programming { after: usize },
    Advance { steps: u32, cuts: Vec<u16> },
}

/// Returns a strategy for actions in a workspace whose clock moves `step` milliseconds at a time. Time frames start and
/// end near the instants at which codes are put on their locks, become set, and are removed.
fn actions(step: i64) -> impl Strategy<Value = Vec<Action>> {
    let (lock, pin, code) = (0..LOCKS, 0..PINS.len(), 0..12_usize);
    let lead = prop::sample::select(vec![0, HOUR, 72 * HOUR]);
    let window = (lead, -3 * step..12 * step, 1..8 * step).prop_map(|(lead, offset, length)| (lead + offset, length));
    let window = prop::option::weighted(0.6, window);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let action = prop_oneof![
        6 => (lock.clone(), prop::option::of(pin.clone()), window.clone(), flags).prop_map(
            |(lock, pin, window, (native, external, pool))| Action::Create { lock, pin, window, native, external, pool }
        ),
        1 => window.clone().prop_map(|window| Action::CreateMultiple { window }),
        1 => (1..40_i64, any::<bool>()).prop_map(|(hours, once)| Action::Offline { hours, once }),
        4 => (code.clone(), prop::option::of(pin.clone()), window.clone(), prop::option::of(any::<u8>()))
            .prop_map(|(code, pin, window, name)| Action::Update { code, pin, window, name }),
        2 => code.clone().prop_map(|code| Action::Delete { code }),
        1 => code.clone().prop_map(|code| Action::Pull { code }),
        1 => (lock.clone(), pin.clone(), window)
            .prop_map(|(lock, pin, window)| Action::AddAtLock { lock, pin, window }),
        1 => (lock.clone(), pin.clone(), pin.clone())
            .prop_map(|(lock, pin, new_pin)| Action::ChangeAtLock { lock, pin, new_pin }),
        1 => (lock.clone(), pin.clone()).prop_map(|(lock, pin)| Action::RemoveAtLock { lock, pin }),
        1 => (lock.clone(), pin).prop_map(|(lock, pin)| Action::Enter { lock, pin }),
        1 => code.clone().prop_map(|code| Action::Convert { code }),
        1 => code.prop_map(|code| Action::DeleteUnmanaged { code }),
        3 => (0..4_usize, 0..5_usize, 1..5_u8, 0..2_u8)
            .prop_map(|(operation, outcome, times, after)| Action::Fault { operation, outcome, times, after }),
        3 => (lock, 0..3_usize, any::<bool>())
            .prop_map(|(lock, property, value)| Action::Device { lock, property, value }),
        1 => (0..4_usize).prop_map(|after| Action::Programming { after }),
        8 => (1..13_u32, prop::collection::vec(any::<u16>(), 0..8))
            .prop_map(|(steps, cuts)| Action::Advance { steps, cuts }),
    ];
    prop::collection::vec(action, 12..40)
}

/// Division of one [`Action::Advance`] into advances of the clock.
#[derive(Clone, Copy, Debug)]
enum Advances {
    One,
    Steps,
    Cuts,
}

impl Advances {
    /// Returns the stops of the clock on a span of `count` steps, in milliseconds from the start of the span.
    fn stops(self, count: u32, step: i64, cuts: &[u16]) -> Vec<i64> {
        let span = i64::from(count) * step;
        let mut stops: Vec<i64> = match self {
            Self::One => Vec::new(),
            Self::Steps => (1..count).map(|nth| i64::from(nth) * step).collect(),
            Self::Cuts => cuts.iter().map(|cut| span * i64::from(*cut) / i64::from(u16::MAX)).collect(),
        };
        stops.push(span);
        stops.sort_unstable();
        stops
    }
}

fn put_window(params: &mut Value, now: Timestamp, window: Option<(i64, i64)>) {
    if let Some((offset, length)) = window {
        let starts_at = now + TimeDelta::milliseconds(offset);
        params["starts_at"] = json!(to_iso(starts_at));
        params["ends_at"] = json!(to_iso(starts_at + TimeDelta::milliseconds(length)));
    }
}

/// Returns the request of an action. `None` for [`Action::Advance`], and if the code does not exist.
fn request(
    action: &Action,
    workspace: &TestWorkspace,
    codes: &[Value],
    now: Timestamp,
) -> Option<(&'static str, Value)> {
    let of_code = |code: &usize| codes.get(*code).map(|id| json!({ "access_code_id": id }));
    let of_lock = |lock: &usize, pin: &usize| json!({ "device_id": workspace.lock(*lock), "code": PINS[*pin] });
    Some(match action {
        Action::Create { lock, pin, window, native, external, pool } => {
            let mut params = json!({ "device_id": workspace.lock(*lock), "name": "guest", "prefer_native_scheduling": native,
                                     "is_external_modification_allowed": external });
            if let Some(pin) = pin {
                params["code"] = json!(PINS[*pin]);
            }
            put_window(&mut params, now, *window);
            params["use_backup_access_code_pool"] = json!(*pool && window.is_some());
            ("/access_codes/create", params)
        }
        Action::CreateMultiple { window } => {
            let mut params = json!({ "device_ids": [workspace.lock(0), workspace.lock(1), workspace.lock(2)],
                                     "behavior_when_code_cannot_be_shared": "create_random_code" });
            put_window(&mut params, now, *window);
            ("/access_codes/create_multiple", params)
        }
        Action::Offline { hours, once } => {
            let starts_at = now + TimeDelta::hours(1);
            let mut params = json!({ "device_id": workspace.lock(3), "is_offline_access_code": true,
                                     "is_one_time_use": once, "starts_at": to_iso(starts_at) });
            if !once {
                params["ends_at"] = json!(to_iso(starts_at + TimeDelta::hours(*hours)));
            }
            ("/access_codes/create", params)
        }
        Action::Update { code, pin, window, name } => {
            let mut params = of_code(code)?;
            if let Some(pin) = pin {
                params["code"] = json!(PINS[*pin]);
            }
            if let Some(name) = name {
                params["name"] = json!(format!("guest {name}"));
            }
            put_window(&mut params, now, *window);
            ("/access_codes/update", params)
        }
        Action::Delete { code } => ("/access_codes/delete", of_code(code)?),
        Action::Pull { code } => ("/access_codes/pull_backup_access_code", of_code(code)?),
        Action::AddAtLock { lock, pin, window } => {
            let mut params = of_lock(lock, pin);
            put_window(&mut params, now, *window);
            ("/_emulator/locks/add_code", params)
        }
        Action::ChangeAtLock { lock, pin, new_pin } => {
            let mut params = of_lock(lock, pin);
            params["new_code"] = json!(PINS[*new_pin]);
            ("/_emulator/locks/change_code", params)
        }
        Action::RemoveAtLock { lock, pin } => ("/_emulator/locks/remove_code", of_lock(lock, pin)),
        Action::Enter { lock, pin } => ("/_emulator/locks/enter_code", of_lock(lock, pin)),
        Action::Convert { code } => ("/access_codes/unmanaged/convert_to_managed", of_code(code)?),
        Action::DeleteUnmanaged { code } => ("/access_codes/unmanaged/delete", of_code(code)?),
        Action::Fault { operation, outcome, times, after } => {
            let outcome = [
                json!({ "fail": {} }),
                json!({ "fail": { "error_code": "provider_issue", "message": "broken" } }),
                json!({ "fail": { "error_code": "code_constraints_violated" } }),
                json!({ "delay": "PT5M" }),
                json!({ "delay": "PT0.05S" }),
            ][*outcome]
                .clone();
            let operation = ["set", "update", "remove", "refill"][*operation];
            let params = json!({ "operation": operation, "outcome": outcome, "times": times, "after": after });
            ("/_emulator/faults/create", params)
        }
        Action::Device { lock, property, value } => {
            let property = ["online", "hub_connected", "account_connected"][*property];
            ("/_emulator/devices/update", json!({ "device_id": workspace.lock(*lock), property: value }))
        }
        Action::Programming { after } => {
            let programming =
                [json!("at_once"), json!("by_hand"), json!({ "after": "PT3S" }), json!({ "after": "PT0.25S" })];
            ("/_emulator/programming/set", json!({ "programming": programming[*after] }))
        }
        Action::Advance { .. } => return None,
    })
}

/// Performs the actions in a new workspace. Returns all responses and, after them, all rows of the workspace.
async fn play(seed: &str, actions: &[Action], step: i64, advances: Advances) -> Vec<Value> {
    let locks = json!([
        { "device_type": "august_lock", "backup_access_code_pool_size": 2 },
        { "device_type": "ttlock_lock", "native_scheduling": false, "max_active_codes_supported": 3 },
        { "device_type": "nuki_lock", "code_constraints": [], "backup_access_code_pool_size": 2 },
        { "device_type": "igloohome_lock" },
        { "device_type": "salto_lock" },
    ]);
    let workspace = TestWorkspace::create_with(json!({ "seed": seed, "locks": locks })).await;
    let mut now = from_iso(START).unwrap();
    let mut responses = Vec::new();
    let mut codes: Vec<Value> = Vec::new();
    for action in actions {
        if let Action::Advance { steps, cuts } = action {
            let start = now;
            let mut counts = [0; 2];
            for stop in advances.stops(*steps, step, cuts) {
                now = start + TimeDelta::milliseconds(stop);
                let moved = workspace.post("/_emulator/clock/advance", json!({ "to": to_iso(now) })).await.ok();
                counts[0] += moved["transitions"].as_u64().unwrap();
                counts[1] += moved["events"].as_u64().unwrap();
            }
            responses.push(json!(counts));
            continue;
        }
        let Some((path, params)) = request(action, &workspace, &codes, now) else { continue };
        let response = workspace.post(path, params).await.body;
        let created = response["access_codes"].as_array().cloned().unwrap_or_default();
        codes.extend(created.iter().chain(response.get("access_code")).map(|code| code["access_code_id"].clone()));
        responses.push(response);
    }
    responses.extend(tables(&workspace).await);
    post_as("", "/_emulator/workspaces/delete", json!({ "workspace_id": workspace.workspace_id })).await.ok();
    responses
}

/// Returns all rows of a workspace in a fixed order, without `sequence`, which counts the rows of all workspaces, and
/// without `publishable_key`.
async fn tables(workspace: &TestWorkspace) -> Vec<Value> {
    const TABLES: [(&str, &str); 8] = [
        ("workspace", "workspace_id"),
        ("connected_account", "connected_account_id"),
        ("device", "ordinal"),
        ("pin_group", "common_code_key"),
        ("access_code", "sequence"),
        ("action_attempt", "action_attempt_id"),
        ("event", "sequence"),
        ("fault", "sequence"),
    ];
    let workspace_id: uuid::Uuid = workspace.workspace_id.parse().unwrap();
    let mut tables = Vec::new();
    for (table, order) in TABLES {
        let query = format!(
            "select to_jsonb(t) - 'sequence' - 'publishable_key' from {table} t where workspace_id = $1 order by t.{order}"
        );
        let rows: Vec<Value> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(workspace_id)
            .fetch_all(app().pool.raw())
            .await
            .unwrap();
        tables.push(json!({ table: rows }));
    }
    tables
}

/// Checks that random scenarios have the same result, whether the clock moves in one advance, in advances of this
/// length, or in advances of random lengths.
fn check_advances(step: i64) {
    static SEEDS: AtomicUsize = AtomicUsize::new(0);
    let cases = std::env::var("LATCHKEY_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8);
    let config = Config { cases, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&actions(step), |actions| {
        let seed = format!("strides {}", SEEDS.fetch_add(1, Ordering::Relaxed));
        let play_with = |advances| run(play(&seed, &actions, step, advances));
        let one = play_with(Advances::One);
        for advances in [Advances::Steps, Advances::Cuts] {
            let several = play_with(advances);
            if let Some((one, several)) =
                one.iter().zip(&several).find_map(|(one, several)| first_difference(one, several))
            {
                return Err(TestCaseError::fail(format!("in one advance:\n{one}\nin {advances:?}:\n{several}")));
            }
            prop_assert_eq!(one.len(), several.len());
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Returns the innermost pair of values in which two trees differ.
fn first_difference(one: &Value, other: &Value) -> Option<(Value, Value)> {
    match (one, other) {
        _ if one == other => None,
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            left.iter().zip(right).find_map(|(one, other)| first_difference(one, other))
        }
        (Value::Object(left), Value::Object(right)) if left.len() == 1 && right.len() == 1 => {
            left.values().zip(right.values()).find_map(|(one, other)| first_difference(one, other))
        }
        _ => Some((one.clone(), other.clone())),
    }
}

#[test]
fn advances_by_a_tenth_of_a_second_equal_one_advance() {
    check_advances(100);
}

#[test]
fn advances_by_a_second_equal_one_advance() {
    check_advances(1000);
}

#[test]
fn advances_by_a_minute_equal_one_advance() {
    check_advances(60_000);
}

#[test]
fn advances_by_an_hour_equal_one_advance() {
    check_advances(HOUR);
}

#[test]
fn advances_by_a_day_equal_one_advance() {
    check_advances(24 * HOUR);
}

/// A code that ends before the lock stores it frees its place for a backup code, in one advance and in several.
#[test]
fn code_that_was_never_set_frees_its_place_for_a_backup_code() {
    let actions = [
        Action::Create { lock: 1, pin: None, window: Some((0, 1)), native: false, external: false, pool: true },
        Action::Advance { steps: 11, cuts: Vec::new() },
    ];
    let [one, several] =
        [Advances::One, Advances::Steps].map(|advances| run(play("a guest never set", &actions, 1000, advances)));
    assert_eq!(one, several);
}
