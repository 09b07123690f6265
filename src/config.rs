//! Every setting, with its default and its environment variable.

use crate::clock::{WorkspaceClock, duration_from_iso, from_iso};
use chrono::TimeDelta;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Instant of a clock that is held from the start without an instant. A constant, so that the same requests get the
/// same responses whenever they are sent.
pub(crate) const DEFAULT_HELD_AT: &str = "2026-01-01T00:00:00Z";

/// A local stand-in for the Seam API, for smart-lock access codes.
///
/// Without options it serves on 127.0.0.1:7326, starts a private PostgreSQL and creates a sandbox workspace.
#[derive(Clone, Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    /// The command; `None` is `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Options of `serve` that were given without a command.
    #[command(flatten)]
    pub config: Config,
}

/// Commands of the program.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Start the server. This is the default command.
    Serve(Box<Config>),
    /// Check a running server.
    ///
    /// Exits with 0 if it is healthy, else with 1.
    Health(Health),
    /// Check whether a server with these options can start, and print how to fix what is wrong.
    ///
    /// Changes nothing. Exits with 0 if the server can start, else with 1.
    Doctor(Box<Config>),
    /// Run a command, such as a test suite, with a server of its own: `latchkey exec -- npm test`.
    ///
    /// The server uses a free port and temporary data, unless the options say otherwise. The command finds it by
    /// `SEAM_ENDPOINT` and `SEAM_API_KEY`. Exits with the exit code of the command, after the server has stopped.
    Exec(Box<Exec>),
    /// Use the server that your test processes share, and start it if it does not run.
    ///
    /// Prints the address and the keys of the server as a line of JSON, and ends when standard input ends. Processes of
    /// one user share a server if the program and the options are the same. It uses a free port and temporary data,
    /// unless the options say otherwise, and stops after its last user has ended.
    Attach(Box<Config>),
    /// Print the variables by which SDKs find a running server: `eval "$(latchkey env)"`.
    Env(Health),
    /// Return the sandbox of a running server to its initial state: its codes, locks and clock.
    Reset(Reset),
    /// Compare Latchkey with the real Seam: send the same requests to both, and print what differs.
    ///
    /// Needs the API key of a Seam sandbox workspace. Creates access codes and other objects whose names begin with
    /// `latchkey probe`, and deletes them. The report contains no key, no name and no address. Exits with 0 if there is
    /// no unknown difference, with 1 if there are some, and with 2 if the comparison could not be made.
    Probe(Probe),
    /// Print the completion script of a shell.
    Completion {
        /// Shell to complete commands in.
        shell: clap_complete::Shell,
    },
    /// Print the JSON Schema of the file for --fixtures.
    FixturesSchema,
}

/// Options of `exec`.
#[derive(Clone, Debug, Args)]
pub struct Exec {
    /// Options of the server.
    #[command(flatten)]
    pub config: Config,

    /// Command with its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Options of `reset`.
#[derive(Clone, Debug, Args)]
pub struct Reset {
    /// Address of the server.
    #[command(flatten)]
    pub server: Health,

    /// API key of the workspace. Default: that of the sandbox.
    #[arg(long, env = "SEAM_API_KEY", hide_env_values = true)]
    pub api_key: Option<String>,
}

/// Address of the real service.
pub(crate) const SEAM_URL: &str = "https://connect.getseam.com";

/// Options of `probe`.
#[derive(Clone, Debug, Args)]
pub struct Probe {
    /// API key of a sandbox workspace of Seam.
    #[arg(long, env = "SEAM_API_KEY", hide_env_values = true)]
    pub api_key: String,

    /// Address of the real service.
    #[arg(long, value_name = "URL", default_value = SEAM_URL)]
    pub against: String,

    /// Id of a lock to use. Can be given several times. Default: up to three locks of different brands.
    #[arg(long = "device-id", value_name = "ID")]
    pub device_ids: Vec<String>,

    /// JSON file of the requests to send, instead of the ones in the program. See docs/probe.md.
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,

    /// File for the report as JSON. The report as Markdown is always printed.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Address that a server listens on.
#[derive(Clone, Copy, Debug, Args)]
pub struct Address {
    /// IP address to listen on. An address that is not loopback needs --admin-token or --control-plane open.
    #[arg(long, env = "LATCHKEY_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// Port to listen on. 0 picks a free port and prints it.
    #[arg(long, env = "LATCHKEY_PORT", default_value_t = 7326)]
    pub port: u16,
}

impl Address {
    /// Returns the socket address to listen on.
    pub fn socket(self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Returns the URL of the server on this machine.
    pub fn url(self) -> String {
        let host = match self.host {
            IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        };
        format!("http://{}", SocketAddr::new(host, self.port))
    }
}

/// Options of `health` and `env`.
#[derive(Clone, Debug, Args)]
pub struct Health {
    /// URL of the server. Default: the URL of a server with the same --host and --port.
    #[arg(long, env = "LATCHKEY_URL")]
    pub url: Option<String>,

    /// IP address of the server.
    #[arg(long, env = "LATCHKEY_HOST", default_value = "127.0.0.1")]
    host: IpAddr,

    /// Port of the server.
    #[arg(long, env = "LATCHKEY_PORT", default_value_t = 7326)]
    port: u16,
}

impl Health {
    /// Returns the URL of the server to check.
    pub fn server_url(&self) -> String {
        self.url.clone().unwrap_or_else(|| Address { host: self.host, port: self.port }.url())
    }
}

/// Options of `serve` and `doctor`.
#[derive(Clone, Debug, Parser)]
pub struct Config {
    /// Address to listen on.
    #[command(flatten)]
    pub address: Address,

    /// URL of a PostgreSQL (14 or newer) to use instead of a private one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, help_heading = "Database")]
    pub database_url: Option<String>,

    /// Directory of the PostgreSQL programs initdb and postgres. Default: search the usual places.
    #[arg(long, env = "PG_BIN_DIR", help_heading = "Database")]
    pub pg_bin_dir: Option<PathBuf>,

    /// Do not download PostgreSQL, if its programs are not found.
    #[arg(long, env = "LATCHKEY_OFFLINE", value_parser = switch, help_heading = "Database")]
    pub offline: bool,

    /// Base URL of a mirror of the PostgreSQL programs, with their checksums. Default: the releases of
    /// theseus-rs/postgresql-binaries on GitHub.
    #[arg(long, env = "LATCHKEY_POSTGRES_MIRROR", value_name = "URL", value_parser = mirror, help_heading = "Database")]
    pub postgres_mirror: Option<String>,

    /// Directory for downloaded PostgreSQL programs. Default: latchkey in the user's cache directory.
    #[arg(long, env = "LATCHKEY_CACHE_DIR", help_heading = "Database")]
    pub cache_dir: Option<PathBuf>,

    /// Directory for the data of the private PostgreSQL. Default: latchkey/postgres in the user's data directory.
    #[arg(long, env = "LATCHKEY_DATA_DIR", help_heading = "Database")]
    pub data_dir: Option<PathBuf>,

    /// Delete all data when the server stops. This also makes the server faster.
    #[arg(long, env = "LATCHKEY_EPHEMERAL", value_parser = switch, conflicts_with = "data_dir", help_heading = "Database")]
    pub ephemeral: bool,

    /// JSON file of workspaces to create at the start. Existing workspaces do not change. `latchkey fixtures-schema`
    /// prints the schema of the file.
    #[arg(long, env = "LATCHKEY_FIXTURES", value_name = "FILE", help_heading = "New workspaces")]
    pub fixtures: Option<PathBuf>,

    /// Settings that requests use.
    #[command(flatten)]
    pub settings: Settings,
}

/// Settings that requests use.
#[derive(Clone, Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Settings {
    /// Duration of one lock operation in new workspaces: an ISO 8601 duration, `at_once`, or `by_hand` (until a request
    /// to `/_emulator/access_codes/step` finishes it).
    #[arg(long, env = "LATCHKEY_PROGRAMMING", default_value = "PT0.25S", value_parser = programming, help_heading = "New workspaces")]
    pub programming: Programming,

    /// Time after which an unfinished lock operation counts as slow in new workspaces: an ISO 8601 duration.
    #[arg(long, env = "LATCHKEY_SLOW_AFTER", default_value = "PT1M", value_parser = duration, help_heading = "New workspaces")]
    pub slow_after: TimeDelta,

    /// In new workspaces, return access codes after their end with the status `unset` instead of a 404.
    #[arg(long, env = "LATCHKEY_KEEP_EXPIRED_ACCESS_CODES", value_parser = switch, help_heading = "New workspaces")]
    pub keep_expired_access_codes: bool,

    /// In new workspaces, allow managed access codes on one lock to have the same PIN if they are not on the lock at
    /// the same time, instead of returning a 409.
    #[arg(long, env = "LATCHKEY_ALLOW_SAME_CODE_IN_DISJOINT_WINDOWS", value_parser = switch, help_heading = "New workspaces")]
    pub allow_same_code_in_disjoint_windows: bool,

    /// In new workspaces, reject a time frame that has already begun on locks that accept no start in the past, instead
    /// of starting it now.
    #[arg(long, env = "LATCHKEY_REFUSE_BEGUN_WINDOWS", value_parser = switch, help_heading = "New workspaces")]
    pub refuse_begun_windows: bool,

    /// Clock of new workspaces that do not set their own: live, held (at 2026-01-01T00:00:00Z), or held:INSTANT.
    #[arg(long, env = "LATCHKEY_CLOCK", default_value = "live", value_parser = clock, help_heading = "New workspaces")]
    pub clock: WorkspaceClock,

    /// Seed of new workspaces that do not set their own. Ids, PINs and keys are derived from it. Default: random.
    /// With --like-fake, the value may be missing, as in the command line of the fake.
    #[arg(long, env = "LATCHKEY_SEED", value_parser = seed, help_heading = "New workspaces")]
    pub seed: Option<Option<String>>,

    /// Behave as Seam's own fake, @seamapi/fake-seam-connect: with its workspaces, ids, tokens and /_fake paths, and new
    /// data at each start. The variable PORT sets the port, unless --port or `LATCHKEY_PORT` does.
    #[arg(long, env = "LATCHKEY_LIKE_FAKE", value_parser = switch, help_heading = "New workspaces")]
    pub like_fake: bool,

    /// Delete events and action attempts older than this ISO 8601 duration, and access codes that were deleted that
    /// long ago. Default: keep them. Workspaces with a held clock keep everything.
    #[arg(long, env = "LATCHKEY_RETENTION", value_parser = retention, help_heading = "Limits")]
    pub retention: Option<TimeDelta>,

    /// Maximum size of a request body, in bytes.
    #[arg(long, env = "LATCHKEY_BODY_LIMIT", default_value_t = 1024 * 1024, help_heading = "Limits")]
    pub body_limit: usize,

    /// Maximum size of a request body that imports a snapshot, in bytes.
    #[arg(long, env = "LATCHKEY_SNAPSHOT_LIMIT", default_value_t = 256 * 1024 * 1024, help_heading = "Limits")]
    pub snapshot_limit: usize,

    /// Maximum duration of a request, in seconds.
    #[arg(long, env = "LATCHKEY_REQUEST_TIMEOUT", default_value = "30", value_parser = seconds, help_heading = "Limits")]
    pub request_timeout: Duration,

    /// Token for the control plane (/_emulator) of all workspaces, sent as `Authorization: Bearer`. An API key is
    /// accepted for the control plane of its own workspace.
    #[arg(long, env = "LATCHKEY_ADMIN_TOKEN", hide_env_values = true, value_parser = NonEmptyStringValueParser::new(), help_heading = "Credentials")]
    pub admin_token: Option<String>,

    /// Secret of at least 16 characters with which console sessions are signed: JSON Web Tokens (HS256) whose `sub` is
    /// a `person_id`. Default: there are no console sessions.
    #[arg(long, env = "LATCHKEY_CONSOLE_SESSION_SECRET", hide_env_values = true, value_parser = console_session_secret, help_heading = "Credentials")]
    pub console_session_secret: Option<String>,

    /// Who can use the control plane without a credential: callers on this machine if there is no admin token
    /// (guarded), or every client (open, for closed networks).
    #[arg(long, env = "LATCHKEY_CONTROL_PLANE", default_value = "guarded", help_heading = "Credentials")]
    pub control_plane: ControlPlane,

    /// Maximum number of database connections for requests. The server opens up to six more for its own tasks. With
    /// four or more, one workspace uses at most three quarters of them.
    #[arg(long, env = "LATCHKEY_DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Limits")]
    pub database_connections: u32,

    /// Hosts that webhooks may be delivered to, in addition to loopback addresses: names and IP addresses, separated by
    /// commas. `*` allows all.
    #[arg(long, env = "LATCHKEY_WEBHOOK_HOSTS", value_name = "HOSTS", value_delimiter = ',', value_parser = webhook_host, help_heading = "Webhooks")]
    pub webhook_hosts: Vec<String>,

    /// Maximum duration of one attempt to deliver an event to a webhook: an ISO 8601 duration.
    #[arg(long, env = "LATCHKEY_WEBHOOK_TIMEOUT", default_value = "PT15S", value_parser = webhook_timeout, help_heading = "Webhooks")]
    pub webhook_timeout: Duration,

    /// Factor for the delays before a delivery to a webhook is tried again (5 seconds, 5 minutes, 30 minutes, 2, 5, 10
    /// and 10 hours): 0.001 makes 5 minutes 0.3 seconds, 0 makes all retries immediate.
    #[arg(long, env = "LATCHKEY_WEBHOOK_RETRY_SCALE", value_name = "FACTOR", default_value = "1", value_parser = webhook_retry_scale, help_heading = "Webhooks")]
    pub webhook_retry_scale: f64,

    /// Do not log requests, except those that fail with a 5xx status.
    #[arg(long, env = "LATCHKEY_QUIET", value_parser = switch, conflicts_with = "verbose", help_heading = "Logs")]
    pub quiet: bool,

    /// Log the bodies of requests and responses, up to 16 KB of each, with credentials masked.
    #[arg(long, env = "LATCHKEY_VERBOSE", value_parser = switch, help_heading = "Logs")]
    pub verbose: bool,

    /// Write the log as JSON, one object per line. `RUST_LOG` sets the log level.
    #[arg(long, env = "LATCHKEY_LOG_JSON", value_parser = switch, help_heading = "Logs")]
    pub log_json: bool,

    /// Number of requests that /_emulator/requests can return. They are stored in memory.
    #[arg(long, env = "LATCHKEY_REQUEST_LOG", default_value_t = 1000, help_heading = "Logs")]
    pub request_log: usize,
}

impl Config {
    /// Returns the configuration with the settings that follow from other settings.
    ///
    /// # Errors
    /// A sentence that names a setting that does not fit, and the fix.
    pub fn completed(mut self) -> Result<Self, String> {
        if self.settings.like_fake {
            // Everybody knows the tokens of the fake. In data that stays, a later server would accept them too.
            if self.database_url.is_some() || self.data_dir.is_some() {
                return Err("a server with --like-fake has public tokens, so its data is new at each start: omit \
                            --data-dir (LATCHKEY_DATA_DIR) and --database-url (DATABASE_URL)"
                    .to_owned());
            }
            self.ephemeral = true;
        } else if self.settings.seed == Some(None) {
            return Err("--seed needs a value of 1 to 500 characters, except with --like-fake".to_owned());
        }
        Ok(self)
    }

    /// Checks settings that depend on each other.
    ///
    /// # Errors
    /// A sentence that names the conflict and the fix.
    pub fn check(&self) -> Result<(), String> {
        let is_guarded = self.settings.control_plane == ControlPlane::Guarded;
        let has_no_token = self.settings.admin_token.is_none();
        if !is_guarded && !has_no_token {
            return Err("with --control-plane open the control plane needs no credential, so the admin token would \
                        protect nothing: set --control-plane guarded, or omit the token"
                .to_owned());
        }
        if !self.address.host.is_loopback() && is_guarded && has_no_token {
            return Err(format!(
                "other machines can reach {}, so the control plane needs a token: set LATCHKEY_ADMIN_TOKEN, or listen on \
                 127.0.0.1, or, in a closed network, use --control-plane open",
                self.address.host
            ));
        }
        if self.database_url.is_none() && self.settings.database_connections > MAX_PRIVATE_CONNECTIONS {
            return Err(format!(
                "the private PostgreSQL accepts at most {MAX_PRIVATE_CONNECTIONS} connections for requests: set \
                 --database-connections to {MAX_PRIVATE_CONNECTIONS} or less, or DATABASE_URL to a PostgreSQL of your \
                 own"
            ));
        }
        Ok(())
    }
}

impl Settings {
    /// Returns the seed of new workspaces; `None`: random.
    pub(crate) fn seed(&self) -> Option<&str> {
        self.seed.as_ref()?.as_deref()
    }
}

/// Maximum number of connections of the private PostgreSQL for requests; the server itself and `psql` need some, too.
const MAX_PRIVATE_CONNECTIONS: u32 = 50;

/// Clients that can use the control plane without a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum ControlPlane {
    /// Callers on this machine, if there is no admin token.
    Guarded,
    /// Every client.
    Open,
}

/// Duration of one lock operation. `None`: until a request finishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programming(pub Option<TimeDelta>);

/// Parses the value of a variable that switches an option on or off.
fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

fn programming(text: &str) -> Result<Programming, String> {
    let duration = match text {
        "at_once" => Some(TimeDelta::zero()),
        "by_hand" => None,
        text => Some(self::duration(text).map_err(|_| "give at_once, by_hand or an ISO 8601 duration like PT0.25S")?),
    };
    Ok(Programming(duration))
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    duration_from_iso(text).ok_or_else(|| "give an ISO 8601 duration like PT0.25S".to_owned())
}

fn clock(text: &str) -> Result<WorkspaceClock, String> {
    let at = match (text, text.strip_prefix("held:")) {
        ("live", _) => return Ok(WorkspaceClock::Live),
        ("held", _) => from_iso(DEFAULT_HELD_AT),
        (_, at) => at.and_then(from_iso),
    };
    at.map(|at| WorkspaceClock::Held { at })
        .ok_or_else(|| "give live, held, or held: with an ISO 8601 instant like held:2026-03-01T12:00:00Z".to_owned())
}

fn seed(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=500 => Ok(text.to_owned()),
        _ => Err("give 1 to 500 characters".to_owned()),
    }
}

fn console_session_secret(text: &str) -> Result<String, String> {
    match text.chars().count() {
        16.. => Ok(text.to_owned()),
        _ => Err("give at least 16 characters, which nobody can guess".to_owned()),
    }
}

fn retention(text: &str) -> Result<TimeDelta, String> {
    let retention = duration_from_iso(text).ok_or("give an ISO 8601 duration like P30D")?;
    if retention < TimeDelta::seconds(1) {
        return Err("give at least a second, PT1S".to_owned());
    }
    Ok(retention)
}

fn webhook_host(text: &str) -> Result<String, String> {
    let host = text.trim().trim_matches(['[', ']']);
    if host.is_empty() || host.contains(['/', ' ', '@']) {
        return Err("give host names and IP addresses without scheme and port, like hooks.example.com, or *".to_owned());
    }
    Ok(host.to_owned())
}

fn webhook_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration_from_iso(text).ok_or("give an ISO 8601 duration like PT15S")?;
    if !(TimeDelta::milliseconds(1)..=TimeDelta::minutes(5)).contains(&timeout) {
        return Err("give a millisecond to five minutes, PT0.001S to PT5M".to_owned());
    }
    timeout.to_std().map_err(|error| error.to_string())
}

fn webhook_retry_scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if (0.0..=100.0).contains(&scale) => Ok(scale),
        _ => Err("give a number from 0 to 100".to_owned()),
    }
}

fn mirror(text: &str) -> Result<String, String> {
    if text.starts_with("https://") || text.starts_with("http://") {
        return Ok(text.to_owned());
    }
    Err("give a URL that begins with https:// or http://".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err("give a number of seconds greater than 0".to_owned()),
    }
}
