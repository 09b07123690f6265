//! Download of the PostgreSQL programs, for machines that have none.
//!
//! The archives are those of the project `theseus-rs/postgresql-binaries`, in fixed versions. An archive is used only
//! if it has the SHA-256 checksum that is published beside it. It is unpacked once, into a cache directory that all
//! starts of a user share. A mirror has the same files: `VERSION/postgresql-VERSION-TARGET.tar.gz`, and the checksum in
//! a file of the same name with `.sha256` appended.

use super::account::user_directory;
use super::error::DownloadError;
use super::programs::Programs;
use flate2::read::GzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, Response};
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Base URL of the archives.
const SOURCE: &str = "https://github.com/theseus-rs/postgresql-binaries/releases/download";

/// Downloaded version of each supported major version, the preferred one first.
const VERSIONS: [(u32, &str); 5] = [(18, "18.4.0"), (17, "17.10.0"), (16, "16.14.0"), (15, "15.18.0"), (14, "14.23.0")];

/// Platform of this program in the names of the archives; `None`: there is no archive for it.
const TARGET: Option<&str> = if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "musl")) {
    Some("x86_64-unknown-linux-musl")
} else if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    Some("x86_64-unknown-linux-gnu")
} else if cfg!(all(target_os = "linux", target_arch = "aarch64", target_env = "musl")) {
    Some("aarch64-unknown-linux-musl")
} else if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
    Some("aarch64-unknown-linux-gnu")
} else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
    Some("aarch64-apple-darwin")
} else if cfg!(all(target_os = "macos", target_arch = "x86_64")) {
    Some("x86_64-apple-darwin")
} else {
    None
};

/// Time to connect, and maximum time without a byte.
const IO_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum time for all of a download, and for the wait for the download of another process.
const TIMEOUT: Duration = Duration::from_mins(10);

/// Maximum size of an archive, in bytes. The archives have about 15 MB.
const MAX_ARCHIVE: u64 = 200 << 20;

/// Maximum size of the unpacked files, in bytes.
const MAX_UNPACKED: u64 = 1 << 30;

/// Maximum size of a checksum file, in bytes.
const MAX_CHECKSUM_FILE: usize = 4096;

/// Time between two attempts to acquire the lock of the cache directory.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// Mode of the directories in the cache: root's PostgreSQL runs as another user, who must be able to read them.
const READABLE_BY_ALL: u32 = 0o755;

/// Settings of the download.
#[derive(Clone, Debug)]
pub struct Download {
    /// True: nothing is downloaded. Programs in the cache are used.
    pub is_offline: bool,
    /// Base URL of the archives; `None`: that of `theseus-rs/postgresql-binaries`.
    pub mirror: Option<String>,
    /// Cache directory; `None` is the default: `/var/cache/latchkey` for root, and for other users `latchkey` in
    /// `$XDG_CACHE_HOME`, `~/.cache` or, on macOS, `~/Library/Caches`.
    pub cache_directory: Option<PathBuf>,
    /// Ends a download when it is cancelled.
    pub cancelled: CancellationToken,
}

impl Default for Download {
    /// Returns the settings that allow a download from the usual source into the default cache directory.
    fn default() -> Self {
        Self { is_offline: false, mirror: None, cache_directory: None, cancelled: CancellationToken::new() }
    }
}

impl DownloadError {
    fn cache(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Cache { path, cause }
    }

    fn http(url: &str, error: &reqwest::Error) -> Self {
        // The outer errors only repeat the URL.
        let mut cause: &(dyn std::error::Error + 'static) = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Http { url: url.to_owned(), reason: cause.to_string() }
    }
}

type Result<T, E = DownloadError> = std::result::Result<T, E>;

impl Download {
    /// Returns the programs in the cache directory.
    pub(super) fn cached(&self) -> Vec<Programs> {
        let Ok(cache) = self.cache() else { return Vec::new() };
        VERSIONS.iter().filter_map(|(major, version)| installed(&cache, *major, version)).collect()
    }

    /// Returns the version to download and its source: for data of a major version, or else the preferred one.
    ///
    /// # Errors
    /// Nothing can be downloaded.
    pub(crate) fn plan(&self, major: Option<u32>) -> Result<(&'static str, &str)> {
        let (_, version, _) = self.choose(major)?;
        Ok((version, self.source()))
    }

    fn choose(&self, major: Option<u32>) -> Result<(u32, &'static str, &'static str)> {
        let (preferred, _) = VERSIONS[0];
        let major = major.unwrap_or(preferred);
        let version = VERSIONS.iter().find(|(supported, _)| *supported == major).map(|(_, version)| *version);
        match (version, TARGET) {
            _ if self.is_offline => Err(DownloadError::Offline),
            (Some(version), Some(target)) => Ok((major, version, target)),
            _ => Err(DownloadError::NoArchive(major)),
        }
    }

    fn source(&self) -> &str {
        self.mirror.as_deref().unwrap_or(SOURCE).trim_end_matches('/')
    }

    fn cache(&self) -> Result<PathBuf> {
        if let Some(directory) = &self.cache_directory {
            return Ok(directory.clone());
        }
        let in_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        let directory = user_directory("/var/cache", "XDG_CACHE_HOME", in_home).ok_or(DownloadError::NoHome)?;
        Ok(directory.join("latchkey"))
    }

    /// Downloads and unpacks the programs of a major version, or of the preferred one. If another process does so at the
    /// same time, waits for it and uses its result. Blocks.
    ///
    /// # Errors
    /// A [`DownloadError`]. The cache is then as before.
    pub(crate) fn programs(&self, major: Option<u32>) -> Result<Programs> {
        let (major, version, target) = self.choose(major)?;
        let cache = self.cache()?;
        DirBuilder::new().recursive(true).mode(READABLE_BY_ALL).create(&cache).map_err(DownloadError::cache(&cache))?;
        let _lock = self.lock(&cache)?;
        if let Some(programs) = installed(&cache, major, version) {
            return Ok(programs);
        }
        let unfinished = cache.join("unfinished");
        let url = format!("{}/{version}/postgresql-{version}-{target}.tar.gz", self.source());
        let fetched = self.fetch(&url, (major, version), &unfinished);
        let removed = remove(&unfinished);
        let programs = fetched?;
        removed.map(|()| programs)
    }

    /// Acquires the lock of the cache directory.
    fn lock(&self, cache: &Path) -> Result<File> {
        let path = cache.join("download.lock");
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).open(&path).map_err(DownloadError::cache(&path))?;
        let mut waited = Duration::ZERO;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(cause)) => return Err(DownloadError::cache(&path)(cause)),
                Err(TryLockError::WouldBlock) if self.cancelled.is_cancelled() => return Err(DownloadError::Cancelled),
                Err(TryLockError::WouldBlock) if waited >= TIMEOUT => {
                    return Err(DownloadError::Locked(cache.to_owned()));
                }
                Err(TryLockError::WouldBlock) => {}
            }
            std::thread::sleep(LOCK_INTERVAL);
            waited += LOCK_INTERVAL;
        }
    }

    /// Downloads an archive, checks and unpacks it in this directory, and moves the result to its place in the cache.
    fn fetch(&self, url: &str, (major, version): (u32, &str), unfinished: &Path) -> Result<Programs> {
        remove(unfinished)?;
        let unpacked = unfinished.join("unpacked");
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(READABLE_BY_ALL).create(&unpacked).map_err(DownloadError::cache(&unpacked))?;
        let archive = unfinished.join("archive.tar.gz");
        // A thread, because the caller may be one of an asynchronous runtime.
        std::thread::scope(|scope| {
            scope.spawn(|| self.download(url, version, &archive)).join().unwrap_or(Err(DownloadError::Cancelled))
        })?;
        let found = unpack(&archive, &unpacked, url)?;
        if Programs::in_directory(found.join("bin"), None).is_none_or(|programs| programs.major != major) {
            let reason = format!("it has no initdb and postgres of version {major} that run on this machine");
            return Err(DownloadError::Archive { url: url.to_owned(), reason });
        }
        let directory_of_version = directory(unfinished.parent().unwrap_or(unfinished), version);
        remove(&directory_of_version)?;
        fs::rename(&found, &directory_of_version).map_err(DownloadError::cache(&directory_of_version))?;
        Ok(Programs { directory: directory_of_version.join("bin"), major })
    }

    fn download(&self, url: &str, version: &str, archive: &Path) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DownloadError::cache(archive))?;
        runtime.block_on(async {
            tokio::select! {
                () = self.cancelled.cancelled() => Err(DownloadError::Cancelled),
                downloaded = tokio::time::timeout(TIMEOUT, download(url, version, archive)) => {
                    let reason = format!("it takes longer than {TIMEOUT:?}");
                    downloaded.unwrap_or_else(|_| Err(DownloadError::Http { url: url.to_owned(), reason }))
                }
            }
        })
    }
}

/// Returns the directory of a version in the cache.
fn directory(cache: &Path, version: &str) -> PathBuf {
    cache.join(format!("postgresql-{version}"))
}

/// Returns the programs of a version in the cache, if it was downloaded.
fn installed(cache: &Path, major: u32, version: &str) -> Option<Programs> {
    Programs::in_directory(directory(cache, version).join("bin"), Some(major))
}

/// Deletes a directory that may not exist.
fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(DownloadError::cache(directory)(cause)),
        _ => Ok(()),
    }
}

/// Downloads an archive into a file, and compares its checksum.
async fn download(url: &str, version: &str, archive: &Path) -> Result<()> {
    crate::tls::install();
    let client = Client::builder()
        .user_agent(concat!("Latchkey/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(IO_TIMEOUT)
        .read_timeout(IO_TIMEOUT)
        .build()
        .map_err(|error| DownloadError::http(url, &error))?;
    let expected = published_checksum(&client, &format!("{url}.sha256")).await?;
    let mut response = get(&client, url).await?;
    let progress = progress(version, url, response.content_length());
    let mut file = File::create(archive).map_err(DownloadError::cache(archive))?;
    let mut hash = Sha256::new();
    let mut length = 0;
    while let Some(piece) = response.chunk().await.map_err(|error| DownloadError::http(url, &error))? {
        length += piece.len() as u64;
        if length > MAX_ARCHIVE {
            let reason = format!("it has more than {MAX_ARCHIVE} bytes");
            return Err(DownloadError::Http { url: url.to_owned(), reason });
        }
        hash.update(&piece);
        file.write_all(&piece).map_err(DownloadError::cache(archive))?;
        progress.set_position(length);
    }
    progress.finish_and_clear();
    let found = hex::encode(hash.finalize());
    if found == expected { Ok(()) } else { Err(DownloadError::Checksum { url: url.to_owned(), found, expected }) }
}

/// Requests a file. Any status but 200 is an error.
async fn get(client: &Client, url: &str) -> Result<Response> {
    let response = client.get(url).send().await.map_err(|error| DownloadError::http(url, &error))?;
    if response.status() == reqwest::StatusCode::OK {
        return Ok(response);
    }
    Err(DownloadError::Http { url: url.to_owned(), reason: format!("the server returns {}", response.status()) })
}

/// Returns the checksum in a file: its first word.
async fn published_checksum(client: &Client, url: &str) -> Result<String> {
    let mut response = get(client, url).await?;
    let mut text = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| DownloadError::http(url, &error))? {
        text.extend_from_slice(&piece);
        if text.len() > MAX_CHECKSUM_FILE {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text);
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(word);
    }
    Err(DownloadError::Http { url: url.to_owned(), reason: "it does not begin with a SHA-256 checksum".to_owned() })
}

/// Says what is downloaded: with a progress bar on a terminal, otherwise with one line.
fn progress(version: &str, url: &str, length: Option<u64>) -> ProgressBar {
    let message = format!("downloading PostgreSQL {version}, once, from {url}");
    if !io::stderr().is_terminal() {
        let _ = writeln!(io::stderr(), "latchkey: {message}");
        return ProgressBar::hidden();
    }
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template("{msg}\n{bar:40} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    bar.with_message(message)
}

/// Unpacks an archive, whose files are in one directory, and returns that directory.
fn unpack(archive: &Path, into: &Path, url: &str) -> Result<PathBuf> {
    let broken = |reason: String| DownloadError::Archive { url: url.to_owned(), reason };
    let file = File::open(archive).map_err(DownloadError::cache(archive))?;
    let mut contents = tar::Archive::new(GzDecoder::new(BufReader::new(file)).take(MAX_UNPACKED));
    contents.set_preserve_permissions(true);
    contents.unpack(into).map_err(|cause| match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::PermissionDenied => {
            DownloadError::cache(into)(cause)
        }
        _ => broken(cause.to_string()),
    })?;
    let mut entries = fs::read_dir(into).map_err(DownloadError::cache(into))?.flatten();
    let directory = entries.find(|entry| entry.path().join("bin").is_dir());
    directory.map(|entry| entry.path()).ok_or_else(|| broken("it has no directory with bin".to_owned()))
}
