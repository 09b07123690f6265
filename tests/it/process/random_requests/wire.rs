//! One connection that requests go over as they were made, valid or not.

use serde_json::{Value, from_slice};
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long an answer may take, also in a debug build on a busy machine.
const IO_TIMEOUT: Duration = Duration::from_secs(10);

/// A request, as it is sent.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    /// Without those that say where it goes and how long it is.
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
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5000;
        let bytes = self.bytes();
        write!(to, "{}", bytes[..bytes.len().min(SHOWN)].escape_ascii())?;
        if bytes.len() > SHOWN { write!(to, "... ({} bytes)", bytes.len()) } else { Ok(()) }
    }
}

/// An answer; one without a body has null.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// A connection that is opened again whenever the server ended it.
pub(super) struct Connection {
    authority: String,
    open: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub(super) fn to(authority: &str) -> Self {
        Self { authority: authority.to_owned(), open: None }
    }

    /// Sends a request and gives its answer, which has to come soon.
    pub(super) fn ask(&mut self, request: &Request) -> Answer {
        let begun = Instant::now();
        let mut stream = self.open.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(&self.authority).unwrap();
            stream.set_read_timeout(Some(IO_TIMEOUT)).unwrap();
            stream.set_write_timeout(Some(IO_TIMEOUT)).unwrap();
            stream.set_nodelay(true).unwrap();
            BufReader::new(stream)
        });
        // A body that is too large may be refused before it was sent: the answer counts.
        let _ = stream.get_mut().write_all(&request.bytes());
        let (answer, goes_on) = read(&mut stream, request.method == "HEAD");
        assert!(begun.elapsed() < IO_TIMEOUT, "answered after {:?}", begun.elapsed());
        self.open = goes_on.then_some(stream);
        answer
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer in time");
    line.trim_end().to_owned()
}

/// Reads an answer; gives whether the connection goes on.
fn read(stream: &mut BufReader<TcpStream>, is_head: bool) -> (Answer, bool) {
    let first = line(stream);
    let status = first.split(' ').nth(1).unwrap_or_else(|| panic!("no answer but {first:?}")).parse().unwrap();
    let (mut length, mut is_chunked, mut goes_on) = (None, false, true);
    loop {
        let header = line(stream).to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = Some(value.parse::<usize>().unwrap()),
            Some(("transfer-encoding", "chunked")) => is_chunked = true,
            Some(("connection", "close")) => goes_on = false,
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
        body.resize(length.expect("an answer with a length"), 0);
        stream.read_exact(&mut body).unwrap();
    }
    let shown = |error| panic!("{status} with no JSON, {error}: {:?}", String::from_utf8_lossy(&body));
    let body = if body.is_empty() { Value::Null } else { from_slice(&body).unwrap_or_else(shown) };
    (Answer { status, body }, goes_on)
}
