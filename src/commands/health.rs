//! `latchkey health`: asks a running server how it is, for containers and scripts.
//!
//! The request is written out by hand: one GET over plain TCP is all there is to it, and no client library has to be
//! linked into every server for that.

use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// How long the server may take for each of connecting, hearing and answering.
const IO_TIMEOUT: Duration = Duration::from_secs(5);

/// No answer about health is longer.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Why a server does not count as healthy, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The URL is not one that can be asked.
    #[error("{0} is no address of a Latchkey: give --url http://HOST:PORT")]
    NotAnAddress(String),
    /// Nobody is there, or nobody answers.
    #[error("{url} does not answer: {cause}. Is the server started, and on this port?")]
    Silent {
        /// The server's URL.
        url: String,
        /// What the system said.
        cause: io::Error,
    },
    /// Somebody answers, but not as a healthy Latchkey.
    #[error("{url} answers, but not as a Latchkey that serves: {answer}")]
    Other {
        /// The server's URL.
        url: String,
        /// The first line of what it said.
        answer: String,
    },
}

/// Asks the server with this base URL for `/health`. Gives what it says of itself.
///
/// # Errors
/// If it does not say that it serves.
pub fn ask(url: &str) -> Result<String, HealthError> {
    let not_an_address = || HealthError::NotAnAddress(url.to_owned());
    let rest = url.trim().strip_prefix("http://").ok_or_else(not_an_address)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_matches('/');
    let path = if path.is_empty() { "/health".to_owned() } else { format!("/{path}/health") };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    if authority.is_empty() || authority.contains('@') || url.contains(char::is_whitespace) {
        return Err(not_an_address());
    }
    let answer =
        exchange(&with_port, authority, &path).map_err(|cause| HealthError::Silent { url: url.to_owned(), cause })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    let said: Value = serde_json::from_str(body).unwrap_or_default();
    let message = said.get("msg").and_then(Value::as_str);
    let serves = status.split(' ').nth(1) == Some("200") && said.get("ok") == Some(&Value::Bool(true));
    if let Some(message) = message.filter(|_| serves) {
        return Ok(message.to_owned());
    }
    let answer = message.map_or_else(|| status.to_owned(), |message| format!("{status}: {message}"));
    Err(HealthError::Other { url: url.to_owned(), answer: answer.chars().take(200).collect() })
}

/// Sends a GET and reads until the server closes.
fn exchange(address: &str, host: &str, path: &str) -> io::Result<String> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, IO_TIMEOUT) {
            Err(error) => last = error,
            Ok(mut stream) => {
                stream.set_read_timeout(Some(IO_TIMEOUT))?;
                stream.set_write_timeout(Some(IO_TIMEOUT))?;
                // HTTP/1.0: the answer comes in one piece, and the connection ends with it. The request goes in one
                // piece, too, since who is no Latchkey may hang up after the first.
                let request = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\naccept: application/json\r\n\r\n");
                stream.write_all(request.as_bytes())?;
                let mut answer = Vec::new();
                stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
        }
    }
    Err(last)
}
