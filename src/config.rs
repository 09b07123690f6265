//! Every setting, with its default and its environment variable.

use crate::clock::{WorkspaceClock, duration_from_iso, from_iso};
use chrono::TimeDelta;
use clap::{Args, Parser, Subcommand};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where a clock stands that is held from the start without a word on where: always the same, so that the same
/// requests get the same answers whenever they are sent.
pub(crate) const DEFAULT_HELD_AT: &str = "2026-01-01T00:00:00Z";

/// A local Seam Connect for smart-lock access codes.
///
/// With no options at all: a server on 127.0.0.1:7326 with a PostgreSQL of its own and a sandbox workspace.
#[derive(Clone, Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub config: Config,
}

/// What to do; without one of these, `serve`.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve. So it is without a command, too.
    Serve(Box<Config>),
    /// Ask a running server how it is; ends with 0 if it serves and with 1 if not.
    Health(Health),
    /// Look for what keeps a server with these settings from starting, and say how to mend it. Changes nothing; ends
    /// with 0 if one could start and with 1 if not.
    Doctor(Box<Config>),
    /// Print the JSON Schema of the files that --fixtures takes.
    FixturesSchema,
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, Args)]
pub struct Address {
    /// The address to listen on. Any other than a loopback address needs --admin-token, or --control-plane open.
    #[arg(long, env = "LATCHKEY_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// The port to listen on; 0 takes a free one and prints it.
    #[arg(long, env = "LATCHKEY_PORT", default_value_t = 7326)]
    pub port: u16,
}

impl Address {
    /// The socket to listen on.
    pub fn socket(self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// The URL under which a server that listens here is reached from this machine.
    pub fn url(self) -> String {
        let host = match self.host {
            IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        };
        format!("http://{}", SocketAddr::new(host, self.port))
    }
}

/// Which server to ask how it is.
#[derive(Clone, Debug, Args)]
pub struct Health {
    /// The server's URL; left out, the one that a server with the same --host and --port has.
    #[arg(long, env = "LATCHKEY_URL")]
    pub url: Option<String>,

    #[command(flatten)]
    address: Address,
}

impl Health {
    /// The URL of the server.
    pub fn server_url(&self) -> String {
        self.url.clone().unwrap_or_else(|| self.address.url())
    }
}

/// A server to start. What it does without options is said at [`CommandLine`].
#[derive(Clone, Debug, Parser)]
pub struct Config {
    #[command(flatten)]
    pub address: Address,

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

    /// A JSON file of workspaces to begin with; `latchkey fixtures-schema` prints what may be in it. Those that are
    /// there already are left as they are.
    #[arg(long, env = "LATCHKEY_FIXTURES", value_name = "FILE")]
    pub fixtures: Option<PathBuf>,

    #[command(flatten)]
    pub settings: Settings,
}

/// The settings that requests go by.
#[derive(Clone, Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Settings {
    /// How long a lock takes for one operation: an ISO 8601 duration, `at_once`, or `by_hand` until somebody ends it. For
    /// workspaces made from now on.
    #[arg(long, env = "LATCHKEY_PROGRAMMING", default_value = "PT0.25S", value_parser = programming)]
    pub programming: Programming,

    /// After how long an operation that is not done counts as unusually slow, as an ISO 8601 duration. For workspaces
    /// made from now on.
    #[arg(long, env = "LATCHKEY_SLOW_AFTER", default_value = "PT1M", value_parser = duration)]
    pub slow_after: TimeDelta,

    /// Keep access codes to be seen when they have ended, as Seam plans to, instead of answering 404. For workspaces
    /// made from now on.
    #[arg(long, env = "LATCHKEY_KEEP_EXPIRED_ACCESS_CODES")]
    pub keep_expired_access_codes: bool,

    /// Allow managed access codes on one lock to have the same PIN while they are not on the lock at the same time, instead
    /// of answering 409. For workspaces made from now on.
    #[arg(long, env = "LATCHKEY_ALLOW_SAME_CODE_IN_DISJOINT_WINDOWS")]
    pub allow_same_code_in_disjoint_windows: bool,

    /// Refuse time frames that have begun on locks that take no start in the past, instead of starting them now. For
    /// workspaces made from now on.
    #[arg(long, env = "LATCHKEY_REFUSE_BEGUN_WINDOWS")]
    pub refuse_begun_windows: bool,

    /// How time passes in workspaces made from now on, unless they say so themselves: live, held (at 2026-01-01T00:00:00Z),
    /// or held:INSTANT.
    #[arg(long, env = "LATCHKEY_CLOCK", default_value = "live", value_parser = clock)]
    pub clock: WorkspaceClock,

    /// Derive ids, PINs and keys in workspaces made from now on from this, unless they have seeds of their own.
    #[arg(long, env = "LATCHKEY_SEED", value_parser = seed)]
    pub seed: Option<String>,

    /// Remove events and action attempts that are older than this ISO 8601 duration, and codes that are gone as long.
    /// Left out, they stay. Workspaces whose clock is held keep all.
    #[arg(long, env = "LATCHKEY_RETENTION", value_parser = retention)]
    pub retention: Option<TimeDelta>,

    /// The longest request body, in bytes.
    #[arg(long, env = "LATCHKEY_BODY_LIMIT", default_value_t = 1024 * 1024)]
    pub body_limit: usize,

    /// The longest body of a request to import a snapshot, in bytes.
    #[arg(long, env = "LATCHKEY_SNAPSHOT_LIMIT", default_value_t = 256 * 1024 * 1024)]
    pub snapshot_limit: usize,

    /// After how many seconds a request is given up.
    #[arg(long, env = "LATCHKEY_REQUEST_TIMEOUT", default_value = "30", value_parser = seconds)]
    pub request_timeout: Duration,

    /// The token that is good for all of the control plane (/_emulator), as `Authorization: Bearer`. A workspace's API key is
    /// good for the control plane of that workspace.
    #[arg(long, env = "LATCHKEY_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,

    /// Who may use the control plane without a credential: callers on this machine where there is no admin token
    /// (guarded), or everybody who reaches the server (open), which is for closed networks.
    #[arg(long, env = "LATCHKEY_CONTROL_PLANE", default_value = "guarded")]
    pub control_plane: ControlPlane,

    /// How many connections to the database requests may use. The server opens up to four more for what it does by itself.
    /// From four on, one workspace uses at most three quarters of them.
    #[arg(long, env = "LATCHKEY_DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
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
        let is_guarded = self.settings.control_plane == ControlPlane::Guarded;
        let has_no_token = self.settings.admin_token.as_deref().is_none_or(str::is_empty);
        if !self.address.host.is_loopback() && is_guarded && has_no_token {
            return Err(format!(
                "{} can be reached from other machines, and then the control plane needs a token: \
                 set LATCHKEY_ADMIN_TOKEN, or listen on 127.0.0.1, or in a closed network give --control-plane open",
                self.address.host
            ));
        }
        if self.database_url.is_none() && self.settings.database_connections > MAX_PRIVATE_CONNECTIONS {
            return Err(format!(
                "the private PostgreSQL takes at most {MAX_PRIVATE_CONNECTIONS} connections for requests: give \
                 --database-connections {MAX_PRIVATE_CONNECTIONS} or less, or a PostgreSQL of your own as DATABASE_URL"
            ));
        }
        Ok(())
    }
}

/// How many connections of the private PostgreSQL are for requests at most; the server, psql and others need some, too.
const MAX_PRIVATE_CONNECTIONS: u32 = 50;

/// Who may use the control plane without a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum ControlPlane {
    /// Callers on this machine, where there is no admin token.
    Guarded,
    /// Everybody who reaches the server.
    Open,
}

/// How long a lock takes for one operation; `None`: until somebody ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programming(pub Option<TimeDelta>);

fn programming(text: &str) -> Result<Programming, String> {
    let takes = match text {
        "at_once" => Some(TimeDelta::zero()),
        "by_hand" => None,
        text => Some(duration(text).map_err(|_| "neither at_once nor by_hand nor an ISO 8601 duration like PT0.25S")?),
    };
    Ok(Programming(takes))
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    duration_from_iso(text).ok_or_else(|| "not an ISO 8601 duration like PT0.25S".to_owned())
}

fn clock(text: &str) -> Result<WorkspaceClock, String> {
    let at = match (text, text.strip_prefix("held:")) {
        ("live", _) => return Ok(WorkspaceClock::Live),
        ("held", _) => from_iso(DEFAULT_HELD_AT),
        (_, at) => at.and_then(from_iso),
    };
    at.map(|at| WorkspaceClock::Held { at }).ok_or_else(|| {
        "neither live nor held nor held: with an ISO 8601 instant, like held:2026-03-01T12:00:00Z".to_owned()
    })
}

fn seed(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=500 => Ok(text.to_owned()),
        _ => Err("not a number or text of 1 to 500 characters".to_owned()),
    }
}

fn retention(text: &str) -> Result<TimeDelta, String> {
    let retention = duration(text)?;
    if retention < TimeDelta::seconds(1) {
        return Err("less than a second, PT1S: nobody could read anything any more".to_owned());
    }
    Ok(retention)
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err("not a number of seconds greater than 0".to_owned()),
    }
}
