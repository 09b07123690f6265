//! A connection that sends requests unchanged, valid or not.

use serde_json::{Value, from_slice};
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Maximum duration of a request, also for a debug build on a busy machine.
const IO_TIMEOUT: Duration = Duration::from_secs(10);

/// A request in the form in which it is sent.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    /// Without `content-length`, and mostly without `host`: both are added when the request is sent.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let mut lines = vec![format!("{} {}{query} HTTP/1.1", self.method, self.path)];
        if self.headers.iter().all(|(name, _)| *name != "host") {
            lines.push("host: localhost".to_owned());
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.push(format!("content-length: {}\r\n\r\n", self.body.len()));
        let head = lines.join("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_BYTES: usize = 5000;
        let bytes = self.bytes();
        write!(formatter, "{}", bytes[..bytes.len().min(MAX_BYTES)].escape_ascii())?;
        if bytes.len() > MAX_BYTES { write!(formatter, "... ({} bytes)", bytes.len()) } else { Ok(()) }
    }
}

/// A response. The body is null if the response has none.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// A connection that reconnects after the server has closed it.
pub(super) struct Connection {
    authority: String,
    open: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub(super) fn to(authority: &str) -> Self {
        Self { authority: authority.to_owned(), open: None }
    }

    /// Sends a request and returns the response. Panics if that takes longer than [`IO_TIMEOUT`].
    pub(super) fn send(&mut self, request: &Request) -> Response {
        let begun = Instant::now();
        let mut stream = self.open.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(&self.authority).unwrap();
            stream.set_read_timeout(Some(IO_TIMEOUT)).unwrap();
            stream.set_write_timeout(Some(IO_TIMEOUT)).unwrap();
            stream.set_nodelay(true).unwrap();
            BufReader::new(stream)
        });
        // The server may reject a large body before it is fully sent, so that only the response counts.
        let _ = stream.get_mut().write_all(&request.bytes());
        let (response, stays_open) = read(&mut stream, request.method == "HEAD");
        assert!(begun.elapsed() < IO_TIMEOUT, "response after {:?}", begun.elapsed());
        self.open = stays_open.then_some(stream);
        response
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("a response in time");
    line.trim_end().to_owned()
}

/// Reads a response. Returns it, and true if the connection stays open.
fn read(stream: &mut BufReader<TcpStream>, is_head: bool) -> (Response, bool) {
    let first = line(stream);
    let status = first.split(' ').nth(1).unwrap_or_else(|| panic!("not a status line: {first:?}")).parse().unwrap();
    let (mut length, mut is_chunked, mut stays_open) = (None, false, true);
    loop {
        let header = line(stream).to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = Some(value.parse::<usize>().unwrap()),
            Some(("transfer-encoding", "chunked")) => is_chunked = true,
            Some(("connection", "close")) => stays_open = false,
            _ if header.is_empty() => break,
            _ => {}
        }
    }
    let mut body = Vec::new();
    if is_head || status == 204 {
    } else if is_chunked {
        loop {
            let length = usize::from_str_radix(&line(stream), 16).expect("a length");
            let begin = body.len();
            body.resize(begin + length, 0);
            stream.read_exact(&mut body[begin..]).unwrap();
            line(stream);
            if length == 0 {
                break;
            }
        }
    } else {
        body.resize(length.expect("a response with a length"), 0);
        stream.read_exact(&mut body).unwrap();
    }
    let invalid_json = |error| panic!("{status} without valid JSON, {error}: {:?}", String::from_utf8_lossy(&body));
    let body = if body.is_empty() { Value::Null } else { from_slice(&body).unwrap_or_else(invalid_json) };
    (Response { status, body }, stays_open)
}
