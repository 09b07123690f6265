//! Idle connections of a pool, the last used one first.
//!
//! The pool of sqlx only opens and closes the connections. It sends a ping whenever a connection is returned, which is a
//! second round trip for each read. It also lends its connections in turn, and a PostgreSQL process that was not used for a
//! while is slower: the caches of the core no longer contain its memory.

use parking_lot::Mutex;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use std::time::{Duration, Instant};

/// Time after which a connection that was not needed goes back to the pool of sqlx, which closes it later: one of them
/// whenever another connection becomes idle. A pool that is not used keeps its connections.
const KEEP_IDLE: Duration = Duration::from_mins(1);

/// Age from which a connection goes back to the pool of sqlx, which closes connections that are older than 30 minutes. The
/// caches of its process grow, and the address of the database may have changed.
const MAX_AGE: Duration = Duration::from_mins(31);

/// An open connection.
#[derive(Debug)]
pub(super) struct OpenConnection {
    pub(super) connection: PoolConnection<Postgres>,
    /// Instant at which the pool of sqlx lent it.
    pub(super) since: Instant,
}

/// An open connection that is not in use.
#[derive(Debug)]
pub(super) struct IdleConnection {
    pub(super) open: OpenConnection,
    /// End of its last use.
    pub(super) used_at: Instant,
}

/// Idle connections of a pool.
#[derive(Debug, Default)]
pub(super) struct IdleConnections(Mutex<Stack>);

#[derive(Debug, Default)]
struct Stack {
    /// In the order of their last use.
    connections: Vec<IdleConnection>,
    is_closed: bool,
}

impl IdleConnections {
    /// Removes and returns the connection that was used last.
    pub(super) fn pop(&self) -> Option<IdleConnection> {
        self.0.lock().connections.pop()
    }

    /// Adds a connection that can be used again. Nothing of its statements is unread.
    pub(super) fn push(&self, open: OpenConnection) {
        let mut stack = self.0.lock();
        if stack.is_closed || open.since.elapsed() > MAX_AGE {
            return;
        }
        stack.connections.push(IdleConnection { open, used_at: Instant::now() });
        if stack.connections.first().is_some_and(|first| first.used_at.elapsed() > KEEP_IDLE) {
            drop(stack.connections.remove(0));
        }
    }

    /// Gives all connections back to the pool of sqlx, also those that are pushed later.
    pub(super) fn close(&self) {
        let mut stack = self.0.lock();
        stack.is_closed = true;
        stack.connections.clear();
    }
}

impl Drop for IdleConnections {
    /// Closes the connections without sqlx, which needs a runtime for it: there may be none any more.
    fn drop(&mut self) {
        for idle in self.0.get_mut().connections.drain(..) {
            drop(idle.open.connection.detach());
        }
    }
}
