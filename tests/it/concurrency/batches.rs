//! Batches: requests that queue while a row lock is held are decided one after the other and written together.

use super::{id_of, lock_with_360_pins, send_concurrently};
use crate::access_codes::on_lock;
use crate::support::{START, TestWorkspace, UNKNOWN, app, post_as, run};
use futures_util::FutureExt;
use latchkey::testing::cause::Cause;
use latchkey::testing::domain::caller::Visibility;
use latchkey::testing::engine::commands::{CreateCommand, NewAccessCode, Update, UpdateCommand};
use latchkey::testing::engine::{create, update};
use latchkey::testing::ids::Ids;
use latchkey::testing::postgres::Transaction;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Row lock on the first device of a workspace, held by a separate transaction.
struct BusyLock {
    transaction: Transaction,
    pid: i32,
}

impl BusyLock {
    async fn acquire(workspace: &TestWorkspace) -> Self {
        let mut transaction = app().pool.begin(Uuid::nil()).await.unwrap();
        let statement = "select from device where device_id = $1::text::uuid for update";
        sqlx::query(statement).bind(workspace.lock(0)).execute(&mut *transaction).await.unwrap();
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *transaction).await.unwrap();
        Self { transaction, pid }
    }

    /// Waits until `count` transactions wait for the row lock, or for a transaction that waits for it.
    async fn wait_until_waiting(&self, count: i64) {
        let waiting = "select count(*) from pg_stat_activity a
            where $1 = any(pg_blocking_pids(a.pid))
                  or exists (select from pg_stat_activity b
                             where b.pid = any(pg_blocking_pids(a.pid)) and $1 = any(pg_blocking_pids(b.pid)))";
        while sqlx::query_scalar::<_, i64>(waiting).bind(self.pid).fetch_one(app().pool.raw()).await.unwrap() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn release(self) {
        drop(self.transaction);
    }
}

/// Returns a command that applies this update to a code of the workspace.
fn change(workspace: &TestWorkspace, access_code_id: &Value, update: Update) -> UpdateCommand {
    UpdateCommand {
        visibility: Visibility::all_of(id_of(workspace)),
        access_code_id: serde_json::from_value(access_code_id.clone()).unwrap(),
        device_id: None,
        update,
        sync: false,
        cause: Cause::new(),
    }
}

fn renamed(name: &str) -> Update {
    Update { name: Some(name.to_owned()), ..Update::default() }
}

/// Returns a command that creates a code with this PIN on the first lock of the workspace. `linking`: the behaviour when
/// the code cannot be shared, for a code of `create_multiple`.
fn creation(workspace: &TestWorkspace, code: &str, linking: Option<&str>) -> CreateCommand {
    CreateCommand {
        visibility: Visibility::all_of(id_of(workspace)),
        device_ids: vec![workspace.lock(0).parse().unwrap()],
        params: NewAccessCode { code: Some(code.to_owned()), ..NewAccessCode::default() },
        linking: linking.map(|behavior| serde_json::from_value(json!(behavior)).unwrap()),
        cause: Cause::new(),
    }
}

/// Sends the first update, which must succeed, and queues the other updates behind it while the row lock is held.
/// Returns for each queued update whether it succeeded.
async fn gather<const COUNT: usize>(
    workspace: &TestWorkspace,
    first: UpdateCommand,
    queued: [UpdateCommand; COUNT],
) -> [bool; COUNT] {
    let app = app();
    let busy = BusyLock::acquire(workspace).await;
    let first = tokio::spawn({
        let app = app.clone();
        async move { update::update(&app, first).await }
    });
    busy.wait_until_waiting(1).await;
    let mut queued = queued.map(|command| Box::pin(update::update(&app, command)));
    for command in &mut queued {
        assert!(command.as_mut().now_or_never().is_none(), "the update waits");
    }
    busy.release();
    first.await.unwrap().unwrap();
    futures_util::future::join_all(queued).await.iter().map(Result::is_ok).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn random_pin_is_free_although_another_request_of_the_batch_gives_the_same_pin() {
    run(async {
        let workspace = TestWorkspace::with(json!([lock_with_360_pins()])).await;
        let creations = (0..350).map(|_| ("/access_codes/create", json!({ "device_id": workspace.lock(0) })));
        let replies = send_concurrently(&workspace.api_key, creations.collect()).await;
        let taken: Vec<_> = replies.iter().map(|reply| reply.body["access_code"]["code"].as_str().unwrap()).collect();
        let is_allowed = |pin: &String| pin.chars().all(|digit| pin.matches(digit).count() == 1 && digit < '7');
        let mut pins = (1111..=6666).map(|pin| pin.to_string()).filter(|pin| !pin.contains('0')).filter(is_allowed);
        let free = pins.find(|pin| !taken.contains(&pin.as_str())).unwrap();

        let app = app();
        let busy = BusyLock::acquire(&workspace).await;
        let waiting = creation(&workspace, taken[0], None);
        let waiting = tokio::spawn({
            let app = app.clone();
            async move { create::create(&app, waiting).await }
        });
        busy.wait_until_waiting(1).await;
        let mut plain = Box::pin(create::create(&app, creation(&workspace, &free, None)));
        let linked = creation(&workspace, &free, Some("create_random_code"));
        let mut linked = Box::pin(create::create(&app, linked));
        assert!(plain.as_mut().now_or_never().is_none() && linked.as_mut().now_or_never().is_none());
        busy.release();
        assert!(waiting.await.unwrap().is_err(), "its PIN is taken");
        let (plain, linked) = tokio::join!(plain, linked);
        assert_eq!(plain.unwrap()[0].code.state.requested.code, free);
        let random = &linked.unwrap()[0].code.state.requested.code;
        assert!(*random != free && !taken.contains(&random.as_str()), "{random} is taken");
    });
}

#[test]
fn workspace_is_deleted_while_a_create_with_a_new_key_waits_for_its_lock() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        workspace.post("/_emulator/faults/create", json!({ "operation": "set", "outcome": "never" })).await.ok();
        let busy = BusyLock::acquire(&workspace).await;
        let send = |path: &'static str, body: Value| {
            let key = workspace.api_key.clone();
            tokio::spawn(async move { post_as(&key, path, body).await })
        };
        let deletion = send("/_emulator/workspaces/delete", json!({}));
        busy.wait_until_waiting(1).await;
        let creation =
            send("/access_codes/create", json!({ "device_id": workspace.lock(0), "common_code_key": "new" }));
        busy.wait_until_waiting(2).await;
        busy.release();
        deletion.await.unwrap().ok();
        creation.await.unwrap().error(404, "device_not_found");
        for table in ["workspace", "device", "fault", "pin_group", "access_code", "event"] {
            let count = sqlx::AssertSqlSafe(format!("select count(*) from {table} where workspace_id = $1"));
            let count: i64 =
                sqlx::query_scalar(count).bind(id_of(&workspace)).fetch_one(app().pool.raw()).await.unwrap();
            assert_eq!(count, 0, "{table}");
        }
    });
}

#[test]
fn rejected_or_cancelled_updates_do_not_affect_the_rest_of_their_batch() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let mut codes = Vec::new();
        for index in 0..12 {
            let params =
                json!({ "device_id": workspace.lock(0), "code": format!("{}", 135_700 + index), "name": "before" });
            codes.push(workspace.create(params).await["access_code_id"].clone());
        }
        let busy = BusyLock::acquire(&workspace).await;
        let mut tasks = Vec::new();
        for (index, code) in codes.iter().enumerate() {
            let change = match index % 4 {
                // The PIN of the first code.
                1 => json!({ "access_code_id": code, "name": "after", "code": "135700" }),
                2 => json!({ "access_code_id": code, "name": "after", "device_id": UNKNOWN }),
                _ => json!({ "access_code_id": code, "name": "after" }),
            };
            let key = workspace.api_key.clone();
            tasks.push(tokio::spawn(async move { post_as(&key, "/access_codes/update", change).await }));
            busy.wait_until_waiting(1).await;
        }
        // Cancel some of the waiting requests.
        tasks.iter().skip(3).step_by(4).for_each(JoinHandle::abort);
        for task in tasks.iter_mut().skip(3).step_by(4) {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        busy.release();
        for (index, task) in tasks.into_iter().enumerate().filter(|(index, _)| index % 4 != 3) {
            let reply = task.await.unwrap();
            match index % 4 {
                0 => drop(reply.ok()),
                1 => drop(reply.error(409, "duplicate_access_code")),
                _ => drop(reply.error(404, "device_not_found")),
            }
        }
        for (index, code) in codes.iter().enumerate() {
            let expected = if index % 4 == 0 { "after" } else { "before" };
            assert_eq!(workspace.access_code(code).await["name"], expected, "{index}");
        }
    });
}

#[test]
fn batched_creates_use_the_workspace_as_read_under_the_row_locks() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "locks": 2, "seed": "what the first of them saw" })).await;
        let device_id: Uuid = workspace.lock(0).parse().unwrap();
        let busy = BusyLock::acquire(&workspace).await;
        let create = |code: &str| {
            let params = json!({ "device_id": workspace.lock(0), "code": code });
            let key = workspace.api_key.clone();
            tokio::spawn(async move { post_as(&key, "/access_codes/create", params).await.ok() })
        };
        let first = create("1357");
        busy.wait_until_waiting(1).await;
        let second = create("2468");
        // A restore of a snapshot with another seed has the same effect.
        let restored = "update workspace set seed = 'what is there now' where workspace_id = $1";
        let workspace_id: Uuid = workspace.workspace_id.parse().unwrap();
        sqlx::query(restored).bind(workspace_id).execute(app().pool.raw()).await.unwrap();
        busy.release();
        first.await.unwrap();
        let created_id = second.await.unwrap()["access_code"]["access_code_id"].clone();
        let ids = Ids::of(Some("what is there now"));
        let now = START.parse().unwrap();
        assert_eq!(created_id, json!(ids.id("access_code", device_id, 1, now)));
    });
}

#[test]
fn pin_of_a_code_that_a_batch_unmanages_is_free_for_its_next_request() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "locks": 1, "programming": "at_once" })).await;
        let mut codes = Vec::new();
        for pin in ["1357", "2468", "9753"] {
            codes
                .push(workspace.create(on_lock(&workspace, 0, json!({ "code": pin }))).await["access_code_id"].clone());
        }
        let unmanage = Update { is_managed: Some(false), ..Update::default() };
        let set_pin = Update { code: Some("1357".to_owned()), ..Update::default() };
        let queued = [change(&workspace, &codes[0], unmanage), change(&workspace, &codes[1], set_pin)];
        assert_eq!(gather(&workspace, change(&workspace, &codes[2], renamed("first")), queued).await, [true; 2]);
        assert_eq!(workspace.access_code(&codes[1]).await["code"], "1357");
    });
}

#[test]
fn update_without_changes_is_not_the_cause_of_events_of_its_batch() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "locks": 1, "programming": "at_once" })).await;
        let code =
            workspace.create(on_lock(&workspace, 0, json!({ "name": "before" }))).await["access_code_id"].clone();
        let changes = ["first", "second", "second"].map(|name| change(&workspace, &code, renamed(name)));
        let [first, second, third] = changes.clone();
        assert_eq!(gather(&workspace, first, [second, third]).await, [true; 2]);
        let types = |cause: &Cause| cause.events().iter().map(|event| event.event_type).collect::<Vec<_>>();
        let [first, second, third] = changes.map(|change| types(&change.cause));
        assert!(!first.is_empty());
        assert_eq!(first, second);
        assert_eq!(third, [""; 0]);
    });
}

#[test]
fn pin_of_a_code_that_ended_before_a_batch_is_free_for_its_requests() {
    run(async {
        let workspace = TestWorkspace::create_with(json!({ "locks": 1, "programming": "at_once" })).await;
        let ends_at = "2026-03-02T13:00:00.000Z";
        let ending = json!({ "code": "1357", "starts_at": START, "ends_at": ends_at });
        let mut codes = Vec::new();
        for params in [ending, json!({ "code": "2468" }), json!({ "code": "9753" })] {
            codes.push(workspace.create(on_lock(&workspace, 0, params)).await["access_code_id"].clone());
        }
        // Time passes before the next tick of the scheduler.
        let move_clock =
            "update workspace set clock_at = clock_at + interval '2 hours' where workspace_id = $1::text::uuid";
        sqlx::query(move_clock).bind(&workspace.workspace_id).execute(app().pool.raw()).await.unwrap();
        let set_pin = Update { code: Some("1357".to_owned()), ..Update::default() };
        let queued = [change(&workspace, &codes[0], renamed("too late")), change(&workspace, &codes[1], set_pin)];
        assert_eq!(gather(&workspace, change(&workspace, &codes[2], renamed("first")), queued).await, [false, true]);
        assert_eq!(workspace.access_code(&codes[1]).await["code"], "1357");
        let removed = ("access_code.removed_from_device".to_owned(), ends_at.to_owned());
        assert!(workspace.events_of(&codes[0]).await.contains(&removed));
    });
}
