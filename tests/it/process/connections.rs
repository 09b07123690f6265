//! Connections that hold a server up: half-sent, silent, too many; and the stop of the server while they are open.

use super::{Latchkey, command, eventually, folder, postgres_in, stderr_of};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const HALF_A_HEAD: &[u8] = b"GET /health HTTP/1.1\r\nhost: local";

/// First bytes of an HTTP/2 connection: the preface and an empty settings frame.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Raises the limit of open files to 4096, if possible, for this process and the processes that it starts.
fn allow_many_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let limit = maximum.map_or(4096, |maximum| maximum.min(4096));
    if current.is_some_and(|current| current < limit) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum }).unwrap();
    }
}

fn send(latchkey: &Latchkey, bytes: &[u8]) -> TcpStream {
    let mut stream = latchkey.connect();
    stream.write_all(bytes).unwrap();
    stream
}

/// Reads until the server has closed the connection. Returns the bytes received.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => rest,
        Err(error) => panic!("the connection is not closed: {error}"),
    }
}

/// Sends a request with a large response on an open connection, and reads the response to its end.
fn get_large_response(stream: &mut TcpStream) {
    stream.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut body = [0; 1 << 13];
    while stream.read(&mut body).is_ok_and(|length| length > 0) {}
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
}

fn is_healthy(latchkey: &Latchkey) -> bool {
    let mut stream = latchkey.connect();
    let sent = stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut response = String::new();
    sent.is_ok() && stream.read_to_string(&mut response).is_ok() && response.starts_with("HTTP/1.1 200")
}

#[test]
fn half_sent_request_heads_end_after_ten_seconds_and_idle_connections_stay() {
    allow_many_descriptors();
    let latchkey = Latchkey::start(&["--ephemeral"]);
    let mut idle = latchkey.connect();
    get_large_response(&mut idle);
    let begun = Instant::now();
    // An incomplete second head on a connection that has served a request, no bytes, and half of an HTTP/2 preface.
    let mut later = latchkey.connect();
    get_large_response(&mut later);
    later.write_all(HALF_A_HEAD).unwrap();
    let mut incomplete = [send(&latchkey, b""), send(&latchkey, &HTTP2[..10]), later];
    let mut silent = [send(&latchkey, HTTP2), send(&latchkey, &HTTP2[..24])];
    let mut halves: Vec<TcpStream> = (0..1000).map(|_| send(&latchkey, HALF_A_HEAD)).collect();
    let all_sent = Instant::now();
    assert!(is_healthy(&latchkey));
    for half in halves.iter_mut().chain(&mut incomplete) {
        assert!(rest(half).is_empty());
    }
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(all_sent.elapsed() < Duration::from_secs(13), "{:?}", all_sent.elapsed());
    get_large_response(&mut idle);
    for silent in &mut silent {
        rest(silent);
    }
    assert!(all_sent.elapsed() < Duration::from_secs(18), "{:?}", all_sent.elapsed());
    get_large_response(&mut idle);
}

/// Opens connections that would keep a server from ending for ever without timeouts.
fn open_blocking_connections(latchkey: &Latchkey) -> Vec<TcpStream> {
    let half_a_body = format!(
        "POST /access_codes/create HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"device_id\":",
        latchkey.api_key
    );
    let unread = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200);
    let requests: [&[u8]; 5] = [half_a_body.as_bytes(), HALF_A_HEAD, &unread, HTTP2, &HTTP2[..24]];
    let clients = requests.map(|bytes| send(latchkey, bytes)).into();
    // The server accepts connections in order: it has accepted the clients before this one.
    assert!(is_healthy(latchkey));
    clients
}

#[test]
fn stop_succeeds_while_clients_hold_connections_open() {
    let mut latchkey = Latchkey::start(&["--ephemeral", "--request-timeout", "60"]);
    let clients = open_blocking_connections(&latchkey);
    let begun = Instant::now();
    latchkey.signal(Signal::TERM);
    assert!(latchkey.wait_for_exit().success());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_secs(5), "the server waits for incomplete bodies");
    drop(clients);
}

#[test]
fn second_signal_ends_the_server_immediately_and_leaves_its_data_unlocked() {
    let folder = folder();
    let directory = folder.path().join("kept");
    for (signal, exit_code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut latchkey = Latchkey::with_data(&directory);
        let clients = open_blocking_connections(&latchkey);
        latchkey.signal(Signal::TERM);
        eventually("the server accepts no more connections", || TcpStream::connect(latchkey.authority()).is_err());
        assert!(latchkey.child.try_wait().unwrap().is_none(), "the server waits for the request");
        let begun = Instant::now();
        latchkey.signal(signal);
        assert_eq!(latchkey.wait_for_exit().code(), Some(exit_code));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        drop(clients);
    }
    let latchkey = Latchkey::with_data(&directory);
    assert!(is_healthy(&latchkey));
}

#[test]
fn stop_signal_during_the_start_ends_the_server() {
    // A database that accepts the connection and sends nothing.
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/nothing?sslmode=disable", database.local_addr().unwrap());
    let mut child = command(&["--port", "0"]).env("DATABASE_URL", url).spawn().unwrap();
    let connection = database.accept().unwrap();
    let begun = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    eventually("the process ends", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success(), "{}", stderr_of(&mut child));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(connection);
}

#[test]
fn server_out_of_file_descriptors_logs_it_and_recovers() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" --port 0", env!("CARGO_BIN_EXE_latchkey")]);
    command.env("DATABASE_URL", postgres.url()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut latchkey = Latchkey::await_ready(&mut command);
    let too_many: Vec<TcpStream> = (0..100).map(|_| latchkey.connect()).collect();
    thread::sleep(Duration::from_millis(2500));
    drop(too_many);
    eventually("the server is healthy again", || is_healthy(&latchkey));
    latchkey.signal(Signal::TERM);
    assert!(latchkey.wait_for_exit().success());
    let stderr = stderr_of(&mut latchkey.child);
    let lines = stderr.lines().filter(|line| line.contains("cannot accept a connection")).count();
    assert!((1..=4).contains(&lines), "{stderr}");
}

#[test]
fn body_announced_too_long_is_rejected_unread_and_the_response_arrives() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    for (key, expected) in [(latchkey.api_key.as_str(), "HTTP/1.1 413"), ("wrong", "HTTP/1.1 401")] {
        for expect in ["", "expect: 100-continue\r\n"] {
            let mut client = latchkey.connect();
            write!(
                client,
                "POST /devices/list HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n{expect}\
                 content-type: application/json\r\ncontent-length: 500000000\r\n\r\n",
            )
            .unwrap();
            if expect.is_empty() {
                // A client that sends a part of the body before it reads the response.
                for _ in 0..64 {
                    client.write_all(&vec![b' '; 1 << 16]).unwrap();
                }
            }
            let mut response = String::new();
            client.read_to_string(&mut response).unwrap();
            assert!(response.starts_with(expected), "{response}");
            assert!(response.contains("connection: close"), "{response}");
        }
    }
}

#[test]
fn request_heads_beyond_the_limits_get_an_error_envelope_over_tcp() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    let (long, many) = ("a".repeat(60_000), "x: 1\r\n".repeat(200));
    for (target, headers, expected) in [
        (format!("/devices/list?x={long}"), String::new(), "HTTP/1.1 414"),
        ("/devices/list".to_owned(), many, "HTTP/1.1 431"),
        ("/devices/list".to_owned(), format!("x: {long}\r\ny: {long}\r\n"), "HTTP/1.1 431"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        let response = rest(&mut send(&latchkey, head.as_bytes()));
        let response = String::from_utf8(response).unwrap();
        assert!(response.starts_with(expected) && response.ends_with("\"ok\":false}"), "{response}");
    }
}
