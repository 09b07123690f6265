//! The server's log: the access log, its ids, and a log that nobody reads.

use super::{Latchkey, command, eventually, folder, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use tempfile::TempDir;

/// A server whose log is written to a file.
struct Logged {
    latchkey: Latchkey,
    file: PathBuf,
    _folder: TempDir,
}

impl Logged {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, "warn,latchkey=loud")
    }

    /// Starts a server with this value of `RUST_LOG`. An invalid one is ignored.
    fn start_with(arguments: &[&str], filter: &str) -> Self {
        let folder = folder();
        let file = folder.path().join("log");
        let mut command = command(&["--ephemeral", "--port", "0"]);
        command.args(arguments).env("RUST_LOG", filter).stderr(File::create(&file).unwrap());
        Self { latchkey: Latchkey::await_ready(&mut command), file, _folder: folder }
    }

    /// Stops the server, and returns the lines of its log.
    fn stop(mut self) -> Vec<String> {
        self.latchkey.signal(Signal::TERM);
        assert!(self.latchkey.wait_for_exit().success());
        fs::read_to_string(&self.file).unwrap().lines().map(str::to_owned).collect()
    }

    /// Sends a request. Returns the status, the request id, and the length of the body by its header.
    fn send(&self, method: &str, target: &str, body: &str) -> (u16, String, Option<String>) {
        let client = super::client();
        let url = format!("{}{target}", self.latchkey.base_url);
        let request = client.request(method.parse().unwrap(), url).bearer_auth(&self.latchkey.api_key);
        let request = request.header("content-type", "application/json").body(body.to_owned());
        wait_for(async {
            let response = request.send().await.unwrap();
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let (status, id, length) =
                (response.status().as_u16(), header("seam-request-id").unwrap(), header("content-length"));
            response.bytes().await.unwrap();
            (status, id, length)
        })
    }
}

/// Returns the line of the request with this id, without its time.
fn line_of<'a>(lines: &'a [String], id: &str) -> &'a str {
    let found: Vec<&String> = lines.iter().filter(|line| line.ends_with(id)).collect();
    assert_eq!(found.len(), 1, "{lines:#?}");
    found[0].split_once(' ').unwrap().1
}

#[test]
fn log_has_a_line_with_status_duration_and_id_for_each_request() {
    // An empty variable counts as unset.
    let server = Logged::start_with(&[], "");
    let requests = [
        ("POST", "/devices/list", "{}", 200, "/devices/list"),
        ("GET", "/locks/list?limit=1&api_key=abc", "", 200, "/locks/list?limit=1&api_key=***"),
        ("POST", "/access_codes/create", "{", 400, "/access_codes/create"),
        ("POST", "/no/such/path", "", 404, "/no/such/path"),
        ("POST", "/acs/systems/list", "{}", 501, "/acs/systems/list"),
        ("GET", "/_emulator/clock", "", 200, "/_emulator/clock"),
        ("GET", "/health", "", 200, "/health"),
    ];
    let ids: Vec<String> = requests
        .iter()
        .map(|(method, target, body, status, _)| {
            let (found, id, _) = server.send(method, target, body);
            assert_eq!(found, *status, "{method} {target}");
            id
        })
        .collect();
    let lines = server.stop();
    assert_eq!(lines.len(), requests.len(), "{lines:#?}");
    for ((method, _, _, status, shown), id) in requests.iter().zip(&ids) {
        let line = line_of(&lines, id);
        assert!(line.starts_with(&format!("{method} {shown} {status} ")), "{line}");
        assert!(line.ends_with(&format!(" ms {id}")), "{line}");
    }
}

#[test]
fn log_shows_disconnected_clients_and_reset_connections() {
    let server = Logged::start(&[]);
    let fault = |path: &str, outcome: Value| {
        let fault = json!({ "path": path, "outcome": outcome });
        assert_eq!(server.send("POST", "/_emulator/http_faults/create", &fault.to_string()).0, 200);
    };
    fault("/devices/get", json!({ "delay": "PT20S" }));
    fault("/devices/list", json!("reset"));
    for path in ["/devices/get", "/devices/list"] {
        let mut stream = server.latchkey.connect();
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
            server.latchkey.api_key
        );
        stream.write_all(head.as_bytes()).unwrap();
        if path == "/devices/list" {
            // Ends with the reset.
            let _ = std::io::Read::read(&mut stream, &mut [0; 1]);
        } else {
            let applied = || {
                let listed = wait_for(server.latchkey.post("/_emulator/http_faults/list", json!({})));
                listed["http_faults"][0]["applied"] != 0
            };
            eventually("the fault is applied", applied);
        }
    }
    let log = server.file.clone();
    eventually("both lines are written", || {
        let log = fs::read_to_string(&log).unwrap();
        log.contains(" GET /devices/get 499 ") && log.contains(" GET /devices/list 444 ")
    });
}

#[test]
fn log_with_quiet_has_only_requests_that_failed_in_the_server() {
    let server = Logged::start(&["--quiet"]);
    let fault = json!({ "path": "/devices/get", "outcome": { "status": 500 } }).to_string();
    assert_eq!(server.send("POST", "/_emulator/http_faults/create", &fault).0, 200);
    assert_eq!(server.send("POST", "/no/such/path", "").0, 404);
    assert_eq!(server.send("POST", "/devices/list", "{}").0, 200);
    let (status, id, _) = server.send("POST", "/devices/get", "{}");
    assert_eq!(status, 500);
    let lines = server.stop();
    assert!(line_of(&lines, &id).starts_with("POST /devices/get 500 "), "{lines:#?}");
    assert_eq!(lines.len(), 1, "{lines:#?}");
}

#[test]
fn log_with_verbose_has_bodies_without_credentials() {
    let server = Logged::start(&["--verbose"]);
    let (_, create, length) = server.send("POST", "/_emulator/workspaces/create", r#"{"locks":1}"#);
    assert!(length.is_some(), "the length of the response is announced as without --verbose");
    let (_, list, _) = server.send("POST", "/devices/list", r#"{"limit":1}"#);
    let (_, health, _) = server.send("GET", "/health", "");
    let lines = server.stop();
    let behind = |id: &str| {
        let at = lines.iter().position(|line| line.ends_with(id)).unwrap();
        lines[at + 1..].iter().take_while(|line| line.starts_with("  ")).collect::<Vec<_>>()
    };
    let [request, response] = behind(&create)[..] else { panic!("{lines:#?}") };
    assert_eq!(request, r#"  > {"locks":1}"#);
    assert!(response.starts_with(r#"  < {"workspace":{"#) && response.contains(r#""api_key":"***""#), "{response}");
    let [request, response] = behind(&list)[..] else { panic!("{lines:#?}") };
    assert_eq!(request, r#"  > {"limit":1}"#);
    assert!(response.starts_with(r#"  < {"devices":[{"#), "{response}");
    assert!(matches!(behind(&health)[..], [response] if response.starts_with("  < {")), "{lines:#?}");
}

#[test]
fn log_as_json_has_request_id_and_workspace_id() {
    let server = Logged::start(&["--log-json"]);
    let (_, id, _) = server.send("POST", "/devices/list", "{}");
    let (_, control, _) = server.send("GET", "/_emulator/clock", "");
    let workspace_id = super::word_after(&server.latchkey.startup_lines, "workspace");
    let lines: Vec<Value> = server.stop().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line, of_control] = &lines[..] else { panic!("{lines:#?}") };
    assert_eq!(line["level"], "INFO");
    assert_eq!((&line["fields"]["method"], &line["fields"]["path"]), (&json!("POST"), &json!("/devices/list")));
    assert_eq!((&line["fields"]["status"], &line["fields"]["request_id"]), (&json!(200), &json!(id)));
    assert!(line["fields"]["duration_ms"].as_f64().unwrap() > 0.0);
    assert_eq!((&line["span"]["request_id"], &line["span"]["workspace_id"]), (&json!(id), &json!(workspace_id)));
    assert_eq!(of_control["span"], json!({ "name": "request", "request_id": control, "workspace_id": workspace_id }));
}

#[test]
fn log_that_nobody_reads_does_not_stop_the_server() {
    let mut command = command(&["--ephemeral", "--port", "0", "--verbose"]);
    command.env_remove("RUST_LOG");
    // Standard error is a pipe, which is full after 64 KB.
    let mut latchkey = Latchkey::await_ready(&mut command);
    wait_for(async {
        let client = super::client();
        for _ in 0..500 {
            let request = client.post(format!("{}/devices/list", latchkey.base_url)).bearer_auth(&latchkey.api_key);
            assert_eq!(request.json(&json!({})).send().await.unwrap().status(), 200);
        }
    });
    latchkey.signal(Signal::TERM);
    assert!(latchkey.wait_for_exit().success());
}
