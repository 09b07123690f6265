//! A connection in use, and what becomes of it afterwards.

use crate::error::Unavailable;
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, Postgres};
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How long a connection whose request ended in the middle of a statement may take to become ready again.
pub(super) const CONNECTION_CHECK_TIMEOUT: Duration = Duration::from_millis(200);

/// How transactions begin and end on a connection.
pub(super) type PgTransactions = <Postgres as sqlx::Database>::TransactionManager;

/// The error of a database that does not answer.
pub(super) fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database does not answer"))
}

/// Whether a connection is gone, and with it whatever was not committed on it.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    let does_not_answer = matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut);
    !does_not_answer && Unavailable::of(error) == Some(Unavailable::DatabaseAway)
}

/// What a connection is doing when it is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Perhaps in the middle of a statement.
    InUse,
    /// Nothing that sqlx would know how to end: it is closed.
    Unknown,
    /// Nothing.
    Done,
}

/// A connection in use, and the right to use it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) inner: Option<PoolConnection<Postgres>>,
    pub(super) permits: Option<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit)>,
    pub(super) state: State,
}

impl Connection {
    /// Notes that nothing is under way on it any more.
    pub(super) fn done(mut self) {
        self.state = State::Done;
    }

    /// Closes it: it is not to be used again.
    pub(super) fn discard(mut self) {
        self.state = State::Unknown;
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "it is taken when this is dropped")]
    fn deref(&self) -> &PgConnection {
        self.inner.as_ref().expect("a connection that is in use")
    }
}

impl DerefMut for Connection {
    #[expect(clippy::expect_used, reason = "it is taken when this is dropped")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.inner.as_mut().expect("a connection that is in use")
    }
}

impl Drop for Connection {
    /// Gives the connection back. A request may end at any moment, since its client may hang up: a connection that is
    /// still busy is closed, and the server, which looks for its client every second, gives the statement up. Until then
    /// it counts as in use.
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take() else { return };
        match self.state {
            State::Done => {}
            State::Unknown => inner.close_on_drop(),
            State::InUse => {
                let permits = self.permits.take();
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move {
                        let ready = tokio::time::timeout(CONNECTION_CHECK_TIMEOUT, inner.ping()).await;
                        if !matches!(ready, Ok(Ok(()))) {
                            inner.close_on_drop();
                        }
                        drop(inner);
                        drop(permits);
                    });
                } else {
                    inner.close_on_drop();
                }
            }
        }
    }
}
