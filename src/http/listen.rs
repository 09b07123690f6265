//! The listener: takes connections, serves HTTP/1 and HTTP/2 on them, and ends them when the server stops.

use super::connection::{Connection, HEAD_TIMEOUT, HeadTimer, Wire};
use super::head;
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

/// How long running requests may take when the server stops.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// An HTTP/2 connection on which nothing came for so long is asked whether its client is there.
const PING_AFTER: Duration = Duration::from_secs(10);

/// How long it has to answer.
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// How long accepting pauses when the system has no descriptors or memory for another connection.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How often that is logged.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Serves until it is to stop. Then idle connections are closed and running requests are finished, for at most
/// [`SHUTDOWN_GRACE`]; whatever is left after that is dropped. `stopping` is cancelled when that begins.
pub(crate) async fn serve(listener: TcpListener, router: Router, stopping: &CancellationToken, stop: &Stop) {
    let tasks = Tasks { tracker: TaskTracker::new(), cut: CancellationToken::new() };
    // Once, not with every request.
    let router = TowerToHyperService::new(router.with_state::<()>(()));
    let mut accepting = Accepting { listener, logged_at: None };
    loop {
        let stream = tokio::select! {
            () = stop.gently.cancelled() => break,
            stream = accepting.next() => stream,
        };
        let wire = Wire::new(stream);
        let service = OfConnection { router: router.clone(), connection: wire.connection().clone() };
        tasks.execute(serve_connection(wire, service, tasks.clone(), stopping.clone()));
    }
    drop(accepting);
    stopping.cancel();
    tasks.tracker.close();
    tokio::select! {
        () = tasks.tracker.wait() => return,
        () = tokio::time::sleep(SHUTDOWN_GRACE) => {}
        () = stop.at_once.cancelled() => {}
    }
    tracing::warn!(connections = tasks.tracker.len(), "stopped before all requests were done");
    tasks.cut.cancel();
    tasks.tracker.wait().await;
}

/// The stream of new connections.
struct Accepting {
    listener: TcpListener,
    logged_at: Option<Instant>,
}

impl Accepting {
    async fn next(&mut self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    self.log(&error);
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    /// Writes a line to the log, unless there was one a moment ago.
    fn log(&mut self, error: &io::Error) {
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.logged_at = Some(Instant::now());
            tracing::error!(%error, "cannot accept a connection; trying again");
        }
    }
}

/// Whether it is the connection that failed, and not accepting it.
fn concerns_one(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// What runs for connections, and an end to all of it.
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
        self.tracker.spawn(self.cut.clone().run_until_cancelled_owned(task));
    }
}

/// The router, with a handle on the connection for each request.
#[derive(Clone, Debug)]
struct OfConnection {
    router: TowerToHyperService<Router>,
    connection: Connection,
}

impl Service<Request<Incoming>> for OfConnection {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.connection.clone());
        self.router.call(request)
    }
}

/// Answers the requests of one connection until its end.
async fn serve_connection(wire: Wire, service: OfConnection, tasks: Tasks, stopping: CancellationToken) {
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
        () = connection.opening_is_overdue() => return,
        () = stopping.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // Clients leave as they like.
        tracing::debug!(%error, "a connection ended");
    }
}
