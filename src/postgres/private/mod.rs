//! A PostgreSQL of Latchkey's own, for people who have no database: started from the programs installed on the machine, listening on a
//! Unix socket only, and gone when Latchkey is gone.
//!
//! [`PrivatePostgres::start`] finds the programs (`programs`), opens or makes the directory and locks it (`instance`), clears away what a
//! crash left (`leftovers`), makes the cluster if there is none (`cluster`), and starts the server and waits for it (`server`). Warm, that
//! takes some 40 ms; the first time, half a second or more, nearly all of it `initdb`. From then on a thread looks after the server and
//! starts it again if it dies (`supervisor`).
//!
//! Starting and stopping block, and are meant to happen while the asynchronous runtime has no work.

mod account;
mod checkup;
mod cluster;
mod error;
mod instance;
mod leftovers;
mod programs;
mod server;
mod sockets;
mod supervisor;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::process::Signal;

pub(crate) use checkup::checkup;
pub use error::StartError;
use instance::Instance;
use sockets::SocketDirectory;
use supervisor::{Installation, Supervisor};
use tokio::sync::oneshot;

/// The superuser of every cluster made here, so that data does not depend on who runs it.
const ROLE: &str = "postgres";

/// What to start and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where kept data is; created if it does not exist. For data that is thrown away, the existing directory in which a fresh one is made.
    ///
    /// `None` is the default place. For kept data that is `/var/lib/latchkey/postgres` for root, and for others `latchkey/postgres` in
    /// `$XDG_DATA_HOME`, `~/.local/share` or, on macOS, `~/Library/Application Support`. For data that is thrown away it is memory
    /// (`/dev/shm`) if that has room, else the system's temporary directory.
    pub data_directory: Option<PathBuf>,
    /// The directory of `initdb` and `postgres`. `None` searches for the version that wrote the data, or for the newest.
    pub bin_directory: Option<PathBuf>,
    /// What becomes of the data.
    pub durability: Durability,
}

/// What becomes of the data when the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It stays for the next start. What was committed survives a crash of Latchkey, of the server and of the machine.
    Persistent,
    /// It is deleted. Nothing is forced to disk, which makes small writes about ten times as fast; what was committed survives a crash of
    /// the server, and not one of the machine.
    Temporary,
}

impl Durability {
    /// How the server is told to stop: PostgreSQL's fast shutdown writes everything out, its immediate one nothing.
    fn stop_signal(self) -> Signal {
        match self {
            Self::Persistent => Signal::INT,
            Self::Temporary => Signal::QUIT,
        }
    }
}

/// A running private PostgreSQL. Dropping it stops it, and deletes data that is to be thrown away.
///
/// On Linux it does not outlive this process either, however that ends. A server that dies is started again, up to five times in a minute.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Dropped in this order: the directories have to outlast the server.
    supervisor: Supervisor,
    installation: Arc<Installation>,
}

impl PrivatePostgres {
    /// Starts a server, making its cluster first if there is none, and returns when it accepts queries.
    ///
    /// Blocks for up to a minute when a crash has to be recovered from. May be called from any thread.
    ///
    /// # Errors
    ///
    /// A [`StartError`], whose text says what to do about it.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let begun = Instant::now();
        let durability = options.durability;
        // First of all, so that a machine without PostgreSQL is left as it was.
        let found = programs::find(options.bin_directory.as_deref())?;
        let named = options.data_directory.as_deref();
        let instance = match durability {
            Durability::Persistent => Instance::persistent(named)?,
            Durability::Temporary => Instance::temporary(named)?,
        };
        let written_by = cluster::written_by(&instance.data())?;
        let programs = programs::choose(&found, written_by, &instance.data())?;
        let sockets = SocketDirectory::of(&instance.directory, &instance.account)?;
        cluster::clear(&instance, &sockets.path)?;
        if written_by.is_none() {
            tracing::info!(directory = %instance.directory.display(), "making a postgresql cluster");
            cluster::make(&instance, &programs, durability)?;
        }
        let installation = Arc::new(Installation { sockets, instance, programs, durability });
        let server = installation.start()?;
        tracing::info!(
            version = installation.programs.major,
            pid = server.pid(),
            directory = %installation.instance.directory.display(),
            elapsed = ?begun.elapsed(),
            "private postgresql is ready"
        );
        let directory = &installation.instance.directory;
        let supervisor =
            Supervisor::of(server, Arc::clone(&installation)).map_err(StartError::io("supervise", directory))?;
        Ok(Self { supervisor, installation })
    }

    /// The directory of the server's socket, `.s.PGSQL.5432`; only the server's user and root can enter it.
    pub fn socket_directory(&self) -> &Path {
        &self.installation.sockets.path
    }

    /// The role to connect as, a superuser that needs no password.
    pub fn user(&self) -> &'static str {
        ROLE
    }

    /// The directory that holds the data, the server's log and the lock: the one of [`Options`], or the one chosen in its place.
    pub fn data_directory(&self) -> &Path {
        &self.installation.instance.directory
    }

    /// The process id of the server, which is another one after it died.
    pub fn pid(&self) -> u32 {
        self.supervisor.pid()
    }

    /// What will receive the reason why a server that died is not started again any more; `None` from the second call on.
    pub fn gave_up(&mut self) -> Option<oneshot::Receiver<String>> {
        self.supervisor.gave_up()
    }

    /// The database `postgres` as a connection URL, which `psql` and `sqlx` read alike. In a shell it needs quotes.
    pub fn url(&self) -> String {
        // Everything is said, because both fill in what is missing from the environment.
        format!(
            "postgres:///postgres?host={}&port=5432&user={ROLE}&sslmode=disable",
            sockets::percent_encode(self.installation.sockets.path.as_os_str())
        )
    }

    /// Stops the server, closing its connections, and waits until it has gone. Data that is to be thrown away is then deleted.
    ///
    /// # Errors
    ///
    /// If the server could not be made to stop, not even by force.
    pub fn stop(mut self) -> io::Result<()> {
        self.supervisor.stop()
    }
}
