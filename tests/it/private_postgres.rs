//! The private PostgreSQL against a real one: the traps that starting a database oneself lays.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use latchkey::testing::postgres::private::{Durability, Options, PrivatePostgres, StartError};
use sqlx::Connection as _;
use tempfile::TempDir;

/// Copies a program by another process: a process that another test starts meanwhile would inherit the open file, and
/// what somebody has open to write cannot be run.
fn copy_program(program: &str, to: &Path) {
    assert!(Command::new("cp").arg(program).arg(to).status().unwrap().success());
}

/// A directory that the user PostgreSQL runs as can enter, and that is deleted in the end. In memory where there is some.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn kept(directory: &Path) -> Options {
    Options { data_directory: Some(directory.to_path_buf()), bin_directory: None, durability: Durability::Persistent }
}

fn throw_away(folder: &Path) -> Options {
    Options { durability: Durability::Temporary, ..kept(folder) }
}

/// Starts on kept data, the refusal being the point.
fn refusal(directory: &Path) -> StartError {
    PrivatePostgres::start(&kept(directory)).unwrap_err()
}

/// Runs a query that answers with one text.
fn ask(server: &PrivatePostgres, query: &'static str) -> Result<String, sqlx::Error> {
    ask_at(&server.url(), query)
}

fn ask_at(url: &str, query: &'static str) -> Result<String, sqlx::Error> {
    wait_for(async {
        let mut connection = sqlx::PgConnection::connect(url).await?;
        sqlx::query_scalar(query).fetch_one(&mut connection).await
    })
}

fn run(server: &PrivatePostgres, statement: &'static str) {
    wait_for(async {
        let mut connection = sqlx::PgConnection::connect(&server.url()).await?;
        sqlx::query(statement).execute(&mut connection).await
    })
    .unwrap();
}

fn wait_for<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn we_are_root() -> bool {
    // A directory just made is its maker's.
    fs::metadata(folder().path()).unwrap().uid() == 0
}

/// What the server wrote into its lock file, and so its process id.
fn server_of(directory: &Path) -> u32 {
    let text = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

/// A zombie does not live: in a container there may be nobody who reaps it.
#[cfg(target_os = "linux")]
fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

#[cfg(not(target_os = "linux"))]
fn lives(pid: u32) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    !state.stdout.is_empty() && !state.stdout.starts_with(b"Z")
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A Latchkey in a process of its own, killed in the end.
struct Program(Child);

impl Program {
    fn command(program: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .args(["--port", "0", "--data-dir"])
            .arg(directory)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn start(directory: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_latchkey"));
        Self(Self::command(program, directory).spawn().unwrap())
    }

    /// Waits for the program to be ready, or to end.
    fn is_ready(&mut self) -> bool {
        BufReader::new(self.0.stdout.as_mut().unwrap()).lines().any(|line| line.unwrap().starts_with("ready"))
    }

    /// Waits for the program to end.
    fn complaint(&mut self) -> String {
        let mut complaint = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        complaint
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes what a crashed server would have left, had it had the process id `pid`.
fn leave_locks(directory: &Path, pid: u32) {
    let text = format!("{pid}\n{0}/data\n1700000000\n5432\n{0}\n\n", directory.display());
    let owner = fs::metadata(directory.join("data")).unwrap();
    for lock in ["data/postmaster.pid", ".s.PGSQL.5432.lock"] {
        let lock = directory.join(lock);
        fs::write(&lock, &text).unwrap();
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&lock, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

/// Makes a cluster in a new directory and stops its server.
fn stopped_cluster() -> (TempDir, PathBuf) {
    let folder = folder();
    let directory = folder.path().join("kept");
    PrivatePostgres::start(&kept(&directory)).unwrap().stop().unwrap();
    (folder, directory)
}

/// A command that runs as the owner of the cluster.
fn as_owner(program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    if we_are_root() {
        let owner = fs::metadata(directory.join("data")).unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

#[test]
fn kept_data_is_there_after_a_restart() {
    let folder = folder();
    let directory = folder.path().join("not/yet/there");
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    run(&server, "create table note (text text)");
    run(&server, "insert into note values ('remember')");
    assert_eq!(ask(&server, "show fsync").unwrap(), "on");
    assert_eq!(ask(&server, "show synchronous_commit").unwrap(), "on");
    let pid = server.pid();
    server.stop().unwrap();
    assert!(!lives(pid));
    let control = fs::read_to_string(directory.join("postgres.log")).unwrap();
    assert!(control.contains("database system is shut down"), "{control}");
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    assert_eq!(ask(&server, "select text from note").unwrap(), "remember");
}

#[test]
fn thrown_away_data_leaves_nothing_behind() {
    let folder = folder();
    let server = PrivatePostgres::start(&throw_away(folder.path())).unwrap();
    assert_eq!(ask(&server, "show fsync").unwrap(), "off");
    let (directory, pid) = (server.data_directory().to_path_buf(), server.pid());
    assert!(directory.starts_with(folder.path()));
    server.stop().unwrap();
    assert!(!directory.exists() && !lives(pid));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn dropping_it_stops_it_and_several_can_run_at_once() {
    let folder = folder();
    let servers = [(); 2].map(|()| PrivatePostgres::start(&throw_away(folder.path())).unwrap());
    for server in &servers {
        assert_eq!(ask(server, "select 'here'").unwrap(), "here");
    }
    let pids = servers.each_ref().map(PrivatePostgres::pid);
    drop(servers);
    assert!(!pids.into_iter().any(lives));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_data_of_a_dead_throw_away_goes_when_the_next_one_starts() {
    let folder = folder();
    let server = PrivatePostgres::start(&throw_away(folder.path())).unwrap();
    let left = folder.path().join("latchkey-throwaway-1-0");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("latchkey.lock"), "1").unwrap();
    let owner = fs::metadata(server.data_directory()).unwrap();
    std::os::unix::fs::chown(&left, Some(owner.uid()), Some(owner.gid())).unwrap();
    let _next = PrivatePostgres::start(&throw_away(folder.path())).unwrap();
    assert!(!left.exists());
    assert_eq!(ask(&server, "select 'unharmed'").unwrap(), "unharmed");
}

#[test]
fn it_outlives_the_thread_that_started_it() {
    let folder = folder();
    let options = throw_away(folder.path());
    let server = thread::spawn(move || PrivatePostgres::start(&options)).join().unwrap().unwrap();
    assert_eq!(ask(&server, "select 'alive'").unwrap(), "alive");
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_in_the_terminal_does_not_reach_it() {
    let folder = folder();
    let server = PrivatePostgres::start(&throw_away(folder.path())).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let group = stat.rsplit(')').next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(group, server.pid().to_string());
}

#[test]
fn root_runs_it_as_another_user() {
    if !we_are_root() {
        return;
    }
    let folder = folder();
    let server = PrivatePostgres::start(&throw_away(folder.path())).unwrap();
    let owner = fs::metadata(server.data_directory()).unwrap();
    assert_ne!(owner.uid(), 0);
    assert_eq!(owner.mode() & 0o777, 0o700);
    let process = fs::metadata(format!("/proc/{}", server.pid())).unwrap();
    assert_eq!(process.uid(), owner.uid());
    assert_eq!(ask(&server, "select 'root may connect'").unwrap(), "root may connect");
}

#[test]
fn root_runs_it_as_the_owner_of_an_existing_directory() {
    if !we_are_root() {
        return;
    }
    let folder = folder();
    let directory = folder.path().join("of nobody");
    fs::create_dir(&directory).unwrap();
    std::os::unix::fs::chown(&directory, Some(65534), Some(65534)).unwrap();
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    let process = fs::metadata(format!("/proc/{}", server.pid())).unwrap();
    assert_eq!(process.uid(), 65534);
}

#[test]
fn an_ordinary_user_runs_it_as_himself_and_needs_a_name() {
    if !we_are_root() {
        return;
    }
    let folder = folder();
    // The build directory may be closed to other users.
    let program = folder.path().join("latchkey");
    copy_program(env!("CARGO_BIN_EXE_latchkey"), &program);
    for (uid, named) in [(65534, true), (54321, false)] {
        let directory = folder.path().join(uid.to_string());
        fs::create_dir(&directory).unwrap();
        std::os::unix::fs::chown(&directory, Some(uid), Some(uid)).unwrap();
        let mut command = Program::command(&program, &directory);
        command.current_dir("/").uid(uid).gid(uid);
        let mut latchkey = Program(command.spawn().unwrap());
        assert_eq!(latchkey.is_ready(), named, "user {uid}");
        if !named {
            let complaint = latchkey.complaint();
            assert!(complaint.contains("no entry in /etc/passwd"), "{complaint}");
            assert!(!directory.join("data").exists());
        }
    }
}

#[test]
fn root_is_told_which_directory_is_closed_to_the_other_user() {
    if !we_are_root() {
        return;
    }
    let folder = folder();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let error = refusal(&closed.join("kept"));
    let named = matches!(&error, StartError::Unreachable { closed: found, .. } if *found == closed);
    assert!(named, "{error}");
}

#[test]
fn the_person_s_own_settings_for_postgresql_do_not_reach_it() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut command = Program::command(Path::new(env!("CARGO_BIN_EXE_latchkey")), &directory);
    command.env("PGPORT", "5999").env("PGDATESTYLE", "nonsense").env("PGSSLMODE", "require");
    let mut latchkey = Program(command.spawn().unwrap());
    assert!(latchkey.is_ready(), "{}", latchkey.complaint());
    assert!(directory.join(".s.PGSQL.5432").exists());
}

#[test]
fn a_path_of_any_characters_will_do() {
    let folder = folder();
    let directory = folder.path().join("a b,c'd\"é%2F&+");
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    assert_eq!(server.socket_directory(), directory);
    assert_eq!(ask(&server, "select 'found'").unwrap(), "found");
}

#[test]
fn a_path_too_long_for_a_socket_gets_its_socket_elsewhere() {
    let folder = folder();
    let directory = folder.path().join("long".repeat(30));
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    let sockets = server.socket_directory().to_path_buf();
    assert!(!sockets.starts_with(folder.path()));
    assert_eq!(fs::metadata(&sockets).unwrap().mode() & 0o777, 0o700);
    assert_eq!(ask(&server, "select 'found'").unwrap(), "found");
    server.stop().unwrap();
    assert!(!sockets.exists());
}

#[test]
fn locks_naming_a_process_that_is_no_postgresql_are_stale() {
    let (_place, directory) = stopped_cluster();
    let mut other = as_owner("sleep", &directory).arg("60").spawn().unwrap();
    leave_locks(&directory, other.id());
    let started = PrivatePostgres::start(&kept(&directory));
    let untouched = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(ask(&started.unwrap(), "select 'up'").unwrap(), "up");
    assert!(untouched);
}

#[test]
fn locks_naming_a_zombie_are_stale() {
    let (folder, directory) = stopped_cluster();
    let program = folder.path().join("postgres");
    copy_program("/bin/sleep", &program);
    let mut zombie = as_owner(&program, &directory).arg("0").spawn().unwrap();
    eventually("it ends", || !lives(zombie.id()));
    leave_locks(&directory, zombie.id());
    let started = PrivatePostgres::start(&kept(&directory));
    zombie.wait().unwrap();
    assert_eq!(ask(&started.unwrap(), "select 'up'").unwrap(), "up");
}

#[test]
fn locks_naming_the_server_of_another_directory_are_stale_and_it_is_left_alone() {
    let (folder, directory) = stopped_cluster();
    let other = PrivatePostgres::start(&throw_away(folder.path())).unwrap();
    leave_locks(&directory, other.pid());
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    assert_eq!(ask(&server, "select 'up'").unwrap(), "up");
    assert_eq!(ask(&other, "select 'left alone'").unwrap(), "left alone");
}

#[test]
fn a_server_whose_latchkey_is_gone_is_replaced() {
    let (_place, directory) = stopped_cluster();
    // Where the system cannot end the server together with Latchkey, this is how it looks after a crash.
    let running = PrivatePostgres::start(&kept(&directory)).unwrap();
    let program = fs::read_link(format!("/proc/{}/exe", running.pid()));
    running.stop().unwrap();
    let Ok(program) = program else {
        return;
    };
    let mut orphan = as_owner(program, &directory)
        .arg("-D")
        .arg(directory.join("data"))
        .args(["-c", "listen_addresses=", "-c"])
        .arg(format!("unix_socket_directories={}", directory.display()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it listens", || directory.join(".s.PGSQL.5432").exists());
    let server = PrivatePostgres::start(&kept(&directory));
    let ended = orphan.try_wait().unwrap();
    let _ = orphan.kill();
    orphan.wait().unwrap();
    assert!(ended.is_some());
    assert_eq!(ask(&server.unwrap(), "select 'up'").unwrap(), "up");
}

#[test]
fn what_was_committed_survives_the_killing_of_the_server_and_its_children_go() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    run(&server, "create table note as select 'remember' as text");
    let url = server.url();
    let busy = thread::spawn(move || ask_at(&url, "select count(*)::text from generate_series(1, 100000000000)"));
    let is_busy = "select count(*)::text from pg_stat_activity where query like 'select count(*)::text from gen%' and state = 'active'";
    eventually("it is busy", || ask(&server, is_busy).unwrap() == "1");
    let killed = Command::new("kill").args(["-9", &server.pid().to_string()]).status().unwrap();
    assert!(killed.success());
    eventually("it is dead", || !lives(server.pid()));
    drop(server);
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    assert!(busy.join().unwrap().is_err());
    assert_eq!(ask(&server, "select text from note").unwrap(), "remember");
}

#[test]
fn a_first_start_that_was_killed_is_begun_anew() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut latchkey = Program::start(&directory);
    let unfinished = || {
        fs::read_dir(&directory)
            .is_ok_and(|mut entries| entries.any(|entry| entry.unwrap().path().join("PG_VERSION").exists()))
    };
    eventually("initdb is at work", unfinished);
    latchkey.kill();
    assert!(!directory.join("data").exists());
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    assert_eq!(ask(&server, "select 'up'").unwrap(), "up");
    let unfinished = fs::read_dir(&directory)
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_str().unwrap().starts_with("data.new")
        })
        .count();
    assert_eq!(unfinished, 0);
}

#[test]
fn a_second_one_on_the_same_directory_is_told_who_has_it() {
    let folder = folder();
    let server = PrivatePostgres::start(&kept(folder.path())).unwrap();
    let error = refusal(folder.path());
    let us = std::process::id();
    let named = matches!(error, StartError::AlreadyRunning { pid: Some(pid), .. } if pid == us);
    assert!(named, "{error}");
    assert_eq!(ask(&server, "select 'unharmed'").unwrap(), "unharmed");
}

#[test]
fn of_two_first_starts_at_once_one_succeeds_and_the_other_says_why_not() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut both = [Program::start(&directory), Program::start(&directory)];
    let ready = both.each_mut().map(Program::is_ready);
    assert!(ready[0] != ready[1], "{ready:?}");
    let complaint = both[usize::from(ready[0])].complaint();
    assert!(complaint.contains("another latchkey"), "{complaint}");
}

#[cfg(target_os = "linux")]
#[test]
fn killing_latchkey_leaves_no_server_behind_and_no_damage() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut latchkey = Program::start(&directory);
    assert!(latchkey.is_ready());
    let server = server_of(&directory);
    assert!(lives(server));
    latchkey.kill();
    eventually("the server ends", || !lives(server));
    let mut latchkey = Program::start(&directory);
    assert!(latchkey.is_ready());
}

#[cfg(target_os = "linux")]
#[test]
fn a_start_while_the_last_server_is_still_stopping_waits_for_it() {
    let folder = folder();
    let directory = folder.path().join("kept");
    for _ in 0..3 {
        let mut latchkey = Program::start(&directory);
        assert!(latchkey.is_ready(), "{}", latchkey.complaint());
        latchkey.kill();
    }
    let server = PrivatePostgres::start(&kept(&directory)).unwrap();
    assert_eq!(ask(&server, "select 'up'").unwrap(), "up");
}

#[test]
fn data_of_another_major_version_is_not_touched() {
    let (_place, directory) = stopped_cluster();
    fs::write(directory.join("data/PG_VERSION"), "13\n").unwrap();
    let error = refusal(&directory);
    let text = error.to_string();
    assert!(matches!(error, StartError::MajorVersionMismatch { written_by: 13, .. }), "{text}");
    let remedy = format!("rm -r {}", directory.join("data").display());
    assert!(text.contains(&remedy), "{text}");
    assert!(directory.join("data/global").exists());
}

#[test]
fn a_directory_of_other_things_is_not_touched() {
    let folder = folder();
    let precious = folder.path().join("data/precious");
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(&precious, "mine").unwrap();
    let error = refusal(folder.path());
    assert!(matches!(error, StartError::ForeignDirectory { .. }), "{error}");
    assert!(precious.exists());
}

#[test]
fn a_named_directory_without_the_programs_is_an_error_and_nothing_is_made() {
    let folder = folder();
    let options = Options { bin_directory: Some(folder.path().to_path_buf()), ..kept(&folder.path().join("kept")) };
    let error = PrivatePostgres::start(&options).unwrap_err();
    assert!(matches!(error, StartError::NotPrograms { .. }), "{error}");
    assert!(!folder.path().join("kept").exists());
}

#[test]
fn a_machine_without_postgresql_is_offered_three_ways_out() {
    let text = StartError::NoPrograms.to_string();
    for way in ["apt-get install postgresql", "PG_BIN_DIR=", "DATABASE_URL="] {
        assert!(text.contains(way), "{text}");
    }
}

#[test]
fn a_server_that_does_not_start_shows_the_end_of_its_log() {
    let (_place, directory) = stopped_cluster();
    fs::write(directory.join("data/postgresql.conf"), "nonsense = on\n").unwrap();
    let error = refusal(&directory);
    assert!(matches!(error, StartError::StartFailed { .. }), "{error}");
    assert!(error.to_string().contains("nonsense"), "{error}");
}
