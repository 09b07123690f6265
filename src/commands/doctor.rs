//! `latchkey doctor`: checks whether a server with these settings can start, and reports how to fix what is wrong.
//!
//! It checks what a start would check, with the same code where that is possible, and changes nothing.

use super::health;
use crate::config::Config;
use crate::postgres::{self, private};
use crate::server::fixtures::Fixtures;
use std::fmt;
use std::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Oldest supported PostgreSQL version, as a number like that of `server_version_num`.
const OLDEST: i32 = 140_000;

/// Result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// No problem, or one that does not keep a server from starting.
    Fine(String),
    /// A problem that keeps a server from starting.
    Problem {
        /// Description of the problem.
        what: String,
        /// Fix of the problem; `None`: `what` contains it.
        fix: Option<String>,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine(what) => write!(formatter, "ok       {what}"),
            Self::Problem { what, fix: Some(fix) } => write!(formatter, "problem  {what}\n  fix    {fix}"),
            Self::Problem { what, fix: None } => write!(formatter, "problem  {what}"),
        }
    }
}

impl Finding {
    /// Returns true if the finding does not keep a server from starting.
    pub fn is_fine(&self) -> bool {
        matches!(self, Self::Fine(_))
    }

    fn problem(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Problem { what: what.into(), fix: Some(fix.into()) }
    }

    /// Creates a problem whose text contains the fix, as the errors of a start do.
    fn with_fix_in_text(text: impl Into<String>) -> Self {
        Self::Problem { what: text.into(), fix: None }
    }
}

/// Runs all checks.
pub async fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![settings(config), user()];
    match &config.database_url {
        Some(url) => findings.extend(database(url).await),
        None => findings.extend(private_database(config)),
    }
    findings.push(port(config));
    findings.extend(config.fixtures.as_ref().map(|file| match Fixtures::read(file, &config.settings) {
        Ok(fixtures) => Finding::Fine(format!("fixtures: {} workspaces in {}", fixtures.count(), file.display())),
        Err(error) => {
            Finding::problem(error.to_string(), "correct the file; `latchkey fixtures-schema` prints its schema")
        }
    }));
    findings.push(Finding::Fine(format!("time zones: {} are built in", chrono_tz::TZ_VARIANTS.len())));
    findings
}

fn settings(config: &Config) -> Finding {
    match config.check() {
        Ok(()) => Finding::Fine(format!("settings: consistent; listens on {}", config.address.socket())),
        Err(error) => Finding::with_fix_in_text(error),
    }
}

fn user() -> Finding {
    let root = rustix::process::geteuid().is_root();
    Finding::Fine(if root {
        "user: root. PostgreSQL cannot run as root, so the private one runs as another user".to_owned()
    } else {
        "user: not root".to_owned()
    })
}

fn private_database(config: &Config) -> Vec<Finding> {
    let checkup = private::checkup(&postgres::options(config, CancellationToken::new()));
    let programs = match checkup.programs {
        Ok(private::Found::ToDownload { version, source }) => {
            Finding::Fine(format!("postgresql's programs: the start downloads version {version} from {source}"))
        }
        Ok(private::Found::Installed(found)) => {
            let found: Vec<String> =
                found.iter().map(|(major, directory)| format!("version {major} in {}", directory.display())).collect();
            Finding::Fine(format!("postgresql's programs: {}", found.join(", ")))
        }
        Err(error) => Finding::with_fix_in_text(error.to_string()),
    };
    let data = match checkup.data {
        Ok(data) => {
            let runs_as = data.runs_as.map_or_else(String::new, |user| format!(", postgresql runs as {user}"));
            let state = match data.written_by {
                _ if config.ephemeral => "new at each start",
                Some(_) => "exists",
                None => "will be created",
            };
            let version = data.written_by.map_or_else(String::new, |major| format!(", written by postgresql {major}"));
            Finding::Fine(format!("data: {}, {state}{version}{runs_as}", data.directory.display()))
        }
        Err(error @ private::StartError::Io { .. }) => Finding::problem(
            format!("data: {error}"),
            "set --data-dir to a directory that you can write to, or use --ephemeral",
        ),
        Err(error) => Finding::with_fix_in_text(error.to_string()),
    };
    vec![programs, data]
}

async fn database(url: &str) -> Vec<Finding> {
    let found = match postgres::inspect(url).await {
        Ok(found) => found,
        Err(error @ (postgres::DatabaseError::TransactionPooling | postgres::DatabaseError::NoSession)) => {
            return vec![Finding::with_fix_in_text(error.to_string())];
        }
        Err(error) => {
            let fix = "start that server, correct DATABASE_URL (postgres://user:password@host:5432/database), or \
                       unset it to use a private PostgreSQL";
            return vec![Finding::problem(format!("cannot use the database that DATABASE_URL names: {error}"), fix)];
        }
    };
    let (version, number) = found.version;
    let version = if number >= OLDEST {
        Finding::Fine(format!("database: reachable, postgresql {version}"))
    } else {
        Finding::problem(
            format!("the database is postgresql {version}; latchkey needs 14 or newer"),
            "set DATABASE_URL to a newer one, or unset it to use a private PostgreSQL",
        )
    };
    let schema = match (found.migrations, found.unknown_migration) {
        (_, Some(unknown)) => Finding::problem(
            format!("the database has the migration {unknown}, which this version of latchkey does not know"),
            "use the newer version of latchkey that created it, or another database",
        ),
        ((applied, total), None) if applied == total => Finding::Fine("schema: up to date".to_owned()),
        ((applied, total), None) if found.may_create => Finding::Fine(format!(
            "schema: {applied} of {total} migrations are applied; the next start applies the others"
        )),
        _ => Finding::problem(
            "the schema is not up to date, and the role cannot create tables",
            "grant it create on schema public, or use another role",
        ),
    };
    vec![version, schema]
}

fn port(config: &Config) -> Finding {
    let socket = config.address.socket();
    let Err(error) = TcpListener::bind(socket) else {
        let free = if socket.port() == 0 { "any will do".to_owned() } else { format!("{} is free", socket.port()) };
        return Finding::Fine(format!("port: {free}"));
    };
    if error.kind() != std::io::ErrorKind::AddrInUse {
        return Finding::problem(format!("cannot listen on {socket}: {error}"), "choose another --host or --port");
    }
    let fix = "stop it, or choose another port with --port, or 0 for any";
    match health::ask(&config.address.url()) {
        Ok(_) => Finding::problem(format!("{socket} is in use by another latchkey"), fix),
        Err(_) => Finding::problem(format!("{socket} is in use by another program"), fix),
    }
}
