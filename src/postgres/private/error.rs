//! Errors of starting a private PostgreSQL server. Each message says how to solve the problem.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Reason why a private PostgreSQL server did not start.
///
/// The `Display` text is written for the person at the terminal: it says what was found and what to do about it. Causes
/// are part of the text, not of the `source` chain.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine has no `initdb` and `postgres` of version 14 or newer in any of the known places, and they were not
    /// downloaded.
    #[error(
        "no postgresql programs (initdb and postgres, version 14 or newer) were found, and they were not downloaded: \
         {cause}. do one of these:\n  apt-get install postgresql          # macos: brew install postgresql\n  export \
         PG_BIN_DIR=/path/to/postgresql/bin\n  export DATABASE_URL=postgres://user:password@localhost:5432/database\n  \
         export LATCHKEY_POSTGRES_MIRROR=https://mirror/of/the/archives"
    )]
    NoPrograms {
        /// Reason why they were not downloaded.
        cause: Box<DownloadError>,
    },

    /// `PG_BIN_DIR` is set to a directory without the required programs.
    #[error(
        "{} contains no initdb and postgres of version 14 or newer: set PG_BIN_DIR to the bin directory of a \
         postgresql installation, or unset it to search for one",
        directory.display()
    )]
    NotPrograms {
        /// Value of `PG_BIN_DIR`.
        directory: PathBuf,
    },

    /// The data was written by a major version that is not installed. PostgreSQL never reads the files of another major
    /// version.
    #[error(
        "the data in {} was written by postgresql {written_by}, but only postgresql {} was found, and {written_by} was \
         not downloaded: {cause}. install postgresql {written_by}, or delete the data with `rm -r {}`",
        directory.display(), list(found), directory.display()
    )]
    MajorVersionMismatch {
        /// Directory to delete for a fresh start.
        directory: PathBuf,
        /// Major version in the `PG_VERSION` file of the data.
        written_by: u32,
        /// Major versions of the programs found, newest first.
        found: Vec<u32>,
        /// Reason why the version of the data was not downloaded.
        cause: Box<DownloadError>,
    },

    /// Another running process uses the data directory.
    #[error(
        "another latchkey ({}) is using {}: stop it, or choose another data directory",
        holder(*pid), directory.display()
    )]
    AlreadyRunning {
        /// Directory in use.
        directory: PathBuf,
        /// Process that uses the directory; `None` if it has not yet written its id.
        pid: Option<u32>,
    },

    /// Latchkey was started as root, so PostgreSQL runs as another user, and that user cannot reach a directory.
    #[error(
        "postgresql cannot run as root, so it runs as user {user}, who cannot open {} because of the permissions of \
         {}: choose another directory (root's default data directory is /var/lib/latchkey/postgres), or `chmod a+x \
         {}`, or run latchkey as an ordinary user",
        path.display(), inaccessible.display(), inaccessible.display()
    )]
    Unreachable {
        /// Path that could not be reached.
        path: PathBuf,
        /// First directory on the path that the user may not enter.
        inaccessible: PathBuf,
        /// Name of the user.
        user: String,
    },

    /// Latchkey was started as root on a machine that has neither a user `postgres` nor a user `nobody`.
    #[error(
        "postgresql cannot run as root, and /etc/passwd has neither a user postgres nor a user nobody to run it as: \
         add one, run latchkey as an ordinary user, or set DATABASE_URL"
    )]
    NoAccount,

    /// The directory contains files that Latchkey did not create.
    #[error(
        "{} already contains other files: choose an empty or a new directory",
        directory.display()
    )]
    DirectoryNotEmpty {
        /// Directory with the other files.
        directory: PathBuf,
    },

    /// No default data directory could be determined.
    #[error("no home directory was found for the data: set HOME or XDG_DATA_HOME, or choose a data directory")]
    NoHome,

    /// `initdb` failed.
    #[error("initdb failed:\n{output}{}", initdb_hint(output))]
    InitdbFailed {
        /// Complete output of `initdb`.
        output: String,
    },

    /// The server ended instead of becoming ready.
    #[error("postgresql stopped while starting; the end of its log, {}:\n{tail}", log.display())]
    StartFailed {
        /// Log file. That of a temporary instance has already been deleted.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },

    /// The server, or a leftover one, did not start or stop in time.
    #[error("{what} took longer than {} s; see {}", after.as_secs(), log.display())]
    Timeout {
        /// Operation that took too long.
        what: &'static str,
        /// Timeout that was exceeded.
        after: Duration,
        /// Log file of the server.
        log: PathBuf,
    },

    /// A system call failed.
    #[error("could not {action} {}: {cause}", path.display())]
    Io {
        /// Attempted action, as a verb.
        action: &'static str,
        /// Path of the action.
        path: PathBuf,
        /// Error of the operating system.
        cause: io::Error,
    },
}

impl StartError {
    /// Returns a function for `map_err`, which reports the failure of `action` on `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |cause| Self::Io { action, path, cause }
    }
}

/// Reason why programs were not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The settings forbid it.
    #[error("--offline (LATCHKEY_OFFLINE) forbids the download")]
    Offline,
    /// The settings name the directory of the programs.
    #[error("PG_BIN_DIR is set: unset it to search for other programs, or to download them")]
    DirectoryGiven,
    /// There is no archive for this platform, or for this major version.
    #[error("there is no archive of postgresql {0} for this platform")]
    NoArchive(u32),
    /// No cache directory could be determined.
    #[error("no home directory was found for the cache: set HOME, XDG_CACHE_HOME or LATCHKEY_CACHE_DIR")]
    NoHome,
    /// The server of the archives cannot be reached, or does not send the file.
    #[error("{url}: {reason}")]
    Http {
        /// URL of the file.
        url: String,
        /// Description of the problem.
        reason: String,
    },
    /// The archive does not have the published checksum.
    #[error("{url} has the checksum {found}, but {expected} is published: try again, or check the mirror")]
    Checksum {
        /// URL of the archive.
        url: String,
        /// SHA-256 of the downloaded bytes.
        found: String,
        /// Published SHA-256.
        expected: String,
    },
    /// The archive cannot be unpacked, or does not contain the programs.
    #[error("the archive {url} cannot be used: {reason}")]
    Archive {
        /// URL of the archive.
        url: String,
        /// Description of the problem.
        reason: String,
    },
    /// A file of the cache cannot be written.
    #[error(
        "cannot write {}: {cause}. Free some space or correct the permissions, or choose another directory with \
         LATCHKEY_CACHE_DIR",
        path.display()
    )]
    Cache {
        /// File or directory.
        path: PathBuf,
        /// Error of the operating system.
        cause: io::Error,
    },
    /// Another process has been downloading for too long.
    #[error("another process has been downloading into {} for ten minutes", .0.display())]
    Locked(PathBuf),
    /// The start was cancelled.
    #[error("the download was cancelled")]
    Cancelled,
}

fn list(items: &[impl Display]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "still starting".to_owned(), |pid| format!("process {pid}"))
}

/// Returns the advice for a user that has no name, which is usual with `docker run --user 1234`.
fn initdb_hint(output: &str) -> &'static str {
    if output.contains("could not look up effective user ID") {
        "\nthe user latchkey runs as has no entry in /etc/passwd, which initdb needs: run as a user that has one (as \
         root, latchkey chooses one itself), or set DATABASE_URL"
    } else {
        ""
    }
}
