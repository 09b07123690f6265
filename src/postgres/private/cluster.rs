//! Cluster on disk: creation, detection, and clean-up after a crash.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::Signal;

use super::instance::Instance;
use super::programs::Programs;
use super::{Durability, ROLE, StartError, leftovers, server, sockets};

/// Prefix of the name of an unfinished cluster; the process id of its creator follows.
const UNFINISHED: &str = "data.new";

/// Returns the major version that wrote the cluster in this directory, or `None` if no cluster exists yet.
pub(super) fn written_by(data: &Path) -> Result<Option<u32>, StartError> {
    let other_files = || StartError::DirectoryNotEmpty { directory: data.to_path_buf() };
    match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| other_files()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let empty = fs::read_dir(data).map_or(true, |mut entries| entries.next().is_none());
            if empty { Ok(None) } else { Err(other_files()) }
        }
        Err(cause) => Err(StartError::io("read", data)(cause)),
    }
}

/// Creates a new cluster. The cluster gets its final name only when it is complete, so a start that is killed half-way
/// leaves nothing that looks like a cluster.
pub(super) fn make(instance: &Instance, programs: &Programs, durability: Durability) -> Result<(), StartError> {
    remove_unfinished(&instance.directory);
    let initdb = programs.initdb();
    let unfinished = instance.directory.join(format!("{UNFINISHED}.{}", std::process::id()));
    let mut command = instance.account.command(&initdb, &instance.directory);
    command.arg("-D").arg(&unfinished).args(["-U", ROLE, "-A", "trust", "-E", "UTF8"]).args([
        "--no-locale",
        "--no-instructions",
        "--wal-segsize=1",
    ]);
    if durability == Durability::Temporary {
        command.arg("--no-sync");
    }
    // SIGKILL: during a clean shutdown the old process could still write to, or delete, the files of the next start.
    server::set_parent_death_signal(&mut command, Signal::KILL);
    let completed = command.output().map_err(|cause| server::spawn_error(instance, &initdb, cause))?;
    if !completed.status.success() {
        let output = [completed.stdout, completed.stderr].concat();
        remove_unfinished(&instance.directory);
        return Err(StartError::InitdbFailed { output: String::from_utf8_lossy(&output).trim().to_owned() });
    }
    fs::rename(&unfinished, instance.data()).map_err(StartError::io("rename", &unfinished))?;
    if durability == Durability::Persistent {
        // Data committed from now on must not depend on a rename that a power failure could undo.
        fs::File::open(&instance.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(StartError::io("sync", &instance.directory))?;
    }
    Ok(())
}

/// Cleans up after a crash of the last run: stops its server, if that is still running, and removes its lock files.
pub(super) fn clear(instance: &Instance, socket_directory: &Path) -> Result<(), StartError> {
    let data = instance.data();
    let locks = [data.join("postmaster.pid"), socket_directory.join(format!("{}.lock", sockets::NAME))];
    if !locks.iter().any(|lock| lock.exists()) {
        return Ok(());
    }
    if !leftovers::stop(&data) {
        return Err(StartError::Timeout {
            what: "stopping a postgresql left over from an earlier run",
            after: leftovers::STOP_TIMEOUT,
            log: instance.log(),
        });
    }
    for lock in locks {
        match fs::remove_file(&lock) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(StartError::io("delete", &lock)(cause));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Deletes unfinished clusters of starts that were killed. The caller holds the lock of the directory, so none of them
/// is in use. One that cannot be deleted does no harm, since the process id of its creator is part of its name.
fn remove_unfinished(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes())
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, path = %entry.path().display(), "could not delete an unfinished cluster");
        }
    }
}
