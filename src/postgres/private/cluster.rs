//! The cluster on disk: making it, recognising it, and clearing away what a crash left.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::Signal;

use super::instance::Instance;
use super::programs::Programs;
use super::{Durability, ROLE, StartError, leftovers, server, sockets};

/// What an unfinished cluster is called; the process id of its maker follows.
const UNFINISHED: &str = "data.new";

/// The major version that wrote the cluster in this directory, or `None` if there is no cluster yet.
pub(super) fn written_by(data: &Path) -> Result<Option<u32>, StartError> {
    let foreign = || StartError::ForeignDirectory { directory: data.to_path_buf() };
    match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| foreign()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let empty = fs::read_dir(data).map_or(true, |mut entries| entries.next().is_none());
            if empty { Ok(None) } else { Err(foreign()) }
        }
        Err(cause) => Err(StartError::io("read", data)(cause)),
    }
}

/// Makes a new cluster. It gets its name only when it is complete, so a start killed half-way leaves nothing that looks like one.
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
    // Killed outright: while winding down by itself it could still write to, or delete, what our successor is making.
    server::die_with_us(&mut command, Signal::KILL);
    let answer = command.output().map_err(|cause| server::not_spawned(instance, &initdb, cause))?;
    if !answer.status.success() {
        let output = [answer.stdout, answer.stderr].concat();
        remove_unfinished(&instance.directory);
        return Err(StartError::InitdbFailed { output: String::from_utf8_lossy(&output).trim().to_owned() });
    }
    fs::rename(&unfinished, instance.data()).map_err(StartError::io("rename", &unfinished))?;
    if durability == Durability::Persistent {
        // What is committed from now on must not hang on a name that a power cut takes back.
        fs::File::open(&instance.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(StartError::io("sync", &instance.directory))?;
    }
    Ok(())
}

/// Clears away what a crash left of the last run: its server, if that still lives, and then its lock files.
pub(super) fn clear(instance: &Instance, socket_directory: &Path) -> Result<(), StartError> {
    let data = instance.data();
    let locks = [data.join("postmaster.pid"), socket_directory.join(format!("{}.lock", sockets::NAME))];
    if !locks.iter().any(|lock| lock.exists()) {
        return Ok(());
    }
    if !leftovers::stop(&data) {
        return Err(StartError::Timeout {
            what: "stopping a postgresql left over from before",
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

/// Deletes the clusters of starts that were killed half-way; we hold the lock, so none is being made. One that cannot be deleted is in
/// nobody's way, as its maker's process id is part of its name.
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
