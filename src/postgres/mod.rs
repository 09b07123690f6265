//! Connection to the database: an external server or a private one, with its schema migrations.

mod connection;
mod fold;
mod idle;
mod pool;
pub(crate) mod private;
mod probe;
mod reader;
mod transaction;

pub(crate) use pool::Pool;
pub use pool::PoolLimits;
pub use transaction::Transaction;

use crate::config::Config;
use private::{Download, Durability, Options, PrivatePostgres, StartError};
use probe::Probe;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection, Row as _};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Database server in use.
#[derive(Debug)]
pub enum Database {
    /// External server, given by its URL.
    Named(String),
    /// Private server, started and stopped by this process.
    Private(PrivatePostgres),
}

/// Reason why the database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The private server did not start.
    #[error(transparent)]
    Private(#[from] StartError),
    /// The URL does not have the scheme of a PostgreSQL URL.
    #[error(
        "{0}:// is not a PostgreSQL address: set DATABASE_URL to postgres://user:password@host:5432/database, or \
         unset it to use a private PostgreSQL"
    )]
    Scheme(String),
    /// The URL is malformed, or the connection failed.
    #[error("cannot use the database: {0}")]
    Connect(#[from] sqlx::Error),
    /// The connection was accepted, but no statement ran on it.
    #[error(
        "the database accepted the connection, but ran no statement within {} s: if PgBouncer is in front of it, raise its \
         default_pool_size to the number of connections of all servers",
        FIRST_STATEMENT_TIMEOUT.as_secs()
    )]
    NoSession,
    /// A connection pooler is in transaction mode.
    #[error(
        "the connection pooler of DATABASE_URL gives each transaction another session, and Latchkey needs a session: \
         set pool_mode = session for this database in PgBouncer, or use the address of the PostgreSQL itself"
    )]
    TransactionPooling,
    /// A migration failed, or the schema has migrations that this program does not have.
    #[error(
        "cannot migrate the database: {0}. If a newer version of Latchkey created it, use that version, or another \
         database."
    )]
    Migrate(#[from] MigrateError),
}

impl Database {
    /// Returns the external server of the configuration; starts a private one if none is configured. Its programs are
    /// downloaded if there are none, unless `cancelled` ends that.
    ///
    /// # Errors
    /// The private server did not start.
    pub fn open(config: &Config, cancelled: CancellationToken) -> Result<Self, DatabaseError> {
        if let Some(url) = &config.database_url {
            return Ok(Self::Named(url.clone()));
        }
        Ok(Self::Private(PrivatePostgres::start(&options(config, cancelled))?))
    }

    /// Returns the URL of the server, for display and for [`connect`].
    pub fn url(&self) -> String {
        match self {
            Self::Named(url) => url.clone(),
            Self::Private(postgres) => postgres.url(),
        }
    }

    /// Waits until the private server has failed too often to be restarted, and returns the reason. Never completes for
    /// an external server, after a normal stop, and from the second call on.
    pub fn wait_until_failed(&mut self) -> impl Future<Output = String> + Send + use<> {
        let receiver = match self {
            Self::Named(_) => None,
            Self::Private(postgres) => postgres.failure_receiver(),
        };
        async move {
            match receiver {
                Some(receiver) => match receiver.await {
                    Ok(reason) => reason,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        }
    }

    /// Stops the private server. An external server is left running.
    pub fn close(self) -> std::io::Result<()> {
        match self {
            Self::Named(_) => Ok(()),
            Self::Private(postgres) => postgres.stop(),
        }
    }
}

/// Returns the start options of a private server for this configuration.
pub(crate) fn options(config: &Config, cancelled: CancellationToken) -> Options {
    Options {
        data_directory: config.data_dir.clone(),
        bin_directory: config.pg_bin_dir.clone(),
        download: Download {
            is_offline: config.offline,
            mirror: config.postgres_mirror.clone(),
            cache_directory: config.cache_dir.clone(),
            cancelled,
        },
        durability: if config.ephemeral { Durability::Temporary } else { Durability::Persistent },
    }
}

/// State of an external database, as read by `latchkey doctor`.
#[derive(Debug)]
pub(crate) struct Found {
    /// Version of the server: as text, and as a number (140005 is 14.5).
    pub version: (String, i32),
    /// True if the role may create tables in the current schema.
    pub may_create: bool,
    /// Number of this program's migrations that have been applied, and their total number.
    pub migrations: (usize, usize),
    /// Version of an applied migration that this program does not have.
    pub unknown_migration: Option<i64>,
}

/// Inspects a database without changing it.
///
/// # Errors
/// The database cannot be reached within 5 seconds, or a query fails.
pub(crate) async fn inspect(url: &str) -> Result<Found, DatabaseError> {
    let options = options_of(url)?.application_name("latchkey doctor");
    let connecting = tokio::time::timeout(Duration::from_secs(5), options.connect());
    let mut connection = connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
    check_session(&mut connection, &options).await?;
    let version = sqlx::query_as(
        "select current_setting('server_version'), current_setting('server_version_num')::int,
                coalesce(has_schema_privilege(current_schema(), 'create'), false),
                to_regclass('_sqlx_migrations') is not null",
    );
    let (version, number, may_create, has_migrations): (String, i32, bool, bool) =
        version.fetch_one(&mut connection).await?;
    let run: Vec<i64> = if has_migrations {
        sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(&mut connection).await?
    } else {
        Vec::new()
    };
    let known: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    Ok(Found {
        version: (version, number),
        may_create,
        migrations: (known.iter().filter(|version| run.contains(version)).count(), known.len()),
        unknown_migration: run.into_iter().find(|version| !known.contains(version)),
    })
}

/// Maximum time to wait at start-up until the database accepts connections.
const DATABASE_START_TIMEOUT: Duration = Duration::from_secs(10);

/// Parses a database URL. Checks the scheme, which sqlx does not check.
fn options_of(url: &str) -> Result<PgConnectOptions, DatabaseError> {
    match url.split_once("://") {
        Some((scheme, _)) if !["postgres", "postgresql"].contains(&scheme) => {
            Err(DatabaseError::Scheme(scheme.to_owned()))
        }
        // PgBouncer rejects this setting in the start-up message. Supported versions of PostgreSQL need no value.
        _ => Ok(PgConnectOptions::from_str(url)?.extra_float_digits(None)),
    }
}

/// Connects to the database and retries while it may still be starting, for at most [`DATABASE_START_TIMEOUT`]. Logs
/// one warning when it has waited longer than `WARN_AFTER`, which limits nothing.
async fn connect_patiently(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    const WARN_AFTER: Duration = Duration::from_millis(300);
    const RETRY_INTERVAL: Duration = Duration::from_millis(50);
    let started_at = std::time::Instant::now();
    let mut is_logged = false;
    loop {
        let remaining = DATABASE_START_TIMEOUT.saturating_sub(started_at.elapsed());
        let error = match tokio::time::timeout(remaining.max(RETRY_INTERVAL), options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::PoolTimedOut,
        };
        if remaining.is_zero() || !may_be_starting(&error) {
            return Err(error);
        }
        if !is_logged && started_at.elapsed() > WARN_AFTER {
            let (host, port, seconds) = (options.get_host(), options.get_port(), DATABASE_START_TIMEOUT.as_secs());
            tracing::warn!("waiting up to {seconds} s for the database at {host}:{port}");
            is_logged = true;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Returns true if the error may be temporary, because the server is starting or has no free connection slot.
fn may_be_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        // `too_many_connections` and `cannot_connect_now`.
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("53300" | "57P03")),
        _ => false,
    }
}

/// Connection pools of one server.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Pool for requests.
    pub requests: Pool,
    /// Pool for background work, which must not wait for requests: the scheduler and the removal of old rows.
    pub background: Pool,
    /// Pool for the delivery to webhooks.
    pub deliveries: Pool,
}

impl Pools {
    /// Creates pools that connect on first use. The schema of the database must be up to date.
    pub fn lazy(options: PgConnectOptions, limits: PoolLimits) -> Self {
        Self::new(options, limits, None)
    }

    /// Creates pools that connect on first use. The probe begins with an open connection, if there is one, so that slow
    /// name resolution does not look like a database that is away.
    fn new(options: PgConnectOptions, limits: PoolLimits, connection: Option<PgConnection>) -> Self {
        let probe = Arc::new(Probe::new(options.clone(), connection));
        Self {
            requests: Pool::lazy(options.clone(), Arc::clone(&probe), limits),
            background: Pool::lazy(options.clone(), Arc::clone(&probe), BACKGROUND_LIMITS),
            deliveries: Pool::lazy(options, probe, DELIVERY_LIMITS),
        }
    }

    /// Closes all connections of all pools.
    pub async fn close(&self) {
        self.requests.close().await;
        self.background.close().await;
        self.deliveries.close().await;
    }
}

/// Limits for background work. The scheduler uses up to three of the connections. The lock timeout is short: a batch that
/// waits for one lock delays all other work in it.
const BACKGROUND_LIMITS: PoolLimits =
    PoolLimits { connections: 4, per_workspace: 4, wait: Duration::from_mins(1), lock_wait: Duration::from_secs(1) };

/// Limits for the delivery to webhooks, which all webhooks of this process share. All statements on this pool are fast.
const DELIVERY_LIMITS: PoolLimits =
    PoolLimits { connections: 2, per_workspace: 2, wait: Duration::from_secs(10), lock_wait: Duration::from_secs(5) };

/// Runs the schema migrations and returns connection pools for the database.
pub async fn connect(database: &Database, limits: PoolLimits) -> Result<Pools, DatabaseError> {
    let options = options_of(&database.url())?
        .application_name("latchkey")
        // The number of different statements is fixed by the program, so each connection can keep all of them prepared.
        .statement_cache_capacity(256);
    // Migrations may take long: they run on a connection without timeouts.
    let mut connection = connect_patiently(&options).await?;
    // No connection pooler is in front of the private server.
    if matches!(database, Database::Named(_)) {
        check_session(&mut connection, &options).await?;
    }
    // Commits of migrations need not wait for the disk: what a crash could lose is run again at the next start. The
    // connection is used for nothing else that is written.
    sqlx::raw_sql("set synchronous_commit = off").execute(&mut connection).await?;
    MIGRATIONS.run(&mut connection).await?;
    Ok(Pools::new(options, limits, Some(connection)))
}

/// Maximum time to wait for the second connection of [`check_session`].
const SECOND_CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum time for the first statement. A connection pooler accepts connections also if it has no session for them.
const FIRST_STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks that the connection has a session of the database. A connection pooler may give each transaction another one:
/// a second connection then gets the session that the first one has just used. Without a second connection in time,
/// there is no such pooler.
///
/// # Errors
/// [`DatabaseError::TransactionPooling`], [`DatabaseError::NoSession`], and those of the first connection.
async fn check_session(first: &mut PgConnection, options: &PgConnectOptions) -> Result<(), DatabaseError> {
    let first_session = tokio::time::timeout(FIRST_STATEMENT_TIMEOUT, session(first));
    let first_session = first_session.await.map_err(|_| DatabaseError::NoSession)??;
    let second_session = async {
        let mut second = options.connect().await?;
        let session = session(&mut second).await?;
        sqlx::Connection::close(second).await?;
        Ok::<_, sqlx::Error>(session)
    };
    match tokio::time::timeout(SECOND_CONNECTION_TIMEOUT, second_session).await {
        Ok(Ok(second_session)) if second_session == first_session => Err(DatabaseError::TransactionPooling),
        Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
    }
}

/// Returns the process id of the session of a connection. The statement is not prepared: in a session that connections
/// share, the names of prepared statements would collide.
async fn session(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::raw_sql("select pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}
