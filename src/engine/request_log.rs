//! Request log: a ring buffer with the latest requests and responses of this process, and a broadcast channel for
//! subscribers.
//!
//! Adding a request is cheap: the bytes of its bodies are stored unparsed, and parsed only when the log is read.

use crate::cause::Cause;
use crate::clock::{self, machine_now};
use crate::domain::event::NewEvent;
use crate::ids;
use bytes::Bytes;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast;
use uuid::Uuid;

/// Maximum number of stored bytes per body.
pub(crate) const MAX_LOGGED_BODY: usize = 16 * 1024;

/// Number of messages that a subscriber may lag behind before it misses some.
const STREAM_BUFFER: usize = 1024;

/// Body of a request or response, cut to [`MAX_LOGGED_BODY`] bytes.
#[derive(Clone, Debug, Default)]
pub struct CapturedBody {
    /// The stored bytes, from the start of the body.
    pub bytes: Bytes,
    /// Length of the complete body in bytes.
    pub length: usize,
}

impl CapturedBody {
    /// Copies a body, so that the connection can reuse the buffer that contains it.
    pub fn copy(body: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(&body[..body.len().min(MAX_LOGGED_BODY)]), length: body.len() }
    }

    /// Shares the buffer of a body without copying. Copies the start of a longer body, so that its buffer can be freed.
    /// The first of several pieces is longer than [`MAX_LOGGED_BODY`].
    fn share(pieces: &[Bytes]) -> Self {
        let length = pieces.iter().map(Bytes::len).sum();
        let start = pieces.first().cloned().unwrap_or_default();
        let bytes = if start.len() > MAX_LOGGED_BODY { Self::copy(&start).bytes } else { start };
        Self { bytes, length }
    }

    /// Returns true if the stored bytes are not the complete body.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.length
    }
}

/// A request and its response.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    /// Position in the order of the responses of this process.
    pub number: u64,
    /// Value of the response header `seam-request-id`.
    pub request_id: String,
    /// Workspace of the credential; `None`: the credential was invalid or was not checked.
    pub workspace_id: Option<Uuid>,
    pub method: String,
    pub path: Cow<'static, str>,
    pub query: Option<String>,
    /// Request body; `None`: it was not read.
    pub body: Option<CapturedBody>,
    /// Response status; `None`: the connection was reset instead.
    pub status: Option<u16>,
    /// Response body.
    pub answer: CapturedBody,
    /// Arrival of the request, on the machine's clock.
    pub started_at: clock::Timestamp,
    /// Time from the arrival to the response.
    pub took: Duration,
    /// Handle with the events that the request caused.
    pub cause: Cause,
    /// HTTP fault that was applied to the request.
    pub http_fault_id: Option<Uuid>,
}

/// A request without a response yet.
#[derive(Debug)]
pub struct Pending {
    /// Log entry, without the response.
    pub entry: LoggedRequest,
    /// True if the connection is reset instead of sending a response.
    pub is_reset: bool,
    begun: Instant,
}

impl Pending {
    /// Creates the entry of a request that has just arrived.
    pub fn new(request_id: &str, method: &str, path: Cow<'static, str>, query: Option<&str>) -> Self {
        let entry = LoggedRequest {
            number: 0,
            request_id: request_id.to_owned(),
            workspace_id: None,
            method: method.to_owned(),
            path,
            query: query.map(str::to_owned),
            body: None,
            status: None,
            answer: CapturedBody::default(),
            started_at: machine_now(),
            took: Duration::ZERO,
            cause: Cause::new(),
            http_fault_id: None,
        };
        Self { entry, is_reset: false, begun: Instant::now() }
    }

    fn into_logged(self, status: u16, body: &[Bytes]) -> LoggedRequest {
        let took = self.begun.elapsed();
        if self.is_reset {
            return LoggedRequest { took, ..self.entry };
        }
        LoggedRequest { took, status: Some(status), answer: CapturedBody::share(body), ..self.entry }
    }
}

/// Message to the subscribers of the request log.
#[derive(Clone, Debug)]
pub enum StreamMessage {
    /// The response of a request was sent, or its connection reset.
    Request(Arc<LoggedRequest>),
    /// An event was recorded, and its transaction committed.
    Event(Arc<NewEvent>),
}

/// Log of the latest requests of this process.
#[derive(Debug)]
pub struct RequestLog {
    ring: Mutex<Ring>,
    capacity: usize,
    /// Prefix of cursors, which distinguishes them from the cursors of another process.
    process: String,
    listeners: broadcast::Sender<StreamMessage>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Arc<LoggedRequest>>,
    /// Number of the last entry.
    last: u64,
}

impl RequestLog {
    /// Creates a log of at most `capacity` requests.
    pub fn new(capacity: usize) -> Self {
        let process = ids::random_id().simple().to_string()[..8].to_owned();
        Self { ring: Mutex::default(), capacity, process, listeners: broadcast::Sender::new(STREAM_BUFFER) }
    }

    /// Adds a request with the status and body of its response.
    pub fn record(&self, pending: Pending, status: u16, body: &[Bytes]) {
        let mut entry = pending.into_logged(status, body);
        let mut ring = self.ring.lock();
        ring.last += 1;
        entry.number = ring.last;
        let entry = Arc::new(entry);
        let oldest = if ring.entries.len() >= self.capacity { ring.entries.pop_front() } else { None };
        if self.capacity > 0 {
            ring.entries.push_back(Arc::clone(&entry));
        }
        // Send while the ring is locked, so that subscribers receive the requests in order.
        if self.listeners.receiver_count() > 0 {
            drop(self.listeners.send(StreamMessage::Request(entry)));
        }
        // Free the oldest entry after unlocking the ring, so that other requests do not wait for it.
        drop(ring);
        drop(oldest);
    }

    /// Sends committed events to the subscribers.
    pub fn publish_events(&self, events: impl IntoIterator<Item = NewEvent>) {
        if self.listeners.receiver_count() == 0 {
            return;
        }
        for event in events {
            drop(self.listeners.send(StreamMessage::Event(Arc::new(event))));
        }
    }

    /// Returns the stored requests with a higher number, in ascending order, and the number of the latest request, which
    /// is 0 if there was none yet.
    pub fn after(&self, number: u64) -> (Vec<Arc<LoggedRequest>>, u64) {
        let ring = self.ring.lock();
        (ring.entries.iter().filter(|entry| entry.number > number).cloned().collect(), ring.last)
    }

    /// Subscribes to all messages from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<StreamMessage> {
        self.listeners.subscribe()
    }

    /// Returns the cursor by which clients refer to an entry.
    pub fn cursor(&self, number: u64) -> String {
        format!("{}.{number}", self.process)
    }

    /// Returns the entry number in a cursor; `None`: it is not a cursor of this process.
    pub fn number_of(&self, cursor: &str) -> Option<u64> {
        cursor.strip_prefix(self.process.as_str())?.strip_prefix('.')?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add_request(log: &RequestLog, body: &[u8]) {
        let mut pending = Pending::new("", "GET", Cow::Borrowed("/devices/list"), None);
        pending.entry.body = Some(CapturedBody::copy(body));
        log.record(pending, 200, &[Bytes::from_static(b"{}")]);
    }

    #[test]
    fn request_log_drops_the_oldest_request_and_continues_its_numbers() {
        let log = RequestLog::new(2);
        for _ in 0..5 {
            add_request(&log, b"");
        }
        let numbers = |after| {
            let (entries, last) = log.after(after);
            (entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), last)
        };
        assert_eq!([numbers(0), numbers(4), numbers(5)], [(vec![4, 5], 5), (vec![5], 5), (vec![], 5)]);
        assert_eq!(log.number_of(&log.cursor(4)), Some(4));
        assert_eq!(RequestLog::new(2).number_of(&log.cursor(4)), None);
        add_request(&RequestLog::new(0), b"");
    }

    #[test]
    fn captured_body_over_the_limit_is_marked_as_cut() {
        let log = RequestLog::new(2);
        add_request(&log, &vec![b'a'; MAX_LOGGED_BODY]);
        add_request(&log, &vec![b'a'; MAX_LOGGED_BODY + 1]);
        let bodies: Vec<CapturedBody> = log.after(0).0.iter().filter_map(|entry| entry.body.clone()).collect();
        assert_eq!(bodies.iter().map(|body| body.bytes.len()).collect::<Vec<_>>(), [MAX_LOGGED_BODY; 2]);
        assert_eq!(bodies.iter().map(CapturedBody::is_cut).collect::<Vec<_>>(), [false, true]);
    }
}
