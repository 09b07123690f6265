//! Directory of one private PostgreSQL server, with the lock that reserves it for one Latchkey process at a time.
//!
//! It contains `data` (the cluster as created by `initdb`), `postgres.log` (of the current run), the socket (unless its
//! path would be too long, see `sockets`), and `latchkey.lock`. The lock is an advisory file lock: the operating system
//! releases it when its holder dies for any reason, so it is never stale.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::account::{Account, user_directory};
use super::{StartError, leftovers};

pub(super) const LOCK: &str = "latchkey.lock";
/// Directory whose files are in memory, on Linux.
pub(super) const IN_MEMORY: &str = "/dev/shm";

const TEMPORARY_PREFIX: &str = "latchkey-throwaway-";

/// Minimum free space in shared memory, in bytes. A new cluster takes 30 MB. Containers often have a `/dev/shm` of 64
/// MB in total, which the first write-ahead log would fill.
const MIN_SHARED_MEMORY: u64 = 512 << 20;

/// Directory reserved for this process until the value is dropped; a temporary one is then deleted.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) directory: PathBuf,
    pub(super) account: Account,
    temporary: bool,
    lock: File,
}

impl Instance {
    /// Opens or creates the directory of persistent data.
    pub(super) fn persistent(named: Option<&Path>) -> Result<Self, StartError> {
        let directory = match named {
            Some(directory) => directory.to_path_buf(),
            None => default_directory()?,
        };
        let account = Account::to_run_as(Some(&directory))?;
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent).map_err(StartError::io("create", parent))?;
        }
        match create_directory(&directory, &account) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                claim_existing_directory(&directory, &account)?;
            }
            created => created.map_err(StartError::io("create", &directory))?,
        }
        // The working directory of the server, by which leftovers are recognised, is reported without symbolic links.
        let directory = directory.canonicalize().map_err(StartError::io("open", &directory))?;
        let lock = lock(&directory, &account)?;
        Ok(Self { directory, account, temporary: false, lock })
    }

    /// Creates a new directory in `parent`, or in memory if `parent` is `None` and the memory has enough space. Deletes
    /// temporary directories of dead owners there.
    pub(super) fn temporary(parent: Option<&Path>) -> Result<Self, StartError> {
        let account = Account::to_run_as(None)?;
        let in_memory = Path::new(IN_MEMORY);
        if parent.is_none() && has_space(in_memory) {
            // The directory may not be writable for this user.
            if let Ok(instance) = Self::temporary_in(in_memory, &account) {
                return Ok(instance);
            }
        }
        let parent = parent.map_or_else(|| temporary_place(&account), Path::to_path_buf);
        Self::temporary_in(&parent, &account)
    }

    fn temporary_in(parent: &Path, account: &Account) -> Result<Self, StartError> {
        let parent = parent.canonicalize().map_err(StartError::io("open", parent))?;
        sweep(&parent, account);
        let mut number = 0;
        loop {
            let directory = parent.join(format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id()));
            number += 1;
            match create_directory(&directory, account) {
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created.map_err(StartError::io("create", &directory))?,
            }
            let lock = lock(&directory, account)?;
            return Ok(Self { directory, account: account.clone(), temporary: true, lock });
        }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    /// Opens an empty log file for the server.
    pub(super) fn new_log(&self) -> Result<File, StartError> {
        let path = self.log();
        open(&path, &self.account).and_then(|log| log.set_len(0).map(|()| log)).map_err(StartError::io("write", &path))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.directory)
        {
            tracing::warn!(%error, directory = %self.directory.display(), "could not delete a temporary postgresql");
        }
        // Closing the file does not always release the lock: a child process that another thread is starting has the
        // file open for a moment, too.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, directory = %self.directory.display(), "could not unlock a postgresql's directory");
        }
    }
}

/// Returns the directory for temporary files. The `$TMPDIR` of root is often closed to the user that PostgreSQL runs
/// as.
pub(super) fn temporary_place(account: &Account) -> PathBuf {
    if account.must_switch { PathBuf::from("/tmp") } else { std::env::temp_dir() }
}

/// Creates a directory that only the account can enter.
pub(super) fn create_directory(directory: &Path, account: &Account) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(directory)?;
    account.make_owner_of(directory)
}

/// Returns the default directory of persistent data (see [`super::Options::data_directory`]).
pub(super) fn default_directory() -> Result<PathBuf, StartError> {
    let in_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    let directory = user_directory("/var/lib", "XDG_DATA_HOME", in_home).ok_or(StartError::NoHome)?;
    Ok(directory.join("latchkey/postgres"))
}

/// Checks that an existing directory may be used. An ordinary user may use any; without the permission to write in it,
/// creating the lock file fails next. As root, a directory of root is accepted only if it is empty, and the account
/// becomes its owner.
fn claim_existing_directory(directory: &Path, account: &Account) -> Result<(), StartError> {
    let open_error = || StartError::io("open", directory);
    let found = fs::metadata(directory).map_err(open_error())?;
    if !account.must_switch || found.uid() == account.uid {
        return Ok(());
    }
    let empty = fs::read_dir(directory).map_err(open_error())?.next().is_none();
    if !empty {
        return Err(StartError::DirectoryNotEmpty { directory: directory.to_path_buf() });
    }
    account.make_owner_of(directory).map_err(open_error())
}

/// Locks the directory for this process and writes the process id into the lock file.
fn lock(directory: &Path, account: &Account) -> Result<File, StartError> {
    let path = directory.join(LOCK);
    let lock_error = || StartError::io("lock", &path);
    let mut file = open(&path, account).map_err(lock_error())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StartError::AlreadyRunning { directory: directory.to_path_buf(), pid: holder(&mut file) });
        }
        Err(TryLockError::Error(cause)) => return Err(lock_error()(cause)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(lock_error())?;
    Ok(file)
}

/// Reads the process id from a lock file; `None` if none has been written yet.
pub(super) fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Opens or creates a file in the directory without following a link: other programs of the account could have replaced
/// the file by a link, which root must not follow.
fn open(path: &Path, account: &Account) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    if account.must_switch {
        std::os::unix::fs::fchown(&file, Some(account.uid), Some(account.gid))?;
    }
    Ok(file)
}

pub(super) fn has_space(parent: &Path) -> bool {
    rustix::fs::statvfs(parent).is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) >= MIN_SHARED_MEMORY)
}

/// Deletes temporary directories in `parent` whose owners are dead. One that cannot be deleted is left to a later
/// sweep.
fn sweep(parent: &Path, account: &Account) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            continue;
        }
        let directory = entry.path();
        if let Err(error) = sweep_one(&directory, account) {
            let directory = directory.display();
            tracing::debug!(%error, %directory, "a leftover temporary postgresql was not deleted");
        }
    }
}

fn sweep_one(directory: &Path, account: &Account) -> io::Result<()> {
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() || found.uid() != account.uid {
        return Ok(());
    }
    let mut lock = File::open(directory.join(LOCK))?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    // An owner locks the file first and then writes its id: a file without an id belongs to an owner that is about to
    // lock it.
    if holder(&mut lock).is_none() {
        return Ok(());
    }
    if !leftovers::stop(&directory.join("data")) {
        return Err(io::Error::other("its server does not stop"));
    }
    fs::remove_dir_all(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current_account() -> Account {
        Account {
            name: "self".to_owned(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            must_switch: false,
        }
    }

    fn directory_with_lock(parent: &Path, name: &str, text: &str) -> PathBuf {
        let directory = parent.join(format!("{TEMPORARY_PREFIX}{name}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(LOCK), text).unwrap();
        directory
    }

    #[test]
    fn sweep_deletes_only_temporary_directories_of_dead_owners() {
        let parent = tempfile::tempdir().unwrap();
        let dead = directory_with_lock(parent.path(), "dead", "1");
        let newborn = directory_with_lock(parent.path(), "newborn", "");
        let living = directory_with_lock(parent.path(), "living", "1");
        let held = lock(&living, &current_account()).unwrap();
        let unrelated = parent.path().join("foreign");
        fs::create_dir(&unrelated).unwrap();
        sweep(parent.path(), &current_account());
        assert!(!dead.exists());
        assert!(newborn.exists() && living.exists() && unrelated.exists());
        // Not released by dropping: a child process that another test is just starting has the file open, too, for a
        // moment.
        held.unlock().unwrap();
        sweep(parent.path(), &current_account());
        assert!(!living.exists());
    }

    #[test]
    fn lock_error_names_the_process_that_holds_the_directory() {
        let parent = tempfile::tempdir().unwrap();
        let held = lock(parent.path(), &current_account()).unwrap();
        let error = lock(parent.path(), &current_account()).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(error, StartError::AlreadyRunning { pid: Some(found), .. } if found == pid), "{error}");
        held.unlock().unwrap();
        assert!(lock(parent.path(), &current_account()).is_ok());
    }

    #[test]
    fn lock_file_that_is_a_link_is_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let victim = parent.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, parent.path().join(LOCK)).unwrap();
        assert!(lock(parent.path(), &current_account()).is_err());
        assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    }
}
