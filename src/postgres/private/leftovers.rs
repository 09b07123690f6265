//! Servers that outlived the Latchkey that started them.
//!
//! PostgreSQL judges a lock file left by a crash by whether its process id exists, and so is fooled by a zombie (usual in a container
//! whose first process does not reap) and by any process that has been given the same id since. Here the processes themselves are looked
//! at: one counts if it is a living `postgres` whose working directory is the cluster. Backends of a dead server count too, since they
//! can still write; only when none is left is it safe to remove the lock files.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server left over from before may take to stop, all signals together.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// The first line of this file in a cluster is its server's process id.
const POSTMASTER_PID: &str = "postmaster.pid";

/// What a process tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: i32,
    name: String,
    /// The letter that `ps` shows: `Z` is a zombie.
    state: char,
    /// The working directory, where it can be read.
    directory: Option<PathBuf>,
    /// The command line, its arguments separated by spaces.
    arguments: String,
}

impl Process {
    /// Whether this is a living PostgreSQL process of the cluster in `data`.
    fn serves(&self, data: &Path) -> bool {
        if !matches!(self.name.as_str(), "postgres" | "postmaster") || matches!(self.state, 'Z' | 'X' | 'x') {
            return false;
        }
        match &self.directory {
            Some(directory) => directory == data,
            // Root in a container may be refused the working directory of others. The server, unlike its children, keeps its arguments.
            None => self.arguments.contains(&format!("-D {} -c ", data.display())),
        }
    }
}

/// Stops every process of the cluster in `data` and answers whether none is left. Cheap when nothing was left behind.
pub(super) fn stop(data: &Path) -> bool {
    let living = living(data);
    if living.is_empty() {
        return true;
    }
    let server = server(data).filter(|server| living.contains(server));
    tracing::info!(?living, data = %data.display(), "stopping a postgresql left over from before");
    let polite = |signal| match (signal, server) {
        // To its children the signal for a clean stop would mean something else.
        (Signal::INT, Some(server)) => send(server, signal),
        (Signal::INT, None) => {}
        _ => self::living(data).into_iter().for_each(|pid| send(pid, signal)),
    };
    let patience = if server.is_some() { 5 } else { 0 };
    stop_in_steps(
        &[
            (Signal::INT, Duration::from_secs(patience)),
            (Signal::QUIT, Duration::from_secs(5)),
            (Signal::KILL, Duration::from_secs(5)),
        ],
        polite,
        || Ok(self::living(data).is_empty()),
    )
    .unwrap_or(false)
}

/// Sends each signal in turn until `gone` answers yes, waiting after each for at most its time. Answers whether it did.
pub(super) fn stop_in_steps(
    steps: &[(Signal, Duration)],
    send: impl Fn(Signal),
    mut gone: impl FnMut() -> io::Result<bool>,
) -> io::Result<bool> {
    for (signal, patience) in steps {
        if gone()? {
            return Ok(true);
        }
        send(*signal);
        let begun = Instant::now();
        while begun.elapsed() < *patience {
            if gone()? {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    gone()
}

fn send(pid: i32, signal: Signal) {
    // A process that has ended meanwhile is as good as one that ends.
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// The process id in the cluster's lock file.
fn server(data: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(data.join(POSTMASTER_PID)).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn living(data: &Path) -> Vec<i32> {
    processes().into_iter().filter(|process| process.serves(data)).map(|process| process.pid).collect()
}

/// The processes that can be seen; the name decides early, since reading the rest of hundreds of them would take time.
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
    let Ok(answer) = std::process::Command::new("ps").args(["-axwwo", "pid=,stat=,args="]).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&answer.stdout).lines().filter_map(listed).collect()
}

/// The name and the state in the text of a `/proc/PID/stat`. The name stands in brackets and may itself hold brackets and spaces.
#[cfg(any(target_os = "linux", test))]
fn name_and_state(stat: &str) -> Option<(String, char)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    Some((name.to_owned(), rest.trim_start().chars().next()?))
}

/// A line of `ps -axwwo pid=,stat=,args=`, for systems without `/proc`.
#[cfg(any(not(target_os = "linux"), test))]
fn listed(line: &str) -> Option<Process> {
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
    fn name_and_state_are_read_from_stat() {
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
    fn only_a_living_postgres_in_the_same_directory_is_a_leftover() {
        let ours = "/usr/lib/postgresql/15/bin/postgres -D /d/data -c port=5432";
        for (process, expected, why) in [
            (process("postgres", 'S', Some("/d/data"), ours), true, "our server"),
            (process("postgres", 'S', Some("/d/data"), "postgres: checkpointer "), true, "a child of it"),
            (process("postgres", 'Z', Some("/d/data"), ours), false, "a zombie"),
            (process("postgres", 'X', None, ours), false, "a dead one"),
            (process("nginx", 'S', Some("/d/data"), "nginx"), false, "a reused process id"),
            (process("postgres", 'S', Some("/d/other"), ours), false, "another cluster"),
            (process("postgres", 'S', Some("/d/data (deleted)"), ours), false, "one whose cluster was deleted"),
            (process("postgres", 'S', None, ours), true, "our server, its directory unreadable"),
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
    fn a_line_of_ps_is_a_process() {
        let line = "  501 Ss   /Applications/My App/bin/postgres -D /Users/a b/data -c port=5432";
        let found = listed(line).unwrap();
        assert_eq!((found.pid, found.name.as_str(), found.state), (501, "postgres", 'S'));
        assert!(found.serves(Path::new("/Users/a b/data")));
        assert!(!listed("  502 Z    (postgres)").unwrap().serves(Path::new("/d")));
        assert_eq!(listed("garbage"), None);
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
