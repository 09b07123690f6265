//! Connections: their byte streams, the timeouts for request heads, and the reset of a connection by a handler.

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

/// Timeout for receiving a request head, from its first byte; for the first head, from the start of the connection.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of a connection that waits for its next request. The HTTP clients of most SDKs close idle connections after
/// 90 s. The server must wait longer: otherwise a client could send a request on a connection that the server is
/// closing.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// Maximum time for which the server discards the rest of an unread request body before it closes the connection, so
/// that the client can read the response.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Length in bytes of the HTTP/2 connection preface. With fewer bytes, the protocol of a connection can still be
/// unknown.
const MAX_PREFACE: usize = 24;

/// A handle to the connection of a request.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<State>);

#[derive(Debug)]
struct State {
    begun_at: Instant,
    is_reset: AtomicBool,
    is_body_unread: AtomicBool,
    /// Number of bytes read.
    read: AtomicUsize,
    /// True once hyper has waited for the head of an HTTP/1 request.
    is_http1: AtomicBool,
}

impl Connection {
    /// Makes the next write or shutdown reset the connection: nothing more is sent, and the client receives a TCP
    /// reset.
    pub(crate) fn reset(&self) {
        self.0.is_reset.store(true, Ordering::Release);
    }

    /// Returns true if the connection is reset instead of sending the response.
    pub(crate) fn is_reset(&self) -> bool {
        self.0.is_reset.load(Ordering::Acquire)
    }

    /// Records that a request body was not read to its end, so that closing the connection discards the rest first.
    pub(crate) fn mark_body_unread(&self) {
        self.0.is_body_unread.store(true, Ordering::Release);
    }

    /// Completes [`HEAD_TIMEOUT`] after the start of the connection if its protocol is still unknown then. Otherwise it
    /// never completes.
    pub(super) async fn protocol_timeout(&self) {
        tokio::time::sleep_until(self.0.begun_at + HEAD_TIMEOUT).await;
        if self.0.is_http1.load(Ordering::Acquire) || self.read() >= MAX_PREFACE {
            std::future::pending::<()>().await;
        }
    }

    fn read(&self) -> usize {
        self.0.read.load(Ordering::Acquire)
    }
}

/// The timer with which hyper limits the time for the heads of HTTP/1 requests. Allows [`IDLE_TIMEOUT`] until the first
/// byte of the next head, and [`HEAD_TIMEOUT`] from this byte on.
#[derive(Clone, Debug)]
pub(super) struct HeadTimer(pub(super) Connection);

impl Timer for HeadTimer {
    /// Ignores `duration`, as [`Self::sleep_until`] ignores its deadline.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(std::time::Instant::now() + duration)
    }

    /// hyper calls this whenever it starts to wait for a head, and for nothing else. Its deadline is ignored: the
    /// timeouts of [`HeadTimer`] apply.
    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        let connection = self.0.clone();
        // The first bytes of the first head were read already, to distinguish HTTP/1 from HTTP/2.
        let is_first = !connection.0.is_http1.swap(true, Ordering::AcqRel);
        let deadline = if is_first { connection.0.begun_at + HEAD_TIMEOUT } else { Instant::now() + IDLE_TIMEOUT };
        Box::pin(AwaitedHead {
            read_before: connection.read(),
            has_begun: is_first,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            connection,
        })
    }
}

/// The time left for receiving a head.
struct AwaitedHead {
    connection: Connection,
    /// Number of bytes that the connection had read when the wait for this head began.
    read_before: usize,
    /// True once the first byte of this head was read.
    has_begun: bool,
    timer: Pin<Box<tokio::time::Sleep>>,
}

impl Future for AwaitedHead {
    type Output = ();

    /// hyper polls this after each read that did not complete the head.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_begun && self.connection.read() != self.read_before {
            self.has_begun = true;
            self.timer.as_mut().reset(Instant::now() + HEAD_TIMEOUT);
        }
        self.timer.as_mut().poll(cx)
    }
}

impl Sleep for AwaitedHead {}

/// The byte stream of a connection.
#[derive(Debug)]
pub(crate) struct ConnectionStream {
    stream: TcpStream,
    connection: Connection,
    closing: Closing,
}

/// Progress of closing a connection.
#[derive(Debug)]
enum Closing {
    No,
    /// The sending side is closed. Bytes that the client still sends are discarded until the timer completes.
    Discarding(Pin<Box<tokio::time::Sleep>>),
    Done,
}

impl ConnectionStream {
    /// Creates the byte stream of a connection that was just accepted.
    pub(crate) fn new(stream: TcpStream) -> Self {
        let state = State {
            begun_at: Instant::now(),
            is_reset: AtomicBool::new(false),
            is_body_unread: AtomicBool::new(false),
            read: AtomicUsize::new(0),
            is_http1: AtomicBool::new(false),
        };
        Self { stream, connection: Connection(Arc::new(state)), closing: Closing::No }
    }

    /// Returns the handle that is added to each request.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns an error if the connection is to be reset, after making sure that closing the socket sends a reset.
    fn check(&self) -> io::Result<()> {
        if !self.connection.is_reset() {
            return Ok(());
        }
        self.stream.set_zero_linger()?;
        Err(ErrorKind::ConnectionReset.into())
    }

    /// Discards the bytes that the client still sends, until it stops sending.
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

impl AsyncRead for ConnectionStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.connection.0.read.fetch_add(buffer.filled().len() - before, Ordering::AcqRel);
        result
    }
}

impl AsyncWrite for ConnectionStream {
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
        // To the client, an orderly shutdown would look like a success.
        self.check()?;
        if matches!(self.closing, Closing::No) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            // Closing a socket with unread bytes sends a reset, which could reach the client before the response.
            self.closing = if self.connection.0.is_body_unread.load(Ordering::Acquire) {
                Closing::Discarding(Box::pin(tokio::time::sleep(LINGER_TIMEOUT)))
            } else {
                Closing::Done
            };
        }
        if let Closing::Discarding(limit) = &mut self.closing {
            if limit.as_mut().poll(cx).is_pending() {
                ready!(self.poll_discard(cx));
            }
            self.closing = Closing::Done;
        }
        Poll::Ready(Ok(()))
    }
}
