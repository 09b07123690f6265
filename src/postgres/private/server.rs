//! Server process: start, readiness check and stop.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::instance::Instance;
use super::leftovers::stop_in_steps;
use super::programs::Programs;
use super::sockets::SocketDirectory;
use super::{Durability, ROLE, StartError};

/// Maximum time until the server is ready, including recovery after a crash.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Interval of the readiness check. That of `pg_ctl` is 100 ms, longer than a whole warm start (about 40 ms).
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Number of log lines in an error.
const TAIL: usize = 20;

/// Running server, stopped when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    durability: Durability,
    /// When dropped, ends the thread that started the server (see [`spawn_from_own_thread`]).
    _keeper: mpsc::Sender<()>,
}

impl Server {
    /// Starts the server and waits until it accepts connections.
    pub(super) fn start(
        instance: &Instance,
        programs: &Programs,
        sockets: &SocketDirectory,
        durability: Durability,
    ) -> Result<Self, StartError> {
        let postgres = programs.postgres();
        let mut command = instance.account.command(&postgres, &instance.directory);
        command.arg("-D").arg(instance.data());
        for (name, value) in settings(durability) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
            .arg("-c")
            .arg(socket_setting(&sockets.path))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(instance.new_log()?)
            // Own process group: Ctrl-C in a terminal goes to the whole group, and would stop the database while
            // requests are still being served.
            .process_group(0);
        // A clean shutdown of persistent data costs 20 ms and saves a recovery. Temporary data need not be written
        // first.
        set_parent_death_signal(&mut command, durability.stop_signal());
        let (child, keeper) =
            spawn_from_own_thread(command).map_err(|cause| spawn_error(instance, &postgres, cause))?;
        let mut server = Self { child, durability, _keeper: keeper };
        server.wait_until_ready(instance, &sockets.socket())?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the reason why the server has ended; `None` while it is running.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Stops the server if it is still running: first with the stop signal for its durability, and finally by force.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        let stop_signal = self.durability.stop_signal();
        let stopped = stop_in_steps(
            &[
                (stop_signal, Duration::from_secs(10)),
                (Signal::QUIT, Duration::from_secs(5)),
                (Signal::KILL, Duration::from_secs(5)),
            ],
            // The server is a child process that has not been waited for, so its process id cannot have been reused.
            |signal| {
                let _ = kill_process(pid, signal);
            },
            || self.child.try_wait().map(|status| status.is_some()),
        )?;
        if stopped {
            Ok(())
        } else {
            Err(io::Error::other(format!("postgresql (process {}) does not stop", self.child.id())))
        }
    }

    fn wait_until_ready(&mut self, instance: &Instance, socket: &Path) -> Result<(), StartError> {
        let started_at = Instant::now();
        let log = instance.log();
        while !answers(socket).unwrap_or(false) {
            let ended = self.child.try_wait().map_err(StartError::io("watch", &log))?;
            if ended.is_some() {
                let tail = tail(&log);
                return Err(StartError::StartFailed { log, tail });
            }
            if started_at.elapsed() > START_TIMEOUT {
                return Err(StartError::Timeout { what: "starting postgresql", after: START_TIMEOUT, log });
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "could not stop the private postgresql");
        }
    }
}

/// Settings on the command line of the server. They take precedence over those in its files.
fn settings(durability: Durability) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        ("cluster_name", "latchkey"),
        ("listen_addresses", ""),
        ("port", "5432"),
        ("unix_socket_permissions", "0700"),
        ("max_connections", "64"),
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        ("max_logical_replication_workers", "0"),
        ("max_wal_size", "256MB"),
        ("jit", "off"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("log_checkpoints", "off"),
    ];
    settings.extend(match durability {
        Durability::Persistent => [("shared_buffers", "32MB")].as_slice(),
        Durability::Temporary => {
            // A commit is still written to the operating system before it is confirmed, so it survives the death of a
            // process.
            &[("shared_buffers", "64MB"), ("fsync", "off"), ("full_page_writes", "off")]
        }
    });
    settings
}

/// Returns the argument for `unix_socket_directories`. The setting is a list, so a path with a comma needs quotes.
fn socket_setting(directory: &Path) -> OsString {
    let quoted = directory.to_string_lossy().replace('"', "\"\"");
    let mut setting = OsString::from("unix_socket_directories=\"");
    setting.push(quoted);
    setting.push("\"");
    setting
}

/// Makes the operating system send `signal` to the child process when this process dies, even by `kill -9`. On systems
/// without this feature (macOS), the next start stops what is still running.
pub(super) fn set_parent_death_signal(command: &mut Command, signal: Signal) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpid, getppid, set_parent_process_death_signal};

        let parent = getpid();
        let request = move || {
            set_parent_process_death_signal(Some(signal))?;
            // If this process died before the request, the signal never arrives.
            if getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
        };
        #[expect(unsafe_code, reason = "only the child itself can make this request, between fork and exec")]
        // SAFETY: between fork and exec of a program with threads only async-signal-safe functions are allowed; this
        // makes two system calls and neither allocates nor locks.
        unsafe {
            command.pre_exec(request);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (command, signal);
}

/// Starts the process from a dedicated thread, which runs until the returned sender is dropped. The signal of
/// [`set_parent_death_signal`] is sent when the *thread* that started the process ends, and the thread of a caller may
/// be a worker that ends when idle.
fn spawn_from_own_thread(mut command: Command) -> io::Result<(Child, mpsc::Sender<()>)> {
    let (spawned_sender, spawned) = mpsc::channel();
    let (keeper, release) = mpsc::channel::<()>();
    thread::Builder::new().name("postgres keeper".to_owned()).spawn(move || {
        if spawned_sender.send(command.spawn()).is_ok() {
            // No message is ever sent: this returns when the sender is dropped.
            let _ = release.recv();
        }
    })?;
    let child = spawned.recv().map_err(|_| io::Error::other("the thread that starts it ended"))??;
    Ok((child, keeper))
}

/// Returns the error for a program that could not be started in the directory of the instance.
pub(super) fn spawn_error(instance: &Instance, program: &Path, cause: io::Error) -> StartError {
    let account = &instance.account;
    let inaccessible = [instance.directory.as_path(), program]
        .into_iter()
        .filter(|_| account.must_switch && cause.kind() == io::ErrorKind::PermissionDenied)
        .find_map(|path| Some((path, account.inaccessible_directory(path)?)));
    match inaccessible {
        Some((path, inaccessible)) => {
            StartError::Unreachable { path: path.to_path_buf(), inaccessible, user: account.name.clone() }
        }
        None => StartError::io("run", program)(cause),
    }
}

/// Returns true if the server accepts a connection of the role. While it is recovering it responds with an error.
fn answers(socket: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(&startup_packet()?)?;
    let mut response = [0; 9];
    stream.read_exact(&mut response)?;
    let authentication_ok = *b"R\0\0\0\x08\0\0\0\0";
    if response != authentication_ok {
        return Ok(false);
    }
    let terminate = b"X\0\0\0\x04";
    stream.write_all(terminate)?;
    Ok(true)
}

/// Returns the first message of the PostgreSQL protocol 3.0.
fn startup_packet() -> io::Result<Vec<u8>> {
    let parameters = format!("user\0{ROLE}\0database\0postgres\0\0");
    let length = u32::try_from(8 + parameters.len()).map_err(io::Error::other)?;
    let mut packet = length.to_be_bytes().to_vec();
    packet.extend(196_608_u32.to_be_bytes());
    packet.extend(parameters.as_bytes());
    Ok(packet)
}

fn tail(log: &PathBuf) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_directory_with_a_comma_is_quoted() {
        assert_eq!(socket_setting(Path::new("/a, \"b\"")), "unix_socket_directories=\"/a, \"\"b\"\"\"");
    }

    #[test]
    fn settings_risk_data_loss_only_for_temporary_data() {
        let risky = |durability| {
            settings(durability)
                .iter()
                .any(|(name, _)| ["fsync", "full_page_writes", "synchronous_commit"].contains(name))
        };
        assert!(!risky(Durability::Persistent));
        assert!(risky(Durability::Temporary));
        let names = settings(Durability::Temporary);
        assert!(
            names.iter().all(|(name, _)| *name != "synchronous_commit"),
            "confirmed commits must survive the crash of a backend"
        );
    }

    #[test]
    fn startup_packet_length_includes_itself() {
        let packet = startup_packet().unwrap();
        assert_eq!(packet[..4], u32::try_from(packet.len()).unwrap().to_be_bytes());
    }

    #[test]
    fn process_keeps_running_after_the_thread_that_requested_it_ends() {
        let mut command = Command::new("sleep");
        command.arg("60");
        set_parent_death_signal(&mut command, Signal::KILL);
        let (mut child, keeper) = thread::spawn(|| spawn_from_own_thread(command)).join().unwrap().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        drop(keeper);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
