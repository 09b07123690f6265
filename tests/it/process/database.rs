//! A database that dies, is paused, stopped, slow or without free connections: requests fail with 503 meanwhile, and no
//! confirmed change is lost.

use super::{
    Latchkey, client, codes_at_rest, codes_on, command, eventually, folder, id_of, post, postgres_in, postgres_of,
    stderr_of, wait_for, word_after,
};
use crate::processes::children_of;
use crate::support::{check_response, download};
use latchkey::testing::postgres::private::{Durability, Options, PrivatePostgres};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A response with its status, its `Retry-After` header and its duration.
struct Response {
    status: u16,
    retry_after: Option<String>,
    body: Value,
    duration: Duration,
}

impl Response {
    /// Checks that the response is 503 `service_unavailable` with `Retry-After`, and came within the limit.
    fn check_unavailable_within(&self, limit: Duration) {
        assert_eq!((self.status, &self.body["error"]["type"]), (503, &json!("service_unavailable")), "{}", self.body);
        assert!(self.retry_after.is_some());
        assert!(self.duration < limit, "it took {:?}", self.duration);
    }
}

async fn ask(base_url: &str, api_key: &str, path: &str, body: &Value) -> Response {
    let begun = Instant::now();
    let response = client().post(format!("{base_url}{path}")).bearer_auth(api_key).json(body).send().await.unwrap();
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let body: Value = response.json().await.unwrap();
    check_response("POST", path, status, &body);
    Response { status, retry_after, body, duration: begun.elapsed() }
}

/// Returns the database address that the server printed at its start.
pub(super) fn database_of(latchkey: &Latchkey) -> String {
    word_after(&latchkey.startup_lines, "database").split('\'').nth(1).unwrap().to_owned()
}

pub(super) async fn locks_of(latchkey: &Latchkey) -> Vec<String> {
    let found = latchkey.post("/devices/list", json!({})).await;
    found["devices"].as_array().unwrap().iter().map(|device| device["device_id"].as_str().unwrap().to_owned()).collect()
}

/// Sends a signal to the postmaster with this process id and to all its child processes.
fn signal_all(postmaster: &str, signal: Signal) {
    let postmaster: u32 = postmaster.parse().unwrap();
    for pid in children_of(postmaster).into_iter().chain([postmaster]) {
        let _ = kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal);
    }
}

fn kill(pid: &str) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// Waits until a code can be created again, and returns it.
pub(super) async fn until_it_serves(latchkey: &Latchkey, lock: &str) -> Value {
    until_it_serves_counting(latchkey, lock, &mut 0).await
}

/// Like [`until_it_serves`], for a database that may be lost in the middle of a COMMIT: also counts the requests with
/// an unknown outcome in `unknown`.
async fn until_it_serves_counting(latchkey: &Latchkey, lock: &str, unknown: &mut usize) -> Value {
    let begun = Instant::now();
    loop {
        let response =
            ask(&latchkey.base_url, &latchkey.api_key, "/access_codes/create", &json!({ "device_id": lock })).await;
        if response.status == 200 {
            return response.body["access_code"].clone();
        }
        if response.body["error"]["message"].as_str().is_some_and(|message| message.contains("may have been executed"))
        {
            *unknown += 1;
            continue;
        }
        response.check_unavailable_within(Duration::from_secs(2));
        assert!(begun.elapsed() < Duration::from_secs(20), "the server does not recover");
    }
}

pub(super) fn with_database(postgres: &PrivatePostgres, arguments: &[&str]) -> Latchkey {
    let mut all_arguments = vec!["--port", "0"];
    all_arguments.extend(arguments);
    Latchkey::await_ready(command(&all_arguments).env("DATABASE_URL", postgres.url()))
}

#[test]
fn private_postgres_is_restarted_when_it_dies_and_keeps_confirmed_codes() {
    for arguments in [&["--ephemeral"][..], &[]] {
        let folder = folder();
        let directory = folder.path().join("kept");
        let persistent = ["--data-dir", directory.to_str().unwrap()];
        let latchkey = Latchkey::start(if arguments.is_empty() { &persistent } else { arguments });
        wait_for(async {
            let locks = locks_of(&latchkey).await;
            let (mut created, mut unknown) = (BTreeSet::new(), 0);
            for _ in 0..3 {
                for _ in 0..10 {
                    created.insert(id_of(&until_it_serves_counting(&latchkey, &locks[0], &mut unknown).await));
                }
                let mut connection = PgConnection::connect(&database_of(&latchkey)).await.unwrap();
                let file: String = sqlx::query_scalar("select current_setting('data_directory')")
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
                kill(&postgres_of(Path::new(&file).parent().unwrap()));
                created.insert(id_of(&until_it_serves_counting(&latchkey, &locks[0], &mut unknown).await));
            }
            let stored: BTreeSet<String> = codes_at_rest(&latchkey, &locks).await.iter().map(id_of).collect();
            assert!(stored.is_superset(&created), "{stored:?} does not contain all of {created:?}");
            assert!(
                stored.len() <= created.len() + unknown,
                "{stored:?} has more than {created:?} and {unknown} others"
            );
            let health = latchkey.post("/health", json!({})).await;
            assert_eq!(health["ok"], true, "{health}");
        });
    }
}

#[test]
fn private_postgres_that_dies_six_times_in_a_minute_ends_the_server() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut latchkey = Latchkey::with_data(&directory);
    let mut last = String::new();
    for _ in 0..6 {
        eventually("a new PostgreSQL process runs", || {
            let pid = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap_or_default();
            let pid = pid.lines().next().unwrap_or_default().to_owned();
            !pid.is_empty() && pid != std::mem::replace(&mut last, pid.clone())
        });
        // The process can be killed as soon as it has an id, ready or not.
        let _ = kill_process(Pid::from_raw(last.parse().unwrap()).unwrap(), Signal::KILL);
    }
    assert_eq!(latchkey.wait_for_exit().code(), Some(1));
    let stderr = stderr_of(&mut latchkey.child);
    assert!(stderr.contains("the private PostgreSQL cannot be kept running"), "{stderr}");
}

/// Waits until PostgreSQL has closed this connection, as it does with all connections after a backend was killed.
/// Before that, a new connection could be opened and closed again.
async fn until_closed(mut connection: PgConnection) {
    let begun = Instant::now();
    while sqlx::query("select 1").execute(&mut connection).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "timeout: PostgreSQL notices the killed backend");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn backend_killed_during_requests_loses_no_confirmed_code() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    wait_for(async {
        let locks = locks_of(&latchkey).await;
        let (mut created, mut unknown) = (BTreeSet::new(), 0);
        for round in 0..5 {
            let mut requests = JoinSet::new();
            for _ in 0..40 {
                let (url, key, params) =
                    (latchkey.base_url.clone(), latchkey.api_key.clone(), json!({ "device_id": locks[round % 2] }));
                requests.spawn(async move { ask(&url, &key, "/access_codes/create", &params).await });
            }
            let mut connection = PgConnection::connect(&database_of(&latchkey)).await.unwrap();
            let backend = "select pid from pg_stat_activity where application_name = 'latchkey' limit 1";
            let backend: Option<i32> = sqlx::query_scalar(backend).fetch_optional(&mut connection).await.unwrap();
            if let Some(backend) = backend
                && kill_process(Pid::from_raw(backend).unwrap(), Signal::KILL).is_ok()
            {
                until_closed(connection).await;
            }
            for response in requests.join_all().await {
                match response.status {
                    200 => drop(created.insert(id_of(&response.body["access_code"]))),
                    500 | 503 => unknown += 1,
                    _ => panic!("{}", response.body),
                }
            }
            until_it_serves(&latchkey, &locks[2]).await;
        }
        let stored: BTreeSet<String> = codes_at_rest(&latchkey, &locks[..2]).await.iter().map(id_of).collect();
        assert!(created.is_subset(&stored), "{stored:?} does not contain all of {created:?}");
        assert!(stored.len() <= created.len() + unknown);
    });
}

#[test]
fn database_paused_fails_requests_with_503_within_two_seconds() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let latchkey = with_database(&postgres, &[]);
    wait_for(async {
        let locks = locks_of(&latchkey).await;
        let code = latchkey.post("/access_codes/create", json!({ "device_id": locks[0] })).await["access_code"].clone();
        signal_all(&postgres.pid().to_string(), Signal::STOP);
        for (path, params) in [
            ("/access_codes/get", json!({ "access_code_id": code["access_code_id"] })),
            ("/access_codes/create", json!({ "device_id": locks[0] })),
            ("/access_codes/list", json!({ "device_id": locks[0] })),
            ("/access_codes/generate_code", json!({ "device_id": locks[0] })),
            ("/_emulator/locks/memory", json!({ "device_id": locks[0] })),
            ("/access_codes/delete", json!({ "access_code_id": code["access_code_id"] })),
        ] {
            let response = ask(&latchkey.base_url, &latchkey.api_key, path, &params).await;
            response.check_unavailable_within(Duration::from_secs(2));
        }
        let health = client().get(format!("{}/health", latchkey.base_url)).send().await.unwrap();
        assert_eq!(health.status(), 503);
        signal_all(&postgres.pid().to_string(), Signal::CONT);
        until_it_serves(&latchkey, &locks[1]).await;
        assert_eq!(codes_on(&latchkey, &locks[..1]).await.len(), 1, "rejected requests created no code");
    });
}

#[test]
fn database_stopped_fails_requests_with_503_until_it_is_back() {
    let folder = folder();
    let options = Options {
        data_directory: Some(folder.path().join("kept")),
        bin_directory: None,
        download: download(),
        durability: Durability::Persistent,
    };
    let postgres = PrivatePostgres::start(&options).unwrap();
    let latchkey = with_database(&postgres, &[]);
    wait_for(async {
        let locks = locks_of(&latchkey).await;
        let first = latchkey.post("/access_codes/create", json!({ "device_id": locks[0] })).await;
        postgres.stop().unwrap();
        for (path, params) in [
            ("/access_codes/create", json!({ "device_id": locks[0] })),
            ("/access_codes/list", json!({ "device_id": locks[0] })),
            ("/_emulator/workspaces/create", json!({})),
        ] {
            let response = ask(&latchkey.base_url, &latchkey.api_key, path, &params).await;
            response.check_unavailable_within(Duration::from_secs(2));
        }
        let postgres = PrivatePostgres::start(&options).unwrap();
        let second = until_it_serves(&latchkey, &locks[0]).await;
        let stored: Vec<String> = codes_at_rest(&latchkey, &locks[..1]).await.iter().map(id_of).collect();
        assert_eq!(stored.len(), 2, "{stored:?}");
        assert!(stored.contains(&id_of(&first["access_code"])) && stored.contains(&id_of(&second)));
        drop(latchkey);
        drop(postgres);
    });
}

#[test]
fn database_connections_that_were_cut_fail_no_request() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let latchkey = with_database(&postgres, &["--database-connections", "6"]);
    wait_for(async {
        let locks = locks_of(&latchkey).await;
        let code = latchkey.post("/access_codes/create", json!({ "device_id": locks[0] })).await["access_code"].clone();
        let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
        for _ in 0..3 {
            let mut requests = JoinSet::new();
            for _ in 0..12 {
                let (url, key) = (latchkey.base_url.clone(), latchkey.api_key.clone());
                requests.spawn(async move {
                    post(&url, &key, "/access_codes/list", &json!({})).await.unwrap()["ok"].clone()
                });
            }
            requests.join_all().await;
            let cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey'";
            sqlx::query(cut).execute(&mut connection).await.unwrap();
            for params in [json!({ "access_code_id": code["access_code_id"] }), json!({ "device_id": locks[1] })] {
                let path = if params.get("device_id").is_some() { "/access_codes/create" } else { "/access_codes/get" };
                let response = ask(&latchkey.base_url, &latchkey.api_key, path, &params).await;
                assert_eq!(response.status, 200, "{}", response.body);
            }
        }
        codes_at_rest(&latchkey, &locks).await;
    });
}

#[test]
fn database_without_a_free_connection_fails_requests_with_503() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let latchkey = with_database(&postgres, &["--database-connections", "2"]);
    wait_for(async {
        let locks = locks_of(&latchkey).await;
        let mut held = Vec::new();
        let mut first = PgConnection::connect(&postgres.url()).await.unwrap();
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey'";
        // Each new connection here replaces one of the server's that was cut, until no connection is free.
        while let Ok(connection) = PgConnection::connect(&postgres.url()).await {
            held.push(connection);
            sqlx::query(cut).execute(&mut first).await.unwrap();
        }
        let mut unavailable = None;
        for _ in 0..20 {
            let response =
                ask(&latchkey.base_url, &latchkey.api_key, "/access_codes/create", &json!({ "device_id": locks[0] }))
                    .await;
            if response.status == 503 {
                response.check_unavailable_within(Duration::from_secs(2));
                unavailable = Some(response);
                break;
            }
            sqlx::query(cut).execute(&mut first).await.unwrap();
            if let Ok(connection) = PgConnection::connect(&postgres.url()).await {
                held.push(connection);
            }
        }
        assert!(unavailable.is_some(), "the server never was without a connection");
        held.clear();
        until_it_serves(&latchkey, &locks[0]).await;
    });
}

/// Proxy between a server and its database. When `cuts` is set, it cuts the connection of the next COMMIT before the
/// response to it.
struct Proxy {
    cuts: Arc<AtomicBool>,
    cut: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(to: &Path, at: &Path) -> Self {
        let listener = UnixListener::bind(at.join(".s.PGSQL.5432")).unwrap();
        let to = to.join(".s.PGSQL.5432");
        let (cuts, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let proxy = Self { cuts: Arc::clone(&cuts), cut: Arc::clone(&cut) };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = UnixStream::connect(&to) else { continue };
                let is_cut = Arc::new(AtomicBool::new(false));
                let (cuts, cut) = (Arc::clone(&cuts), Arc::clone(&cut));
                let (from_client, to_server, has_cut) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&is_cut));
                std::thread::spawn(move || {
                    pass_on(from_client, to_server, |bytes| {
                        if bytes.windows(6).any(|word| word == b"COMMIT") && cuts.swap(false, Ordering::SeqCst) {
                            has_cut.store(true, Ordering::SeqCst);
                            cut.fetch_add(1, Ordering::SeqCst);
                        }
                        true
                    });
                });
                std::thread::spawn(move || pass_on(server, client, |_| !is_cut.load(Ordering::SeqCst)));
            }
        });
        proxy
    }
}

/// Copies bytes until an end closes or `is_wanted` returns false, then closes both ends.
fn pass_on(mut from: UnixStream, mut to: UnixStream, mut is_wanted: impl FnMut(&[u8]) -> bool) {
    use std::io::{Read as _, Write as _};
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !is_wanted(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn commit_with_a_lost_response_is_not_repeated() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let between = super::folder();
    let proxy = Proxy::start(postgres.socket_directory(), between.path());
    let url = format!("postgres:///postgres?host={}&user=postgres&sslmode=disable", between.path().display());
    // No code falls due, so that every COMMIT belongs to a request.
    let by_hand = ["--port", "0", "--programming", "by_hand", "--slow-after", "P1D"];
    let latchkey = Latchkey::await_ready(command(&by_hand).env("DATABASE_URL", url));
    wait_for(async {
        let locks = locks_of(&latchkey).await;
        for round in 0..4 {
            let before = codes_on(&latchkey, &locks[..1]).await.len();
            proxy.cuts.store(true, Ordering::SeqCst);
            let mut requests = JoinSet::new();
            for _ in 0..12 {
                let (url, key, params) =
                    (latchkey.base_url.clone(), latchkey.api_key.clone(), json!({ "device_id": locks[0] }));
                requests.spawn(async move { ask(&url, &key, "/access_codes/create", &params).await });
            }
            let responses = requests.join_all().await;
            assert_eq!(proxy.cut.load(Ordering::SeqCst), round + 1);
            let unknown = responses.iter().filter(|response| response.status == 500).count();
            for response in responses.iter().filter(|response| response.status != 200) {
                assert_eq!(response.status, 500, "{}", response.body);
                let message = response.body["error"]["message"].as_str().unwrap();
                assert!(message.contains("may have been executed"), "{message}");
            }
            assert!(unknown > 0);
            assert_eq!(codes_on(&latchkey, &locks[..1]).await.len(), before + 12, "each code is stored once");
        }
    });
}

#[test]
fn row_lock_held_elsewhere_blocks_only_requests_of_its_own_workspace() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let latchkey = with_database(&postgres, &["--database-connections", "4", "--request-timeout", "3"]);
    wait_for(async {
        let locks = locks_of(&latchkey).await;
        let codes: Vec<Value> = {
            let mut codes = Vec::new();
            for _ in 0..12 {
                codes.push(until_it_serves(&latchkey, &locks[0]).await["access_code_id"].clone());
            }
            codes
        };
        let other = latchkey.post("/_emulator/workspaces/create", json!({ "locks": 1 })).await;
        let (other_key, other_lock) = (other["api_key"].as_str().unwrap(), &other["devices"][0]["device_id"]);
        let mut holder = PgConnection::connect(&postgres.url()).await.unwrap();
        let mut held = holder.begin().await.unwrap();
        let lock_rows = "select from device where device_id = $1::uuid for update";
        sqlx::query(lock_rows).bind(&locks[0]).execute(&mut *held).await.unwrap();
        let mut requests = JoinSet::new();
        for code in codes {
            let (url, key) = (latchkey.base_url.clone(), latchkey.api_key.clone());
            requests.spawn(
                async move { ask(&url, &key, "/access_codes/delete", &json!({ "access_code_id": code })).await },
            );
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        for _ in 0..5 {
            let created =
                ask(&latchkey.base_url, other_key, "/access_codes/create", &json!({ "device_id": other_lock })).await;
            assert_eq!(created.status, 200, "{}", created.body);
            assert!(created.duration < Duration::from_secs(1), "{:?}", created.duration);
        }
        for response in requests.join_all().await {
            response.check_unavailable_within(Duration::from_secs(4));
        }
        held.rollback().await.unwrap();
        // Requests that timed out no longer hold a connection or a row lock.
        until_it_serves(&latchkey, &locks[0]).await;
        assert_eq!(codes_at_rest(&latchkey, &locks[..1]).await.len(), 13, "rejected requests created no code");
    });
}
