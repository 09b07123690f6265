//! The pool of connections: fair shares of it, limits on every wait, and connections that were lost.
//!
//! Every use of the database begins here. A caller waits for a connection until shortly before its request's time-out,
//! and one workspace never has all connections. A connection that was found dead before anything was asked on it is
//! replaced. While the database does not answer at all, callers are told so within a second.

use super::connection::{CONNECTION_CHECK_TIMEOUT, Connection, PgTransactions, State, is_lost, no_answer};
use super::probe::Probe;
use super::transaction::Transaction;
use crate::config::Settings;
use crate::error::{Error, Result, Unavailable};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use sqlx_core::transaction::TransactionManager as _;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// How long a new connection may take, and the answer to `begin`: callers learn within a second that the database is away.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);

/// After this long without an answer the database is asked whether it answers at all.
const PROBE_AFTER: Duration = Duration::from_millis(250);

/// A connection that lay unused for so long is asked whether it lives before it is used.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Has the server look every second whether its client is still there while it works on a statement.
const SET_CLIENT_CHECK_INTERVAL: &str = "set client_connection_check_interval = 1000";

/// From this many connections on, one workspace holds at most three quarters of them.
const MIN_SHARED_CONNECTIONS: u32 = 4;

/// How many workspaces' shares are kept before unused ones are forgotten.
const MAX_SHARES: usize = 1024;

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// How many connections it opens at most; more than 0.
    pub connections: u32,
    /// How long a caller waits for a connection, and a statement for its end.
    pub wait: Duration,
    /// How long a statement waits for a lock.
    pub lock_wait: Duration,
}

impl PoolLimits {
    /// Limits for the requests of a server with these settings. They wait a little less than they may take for a connection
    /// or for a lock, so that the caller is told what it waited for.
    pub fn of(settings: &Settings) -> Self {
        let Settings { database_connections: connections, request_timeout, .. } = *settings;
        let wait = request_timeout.saturating_sub((request_timeout / 10).min(Duration::from_secs(1)));
        Self { connections, wait, lock_wait: wait }
    }
}

/// A pool of connections; cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connections: PgPool,
    limits: PoolLimits,
    all: Arc<Semaphore>,
    shares: Mutex<HashMap<Uuid, Weak<Semaphore>>>,
    probe: Arc<Probe>,
}

impl Pool {
    /// A pool that connects when it is used.
    pub(super) fn lazy(options: PgConnectOptions, probe: Arc<Probe>, limits: PoolLimits) -> Self {
        // Within the session, and not as start-up parameters, which a connection pooler in between may refuse.
        let (wait, lock_wait) = (limits.wait.as_millis(), limits.lock_wait.as_millis());
        let settings = format!(
            "set lock_timeout = {lock_wait}; set statement_timeout = {wait}; set idle_in_transaction_session_timeout = 300000"
        );
        let connections = PgPoolOptions::new()
            .max_connections(limits.connections)
            .acquire_timeout(CONNECT_TIMEOUT)
            // Asking each time costs a round trip.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for < PROBE_INTERVAL {
                        return Ok(true);
                    }
                    Ok(matches!(tokio::time::timeout(CONNECTION_CHECK_TIMEOUT, connection.ping()).await, Ok(Ok(()))))
                })
            })
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move {
                    connection.execute(sqlx::AssertSqlSafe(settings)).await?;
                    // Where the system cannot tell the server that its client has gone, statements end by their time-out.
                    if let Err(error) = connection.execute(SET_CLIENT_CHECK_INTERVAL).await {
                        tracing::debug!(%error, "the database does not notice at once when a client has gone");
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        Self(Arc::new(Inner {
            connections,
            limits,
            all: Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(usize::MAX >> 4))),
            shares: Mutex::default(),
            probe,
        }))
    }

    /// The connections themselves, without shares and retries: for start-up and tests.
    pub fn raw(&self) -> &PgPool {
        &self.0.connections
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.0.connections.close().await;
    }

    /// How many connections are in use, and how many there can be.
    pub fn in_use(&self) -> (usize, usize) {
        let all = usize::try_from(self.0.limits.connections).unwrap_or(usize::MAX);
        (all.saturating_sub(self.0.all.available_permits()), all)
    }

    /// Whether the database answers, as of the last quarter of a second.
    pub async fn answers(&self) -> bool {
        !self.0.connections.is_closed() && self.0.probe.answers().await
    }

    /// Reads for a workspace; the workspace without an id stands for all that is not one's.
    pub fn of(&self, workspace_id: Uuid) -> Reader<'_> {
        Reader { pool: self, workspace_id }
    }

    /// A connection for a workspace.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] where none became free in time, and that of a database that does not answer.
    async fn acquire(&self, workspace_id: Uuid) -> sqlx::Result<Connection> {
        let share = match self.share(workspace_id) {
            Some(share) => Some(self.permit(share).await?),
            None => None,
        };
        let permit = self.permit(Arc::clone(&self.0.all)).await?;
        #[expect(clippy::disallowed_methods, reason = "this is what is used instead")]
        let inner = self.0.connections.acquire().await.map_err(|error| match error {
            // There is a permit for each connection, so what took too long was to connect.
            sqlx::Error::PoolTimedOut => no_answer(),
            error => error,
        })?;
        Ok(Connection { inner: Some(inner), permits: Some((share, permit)), state: State::InUse })
    }

    /// Reads for a workspace in several statements on one connection; asks again where the connection turns out to be dead.
    ///
    /// # Errors
    /// [`Unavailable`] where no connection became free in time or the database does not answer, and those of the reading.
    pub async fn read<T>(
        &self,
        workspace_id: Uuid,
        read: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T>>,
    ) -> Result<T> {
        let is_lost = |error: &Error| matches!(error, Error::Unavailable(Unavailable::DatabaseAway));
        self.ask(workspace_id, is_lost, read).await
    }

    /// Asks until a living connection is found.
    pub(super) async fn ask<T, E: From<sqlx::Error>>(
        &self,
        workspace_id: Uuid,
        is_lost: impl Fn(&E) -> bool,
        ask: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>>,
    ) -> Result<T, E> {
        let mut lost = 0;
        loop {
            let mut connection = self.acquire(workspace_id).await?;
            let answer = self.while_answering(ask(&mut connection)).await;
            match answer {
                None => {
                    connection.discard();
                    return Err(no_answer().into());
                }
                Some(Err(error)) if is_lost(&error) => {
                    connection.discard();
                    if lost > self.0.limits.connections {
                        return Err(error);
                    }
                    lost += 1;
                }
                Some(answer) => {
                    connection.done();
                    return answer;
                }
            }
        }
    }

    /// Begins a transaction, which is given up unless it is committed. A connection that turns out to be dead is
    /// replaced: nothing was asked on it yet.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] where no connection became free in time, and that of a database that does not answer.
    pub async fn begin(&self, workspace_id: Uuid) -> sqlx::Result<Transaction> {
        let mut lost = 0;
        loop {
            let mut connection = self.acquire(workspace_id).await?;
            connection.state = State::Unknown;
            let begun = self.while_answering(PgTransactions::begin(&mut connection, None)).await;
            match begun.unwrap_or_else(|| Err(no_answer())) {
                Ok(()) => {
                    connection.state = State::InUse;
                    return Ok(Transaction::new(connection));
                }
                Err(error) if is_lost(&error) && lost <= self.0.limits.connections => lost += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for something that the database does, as long as the database answers others. `None`: it does not.
    async fn while_answering<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(PROBE_AFTER, &mut work).await {
                return Some(done);
            }
            tokio::select! {
                done = &mut work => return Some(done),
                answers = self.0.probe.answers() => if !answers {
                    return None;
                }
            }
        }
    }

    async fn permit(&self, of: Arc<Semaphore>) -> sqlx::Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&of).try_acquire_owned() {
            return Ok(permit);
        }
        let waited = tokio::time::timeout(self.0.limits.wait, self.while_answering(of.acquire_owned())).await;
        let permit = waited.map_err(|_| sqlx::Error::PoolTimedOut)?.ok_or_else(no_answer)?;
        permit.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// What limits a workspace to its share of the connections; `None`: there are too few to share.
    fn share(&self, workspace_id: Uuid) -> Option<Arc<Semaphore>> {
        if self.0.limits.connections < MIN_SHARED_CONNECTIONS {
            return None;
        }
        let mut shares = self.0.shares.lock();
        if let Some(share) = shares.get(&workspace_id).and_then(Weak::upgrade) {
            return Some(share);
        }
        if shares.len() >= MAX_SHARES {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let most = usize::try_from(self.0.limits.connections / 4 * 3).unwrap_or(usize::MAX >> 4);
        let share = Arc::new(Semaphore::new(most));
        shares.insert(workspace_id, Arc::downgrade(&share));
        Some(share)
    }
}

/// Where single statements that change nothing are executed. One that meets a dead connection is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    pool: &'a Pool,
    workspace_id: Uuid,
}

impl Reader<'_> {
    /// Asks until a living connection is found.
    pub(super) async fn ask<T>(
        &self,
        ask: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        self.pool.ask(self.workspace_id, is_lost, ask).await
    }
}
