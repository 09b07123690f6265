//! What all requests of one server share.

use super::batcher::Batcher;
use super::commands::{CreateCommand, Created, UpdateCommand, Updated};
use super::import_budget::ImportBudget;
use super::parking::Parking;
use super::request_log::RequestLog;
use super::workspace_cache::WorkspaceCache;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::contract::{Contract, ContractError};
use crate::error::Result;
use crate::postgres::{Pool, Pools};
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The end of the scheduler's last round.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerRound {
    /// When it ended, in the machine's time.
    pub ended_at: Timestamp,
    /// Whether it did all that was due.
    pub has_succeeded: bool,
}

/// A handle on the server; cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Shared>);

/// What is behind the handle.
#[derive(Debug)]
pub struct Shared {
    /// The server's settings.
    pub config: Settings,
    /// The database, for requests.
    pub pool: Pool,
    /// The database, for what the server does by itself.
    pub background: Pool,
    /// Seam's contract.
    pub contract: Contract,
    /// The contract of the control plane.
    pub control_contract: Contract,
    /// Workspaces of tokens that were seen lately.
    pub workspaces: WorkspaceCache,
    /// Requests for new codes, by workspace.
    pub creates: Arc<Batcher<Uuid, CreateCommand, Result<Vec<Created>>>>,
    /// Changes of codes, by workspace.
    pub updates: Arc<Batcher<Uuid, UpdateCommand, Result<Updated>>>,
    /// What was asked and answered lately.
    pub requests: RequestLog,
    /// Workspaces that have more access codes due than the scheduler takes at once.
    pub busy_workspaces: watch::Sender<Vec<Uuid>>,
    /// Locks whose codes cannot be worked on.
    pub parking: Parking,
    /// How many bytes of imported snapshots are in memory at once.
    pub imports: ImportBudget,
    /// Whether the server is about to stop, which ends answers that have no end of their own.
    pub stopping: CancellationToken,
    wake: Notify,
    freed: Notify,
    last_scheduler_round: watch::Sender<Option<SchedulerRound>>,
}

impl App {
    /// A server with these settings on this database.
    ///
    /// # Errors
    /// If a contract that is built in does not parse.
    pub fn new(config: Settings, pools: Pools) -> Result<Self, ContractError> {
        Ok(Self(Arc::new(Shared {
            requests: RequestLog::new(config.request_log),
            imports: ImportBudget::new(config.snapshot_limit),
            config,
            pool: pools.requests,
            background: pools.background,
            contract: Contract::parse(crate::contract::OPENAPI)?,
            control_contract: Contract::parse(crate::contract::CONTROL_OPENAPI)?,
            workspaces: WorkspaceCache::default(),
            creates: Arc::default(),
            updates: Arc::default(),
            busy_workspaces: watch::Sender::default(),
            parking: Parking::default(),
            stopping: CancellationToken::new(),
            wake: Notify::new(),
            freed: Notify::new(),
            last_scheduler_round: watch::Sender::new(None),
        })))
    }

    /// The pools of connections, for another server on the same database.
    pub fn pools(&self) -> Pools {
        Pools { requests: self.pool.clone(), background: self.background.clone() }
    }

    /// Tells the scheduler of this process that something may fall due sooner than it thinks.
    pub fn wake_scheduler(&self) {
        self.wake.notify_one();
    }

    /// Notes how the scheduler's round ended.
    pub fn scheduler_went_round(&self, round: SchedulerRound) {
        self.last_scheduler_round.send_replace(Some(round));
    }

    /// How the scheduler's last round in this process ended. `None`: there was none yet.
    pub fn last_scheduler_round(&self) -> Option<SchedulerRound> {
        *self.last_scheduler_round.borrow()
    }

    /// Waits until [`App::wake_scheduler`] is called; a call that came before counts.
    pub async fn scheduler_woken(&self) {
        self.wake.notified().await;
    }

    /// Tells that so much memory is in use until what this gives is dropped.
    #[must_use]
    pub fn uses_memory(&self, bytes: usize) -> Option<InUse> {
        (bytes >= MIN_TRACKED_MEMORY).then(|| InUse(self.clone()))
    }

    /// Waits until much memory is free again that was in use; what came before counts.
    pub async fn memory_freed(&self) {
        self.freed.notified().await;
    }
}

/// So many bytes are worth giving back to the system.
const MIN_TRACKED_MEMORY: usize = 4 * 1024 * 1024;

/// Much memory that is in use.
#[derive(Debug)]
pub struct InUse(App);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.freed.notify_one();
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
