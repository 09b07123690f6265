//! Connections that hold a server up: half-sent, silent, too many; and its end while there are such.

use super::{Latchkey, command, complaint, eventually, folder, postgres_in};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const HALF_A_HEAD: &[u8] = b"GET /health HTTP/1.1\r\nhost: local";

/// How a connection of HTTP/2 begins: the preface, and a frame of no settings.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Lets this process and those it starts have some thousand connections.
fn allow_many_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let params = maximum.map_or(4096, |maximum| maximum.min(4096));
    if current.is_some_and(|current| current < params) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(params), maximum }).unwrap();
    }
}

fn send(latchkey: &Latchkey, bytes: &[u8]) -> TcpStream {
    let mut stream = latchkey.connect();
    stream.write_all(bytes).unwrap();
    stream
}

/// Waits until the server has closed the connection, and gives what it has sent.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => rest,
        Err(error) => panic!("the connection is not closed: {error}"),
    }
}

/// Has a request answered on a connection that is there, and reads the answer to its end.
fn asks_for_much(stream: &mut TcpStream) {
    stream.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut body = [0; 1 << 13];
    while stream.read(&mut body).is_ok_and(|length| length > 0) {}
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
}

fn is_well(latchkey: &Latchkey) -> bool {
    let mut stream = latchkey.connect();
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

#[test]
fn half_sent_heads_end_after_ten_seconds_and_idle_connections_stay() {
    allow_many_descriptors();
    let latchkey = Latchkey::start(&["--ephemeral"]);
    let mut idle = latchkey.connect();
    asks_for_much(&mut idle);
    let begun = Instant::now();
    // A second head on a connection that had one, nothing at all, and half of how HTTP/2 begins.
    let mut later = latchkey.connect();
    asks_for_much(&mut later);
    later.write_all(HALF_A_HEAD).unwrap();
    let mut odd = [send(&latchkey, b""), send(&latchkey, &HTTP2[..10]), later];
    let mut silent = [send(&latchkey, HTTP2), send(&latchkey, &HTTP2[..24])];
    let mut halves: Vec<TcpStream> = (0..1000).map(|_| send(&latchkey, HALF_A_HEAD)).collect();
    let all_sent = Instant::now();
    assert!(is_well(&latchkey));
    for half in halves.iter_mut().chain(&mut odd) {
        assert!(rest(half).is_empty());
    }
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(all_sent.elapsed() < Duration::from_secs(13), "{:?}", all_sent.elapsed());
    asks_for_much(&mut idle);
    for silent in &mut silent {
        rest(silent);
    }
    assert!(all_sent.elapsed() < Duration::from_secs(18), "{:?}", all_sent.elapsed());
    asks_for_much(&mut idle);
}

/// Clients that would never let a server end.
fn holding_up(latchkey: &Latchkey) -> Vec<TcpStream> {
    let half_a_body = format!(
        "POST /access_codes/create HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"device_id\":",
        latchkey.api_key
    );
    let unread = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200);
    let all: [&[u8]; 5] = [half_a_body.as_bytes(), HALF_A_HEAD, &unread, HTTP2, &HTTP2[..24]];
    let clients = all.map(|bytes| send(latchkey, bytes)).into();
    // It is heard once the first client is.
    assert!(is_well(latchkey));
    clients
}

#[test]
fn a_server_that_is_asked_to_stop_does_so_whoever_holds_it_up() {
    let mut latchkey = Latchkey::start(&["--ephemeral", "--request-timeout", "60"]);
    let clients = holding_up(&latchkey);
    let begun = Instant::now();
    latchkey.signal(Signal::TERM);
    assert!(latchkey.ended().success());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_secs(5), "half a body is waited for");
    drop(clients);
}

#[test]
fn a_second_signal_stops_a_server_at_once_and_leaves_its_data_unlocked() {
    let folder = folder();
    let directory = folder.path().join("kept");
    for (signal, exit_code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut latchkey = Latchkey::with_data(&directory);
        let clients = holding_up(&latchkey);
        latchkey.signal(Signal::TERM);
        eventually("it takes no more connections", || TcpStream::connect(latchkey.authority()).is_err());
        assert!(latchkey.child.try_wait().unwrap().is_none(), "it waits for the request");
        let begun = Instant::now();
        latchkey.signal(signal);
        assert_eq!(latchkey.ended().code(), Some(exit_code));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        drop(clients);
    }
    let latchkey = Latchkey::with_data(&directory);
    assert!(is_well(&latchkey));
}

#[test]
fn a_server_that_is_asked_to_stop_while_it_starts_does_so() {
    // A database that takes the connection and never says a word.
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/nothing?sslmode=disable", database.local_addr().unwrap());
    let mut child = command(&["--port", "0"]).env("DATABASE_URL", url).spawn().unwrap();
    let connection = database.accept().unwrap();
    let begun = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    eventually("it ends", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success(), "{}", complaint(&mut child));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(connection);
}

#[test]
fn a_server_without_descriptors_left_says_so_and_goes_on_when_it_has_some() {
    let folder = folder();
    let postgres = postgres_in(folder.path());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" --port 0", env!("CARGO_BIN_EXE_latchkey")]);
    command.env("DATABASE_URL", postgres.url()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut latchkey = Latchkey::await_ready(&mut command);
    let too_many: Vec<TcpStream> = (0..100).map(|_| latchkey.connect()).collect();
    thread::sleep(Duration::from_millis(2500));
    drop(too_many);
    eventually("it serves again", || is_well(&latchkey));
    latchkey.signal(Signal::TERM);
    assert!(latchkey.ended().success());
    let complaint = complaint(&mut latchkey.child);
    let lines = complaint.lines().filter(|line| line.contains("cannot accept a connection")).count();
    assert!((1..=4).contains(&lines), "{complaint}");
}

#[test]
fn a_body_announced_too_long_is_refused_at_once_and_the_answer_arrives() {
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
                // A client that sends on and only then looks.
                for _ in 0..64 {
                    client.write_all(&vec![b' '; 1 << 16]).unwrap();
                }
            }
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with(expected), "{answer}");
            assert!(answer.contains("connection: close"), "{answer}");
        }
    }
}

#[test]
fn heads_beyond_the_limits_are_refused_in_the_envelope_on_the_wire_too() {
    let latchkey = Latchkey::start(&["--ephemeral"]);
    let (long, many) = ("a".repeat(60_000), "x: 1\r\n".repeat(200));
    for (target, headers, expected) in [
        (format!("/devices/list?x={long}"), String::new(), "HTTP/1.1 414"),
        ("/devices/list".to_owned(), many, "HTTP/1.1 431"),
        ("/devices/list".to_owned(), format!("x: {long}\r\ny: {long}\r\n"), "HTTP/1.1 431"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        let answer = rest(&mut send(&latchkey, head.as_bytes()));
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(expected) && answer.ends_with("\"ok\":false}"), "{answer}");
    }
}
