//! Access log: one line for each request to the server, and the metrics of the request.

use super::connection::Connection;
use super::redact::{is_secret, masked, without_named_secrets, without_tokens};
use super::request_id;
use crate::log::REQUESTS;
use crate::metrics::Metrics;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use serde_json::Value;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tracing::{Instrument as _, Level, Span};
use uuid::Uuid;

/// Maximum number of bytes of a body in the access log.
const MAX_BODY: usize = 16 * 1024;

/// Status of a request whose client disconnected before the response. nginx uses these two numbers, too.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Status of a request whose connection was reset by an HTTP fault.
const CONNECTION_RESET: u16 = 444;

/// Name of the span field with the workspace of a request.
const WORKSPACE_ID: &str = "workspace_id";

/// Runs a request in a span with its ids, logs it, and counts it. `with_bodies`: the line contains the bodies, and is
/// written when the response body was sent.
pub(crate) async fn record<F>(
    metrics: &Arc<Metrics>,
    with_bodies: bool,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let mut exchange = Exchange::begin(Arc::clone(metrics), &request);
    let span = exchange.span.clone();
    if !with_bodies {
        let response = next(request).instrument(span).await;
        exchange.respond(response.status());
        return response;
    }
    let (sent, received) = (SharedCapture::default(), SharedCapture::default());
    exchange.bodies = Some((Arc::clone(&sent), Arc::clone(&received)));
    let request = request.map(|body| Body::new(Tee { body, capture: sent, _exchange: None }));
    let response = next(request).instrument(span).await;
    exchange.respond(response.status());
    response.map(|body| Body::new(Tee { body, capture: received, _exchange: Some(exchange) }))
}

/// Adds the workspace to the span of the current request, so that all later log lines of the request contain it.
pub(crate) fn set_workspace(workspace_id: Uuid) {
    Span::current().record(WORKSPACE_ID, tracing::field::display(workspace_id));
}

/// A request and its response. Dropping it writes the line, also if the client disconnected before the response.
struct Exchange {
    metrics: Arc<Metrics>,
    span: Span,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    request_id: String,
    begun: Instant,
    connection: Option<Connection>,
    /// Status of the response, and the time until its start.
    response: Option<(StatusCode, Duration)>,
    /// Request body and response body, if they are logged.
    bodies: Option<(SharedCapture, SharedCapture)>,
}

impl Exchange {
    fn begin(metrics: Arc<Metrics>, request: &Request) -> Self {
        let request_id = request.headers().get(request_id::HEADER).and_then(|id| id.to_str().ok());
        let request_id = request_id.unwrap_or_default().to_owned();
        Self {
            metrics,
            // The highest level, so that warnings contain the ids whichever lines are selected.
            span: tracing::error_span!("request", request_id, { WORKSPACE_ID } = tracing::field::Empty),
            method: request.method().clone(),
            uri: request.uri().clone(),
            route: request.extensions().get().cloned(),
            connection: request.extensions().get().cloned(),
            request_id,
            begun: Instant::now(),
            response: None,
            bodies: None,
        }
    }

    fn respond(&mut self, status: StatusCode) {
        self.response = Some((status, self.begun.elapsed()));
    }

    /// Returns path and query, with credentials masked.
    fn target(&self) -> String {
        let mut target = without_tokens(self.uri.path()).into_owned();
        if let Some(query) = self.uri.query() {
            target.push('?');
            target.push_str(&without_named_secrets(&without_tokens(query), is_secret));
        }
        target
    }

    /// Writes the line. The level depends on the status, so that failed requests stand out and can be selected. A 501
    /// is a mistake of the client: the path is not emulated.
    fn log(&self, status: u16, duration: Duration) {
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: REQUESTS,
                    parent: &self.span,
                    $level,
                    method = self.method.as_str(),
                    path = self.target(),
                    status,
                    duration_ms = duration.as_secs_f64() * 1000.0,
                    request_id = self.request_id,
                    request_body = self.bodies.as_ref().and_then(|(sent, _)| sent.lock().text()),
                    response_body = self.bodies.as_ref().and_then(|(_, received)| received.lock().text()),
                )
            };
        }
        match status {
            400..=499 | 501 => line!(Level::WARN),
            500.. => line!(Level::ERROR),
            _ => line!(Level::INFO),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let is_reset = self.connection.as_ref().is_some_and(Connection::is_reset);
        let (status, duration) = match self.response {
            Some((_, duration)) if is_reset => (CONNECTION_RESET, duration),
            Some((status, duration)) => (status.as_u16(), duration),
            None => (CLIENT_CLOSED_REQUEST, self.begun.elapsed()),
        };
        let route = self.route.as_ref().map(MatchedPath::as_str);
        self.metrics.record_request(self.method.as_str(), route, status, duration);
        self.log(status, duration);
    }
}

/// The start of a body, up to [`MAX_BODY`] bytes.
#[derive(Default)]
struct Capture {
    bytes: Vec<u8>,
    length: usize,
}

type SharedCapture = Arc<Mutex<Capture>>;

impl Capture {
    fn add(&mut self, bytes: &[u8]) {
        let room = MAX_BODY.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length = self.length.saturating_add(bytes.len());
    }

    /// Returns the body as text with credentials masked and control characters escaped; `None`: it is empty.
    fn text(&self) -> Option<String> {
        if self.bytes.is_empty() {
            return None;
        }
        let is_cut = self.bytes.len() < self.length;
        let parsed: Option<Value> = if is_cut { None } else { serde_json::from_slice(&self.bytes).ok() };
        let masked = match parsed {
            Some(value) => masked(&value, is_secret).to_string(),
            None => without_named_secrets(&without_tokens(&String::from_utf8_lossy(&self.bytes)), is_secret),
        };
        let mut text = String::with_capacity(masked.len());
        for character in masked.chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        if is_cut {
            // Writing to a string cannot fail.
            let _ = write!(text, "... ({} bytes)", self.length);
        }
        Some(text)
    }
}

/// A body whose start is captured while it is read.
struct Tee {
    body: Body,
    capture: SharedCapture,
    /// Of a response body: the exchange ends when the body is dropped.
    _exchange: Option<Exchange>,
}

impl HttpBody for Tee {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            self.capture.lock().add(bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_text_masks_credentials_and_escapes_control_characters() {
        let text = |bytes: &[u8]| {
            let mut capture = Capture::default();
            capture.add(bytes);
            capture.text()
        };
        assert_eq!(text(b""), None);
        assert_eq!(text(br#"{"code":"1234","api_key":"x"}"#).unwrap(), r#"{"code":"1234","api_key":"***"}"#);
        assert_eq!(text("a\u{1b}[31mb\n\u{9b}".as_bytes()).unwrap(), r"a\u{1b}[31mb\n\u{9b}");
        let long = text(&vec![b'a'; MAX_BODY + 1]).unwrap();
        assert!(long.ends_with("aaa... (16385 bytes)") && long.len() < MAX_BODY + 30, "{long}");
    }
}
