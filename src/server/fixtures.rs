//! Fixtures: workspaces that a server begins with, from a file.
//!
//! The file is checked against `fixtures.schema.json`, and then for what no schema can state, before anything is
//! written. Then all of it is made in one transaction, codes by the rules of the API. Whatever is wrong is named by its
//! place in the file, and nothing is loaded.

mod checks;

use crate::api::access_codes;
use crate::cause::Cause;
use crate::clock::machine_now;
use crate::config::Settings;
use crate::control::locks::UnmanagedCodeSpec;
use crate::control::workspaces::Create;
use crate::domain::caller::Visibility;
use crate::domain::device::brands::BRANDS;
use crate::domain::sandbox;
use crate::domain::workspace::Workspace;
use crate::engine::app::App;
use crate::engine::commands::{CreateCommand, NewAccessCode};
use crate::engine::external_changes;
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::engine::workspaces::{AccountSpec, LockSpec, WorkspaceParams, create_in};
use crate::engine::{create, snapshots};
use crate::error::Error;
use crate::postgres::Transaction;
use crate::store::workspaces;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The JSON Schema of the file.
pub const SCHEMA: &str = include_str!("fixtures.schema.json");

/// Why fixtures were not loaded; nothing of them was.
#[derive(Debug, thiserror::Error)]
pub enum FixturesError {
    /// The file cannot be read.
    #[error("cannot read the fixtures in {}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is not JSON.
    #[error("the fixtures in {} are not JSON: {cause}", file.display())]
    NotJson {
        /// The file.
        file: PathBuf,
        /// What and where.
        cause: serde_json::Error,
    },
    /// The file asks for what cannot be.
    #[error("the fixtures in {} are wrong, so nothing was loaded:\n  {}", file.display(), mistakes.join("\n  "))]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Each with its place: `workspaces[0].locks[2].device_type: what is wrong`.
        mistakes: Vec<String>,
    },
    /// Something nobody foresaw, most likely of the database's.
    #[error("the fixtures could not be loaded: {0}")]
    Failed(#[from] Error),
}

impl From<sqlx::Error> for FixturesError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// What is wrong in a file, and where.
type Mistake = (String, String);

/// Workspaces that were read, and can be made for all that the file itself shows.
#[derive(Debug)]
pub struct Fixtures {
    file: PathBuf,
    workspaces: Vec<Fixture>,
}

/// One workspace of a file.
#[derive(Debug)]
struct Fixture {
    workspace_id: Uuid,
    params: WorkspaceParams,
    /// In the order of the locks.
    codes: Vec<Codes>,
}

/// The codes of one lock of a file.
#[derive(Debug)]
struct Codes {
    foreign: Vec<UnmanagedCodeSpec>,
    managed: Vec<NewAccessCode>,
}

/// What has become of the fixtures.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Workspaces that were made, each with its API key.
    pub created: Vec<(Workspace, String)>,
    /// Workspaces that were there already, and were left as they were.
    pub left: Vec<Uuid>,
}

impl Fixtures {
    /// Reads and checks a file, for a server with these settings.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(file: &Path, config: &Settings) -> Result<Self, FixturesError> {
        let text =
            fs::read_to_string(file).map_err(|cause| FixturesError::Unreadable { file: file.to_owned(), cause })?;
        let document: Value =
            serde_json::from_str(&text).map_err(|cause| FixturesError::NotJson { file: file.to_owned(), cause })?;
        let wrong = |mistakes: Vec<Mistake>| FixturesError::Wrong {
            file: file.to_owned(),
            mistakes: mistakes.into_iter().map(|(location, what)| format!("{location}: {what}")).collect(),
        };
        let mut mistakes = checks::against_schema(&document)?;
        if mistakes.is_empty() {
            mistakes = checks::doubles(&document);
        }
        if !mistakes.is_empty() {
            return Err(wrong(mistakes));
        }
        let workspaces = document.get("workspaces").and_then(Value::as_array).into_iter().flatten().enumerate();
        let workspaces = workspaces.map(|(location, workspace)| {
            let workspace = workspace.as_object().cloned().unwrap_or_default();
            Fixture::read(&format!("workspaces[{location}]"), workspace, config)
        });
        let workspaces = workspaces.collect::<Result<_, Mistake>>().map_err(|mistake| wrong(vec![mistake]))?;
        Ok(Self { file: file.to_owned(), workspaces })
    }

    /// How many workspaces there are in the file.
    pub fn count(&self) -> usize {
        self.workspaces.len()
    }

    /// Makes the workspaces that are not there yet, all of them or none.
    ///
    /// # Errors
    /// What cannot be made, by its place in the file.
    pub async fn load(self, app: &App) -> Result<Loaded, FixturesError> {
        let mut tx = app.pool.begin(Uuid::nil()).await?;
        tx.allow_long().await?;
        // Of two servers that start together, the second one shall find what the first one made.
        workspaces::lock_fixtures(&mut tx).await?;
        let workspace_ids: Vec<Uuid> = self.workspaces.iter().map(|it| it.workspace_id).collect();
        let locks = self.workspaces.iter().flat_map(|it| &it.params.locks);
        let device_ids: Vec<Uuid> = locks.filter_map(|lock| lock.device_id).collect();
        let accounts = self.workspaces.iter().flat_map(|it| &it.params.accounts);
        let account_ids: Vec<Uuid> = accounts.filter_map(|account| account.connected_account_id).collect();
        let taken = workspaces::in_use(&mut tx, &workspace_ids, &device_ids, &account_ids).await?;
        let mut loaded = Loaded::default();
        for (location, fixture) in self.workspaces.into_iter().enumerate() {
            if taken.contains(&fixture.workspace_id) {
                loaded.left.push(fixture.workspace_id);
                continue;
            }
            let created = fixture.make(tx, &app.config, &format!("workspaces[{location}]"), &taken).await;
            let (workspace, api_key);
            (tx, workspace, api_key) = created.map_err(|failure| match failure {
                Failure::Mistake((location, what)) => {
                    FixturesError::Wrong { file: self.file.clone(), mistakes: vec![format!("{location}: {what}")] }
                }
                Failure::Error(error) => FixturesError::Failed(error),
            })?;
            loaded.created.push((workspace, api_key));
        }
        tx.commit().await?;
        Ok(loaded)
    }
}

/// Why a workspace was not made.
enum Failure {
    /// The file is to blame.
    Mistake(Mistake),
    /// It is not.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Error(error.into())
    }
}

impl Failure {
    /// A refusal of what is at this place.
    fn at(location: &str, error: Error) -> Self {
        match error {
            Error::Internal(_) => Self::Error(error),
            error => Self::Mistake(refused(location, error)),
        }
    }
}

/// A refusal as a mistake in the file: at the parameter that it names, if it names one.
fn refused(location: &str, error: Error) -> Mistake {
    match error {
        Error::InUse(parameter) => {
            (format!("{location}.{parameter}"), "is in use on this server, by another workspace".to_owned())
        }
        Error::InvalidInput { message, validation_errors } => {
            let (mut location, mut tree) = (location.to_owned(), &validation_errors);
            while let Some((name, child)) = only_child(tree) {
                let _ = write!(location, ".{name}");
                tree = child;
            }
            let own = tree.get("_errors").and_then(|errors| errors.get(0)).and_then(Value::as_str);
            let message = own.map_or(message, str::to_owned);
            (location, message)
        }
        error => (location.to_owned(), error.to_string()),
    }
}

/// The one parameter that is to blame.
fn only_child(tree: &Value) -> Option<(&str, &Value)> {
    let mut children = tree.as_object()?.iter().filter(|(name, _)| *name != "_errors");
    match (children.next(), children.next()) {
        (Some((name, child)), None) => Some((name, child)),
        _ => None,
    }
}

impl Fixture {
    /// Reads a workspace that fits the schema.
    fn read(location: &str, mut spec: Map<String, Value>, config: &Settings) -> Result<Self, Mistake> {
        let at = |error: Error| refused(location, error);
        let list = |value: Option<Value>| match value {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let locks = list(spec.shift_remove("locks"));
        let accounts = list(spec.shift_remove("connected_accounts"));
        let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let publishable_key = text(spec.shift_remove("publishable_key"));
        let personal_access_token = text(spec.shift_remove("personal_access_token"));
        let create: Create = Create::deserialize(Value::Object(spec)).map_err(|error| at(error.into()))?;
        let mut params = create.read(config).map_err(at)?;
        let workspace_id = params.workspace_id.unwrap_or_default();
        params.publishable_key = publishable_key;
        params.personal_access_token = personal_access_token;
        for (number, account) in accounts.into_iter().enumerate() {
            let location = format!("{location}.connected_accounts[{number}]");
            let account = AccountSpec::deserialize(account).map_err(|error| refused(&location, error.into()))?;
            let makers: BTreeSet<&str> = BRANDS.iter().map(|brand| brand.provider).collect();
            if !makers.contains(account.provider.as_str()) {
                let makers: Vec<&str> = makers.into_iter().collect();
                return Err((
                    format!("{location}.provider"),
                    format!("no maker of locks; these are: {}", makers.join(", ")),
                ));
            }
            params.accounts.push(account);
        }
        let mut codes = Vec::with_capacity(locks.len());
        for (number, lock) in locks.into_iter().enumerate() {
            let location = format!("{location}.locks[{number}]");
            let Value::Object(mut lock) = lock else { continue };
            let foreign = list(lock.shift_remove("unmanaged_access_codes")).into_iter().enumerate();
            let managed = list(lock.shift_remove("access_codes")).into_iter().enumerate();
            let foreign = foreign.map(|(number, code)| {
                UnmanagedCodeSpec::deserialize(code)
                    .map_err(|error| refused(&format!("{location}.unmanaged_access_codes[{number}]"), error.into()))
            });
            let managed = managed.map(|(number, code)| {
                let mut parameters = code.as_object().cloned().unwrap_or_default();
                parameters.entry("sync").or_insert(Value::Bool(true));
                access_codes::params(parameters)
                    .map_err(|error| refused(&format!("{location}.access_codes[{number}]"), error))
            });
            codes.push(Codes {
                foreign: foreign.collect::<Result<_, _>>()?,
                managed: managed.collect::<Result<_, _>>()?,
            });
            // Where in the list it stands is said by its place in the file.
            params.locks.push(LockSpec::read(lock, number).map_err(|error| refused(&location, error))?);
        }
        Ok(Self { workspace_id, params, codes })
    }

    /// Makes the workspace with everything in it.
    async fn make(
        self,
        mut tx: Transaction,
        config: &Settings,
        location: &str,
        taken: &HashSet<Uuid>,
    ) -> Result<(Transaction, Workspace, String), Failure> {
        let params = self.params;
        for (number, lock) in params.locks.iter().enumerate() {
            if lock.device_id.is_some_and(|device_id| taken.contains(&device_id)) {
                return Err(Failure::at(&format!("{location}.locks[{number}]"), Error::InUse("device_id")));
            }
        }
        for (number, account) in params.accounts.iter().enumerate() {
            if account.connected_account_id.is_some_and(|account_id| taken.contains(&account_id)) {
                let location = format!("{location}.connected_accounts[{number}]");
                return Err(Failure::at(&location, Error::InUse("connected_account_id")));
            }
        }
        let clock = params.clock;
        let chose = (params.api_key.is_some(), params.personal_access_token.is_some());
        let created = create_in(&mut tx, config, params).await.map_err(|error| match (error, chose) {
            // They are kept together, and the database does not tell which of them it was.
            (Error::InUse("api_key"), (false, true)) => Failure::at(location, Error::InUse("personal_access_token")),
            (Error::InUse("api_key"), (true, true)) => {
                let what = "its api_key or personal_access_token is in use on this server, by another workspace";
                Failure::Mistake((location.to_owned(), what.to_owned()))
            }
            (error, _) => Failure::at(location, error),
        })?;
        let device_ids: Vec<Uuid> = created.devices.iter().map(|device| device.device_id).collect();
        let tx = put_unmanaged(tx, &created.workspace, location, &device_ids, &self.codes).await?;
        let mut tx = put_managed(tx, &created.workspace, location, &device_ids, self.codes).await?;
        // It began with its codes, too.
        snapshots::record_beginning(&mut tx, &created.workspace, clock, machine_now()).await?;
        Ok((tx, created.workspace, created.api_key))
    }
}

/// Puts codes on locks as somebody with the makers' apps does.
async fn put_unmanaged(
    tx: Transaction,
    workspace: &Workspace,
    location: &str,
    device_ids: &[Uuid],
    codes: &[Codes],
) -> Result<Transaction, Failure> {
    if codes.iter().all(|codes| codes.foreign.is_empty()) {
        return Ok(tx);
    }
    let mut work =
        UnitOfWork::begin_in(tx, &Visibility::all_of(workspace.workspace_id), Scope::Devices(device_ids)).await?;
    for (lock, (device_id, codes)) in device_ids.iter().zip(codes).enumerate() {
        for (number, spec) in codes.foreign.iter().enumerate() {
            let location = format!("{location}.locks[{lock}].unmanaged_access_codes[{number}]");
            let foreign = spec.read(*device_id).map_err(|error| Failure::at(&location, error))?;
            external_changes::add_to(&mut work, foreign).map_err(|error| Failure::at(&location, error))?;
        }
    }
    work.write().await?;
    Ok(work.tx)
}

/// Makes codes as the API does.
async fn put_managed(
    tx: Transaction,
    workspace: &Workspace,
    location: &str,
    device_ids: &[Uuid],
    codes: Vec<Codes>,
) -> Result<Transaction, Failure> {
    let visibility = Visibility::all_of(workspace.workspace_id);
    let (mut places, mut batch) = (Vec::new(), Vec::new());
    for (lock, (device_id, codes)) in device_ids.iter().zip(codes).enumerate() {
        for (number, params) in codes.managed.into_iter().enumerate() {
            places.push(format!("{location}.locks[{lock}].access_codes[{number}]"));
            let cause = Cause::default();
            batch.push(CreateCommand {
                visibility: visibility.clone(),
                device_ids: vec![*device_id],
                params,
                linking: None,
                cause,
            });
        }
    }
    if batch.is_empty() {
        return Ok(tx);
    }
    let (work, answers) = create::create_in(tx, workspace.workspace_id, &batch).await?;
    for (location, answer) in places.iter().zip(answers) {
        answer.map_err(|error| Failure::at(location, error))?;
    }
    Ok(work.tx)
}
