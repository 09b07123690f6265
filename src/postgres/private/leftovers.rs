//! Leftover processes: PostgreSQL servers that outlived the Latchkey process that started them.
//!
//! PostgreSQL checks a lock file left by a crash by whether its process id exists. A zombie (common in a container
//! whose first process does not reap) and any process with a reused id mislead that check. This module inspects the
//! processes themselves: a leftover is a running `postgres` whose working directory is the cluster. Backends of a dead
//! server count too, since they can still write; the lock files may be removed only when no process is left.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Maximum time for a leftover server to stop, over all signals.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Lock file of a cluster; its first line is the process id of the server.
const POSTMASTER_PID: &str = "postmaster.pid";

/// Process as listed by the operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: i32,
    name: String,
    /// State letter as in `ps`: `Z` is a zombie.
    state: char,
    /// Working directory; `None` if it cannot be read.
    directory: Option<PathBuf>,
    /// Command line, with the arguments separated by spaces.
    arguments: String,
}

impl Process {
    /// Returns true if this is a running PostgreSQL process of the cluster in `data`.
    fn serves(&self, data: &Path) -> bool {
        if !matches!(self.name.as_str(), "postgres" | "postmaster") || matches!(self.state, 'Z' | 'X' | 'x') {
            return false;
        }
        match &self.directory {
            Some(directory) => directory == data,
            // Root in a container may not be allowed to read the working directory of other processes. The server keeps
            // its arguments in the process list; its child processes replace them.
            None => self.arguments.contains(&format!("-D {} -c ", data.display())),
        }
    }
}

/// Stops all processes of the cluster in `data`. Returns true if none is left. Cheap if none is running.
pub(super) fn stop(data: &Path) -> bool {
    let living = living(data);
    if living.is_empty() {
        return true;
    }
    let server = server(data).filter(|server| living.contains(server));
    tracing::info!(?living, data = %data.display(), "stopping a postgresql left over from an earlier run");
    let send_signal = |signal| match (signal, server) {
        // SIGINT is sent to the server only: for its child processes it has a different meaning.
        (Signal::INT, Some(server)) => send(server, signal),
        (Signal::INT, None) => {}
        _ => self::living(data).into_iter().for_each(|pid| send(pid, signal)),
    };
    let seconds = if server.is_some() { 5 } else { 0 };
    stop_in_steps(
        &[
            (Signal::INT, Duration::from_secs(seconds)),
            (Signal::QUIT, Duration::from_secs(5)),
            (Signal::KILL, Duration::from_secs(5)),
        ],
        send_signal,
        || Ok(self::living(data).is_empty()),
    )
    .unwrap_or(false)
}

/// Sends each signal in turn until `gone` returns true, and waits at most the given time after each. Returns the last
/// result of `gone`.
pub(super) fn stop_in_steps(
    steps: &[(Signal, Duration)],
    send: impl Fn(Signal),
    mut gone: impl FnMut() -> io::Result<bool>,
) -> io::Result<bool> {
    for (signal, wait) in steps {
        if gone()? {
            return Ok(true);
        }
        send(*signal);
        let sent_at = Instant::now();
        while sent_at.elapsed() < *wait {
            if gone()? {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    gone()
}

fn send(pid: i32, signal: Signal) {
    // The process may have ended meanwhile; the error is ignored.
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Returns the process id in the lock file of the cluster.
fn server(data: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(data.join(POSTMASTER_PID)).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn living(data: &Path) -> Vec<i32> {
    processes().into_iter().filter(|process| process.serves(data)).map(|process| process.pid).collect()
}

/// Returns the visible PostgreSQL processes. The name is checked first, since reading the details of hundreds of
/// processes would take time.
#[cfg(target_os = "linux")]
fn processes() -> Vec<Process> {
    use std::fs;

    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let directory = entry.path();
            let (name, state) = name_and_state(&fs::read_to_string(directory.join("stat")).ok()?)?;
            if !name.starts_with("post") {
                return None;
            }
            let arguments = fs::read(directory.join("cmdline")).unwrap_or_default();
            Some(Process {
                pid,
                name,
                state,
                directory: fs::read_link(directory.join("cwd")).ok(),
                arguments: String::from_utf8_lossy(&arguments).replace('\0', " "),
            })
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn processes() -> Vec<Process> {
    let Ok(output) = std::process::Command::new("ps").args(["-axwwo", "pid=,stat=,args="]).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(parse_ps_line).collect()
}

/// Parses the name and the state from the text of `/proc/PID/stat`. The name is in parentheses and may itself contain
/// parentheses and spaces.
#[cfg(any(target_os = "linux", test))]
fn name_and_state(stat: &str) -> Option<(String, char)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    Some((name.to_owned(), rest.trim_start().chars().next()?))
}

/// Parses a line of `ps -axwwo pid=,stat=,args=`, for systems without `/proc`.
#[cfg(any(not(target_os = "linux"), test))]
fn parse_ps_line(line: &str) -> Option<Process> {
    let (pid, rest) = line.trim_start().split_once(' ')?;
    let (state, arguments) = rest.trim_start().split_once(' ')?;
    let arguments = arguments.trim_start();
    let program = arguments.split(" -D ").next()?;
    Some(Process {
        pid: pid.parse().ok()?,
        name: program.rsplit('/').next()?.to_owned(),
        state: state.chars().next()?,
        directory: None,
        arguments: arguments.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str, state: char, directory: Option<&str>, arguments: &str) -> Process {
        Process {
            pid: 7,
            name: name.to_owned(),
            state,
            directory: directory.map(PathBuf::from),
            arguments: arguments.to_owned(),
        }
    }

    #[test]
    fn proc_stat_is_parsed_into_name_and_state() {
        for (stat, expected) in [
            ("42 (postgres) S 1 42 42 0 -1", Some(("postgres", 'S'))),
            ("42 (postgres) Z 1 42 42 0 -1", Some(("postgres", 'Z'))),
            ("42 (a) (b) R) D 1 0", Some(("a) (b) R", 'D'))),
            ("42 (tmux: server) S 1", Some(("tmux: server", 'S'))),
            ("42 (postgres)", None),
            ("", None),
        ] {
            let expected = expected.map(|(name, state)| (name.to_owned(), state));
            assert_eq!(name_and_state(stat), expected, "{stat}");
        }
    }

    #[test]
    fn leftover_is_a_running_postgres_in_the_same_directory() {
        let arguments = "/usr/lib/postgresql/15/bin/postgres -D /d/data -c port=5432";
        for (process, expected, why) in [
            (process("postgres", 'S', Some("/d/data"), arguments), true, "our server"),
            (process("postgres", 'S', Some("/d/data"), "postgres: checkpointer "), true, "a child of it"),
            (process("postgres", 'Z', Some("/d/data"), arguments), false, "a zombie"),
            (process("postgres", 'X', None, arguments), false, "a dead one"),
            (process("nginx", 'S', Some("/d/data"), "nginx"), false, "a reused process id"),
            (process("postgres", 'S', Some("/d/other"), arguments), false, "another cluster"),
            (process("postgres", 'S', Some("/d/data (deleted)"), arguments), false, "one whose cluster was deleted"),
            (process("postgres", 'S', None, arguments), true, "our server, its directory unreadable"),
            (
                process("postgres", 'S', None, "postgres -D /d/data2 -c port=1"),
                false,
                "another, its directory unreadable",
            ),
        ] {
            assert_eq!(process.serves(Path::new("/d/data")), expected, "{why}");
        }
    }

    #[test]
    fn ps_line_is_parsed_into_a_process() {
        let line = "  501 Ss   /Applications/My App/bin/postgres -D /Users/a b/data -c port=5432";
        let found = parse_ps_line(line).unwrap();
        assert_eq!((found.pid, found.name.as_str(), found.state), (501, "postgres", 'S'));
        assert!(found.serves(Path::new("/Users/a b/data")));
        assert!(!parse_ps_line("  502 Z    (postgres)").unwrap().serves(Path::new("/d")));
        assert_eq!(parse_ps_line("garbage"), None);
    }

    #[test]
    fn signals_escalate_until_the_process_is_gone() {
        let sent = std::cell::RefCell::new(Vec::new());
        let steps = [Signal::INT, Signal::QUIT, Signal::KILL].map(|signal| (signal, Duration::ZERO));
        let gone = stop_in_steps(
            &steps,
            |signal| sent.borrow_mut().push(signal),
            || Ok(sent.borrow().contains(&Signal::QUIT)),
        );
        assert!(gone.unwrap());
        assert_eq!(*sent.borrow(), [Signal::INT, Signal::QUIT]);
    }
}
