//! Connection resets and endless event streams, which need a real connection.

use super::{Latchkey, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

fn get(stream: &mut TcpStream, path: &str, headers: &[(&str, &str)]) {
    let mut lines = vec![format!("GET {path} HTTP/1.1"), "Host: localhost".to_owned()];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    write!(stream, "{}\r\n\r\n", lines.join("\r\n")).unwrap();
}

/// A stream of server-sent events.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(latchkey: &Latchkey, headers: &[(&str, &str)]) -> Self {
        let mut connection = latchkey.connect();
        get(&mut connection, "/_emulator/stream", headers);
        let mut stream = Self(BufReader::new(connection));
        while stream.line() != ": listening" {}
        stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// Reads the next message. Returns its id, its kind and its data.
    fn message(&mut self) -> (Option<String>, String, Value) {
        let (mut id, mut kind) = (None, String::new());
        loop {
            let line = self.line();
            if let Some(of_message) = line.strip_prefix("id: ") {
                id = Some(of_message.to_owned());
            } else if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut kind);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (id, kind, serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[test]
fn reset_fault_ends_one_connection_without_a_response_and_no_other() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    let reset = json!({ "path": "/devices/list", "outcome": "reset", "times": 1 });
    wait_for(latchkey.post("/_emulator/http_faults/create", reset));
    let bearer = format!("Bearer {}", latchkey.api_key);
    let headers = [("authorization", bearer.as_str())];
    let mut other = latchkey.connect();
    get(&mut other, "/events/list", &headers);
    let mut faulty = latchkey.connect();
    get(&mut faulty, "/devices/list", &headers);
    let mut received = Vec::new();
    let error = faulty.read_to_end(&mut received).unwrap_err();
    assert_eq!((error.kind(), received.len()), (ErrorKind::ConnectionReset, 0));
    // The other connection returns the response to its first request and then to this one.
    get(&mut other, "/devices/list", &[headers[0], ("connection", "close")]);
    let mut responses = String::new();
    other.read_to_string(&mut responses).unwrap();
    assert_eq!(responses.matches("HTTP/1.1 ").count(), 2, "{responses}");
    assert!(responses.contains("Front Door"), "{responses}");
    let log = wait_for(latchkey.post("/_emulator/requests", json!({ "path": "/devices/list" })));
    assert_eq!((&log["requests"][0]["status"], &log["requests"][1]["status"]), (&Value::Null, &json!(200)));
}

#[test]
fn stream_sends_requests_and_events_and_resumes_after_the_last_event_id() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    let empty = wait_for(latchkey.post("/_emulator/requests", json!({})));
    let mut stream = Stream::open(&latchkey, &[]);
    let locks = wait_for(latchkey.post("/devices/list", json!({})));
    let (first, kind, listed) = stream.message();
    assert_eq!((kind.as_str(), &listed["path"]), ("request", &json!("/devices/list")));
    assert_eq!(first.as_deref(), listed["cursor"].as_str());
    let lock = &locks["devices"][0]["device_id"];
    // The stream does not send the requests of other workspaces.
    let other = wait_for(latchkey.post("/_emulator/workspaces/create", json!({})));
    let other = other["api_key"].as_str().unwrap();
    wait_for(super::post(&latchkey.base_url, other, "/devices/list", &json!({}))).unwrap();
    let created = wait_for(latchkey.post("/access_codes/create", json!({ "device_id": lock, "sync": true })));
    let id = &created["access_code"]["access_code_id"];
    for event_type in ["access_code.created", "access_code.set_on_device"] {
        let (_, kind, event) = stream.message();
        assert_eq!((kind.as_str(), &event["event_type"], &event["access_code_id"]), ("event", &json!(event_type), id));
        let found = json!({ "event_id": event["event_id"] });
        assert_eq!(wait_for(latchkey.post("/events/get", found))["event"], event);
    }
    let paths: Vec<Value> = (0..3).map(|_| stream.message().2["path"].clone()).collect();
    assert_eq!(paths, ["/access_codes/create", "/events/get", "/events/get"]);

    drop(stream);
    let mut resumed = Stream::open(&latchkey, &[("last-event-id", &first.unwrap())]);
    let missed: Vec<Value> = (0..3).map(|_| resumed.message().2["path"].clone()).collect();
    assert_eq!(missed, paths, "each missed message once");
    wait_for(latchkey.post("/workspaces/get", json!({})));
    assert_eq!(resumed.message().2["path"], "/workspaces/get");
    // The cursor of a list without requests is a position too.
    let mut from_start = Stream::open(&latchkey, &[("last-event-id", empty["cursor"].as_str().unwrap())]);
    assert_eq!(from_start.message().0, listed["cursor"].as_str().map(str::to_owned));
}

#[test]
fn stream_that_is_open_does_not_keep_the_server_from_stopping() {
    let mut latchkey = Latchkey::start(&["--ephemeral"]);
    let mut stream = Stream::open(&latchkey, &[]);
    latchkey.signal(Signal::TERM);
    let mut rest = String::new();
    stream.0.read_to_string(&mut rest).unwrap();
    assert!(latchkey.wait_for_exit().success());
}

#[test]
fn request_log_stores_as_many_requests_as_configured() {
    let latchkey = Latchkey::start(&["--ephemeral", "--request-log", "2"]);
    for path in ["/devices/list", "/workspaces/get", "/events/list", "/devices/list"] {
        drop(wait_for(super::post(&latchkey.base_url, &latchkey.api_key, path, &json!({}))));
    }
    let log = wait_for(latchkey.post("/_emulator/requests", json!({})));
    let paths: Vec<&Value> = log["requests"].as_array().unwrap().iter().map(|request| &request["path"]).collect();
    assert_eq!(paths, ["/events/list", "/devices/list"]);
}
