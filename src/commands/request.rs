//! Request of a command to a running server.
//!
//! The request is written by hand, because it is one small request over plain TCP, and the commands need no runtime.

use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// Timeout for each of connecting, writing and reading.
const IO_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of bytes that are read of a response. Responses to commands are shorter.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024;

/// Maximum length of a response in an error, in characters.
const MAX_SUMMARY: usize = 200;

/// Error of a request to which there is no response.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
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
}

/// Response of a server.
#[derive(Debug)]
pub(super) struct Response {
    /// First line of the response, with the version of HTTP, the status and its reason.
    status_line: String,
    /// Body; null if it is not JSON.
    pub(super) body: Value,
}

impl Response {
    /// True if the status is 200.
    pub(super) fn is_ok(&self) -> bool {
        self.status_line.split(' ').nth(1) == Some("200")
    }

    /// Returns the status line, with this message if there is one.
    pub(super) fn summary(&self, message: Option<&str>) -> String {
        let summary =
            message.map_or_else(|| self.status_line.clone(), |message| format!("{}: {message}", self.status_line));
        summary.chars().take(MAX_SUMMARY).collect()
    }
}

/// Sends a request without parameters to the server with this base URL.
///
/// # Errors
/// A [`RequestError`] if there is no response.
pub(super) fn send(method: &str, url: &str, path: &str, api_key: Option<&str>) -> Result<Response, RequestError> {
    let not_an_address = || RequestError::NotAnAddress(url.to_owned());
    let rest = url.trim().strip_prefix("http://").ok_or_else(not_an_address)?;
    let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    let path = if prefix.is_empty() { path.to_owned() } else { format!("/{prefix}{path}") };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    if authority.is_empty() || authority.contains('@') || url.contains(char::is_whitespace) {
        return Err(not_an_address());
    }
    // With HTTP/1.0 the response is not chunked, and the server closes the connection after it.
    let credential = api_key.map(|api_key| format!("authorization: Bearer {api_key}\r\n")).unwrap_or_default();
    let length = if method == "GET" { "" } else { "content-length: 0\r\n" };
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: {authority}\r\naccept: application/json\r\n{credential}{length}\r\n"
    );
    let response = exchange(&address, &request).map_err(|cause| RequestError::Silent { url: url.to_owned(), cause })?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    let status_line = head.lines().next().unwrap_or_default().to_owned();
    Ok(Response { status_line, body: serde_json::from_str(body).unwrap_or_default() })
}

/// Sends a request, and reads until the server closes the connection.
fn exchange(address: &str, request: &str) -> io::Result<String> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, IO_TIMEOUT) {
            Err(error) => last = error,
            Ok(mut stream) => {
                stream.set_read_timeout(Some(IO_TIMEOUT))?;
                stream.set_write_timeout(Some(IO_TIMEOUT))?;
                // One write: a server of another kind may close the connection after the first.
                stream.write_all(request.as_bytes())?;
                let mut response = Vec::new();
                stream.take(MAX_RESPONSE_BYTES).read_to_end(&mut response)?;
                return Ok(String::from_utf8_lossy(&response).into_owned());
            }
        }
    }
    Err(last)
}
