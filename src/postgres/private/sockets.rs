//! Where the server's Unix socket is, short enough for the system's limit.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::{StartError, instance};

/// PostgreSQL's own name for the socket of the default port.
pub(super) const NAME: &str = ".s.PGSQL.5432";

/// The longest path of a socket in bytes.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The directory of the socket.
#[derive(Debug)]
pub(super) struct SocketDirectory {
    pub(super) path: PathBuf,
    /// Made for the socket alone, so it goes when the server has gone.
    extra: bool,
}

impl SocketDirectory {
    /// The instance's own `directory` if its path is short enough, else one in a temporary place whose name follows from it.
    pub(super) fn of(directory: &Path, account: &Account) -> Result<Self, StartError> {
        if fits(directory) {
            return Ok(Self { path: directory.to_path_buf(), extra: false });
        }
        let mut hasher = DefaultHasher::new();
        directory.hash(&mut hasher);
        let name = format!("latchkey-socket-{:016x}", hasher.finish());
        let preferred = instance::temporary_place(account).join(&name);
        let path = if fits(&preferred) { preferred } else { Path::new("/tmp").join(&name) };
        make(&path, account).map_err(StartError::io("use", &path))?;
        Ok(Self { path, extra: true })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path.join(NAME)
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        if self.extra
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::debug!(%error, path = %self.path.display(), "could not delete a socket's directory");
        }
    }
}

fn fits(directory: &Path) -> bool {
    directory.as_os_str().len() + 1 + NAME.len() <= MAX_SOCKET_PATH
}

/// Anyone can put something under this name first; only a directory that is closed to all but the account is taken.
fn make(directory: &Path, account: &Account) -> io::Result<()> {
    match instance::make(directory, account) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(directory)?;
            if found.is_dir() && found.uid() == account.uid && found.mode() & 0o777 == 0o700 {
                Ok(())
            } else {
                Err(io::Error::other("somebody else has put it there"))
            }
        }
        made => made,
    }
}

/// Encodes a path for the value of a URL's query, byte by byte.
pub(super) fn percent_encode(text: &OsStr) -> String {
    let mut encoded = String::new();
    for byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn ourselves() -> Account {
        Account {
            name: "self".to_owned(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            switch: false,
        }
    }

    #[test]
    fn a_short_directory_holds_its_own_socket_and_a_long_one_does_not() {
        let room = MAX_SOCKET_PATH - 1 - NAME.len();
        let long = PathBuf::from(format!("/{}", "d".repeat(room)));
        let short = PathBuf::from(format!("/{}", "d".repeat(room - 1)));
        assert_eq!(SocketDirectory::of(&short, &ourselves()).unwrap().path, short);
        let elsewhere = SocketDirectory::of(&long, &ourselves()).unwrap();
        assert!(elsewhere.socket().as_os_str().len() <= MAX_SOCKET_PATH);
        let path = elsewhere.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let again = SocketDirectory::of(&long, &ourselves()).unwrap();
        assert_eq!(again.path, path);
        drop((elsewhere, again));
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(make(&open, &ourselves()).is_err());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert!(make(&link, &ourselves()).is_err());
    }

    #[test]
    fn odd_bytes_are_encoded() {
        assert_eq!(percent_encode(OsStr::new("/a b/ü+&~")), "%2Fa%20b%2F%C3%BC%2B%26~");
    }
}
