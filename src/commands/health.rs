//! `latchkey health`: requests `/health` from a running server, for containers and scripts.
//!
//! The request is written by hand, because it is only one GET over plain TCP: a client library would be linked into
//! every server for it.

use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// Timeout for each of connecting, writing and reading.
const IO_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of bytes that are read of a response. Responses of `/health` are shorter.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024;

/// Reason why a server does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The URL is not the HTTP URL of a server.
    #[error("{0} is not the address of a server: give --url http://HOST:PORT")]
    NotAnAddress(String),
    /// The server cannot be reached, or does not respond.
    #[error("{url} does not respond: {cause}. Check that the server runs, and on this port.")]
    Silent {
        /// Base URL of the server.
        url: String,
        /// Error of the operating system.
        cause: io::Error,
    },
    /// The response is not that of a healthy Latchkey.
    #[error("{url} responds, but not as a healthy Latchkey: {answer}")]
    Other {
        /// Base URL of the server.
        url: String,
        /// Status line of the response, with the message in its body, if any.
        answer: String,
    },
}

/// Requests `/health` from the server with this base URL, and returns the message in its response.
///
/// # Errors
/// A [`HealthError`] unless the server reports that it is serving.
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
    let response =
        exchange(&with_port, authority, &path).map_err(|cause| HealthError::Silent { url: url.to_owned(), cause })?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    let status = head.lines().next().unwrap_or_default();
    let content: Value = serde_json::from_str(body).unwrap_or_default();
    let message = content.get("msg").and_then(Value::as_str);
    let serves = status.split(' ').nth(1) == Some("200") && content.get("ok") == Some(&Value::Bool(true));
    if let Some(message) = message.filter(|_| serves) {
        return Ok(message.to_owned());
    }
    let summary = message.map_or_else(|| status.to_owned(), |message| format!("{status}: {message}"));
    Err(HealthError::Other { url: url.to_owned(), answer: summary.chars().take(200).collect() })
}

/// Sends a GET request, and reads until the server closes the connection.
fn exchange(address: &str, host: &str, path: &str) -> io::Result<String> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, IO_TIMEOUT) {
            Err(error) => last = error,
            Ok(mut stream) => {
                stream.set_read_timeout(Some(IO_TIMEOUT))?;
                stream.set_write_timeout(Some(IO_TIMEOUT))?;
                // With HTTP/1.0 the response is not chunked, and the server closes the connection after it. The
                // request is sent with one write: a server of another kind may close the connection after the first.
                let request = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\naccept: application/json\r\n\r\n");
                stream.write_all(request.as_bytes())?;
                let mut response = Vec::new();
                stream.take(MAX_RESPONSE_BYTES).read_to_end(&mut response)?;
                return Ok(String::from_utf8_lossy(&response).into_owned());
            }
        }
    }
    Err(last)
}
