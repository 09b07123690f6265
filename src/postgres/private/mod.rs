//! Private PostgreSQL server for users without a database. It is started from the programs installed on the machine,
//! listens on a Unix socket only, and ends with Latchkey.
//!
//! [`PrivatePostgres::start`] finds the programs (`programs`), opens or creates the directory and locks it
//! (`instance`), stops and removes what a crash left behind (`leftovers`), creates the cluster if none exists
//! (`cluster`), starts the server and waits until it is ready (`server`). A warm start takes about 40 ms; the first one
//! takes half a second or more, nearly all of it for `initdb`. After that a thread watches the server and restarts it
//! if it dies (`supervisor`).
//!
//! Starting and stopping block the thread. Call them only when the asynchronous runtime has no work.

mod account;
mod checkup;
mod cluster;
mod download;
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

pub(crate) use checkup::{Found, checkup};
pub use download::Download;
pub use error::{DownloadError, StartError};
use instance::Instance;
use programs::Programs;
use sockets::SocketDirectory;
use supervisor::{Installation, Supervisor};
use tokio::sync::oneshot;

/// Superuser of every cluster created here. The name is fixed, so that the data does not depend on the user that runs
/// Latchkey.
const ROLE: &str = "postgres";

/// Start options of a private server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of persistent data; created if it does not exist. For temporary data: the existing directory in which
    /// a new directory is created.
    ///
    /// `None` is the default location. For persistent data that is `/var/lib/latchkey/postgres` for root, and for other
    /// users `latchkey/postgres` in `$XDG_DATA_HOME`, `~/.local/share` or, on macOS, `~/Library/Application Support`.
    /// For temporary data it is memory (`/dev/shm`) if that has enough space, else the temporary directory of the
    /// system.
    pub data_directory: Option<PathBuf>,
    /// Directory of `initdb` and `postgres`. `None` searches for the version that wrote the data, or for the newest.
    pub bin_directory: Option<PathBuf>,
    /// Download of the programs, if the search finds none.
    pub download: Download,
    /// Durability of the data.
    pub durability: Durability,
}

/// Durability of the data after the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The data stays for the next start. Committed data survives a crash of Latchkey, of the server and of the
    /// machine.
    Persistent,
    /// The data is deleted. Nothing is forced to disk, which makes small writes about ten times as fast. Committed data
    /// survives a crash of the server, but not of the machine.
    Temporary,
}

impl Durability {
    /// Returns the signal that stops the server. SIGINT is the fast shutdown of PostgreSQL, which writes everything to
    /// disk. SIGQUIT is the immediate shutdown, which writes nothing.
    fn stop_signal(self) -> Signal {
        match self {
            Self::Persistent => Signal::INT,
            Self::Temporary => Signal::QUIT,
        }
    }
}

impl Options {
    /// Returns the programs for the data, and downloads them if there are none.
    fn programs(&self) -> Result<Programs, StartError> {
        let found = self.found()?;
        let (data, written_by) = self.data()?;
        if let Some(programs) = programs::choose(&found, written_by) {
            return Ok(programs.clone());
        }
        let downloaded = self.plan(written_by).and_then(|_| self.download.programs(written_by));
        downloaded.map_err(|cause| programs::missing(&found, written_by, &data, cause))
    }

    /// Returns the programs of this machine, newest first.
    pub(crate) fn found(&self) -> Result<Vec<Programs>, StartError> {
        programs::find(self.bin_directory.as_deref(), self.download.cached())
    }

    /// Returns the version to download and the base URL of its source.
    fn plan(&self, written_by: Option<u32>) -> Result<(&'static str, &str), DownloadError> {
        if self.bin_directory.is_some() {
            return Err(DownloadError::DirectoryGiven);
        }
        self.download.plan(written_by)
    }

    /// Returns the directory of the cluster, and the major version that wrote it, if it exists.
    fn data(&self) -> Result<(PathBuf, Option<u32>), StartError> {
        if self.durability == Durability::Temporary {
            return Ok((PathBuf::new(), None));
        }
        let directory = self.data_directory.clone().map_or_else(instance::default_directory, Ok)?;
        let data = directory.join("data");
        let written_by = cluster::written_by(&data)?;
        Ok((data, written_by))
    }
}

/// Running private PostgreSQL server. Dropping it stops the server and deletes temporary data.
///
/// On Linux the server never outlives this process, however the process ends. A server that dies is restarted, up to
/// five times within a minute.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Fields are dropped in this order: the directories must outlast the server.
    supervisor: Supervisor,
    installation: Arc<Installation>,
}

impl PrivatePostgres {
    /// Starts a server, creating its cluster first if none exists, and returns when the server accepts queries.
    ///
    /// Blocks for up to a minute when the server has to recover from a crash. May be called from any thread, also from
    /// one that ends before the server.
    ///
    /// # Errors
    ///
    /// A [`StartError`], whose text says what to do about it.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let started_at = Instant::now();
        let durability = options.durability;
        let named = options.data_directory.as_deref();
        // This comes first, so that without PostgreSQL the data directory is left unchanged.
        let programs = options.programs()?;
        let instance = match durability {
            Durability::Persistent => Instance::persistent(named)?,
            Durability::Temporary => Instance::temporary(named)?,
        };
        let written_by = cluster::written_by(&instance.data())?;
        // Another process may have created the cluster before this one reserved the directory.
        let programs = match written_by {
            Some(major) if major != programs.major => options.programs()?,
            _ => programs,
        };
        let sockets = SocketDirectory::of(&instance.directory, &instance.account)?;
        cluster::clear(&instance, &sockets.path)?;
        if written_by.is_none() {
            tracing::info!(directory = %instance.directory.display(), "creating a postgresql cluster");
            cluster::make(&instance, &programs, durability)?;
        }
        let installation = Arc::new(Installation { sockets, instance, programs, durability });
        let server = installation.start()?;
        tracing::info!(
            version = installation.programs.major,
            pid = server.pid(),
            directory = %installation.instance.directory.display(),
            elapsed = ?started_at.elapsed(),
            "private postgresql is ready"
        );
        let directory = &installation.instance.directory;
        let supervisor =
            Supervisor::of(server, Arc::clone(&installation)).map_err(StartError::io("supervise", directory))?;
        Ok(Self { supervisor, installation })
    }

    /// Returns the directory of the server socket, `.s.PGSQL.5432`; only the user of the server and root can enter it.
    pub fn socket_directory(&self) -> &Path {
        &self.installation.sockets.path
    }

    /// Returns the role to connect as, a superuser that needs no password.
    pub fn user(&self) -> &'static str {
        ROLE
    }

    /// Returns the directory that holds the data, the log of the server and the lock: the one of [`Options`] or the
    /// default one; for temporary data, the new directory in it.
    pub fn data_directory(&self) -> &Path {
        &self.installation.instance.directory
    }

    /// Returns the process id of the server, which changes when the server is restarted.
    pub fn pid(&self) -> u32 {
        self.supervisor.pid()
    }

    /// Returns the receiver of the reason why the server is not restarted any more; `None` from the second call on.
    pub fn failure_receiver(&mut self) -> Option<oneshot::Receiver<String>> {
        self.supervisor.failure_receiver()
    }

    /// Returns the connection URL of the database `postgres`. Both `psql` and `sqlx` accept this URL. In a shell it
    /// needs quotes.
    pub fn url(&self) -> String {
        // All parameters are explicit, because both clients fill in missing ones from the environment.
        format!(
            "postgres:///postgres?host={}&port=5432&user={ROLE}&sslmode=disable",
            sockets::percent_encode(self.installation.sockets.path.as_os_str())
        )
    }

    /// Stops the server, closing its connections, and waits until it has ended. Temporary data is then deleted.
    ///
    /// # Errors
    ///
    /// The server did not stop, not even when killed.
    pub fn stop(mut self) -> io::Result<()> {
        self.supervisor.stop()
    }
}
