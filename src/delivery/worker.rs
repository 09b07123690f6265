//! Worker: sends the deliveries of one webhook while this process holds its lease.
//!
//! Deliveries are sent one after the other, in the order of their events. A delivery that takes long does not hold up
//! the others: after [`NEXT_BEGINS_AFTER`] the next one begins too. Results are recorded in batches, together
//! with the renewal of the lease. If the process dies, deliveries whose results were not recorded are sent again.

use super::WorkerLimits;
use super::client::{Client, Message, Verdict};
use crate::api::body::event::EventBody;
use crate::clock::{Timestamp, machine_now};
use crate::domain::webhook::{Attempt, is_disabled, message_id, retry_delay};
use crate::engine::app::App;
use crate::error::{Error, Result};
use crate::store::webhook_deliveries::{self, AttemptResult, DueDelivery};
use crate::store::webhooks::{self, AttemptSummary, LeasedWebhook};
use chrono::TimeDelta;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;
use uuid::Uuid;

/// Duration of a lease. A worker renews it at least every [`RENEW_AFTER`] while it works.
pub(super) const LEASE: Duration = Duration::from_secs(5);

/// Time after which a lease is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// Time that a delivery may be in flight before the next one begins too.
const NEXT_BEGINS_AFTER: Duration = Duration::from_secs(1);

/// Minimum time between the starts of two deliveries to one webhook while the server is busy with requests.
const BUSY_INTERVAL: Duration = Duration::from_millis(2);

/// Maximum number of deliveries in flight to one webhook.
const MAX_IN_FLIGHT: usize = 16;

/// Maximum number of deliveries to read at a time.
const READ_BATCH: i64 = 200;

/// Number of results after which they are recorded.
const RECORD_BATCH: usize = 100;

/// Age of the oldest result after which the results are recorded.
const RECORD_AFTER: Duration = Duration::from_millis(100);

/// Time for which a worker without work keeps the lease, because the next event often comes soon.
const LEASE_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time after which a worker ends, if other webhooks wait for a worker.
const YIELD_AFTER: Duration = Duration::from_secs(5);

/// Time that a stopping worker waits for deliveries in flight.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Delay after a failed statement.
const DATABASE_RETRY: Duration = Duration::from_millis(500);

/// A finished attempt.
struct Finished {
    delivery: DueDelivery,
    attempt: Attempt,
    verdict: Verdict,
}

/// Worker of one webhook.
pub(super) struct Worker {
    app: App,
    client: Arc<Client>,
    limits: Arc<WorkerLimits>,
    process_id: Uuid,
    webhook: LeasedWebhook,
    /// Signals that deliveries may be due.
    woken: Arc<Notify>,
    /// Deliveries that were read and not begun.
    queue: VecDeque<DueDelivery>,
    in_flight: FuturesUnordered<BoxFuture<'static, Finished>>,
    in_flight_ids: Vec<Uuid>,
    /// Results that are not recorded.
    results: Vec<Finished>,
    /// Time of the first of `results`.
    first_result_at: Instant,
    /// True if deliveries may be due that are not in `queue`.
    may_have_more: bool,
    /// True if the webhook may have been changed or deleted, so that its lease must be checked.
    must_renew: bool,
    begun_at: Instant,
    last_start: Instant,
    last_work: Instant,
    renewed_at: Instant,
    /// Time before which nothing is begun, because a statement failed.
    paused_until: Instant,
    /// True if the last statement failed. Only the first failure is logged as a warning.
    is_failing: bool,
}

/// State of the lease after an attempt to renew it.
#[derive(PartialEq, Eq)]
enum Lease {
    Held,
    /// Another process has taken it, or the webhook was deleted.
    Lost,
}

impl Worker {
    /// Creates the worker of a webhook whose lease was acquired just now.
    pub(super) fn new(
        app: App,
        (client, limits): (Arc<Client>, Arc<WorkerLimits>),
        process_id: Uuid,
        webhook: LeasedWebhook,
        woken: Arc<Notify>,
    ) -> Self {
        let now = Instant::now();
        Self {
            app,
            client,
            limits,
            process_id,
            webhook,
            woken,
            queue: VecDeque::new(),
            in_flight: FuturesUnordered::new(),
            in_flight_ids: Vec::new(),
            results: Vec::new(),
            first_result_at: now,
            may_have_more: true,
            must_renew: false,
            begun_at: now,
            last_start: now,
            last_work: now,
            renewed_at: now,
            paused_until: now,
            is_failing: false,
        }
    }

    /// Sends deliveries until none is due, the lease is lost, or the server stops.
    pub(super) async fn run(mut self) {
        let mut webhooks_changed = self.app.webhooks_changed.subscribe();
        let stopping = self.app.stopping.clone();
        loop {
            loop {
                match webhooks_changed.try_recv() {
                    Ok(workspace_id) => self.on_change(Some(workspace_id)),
                    Err(TryRecvError::Lagged(_)) => self.on_change(None),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            if self.must_record() && self.record().await == Lease::Lost {
                return;
            }
            if stopping.is_cancelled() || self.is_done() {
                break;
            }
            self.read_due().await;
            while self.can_begin() {
                self.begin_next();
            }
            let wait = self.wait();
            tokio::select! {
                Some(finished) = self.in_flight.next(), if !self.in_flight.is_empty() => self.finish(finished),
                () = tokio::time::sleep(wait) => {}
                () = self.woken.notified() => self.may_have_more = true,
                changed = webhooks_changed.recv() => self.on_change(changed.ok()),
                () = stopping.cancelled() => {}
            }
        }
        self.end().await;
    }

    /// Reads the webhook and its deliveries again if webhooks of its workspace were changed. `None`: of any workspace.
    fn on_change(&mut self, workspace_id: Option<Uuid>) {
        if workspace_id.is_none_or(|workspace_id| workspace_id == self.webhook.workspace_id) {
            // The webhook may be deleted, and its deliveries too.
            self.must_renew = true;
            self.queue.clear();
            self.may_have_more = true;
        }
    }

    /// Pauses after a failed statement.
    fn pause(&mut self, error: &Error, action: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(%error, "{action} failed for a webhook; retrying");
        }
        self.paused_until = Instant::now() + DATABASE_RETRY;
    }

    /// Waits a limited time for deliveries in flight, records all results, and gives up the lease.
    async fn end(mut self) {
        let deadline = Instant::now() + STOP_TIMEOUT;
        while let Ok(Some(finished)) = tokio::time::timeout_at(deadline, self.in_flight.next()).await {
            self.finish(finished);
        }
        if self.record().await == Lease::Lost {
            return;
        }
        if let Err(error) = self.release().await {
            tracing::warn!(%error, "the lease of a webhook could not be released; it runs out by itself");
        }
    }

    async fn release(&mut self) -> Result<()> {
        let mut tx = self.app.deliveries.begin(Uuid::nil()).await?;
        webhooks::release_lease(&mut tx, self.webhook.webhook_id, self.process_id).await?;
        tx.commit().await
    }

    /// True if nothing is left to do, or another webhook needs the worker.
    fn is_done(&self) -> bool {
        if self.must_yield() {
            return self.in_flight.is_empty();
        }
        let is_idle = self.queue.is_empty() && self.in_flight.is_empty() && self.results.is_empty();
        is_idle && !self.may_have_more && (self.limits.has_waiting() || self.last_work.elapsed() >= LEASE_IDLE_TIMEOUT)
    }

    /// True if no further delivery is to begin, so that another webhook can have a worker.
    fn must_yield(&self) -> bool {
        self.limits.has_waiting() && self.begun_at.elapsed() >= YIELD_AFTER
    }

    /// True if the next delivery is to begin a little later, because the server is busy with requests.
    fn must_wait_for_requests(&self) -> bool {
        self.app.is_busy() && self.last_start.elapsed() < BUSY_INTERVAL
    }

    /// True if results are to be recorded, or the lease is to be renewed. The last results are recorded at once only if
    /// a request waits for them: a transaction for each event would make the requests that cause events slower.
    fn must_record(&self) -> bool {
        let is_idle = self.queue.is_empty() && self.in_flight.is_empty();
        let is_awaited = is_idle && self.app.attempts_recorded.receiver_count() > 0;
        let is_late = self.first_result_at.elapsed() >= RECORD_AFTER;
        let has_results = !self.results.is_empty() && (is_awaited || is_late || self.results.len() >= RECORD_BATCH);
        !self.is_paused() && (has_results || self.must_renew || self.renewed_at.elapsed() >= RENEW_AFTER)
    }

    fn is_paused(&self) -> bool {
        self.paused_until > Instant::now()
    }

    /// Returns the time until the next action of the worker.
    fn wait(&self) -> Duration {
        if self.is_paused() {
            return self.paused_until.saturating_duration_since(Instant::now());
        }
        if !self.queue.is_empty() && self.in_flight.is_empty() {
            return BUSY_INTERVAL;
        }
        if !self.results.is_empty() {
            return RECORD_AFTER.saturating_sub(self.first_result_at.elapsed());
        }
        if !self.in_flight.is_empty() && self.queue.is_empty() {
            return RENEW_AFTER;
        }
        if !self.queue.is_empty() {
            // A delivery in flight becomes slow, or a permit for another one becomes free.
            return NEXT_BEGINS_AFTER.saturating_sub(self.last_start.elapsed()).max(RECORD_AFTER);
        }
        LEASE_IDLE_TIMEOUT.saturating_sub(self.last_work.elapsed()).clamp(RECORD_AFTER, RENEW_AFTER)
    }

    /// Reads deliveries that are due, if none is left in the queue.
    async fn read_due(&mut self) {
        if !self.queue.is_empty() || !self.may_have_more || self.is_paused() {
            return;
        }
        let recorded = self.results.iter().map(|finished| finished.delivery.webhook_delivery_id);
        let in_progress: Vec<Uuid> = self.in_flight_ids.iter().copied().chain(recorded).collect();
        let webhook_id = self.webhook.webhook_id;
        let due =
            webhook_deliveries::due(&self.app.deliveries, webhook_id, machine_now(), in_progress, READ_BATCH).await;
        match due {
            Ok(due) => {
                self.may_have_more = i64::try_from(due.len()).is_ok_and(|count| count >= READ_BATCH);
                self.queue.extend(due);
            }
            Err(error) => self.pause(&error, "reading due deliveries"),
        }
    }

    /// True if the next delivery may begin: all earlier ones have finished, or are in flight for a while.
    fn can_begin(&self) -> bool {
        let is_next = (self.in_flight.is_empty() && !self.must_wait_for_requests())
            || (self.in_flight.len() < MAX_IN_FLIGHT && self.last_start.elapsed() >= NEXT_BEGINS_AFTER);
        !self.queue.is_empty()
            && is_next
            && self.results.len() < 2 * RECORD_BATCH
            && self.renewed_at.elapsed() < LEASE / 2
            && !self.is_paused()
            && !self.must_yield()
    }

    /// Begins the next delivery, if there is a permit for it.
    fn begin_next(&mut self) {
        // The first delivery in flight needs no permit, so that slow receivers never stop other webhooks.
        let permit = if self.in_flight.is_empty() { None } else { self.limits.more_in_flight() };
        let now = Instant::now();
        self.last_start = now;
        self.last_work = now;
        if !self.in_flight.is_empty() && permit.is_none() {
            return;
        }
        let Some(delivery) = self.queue.pop_front() else { return };
        self.in_flight_ids.push(delivery.webhook_delivery_id);
        self.in_flight.push(self.attempt(delivery, permit));
    }

    /// Returns the attempt to send a delivery. `permit` is held until it is finished.
    fn attempt(&self, delivery: DueDelivery, permit: Option<OwnedSemaphorePermit>) -> BoxFuture<'static, Finished> {
        let message = self.message(&delivery);
        let client = Arc::clone(&self.client);
        Box::pin(async move {
            let (attempt, verdict) = match message {
                Ok(message) => client.attempt(message).await,
                Err(reason) => (not_sent(reason), Verdict::Refused),
            };
            drop(permit);
            Finished { delivery, attempt, verdict }
        })
    }

    /// Returns the message of a delivery, or the reason why nothing is sent.
    fn message(&self, delivery: &DueDelivery) -> Result<Message, String> {
        if let Some(disabled_at) = self.webhook.disabled_at {
            return Err(format!(
                "not sent: the webhook is disabled since {}, because all attempts had failed for days. /webhooks/update \
                 enables it",
                crate::clock::to_iso(disabled_at)
            ));
        }
        let Some(event) = delivery.event.clone() else {
            return Err("not sent: the event was older than the retention period".to_owned());
        };
        let body = serde_json::to_vec(&EventBody::from(event)).map_err(|error| error.to_string())?;
        Ok(Message {
            url: self.webhook.url.clone(),
            secret: self.webhook.secret.clone(),
            message_id: message_id(delivery.webhook_delivery_id),
            body,
        })
    }

    fn finish(&mut self, finished: Finished) {
        let now = Instant::now();
        self.last_work = now;
        if self.results.is_empty() {
            self.first_result_at = now;
        }
        self.in_flight_ids.retain(|id| *id != finished.delivery.webhook_delivery_id);
        self.results.push(finished);
    }

    /// Records the results, and renews the lease. After an error of the database, the results stay for a later try.
    async fn record(&mut self) -> Lease {
        match self.try_record().await {
            Ok(lease) => {
                self.is_failing = false;
                lease
            }
            Err(error) => {
                self.pause(&error, "recording results of deliveries");
                Lease::Held
            }
        }
    }

    async fn try_record(&mut self) -> Result<Lease> {
        let (begun, now) = (Instant::now(), machine_now());
        let scale = self.app.config.webhook_retry_scale;
        let results: Vec<AttemptResult> = self.results.iter().map(|finished| result(finished, now, scale)).collect();
        let summary = summary(&self.results, &results);
        let webhook_id = self.webhook.webhook_id;
        let mut tx = self.app.deliveries.begin(Uuid::nil()).await?;
        let until = now + TimeDelta::from_std(LEASE).unwrap_or_default();
        let renewed = webhooks::renew_lease(&mut tx, webhook_id, self.process_id, until, summary).await?;
        let Some(renewed) = renewed else { return Ok(Lease::Lost) };
        if !results.is_empty() {
            webhook_deliveries::record(&mut tx, &results).await?;
        }
        let mut disabled_at = renewed.disabled_at;
        if summary.has_final_failure && renewed.failing_since.is_some_and(|since| is_disabled(since, now, scale)) {
            webhooks::disable(&mut tx, webhook_id, now).await?;
            disabled_at = disabled_at.or(Some(now));
        }
        tx.commit().await?;
        self.webhook.disabled_at = disabled_at;
        self.renewed_at = begun;
        self.must_renew = false;
        self.results.clear();
        for result in &results {
            self.app.metrics.record_webhook_attempt(result.attempt.error.is_none());
        }
        if !results.is_empty() {
            self.app.attempts_recorded.send_replace(());
        }
        if results.iter().any(|result| result.due_at.is_some()) {
            self.app.wake_deliveries();
        }
        Ok(Lease::Held)
    }
}

/// Returns the log entry of an attempt that was not made.
fn not_sent(reason: String) -> Attempt {
    Attempt {
        attempted_at: machine_now(),
        duration_ms: 0,
        response_status: None,
        response_body: None,
        error: Some(reason),
    }
}

/// Returns the result of an attempt for its delivery, at this machine time.
fn result(finished: &Finished, machine_now: Timestamp, scale: f64) -> AttemptResult {
    let Finished { delivery, attempt, verdict } = finished;
    let failures = delivery.failures + i32::from(*verdict == Verdict::Failed);
    let retry = if *verdict == Verdict::Failed { retry_delay(failures, scale) } else { None };
    let failed_at = attempt.attempted_at + TimeDelta::milliseconds(attempt.duration_ms);
    let status = match (verdict, retry) {
        (Verdict::Succeeded, _) => "succeeded",
        (_, Some(_)) => "pending",
        (_, None) => "failed",
    };
    AttemptResult {
        webhook_delivery_id: delivery.webhook_delivery_id,
        sequence: delivery.sequence,
        redeliveries: delivery.redeliveries,
        status,
        due_at: retry.map(|delay| failed_at.checked_add_signed(delay).unwrap_or(machine_now)),
        failures,
        attempt: attempt.clone(),
    }
}

/// Returns the summary of these results for the state of the webhook. Attempts that were not made are ignored.
fn summary(finished: &[Finished], results: &[AttemptResult]) -> AttemptSummary {
    let mut summary = AttemptSummary::default();
    for (finished, result) in finished.iter().zip(results) {
        match finished.verdict {
            Verdict::Succeeded => {
                summary.has_succeeded = true;
                summary.failed_at = None;
            }
            Verdict::Failed => {
                summary.failed_at = summary.failed_at.or(Some(finished.attempt.attempted_at));
                summary.has_final_failure |= result.due_at.is_none();
            }
            Verdict::Refused => {}
        }
    }
    summary
}
