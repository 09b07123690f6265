//! Delivery of events to webhooks.
//!
//! The statement that writes events also writes a row for each webhook that receives them. The task of this module
//! looks for webhooks with due rows, acquires their leases, and starts a worker for each. Any number of processes may
//! do so on one database: only the holder of the lease sends, so that an event is sent once, and in order. If a process
//! dies, its leases run out, and others continue.

mod client;
mod signature;
mod worker;

use self::client::Client;
use self::worker::{LEASE, Worker};
use crate::clock::machine_now;
use crate::engine::app::App;
use crate::error::Result;
use crate::ids::random_id;
use crate::store::webhook_deliveries::{self, Planned};
use crate::store::webhooks::{self, LeasedWebhook};
use chrono::TimeDelta;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::{Id, JoinSet};
use uuid::Uuid;

/// Maximum number of workers, each of which has at least one delivery in flight.
const MAX_WORKERS: usize = 256;

/// Maximum number of further deliveries in flight, of all workers together.
const MAX_MORE_IN_FLIGHT: usize = 256;

/// Maximum number of webhooks that one search for due deliveries returns.
const MAX_PLANNED: i64 = 10_000;

/// Minimum time between two searches for due deliveries.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// The same while the server is busy with requests, so that searches leave it the cores.
const MIN_BUSY_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum time between two searches, which is also the maximum delay until events of another process are found.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// Limits that the workers of this process share.
#[derive(Debug)]
struct WorkerLimits {
    /// True if webhooks wait until a worker ends.
    has_waiting: AtomicBool,
    more_in_flight: Arc<Semaphore>,
}

impl WorkerLimits {
    fn has_waiting(&self) -> bool {
        self.has_waiting.load(Ordering::Relaxed)
    }

    /// Returns the permit for one more delivery in flight; `None`: there are too many.
    fn more_in_flight(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.more_in_flight).try_acquire_owned().ok()
    }
}

/// A running worker.
struct Running {
    task: Id,
    workspace_id: Uuid,
    /// Wakes the worker, because deliveries may be due.
    woken: Arc<Notify>,
}

/// The workers of this process.
struct Workers {
    app: App,
    client: Arc<Client>,
    limits: Arc<WorkerLimits>,
    process_id: Uuid,
    tasks: JoinSet<()>,
    by_webhook: HashMap<Uuid, Running>,
    /// Id of the webhook after which the next search begins.
    search_after: Uuid,
}

/// Delivers events to webhooks until the server stops. Then lets the workers finish, and waits to be dropped.
pub async fn run(app: App) {
    let client = match Client::new(&app.config) {
        Ok(client) => Arc::new(client),
        Err(error) => {
            tracing::error!(%error, "the client for webhooks could not be created");
            return;
        }
    };
    let limits = WorkerLimits {
        has_waiting: AtomicBool::new(false),
        more_in_flight: Arc::new(Semaphore::new(MAX_MORE_IN_FLIGHT)),
    };
    let mut workers = Workers {
        app: app.clone(),
        client,
        limits: Arc::new(limits),
        process_id: random_id(),
        tasks: JoinSet::new(),
        by_webhook: HashMap::new(),
        search_after: Uuid::nil(),
    };
    while !app.stopping.is_cancelled() {
        let begun = Instant::now();
        let sleep = workers.start_due().await.unwrap_or_else(|error| {
            tracing::error!(%error, "due deliveries to webhooks could not be read; retrying");
            MAX_INTERVAL
        });
        // With very many webhooks a search takes longer. The pause of the same length limits the load on the database.
        let interval = if app.is_busy() { MIN_BUSY_INTERVAL } else { MIN_INTERVAL };
        tokio::time::sleep(interval.max(begun.elapsed())).await;
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = app.deliveries_woken() => {}
            () = workers.worker_ended() => {}
            () = app.stopping.cancelled() => {}
        }
    }
    while workers.tasks.join_next().await.is_some() {}
    app.deliveries_stopped.cancel();
    std::future::pending::<()>().await;
}

impl Workers {
    /// Starts a worker for each webhook with due deliveries, and wakes those that are running. Returns the time until
    /// the next planned attempt.
    async fn start_due(&mut self) -> Result<Duration> {
        self.remove_ended();
        let planned = webhook_deliveries::planned(&self.app.deliveries, self.search_after, MAX_PLANNED).await?;
        let is_full = i64::try_from(planned.len()).is_ok_and(|count| count >= MAX_PLANNED);
        self.search_after = planned.last().filter(|_| is_full).map_or(Uuid::nil(), |last| last.webhook_id);
        let now = machine_now();
        let mut sleep = MAX_INTERVAL;
        let mut new = Vec::new();
        for planned in planned {
            if planned.due_at > now {
                sleep = sleep.min((planned.due_at - now).to_std().unwrap_or_default());
            } else if let Some(running) = self.by_webhook.get(&planned.webhook_id) {
                running.woken.notify_one();
            } else {
                new.push(planned);
            }
        }
        // Begins with another webhook each time, because other processes may hold the leases of some.
        let middle = usize::try_from(now.timestamp_millis()).unwrap_or_default().checked_rem(new.len());
        new.rotate_left(middle.unwrap_or_default());
        let running = self.by_webhook.values().map(|running| running.workspace_id);
        let startable = startable(&new, running.collect());
        self.limits.has_waiting.store(new.len() > startable.len(), Ordering::Relaxed);
        for webhook in self.lease(&startable).await? {
            self.start(webhook);
        }
        Ok(sleep)
    }

    /// Acquires the leases of those of these webhooks that no other process sends to.
    async fn lease(&self, webhook_ids: &[Uuid]) -> Result<Vec<LeasedWebhook>> {
        if webhook_ids.is_empty() {
            return Ok(Vec::new());
        }
        let now = machine_now();
        let until = now + TimeDelta::from_std(LEASE).unwrap_or_default();
        let mut tx = self.app.deliveries.begin(Uuid::nil()).await?;
        let leased = webhooks::lease(&mut tx, webhook_ids, self.process_id, (now, until)).await?;
        tx.commit().await?;
        Ok(leased)
    }

    fn start(&mut self, webhook: LeasedWebhook) {
        let LeasedWebhook { webhook_id, workspace_id, .. } = webhook;
        let woken = Arc::new(Notify::new());
        let shared = (Arc::clone(&self.client), Arc::clone(&self.limits));
        let worker = Worker::new(self.app.clone(), shared, self.process_id, webhook, Arc::clone(&woken));
        let task = self.tasks.spawn(worker.run()).id();
        self.by_webhook.insert(webhook_id, Running { task, workspace_id, woken });
    }

    /// Waits until a worker has ended.
    async fn worker_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.forget(ended),
            None => std::future::pending().await,
        }
    }

    fn remove_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.forget(ended);
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let task = match ended {
            Ok((task, ())) => task,
            Err(error) => {
                tracing::error!(%error, "a worker for a webhook panicked");
                error.id()
            }
        };
        self.by_webhook.retain(|_, running| running.task != task);
    }
}

/// Returns the webhooks of `due` whose workers can start now. `running` has a workspace id for each running worker. A
/// workspace gets a further worker only while it has fewer than are free, so that one workspace does not take all.
fn startable(due: &[Planned], running: Vec<Uuid>) -> Vec<Uuid> {
    let mut free = MAX_WORKERS.saturating_sub(running.len());
    let mut workers: HashMap<Uuid, usize> = HashMap::new();
    for workspace_id in running {
        *workers.entry(workspace_id).or_default() += 1;
    }
    let mut startable = Vec::new();
    for webhook in due {
        let workers = workers.entry(webhook.workspace_id).or_default();
        if *workers < free {
            *workers += 1;
            free -= 1;
            startable.push(webhook.webhook_id);
        }
    }
    startable
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns due webhooks of one workspace.
    fn due(workspace: u128, webhooks: usize) -> Vec<Planned> {
        let webhook = |webhook_id| Planned {
            webhook_id: Uuid::from_u128(webhook_id),
            workspace_id: Uuid::from_u128(workspace),
            due_at: machine_now(),
        };
        (1..).take(webhooks).map(|number| webhook(workspace * 1000 + number)).collect()
    }

    #[test]
    fn workers_start_for_all_webhooks_of_a_single_workspace() {
        assert_eq!(startable(&due(1, 50), Vec::new()).len(), 50);
    }

    #[test]
    fn workers_stay_free_for_a_workspace_while_others_have_many() {
        let mut running = Vec::new();
        let mut started_per_workspace = Vec::new();
        for workspace in 1..=10 {
            let started = startable(&due(workspace, 50), running.clone());
            started_per_workspace.push(started.len());
            running.extend(started.iter().map(|_| Uuid::from_u128(workspace)));
        }
        assert_eq!(started_per_workspace, [50, 50, 50, 50, 28, 14, 7, 4, 2, 1]);
        assert_eq!(running.len(), MAX_WORKERS);
        assert_eq!(startable(&due(1, 50), running), Vec::<Uuid>::new());
    }
}
