//! What a start would find, found out without starting or changing anything.

use super::account::Account;
use super::instance::{self, LOCK};
use super::programs::{self, Programs};
use super::{Durability, Options, StartError, cluster};
use rustix::fs::{Access, access};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What a start would use.
#[derive(Debug)]
pub(crate) struct Checkup {
    /// The installations that were found, newest first: major version and directory; or why there is none.
    pub programs: Result<Vec<(u32, PathBuf)>, StartError>,
    /// Where the data is or would be; or why it cannot be there.
    pub data: Result<Data, StartError>,
}

/// Where the data is or would be.
#[derive(Debug)]
pub(crate) struct Data {
    /// The directory.
    pub directory: PathBuf,
    /// The major version that wrote what is there; `None`: there is nothing yet.
    pub written_by: Option<u32>,
    /// The user that PostgreSQL would run as, where that is not the one who asks.
    pub runs_as: Option<String>,
}

/// Looks at what [`super::PrivatePostgres::start`] would use.
pub(crate) fn checkup(options: &Options) -> Checkup {
    let found = programs::find(options.bin_directory.as_deref());
    let data = match options.durability {
        Durability::Persistent => {
            persistent_data(options.data_directory.as_deref(), found.as_deref().unwrap_or_default())
        }
        Durability::Temporary => temporary(options.data_directory.as_deref()),
    };
    let known = |found: Vec<Programs>| found.into_iter().map(|it| (it.major, it.directory)).collect();
    Checkup { programs: found.map(known), data }
}

fn persistent_data(named: Option<&Path>, found: &[Programs]) -> Result<Data, StartError> {
    let directory = named.map_or_else(instance::default_directory, |directory| Ok(directory.to_path_buf()))?;
    let account = Account::to_run_as(Some(&directory))?;
    let runs_as = account.switch.then(|| account.name.clone());
    let metadata = match fs::metadata(&directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            // It would be made, with what is missing above it.
            let above = directory.ancestors().skip(1).find(|above| above.exists()).unwrap_or(Path::new("."));
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            writable(above)?;
            return Ok(Data { directory, written_by: None, runs_as });
        }
        metadata => metadata.map_err(StartError::io("open", &directory))?,
    };
    let is_strange = account.switch && metadata.uid() != account.uid;
    let mut entries = fs::read_dir(&directory).map_err(StartError::io("open", &directory))?;
    if is_strange && entries.next().is_some() {
        return Err(StartError::ForeignDirectory { directory });
    }
    if !account.switch {
        writable(&directory)?;
    }
    // For a moment only: a start at this very instant would be told of us.
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
    if !found.is_empty() {
        programs::choose(found, written_by, &data)?;
    }
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
    Ok(Data { directory, written_by: None, runs_as: account.switch.then_some(account.name) })
}

fn writable(directory: &Path) -> Result<(), StartError> {
    access(directory, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|cause| StartError::io("write in", directory)(cause.into()))
}
