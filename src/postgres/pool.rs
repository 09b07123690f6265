//! Connection pool with a fair share per workspace, a limit on every wait, and replacement of lost connections.
//!
//! All database access starts here. A caller waits for a connection until shortly before its request times out, and one
//! workspace never holds all connections. A lost connection is replaced; reads and `begin` then run again on the new
//! one. If the database does not respond at all, callers get an error within a second.

use super::connection::{Connection, PgTransactions, State, is_lost, not_responding, responds};
use super::idle::{IdleConnections, OpenConnection};
use super::probe::Probe;
use super::transaction::Transaction;
use crate::config::Settings;
use crate::error::{Error, Result, Unavailable};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgConnection, PgPool, SqlSafeStr as _};
use sqlx_core::transaction::TransactionManager as _;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Timeout for getting a connection from the sqlx pool, nearly all of it for opening a new one. It is for a slow network
/// and a busy database. While the database cannot be reached at all, the probe ends the wait within a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time without a response after which the pool checks that the database responds at all.
const PROBE_AFTER: Duration = Duration::from_millis(250);

/// Idle time after which a connection is tested before it is used.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);

/// Makes the server check every second, while it runs a statement, that its client is still connected.
const SET_CLIENT_CHECK_INTERVAL: &str = "set client_connection_check_interval = 1000";

/// Planner settings: each statement is planned once and always uses indexes. Planning a statement with many array
/// parameters costs more than running it, and a plan made while the tables were small must still be right when they are
/// large. Each statement finds its rows through an index, so table statistics cannot improve a plan.
const PLANNER: [(&str, &str); 8] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // A whole index that is read once and kept is no look-up either.
    ("enable_material", "off"),
    // All pages are assumed to be in memory. Otherwise the planner prefers reading a whole index to a look-up while the
    // tables are small.
    ("random_page_cost", "0.1"),
    // The planner assigns a very high cost to disabled methods, and PostgreSQL JIT-compiles expensive plans, which
    // takes a tenth of a second.
    ("jit", "off"),
];

/// Minimum size of a pool for requests that limits the share of a workspace. In such a pool one workspace holds at most
/// three quarters of the connections.
const MIN_SHARED_CONNECTIONS: u32 = 4;

/// Number of workspace shares to store before unused ones are removed.
const MAX_SHARES: usize = 1024;

/// Limits of a connection pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Maximum number of open connections; more than 0.
    pub connections: u32,
    /// Maximum number of connections that one workspace holds; no limit if it is not less than `connections`.
    pub per_workspace: u32,
    /// Maximum time that a caller waits for a place in the share of its workspace, and again for a connection. Also the
    /// maximum duration of a statement.
    pub wait: Duration,
    /// Maximum time that a statement waits for a lock.
    pub lock_wait: Duration,
}

impl PoolLimits {
    /// Returns the limits for the requests of a server with these settings. The wait limits are slightly shorter than
    /// the request timeout, so that the error says what the request was waiting for.
    pub fn of(settings: &Settings) -> Self {
        let Settings { database_connections: connections, request_timeout, .. } = *settings;
        let wait = request_timeout.saturating_sub((request_timeout / 10).min(Duration::from_secs(1)));
        let is_shared = connections >= MIN_SHARED_CONNECTIONS;
        let per_workspace = if is_shared { connections / 4 * 3 } else { connections };
        Self { connections, per_workspace, wait, lock_wait: wait }
    }
}

/// Connection pool; cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Opens and closes connections.
    connections: PgPool,
    idle: Arc<IdleConnections>,
    /// See [`Pool::raw`].
    raw: OnceLock<PgPool>,
    limits: PoolLimits,
    /// One permit for each connection.
    slots: Arc<Semaphore>,
    /// Share of each workspace that uses a connection or waits for one; other entries are dead and removed later.
    shares: Mutex<HashMap<Uuid, Weak<Semaphore>>>,
    probe: Arc<Probe>,
}

impl Pool {
    /// Creates a pool that connects on first use.
    pub(super) fn lazy(options: PgConnectOptions, probe: Arc<Probe>, limits: PoolLimits) -> Self {
        // Set after connecting: the pools share `options` with the probe, and PgBouncer rejects settings in the start-up
        // message.
        let (wait, lock_wait) = (limits.wait.as_millis(), limits.lock_wait.as_millis());
        let mut settings = format!(
            "set lock_timeout = {lock_wait}; set statement_timeout = {wait}; set idle_in_transaction_session_timeout = 300000"
        );
        for (name, value) in PLANNER {
            // Writing to a string cannot fail.
            let _ = write!(settings, "; set {name} = {value}");
        }
        let connections = PgPoolOptions::new()
            .max_connections(limits.connections)
            .acquire_timeout(CONNECT_TIMEOUT)
            .test_before_acquire(false)
            // For connections that have not been used for long: a new one is not tested.
            .before_acquire(|connection, _| Box::pin(async move { Ok(responds(connection).await) }))
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move {
                    connection.execute(sqlx::AssertSqlSafe(settings)).await?;
                    // If the operating system cannot detect a disconnected client, statements of such clients end by
                    // their timeout.
                    if let Err(error) = connection.execute(SET_CLIENT_CHECK_INTERVAL).await {
                        tracing::debug!(%error, "the database cannot detect disconnected clients");
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        Self(Arc::new(Inner {
            connections,
            idle: Arc::default(),
            raw: OnceLock::new(),
            limits,
            slots: Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(usize::MAX >> 4))),
            shares: Mutex::default(),
            probe,
        }))
    }

    /// Returns a pool with other connections to the same database, without shares, retries and limits: for tests.
    pub fn raw(&self) -> &PgPool {
        self.0.raw.get_or_init(|| {
            let options = self.0.connections.connect_options().as_ref().clone();
            PgPoolOptions::new().max_connections(MIN_SHARED_CONNECTIONS).connect_lazy_with(options)
        })
    }

    /// Closes all connections of the pool.
    pub async fn close(&self) {
        self.0.idle.close();
        self.0.connections.close().await;
    }

    /// Returns the number of connections in use and the maximum number of connections.
    pub fn in_use(&self) -> (usize, usize) {
        let maximum = usize::try_from(self.0.limits.connections).unwrap_or(usize::MAX);
        (maximum.saturating_sub(self.0.slots.available_permits()), maximum)
    }

    /// Returns true if the database responds. The result is cached for a quarter of a second.
    pub async fn is_responding(&self) -> bool {
        !self.0.connections.is_closed() && self.0.probe.is_responding().await
    }

    /// Returns a reader whose connections count against the share of this workspace. The nil UUID is for statements
    /// that belong to no single workspace.
    pub fn for_workspace(&self, workspace_id: Uuid) -> Reader<'_> {
        Reader { pool: self, workspace_id }
    }

    /// Acquires a connection within the share of a workspace.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] if no connection became free in time, and the error of [`not_responding`] if the
    /// database does not respond.
    async fn acquire(&self, workspace_id: Uuid) -> sqlx::Result<Connection> {
        let share = match self.share(workspace_id) {
            Some(share) => Some(self.permit(share).await?),
            None => None,
        };
        let permit = self.permit(Arc::clone(&self.0.slots)).await?;
        // Boxed, because the futures are large and a part of each handler.
        let open = match self.0.idle.pop() {
            Some(idle) if idle.used_at.elapsed() < TEST_AFTER_IDLE => idle.open,
            Some(idle) => Box::pin(self.tested_or_new(idle.open)).await?,
            None => Box::pin(self.open()).await?,
        };
        let idle = Arc::clone(&self.0.idle);
        Ok(Connection { open: Some(open), idle, permits: Some((share, permit)), state: State::InUse })
    }

    /// Returns this connection, or the next idle one, or a new one: the first that responds.
    async fn tested_or_new(&self, mut open: OpenConnection) -> sqlx::Result<OpenConnection> {
        loop {
            if responds(&mut open.connection).await {
                return Ok(open);
            }
            open.connection.close_on_drop();
            match self.0.idle.pop() {
                Some(next) => open = next.open,
                None => return Box::pin(self.open()).await,
            }
        }
    }

    /// Opens a connection, or takes one that has not been used for long.
    async fn open(&self) -> sqlx::Result<OpenConnection> {
        #[expect(clippy::disallowed_methods, reason = "`acquire` is the replacement")]
        let acquired = self.while_responding(Box::pin(self.0.connections.acquire())).await;
        let connection = acquired.unwrap_or_else(|| Err(not_responding())).map_err(|error| match error {
            // There is a permit for each connection, so only opening the connection can have timed out.
            sqlx::Error::PoolTimedOut => not_responding(),
            error => error,
        })?;
        Ok(OpenConnection { connection, since: Instant::now() })
    }

    /// Runs several read statements on one connection, within the share of a workspace. Runs `read` again on another
    /// connection if the connection was lost.
    ///
    /// # Errors
    /// [`Unavailable`] if no connection became free in time or the database does not respond, and the errors of `read`.
    pub async fn read<T>(
        &self,
        workspace_id: Uuid,
        read: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T>>,
    ) -> Result<T> {
        let is_lost = |error: &Error| matches!(error, Error::Unavailable(Unavailable::DatabaseUnreachable));
        self.run_with_retry(workspace_id, is_lost, read).await
    }

    /// Runs the closure on a connection, and again on another one if the connection was lost. The number of retries is
    /// limited by the size of the pool, since each of its connections may be lost.
    pub(super) async fn run_with_retry<T, E: From<sqlx::Error>>(
        &self,
        workspace_id: Uuid,
        is_lost: impl Fn(&E) -> bool,
        read: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>>,
    ) -> Result<T, E> {
        let mut lost = 0;
        loop {
            let mut connection = self.acquire(workspace_id).await?;
            let result = self.while_responding(read(&mut connection)).await;
            match result {
                None => {
                    connection.discard();
                    return Err(not_responding().into());
                }
                Some(Err(error)) if is_lost(&error) => {
                    connection.discard();
                    if lost > self.0.limits.connections {
                        return Err(error);
                    }
                    lost += 1;
                }
                Some(Ok(result)) => {
                    connection.done();
                    return Ok(result);
                }
                // Dropped in use: messages may be unread.
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// Begins a transaction, which is rolled back unless it is committed. A lost connection is replaced, since no
    /// statement of the transaction has been sent.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] if no connection became free in time, and the error of [`not_responding`] if the
    /// database does not respond.
    pub async fn begin(&self, workspace_id: Uuid) -> sqlx::Result<Transaction> {
        self.begin_by(workspace_id, None).await
    }

    /// Begins a transaction like [`Pool::begin`], and runs a first statement in it. Both is one message. The statement
    /// has no parameters, and its rows are not returned.
    ///
    /// # Errors
    /// The errors of [`Pool::begin`] and of the statement.
    pub async fn begin_with(&self, workspace_id: Uuid, statement: &str) -> sqlx::Result<Transaction> {
        self.begin_by(workspace_id, Some(format!("begin; {statement}"))).await
    }

    /// Begins a transaction by these statements, or by the usual one.
    async fn begin_by(&self, workspace_id: Uuid, statements: Option<String>) -> sqlx::Result<Transaction> {
        let statements = statements.map(|statements| sqlx::AssertSqlSafe(statements).into_sql_str());
        let mut lost = 0;
        loop {
            let mut connection = self.acquire(workspace_id).await?;
            connection.state = State::MustClose;
            let begun = self.while_responding(PgTransactions::begin(&mut connection, statements.clone())).await;
            match begun.unwrap_or_else(|| Err(not_responding())) {
                Ok(()) => {
                    connection.state = State::InUse;
                    return Ok(Transaction::new(connection));
                }
                Err(error) if is_lost(&error) && lost <= self.0.limits.connections => lost += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for `work` as long as the database responds to the probe; returns `None` if it does not.
    async fn while_responding<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(PROBE_AFTER, &mut work).await {
                return Some(done);
            }
            tokio::select! {
                done = &mut work => return Some(done),
                responds = self.0.probe.is_responding() => if !responds {
                    return None;
                }
            }
        }
    }

    /// Waits for a permit, at most for [`PoolLimits::wait`] and only while the database responds.
    async fn permit(&self, semaphore: Arc<Semaphore>) -> sqlx::Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&semaphore).try_acquire_owned() {
            return Ok(permit);
        }
        let acquired = tokio::time::timeout(self.0.limits.wait, self.while_responding(semaphore.acquire_owned())).await;
        let permit = acquired.map_err(|_| sqlx::Error::PoolTimedOut)?.ok_or_else(not_responding)?;
        permit.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// Returns the semaphore that limits a workspace to its share of the connections; `None` if there is no limit.
    fn share(&self, workspace_id: Uuid) -> Option<Arc<Semaphore>> {
        let limits = self.0.limits;
        if limits.per_workspace >= limits.connections {
            return None;
        }
        let mut shares = self.0.shares.lock();
        if let Some(share) = shares.get(&workspace_id).and_then(Weak::upgrade) {
            return Some(share);
        }
        if shares.len() >= MAX_SHARES {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share_size = usize::try_from(limits.per_workspace).unwrap_or(usize::MAX >> 4);
        let share = Arc::new(Semaphore::new(share_size));
        shares.insert(workspace_id, Arc::downgrade(&share));
        Some(share)
    }
}

/// Executor for single read statements. Runs a statement again on another connection if the connection was lost.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    pool: &'a Pool,
    workspace_id: Uuid,
}

impl Reader<'_> {
    /// Runs the closure on a connection, and again on another one if the connection was lost. The number of retries is
    /// limited by the size of the pool, since each of its connections may be lost.
    pub(super) async fn run_with_retry<T>(
        &self,
        read: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        self.pool.run_with_retry(self.workspace_id, is_lost, read).await
    }
}
