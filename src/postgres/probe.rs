//! Probe that checks, on its own connection, that the database responds.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Maximum time for connecting and a ping together.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Time for which a result is cached. Callers that check at the same time share one result.
const CACHE_TTL: Duration = Duration::from_millis(250);

/// Checks that the database responds. Concurrent callers share one check.
#[derive(Debug)]
pub(super) struct Probe {
    options: PgConnectOptions,
    last: Mutex<Last>,
}

/// Last check: the connection that responded, to be used again, and the time and result.
#[derive(Debug, Default)]
struct Last {
    connection: Option<PgConnection>,
    outcome: Option<(Instant, bool)>,
}

impl Probe {
    /// Creates a probe. It pings on `connection`, or opens one at the first check.
    pub(super) fn new(options: PgConnectOptions, connection: Option<PgConnection>) -> Self {
        Self { options, last: Mutex::new(Last { connection, outcome: None }) }
    }

    /// Returns true if the database responds. The result is at most [`CACHE_TTL`] old.
    pub(super) async fn is_responding(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, is_responding)) = last.outcome
            && at.elapsed() < CACHE_TTL
        {
            return is_responding;
        }
        let connection = last.connection.take();
        let checked = tokio::time::timeout(PROBE_TIMEOUT, self.check(connection)).await;
        last.connection = checked.unwrap_or(None);
        let is_responding = last.connection.is_some();
        last.outcome = Some((Instant::now(), is_responding));
        is_responding
    }

    /// Pings the database on this connection, or on a new one if it is lost. Returns the connection that responded.
    async fn check(&self, connection: Option<PgConnection>) -> Option<PgConnection> {
        if let Some(mut connection) = connection
            && connection.ping().await.is_ok()
        {
            return Some(connection);
        }
        let mut connection = self.options.connect().await.ok()?;
        connection.ping().await.ok()?;
        Some(connection)
    }
}
