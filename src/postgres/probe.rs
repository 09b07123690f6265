//! Whether the database answers, asked on a connection of its own.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long connecting and a trivial statement may take in all.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// For how long an answer is good: who asks at the same time asks once.
const CACHE_TTL: Duration = Duration::from_millis(250);

/// Asks the database whether it answers; any number of callers share one question.
#[derive(Debug)]
pub(super) struct Probe {
    options: PgConnectOptions,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    connection: Option<PgConnection>,
    answer: Option<(Instant, bool)>,
}

impl Probe {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, last: Mutex::default() }
    }

    /// Whether the database answers, as of a moment ago at the most.
    pub(super) async fn answers(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, answers)) = last.answer
            && at.elapsed() < CACHE_TTL
        {
            return answers;
        }
        let connection = last.connection.take();
        let asked = tokio::time::timeout(PROBE_TIMEOUT, self.ask(connection)).await;
        last.connection = asked.unwrap_or(None);
        let answers = last.connection.is_some();
        last.answer = Some((Instant::now(), answers));
        answers
    }

    /// Asks on this connection, or on a new one where it is dead. Gives the connection that got an answer.
    async fn ask(&self, connection: Option<PgConnection>) -> Option<PgConnection> {
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
