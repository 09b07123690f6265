//! Servers in the background, for `latchkey attach` and `latchkey exec`.
//!
//! A server is found by its directory, which contains:
//!
//! - `users.lock`: each user of the server holds a shared lock. The server stops when it gets the exclusive lock, and
//!   holds that lock until it has ended.
//! - `server.lock`: the server holds an exclusive lock as long as it runs.
//! - `start.lock`: a user holds an exclusive lock while it looks for the server and starts it.
//! - `server.json`: the address and the credentials, written when the server is ready.
//! - `server.log`: the output of the server.
//!
//! The operating system releases the locks of a process that ends for any reason. So a server ends after its last
//! user, also if that was killed.

use crate::domain::sandbox::{API_KEY, PERSONAL_ACCESS_TOKEN, WORKSPACE_ID};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Environment variable that tells a server its directory.
const DIRECTORY: &str = "LATCHKEY_BACKGROUND_DIRECTORY";

/// Variable of a database that servers in the background do not use, unless an option names it.
pub(super) const DATABASE_URL: &str = "DATABASE_URL";

/// Variable that makes a server delete its data at its end.
const EPHEMERAL: &str = "LATCHKEY_EPHEMERAL";

/// Beginning of the variables of settings, and those that a fresh server needs too, to find PostgreSQL.
const SETTING: &str = "LATCHKEY_";
const OF_POSTGRES: [&str; 3] = ["LATCHKEY_OFFLINE", "LATCHKEY_POSTGRES_MIRROR", "LATCHKEY_CACHE_DIR"];

/// Maximum time until the server is ready. It includes the wait for another user that starts it.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// Maximum time until a stopping server has ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two checks of a lock or a file.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Time between two checks whether the server has users.
const USERS_INTERVAL: Duration = Duration::from_millis(250);

/// Time without users after which the server stops. Test runners often start one process after the other.
const UNUSED_TIMEOUT: Duration = Duration::from_secs(1);

/// Bits of a mode that are the rights of the owner, of the group and of others.
const ALL_MODES: u32 = 0o777;

/// Mode of a directory that only its owner can use.
const OWNER_ONLY: u32 = 0o700;

/// Maximum length of the end of the server's log in an error, in bytes.
const MAX_LOG_IN_ERROR: usize = 4000;

/// Error of the start of a server in the background.
#[derive(Debug, thiserror::Error)]
pub enum BackgroundError {
    /// A file operation failed.
    #[error("cannot {action} {path}: {cause}")]
    File {
        /// What was tried.
        action: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Error of the operating system.
        cause: io::Error,
    },
    /// The directory belongs to another user, or others can write to it.
    #[error("{0} must be a directory that only you can enter: delete it, or set XDG_RUNTIME_DIR to such a directory")]
    UnsafeDirectory(PathBuf),
    /// The server ended before it was ready.
    #[error("the server did not start. Its output:\n{0}")]
    NotStarted(String),
    /// The server ended while it was used.
    #[error("the server has ended. Its output:\n{0}")]
    Ended(String),
    /// The server was not ready in time.
    #[error("the server was not ready within {START_TIMEOUT:?}. Its output:\n{0}")]
    Timeout(String),
}

impl BackgroundError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File { action, path, cause }
    }
}

type Result<T, E = BackgroundError> = std::result::Result<T, E>;

/// Address and credentials of a server, as `attach` prints them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Base URL.
    pub url: String,
    /// Process id.
    pub pid: u32,
    /// Workspace of the sandbox.
    pub workspace_id: Uuid,
    /// API key of the sandbox.
    pub api_key: String,
    /// Personal access token of the sandbox.
    pub personal_access_token: String,
}

/// Directory by which a server in the background is found.
#[derive(Clone, Debug)]
struct Directory(PathBuf);

impl Directory {
    fn users_lock(&self) -> PathBuf {
        self.0.join("users.lock")
    }

    fn server_lock(&self) -> PathBuf {
        self.0.join("server.lock")
    }

    fn start_lock(&self) -> PathBuf {
        self.0.join("start.lock")
    }

    fn info(&self) -> PathBuf {
        self.0.join("server.json")
    }

    fn log(&self) -> PathBuf {
        self.0.join("server.log")
    }

    /// Returns the end of the server's output.
    fn end_of_log(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let end = &log[log.len().saturating_sub(MAX_LOG_IN_ERROR)..];
        String::from_utf8_lossy(end).trim_end().to_owned()
    }

    /// Returns what `server.json` says, if the server is ready.
    fn read_info(&self) -> Option<ServerInfo> {
        serde_json::from_slice(&fs::read(self.info()).ok()?).ok()
    }

    /// True if the server runs, whether it is ready or not.
    fn has_server(&self) -> Result<bool> {
        let path = self.server_lock();
        match open_lock(&path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(cause)) => Err(BackgroundError::file("lock", &path)(cause)),
        }
    }
}

/// A server in the background that runs at least as long as this value exists.
#[derive(Debug)]
pub struct BackgroundServer {
    directory: Directory,
    info: ServerInfo,
    /// The server, if this process has started it.
    process: Option<Child>,
    /// Holds the shared lock of `users.lock`.
    _user: File,
}

impl BackgroundServer {
    /// Uses the server of this directory, and starts it first if it does not run: `latchkey serve` with these options.
    ///
    /// # Errors
    /// A [`BackgroundError`], with the output of a server that does not start.
    pub fn start(directory: &Path, options: &[OsString], is_ephemeral: bool) -> Result<Self> {
        Self::start_with(directory, |command| {
            command.args(options);
            if is_ephemeral {
                command.env(EPHEMERAL, "true");
            }
        })
    }

    /// Starts a server without data, with the default settings, whatever the variables of this process say. Its data is
    /// deleted at its end.
    ///
    /// # Errors
    /// A [`BackgroundError`], with the output of a server that does not start.
    pub fn start_fresh(directory: &Path) -> Result<Self> {
        Self::start_with(directory, |command| {
            let is_setting = |name: &OsString| name.as_encoded_bytes().starts_with(SETTING.as_bytes());
            let is_needed = |name: &OsString| OF_POSTGRES.iter().any(|own| name == own);
            for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name) && !is_needed(name)) {
                command.env_remove(name);
            }
            command.env(EPHEMERAL, "true");
        })
    }

    /// Uses the server of this directory, and starts it first if it does not run. `configure` adds its options.
    fn start_with(directory: &Path, configure: impl FnOnce(&mut Command)) -> Result<Self> {
        let deadline = Instant::now() + START_TIMEOUT;
        create_directory(directory)?;
        let directory = Directory(directory.to_owned());
        // Dropped when the server is ready, which releases the lock.
        let start = open_lock(&directory.start_lock())?;
        let user = open_lock(&directory.users_lock())?;
        wait_for_lock(&directory, &directory.start_lock(), deadline, || start.try_lock())?;
        // A server that is ending holds the exclusive lock until it has ended.
        wait_for_lock(&directory, &directory.users_lock(), deadline, || user.try_lock_shared())?;
        let mut process = None;
        if !directory.has_server()? {
            process = Some(spawn(&directory, configure)?);
        }
        let info = wait_until_ready(&directory, process.as_mut(), deadline)?;
        Ok(Self { directory, info, process, _user: user })
    }

    /// Returns the address and the credentials of the server.
    pub fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// Returns a watch for the end of the server.
    pub fn watch(&self) -> Watch {
        Watch(self.directory.clone())
    }

    /// Stops a server that this process has started, waits until it has ended, and deletes its directory.
    ///
    /// # Errors
    /// The server does not end, or the directory cannot be deleted.
    pub fn stop(mut self) -> Result<()> {
        if let Some(process) = &mut self.process {
            end(process, Signal::TERM);
        }
        fs::remove_dir_all(&self.directory.0).map_err(BackgroundError::file("delete", &self.directory.0))
    }
}

/// Watches a server in the background.
#[derive(Debug)]
pub struct Watch(Directory);

impl Watch {
    /// Waits until the server has ended.
    ///
    /// # Errors
    /// [`BackgroundError::Ended`] when it has ended; [`BackgroundError::File`] if its lock cannot be used.
    pub fn wait_until_ended(&self) -> Result<()> {
        let path = self.0.server_lock();
        // The server holds the exclusive lock as long as it runs.
        open_lock(&path)?.lock_shared().map_err(BackgroundError::file("lock", &path))?;
        Err(BackgroundError::Ended(self.0.end_of_log()))
    }
}

/// Returns the directory of the servers that this user runs in the background.
pub fn base_directory() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|directory| directory.is_dir()) {
        Some(directory) => directory.join("latchkey"),
        None => std::env::temp_dir().join(format!("latchkey-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Creates a directory of [`base_directory`], and checks that other users cannot change what is in it.
fn create_directory(directory: &Path) -> Result<()> {
    for directory in directory.parent().into_iter().chain([directory]) {
        match DirBuilder::new().mode(OWNER_ONLY).create(directory) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
                return Err(BackgroundError::file("create", directory)(cause));
            }
            _ => {}
        }
        let found = fs::symlink_metadata(directory).map_err(BackgroundError::file("open", directory))?;
        let is_own = found.uid() == rustix::process::geteuid().as_raw() && found.mode() & ALL_MODES == OWNER_ONLY;
        if !found.is_dir() || !is_own {
            return Err(BackgroundError::UnsafeDirectory(directory.to_owned()));
        }
    }
    Ok(())
}

fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(BackgroundError::file("open", path))
}

/// Waits until a lock is acquired.
fn wait_for_lock(
    directory: &Directory,
    path: &Path,
    deadline: Instant,
    mut try_lock: impl FnMut() -> std::result::Result<(), TryLockError>,
) -> Result<()> {
    loop {
        match try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(POLL_INTERVAL),
            Err(TryLockError::WouldBlock) => return Err(BackgroundError::Timeout(directory.end_of_log())),
            Err(TryLockError::Error(cause)) => return Err(BackgroundError::file("lock", path)(cause)),
        }
    }
}

/// Starts the server, which then runs independently of this process and its terminal.
fn spawn(directory: &Directory, configure: impl FnOnce(&mut Command)) -> Result<Child> {
    let info = directory.info();
    match fs::remove_file(&info) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            return Err(BackgroundError::file("delete", &info)(cause));
        }
        _ => {}
    }
    let log = File::create(directory.log()).map_err(BackgroundError::file("create", &directory.log()))?;
    let errors = log.try_clone().map_err(BackgroundError::file("open", &directory.log()))?;
    let program = std::env::current_exe().map_err(BackgroundError::file("find", Path::new("latchkey")))?;
    let mut command = Command::new(&program);
    command.arg("serve");
    configure(&mut command);
    command.env(DIRECTORY, &directory.0);
    // Options have priority over variables, so that a given port is used.
    command.env("LATCHKEY_PORT", "0");
    // In the environment of a test suite, this is the database of the software under test.
    command.env_remove(DATABASE_URL);
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    command.spawn().map_err(BackgroundError::file("start", &program))
}

/// Waits until the server is ready. `process` is the server, if this process has started it.
fn wait_until_ready(directory: &Directory, mut process: Option<&mut Child>, deadline: Instant) -> Result<ServerInfo> {
    loop {
        if let Some(info) = directory.read_info() {
            return Ok(info);
        }
        let has_ended = match process.as_deref_mut() {
            Some(process) => process.try_wait().map_err(BackgroundError::file("watch", &directory.0))?.is_some(),
            None => !directory.has_server()?,
        };
        if has_ended {
            return Err(BackgroundError::NotStarted(directory.end_of_log()));
        }
        if Instant::now() >= deadline {
            if let Some(process) = process {
                end(process, Signal::KILL);
            }
            return Err(BackgroundError::Timeout(directory.end_of_log()));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Sends a signal to a server, and waits until it has ended; kills it if it takes too long.
fn end(process: &mut Child, signal: Signal) {
    let deadline = Instant::now() + STOP_TIMEOUT;
    // An error means that the process has ended.
    if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
    while Instant::now() < deadline && matches!(process.try_wait(), Ok(None)) {
        std::thread::sleep(POLL_INTERVAL);
    }
    let _ = process.kill();
    let _ = process.wait();
}

/// The side of the server: says that it runs and where, and finds out that it has no users any more.
#[derive(Debug)]
pub struct Announcement {
    directory: Directory,
    users: File,
    /// Holds the exclusive lock of `server.lock`.
    _server: File,
}

impl Announcement {
    /// Says that a server runs for the directory of this process. `None`: it is no server in the background.
    ///
    /// # Errors
    /// The directory cannot be used, or it has a server already.
    pub fn begin() -> Result<Option<Self>> {
        let Some(directory) = std::env::var_os(DIRECTORY) else { return Ok(None) };
        let directory = Directory(directory.into());
        let (server, users) = (open_lock(&directory.server_lock())?, open_lock(&directory.users_lock())?);
        match server.try_lock() {
            Ok(()) => Ok(Some(Self { directory, users, _server: server })),
            Err(error) => Err(BackgroundError::file("lock", &directory.server_lock())(error.into())),
        }
    }

    /// Says that the server is ready at this base URL.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn ready(&self, url: String) -> Result<()> {
        let info = ServerInfo {
            url,
            pid: std::process::id(),
            workspace_id: WORKSPACE_ID,
            api_key: API_KEY.to_owned(),
            personal_access_token: PERSONAL_ACCESS_TOKEN.to_owned(),
        };
        let path = self.directory.info();
        let written = path.with_extension("new");
        let text = serde_json::to_vec(&info).map_err(io::Error::from);
        text.and_then(|text| fs::write(&written, text))
            .and_then(|()| fs::rename(&written, &path))
            .map_err(BackgroundError::file("write", &path))
    }

    /// Waits until the server has had no users for [`UNUSED_TIMEOUT`]. From then on nobody can become a user until this
    /// value is dropped.
    pub async fn wait_until_unused(&self) {
        let mut used_at = Instant::now();
        loop {
            // An error other than `WouldBlock` cannot be repaired: the server then runs until somebody stops it.
            if self.users.try_lock().is_err() {
                used_at = Instant::now();
            } else if used_at.elapsed() >= UNUSED_TIMEOUT {
                return;
            } else {
                let _ = self.users.unlock();
            }
            tokio::time::sleep(USERS_INTERVAL).await;
        }
    }
}
