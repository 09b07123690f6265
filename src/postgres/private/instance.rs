//! The directory of one private PostgreSQL, and the lock that keeps it to one Latchkey at a time.
//!
//! It holds `data` (the cluster, as `initdb` makes it), `postgres.log` (of the current run), the socket, and `latchkey.lock`. The lock is
//! an advisory file lock: the system drops it when its holder dies, however it dies, so it is never stale.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::{StartError, leftovers};

pub(super) const LOCK: &str = "latchkey.lock";
/// Files here lie in memory, on Linux.
pub(super) const IN_MEMORY: &str = "/dev/shm";

const THROW_AWAY: &str = "latchkey-throwaway-";

/// A cluster takes 30 MB when new. Containers often have a `/dev/shm` of 64 MB in all, which its first write-ahead log would fill.
const MIN_SHARED_MEMORY: u64 = 512 << 20;

/// A directory that is ours alone until this value is dropped; a throw-away one is then deleted.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) directory: PathBuf,
    pub(super) account: Account,
    temporary: bool,
    lock: File,
}

impl Instance {
    /// Opens the directory of kept data, or creates it.
    pub(super) fn persistent(named: Option<&Path>) -> Result<Self, StartError> {
        let directory = match named {
            Some(directory) => directory.to_path_buf(),
            None => default_directory()?,
        };
        let account = Account::to_run_as(Some(&directory))?;
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent).map_err(StartError::io("create", parent))?;
        }
        match make(&directory, &account) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                hand_over_empty_directory(&directory, &account)?;
            }
            made => made.map_err(StartError::io("create", &directory))?,
        }
        // The server's working directory, by which leftovers are recognised, is reported without links.
        let directory = directory.canonicalize().map_err(StartError::io("open", &directory))?;
        let lock = lock(&directory, &account)?;
        Ok(Self { directory, account, temporary: false, lock })
    }

    /// Creates a fresh directory in `place`, or in memory if `place` is `None` and there is room, and deletes those of dead owners there.
    pub(super) fn temporary(parent: Option<&Path>) -> Result<Self, StartError> {
        let account = Account::to_run_as(None)?;
        let in_memory = Path::new(IN_MEMORY);
        if parent.is_none() && has_space(in_memory) {
            // It may still be closed to us.
            if let Ok(instance) = Self::throw_away_in(in_memory, &account) {
                return Ok(instance);
            }
        }
        let parent = parent.map_or_else(|| temporary_place(&account), Path::to_path_buf);
        Self::throw_away_in(&parent, &account)
    }

    fn throw_away_in(parent: &Path, account: &Account) -> Result<Self, StartError> {
        let parent = parent.canonicalize().map_err(StartError::io("open", parent))?;
        sweep(&parent, account);
        let mut number = 0;
        loop {
            let directory = parent.join(format!("{THROW_AWAY}{}-{number}", std::process::id()));
            number += 1;
            match make(&directory, account) {
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(StartError::io("create", &directory))?,
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

    /// An empty log file for the server to write to.
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
            tracing::warn!(%error, directory = %self.directory.display(), "could not delete a throw-away postgresql");
        }
        // Closing the file is not enough: a program that is being started by another thread has it open for a moment, too.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, directory = %self.directory.display(), "could not unlock a postgresql's directory");
        }
    }
}

/// Where other temporary things may go. Root's own `$TMPDIR` is often closed to the user PostgreSQL runs as.
pub(super) fn temporary_place(account: &Account) -> PathBuf {
    if account.switch { PathBuf::from("/tmp") } else { std::env::temp_dir() }
}

/// Creates a directory that only the account can enter.
pub(super) fn make(directory: &Path, account: &Account) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(directory)?;
    account.give(directory)
}

pub(super) fn default_directory() -> Result<PathBuf, StartError> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/latchkey/postgres"));
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let in_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(in_home)))
        .map(|parent| parent.join("latchkey/postgres"))
        .ok_or(StartError::NoHome)
}

/// Makes sure that an existing directory may be used, and as root hands an empty one over.
fn hand_over_empty_directory(directory: &Path, account: &Account) -> Result<(), StartError> {
    let broken = || StartError::io("open", directory);
    let found = fs::metadata(directory).map_err(broken())?;
    if !account.switch || found.uid() == account.uid {
        return Ok(());
    }
    let empty = fs::read_dir(directory).map_err(broken())?.next().is_none();
    if !empty {
        return Err(StartError::ForeignDirectory { directory: directory.to_path_buf() });
    }
    account.give(directory).map_err(broken())
}

fn lock(directory: &Path, account: &Account) -> Result<File, StartError> {
    let path = directory.join(LOCK);
    let broken = || StartError::io("lock", &path);
    let mut file = open(&path, account).map_err(broken())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StartError::AlreadyRunning { directory: directory.to_path_buf(), pid: holder(&mut file) });
        }
        Err(TryLockError::Error(cause)) => return Err(broken()(cause)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(broken())?;
    Ok(file)
}

/// The process id in a lock file; `None` if nothing is written yet.
pub(super) fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Opens a file of ours, which the account's other programs could have replaced by a link, and root must not follow that.
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
    if account.switch {
        std::os::unix::fs::fchown(&file, Some(account.uid), Some(account.gid))?;
    }
    Ok(file)
}

pub(super) fn has_space(parent: &Path) -> bool {
    rustix::fs::statvfs(parent).is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) >= MIN_SHARED_MEMORY)
}

/// Deletes the throw-away directories in `place` whose owners are dead. What cannot be deleted is left to a later sweep.
fn sweep(parent: &Path, account: &Account) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(THROW_AWAY.as_bytes()) {
            continue;
        }
        let directory = entry.path();
        if let Err(error) = sweep_one(&directory, account) {
            tracing::debug!(%error, directory = %directory.display(), "a left-over throw-away postgresql stays");
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
    // The owner locks first and then writes its id: without one, it is still about to lock.
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

    fn nobody_else() -> Account {
        Account {
            name: "self".to_owned(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            switch: false,
        }
    }

    fn directory_with_lock(parent: &Path, name: &str, text: &str) -> PathBuf {
        let directory = parent.join(format!("{THROW_AWAY}{name}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(LOCK), text).unwrap();
        directory
    }

    #[test]
    fn a_sweep_deletes_the_dead_and_leaves_the_living_the_newborn_and_the_foreign() {
        let parent = tempfile::tempdir().unwrap();
        let dead = directory_with_lock(parent.path(), "dead", "1");
        let newborn = directory_with_lock(parent.path(), "newborn", "");
        let living = directory_with_lock(parent.path(), "living", "1");
        let held = lock(&living, &nobody_else()).unwrap();
        let foreign = parent.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        sweep(parent.path(), &nobody_else());
        assert!(!dead.exists());
        assert!(newborn.exists() && living.exists() && foreign.exists());
        // Not by dropping it: a process that another test is just starting has the file open, too, for a moment.
        held.unlock().unwrap();
        sweep(parent.path(), &nobody_else());
        assert!(!living.exists());
    }

    #[test]
    fn a_locked_directory_names_its_holder() {
        let parent = tempfile::tempdir().unwrap();
        let held = lock(parent.path(), &nobody_else()).unwrap();
        let refusal = lock(parent.path(), &nobody_else()).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(refusal, StartError::AlreadyRunning { pid: Some(found), .. } if found == pid), "{refusal}");
        held.unlock().unwrap();
        assert!(lock(parent.path(), &nobody_else()).is_ok());
    }

    #[test]
    fn a_lock_file_that_is_a_link_is_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let victim = parent.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, parent.path().join(LOCK)).unwrap();
        assert!(lock(parent.path(), &nobody_else()).is_err());
        assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    }
}
