//! The database: one that is named, or a private one; connected to, and brought up to date.

mod connection;
mod pool;
pub(crate) mod private;
mod probe;
mod reader;
mod transaction;

pub(crate) use pool::Pool;
pub use pool::PoolLimits;
pub use transaction::Transaction;

use crate::config::Config;
use private::{Durability, Options, PrivatePostgres, StartError};
use probe::Probe;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Where the data is.
#[derive(Debug)]
pub enum Database {
    /// A server that somebody else runs.
    Named(String),
    /// One that lives and dies with this process.
    Private(PrivatePostgres),
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The private server did not start.
    #[error(transparent)]
    Private(#[from] StartError),
    /// The address is not one of a PostgreSQL.
    #[error(
        "{0}:// is no scheme of a PostgreSQL address: give postgres://user:password@host:5432/database as DATABASE_URL, \
         or leave it out to have a private one"
    )]
    Scheme(String),
    /// The database cannot be reached, or its address not be read.
    #[error("cannot use the database: {0}")]
    Connect(#[from] sqlx::Error),
    /// The database's schema is not one of this program's.
    #[error(
        "cannot bring the database up to date: {0}. Was it made by a newer Latchkey? Then use that, or another database."
    )]
    Migrate(#[from] MigrateError),
}

impl Database {
    /// Starts the private server, unless another one is named.
    pub fn open(config: &Config) -> Result<Self, DatabaseError> {
        if let Some(url) = &config.database_url {
            return Ok(Self::Named(url.clone()));
        }
        Ok(Self::Private(PrivatePostgres::start(&options(config))?))
    }

    /// Its address, for people and for [`connect`].
    pub fn url(&self) -> String {
        match self {
            Self::Named(url) => url.clone(),
            Self::Private(postgres) => postgres.url(),
        }
    }

    /// Waits until the private server, having died too often, is given up. Gives the reason. A named one is never given up.
    pub fn given_up(&mut self) -> impl Future<Output = String> + Send + use<> {
        let gave_up = match self {
            Self::Named(_) => None,
            Self::Private(postgres) => postgres.gave_up(),
        };
        async move {
            match gave_up {
                Some(gave_up) => match gave_up.await {
                    Ok(reason) => reason,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        }
    }

    /// Stops the private server. A named one is left alone.
    pub fn close(self) -> std::io::Result<()> {
        match self {
            Self::Named(_) => Ok(()),
            Self::Private(postgres) => postgres.stop(),
        }
    }
}

/// How a private server is started by these settings.
pub(crate) fn options(config: &Config) -> Options {
    Options {
        data_directory: config.data_dir.clone(),
        bin_directory: config.pg_bin_dir.clone(),
        durability: if config.ephemeral { Durability::Temporary } else { Durability::Persistent },
    }
}

/// What a start would find in a database that somebody else runs.
#[derive(Debug)]
pub(crate) struct Found {
    /// The server's version as it says it, and as a number: 140005 is 14.5.
    pub version: (String, i32),
    /// Whether the role may make tables.
    pub may_create: bool,
    /// How many of this program's migrations have been run, and how many there are.
    pub migrations: (usize, usize),
    /// A migration that this program does not have.
    pub unknown_migration: Option<i64>,
}

/// Looks at a database without changing it.
///
/// # Errors
/// If it cannot be reached within some seconds.
pub(crate) async fn look_at(url: &str) -> Result<Found, DatabaseError> {
    let options = options_of(url)?.application_name("latchkey doctor");
    let connecting = tokio::time::timeout(Duration::from_secs(5), options.connect());
    let mut connection = connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
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
    let ours: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    Ok(Found {
        version: (version, number),
        may_create,
        migrations: (ours.iter().filter(|version| run.contains(version)).count(), ours.len()),
        unknown_migration: run.into_iter().find(|version| !ours.contains(version)),
    })
}

/// How PostgreSQL plans our statements: once, and always by index. Planning a statement with many arrays costs more than
/// running it, and a plan made while the tables were small must still be right when they are large. Each statement
/// finds its rows by an index; there is nothing that statistics could improve.
const PLANNER: [(&str, &str); 7] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // A page is in memory, whichever it is: else, for small tables, reading a whole index looks cheaper than a look-up.
    ("random_page_cost", "0.1"),
    // What is switched off costs very much to the planner, and what costs much it would compile first: a tenth of a second.
    ("jit", "off"),
];

/// How long a start waits for the database to answer.
const DATABASE_START_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads an address, whose scheme sqlx does not look at.
fn options_of(url: &str) -> Result<PgConnectOptions, DatabaseError> {
    match url.split_once("://") {
        Some((scheme, _)) if !["postgres", "postgresql"].contains(&scheme) => {
            Err(DatabaseError::Scheme(scheme.to_owned()))
        }
        _ => Ok(PgConnectOptions::from_str(url)?),
    }
}

/// Connects, as soon as the database answers: it may be starting. Says what is waited for where that takes a while.
async fn connect_patiently(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    const FIRST_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(300);
    const RETRY_INTERVAL: Duration = Duration::from_millis(50);
    let begun = std::time::Instant::now();
    let mut is_said = false;
    loop {
        let left = DATABASE_START_TIMEOUT.saturating_sub(begun.elapsed());
        let error = match tokio::time::timeout(left.max(RETRY_INTERVAL), options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::PoolTimedOut,
        };
        if left.is_zero() || !may_be_starting(&error) {
            return Err(error);
        }
        if !is_said && begun.elapsed() > FIRST_ATTEMPT_TIMEOUT {
            let (host, port, seconds) = (options.get_host(), options.get_port(), DATABASE_START_TIMEOUT.as_secs());
            tracing::warn!("waiting up to {seconds} s for the database at {host}:{port}");
            is_said = true;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Whether a database that cannot be connected to may be in a moment.
fn may_be_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("53300" | "57P03")),
        _ => false,
    }
}

/// The pools of one server.
#[derive(Clone, Debug)]
pub struct Pools {
    /// For requests.
    pub requests: Pool,
    /// For what the server does by itself, which must not wait for requests: the scheduler, and what removes old rows.
    pub background: Pool,
}

impl Pools {
    /// Pools that connect when they are used, to a database whose schema is up to date.
    pub fn lazy(options: PgConnectOptions, limits: PoolLimits) -> Self {
        let probe = Arc::new(Probe::new(options.clone()));
        Self {
            requests: Pool::lazy(options.clone(), Arc::clone(&probe), limits),
            background: Pool::lazy(options, probe, BACKGROUND_LIMITS),
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.requests.close().await;
        self.background.close().await;
    }
}

/// The limits of what the server does by itself: two connections are the scheduler's. Nothing there waits long for a lock,
/// since everybody else's work would wait along.
const BACKGROUND_LIMITS: PoolLimits =
    PoolLimits { connections: 3, wait: Duration::from_mins(1), lock_wait: Duration::from_secs(1) };

/// Brings the schema up to date, and gives pools of connections to it.
pub async fn connect(url: &str, limits: PoolLimits) -> Result<Pools, DatabaseError> {
    let options = options_of(url)?
        .application_name("latchkey")
        .options(PLANNER)
        // Every statement is built in, so the server's plans are few and worth keeping.
        .statement_cache_capacity(256);
    // On a connection without time-outs: a migration may take long.
    let mut connection = connect_patiently(&options).await?;
    MIGRATIONS.run(&mut connection).await?;
    sqlx::Connection::close(connection).await?;
    Ok(Pools::lazy(options, limits))
}
