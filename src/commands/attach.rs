//! `latchkey attach`: uses the shared server of this user until standard input ends, and starts it if it does not run.

use super::background::{BackgroundError, BackgroundServer, DATABASE_URL, base_directory};
use crate::config::Config;
use clap::{Arg, CommandFactory as _};
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

/// Length of the part of the name of a directory that identifies the server, in characters.
const IDENTITY_LENGTH: usize = 16;

/// Uses the shared server with these options, which `config` has parsed. Servers of other options, of another program
/// or of another environment are other servers.
///
/// # Errors
/// A [`BackgroundError`].
pub fn attach(config: &Config, options: &[OsString]) -> Result<BackgroundServer, BackgroundError> {
    let directory = base_directory().join(format!("shared-{}", identity(config, options)));
    BackgroundServer::start(&directory, options, config.data_dir.is_none())
}

/// Returns a text that is the same for the same program, options and settings in environment variables.
fn identity(config: &Config, options: &[OsString]) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    if let Ok(program) = std::env::current_exe() {
        add(program.as_os_str().as_bytes());
        // A program that was built again is another one.
        if let Ok(found) = program.metadata() {
            add(&found.mtime().to_le_bytes());
            add(&found.mtime_nsec().to_le_bytes());
            add(&found.size().to_le_bytes());
        }
    }
    for option in options {
        add(option.as_bytes());
    }
    for name in Config::command().get_arguments().filter_map(Arg::get_env).filter(|name| *name != DATABASE_URL) {
        if let Some(value) = std::env::var_os(name) {
            add(name.as_bytes());
            add(value.as_bytes());
        }
    }
    let paths = [&config.fixtures, &config.data_dir, &config.pg_bin_dir, &config.cache_dir];
    if paths.into_iter().flatten().any(|path| path.is_relative()) {
        // The same relative path is another file in another directory.
        add(std::env::current_dir().unwrap_or_default().as_os_str().as_bytes());
    }
    let mut identity = hex::encode(hash.finalize());
    identity.truncate(IDENTITY_LENGTH);
    identity
}
