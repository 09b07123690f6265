//! Fixtures: workspaces that a server creates at its start, from a file.
//!
//! Before anything is written, the file is checked against `fixtures.schema.json`, and then against rules that a schema
//! cannot express. Then all workspaces are created in one transaction, and managed access codes follow the rules of the
//! API. If anything is wrong, nothing is loaded, and the error names the place in the file.

mod checks;
mod grants;

use self::grants::Grants;

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
use crate::engine::device_specs::{AccountSpec, LockSpec};
use crate::engine::external_changes;
use crate::engine::unit_of_work::{Scope, UnitOfWork};
use crate::engine::workspaces::{WorkspaceParams, create_in};
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

/// JSON Schema of the file.
pub const SCHEMA: &str = include_str!("fixtures.schema.json");

/// Reason why fixtures were not loaded. Nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum FixturesError {
    /// The file cannot be read.
    #[error("cannot read the fixtures in {}: {cause}", file.display())]
    Unreadable {
        /// Path of the file.
        file: PathBuf,
        /// Error of the operating system.
        cause: io::Error,
    },
    /// The file is not JSON.
    #[error("the fixtures in {} are not JSON: {cause}", file.display())]
    NotJson {
        /// Path of the file.
        file: PathBuf,
        /// Error of the parser, with its position.
        cause: serde_json::Error,
    },
    /// The file contains mistakes.
    #[error("the fixtures in {} are invalid, so nothing was loaded:\n  {}", file.display(), mistakes.join("\n  "))]
    Invalid {
        /// Path of the file.
        file: PathBuf,
        /// Mistakes, each with its place: `workspaces[0].locks[2].device_type: what is wrong`.
        mistakes: Vec<String>,
    },
    /// Any other error, most likely of the database.
    #[error("the fixtures could not be loaded: {0}")]
    Failed(#[from] Error),
}

impl From<sqlx::Error> for FixturesError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Place in the file, and a description of the mistake.
type Mistake = (String, String);

/// Workspaces from a file that passed all checks that need no database.
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
    /// Access codes by lock, in the order of the locks.
    codes: Vec<Codes>,
    /// User identities, spaces and access grants.
    grants: Grants,
}

/// Access codes of one lock.
#[derive(Debug)]
struct Codes {
    unmanaged: Vec<UnmanagedCodeSpec>,
    managed: Vec<NewAccessCode>,
}

/// Result of loading fixtures.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Created workspaces, each with its API key.
    pub created: Vec<(Workspace, String)>,
    /// Workspaces that existed already and were not changed.
    pub unchanged: Vec<Uuid>,
}

impl Fixtures {
    /// Reads and checks a file, for a server with these settings.
    ///
    /// # Errors
    /// [`FixturesError::Unreadable`]; [`FixturesError::NotJson`]; [`FixturesError::Invalid`] with the mistakes in the
    /// file.
    pub fn read(file: &Path, config: &Settings) -> Result<Self, FixturesError> {
        let text =
            fs::read_to_string(file).map_err(|cause| FixturesError::Unreadable { file: file.to_owned(), cause })?;
        let document: Value =
            serde_json::from_str(&text).map_err(|cause| FixturesError::NotJson { file: file.to_owned(), cause })?;
        let wrong = |mistakes: Vec<Mistake>| FixturesError::Invalid {
            file: file.to_owned(),
            mistakes: mistakes.into_iter().map(|(location, message)| format!("{location}: {message}")).collect(),
        };
        let mut mistakes = checks::against_schema(&document)?;
        if mistakes.is_empty() {
            mistakes = checks::duplicates(&document);
        }
        if !mistakes.is_empty() {
            return Err(wrong(mistakes));
        }
        let workspaces = document.get("workspaces").and_then(Value::as_array).into_iter().flatten().enumerate();
        let workspaces = workspaces.map(|(index, workspace)| {
            let workspace = workspace.as_object().cloned().unwrap_or_default();
            Fixture::read(&format!("workspaces[{index}]"), workspace, config)
        });
        let workspaces = workspaces.collect::<Result<_, Mistake>>().map_err(|mistake| wrong(vec![mistake]))?;
        Ok(Self { file: file.to_owned(), workspaces })
    }

    /// Returns the number of workspaces in the file.
    pub fn count(&self) -> usize {
        self.workspaces.len()
    }

    /// Creates the workspaces that do not exist yet, all of them or none.
    ///
    /// # Errors
    /// [`FixturesError::Invalid`] with the first item that cannot be created, and its place in the file;
    /// [`FixturesError::Failed`].
    pub async fn load(self, app: &App) -> Result<Loaded, FixturesError> {
        // The transaction belongs to no single workspace, hence the nil UUID.
        let mut tx = app.pool.begin(Uuid::nil()).await?;
        tx.allow_long().await?;
        // If two servers start at the same time, the second one waits here and then finds the workspaces of the first.
        workspaces::lock_fixtures(&mut tx).await?;
        let workspace_ids: Vec<Uuid> = self.workspaces.iter().map(|fixture| fixture.workspace_id).collect();
        let locks = self.workspaces.iter().flat_map(|fixture| &fixture.params.locks);
        let device_ids: Vec<Uuid> = locks.filter_map(|lock| lock.device_id).collect();
        let accounts = self.workspaces.iter().flat_map(|fixture| &fixture.params.accounts);
        let account_ids: Vec<Uuid> = accounts.filter_map(|account| account.connected_account_id).collect();
        let used_ids = workspaces::in_use(&mut tx, &workspace_ids, &device_ids, &account_ids).await?;
        let mut loaded = Loaded::default();
        for (index, fixture) in self.workspaces.into_iter().enumerate() {
            if used_ids.contains(&fixture.workspace_id) {
                loaded.unchanged.push(fixture.workspace_id);
                continue;
            }
            let created = fixture.create(tx, &app.config, &format!("workspaces[{index}]"), &used_ids).await;
            let (workspace, api_key);
            (tx, workspace, api_key) = created.map_err(|failure| match failure {
                Failure::Mistake((location, message)) => {
                    FixturesError::Invalid { file: self.file.clone(), mistakes: vec![format!("{location}: {message}")] }
                }
                Failure::Error(error) => FixturesError::Failed(error),
            })?;
            loaded.created.push((workspace, api_key));
        }
        tx.commit().await?;
        Ok(loaded)
    }
}

/// Reason why a workspace was not created.
enum Failure {
    /// A mistake in the file.
    Mistake(Mistake),
    /// Any other error.
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
    /// Creates the failure for an error of the item at this place in the file. Every error except an internal one is
    /// reported as a mistake in the file.
    fn at(location: &str, error: Error) -> Self {
        match error {
            Error::Internal(_) => Self::Error(error),
            error => Self::Mistake(mistake_of(location, error)),
        }
    }
}

/// Converts an error to a mistake in the file, at the parameter that the error names, if any.
fn mistake_of(location: &str, error: Error) -> Mistake {
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

/// Returns the only parameter in a tree of issues; `None` if it has none or several.
fn only_child(tree: &Value) -> Option<(&str, &Value)> {
    let mut children = tree.as_object()?.iter().filter(|(name, _)| *name != "_errors");
    match (children.next(), children.next()) {
        (Some((name, child)), None) => Some((name, child)),
        _ => None,
    }
}

impl Fixture {
    /// Reads one workspace of the file, which has already passed the schema check. `location` is its place in the
    /// file, for messages.
    fn read(location: &str, mut spec: Map<String, Value>, config: &Settings) -> Result<Self, Mistake> {
        let at = |error: Error| mistake_of(location, error);
        let list = |value: Option<Value>| match value {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let locks = list(spec.shift_remove("locks"));
        let accounts = list(spec.shift_remove("connected_accounts"));
        let grants = Grants::take(location, &mut spec)?;
        let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let publishable_key = text(spec.shift_remove("publishable_key"));
        let create: Create = Create::deserialize(Value::Object(spec)).map_err(|error| at(error.into()))?;
        let mut params = create.read(config).map_err(at)?;
        // The schema requires the id.
        let workspace_id = params.workspace_id.unwrap_or_default();
        params.publishable_key = publishable_key;
        for (number, account) in accounts.into_iter().enumerate() {
            let location = format!("{location}.connected_accounts[{number}]");
            let account = AccountSpec::deserialize(account).map_err(|error| mistake_of(&location, error.into()))?;
            let providers: BTreeSet<&str> = BRANDS.iter().map(|brand| brand.provider).collect();
            if !providers.contains(account.provider.as_str()) {
                let providers: Vec<&str> = providers.into_iter().collect();
                return Err((
                    format!("{location}.provider"),
                    format!("not a provider of locks; these are: {}", providers.join(", ")),
                ));
            }
            params.accounts.push(account);
        }
        let mut codes = Vec::with_capacity(locks.len());
        for (number, lock) in locks.into_iter().enumerate() {
            let location = format!("{location}.locks[{number}]");
            let Value::Object(mut lock) = lock else { continue };
            let unmanaged = list(lock.shift_remove("unmanaged_access_codes")).into_iter().enumerate();
            let managed = list(lock.shift_remove("access_codes")).into_iter().enumerate();
            let unmanaged = unmanaged.map(|(number, code)| {
                UnmanagedCodeSpec::deserialize(code)
                    .map_err(|error| mistake_of(&format!("{location}.unmanaged_access_codes[{number}]"), error.into()))
            });
            let managed = managed.map(|(number, code)| {
                let mut parameters = code.as_object().cloned().unwrap_or_default();
                // Due codes are on their locks when the server is ready, unless the file contains `"sync": false`.
                parameters.entry("sync").or_insert(Value::Bool(true));
                access_codes::new_access_code(parameters)
                    .map_err(|error| mistake_of(&format!("{location}.access_codes[{number}]"), error))
            });
            codes.push(Codes {
                unmanaged: unmanaged.collect::<Result<_, _>>()?,
                managed: managed.collect::<Result<_, _>>()?,
            });
            params.locks.push(LockSpec::read(lock, number).map_err(|error| mistake_of(&location, error))?);
        }
        Ok(Self { workspace_id, params, codes, grants })
    }

    /// Creates the workspace with everything in it, in this transaction. Returns the transaction, the workspace and its
    /// API key. `used_ids`: those ids of the file that are in use in the database.
    async fn create(
        self,
        mut tx: Transaction,
        config: &Settings,
        location: &str,
        used_ids: &HashSet<Uuid>,
    ) -> Result<(Transaction, Workspace, String), Failure> {
        let params = self.params;
        for (number, lock) in params.locks.iter().enumerate() {
            if lock.device_id.is_some_and(|device_id| used_ids.contains(&device_id)) {
                return Err(Failure::at(&format!("{location}.locks[{number}]"), Error::InUse("device_id")));
            }
        }
        for (number, account) in params.accounts.iter().enumerate() {
            if account.connected_account_id.is_some_and(|account_id| used_ids.contains(&account_id)) {
                let location = format!("{location}.connected_accounts[{number}]");
                return Err(Failure::at(&location, Error::InUse("connected_account_id")));
            }
        }
        let clock = params.clock;
        let created = create_in(&mut tx, config, params).await.map_err(|error| Failure::at(location, error))?;
        let device_ids: Vec<Uuid> = created.devices.iter().map(|device| device.device_id).collect();
        let tx = put_unmanaged(tx, &created.workspace, location, &device_ids, &self.codes).await?;
        let tx = put_managed(tx, &created.workspace, location, &device_ids, self.codes).await?;
        let mut tx = self.grants.create(tx, &created.workspace, location).await?;
        // The initial state of the workspace includes its access codes.
        snapshots::store_initial_state(&mut tx, &created.workspace, clock, machine_now()).await?;
        Ok((tx, created.workspace, created.api_key))
    }
}

/// Puts unmanaged codes on locks, as a person with the manufacturers' apps does.
async fn put_unmanaged(
    tx: Transaction,
    workspace: &Workspace,
    location: &str,
    device_ids: &[Uuid],
    codes: &[Codes],
) -> Result<Transaction, Failure> {
    if codes.iter().all(|codes| codes.unmanaged.is_empty()) {
        return Ok(tx);
    }
    let mut work =
        UnitOfWork::begin_in(tx, &Visibility::all_of(workspace.workspace_id), Scope::Devices(device_ids)).await?;
    for (lock, (device_id, codes)) in device_ids.iter().zip(codes).enumerate() {
        for (number, spec) in codes.unmanaged.iter().enumerate() {
            let location = format!("{location}.locks[{lock}].unmanaged_access_codes[{number}]");
            let unmanaged = spec.read(*device_id).map_err(|error| Failure::at(&location, error))?;
            external_changes::add_to(&mut work, unmanaged).map_err(|error| Failure::at(&location, error))?;
        }
    }
    work.write().await?;
    Ok(work.tx)
}

/// Creates managed codes, as the API does.
async fn put_managed(
    tx: Transaction,
    workspace: &Workspace,
    location: &str,
    device_ids: &[Uuid],
    codes: Vec<Codes>,
) -> Result<Transaction, Failure> {
    let visibility = Visibility::all_of(workspace.workspace_id);
    let (mut locations, mut batch) = (Vec::new(), Vec::new());
    for (lock, (device_id, codes)) in device_ids.iter().zip(codes).enumerate() {
        for (number, params) in codes.managed.into_iter().enumerate() {
            locations.push(format!("{location}.locks[{lock}].access_codes[{number}]"));
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
    let (work, results) = create::create_in(tx, workspace.workspace_id, &batch).await?;
    for (location, result) in locations.iter().zip(results) {
        result.map_err(|error| Failure::at(location, error))?;
    }
    Ok(work.tx)
}
