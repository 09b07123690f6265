//! `latchkey doctor`: what keeps a server with these settings from starting, and how to mend it.
//!
//! It looks at what a start would look at, in the same way where there is one, and changes nothing.

use super::health;
use crate::config::Config;
use crate::postgres::{self, private};
use crate::server::fixtures::Fixtures;
use std::fmt;
use std::net::TcpListener;

/// The oldest PostgreSQL that will do, as its server writes versions.
const OLDEST: i32 = 140_000;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be, or does no harm.
    Fine(String),
    /// It keeps a server from starting.
    Problem {
        /// What is wrong.
        what: String,
        /// What to do about it, where `what` does not say so.
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
    /// Whether a server could start in spite of it.
    pub fn is_fine(&self) -> bool {
        matches!(self, Self::Fine(_))
    }

    fn problem(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Problem { what: what.into(), fix: Some(fix.into()) }
    }

    /// A problem whose text names the way out, as those of a start do.
    fn with_fix_in_text(text: impl Into<String>) -> Self {
        Self::Problem { what: text.into(), fix: None }
    }
}

/// Looks at everything.
pub async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = vec![settings(config), user()];
    match &config.database_url {
        Some(url) => findings.extend(database(url).await),
        None => findings.extend(private_database(config)),
    }
    findings.push(port(config));
    findings.extend(config.fixtures.as_ref().map(|file| match Fixtures::read(file, &config.settings) {
        Ok(fixtures) => Finding::Fine(format!("fixtures: {} workspaces in {}", fixtures.count(), file.display())),
        Err(error) => Finding::problem(error.to_string(), "mend the file; latchkey fixtures-schema prints its schema"),
    }));
    findings.push(Finding::Fine(format!(
        "time zones: {} are built in, none have to be installed",
        chrono_tz::TZ_VARIANTS.len()
    )));
    findings
}

fn settings(config: &Config) -> Finding {
    match config.check() {
        Ok(()) => Finding::Fine(format!("settings: they go together; to listen on {}", config.address.socket())),
        Err(error) => Finding::with_fix_in_text(error),
    }
}

fn user() -> Finding {
    let root = rustix::process::geteuid().is_root();
    Finding::Fine(if root {
        "user: root. PostgreSQL refuses to be that, so a private one runs as another user".to_owned()
    } else {
        "user: not root".to_owned()
    })
}

fn private_database(config: &Config) -> Vec<Finding> {
    let checkup = private::checkup(&postgres::options(config));
    let programs = match checkup.programs {
        Ok(found) => {
            let found: Vec<String> =
                found.iter().map(|(major, directory)| format!("{major} in {}", directory.display())).collect();
            Finding::Fine(format!("postgresql's programs: {}", found.join(", ")))
        }
        Err(error) => Finding::with_fix_in_text(error.to_string()),
    };
    let data = match checkup.data {
        Ok(data) => {
            let runs_as = data.runs_as.map_or_else(String::new, |user| format!(", postgresql to run as {user}"));
            let what = match data.written_by {
                _ if config.ephemeral => "a new one each time",
                Some(_) => "there",
                None => "to be made",
            };
            let version = data.written_by.map_or_else(String::new, |major| format!(", written by postgresql {major}"));
            Finding::Fine(format!("data: {}, {what}{version}{runs_as}", data.directory.display()))
        }
        Err(error @ private::StartError::Io { .. }) => Finding::problem(
            format!("data: {error}"),
            "name a directory that you can write in with --data-dir, or keep nothing with --ephemeral",
        ),
        Err(error) => Finding::with_fix_in_text(error.to_string()),
    };
    vec![programs, data]
}

async fn database(url: &str) -> Vec<Finding> {
    let found = match postgres::look_at(url).await {
        Ok(found) => found,
        Err(error) => {
            let fix = "start that server, or correct DATABASE_URL (postgres://user:password@host:5432/database), or leave \
                       it out to have a private one";
            return vec![Finding::problem(format!("cannot use the database that DATABASE_URL names: {error}"), fix)];
        }
    };
    let (version, number) = found.version;
    let version = if number >= OLDEST {
        Finding::Fine(format!("database: reached, postgresql {version}"))
    } else {
        Finding::problem(
            format!("the database is postgresql {version}, and the oldest that will do is 14"),
            "name a newer one, or leave DATABASE_URL out to have a private one",
        )
    };
    let schema = match (found.migrations, found.unknown_migration) {
        (_, Some(unknown)) => Finding::problem(
            format!("the database has the migration {unknown}, which this latchkey does not know"),
            "use the newer latchkey that made it, or another database",
        ),
        ((run, all), None) if run == all => Finding::Fine("schema: up to date".to_owned()),
        ((run, all), None) if found.may_create => {
            Finding::Fine(format!("schema: {run} of {all} migrations were run, the others will be at the next start"))
        }
        _ => Finding::problem(
            "the schema is not up to date, and the role may not make tables",
            "grant create on schema public to it, or name another role",
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
        Ok(_) => Finding::problem(format!("{socket} is in use: a latchkey serves there"), fix),
        Err(_) => Finding::problem(format!("{socket} is in use by another program"), fix),
    }
}
