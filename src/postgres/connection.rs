//! Connection in use, with its clean-up when it is dropped.

use super::idle::{IdleConnections, OpenConnection};
use crate::error::Unavailable;
use sqlx::{Connection as _, PgConnection, Postgres};
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Timeout of the ping that shows that a connection can be used again: after its request ended in the middle of a
/// statement, or after it was idle.
const CONNECTION_CHECK_TIMEOUT: Duration = Duration::from_millis(200);

/// sqlx transaction manager of PostgreSQL: begins, commits and rolls back.
pub(super) type PgTransactions = <Postgres as sqlx::Database>::TransactionManager;

/// Returns the error for a database that does not respond.
pub(super) fn not_responding() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database does not answer"))
}

/// Returns true if the connection is lost, and with it all uncommitted changes. False for [`not_responding`]: another
/// connection to the same database would not respond either, so a retry is useless.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    let does_not_answer = matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut);
    !does_not_answer && Unavailable::of(error) == Some(Unavailable::DatabaseUnreachable)
}

/// Returns true if the connection can be used: it responds to a ping within [`CONNECTION_CHECK_TIMEOUT`]. The ping also
/// sends a rollback that is queued.
pub(super) async fn responds(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(CONNECTION_CHECK_TIMEOUT, connection.ping()).await, Ok(Ok(())))
}

/// State of a connection, which determines how `drop` returns it to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A statement may still be running.
    InUse,
    /// sqlx may not know whether a transaction is open, so it cannot reset the connection. It is closed.
    MustClose,
    /// Idle.
    Done,
}

/// Connection in use, with its pool permits.
#[derive(Debug)]
pub(super) struct Connection {
    /// `None` only after `drop`.
    pub(super) open: Option<OpenConnection>,
    /// Idle connections of the pool, to which the connection returns.
    pub(super) idle: Arc<IdleConnections>,
    /// Permit of the workspace's share (`None` if the pool is too small for shares), and permit of the pool. The outer
    /// `Option` is `None` only after `drop`.
    pub(super) permits: Option<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit)>,
    pub(super) state: State,
}

impl Connection {
    /// Returns the connection to the pool as idle.
    pub(super) fn done(mut self) {
        self.state = State::Done;
    }

    /// Closes the connection instead of returning it to the pool.
    pub(super) fn discard(mut self) {
        self.state = State::MustClose;
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "`open` is `None` only after `drop`")]
    fn deref(&self) -> &PgConnection {
        &self.open.as_ref().expect("a connection that is in use").connection
    }
}

impl DerefMut for Connection {
    #[expect(clippy::expect_used, reason = "`open` is `None` only after `drop`")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.open.as_mut().expect("a connection that is in use").connection
    }
}

impl Drop for Connection {
    /// Returns the connection to the pool. A request can end at any moment, since its client may disconnect. A
    /// connection that is still busy after a short wait is closed; PostgreSQL checks every second, while it runs a
    /// statement, whether the connection is still open, and otherwise cancels the statement. The permits are held until
    /// the short wait is over.
    fn drop(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        match self.state {
            State::Done => self.idle.push(open),
            State::MustClose => open.connection.close_on_drop(),
            State::InUse => {
                let (permits, idle) = (self.permits.take(), Arc::clone(&self.idle));
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move {
                        if responds(&mut open.connection).await {
                            idle.push(open);
                        } else {
                            open.connection.close_on_drop();
                        }
                        drop(permits);
                    });
                } else {
                    open.connection.close_on_drop();
                }
            }
        }
    }
}
