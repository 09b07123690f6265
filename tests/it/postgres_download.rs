//! Download of the PostgreSQL programs, from a mirror on the loopback that has the programs of this machine.

use crate::support::{download, eventually};
use flate2::Compression;
use flate2::write::GzEncoder;
use latchkey::testing::postgres::private::{
    Download, DownloadError, Durability, Options, PrivatePostgres, download_programs, find_programs,
};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Returns the options of a start that searches for the programs.
fn options(download: Download) -> Options {
    Options { data_directory: None, bin_directory: None, download, durability: Durability::Temporary }
}

/// Returns the newest programs of this machine: their major version and directory.
fn installed() -> (u32, PathBuf) {
    find_programs(&options(download())).unwrap().into_iter().next().unwrap()
}

/// Returns an archive of links to the programs of this machine.
fn archive() -> Vec<u8> {
    let (_, programs) = installed();
    let mut contents = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for program in ["initdb", "postgres"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        contents.append_link(&mut header, format!("postgresql/bin/{program}"), programs.join(program)).unwrap();
    }
    contents.into_inner().unwrap().finish().unwrap()
}

fn checksum(archive: &[u8]) -> String {
    hex::encode(Sha256::digest(archive))
}

/// Mirror that answers each request for a checksum file with `checksum`, and each other one with `response`.
struct Mirror {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    fn start(checksum: String, response: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (checksum, response, received) = (checksum.clone(), response.clone(), Arc::clone(&received));
                thread::spawn(move || serve(stream.unwrap(), &checksum, &response, &received));
            }
        });
        Self { url, requests }
    }

    /// Starts a mirror that has this archive with its checksum.
    fn of(archive: &[u8]) -> Self {
        Self::start(format!("{}  name.tar.gz\n", checksum(archive)), ok(archive))
    }

    fn paths(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn download(&self, cache: &TempDir) -> Download {
        Download {
            is_offline: false,
            mirror: Some(self.url.clone()),
            cache_directory: Some(cache.path().join("cache")),
            cancelled: CancellationToken::new(),
        }
    }
}

/// Serves the requests of one connection. An empty response is none: the connection stays open.
fn serve(mut stream: TcpStream, checksum: &str, response: &[u8], received: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|length| length > 0) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap().to_owned();
        head.clear();
        received.lock().unwrap().push(path.clone());
        let is_checksum = Path::new(&path).extension().is_some_and(|extension| extension == "sha256");
        let checksum = ok(checksum.as_bytes());
        stream.write_all(if is_checksum { &checksum } else { response }).unwrap();
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// Creates a temporary directory that the user PostgreSQL runs as can enter.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Returns the names in the cache, except that of the lock.
fn cached(cache: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(cache.path().join("cache")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "download.lock").collect()
}

/// Returns the error of a download that must fail and leave nothing in the cache.
fn error_of(mirror: &Mirror) -> DownloadError {
    let cache = folder();
    let error = download_programs(&mirror.download(&cache), installed().0).unwrap_err();
    assert_eq!(cached(&cache), Vec::<String>::new(), "{error}");
    error
}

#[test]
fn programs_are_downloaded_once_and_start_a_server() {
    let (mirror, cache) = (Mirror::of(&archive()), folder());
    let download = mirror.download(&cache);
    let major = installed().0;
    let directory = download_programs(&download, major).unwrap();
    let paths = mirror.paths();
    assert_eq!(paths.len(), 2);
    assert!(paths[1].starts_with(&format!("/{major}.")) && paths[1].ends_with(".tar.gz"), "{paths:?}");
    assert_eq!(paths[0], format!("{}.sha256", paths[1]));
    assert_eq!(download_programs(&download, major).unwrap(), directory);
    assert_eq!(mirror.paths().len(), 2, "the second time, nothing is downloaded");
    let offline = Download { is_offline: true, ..download.clone() };
    assert!(
        find_programs(&options(offline)).unwrap().iter().any(|(found, _)| *found == major),
        "the cache is searched"
    );
    let data_directory = Some(cache.path().to_path_buf());
    let options = Options { data_directory, bin_directory: Some(directory), ..options(download) };
    assert!(PrivatePostgres::start(&options).unwrap().pid() > 0);
}

#[test]
fn downloads_at_the_same_time_are_one() {
    let (mirror, cache) = (Mirror::of(&archive()), folder());
    let major = installed().0;
    thread::scope(|scope| {
        let downloads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| download_programs(&mirror.download(&cache), major))).collect();
        for download in downloads {
            assert!(download.join().unwrap().is_ok());
        }
    });
    assert_eq!(mirror.paths().len(), 2);
}

#[test]
fn archive_with_another_checksum_is_not_used() {
    let archive = archive();
    let error = error_of(&Mirror::start(checksum(b"another archive"), ok(&archive)));
    let text = error.to_string();
    assert!(matches!(error, DownloadError::Checksum { .. }), "{text}");
    assert!(text.contains(&checksum(&archive)) && text.contains(&checksum(b"another archive")), "{text}");
    let error = error_of(&Mirror::start("<html>no checksum</html>".to_owned(), ok(&archive)));
    assert!(error.to_string().contains("does not begin with a SHA-256 checksum"), "{error}");
}

#[test]
fn broken_archive_is_not_used() {
    let whole = archive();
    let empty = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast())).into_inner().unwrap();
    for broken in [whole[..whole.len() / 2].to_vec(), b"not an archive".to_vec(), empty.finish().unwrap()] {
        let error = error_of(&Mirror::of(&broken));
        assert!(matches!(error, DownloadError::Archive { .. }), "{error}");
    }
}

#[test]
fn archive_of_another_version_is_not_used() {
    let cache = folder();
    let other = if installed().0 == 14 { 15 } else { 14 };
    let mirror = Mirror::of(&archive());
    let error = download_programs(&mirror.download(&cache), other).unwrap_err();
    assert!(error.to_string().contains(&format!("of version {other}")), "{error}");
    assert_eq!(cached(&cache), Vec::<String>::new());
}

#[test]
fn mirror_without_the_archive_is_named_with_its_status() {
    let mirror = Mirror::start(checksum(b""), b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec());
    let error = error_of(&mirror);
    assert!(error.to_string().starts_with(&mirror.url) && error.to_string().contains("404 Not Found"), "{error}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = error_of(&Mirror { url: format!("http://{closed}"), requests: Arc::default() });
    assert!(matches!(error, DownloadError::Http { .. }), "{error}");
}

#[test]
fn offline_download_is_refused_without_a_request() {
    let (mirror, cache) = (Mirror::of(&archive()), folder());
    let offline = Download { is_offline: true, ..mirror.download(&cache) };
    let error = download_programs(&offline, installed().0).unwrap_err();
    assert!(matches!(error, DownloadError::Offline), "{error}");
    assert_eq!(mirror.paths(), Vec::<String>::new());
    let error = download_programs(&mirror.download(&cache), 13).unwrap_err();
    assert!(matches!(error, DownloadError::NoArchive(13)), "{error}");
}

#[test]
fn cancelled_download_ends_at_once() {
    let cache = folder();
    // The archive never arrives.
    let mirror = Mirror::start(checksum(b""), Vec::new());
    let download = mirror.download(&cache);
    let cancelled = download.cancelled.clone();
    let major = installed().0;
    let running = thread::spawn(move || download_programs(&download, major));
    eventually("the archive is requested", || mirror.paths().len() == 2);
    cancelled.cancel();
    let error = running.join().unwrap().unwrap_err();
    assert!(matches!(error, DownloadError::Cancelled), "{error}");
    assert_eq!(cached(&cache), Vec::<String>::new());
}
