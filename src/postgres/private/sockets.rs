//! Directory of the Unix socket of the server, with a path that is short enough for the limit of the operating system.

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

/// Name that PostgreSQL gives the socket of the default port.
pub(super) const NAME: &str = ".s.PGSQL.5432";

/// Maximum length of the path of a socket, in bytes.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Directory of the socket.
#[derive(Debug)]
pub(super) struct SocketDirectory {
    pub(super) path: PathBuf,
    /// True if the directory was created only for the socket; it is then deleted after the server has ended.
    extra: bool,
}

impl SocketDirectory {
    /// Returns the `directory` of the instance if its path is short enough, else a temporary directory whose name is
    /// derived from that path.
    pub(super) fn of(directory: &Path, account: &Account) -> Result<Self, StartError> {
        if fits(directory) {
            return Ok(Self { path: directory.to_path_buf(), extra: false });
        }
        let mut hasher = DefaultHasher::new();
        directory.hash(&mut hasher);
        let name = format!("latchkey-socket-{:016x}", hasher.finish());
        let preferred = instance::temporary_place(account).join(&name);
        let path = if fits(&preferred) { preferred } else { Path::new("/tmp").join(&name) };
        create_directory(&path, account).map_err(StartError::io("use", &path))?;
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

/// Creates the directory. Another user could create it first, so an existing one is accepted only if it belongs to the
/// account and is closed to all others.
fn create_directory(directory: &Path, account: &Account) -> io::Result<()> {
    match instance::create_directory(directory, account) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(directory)?;
            if found.is_dir() && found.uid() == account.uid && found.mode() & 0o777 == 0o700 {
                Ok(())
            } else {
                Err(io::Error::other("it belongs to another user"))
            }
        }
        result => result,
    }
}

/// Percent-encodes a path, byte by byte, for a value in the query of a URL.
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

    fn current_account() -> Account {
        Account {
            name: "self".to_owned(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            must_switch: false,
        }
    }

    #[test]
    fn socket_directory_is_the_given_one_unless_its_path_is_too_long() {
        let room = MAX_SOCKET_PATH - 1 - NAME.len();
        let long = PathBuf::from(format!("/{}", "d".repeat(room)));
        let short = PathBuf::from(format!("/{}", "d".repeat(room - 1)));
        assert_eq!(SocketDirectory::of(&short, &current_account()).unwrap().path, short);
        let temporary = SocketDirectory::of(&long, &current_account()).unwrap();
        assert!(temporary.socket().as_os_str().len() <= MAX_SOCKET_PATH);
        let path = temporary.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let again = SocketDirectory::of(&long, &current_account()).unwrap();
        assert_eq!(again.path, path);
        drop((temporary, again));
        assert!(!path.exists());
    }

    #[test]
    fn socket_directory_that_others_can_enter_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(create_directory(&open, &current_account()).is_err());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert!(create_directory(&link, &current_account()).is_err());
    }

    #[test]
    fn percent_encode_escapes_all_but_unreserved_characters() {
        assert_eq!(percent_encode(OsStr::new("/a b/ü+&~")), "%2Fa%20b%2F%C3%BC%2B%26~");
    }
}
