//! State that all requests of one server share.

use super::batcher::Batcher;
use super::caller_cache::CallerCache;
use super::commands::{CodeWithDevice, CreateCommand, Created, GetCommand, UpdateCommand, Updated};
use super::import_budget::ImportBudget;
use super::parking::Parking;
use super::request_log::RequestLog;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::contract::{Contract, ContractError};
use crate::error::Result;
use crate::metrics::Metrics;
use crate::postgres::{Pool, Pools};
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A finished round of the scheduler.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerRound {
    /// End of the round, on the machine's clock.
    pub ended_at: Timestamp,
    /// False if the round ended with an error.
    pub has_succeeded: bool,
}

/// Number of changes of webhooks that a worker may lag behind, before it counts every webhook as changed.
const CHANGES_BUFFER: usize = 64;

/// Number of running requests from which the server is busy.
const BUSY_REQUESTS: usize = 4;

/// Handle to the shared state of the server; cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Shared>);

/// The state behind an [`App`].
#[derive(Debug)]
pub struct Shared {
    /// Settings of the server.
    pub config: Settings,
    /// Connections for requests.
    pub pool: Pool,
    /// Connections for the server's own tasks.
    pub background: Pool,
    /// Connections for the delivery to webhooks.
    pub deliveries: Pool,
    /// Contract of Seam's API.
    pub contract: Contract,
    /// Contract of the control plane.
    pub control_contract: Contract,
    /// Cache of callers by credential.
    pub callers: CallerCache,
    /// Requests that create access codes, batched by workspace.
    pub creates: Arc<Batcher<Uuid, CreateCommand, Result<Vec<Created>>>>,
    /// Requests that change access codes, batched by workspace.
    pub updates: Arc<Batcher<Uuid, UpdateCommand, Result<Updated>>>,
    /// Requests that read single access codes, by workspace.
    pub(crate) gets: Arc<Batcher<Uuid, GetCommand, Result<Option<CodeWithDevice>>>>,
    /// Log of the latest requests.
    pub request_log: RequestLog,
    /// Counters for Prometheus.
    pub metrics: Arc<Metrics>,
    /// Workspaces whose due access codes fill a large part of a scheduler batch.
    pub busy_workspaces: watch::Sender<Vec<Uuid>>,
    /// Devices whose access codes cannot be processed for now.
    pub parking: Parking,
    /// Memory limit for imported snapshots.
    pub import_budget: ImportBudget,
    /// Cancelled when the server begins to stop; ends streaming responses.
    pub stopping: CancellationToken,
    /// Cancelled when, after `stopping`, the results of all deliveries to webhooks are recorded.
    pub deliveries_stopped: CancellationToken,
    /// Signals that this process has recorded attempts to deliver events.
    pub attempts_recorded: watch::Sender<()>,
    /// Workspaces whose webhooks, or the deliveries to them, this process has changed or deleted.
    pub webhooks_changed: broadcast::Sender<Uuid>,
    /// Cloned by each running request to Seam's API. The number of clones is the number of these requests.
    pub running_requests: Arc<()>,
    wake: Notify,
    wake_deliveries: Notify,
    freed: Notify,
    last_scheduler_round: watch::Sender<Option<SchedulerRound>>,
}

impl App {
    /// Creates the state of a server with these settings on this database.
    ///
    /// # Errors
    /// If a built-in contract does not parse.
    pub fn new(config: Settings, pools: Pools) -> Result<Self, ContractError> {
        Ok(Self(Arc::new(Shared {
            request_log: RequestLog::new(config.request_log),
            import_budget: ImportBudget::new(config.snapshot_limit),
            config,
            pool: pools.requests,
            background: pools.background,
            deliveries: pools.deliveries,
            contract: Contract::parse(crate::contract::OPENAPI.requests())?,
            control_contract: Contract::parse(crate::contract::CONTROL_OPENAPI.requests())?,
            callers: CallerCache::default(),
            creates: Arc::default(),
            updates: Arc::default(),
            gets: Arc::default(),
            metrics: Arc::default(),
            busy_workspaces: watch::Sender::default(),
            parking: Parking::default(),
            stopping: CancellationToken::new(),
            running_requests: Arc::default(),
            wake: Notify::new(),
            wake_deliveries: Notify::new(),
            attempts_recorded: watch::Sender::default(),
            webhooks_changed: broadcast::Sender::new(CHANGES_BUFFER),
            deliveries_stopped: CancellationToken::new(),
            freed: Notify::new(),
            last_scheduler_round: watch::Sender::new(None),
        })))
    }

    /// Returns the connection pools, for another server on the same database.
    pub fn pools(&self) -> Pools {
        Pools { requests: self.pool.clone(), background: self.background.clone(), deliveries: self.deliveries.clone() }
    }

    /// True if so many requests run that deliveries to webhooks must not take the cores from them.
    pub fn is_busy(&self) -> bool {
        // One of the references is the state's own.
        Arc::strong_count(&self.running_requests) > BUSY_REQUESTS
    }

    /// Makes the workers for the webhooks of a workspace read the webhooks and their deliveries again.
    pub fn webhooks_have_changed(&self, workspace_id: Uuid) {
        // An error only means that there are no workers.
        let _ = self.webhooks_changed.send(workspace_id);
    }

    /// Wakes the scheduler of this process, because a step may be due earlier than its next round.
    pub fn wake_scheduler(&self) {
        self.wake.notify_one();
    }

    /// Stores the result of a round of the scheduler.
    pub fn record_scheduler_round(&self, round: SchedulerRound) {
        self.last_scheduler_round.send_replace(Some(round));
    }

    /// Returns the last finished round of the scheduler in this process; `None` before the first.
    pub fn last_scheduler_round(&self) -> Option<SchedulerRound> {
        *self.last_scheduler_round.borrow()
    }

    /// Waits until [`App::wake_scheduler`] is called. Returns at once if it was called since the last wait.
    pub async fn scheduler_woken(&self) {
        self.wake.notified().await;
    }

    /// Wakes the delivery to webhooks of this process, because a delivery may be due.
    pub fn wake_deliveries(&self) {
        self.wake_deliveries.notify_one();
    }

    /// Waits until [`App::wake_deliveries`] is called. Returns at once if it was called since the last wait.
    pub async fn deliveries_woken(&self) {
        self.wake_deliveries.notified().await;
    }

    /// Returns a guard to hold while this number of bytes is in use. Dropping it wakes [`App::memory_freed`]. `None`:
    /// too few bytes.
    #[must_use]
    pub fn track_memory(&self, bytes: usize) -> Option<TrackedMemory> {
        (bytes >= MIN_TRACKED_MEMORY).then(|| TrackedMemory(self.clone()))
    }

    /// Waits until a guard of [`App::track_memory`] is dropped, so that the allocator can return the memory to the
    /// operating system. Returns at once if one was dropped since the last wait.
    pub async fn memory_freed(&self) {
        self.freed.notified().await;
    }
}

/// Minimum number of bytes that are worth returning to the operating system.
const MIN_TRACKED_MEMORY: usize = 4 * 1024 * 1024;

/// Guard for a large amount of memory in use. Dropping it wakes [`App::memory_freed`].
#[derive(Debug)]
pub struct TrackedMemory(App);

impl Drop for TrackedMemory {
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
