//! What was asked and answered lately: a ring in the memory of this process, and a broadcast to whoever listens.
//!
//! Keeping a request costs next to nothing: its bytes are kept as they are, and looked at by those who read the log.

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

/// How many bytes of a body are kept.
pub(crate) const MAX_LOGGED_BODY: usize = 16 * 1024;

/// How many messages a listener may be behind before it misses some.
const STREAM_BUFFER: usize = 1024;

/// A body, or as much of it as is kept.
#[derive(Clone, Debug, Default)]
pub struct CapturedBody {
    /// Its first bytes.
    pub bytes: Bytes,
    /// How many there were.
    pub length: usize,
}

impl CapturedBody {
    /// Copies a body: what it lies in belongs to its connection, which can then go on using it.
    pub fn copy(body: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(&body[..body.len().min(MAX_LOGGED_BODY)]), length: body.len() }
    }

    fn share(body: &Bytes) -> Self {
        if body.len() > MAX_LOGGED_BODY { Self::copy(body) } else { Self { bytes: body.clone(), length: body.len() } }
    }

    /// Whether some of it is missing.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.length
    }
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    /// Its place in the order in which this process answered.
    pub number: u64,
    /// The id in the header `seam-request-id`.
    pub request_id: String,
    /// The workspace of its credential; `None`: the credential was wrong, or nobody looked at it.
    pub workspace_id: Option<Uuid>,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: Cow<'static, str>,
    /// Its query string.
    pub query: Option<String>,
    /// Its body, if it was read.
    pub body: Option<CapturedBody>,
    /// The status of the answer; `None`: the connection was reset instead.
    pub status: Option<u16>,
    /// The body of the answer.
    pub answer: CapturedBody,
    /// When it came, in the machine's time.
    pub started_at: clock::Timestamp,
    /// How long the answer took.
    pub took: Duration,
    /// What it caused.
    pub cause: Cause,
    /// The HTTP fault that struck it.
    pub http_fault_id: Option<Uuid>,
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Pending {
    /// What is known of it so far.
    pub entry: LoggedRequest,
    /// Whether its connection is reset instead of an answer.
    pub is_reset: bool,
    begun: Instant,
}

impl Pending {
    /// A request that has just come, with its id.
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

    fn answered(self, status: u16, body: &Bytes) -> LoggedRequest {
        let took = self.begun.elapsed();
        if self.is_reset {
            return LoggedRequest { took, ..self.entry };
        }
        LoggedRequest { took, status: Some(status), answer: CapturedBody::share(body), ..self.entry }
    }
}

/// What listeners are told.
#[derive(Clone, Debug)]
pub enum StreamMessage {
    /// A request was answered.
    Request(Arc<LoggedRequest>),
    /// An event was recorded.
    Event(Arc<NewEvent>),
}

/// The requests that this process answered lately.
#[derive(Debug)]
pub struct RequestLog {
    ring: Mutex<Ring>,
    capacity: usize,
    /// Tells the cursors of this process from those of another.
    process: String,
    listeners: broadcast::Sender<StreamMessage>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Arc<LoggedRequest>>,
    /// The number of the last entry.
    last: u64,
}

impl RequestLog {
    /// A log of at most so many requests.
    pub fn new(capacity: usize) -> Self {
        let process = ids::random_id().simple().to_string()[..8].to_owned();
        Self { ring: Mutex::default(), capacity, process, listeners: broadcast::Sender::new(STREAM_BUFFER) }
    }

    /// Keeps a request that has been answered with this status and body.
    pub fn keep(&self, pending: Pending, status: u16, body: &Bytes) {
        let mut entry = pending.answered(status, body);
        let mut ring = self.ring.lock();
        ring.last += 1;
        entry.number = ring.last;
        let entry = Arc::new(entry);
        let oldest = if ring.entries.len() >= self.capacity { ring.entries.pop_front() } else { None };
        if self.capacity > 0 {
            ring.entries.push_back(Arc::clone(&entry));
        }
        // Under the lock, so that listeners hear of requests in their order.
        if self.listeners.receiver_count() > 0 {
            drop(self.listeners.send(StreamMessage::Request(entry)));
        }
        drop(ring);
        drop(oldest);
    }

    /// Tells listeners of events that were recorded.
    pub fn recorded(&self, events: impl IntoIterator<Item = NewEvent>) {
        if self.listeners.receiver_count() == 0 {
            return;
        }
        for event in events {
            drop(self.listeners.send(StreamMessage::Event(Arc::new(event))));
        }
    }

    /// The requests after this number that are still kept, in the order in which they were answered.
    pub fn after(&self, number: u64) -> Vec<Arc<LoggedRequest>> {
        let ring = self.ring.lock();
        ring.entries.iter().filter(|entry| entry.number > number).cloned().collect()
    }

    /// What is told from now on.
    pub fn listen(&self) -> broadcast::Receiver<StreamMessage> {
        self.listeners.subscribe()
    }

    /// How others refer to an entry.
    pub fn cursor(&self, number: u64) -> String {
        format!("{}.{number}", self.process)
    }

    /// The number of the entry that a cursor refers to; `None`: it is not one of this process.
    pub fn number_of(&self, cursor: &str) -> Option<u64> {
        cursor.strip_prefix(self.process.as_str())?.strip_prefix('.')?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(log: &RequestLog, body: &[u8]) {
        let mut pending = Pending::new("", "GET", Cow::Borrowed("/devices/list"), None);
        pending.entry.body = Some(CapturedBody::copy(body));
        log.keep(pending, 200, &Bytes::from_static(b"{}"));
    }

    #[test]
    fn the_oldest_request_makes_room_and_numbers_go_on() {
        let log = RequestLog::new(2);
        for _ in 0..5 {
            keep(&log, b"");
        }
        let numbers = |after| log.after(after).iter().map(|entry| entry.number).collect::<Vec<_>>();
        assert_eq!((numbers(0), numbers(4), numbers(5)), (vec![4, 5], vec![5], vec![]));
        assert_eq!(log.number_of(&log.cursor(4)), Some(4));
        assert_eq!(RequestLog::new(2).number_of(&log.cursor(4)), None);
        keep(&RequestLog::new(0), b"");
    }

    #[test]
    fn a_long_body_is_cut_and_says_so() {
        let log = RequestLog::new(2);
        keep(&log, &vec![b'a'; MAX_LOGGED_BODY]);
        keep(&log, &vec![b'a'; MAX_LOGGED_BODY + 1]);
        let bodies: Vec<CapturedBody> = log.after(0).iter().filter_map(|entry| entry.body.clone()).collect();
        assert_eq!(bodies.iter().map(|body| body.bytes.len()).collect::<Vec<_>>(), [MAX_LOGGED_BODY; 2]);
        assert_eq!(bodies.iter().map(CapturedBody::is_cut).collect::<Vec<_>>(), [false, true]);
    }
}
