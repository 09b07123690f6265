//! `/_emulator/http_faults/*`: what clients are to meet on a bad day.

use super::Control;
use super::worlds::{Done, Nothing};
use crate::app::App;
use crate::clock::{Instant, duration_from_iso, iso, machine_now};
use crate::error::{Error, Result};
use crate::http::connection::Connection;
use crate::http::params::duration;
use crate::postgres::Pool;
use crate::workspaces::{Workspace, store as workspaces};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// What becomes of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It is answered so, and nothing else happens.
    Status {
        /// The status, of an error.
        status: u16,
        /// The body; left out, the one every error has.
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        /// After how many seconds the caller may try again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// It is served later, by an ISO 8601 duration of the machine's time.
    Delay {
        /// How much later.
        delay: String,
    },
    /// Its connection is broken off.
    Named(Name),
}

/// An outcome without particulars.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// Its connection is broken off.
    Reset,
}

/// An HTTP fault, with how often it was considered and struck so far.
#[derive(Clone, Debug, sqlx::FromRow)]
#[expect(clippy::struct_field_names, reason = "http_fault_id is what it is called everywhere")]
struct HttpFault {
    http_fault_id: Uuid,
    path: Option<String>,
    method: Option<String>,
    outcome: Json<Outcome>,
    times: Option<i32>,
    probability: Option<f64>,
    asked: i64,
    used: i32,
    created_at: Instant,
}

/// The columns of an HTTP fault.
macro_rules! columns {
    () => {
        "http_fault_id, path, method, outcome, times, probability, asked, used, created_at"
    };
}

impl HttpFault {
    fn is_about(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|wanted| is_path(wanted, path))
    }

    fn is_exhausted(&self) -> bool {
        self.times.is_some_and(|times| self.used >= times)
    }

    /// Considers one request. Gives whether it is struck.
    fn strike(&mut self, workspace: &Workspace) -> bool {
        let ordinal = self.asked;
        self.asked += 1;
        let strikes = self.probability.is_none_or(|probability| {
            // As many steps as a number of this kind can tell apart.
            const STEPS: u64 = 1 << 53;
            let drawn = workspace.ids.draw("http_fault", self.http_fault_id, ordinal, STEPS);
            #[expect(clippy::cast_precision_loss, reason = "both are exact up to here")]
            let share = drawn as f64 / STEPS as f64;
            share < probability
        });
        self.used += i32::from(strikes);
        strikes
    }
}

/// Whether a path is meant by one that may end in `*`.
pub(super) fn is_path(wanted: &str, path: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == wanted,
    }
}

/// What strikes a request.
#[derive(Debug)]
pub struct Struck {
    /// The HTTP fault.
    pub http_fault_id: Uuid,
    outcome: Outcome,
}

/// The HTTP fault that strikes a request of a workspace that has any: the oldest that is about it, is not used up and does
/// not let it pass. It counts it.
pub async fn strike(app: &App, workspace: &Workspace, parts: &Parts) -> Result<Option<Struck>> {
    let mut tx = app.pool.begin(workspace.workspace_id).await?;
    let rows: Vec<HttpFault> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from http_fault where workspace_id = $1 order by sequence for update"
    ))
    .bind(workspace.workspace_id)
    .fetch_all(&mut *tx)
    .await?;
    let (mut considered, mut struck) = (Vec::new(), None);
    let is_about = |fault: &HttpFault| fault.is_about(parts.method.as_str(), parts.uri.path()) && !fault.is_exhausted();
    for mut fault in rows.into_iter().filter(is_about) {
        let strikes = fault.strike(workspace);
        let outcome = &fault.outcome.0;
        struck = strikes.then(|| Struck { http_fault_id: fault.http_fault_id, outcome: outcome.clone() });
        considered.push(fault);
        if strikes {
            break;
        }
    }
    if !considered.is_empty() {
        save(&mut tx, &considered).await?;
        tx.commit().await?;
    }
    Ok(struck)
}

/// Writes how often HTTP faults were considered and struck.
async fn save(tx: &mut PgConnection, faults: &[HttpFault]) -> Result<()> {
    sqlx::query(
        "update http_fault set asked = new.asked, used = new.used
         from unnest($1::uuid[], $2::bigint[], $3::int[]) as new(http_fault_id, asked, used)
         where http_fault.http_fault_id = new.http_fault_id",
    )
    .bind(faults.iter().map(|fault| fault.http_fault_id).collect::<Vec<_>>())
    .bind(faults.iter().map(|fault| fault.asked).collect::<Vec<_>>())
    .bind(faults.iter().map(|fault| fault.used).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

impl Struck {
    /// Whether there is no answer at all.
    pub fn resets(&self) -> bool {
        matches!(self.outcome, Outcome::Named(Name::Reset))
    }

    /// Lets it happen to the request. `Ok`: the request goes on.
    pub async fn befall(self, app: &App, parts: &Parts) -> Result<()> {
        let http_fault_id = self.http_fault_id;
        match self.outcome {
            Outcome::Status { status, body, retry_after } => {
                Err(Error::Arranged { http_fault_id, status, body, retry_after })
            }
            Outcome::Delay { delay } => {
                let delay = duration_from_iso(&delay).and_then(|delay| delay.to_std().ok());
                let delay = delay.ok_or_else(|| Error::inconsistent("http_fault", http_fault_id, "outcome"))?;
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    // A server that is about to stop waits for its requests, and does not wait for nothing.
                    () = app.stopping.cancelled() => {}
                }
                Ok(())
            }
            Outcome::Named(Name::Reset) => {
                // Who came without a connection, as tests do, is told instead.
                if let Some(connection) = parts.extensions.get::<Connection>() {
                    connection.reset();
                }
                Err(Error::ConnectionReset(http_fault_id))
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Create {
    path: Option<String>,
    method: Option<String>,
    outcome: Outcome,
    times: Option<i32>,
    probability: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Made {
    http_fault: HttpFaultBody,
}

#[derive(Serialize)]
struct HttpFaultBody {
    http_fault_id: Uuid,
    path: Option<String>,
    method: Option<String>,
    outcome: Outcome,
    times: Option<i32>,
    probability: Option<f64>,
    used: i32,
    is_exhausted: bool,
    #[serde(with = "iso")]
    created_at: Instant,
}

impl From<HttpFault> for HttpFaultBody {
    fn from(fault: HttpFault) -> Self {
        Self {
            is_exhausted: fault.is_exhausted(),
            http_fault_id: fault.http_fault_id,
            path: fault.path,
            method: fault.method,
            outcome: fault.outcome.0,
            times: fault.times,
            probability: fault.probability,
            used: fault.used,
            created_at: fault.created_at,
        }
    }
}

/// Arranges for requests to go otherwise. A path that is not there is no error: it strikes nothing.
pub(super) async fn create(call: Control<Create>) -> Result<Made> {
    let workspace = call.workspace().await?;
    let workspace_id = workspace.workspace_id;
    let input = call.input;
    if let Outcome::Delay { delay } = &input.outcome {
        duration("outcome", delay)?;
    }
    let mut tx = call.app.pool.begin(workspace.workspace_id).await?;
    if !workspaces::lock(&mut tx, workspace_id).await? {
        return Err(Error::WorkspaceNotFound);
    }
    let world = workspaces::world(&mut tx, workspace_id).await?.ok_or(Error::WorkspaceNotFound)?;
    let machine_now = machine_now();
    let ordinal: i64 = sqlx::query_scalar(
        "update workspace set has_http_faults = true, http_faults_made = http_faults_made + 1 where workspace_id = $1
         returning http_faults_made",
    )
    .bind(workspace_id)
    .fetch_one(&mut *tx)
    .await?;
    let fault = HttpFault {
        http_fault_id: workspace.ids.id("http_fault", workspace_id, ordinal, machine_now),
        path: input.path,
        method: input.method,
        outcome: Json(input.outcome),
        times: input.times,
        probability: input.probability,
        asked: 0,
        used: 0,
        created_at: world.clock.now(machine_now),
    };
    sqlx::query(
        "insert into http_fault (http_fault_id, workspace_id, path, method, outcome, times, probability, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(fault.http_fault_id)
    .bind(workspace_id)
    .bind(&fault.path)
    .bind(&fault.method)
    .bind(&fault.outcome)
    .bind(fault.times)
    .bind(fault.probability)
    .bind(fault.created_at)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    call.app.workspaces.forget(workspace_id);
    Ok(Made { http_fault: fault.into() })
}

#[derive(Serialize)]
pub(super) struct Listed {
    http_faults: Vec<HttpFaultBody>,
}

pub(super) async fn list(call: Control<Nothing>) -> Result<Listed> {
    let workspace = call.workspace().await?;
    let faults = all(&call.app.pool, workspace.workspace_id).await?;
    Ok(Listed { http_faults: faults.into_iter().map(HttpFaultBody::from).collect() })
}

async fn all(pool: &Pool, workspace_id: Uuid) -> Result<Vec<HttpFault>> {
    let query =
        sqlx::query_as(concat!("select ", columns!(), " from http_fault where workspace_id = $1 order by sequence"));
    Ok(query.bind(workspace_id).fetch_all(pool.of(workspace_id)).await?)
}

#[derive(Deserialize)]
pub(super) struct Delete {
    http_fault_id: Uuid,
}

pub(super) async fn delete(call: Control<Delete>) -> Result<Done> {
    let workspace_id = call.workspace().await?.workspace_id;
    let mut tx = call.app.pool.begin(workspace_id).await?;
    if !workspaces::lock(&mut tx, workspace_id).await? {
        return Err(Error::WorkspaceNotFound);
    }
    let deleted =
        sqlx::query("delete from http_fault where http_fault_id = $1 and workspace_id is not distinct from $2")
            .bind(call.input.http_fault_id)
            .bind(workspace_id)
            .execute(&mut *tx)
            .await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::HttpFaultNotFound);
    }
    // Without any left, requests need not look any more.
    sqlx::query(
        "update workspace set has_http_faults = exists (select from http_fault where workspace_id = $1)
         where workspace_id = $1",
    )
    .bind(workspace_id)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    call.app.workspaces.forget(workspace_id);
    Ok(Done {})
}
