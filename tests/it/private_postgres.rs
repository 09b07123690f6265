//! The private PostgreSQL, with real servers: starts, stops, crashes, stale lock files, users and directories.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::processes::is_running;
use crate::support::download;
use latchkey::testing::postgres::private::{DownloadError, Durability, Options, PrivatePostgres, StartError};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::Connection as _;
use tempfile::TempDir;

/// Copies a program in a separate process. If this process had the copy open for writing, a process that another test
/// starts meanwhile would inherit the open file, and a file that is open for writing cannot be executed.
fn copy_program(program: &str, to: &Path) {
    assert!(Command::new("cp").arg(program).arg(to).status().unwrap().success());
}

/// Creates a temporary directory that the user PostgreSQL runs as can enter, in memory if possible. It is deleted on
/// drop.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn persistent(directory: &Path) -> Options {
    Options {
        data_directory: Some(directory.to_path_buf()),
        bin_directory: None,
        download: download(),
        durability: Durability::Persistent,
    }
}

fn temporary(folder: &Path) -> Options {
    Options { durability: Durability::Temporary, ..persistent(folder) }
}

/// Returns the error of a start with persistent data that must fail.
fn start_error(directory: &Path) -> StartError {
    PrivatePostgres::start(&persistent(directory)).unwrap_err()
}

/// Runs a query that returns one text.
fn query_text(server: &PrivatePostgres, query: &'static str) -> Result<String, sqlx::Error> {
    query_text_at(&server.url(), query)
}

fn query_text_at(url: &str, query: &'static str) -> Result<String, sqlx::Error> {
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

fn is_root() -> bool {
    // A new directory belongs to the user who created it.
    fs::metadata(folder().path()).unwrap().uid() == 0
}

/// Returns the process id of a server from its lock file.
fn server_of(directory: &Path) -> u32 {
    let text = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "timeout: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A Latchkey in a separate process, killed on drop.
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

    /// Waits until the program is ready or has ended. Returns true if it is ready.
    fn is_ready(&mut self) -> bool {
        BufReader::new(self.0.stdout.as_mut().unwrap()).lines().any(|line| line.unwrap().starts_with("ready"))
    }

    /// Waits until the program has ended. Returns its standard error output.
    fn read_stderr(&mut self) -> String {
        let mut stderr = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        stderr
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

/// Writes the lock files that a crashed server with the process id `pid` would have left.
fn write_lock_files(directory: &Path, pid: u32) {
    let text = format!("{pid}\n{0}/data\n1700000000\n5432\n{0}\n\n", directory.display());
    let owner = fs::metadata(directory.join("data")).unwrap();
    for lock in ["data/postmaster.pid", ".s.PGSQL.5432.lock"] {
        let lock = directory.join(lock);
        fs::write(&lock, &text).unwrap();
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&lock, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

/// Creates a cluster in a new directory and stops its server.
fn stopped_cluster() -> (TempDir, PathBuf) {
    let folder = folder();
    let directory = folder.path().join("kept");
    PrivatePostgres::start(&persistent(&directory)).unwrap().stop().unwrap();
    (folder, directory)
}

/// Creates a command that runs as the owner of the cluster.
fn as_owner(program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    if is_root() {
        let owner = fs::metadata(directory.join("data")).unwrap();
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

#[test]
fn persistent_data_survives_a_restart() {
    let folder = folder();
    let directory = folder.path().join("not/yet/there");
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    run(&server, "create table note (text text)");
    run(&server, "insert into note values ('remember')");
    assert_eq!(query_text(&server, "show fsync").unwrap(), "on");
    assert_eq!(query_text(&server, "show synchronous_commit").unwrap(), "on");
    let pid = server.pid();
    server.stop().unwrap();
    assert!(!is_running(pid));
    let control = fs::read_to_string(directory.join("postgres.log")).unwrap();
    assert!(control.contains("database system is shut down"), "{control}");
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    assert_eq!(query_text(&server, "select text from note").unwrap(), "remember");
}

#[test]
fn temporary_data_leaves_nothing_behind() {
    let folder = folder();
    let server = PrivatePostgres::start(&temporary(folder.path())).unwrap();
    assert_eq!(query_text(&server, "show fsync").unwrap(), "off");
    let (directory, pid) = (server.data_directory().to_path_buf(), server.pid());
    assert!(directory.starts_with(folder.path()));
    server.stop().unwrap();
    assert!(!directory.exists() && !is_running(pid));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn drop_stops_the_server_and_several_servers_can_run_together() {
    let folder = folder();
    let servers = [(); 2].map(|()| PrivatePostgres::start(&temporary(folder.path())).unwrap());
    for server in &servers {
        assert_eq!(query_text(server, "select 'here'").unwrap(), "here");
    }
    let pids = servers.each_ref().map(PrivatePostgres::pid);
    drop(servers);
    assert!(!pids.into_iter().any(is_running));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn temporary_data_of_a_dead_server_is_removed_at_the_next_start() {
    let folder = folder();
    let server = PrivatePostgres::start(&temporary(folder.path())).unwrap();
    let leftover = folder.path().join("latchkey-throwaway-1-0");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("latchkey.lock"), "1").unwrap();
    let owner = fs::metadata(server.data_directory()).unwrap();
    std::os::unix::fs::chown(&leftover, Some(owner.uid()), Some(owner.gid())).unwrap();
    let _next = PrivatePostgres::start(&temporary(folder.path())).unwrap();
    assert!(!leftover.exists());
    assert_eq!(query_text(&server, "select 'unharmed'").unwrap(), "unharmed");
}

#[test]
fn server_outlives_the_thread_that_started_it() {
    let folder = folder();
    let options = temporary(folder.path());
    let server = thread::spawn(move || PrivatePostgres::start(&options)).join().unwrap().unwrap();
    assert_eq!(query_text(&server, "select 'alive'").unwrap(), "alive");
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_in_the_terminal_does_not_reach_the_server() {
    let folder = folder();
    let server = PrivatePostgres::start(&temporary(folder.path())).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let group = stat.rsplit(')').next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(group, server.pid().to_string());
}

#[test]
fn server_started_by_root_runs_as_another_user() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let server = PrivatePostgres::start(&temporary(folder.path())).unwrap();
    let owner = fs::metadata(server.data_directory()).unwrap();
    assert_ne!(owner.uid(), 0);
    assert_eq!(owner.mode() & 0o777, 0o700);
    let process = fs::metadata(format!("/proc/{}", server.pid())).unwrap();
    assert_eq!(process.uid(), owner.uid());
    assert_eq!(query_text(&server, "select 'root may connect'").unwrap(), "root may connect");
}

#[test]
fn server_started_by_root_runs_as_the_owner_of_an_existing_directory() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let directory = folder.path().join("of nobody");
    fs::create_dir(&directory).unwrap();
    std::os::unix::fs::chown(&directory, Some(65534), Some(65534)).unwrap();
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    let process = fs::metadata(format!("/proc/{}", server.pid())).unwrap();
    assert_eq!(process.uid(), 65534);
}

#[test]
fn server_of_an_ordinary_user_needs_an_entry_in_etc_passwd() {
    if !is_root() {
        return;
    }
    let folder = folder();
    // Other users may have no access to the build directory.
    let program = folder.path().join("latchkey");
    copy_program(env!("CARGO_BIN_EXE_latchkey"), &program);
    for (uid, has_name) in [(65534, true), (54321, false)] {
        let directory = folder.path().join(uid.to_string());
        fs::create_dir(&directory).unwrap();
        std::os::unix::fs::chown(&directory, Some(uid), Some(uid)).unwrap();
        let mut command = Program::command(&program, &directory);
        // The user may have no directory for downloaded programs.
        command.env("LATCHKEY_CACHE_DIR", directory.join("cache"));
        command.current_dir("/").uid(uid).gid(uid);
        let mut latchkey = Program(command.spawn().unwrap());
        assert_eq!(latchkey.is_ready(), has_name, "user {uid}");
        if !has_name {
            let stderr = latchkey.read_stderr();
            assert!(stderr.contains("no entry in /etc/passwd"), "{stderr}");
            assert!(!directory.join("data").exists());
        }
    }
}

#[test]
fn start_by_root_names_the_directory_that_is_closed_to_the_other_user() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let inaccessible = folder.path().join("closed");
    fs::create_dir(&inaccessible).unwrap();
    fs::set_permissions(&inaccessible, fs::Permissions::from_mode(0o700)).unwrap();
    let error = start_error(&inaccessible.join("kept"));
    let is_named = matches!(&error, StartError::Unreachable { inaccessible: found, .. } if *found == inaccessible);
    assert!(is_named, "{error}");
}

#[test]
fn postgresql_environment_variables_do_not_reach_the_server() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut command = Program::command(Path::new(env!("CARGO_BIN_EXE_latchkey")), &directory);
    command.env("PGPORT", "5999").env("PGDATESTYLE", "nonsense").env("PGSSLMODE", "require");
    let mut latchkey = Program(command.spawn().unwrap());
    assert!(latchkey.is_ready(), "{}", latchkey.read_stderr());
    assert!(directory.join(".s.PGSQL.5432").exists());
}

#[test]
fn data_directory_path_may_have_any_characters() {
    let folder = folder();
    let directory = folder.path().join("a b,c'd\"é%2F&+");
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    assert_eq!(server.socket_directory(), directory);
    assert_eq!(query_text(&server, "select 'found'").unwrap(), "found");
}

#[test]
fn data_directory_path_too_long_for_a_socket_gets_its_socket_elsewhere() {
    let folder = folder();
    let directory = folder.path().join("long".repeat(30));
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    let sockets = server.socket_directory().to_path_buf();
    assert!(!sockets.starts_with(folder.path()));
    assert_eq!(fs::metadata(&sockets).unwrap().mode() & 0o777, 0o700);
    assert_eq!(query_text(&server, "select 'found'").unwrap(), "found");
    server.stop().unwrap();
    assert!(!sockets.exists());
}

#[test]
fn lock_files_with_the_pid_of_another_program_are_stale() {
    let (_place, directory) = stopped_cluster();
    let mut other = as_owner("sleep", &directory).arg("60").spawn().unwrap();
    write_lock_files(&directory, other.id());
    let started = PrivatePostgres::start(&persistent(&directory));
    let untouched = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(query_text(&started.unwrap(), "select 'up'").unwrap(), "up");
    assert!(untouched);
}

#[test]
fn lock_files_with_the_pid_of_a_zombie_are_stale() {
    let (folder, directory) = stopped_cluster();
    let program = folder.path().join("postgres");
    copy_program("/bin/sleep", &program);
    let mut zombie = as_owner(&program, &directory).arg("0").spawn().unwrap();
    eventually("the process ends", || !is_running(zombie.id()));
    write_lock_files(&directory, zombie.id());
    let started = PrivatePostgres::start(&persistent(&directory));
    zombie.wait().unwrap();
    assert_eq!(query_text(&started.unwrap(), "select 'up'").unwrap(), "up");
}

#[test]
fn lock_files_with_the_pid_of_the_server_of_another_directory_are_stale() {
    let (folder, directory) = stopped_cluster();
    let other = PrivatePostgres::start(&temporary(folder.path())).unwrap();
    write_lock_files(&directory, other.pid());
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    assert_eq!(query_text(&server, "select 'up'").unwrap(), "up");
    assert_eq!(query_text(&other, "select 'left alone'").unwrap(), "left alone");
}

#[test]
fn orphaned_server_is_replaced_at_the_next_start() {
    let (_place, directory) = stopped_cluster();
    // On systems that cannot end the server together with Latchkey, a crash leaves an orphan like this one.
    let running = PrivatePostgres::start(&persistent(&directory)).unwrap();
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
    eventually("the orphan listens on its socket", || directory.join(".s.PGSQL.5432").exists());
    let server = PrivatePostgres::start(&persistent(&directory));
    let ended = orphan.try_wait().unwrap();
    let _ = orphan.kill();
    orphan.wait().unwrap();
    assert!(ended.is_some());
    assert_eq!(query_text(&server.unwrap(), "select 'up'").unwrap(), "up");
}

#[test]
fn committed_data_survives_a_killed_server_and_its_children_end() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    run(&server, "create table note as select 'remember' as text");
    let url = server.url();
    let busy =
        thread::spawn(move || query_text_at(&url, "select count(*)::text from generate_series(1, 100000000000)"));
    let is_busy = "select count(*)::text from pg_stat_activity where query like 'select count(*)::text from gen%' and state = 'active'";
    eventually("the query is running", || query_text(&server, is_busy).unwrap() == "1");
    kill_process(Pid::from_raw(server.pid().try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    eventually("the killed server has ended", || !is_running(server.pid()));
    drop(server);
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    assert!(busy.join().unwrap().is_err());
    assert_eq!(query_text(&server, "select text from note").unwrap(), "remember");
}

#[test]
fn first_start_that_was_killed_is_begun_again() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut latchkey = Program::start(&directory);
    let unfinished = || {
        fs::read_dir(&directory)
            .is_ok_and(|mut entries| entries.any(|entry| entry.unwrap().path().join("PG_VERSION").exists()))
    };
    eventually("initdb is running", unfinished);
    latchkey.kill();
    assert!(!directory.join("data").exists());
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    assert_eq!(query_text(&server, "select 'up'").unwrap(), "up");
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
fn second_start_on_the_same_directory_names_the_owning_process() {
    let folder = folder();
    let server = PrivatePostgres::start(&persistent(folder.path())).unwrap();
    let error = start_error(folder.path());
    let own_pid = std::process::id();
    let is_named = matches!(error, StartError::AlreadyRunning { pid: Some(pid), .. } if pid == own_pid);
    assert!(is_named, "{error}");
    assert_eq!(query_text(&server, "select 'unharmed'").unwrap(), "unharmed");
}

#[test]
fn concurrent_first_starts_let_one_succeed_and_explain_the_other_failure() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut programs = [Program::start(&directory), Program::start(&directory)];
    let ready = programs.each_mut().map(Program::is_ready);
    assert!(ready[0] != ready[1], "{ready:?}");
    let stderr = programs[usize::from(ready[0])].read_stderr();
    assert!(stderr.contains("another latchkey"), "{stderr}");
}

#[cfg(target_os = "linux")]
#[test]
fn killed_latchkey_leaves_no_server_behind_and_no_damage() {
    let folder = folder();
    let directory = folder.path().join("kept");
    let mut latchkey = Program::start(&directory);
    assert!(latchkey.is_ready());
    let server = server_of(&directory);
    assert!(is_running(server));
    latchkey.kill();
    eventually("the server ends", || !is_running(server));
    let mut latchkey = Program::start(&directory);
    assert!(latchkey.is_ready());
}

#[cfg(target_os = "linux")]
#[test]
fn start_waits_for_the_last_server_that_is_still_stopping() {
    let folder = folder();
    let directory = folder.path().join("kept");
    for _ in 0..3 {
        let mut latchkey = Program::start(&directory);
        assert!(latchkey.is_ready(), "{}", latchkey.read_stderr());
        latchkey.kill();
    }
    let server = PrivatePostgres::start(&persistent(&directory)).unwrap();
    assert_eq!(query_text(&server, "select 'up'").unwrap(), "up");
}

#[test]
fn data_of_another_major_version_is_not_touched() {
    let (_place, directory) = stopped_cluster();
    fs::write(directory.join("data/PG_VERSION"), "13\n").unwrap();
    let error = start_error(&directory);
    let text = error.to_string();
    assert!(matches!(error, StartError::MajorVersionMismatch { written_by: 13, .. }), "{text}");
    let remedy = format!("rm -r {}", directory.join("data").display());
    assert!(text.contains(&remedy), "{text}");
    assert!(directory.join("data/global").exists());
}

#[test]
fn directory_with_other_files_is_not_touched() {
    let folder = folder();
    let precious = folder.path().join("data/precious");
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(&precious, "mine").unwrap();
    let error = start_error(folder.path());
    assert!(matches!(error, StartError::DirectoryNotEmpty { .. }), "{error}");
    assert!(precious.exists());
}

#[test]
fn bin_directory_without_the_programs_is_an_error_and_creates_nothing() {
    let folder = folder();
    let options =
        Options { bin_directory: Some(folder.path().to_path_buf()), ..persistent(&folder.path().join("kept")) };
    let error = PrivatePostgres::start(&options).unwrap_err();
    assert!(matches!(error, StartError::NotPrograms { .. }), "{error}");
    assert!(!folder.path().join("kept").exists());
}

#[test]
fn missing_postgresql_error_offers_solutions() {
    let text = StartError::NoPrograms { cause: Box::new(DownloadError::Offline) }.to_string();
    let solutions = ["apt-get install postgresql", "PG_BIN_DIR=", "DATABASE_URL=", "LATCHKEY_POSTGRES_MIRROR="];
    for solution in solutions.into_iter().chain(["LATCHKEY_OFFLINE"]) {
        assert!(text.contains(solution), "{text}");
    }
}

#[test]
fn failed_start_shows_the_end_of_the_server_log() {
    let (_place, directory) = stopped_cluster();
    fs::write(directory.join("data/postgresql.conf"), "nonsense = on\n").unwrap();
    let error = start_error(&directory);
    assert!(matches!(error, StartError::StartFailed { .. }), "{error}");
    assert!(error.to_string().contains("nonsense"), "{error}");
}
