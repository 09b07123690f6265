//! Receiver of webhook deliveries: a small HTTP server that records what it receives, and misbehaves on demand.

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Method, path and version.
    pub(crate) request_line: String,
    /// Headers by their lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    /// Returns the event in the body.
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    pub(crate) fn event_id(&self) -> String {
        self.event()["event_id"].as_str().expect("an event id").to_owned()
    }
}

/// Answer of the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This status, with this body.
    Status(u16, &'static str),
    /// A redirect to this URL.
    Redirect(String),
    /// No answer for this time.
    Silence(Duration),
    /// The connection is reset.
    Reset,
}

/// Answer of a receiver that accepts a delivery.
pub(crate) const ACCEPT: Answer = Answer::Status(200, "ok");

/// Function that returns the answer to a request. Its second argument is the number of earlier requests.
type Behaviour = Arc<dyn Fn(&Received, usize) -> Answer + Send + Sync>;

/// A running receiver. It ends when it is dropped.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Starts a receiver that accepts all deliveries.
    pub(crate) async fn start() -> Self {
        Self::answering(|_, _| ACCEPT).await
    }

    /// Starts a receiver that answers with this function.
    pub(crate) async fn answering(behaviour: impl Fn(&Received, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (all, behaviour): (_, Behaviour) = (Arc::clone(&received), Arc::new(behaviour));
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                tokio::spawn(serve(stream, Arc::clone(&all), Arc::clone(&behaviour)));
            }
        });
        Self { url, received, task }
    }

    /// Returns all requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }

    /// Waits until this number of requests was received, and returns them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        let begun = Instant::now();
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{} requests instead of {count}", received.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn serve(mut stream: TcpStream, all: Arc<Mutex<Vec<Received>>>, behaviour: Behaviour) {
    let mut buffer = Vec::new();
    while let Some(received) = read_request(&mut stream, &mut buffer).await {
        let answer = {
            let mut all = all.lock().expect("no panic");
            let answer = behaviour(&received, all.len());
            all.push(received);
            answer
        };
        let response = match answer {
            Answer::Status(status, body) => {
                format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            }
            Answer::Redirect(url) => format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n"),
            Answer::Silence(duration) => {
                tokio::time::sleep(duration).await;
                return;
            }
            Answer::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
        };
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads one request. Returns `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).ok()?;
    let mut lines = head.lines();
    let request_line = lines.next()?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(buffer[head_end..head_end + length].to_vec()).ok()?;
    buffer.drain(..head_end + length);
    Some(Received { request_line, headers, body })
}
