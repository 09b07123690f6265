//! The listener: accepts connections, serves HTTP/1 and HTTP/2 on them, and closes them when the server stops.

use super::connection::{Connection, ConnectionStream, HEAD_TIMEOUT, HeadTimer};
use super::head;
use super::local_wakes::LocalWakes;
use crate::stop::Stop;
use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Maximum time for running requests to finish when the server stops.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Idle time after which an HTTP/2 connection is pinged, to check that its client is still there.
const PING_AFTER: Duration = Duration::from_secs(10);

/// Timeout for the reply to a ping.
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// Pause before the next accept if the system has no file descriptors or memory for another connection.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Minimum interval between two log lines about failed accepts.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Serves connections until the server stops. Then cancels `stopping`, which ends the streams of the control plane and
/// the delays of HTTP faults. Closes idle connections and lets running requests finish, for at most [`SHUTDOWN_GRACE`],
/// or until `stop.immediate` is cancelled. Drops the connections that remain.
pub(crate) async fn serve(listener: TcpListener, router: Router, stopping: &CancellationToken, stop: &Stop) {
    let tasks = Tasks { tracker: TaskTracker::new(), cut: CancellationToken::new() };
    // The state is applied once, not for every request.
    let router = TowerToHyperService::new(router.with_state::<()>(()));
    let mut accepting = Accepting { listener, logged_at: None };
    loop {
        let stream = tokio::select! {
            () = stop.graceful.cancelled() => break,
            stream = accepting.next() => stream,
        };
        let wire = ConnectionStream::new(stream);
        let service = ConnectionService { router: router.clone(), connection: wire.connection().clone() };
        tasks.execute(serve_connection(wire, service, tasks.clone(), stopping.clone()));
    }
    drop(accepting);
    stopping.cancel();
    tasks.tracker.close();
    tokio::select! {
        () = tasks.tracker.wait() => return,
        () = tokio::time::sleep(SHUTDOWN_GRACE) => {}
        () = stop.immediate.cancelled() => {}
    }
    tracing::warn!(connections = tasks.tracker.len(), "stopped before all requests were finished");
    tasks.cut.cancel();
    tasks.tracker.wait().await;
}

/// The source of new connections.
struct Accepting {
    listener: TcpListener,
    logged_at: Option<Instant>,
}

impl Accepting {
    /// Returns the next connection. Retries after errors.
    async fn next(&mut self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) if is_connection_error(&error) => {}
                Err(error) => {
                    self.log(&error);
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    /// Logs the error, unless the last log line is more recent than [`LOG_EVERY`].
    fn log(&mut self, error: &io::Error) {
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.logged_at = Some(Instant::now());
            tracing::error!(%error, "cannot accept a connection; retrying");
        }
    }
}

/// Returns true if only one connection failed, and not the listener.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// The tasks that serve connections, also those that hyper spawns for HTTP/2 requests, and a token that cancels all of
/// them.
#[derive(Clone, Debug)]
struct Tasks {
    tracker: TaskTracker,
    cut: CancellationToken,
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.tracker.spawn(self.cut.clone().run_until_cancelled_owned(LocalWakes::new(task)));
    }
}

/// The router for one connection. Adds a handle to the connection to each request.
#[derive(Clone, Debug)]
struct ConnectionService {
    router: TowerToHyperService<Router>,
    connection: Connection,
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.connection.clone());
        self.router.call(request)
    }
}

/// Serves the requests of one connection until its end.
async fn serve_connection(
    wire: ConnectionStream,
    service: ConnectionService,
    tasks: Tasks,
    stopping: CancellationToken,
) {
    let connection = wire.connection().clone();
    let mut builder = auto::Builder::new(tasks);
    let mut http1 = builder.http1();
    http1.timer(HeadTimer(connection.clone())).header_read_timeout(HEAD_TIMEOUT).max_headers(head::MAX_PARSED_HEADERS);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_header_list_size(head::MAX_PARSED_HEAD);
    http2.keep_alive_interval(PING_AFTER).keep_alive_timeout(PONG_WITHIN);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(wire), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = connection.protocol_timeout() => return,
        () = stopping.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // Only a debug line: clients may close their connections at any time.
        tracing::debug!(%error, "a connection ended");
    }
}
