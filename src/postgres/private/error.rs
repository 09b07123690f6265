//! What can go wrong when a private PostgreSQL is started, each case worded with its way out.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a private PostgreSQL did not start.
///
/// The `Display` text is meant for the person at the terminal: it names what was found and what to do about it. Causes are part of the
/// text, not of the `source` chain.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine has no `initdb` and `postgres` of version 14 or newer in any of the known places.
    #[error(
        "no postgresql programs (initdb and postgres, version 14 or newer) were found. three ways out:\n  \
         apt-get install postgresql          # macos: brew install postgresql\n  \
         export PG_BIN_DIR=/path/to/postgresql/bin\n  \
         export DATABASE_URL=postgres://user:password@localhost:5432/database"
    )]
    NoPrograms,

    /// `PG_BIN_DIR` names a directory that does not hold what is needed.
    #[error(
        "{} holds no initdb and postgres of version 14 or newer: let PG_BIN_DIR name the bin directory of a postgresql installation, \
         or unset it to have one searched",
        directory.display()
    )]
    NotPrograms {
        /// The directory that was named.
        directory: PathBuf,
    },

    /// The data was written by a major version that is not installed; PostgreSQL never reads another major version's files.
    #[error(
        "the data in {} was written by postgresql {written_by}, but only postgresql {} was found: install postgresql {written_by}, or, as \
         this is only a test double's data, start afresh with `rm -r {}`",
        directory.display(), list(found), directory.display()
    )]
    MajorVersionMismatch {
        /// The directory to delete for a fresh start.
        directory: PathBuf,
        /// The major version in the data's `PG_VERSION`.
        written_by: u32,
        /// The major versions of the programs found, newest first.
        found: Vec<u32>,
    },

    /// Another living process uses the data directory.
    #[error(
        "another latchkey ({}) is using {}: stop it, or name another data directory",
        holder(*pid), directory.display()
    )]
    AlreadyRunning {
        /// The directory in use.
        directory: PathBuf,
        /// The process that uses it; `None` when it has not yet written its id.
        pid: Option<u32>,
    },

    /// Started as root, PostgreSQL runs as another user, and that user cannot get to a directory.
    #[error(
        "postgresql refuses to run as root and so runs as user {user}, who cannot reach {} because {} is closed to others: choose another \
         directory (root's default data directory is /var/lib/latchkey/postgres), or `chmod a+x {}`, or run latchkey as an ordinary user",
        path.display(), closed.display(), closed.display()
    )]
    Unreachable {
        /// What could not be reached.
        path: PathBuf,
        /// The first directory on the way that is closed to the user.
        closed: PathBuf,
        /// The user.
        user: String,
    },

    /// Started as root on a machine that has neither a user `postgres` nor a user `nobody`.
    #[error(
        "postgresql refuses to run as root, and /etc/passwd has neither a user postgres nor a user nobody to run it as: add one, run \
         latchkey as an ordinary user, or set DATABASE_URL"
    )]
    NoAccount,

    /// The directory holds files that Latchkey did not put there.
    #[error(
        "{} already holds other files: name an empty or a new directory",
        directory.display()
    )]
    ForeignDirectory {
        /// The directory.
        directory: PathBuf,
    },

    /// No default place for the data could be worked out.
    #[error("there is no home directory to keep data in: set HOME or XDG_DATA_HOME, or name a data directory")]
    NoHome,

    /// `initdb` failed.
    #[error("initdb failed:\n{output}{}", initdb_hint(output))]
    InitdbFailed {
        /// Everything it printed.
        output: String,
    },

    /// The server ended by itself instead of becoming ready.
    #[error("postgresql stopped while starting; the end of its log, {}:\n{tail}", log.display())]
    StartFailed {
        /// The log file. A throw-away instance's is already deleted.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },

    /// The server, or one left over from before, did not do in time what it was asked to.
    #[error("{what} took longer than {} s; see {}", after.as_secs(), log.display())]
    Timeout {
        /// What took too long.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
        /// The server's log file.
        log: PathBuf,
    },

    /// The operating system refused something.
    #[error("could not {action} {}: {cause}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl StartError {
    /// For `map_err`: the failure to do `action` on `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |cause| Self::Io { action, path, cause }
    }
}

fn list(items: &[impl Display]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "just starting".to_owned(), |pid| format!("process {pid}"))
}

/// `docker run --user 1234` is the usual way to run as a user that has no name.
fn initdb_hint(output: &str) -> &'static str {
    if output.contains("could not look up effective user ID") {
        "\nthe user latchkey runs as has no entry in /etc/passwd, which initdb insists on: run as a user that has one (as root, latchkey \
         chooses one itself), or set DATABASE_URL"
    } else {
        ""
    }
}
