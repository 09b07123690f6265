//! `latchkey exec -- COMMAND`: runs a command, such as a test suite, with a server of its own.

use super::background::{BackgroundError, BackgroundServer, ServerInfo, base_directory};
use super::env::{CONFLICTING_VARIABLES, variables};
use crate::config::Config;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use tokio::signal::unix::{SignalKind, signal};

/// Base of the exit code of a command that a signal has ended; the number of the signal is added.
const ENDED_BY_SIGNAL: i32 = 128;

/// Exit codes of shells for a command that does not exist, and for one that cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Error of `exec`. A command that fails is none.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The server was not started or stopped.
    #[error(transparent)]
    Server(#[from] BackgroundError),
    /// The signals of this process, or the command, cannot be watched.
    #[error("cannot watch the command: {0}")]
    Watch(#[from] io::Error),
}

/// Starts a server with these options, which `config` has parsed, runs the command, and stops the server. Returns the
/// exit code of the command.
///
/// # Errors
/// An [`ExecError`].
pub fn exec(config: &Config, options: &[OsString], command: &[OsString]) -> Result<u8, ExecError> {
    let directory = base_directory().join(format!("exec-{}", std::process::id()));
    let server = BackgroundServer::start(&directory, options, config.data_dir.is_none())?;
    let exit_code = run(command, server.info());
    server.stop()?;
    exit_code
}

/// Runs the command until it ends.
fn run(command: &[OsString], server: &ServerInfo) -> Result<u8, ExecError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    // Registered before the command starts, so that no signal ends this process before the command.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (program, arguments) = command.split_first().ok_or_else(|| io::Error::other("no command was given"))?;
    let mut command = Command::new(program);
    command.args(arguments).envs(variables(&server.url, &server.api_key));
    for name in CONFLICTING_VARIABLES {
        command.env_remove(name);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = writeln!(io::stderr(), "latchkey: cannot run {}: {error}", program.to_string_lossy());
            return Ok(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE });
        }
    };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    runtime.block_on(async {
        let mut ended = tokio::task::spawn_blocking(move || child.wait());
        loop {
            let received = tokio::select! {
                status = &mut ended => return Ok(exit_code(status.map_err(io::Error::other)??)),
                _ = terminate.recv() => Signal::TERM,
                _ = hang_up.recv() => Signal::HUP,
                // A terminal sends this signal to the command too.
                _ = interrupt.recv() => continue,
            };
            if let Some(pid) = pid {
                // An error means that the command has ended.
                let _ = kill_process(pid, received);
            }
        }
    })
}

/// Returns the exit code for the result of a command, as shells do.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| ENDED_BY_SIGNAL + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
