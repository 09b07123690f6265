//! Check of what a start of the private server would find, without starting or changing anything.

use super::account::Account;
use super::instance::{self, LOCK};
use super::programs;
use super::{Durability, Options, StartError, cluster};
use rustix::fs::{Access, access};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Result of [`checkup`].
#[derive(Debug)]
pub(crate) struct Checkup {
    /// Programs to use, or the reason why there are none.
    pub programs: Result<Found, StartError>,
    /// Location of the data; or the reason why it cannot be there.
    pub data: Result<Data, StartError>,
}

/// Programs that a start would use.
#[derive(Debug)]
pub(crate) enum Found {
    /// Installations found, newest first, as major version and directory.
    Installed(Vec<(u32, PathBuf)>),
    /// Version that would be downloaded, and the base URL of its source.
    ToDownload { version: &'static str, source: String },
}

/// Location where the data is or would be.
#[derive(Debug)]
pub(crate) struct Data {
    pub directory: PathBuf,
    /// Major version that wrote the data; `None` if no data exists yet.
    pub written_by: Option<u32>,
    /// User that PostgreSQL would run as; `None` if that is the current user.
    pub runs_as: Option<String>,
}

/// Checks what [`super::PrivatePostgres::start`] would use.
pub(crate) fn checkup(options: &Options) -> Checkup {
    let data = match options.durability {
        Durability::Persistent => persistent_data(options.data_directory.as_deref()),
        Durability::Temporary => temporary(options.data_directory.as_deref()),
    };
    Checkup { programs: programs(options), data }
}

fn programs(options: &Options) -> Result<Found, StartError> {
    let found = options.found()?;
    let (data, written_by) = options.data()?;
    if programs::choose(&found, written_by).is_some() {
        let installed = found.into_iter().map(|programs| (programs.major, programs.directory));
        return Ok(Found::Installed(installed.collect()));
    }
    match options.plan(written_by) {
        Ok((version, source)) => Ok(Found::ToDownload { version, source: source.to_owned() }),
        Err(cause) => Err(programs::missing(&found, written_by, &data, cause)),
    }
}

fn persistent_data(named: Option<&Path>) -> Result<Data, StartError> {
    let directory = named.map_or_else(instance::default_directory, |directory| Ok(directory.to_path_buf()))?;
    let account = Account::to_run_as(Some(&directory))?;
    let runs_as = account.must_switch.then(|| account.name.clone());
    let metadata = match fs::metadata(&directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            // The start would create the directory and its missing parents.
            let parent = directory.ancestors().skip(1).find(|parent| parent.exists()).unwrap_or(Path::new("."));
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            writable(parent)?;
            return Ok(Data { directory, written_by: None, runs_as });
        }
        metadata => metadata.map_err(StartError::io("open", &directory))?,
    };
    let has_other_owner = account.must_switch && metadata.uid() != account.uid;
    let mut entries = fs::read_dir(&directory).map_err(StartError::io("open", &directory))?;
    if has_other_owner && entries.next().is_some() {
        return Err(StartError::DirectoryNotEmpty { directory });
    }
    if !account.must_switch {
        writable(&directory)?;
    }
    // The lock is held for a moment only, but a start during that moment would fail with `AlreadyRunning`.
    let lock = directory.join(LOCK);
    if let Ok(mut lock) = File::open(&lock) {
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                return Err(StartError::AlreadyRunning { directory, pid: instance::holder(&mut lock) });
            }
            Err(TryLockError::Error(_)) => {}
            Ok(()) => lock.unlock().map_err(StartError::io("unlock", &directory))?,
        }
    }
    let data = directory.join("data");
    let written_by = cluster::written_by(&data)?;
    Ok(Data { directory, written_by, runs_as })
}

fn temporary(named: Option<&Path>) -> Result<Data, StartError> {
    let account = Account::to_run_as(None)?;
    let in_memory = Path::new(instance::IN_MEMORY);
    let has_memory = named.is_none() && instance::has_space(in_memory) && writable(in_memory).is_ok();
    let directory = match named {
        Some(named) => named.to_path_buf(),
        None if has_memory => in_memory.to_path_buf(),
        None => instance::temporary_place(&account),
    };
    writable(&directory)?;
    Ok(Data { directory, written_by: None, runs_as: account.must_switch.then_some(account.name) })
}

fn writable(directory: &Path) -> Result<(), StartError> {
    access(directory, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|cause| StartError::io("write in", directory)(cause.into()))
}
