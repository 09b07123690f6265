//! Operating-system user that PostgreSQL runs as, since PostgreSQL refuses to run as root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::StartError;

/// Returns the directory for the files of the programs of this user: `of_root` for root; for other users the absolute
/// path in this environment variable, or else `in_home` below the home directory. `None`: there is no home directory.
pub(super) fn user_directory(of_root: &str, variable: &str, in_home: &str) -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from(of_root));
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(in_home)))
}

/// User that owns the files of the cluster and runs its processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// True if this process is root and has to switch to this user.
    pub(super) must_switch: bool,
}

impl Account {
    /// Returns the current user, unless that is root. For root, returns the owner of the existing `directory`, so that
    /// data stays readable when, for example, a user `postgres` is added later; else `postgres`, else `nobody`.
    pub(super) fn to_run_as(directory: Option<&Path>) -> Result<Self, StartError> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        if uid != 0 {
            return Ok(Self::named(&users, uid, gid, false));
        }
        let owner = directory.and_then(|directory| fs::metadata(directory).ok());
        match owner {
            Some(owner) if owner.uid() != 0 => Ok(Self::named(&users, owner.uid(), owner.gid(), true)),
            _ => ["postgres", "nobody"]
                .iter()
                .find_map(|name| entries(&users).find(|user| user.name == *name))
                .ok_or(StartError::NoAccount),
        }
    }

    fn named(users: &str, uid: u32, gid: u32, must_switch: bool) -> Self {
        let name = entries(users).find(|user| user.uid == uid).map_or_else(|| uid.to_string(), |user| user.name);
        Self { name, uid, gid, must_switch }
    }

    /// Returns a command that runs as this user in `directory`. The current working directory may be inaccessible to
    /// the user.
    pub(super) fn command(&self, program: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory);
        if self.must_switch {
            command.uid(self.uid).gid(self.gid);
        }
        // Settings such as PGPORT and PGDATA in the environment are for another server.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").env("TZ", "UTC");
        command
    }

    /// Makes this user the owner of a file or directory, if this process is root.
    pub(super) fn make_owner_of(&self, path: &Path) -> std::io::Result<()> {
        if self.must_switch {
            std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }

    /// Returns the first directory, from the root to `path` itself, that the user may not enter. Checks only the mode
    /// bits, not access control lists: use it to explain an access that has failed, not to predict one.
    pub(super) fn inaccessible_directory(&self, path: &Path) -> Option<PathBuf> {
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        ancestors
            .into_iter()
            .find(|directory| {
                fs::metadata(directory).is_ok_and(|found| {
                    let bit = if found.uid() == self.uid {
                        0o100
                    } else if found.gid() == self.gid {
                        0o010
                    } else {
                        0o001
                    };
                    found.mode() & bit == 0
                })
            })
            .map(Path::to_path_buf)
    }
}

/// Parses the users in the text of `/etc/passwd`. The library call would need `unsafe`; `initdb` requires an entry in
/// this file anyway.
fn entries(users: &str) -> impl Iterator<Item = Account> + '_ {
    users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = parse_id(fields.nth(1)?)?;
        let gid = parse_id(fields.next()?)?;
        Some(Account { name, uid, gid, must_switch: true })
    })
}

/// Parses a user or group id. macOS writes the ids of `nobody` as -2.
fn parse_id(text: &str) -> Option<u32> {
    text.parse().ok().or_else(|| text.parse().ok().map(i32::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn passwd_lines_are_parsed_into_users() {
        let users = "# macos comment\nroot:x:0:0:root:/root:/bin/sh\nnobody:*:-2:-2::/var/empty:/bin/false\nbroken\npostgres:x:101:104::/:\n";
        let found: Vec<(String, u32, u32)> = entries(users).map(|user| (user.name, user.uid, user.gid)).collect();
        assert_eq!(
            found,
            [
                ("root".to_owned(), 0, 0),
                ("nobody".to_owned(), u32::MAX - 1, u32::MAX - 1),
                ("postgres".to_owned(), 101, 104),
            ]
        );
    }

    #[test]
    fn account_without_a_passwd_entry_is_named_by_its_uid() {
        assert_eq!(Account::named("", 1234, 5, false).name, "1234");
    }

    #[test]
    fn inaccessible_directory_is_the_first_one_the_user_cannot_enter() {
        let directory = tempfile::tempdir().unwrap();
        let inaccessible = directory.path().join("closed");
        let inside = inaccessible.join("inside");
        fs::create_dir_all(&inside).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&inaccessible, fs::Permissions::from_mode(0o700)).unwrap();
        let account = Account { name: "stranger".to_owned(), uid: u32::MAX - 7, gid: u32::MAX - 7, must_switch: true };
        assert_eq!(account.inaccessible_directory(&inside), Some(inaccessible.clone()));
        fs::set_permissions(&inaccessible, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(account.inaccessible_directory(&inside), None);
    }
}
