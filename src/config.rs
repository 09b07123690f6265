//! Every setting, with its default and its environment variable.

use crate::clock::duration_from_iso;
use chrono::TimeDelta;
use clap::Parser;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A local Seam Connect for smart-lock access codes.
///
/// With no options at all: a server on 127.0.0.1:7326 with a PostgreSQL of its own and a sandbox workspace.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Config {
    /// The address to listen on. Any other than a loopback address needs --admin-token.
    #[arg(long, env = "LATCHKEY_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// The port to listen on; 0 takes a free one and prints it.
    #[arg(long, env = "LATCHKEY_PORT", default_value_t = 7326)]
    pub port: u16,

    /// A PostgreSQL (14 or newer) to use instead of a private one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Where PostgreSQL's programs are, if not where they usually are.
    #[arg(long, env = "PG_BIN_DIR")]
    pub pg_bin_dir: Option<PathBuf>,

    /// Where the private PostgreSQL keeps its data.
    #[arg(long, env = "LATCHKEY_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// Keep nothing: a private PostgreSQL that is gone when the server stops, and faster for it.
    #[arg(long, env = "LATCHKEY_EPHEMERAL", conflicts_with = "data_dir")]
    pub ephemeral: bool,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would print it")]
    pub settings: Settings,
}

/// The settings that requests go by.
#[derive(Clone, Debug, Parser)]
pub struct Settings {
    /// How long a lock takes for one operation, as an ISO 8601 duration. For workspaces made from now on.
    #[arg(long, env = "LATCHKEY_PROGRAMMING", default_value = "PT0.25S", value_parser = duration)]
    pub programming: TimeDelta,

    /// After how long an operation that is not done counts as unusually slow, as an ISO 8601 duration. For workspaces
    /// made from now on.
    #[arg(long, env = "LATCHKEY_SLOW_AFTER", default_value = "PT1M", value_parser = duration)]
    pub slow_after: TimeDelta,

    /// Keep access codes to be seen when they have ended, as Seam plans to, instead of answering 404. For workspaces
    /// made from now on.
    #[arg(long, env = "LATCHKEY_KEEP_EXPIRED_ACCESS_CODES")]
    pub keep_expired_access_codes: bool,

    /// The longest request body, in bytes.
    #[arg(long, env = "LATCHKEY_BODY_LIMIT", default_value_t = 1024 * 1024)]
    pub body_limit: usize,

    /// The longest body of a request to import a snapshot, in bytes.
    #[arg(long, env = "LATCHKEY_SNAPSHOT_LIMIT", default_value_t = 256 * 1024 * 1024)]
    pub snapshot_limit: usize,

    /// After how many seconds a request is given up.
    #[arg(long, env = "LATCHKEY_REQUEST_TIMEOUT", default_value = "30", value_parser = seconds)]
    pub request_timeout: Duration,

    /// The token that the control plane (/_emulator) asks for as `Authorization: Bearer`, when not on loopback.
    #[arg(long, env = "LATCHKEY_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,

    /// How many connections to the database the server opens at most.
    #[arg(long, env = "LATCHKEY_DATABASE_CONNECTIONS", default_value_t = 16)]
    pub database_connections: u32,

    /// Write the log as JSON, one object a line. `RUST_LOG` says what is logged.
    #[arg(long, env = "LATCHKEY_LOG_JSON")]
    pub log_json: bool,

    /// How many requests are kept in memory, to be looked at through /_emulator/requests.
    #[arg(long, env = "LATCHKEY_REQUEST_LOG", default_value_t = 1000)]
    pub request_log: usize,
}

impl Config {
    /// Refuses settings that do not go together.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn check(&self) -> Result<(), String> {
        if !self.host.is_loopback() && self.settings.admin_token.as_deref().is_none_or(str::is_empty) {
            return Err(format!(
                "{} can be reached from other machines, and then the control plane needs a token: \
                 set LATCHKEY_ADMIN_TOKEN, or listen on 127.0.0.1",
                self.host
            ));
        }
        Ok(())
    }
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    duration_from_iso(text).ok_or_else(|| "not an ISO 8601 duration like PT0.25S".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err("not a number of seconds greater than 0".to_owned()),
    }
}
