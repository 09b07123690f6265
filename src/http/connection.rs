//! Connections: what is read and written by one, how long the head of a request may take, and how a handler resets one.

use hyper::rt::{Sleep, Timer};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long the head of a request may take: from its first byte, or from the beginning of the connection.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may wait for its next request. The clients that most SDKs use let go of theirs after 90 s;
/// who lets go first must not be the server, or a request meets a connection that is just being closed.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// How long a client may go on with a request body that nobody reads, so that it gets to read the answer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// The length of what every HTTP/2 connection begins with. Who has sent less has not yet said which protocol it speaks.
const MAX_PREFACE: usize = 24;

/// A handle on the connection that a request came by.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<State>);

#[derive(Debug)]
struct State {
    begun_at: Instant,
    is_reset: AtomicBool,
    is_body_left: AtomicBool,
    /// How many bytes were read.
    read: AtomicUsize,
    /// Whether the head of an HTTP/1 request was waited for.
    is_http1: AtomicBool,
}

impl Connection {
    /// Breaks the connection off: nothing is sent any more, and the client meets a reset.
    pub(crate) fn reset(&self) {
        self.0.is_reset.store(true, Ordering::Release);
    }

    fn is_reset(&self) -> bool {
        self.0.is_reset.load(Ordering::Acquire)
    }

    /// Notes that a request body was not read to its end, so that the connection is closed with care.
    pub(crate) fn leave_body(&self) {
        self.0.is_body_left.store(true, Ordering::Release);
    }

    /// Waits until the time for the opening is over; ends sooner never, and not at all where the client has opened.
    pub(super) async fn opening_is_overdue(&self) {
        tokio::time::sleep_until(self.0.begun_at + HEAD_TIMEOUT).await;
        if self.0.is_http1.load(Ordering::Acquire) || self.read() >= MAX_PREFACE {
            std::future::pending::<()>().await;
        }
    }

    fn read(&self) -> usize {
        self.0.read.load(Ordering::Acquire)
    }
}

/// The timer by which hyper limits the heads of HTTP/1 requests. It gives a connection [`IDLE_TIMEOUT`] as long as
/// nothing of the next head has come, and [`HEAD_TIMEOUT`] from its first byte on.
#[derive(Clone, Debug)]
pub(super) struct HeadTimer(pub(super) Connection);

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(std::time::Instant::now() + duration)
    }

    /// hyper asks for it whenever it begins to wait for a head, and for nothing else.
    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        let connection = self.0.clone();
        // Something of the first head is there already: by it HTTP/1 was told from HTTP/2.
        let is_first = !connection.0.is_http1.swap(true, Ordering::AcqRel);
        let deadline = if is_first { connection.0.begun_at + HEAD_TIMEOUT } else { Instant::now() + IDLE_TIMEOUT };
        Box::pin(AwaitedHead {
            read_before: connection.read(),
            has_begun: is_first,
            overdue: Box::pin(tokio::time::sleep_until(deadline)),
            connection,
        })
    }
}

/// The time that is left for a head.
struct AwaitedHead {
    connection: Connection,
    read_before: usize,
    has_begun: bool,
    overdue: Pin<Box<tokio::time::Sleep>>,
}

impl Future for AwaitedHead {
    type Output = ();

    /// hyper polls it after each read that did not complete the head.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_begun && self.connection.read() != self.read_before {
            self.has_begun = true;
            self.overdue.as_mut().reset(Instant::now() + HEAD_TIMEOUT);
        }
        self.overdue.as_mut().poll(cx)
    }
}

impl Sleep for AwaitedHead {}

/// The bytes of a connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    connection: Connection,
    closing: Closing,
}

/// How far a connection is on its way to the end.
#[derive(Debug)]
enum Closing {
    No,
    /// Nothing is sent any more; what the client still sends is thrown away until then.
    Lingers(Pin<Box<tokio::time::Sleep>>),
    Done,
}

impl Wire {
    /// The bytes of a connection that was just accepted.
    pub(crate) fn new(stream: TcpStream) -> Self {
        let state = State {
            begun_at: Instant::now(),
            is_reset: AtomicBool::new(false),
            is_body_left: AtomicBool::new(false),
            read: AtomicUsize::new(0),
            is_http1: AtomicBool::new(false),
        };
        Self { stream, connection: Connection(Arc::new(state)), closing: Closing::No }
    }

    /// The handle that requests get.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Refuses to write on a connection that is to be reset, and sees to it that closing it sends a reset.
    fn check(&self) -> io::Result<()> {
        if !self.connection.is_reset() {
            return Ok(());
        }
        self.stream.set_zero_linger()?;
        Err(ErrorKind::ConnectionReset.into())
    }

    /// Throws away what the client still sends, until it stops.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 8 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.connection.0.read.fetch_add(buffer.filled().len() - before, Ordering::AcqRel);
        done
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An orderly end would tell the client that all is well.
        self.check()?;
        if matches!(self.closing, Closing::No) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            // Closing a socket with something unread in it sends a reset, which would overtake the answer.
            self.closing = if self.connection.0.is_body_left.load(Ordering::Acquire) {
                Closing::Lingers(Box::pin(tokio::time::sleep(LINGER_TIMEOUT)))
            } else {
                Closing::Done
            };
        }
        if let Closing::Lingers(limit) = &mut self.closing {
            if limit.as_mut().poll(cx).is_pending() {
                ready!(self.poll_discard(cx));
            }
            self.closing = Closing::Done;
        }
        Poll::Ready(Ok(()))
    }
}
