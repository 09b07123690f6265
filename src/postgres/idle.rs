//! Idle connections of a pool, the last used one first.
//!
//! The pool of sqlx opens and closes connections, but does not lend them for single statements: it sends a ping in a task
//! of its own whenever a connection is returned, which is a second round trip for each read, and it lends its connections
//! in turn, so that each statement meets a process of PostgreSQL that has nothing in the caches of a core.

use parking_lot::Mutex;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use std::time::{Duration, Instant};

/// Time after which a connection that was not needed goes back to the pool of sqlx, which closes it later.
const KEEP_IDLE: Duration = Duration::from_mins(1);

/// Idle connections of a pool.
#[derive(Debug, Default)]
pub(super) struct IdleConnections(Mutex<Stack>);

#[derive(Debug, Default)]
struct Stack {
    /// Each connection with the instant of its last use, which are in ascending order.
    connections: Vec<(PoolConnection<Postgres>, Instant)>,
    is_closed: bool,
}

impl IdleConnections {
    /// Removes the connection that was used last, and returns it with the time since then.
    pub(super) fn pop(&self) -> Option<(PoolConnection<Postgres>, Duration)> {
        let (connection, used_at) = self.0.lock().connections.pop()?;
        Some((connection, used_at.elapsed()))
    }

    /// Adds a connection that can be used again.
    pub(super) fn push(&self, connection: PoolConnection<Postgres>) {
        let mut stack = self.0.lock();
        if stack.is_closed {
            return;
        }
        let now = Instant::now();
        stack.connections.push((connection, now));
        // One of them at a time is enough: connections are pushed more often than they become idle.
        if stack.connections.first().is_some_and(|(_, used_at)| now.duration_since(*used_at) > KEEP_IDLE) {
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
        for (connection, _) in self.0.get_mut().connections.drain(..) {
            drop(connection.detach());
        }
    }
}
