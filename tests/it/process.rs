//! The `latchkey` program: starts, uses, stops and kills real processes, in real time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod background;
mod busy_workspaces;
mod commands;
mod connections;
mod database;
mod edge;
mod imports;
mod logs;
mod messages;
mod random_requests;
mod scheduler;
mod settings;
mod statements;
mod webhooks;

use crate::processes;
use crate::support::{check_response, download, eventually};
use latchkey::testing::postgres::private::{Durability, Options, PrivatePostgres};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Creates a temporary directory that the user PostgreSQL runs as can enter. It is deleted on drop.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Starts a private PostgreSQL for servers that get its address in `DATABASE_URL`.
fn postgres_in(directory: &Path) -> PrivatePostgres {
    let options = Options {
        data_directory: Some(directory.to_path_buf()),
        bin_directory: None,
        download: download(),
        durability: Durability::Temporary,
    };
    PrivatePostgres::start(&options).unwrap()
}

fn wait_for<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// True while the process with this id runs.
fn is_running(pid: &str) -> bool {
    processes::is_running(pid.parse().unwrap())
}

/// Returns the process id of the PostgreSQL server of this data directory.
fn postgres_of(directory: &Path) -> String {
    fs::read_to_string(directory.join("data/postmaster.pid")).unwrap().lines().next().unwrap().to_owned()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    // The variables of the download are those of this machine.
    let of_download = ["LATCHKEY_OFFLINE", "LATCHKEY_POSTGRES_MIRROR", "LATCHKEY_CACHE_DIR"];
    let is_setting = |name: &str| name.starts_with("LATCHKEY_") && !of_download.contains(&name);
    for (name, _) in std::env::vars().filter(|(name, _)| is_setting(name) || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running Latchkey server, killed on drop.
struct Latchkey {
    child: Child,
    /// Lines that the server printed until it was ready.
    startup_lines: Vec<String>,
    base_url: String,
    api_key: String,
}

impl Latchkey {
    fn start(arguments: &[&str]) -> Self {
        Self::await_ready(command(arguments).args(["--port", "0"]))
    }

    fn with_data(directory: &Path) -> Self {
        Self::start(&["--data-dir", directory.to_str().unwrap()])
    }

    fn await_ready(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut startup_lines = Vec::new();
        for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
            startup_lines.push(line.unwrap());
            if let Some(base_url) = startup_lines.last().unwrap().strip_prefix("ready on ") {
                let base_url = base_url.replace("0.0.0.0", "127.0.0.1");
                let api_key = word_after(&startup_lines, "api key");
                return Self { child, startup_lines, base_url, api_key };
            }
        }
        panic!("the server never was ready: {}", stderr_of(&mut child));
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        post(&self.base_url, &self.api_key, path, &body).await.unwrap()
    }

    fn authority(&self) -> &str {
        self.base_url.strip_prefix("http://").unwrap()
    }

    /// Opens a connection with a read timeout of 20 seconds.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.authority()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the server has ended by itself.
    fn wait_for_exit(&mut self) -> ExitStatus {
        eventually("the process ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Latchkey {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn word_after(startup_lines: &[String], label: &str) -> String {
    let line = startup_lines.iter().find_map(|line| line.trim().strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label} in {startup_lines:#?}")).trim().to_owned()
}

fn stderr_of(child: &mut Child) -> String {
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    stderr
}

/// Runs a command that must fail with exit code 1. Returns its standard error output.
fn failed_start(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("ready"));
    stderr
}

fn client() -> reqwest::Client {
    // A client needs it even for http URLs. Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Sends a POST request and checks the response against the contract.
async fn send_checked(path: &str, request: reqwest::RequestBuilder) -> reqwest::Result<Value> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let body = response.json().await?;
    check_response("POST", path, status, &body);
    Ok(body)
}

async fn post(base_url: &str, api_key: &str, path: &str, body: &Value) -> reqwest::Result<Value> {
    send_checked(path, client().post(format!("{base_url}{path}")).bearer_auth(api_key).json(body)).await
}

/// Lists the access codes on these locks.
async fn codes_on(latchkey: &Latchkey, locks: &[String]) -> Vec<Value> {
    let mut codes = Vec::new();
    for lock in locks {
        let listed = latchkey.post("/access_codes/list", json!({ "device_id": lock })).await;
        codes.extend(listed["access_codes"].as_array().unwrap().iter().cloned());
    }
    codes
}

/// Waits until every code on these locks has the status `set`, and lists the codes.
async fn codes_at_rest(latchkey: &Latchkey, locks: &[String]) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let codes = codes_on(latchkey, locks).await;
        if codes.iter().all(|code| code["status"] == "set") {
            return codes;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the codes are still not set");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Counts the events per access code and event type.
async fn events_by_code(latchkey: &Latchkey) -> BTreeMap<String, BTreeMap<String, usize>> {
    let params = json!({ "since": "2000-01-01T00:00:00Z", "limit": 1_000_000 });
    let listed = latchkey.post("/events/list", params).await;
    let mut counts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let events = listed["events"].as_array().unwrap().iter();
    for event in events.filter(|event| event.get("access_code_id").is_some()) {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        *counts.entry(text("access_code_id")).or_default().entry(text("event_type")).or_default() += 1;
    }
    counts
}

fn id_of(code: &Value) -> String {
    code["access_code_id"].as_str().unwrap().to_owned()
}

#[test]
fn start_prints_addresses_and_commands_and_the_data_survives_a_restart() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut latchkey = Latchkey::with_data(&directory);
    assert_eq!(word_after(&latchkey.startup_lines, "base url"), latchkey.base_url);
    let workspace_id = word_after(&latchkey.startup_lines, "workspace");
    let curl = latchkey.startup_lines.iter().find(|line| line.starts_with("curl ")).unwrap().clone();
    let psql = word_after(&latchkey.startup_lines, "database");
    let rows: i64 = wait_for(async {
        let mut connection = sqlx::PgConnection::connect(psql.split('\'').nth(1).unwrap()).await.unwrap();
        sqlx::query_scalar("select count(*) from device").fetch_one(&mut connection).await.unwrap()
    });
    assert_eq!(latchkey.startup_lines.last().unwrap(), &format!("ready on {}", latchkey.base_url));
    let locks: Vec<String> = wait_for(async {
        let found = latchkey.post("/workspaces/get", json!({})).await;
        assert_eq!(found["workspace"]["workspace_id"], json!(workspace_id));
        let found = latchkey.post("/devices/list", json!({})).await;
        found["devices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|device| device["device_id"].as_str().unwrap().to_owned())
            .collect()
    });
    assert_eq!(usize::try_from(rows).unwrap(), locks.len());
    let printed: Vec<_> = latchkey.startup_lines.iter().filter_map(|line| line.split_whitespace().last()).collect();
    assert!(locks.len() >= 2 && locks.iter().all(|lock| printed.contains(&lock.as_str())), "{printed:?}");

    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    let created = if has_curl {
        let output = Command::new("bash").args(["-c", &curl]).env("NO_PROXY", "127.0.0.1").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    } else {
        wait_for(latchkey.post("/access_codes/create_multiple", json!({ "device_ids": locks[..2] })))
    };
    assert_eq!((&created["ok"], created["access_codes"].as_array().unwrap().len()), (&json!(true), 2), "{created}");
    assert_eq!(created["access_codes"][0]["code"], created["access_codes"][1]["code"]);
    let codes = wait_for(codes_at_rest(&latchkey, &locks));
    assert_eq!(codes.len(), 2);
    let unfinished =
        wait_for(latchkey.post("/access_codes/create", json!({ "device_id": locks[0] })))["access_code"].clone();
    latchkey.signal(Signal::TERM);
    assert!(latchkey.wait_for_exit().success());

    let latchkey = Latchkey::with_data(&directory);
    let found = wait_for(codes_at_rest(&latchkey, &locks));
    assert_eq!(found.len(), 3);
    for code in &codes {
        assert!(found.contains(code), "{code}");
    }
    let events = wait_for(events_by_code(&latchkey));
    assert_eq!(events[&id_of(&unfinished)], events[&id_of(&codes[0])], "overdue steps are executed once");
    assert_eq!(events[&id_of(&unfinished)].values().collect::<Vec<_>>(), [&1, &1]);
}

#[test]
fn ephemeral_data_is_gone_when_the_server_stops() {
    let mut latchkey = Latchkey::start(&["--ephemeral"]);
    assert!(latchkey.startup_lines.iter().any(|line| line.contains("deleted when the server stops")));
    let psql = word_after(&latchkey.startup_lines, "database");
    let encoded = psql.split("host=").nth(1).unwrap().split('&').next().unwrap();
    let directory = encoded.replace("%2F", "/").replace("%2D", "-").replace("%5F", "_");
    let directory = Path::new(&directory);
    let postgres = postgres_of(directory);
    latchkey.signal(Signal::TERM);
    assert!(latchkey.wait_for_exit().success());
    assert!(!directory.exists() && !is_running(&postgres));
}

#[test]
fn stop_finishes_running_requests_closes_idle_connections_and_ends_postgres() {
    let folder = folder();
    let directory = folder.path().join("kept");
    for (round, signal) in [Signal::TERM, Signal::INT].into_iter().enumerate() {
        let mut latchkey = Latchkey::with_data(&directory);
        let postgres = postgres_of(&directory);
        assert!(is_running(&postgres));
        let lock = word_after(&latchkey.startup_lines, "Front Door");
        let lock = lock.split_whitespace().last().unwrap();

        let mut silent = latchkey.connect();
        let mut idle = latchkey.connect();
        write!(idle, "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut status_line = [0; 12];
        idle.read_exact(&mut status_line).unwrap();
        assert_eq!(&status_line, b"HTTP/1.1 200");

        let body = json!({ "device_id": lock, "name": format!("round {round}") }).to_string();
        let mut running = latchkey.connect();
        write!(
            running,
            "POST /access_codes/create HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
            latchkey.api_key,
            body.len()
        )
        .unwrap();
        // The server sends 100 Continue when it starts to read the body: the request is running.
        let mut interim = [0; 25];
        running.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");

        latchkey.signal(signal);
        eventually("the server accepts no more connections", || TcpStream::connect(latchkey.authority()).is_err());
        assert!(latchkey.child.try_wait().unwrap().is_none(), "the server waits for the request");
        write!(running, "{body}").unwrap();
        let mut response = String::new();
        running.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
        assert!(latchkey.wait_for_exit().success());
        assert!(!is_running(&postgres));
        assert!(!directory.join("data/postmaster.pid").exists());
        let _ = silent.write(b"x");
    }
    let latchkey = Latchkey::with_data(&directory);
    let listed = wait_for(latchkey.post("/devices/list", json!({})));
    let locks: Vec<_> = listed["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["device_id"].as_str().unwrap().to_owned())
        .collect();
    let names: BTreeSet<_> =
        wait_for(codes_on(&latchkey, &locks)).iter().map(|code| code["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["round 0", "round 1"].map(str::to_owned).into());
}

#[test]
fn stop_ends_requests_without_a_body_at_the_request_timeout() {
    let mut latchkey = Latchkey::start(&["--ephemeral", "--request-timeout", "1"]);
    let mut stuck = ["/access_codes/create", "/_emulator/workspaces/create"].map(|path| {
        let mut stuck = latchkey.connect();
        write!(
            stuck,
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n",
            latchkey.api_key,
        )
        .unwrap();
        let mut interim = [0; 25];
        stuck.read_exact(&mut interim).unwrap();
        stuck
    });
    latchkey.signal(Signal::TERM);
    for stuck in &mut stuck {
        let mut response = String::new();
        stuck.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 408"), "{response}");
    }
    assert!(latchkey.wait_for_exit().success());
}

#[test]
fn workspace_is_removed_after_its_ttl() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    wait_for(async {
        let params = json!({ "ttl": "PT0.2S", "locks": 1 });
        let created =
            post(&latchkey.base_url, &latchkey.api_key, "/_emulator/workspaces/create", &params).await.unwrap();
        let key = created["api_key"].as_str().unwrap();
        let begun = Instant::now();
        while post(&latchkey.base_url, key, "/devices/list", &json!({})).await.unwrap()["ok"] == true {
            assert!(begun.elapsed() < Duration::from_secs(10), "the workspace is not removed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(latchkey.post("/devices/list", json!({})).await["ok"] == true);
    });
}

#[test]
fn workspaces_get_their_defaults_from_the_settings_of_the_server() {
    let settings = ["--ephemeral", "--programming=PT10M", "--slow-after=PT5M", "--keep-expired-access-codes"];
    let latchkey = Latchkey::start(&settings);
    wait_for(async {
        let params =
            json!({ "clock": { "held_at": "2026-03-02T12:00:00Z" }, "locks": [{ "device_type": "wyze_lock" }] });
        let workspace = latchkey.post("/_emulator/workspaces/create", params).await;
        let key = workspace["api_key"].as_str().unwrap();
        let post = async |path, body| post(&latchkey.base_url, key, path, &body).await.unwrap();
        let device_id = &workspace["devices"][0]["device_id"];
        let params =
            json!({ "device_id": device_id, "starts_at": "2026-03-02T12:00:00Z", "ends_at": "2026-03-02T13:00:00Z" });
        let code = &post("/access_codes/create", params).await["access_code"];
        for (instant, status, warning) in [
            ("2026-03-02T12:04:59Z", "setting", None),
            ("2026-03-02T12:05:00Z", "setting", Some("delay_in_setting_on_device")),
            ("2026-03-02T12:09:59Z", "setting", Some("delay_in_setting_on_device")),
            ("2026-03-02T12:10:00Z", "set", None),
            ("2026-03-02T13:10:00Z", "unset", None),
        ] {
            post("/_emulator/clock/advance", json!({ "to": instant })).await;
            let params = json!({ "access_code_id": code["access_code_id"] });
            let code = &post("/access_codes/get", params).await["access_code"];
            let found = (code["status"].as_str(), code["warnings"][0]["warning_code"].as_str());
            assert_eq!(found, (Some(status), warning), "{instant}");
        }
    });
}

#[test]
fn port_in_use_is_an_error_that_names_the_address_and_the_option() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stderr = failed_start(&mut command(&["--ephemeral", "--port", &address.port().to_string()]));
    assert!(stderr.contains(&address.to_string()) && stderr.contains("--port"), "{stderr}");
}

#[test]
fn invalid_settings_are_rejected_before_anything_is_started() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let directory_text = directory.to_str().unwrap();
    for (arguments, expected) in
        [(vec!["--host", "0.0.0.0"], "LATCHKEY_ADMIN_TOKEN"), (vec!["--host", "::"], "LATCHKEY_ADMIN_TOKEN")]
    {
        let stderr = failed_start(command(&["--port", "0", "--data-dir", directory_text]).args(arguments));
        assert!(stderr.contains(expected), "{stderr}");
    }
    for arguments in [
        ["--ephemeral", "--data-dir=/tmp/x"],
        ["--port=0", "--host=somewhere"],
        ["--host=0.0.0.0", "--admin-token="],
        ["--port=0", "--programming=fast"],
        ["--port=0", "--request-timeout=0"],
    ] {
        let output = command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    assert!(!directory.exists());
}

#[test]
fn unreachable_database_is_an_error_that_names_its_address() {
    let stderr = failed_start(command(&["--port", "0"]).env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"));
    assert!(stderr.contains("cannot use the database") && stderr.contains("refused"), "{stderr}");
    assert!(stderr.contains("waiting up to 10 s for the database at 127.0.0.1:1"), "{stderr}");
    let stderr = failed_start(command(&["--port", "0"]).env("DATABASE_URL", "mysql://nobody@127.0.0.1/nothing"));
    assert!(stderr.contains("mysql:// is not a PostgreSQL address"), "{stderr}");
}

#[test]
fn control_plane_on_a_public_address_needs_a_credential_and_sends_no_cors() {
    let mut command = command(&["--ephemeral", "--port", "0", "--host", "0.0.0.0"]);
    let latchkey = Latchkey::await_ready(command.env("LATCHKEY_ADMIN_TOKEN", "open sesame"));
    wait_for(async {
        let clock = format!("{}/_emulator/clock", latchkey.base_url);
        for token in ["", "sesame"] {
            let response = client().get(&clock).bearer_auth(token).send().await.unwrap();
            assert_eq!(response.status(), 401, "{token}");
        }
        assert_eq!(client().get(&clock).send().await.unwrap().status(), 401);
        // The API key of a workspace is enough for the control plane of that workspace.
        let by_key = client().get(&clock).bearer_auth(&latchkey.api_key).send().await.unwrap();
        assert_eq!(by_key.status(), 200);
        let create = format!("{}/_emulator/workspaces/create", latchkey.base_url);
        let refused = client().post(&create).bearer_auth(&latchkey.api_key).json(&json!({})).send().await.unwrap();
        assert_eq!(refused.status(), 401);
        let response =
            client().get(&clock).bearer_auth("open sesame").header("host", "latchkey.test").send().await.unwrap();
        assert_eq!(response.status(), 200);
        // The emulated API is open to every client with a key, also from web pages.
        assert_eq!(latchkey.post("/devices/list", json!({})).await["ok"], true);
        for (path, expected) in [("/devices/list", true), ("/_emulator/clock", false)] {
            let preflight = client()
                .request(reqwest::Method::OPTIONS, format!("{}{path}", latchkey.base_url))
                .header("origin", "https://example.com")
                .header("access-control-request-method", "POST");
            let response = preflight.send().await.unwrap();
            let cors = response.headers().keys().any(|name| name.as_str().starts_with("access-control-allow"));
            assert_eq!(cors, expected, "{path}");
        }
    });
}

/// Load from several clients. Each client creates codes with unique names, one request after the other, and deletes an
/// older code whenever it has four. It ends when enough codes exist or the server is gone.
#[derive(Default)]
struct Load {
    next: AtomicUsize,
    /// Ids by name of the codes whose creation the server has confirmed.
    created: Mutex<BTreeMap<String, String>>,
    /// Ids of the codes whose deletion the server has confirmed.
    deleted: Mutex<BTreeSet<String>>,
}

impl Load {
    fn confirmed(&self) -> usize {
        self.created.lock().unwrap().len()
    }

    async fn client(self: Arc<Self>, base_url: String, api_key: String, locks: Vec<String>, enough: usize) {
        let client = client();
        let ask = async |path: &str, body: Value| -> Option<Value> {
            let request = client.post(format!("{base_url}{path}")).bearer_auth(&api_key).json(&body);
            let response = send_checked(path, request).await.ok()?;
            assert_eq!(response["ok"], true, "{path} {body} returned {response}");
            Some(response)
        };
        let mut own_codes = Vec::new();
        while self.confirmed() < enough {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let name = format!("guest {number}");
            let code = (100_000 + number).to_string();
            let params = json!({ "device_id": locks[number % locks.len()], "name": name, "code": code });
            let Some(created) = ask("/access_codes/create", params).await else { return };
            let id = id_of(&created["access_code"]);
            assert_eq!(self.created.lock().unwrap().insert(name, id.clone()), None);
            own_codes.push(id);
            if own_codes.len() % 4 == 0 {
                // An older code, which in most cases is already on its lock.
                let id = own_codes.swap_remove(own_codes.len() / 3);
                let Some(_) = ask("/access_codes/delete", json!({ "access_code_id": id })).await else { return };
                self.deleted.lock().unwrap().insert(id);
            }
        }
    }

    /// Checks that no confirmed change is lost, no code exists twice, and each code has exactly the expected events.
    async fn check(&self, latchkey: &Latchkey, locks: &[String]) {
        let codes = codes_at_rest(latchkey, locks).await;
        let events = events_by_code(latchkey).await;
        let ids: BTreeSet<String> = codes.iter().map(id_of).collect();
        assert_eq!(ids.len(), codes.len());
        let names: BTreeMap<_, _> =
            codes.iter().map(|code| (code["name"].as_str().unwrap().to_owned(), id_of(code))).collect();
        assert_eq!(names.len(), codes.len(), "a code is listed twice");
        let (created, deleted) = (self.created.lock().unwrap(), self.deleted.lock().unwrap());
        for (name, id) in created.iter() {
            assert!(events.contains_key(id), "the confirmed creation of {name} is lost");
            assert_eq!(names.get(name), ids.get(id), "{name}");
        }
        assert!(deleted.is_disjoint(&ids), "a confirmed deletion is lost");
        for id in &ids {
            assert!(events.contains_key(id), "{id} has no events");
        }
        for (id, events) in events {
            let count = |name: &str| events.get(&format!("access_code.{name}")).copied().unwrap_or(0);
            assert_eq!(
                events.values().sum::<usize>(),
                ["created", "set_on_device", "removed_from_device", "deleted"].map(count).iter().sum::<usize>()
            );
            assert_eq!(count("created"), 1, "{id}: {events:?}");
            if ids.contains(&id) {
                assert_eq!((count("set_on_device"), events.len()), (1, 2), "{id}: {events:?}");
            } else {
                assert_eq!(
                    (count("deleted"), count("removed_from_device")),
                    (1, count("set_on_device")),
                    "{id}: {events:?}"
                );
                assert!(count("set_on_device") < 2, "{id}: {events:?}");
            }
        }
    }
}

/// Creates a workspace of August locks on a live clock. Returns its API key and the ids of its locks.
async fn workspace_of(latchkey: &Latchkey, locks: usize) -> (String, Vec<String>) {
    let workspace = latchkey_unkeyed(latchkey, "/_emulator/workspaces/create", json!({ "locks": locks })).await;
    let locks = workspace["devices"].as_array().unwrap().iter();
    let locks = locks.map(|device| device["device_id"].as_str().unwrap().to_owned()).collect();
    (workspace["api_key"].as_str().unwrap().to_owned(), locks)
}

async fn latchkey_unkeyed(latchkey: &Latchkey, path: &str, body: Value) -> Value {
    send_checked(path, client().post(format!("{}{path}", latchkey.base_url)).json(&body)).await.unwrap()
}

#[test]
fn server_killed_during_a_thousand_creations_loses_and_repeats_nothing() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let load = Arc::new(Load::default());
    let mut latchkey = Latchkey::with_data(&directory);
    let (api_key, locks) = wait_for(workspace_of(&latchkey, 20));
    for enough in [350, 700, 1050] {
        wait_for(async {
            let clients = (0..16).map(|_| {
                let (base_url, api_key, locks) = (latchkey.base_url.clone(), api_key.clone(), locks.clone());
                tokio::spawn(load.clone().client(base_url, api_key, locks, usize::MAX))
            });
            let clients: Vec<_> = clients.collect();
            let begun = Instant::now();
            while load.confirmed() < enough {
                assert!(begun.elapsed() < Duration::from_secs(20), "only {} requests are confirmed", load.confirmed());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            latchkey.kill();
            for client in clients {
                client.await.unwrap();
            }
        });
        latchkey = Latchkey::with_data(&directory);
    }
    latchkey.api_key = api_key;
    wait_for(load.check(&latchkey, &locks));
}

#[test]
fn servers_on_one_database_finish_the_work_of_a_killed_server() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let url = postgres.url();
    // Both servers start on the empty database.
    let start = || {
        let url = url.clone();
        thread::spawn(move || Latchkey::await_ready(command(&["--port", "0"]).env("DATABASE_URL", url)))
    };
    let started = [start(), start()].map(|started| started.join().unwrap());
    let [mut one, mut other] = started;
    assert_eq!(one.startup_lines.iter().filter(|line| line.contains("database")).count(), 0);
    wait_for(async {
        let (api_key, locks) = workspace_of(&one, 20).await;
        (one.api_key, other.api_key) = (api_key.clone(), api_key.clone());
        let load = Arc::new(Load::default());
        let clients = |enough: usize| {
            let servers = [one.base_url.clone(), other.base_url.clone()];
            let clients = (0..16).map(|number| {
                let client = load.clone().client(servers[number % 2].clone(), api_key.clone(), locks.clone(), enough);
                tokio::spawn(client)
            });
            clients.collect::<Vec<_>>()
        };
        for client in clients(300) {
            client.await.unwrap();
        }
        load.check(&one, &locks).await;
        load.check(&other, &locks).await;
        let clients = clients(900);
        let begun = Instant::now();
        while load.confirmed() < 600 {
            assert!(begun.elapsed() < Duration::from_secs(20), "only {} requests are confirmed", load.confirmed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        one.kill();
        for client in clients {
            client.await.unwrap();
        }
        load.check(&other, &locks).await;
    });
    other.signal(Signal::TERM);
    assert!(other.wait_for_exit().success());
    assert!(is_running(&postgres.pid().to_string()), "the servers must not stop a database that they did not start");
}
