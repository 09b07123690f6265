//! `/metrics`: counters and current values for Prometheus, in its text format.

use crate::clock::{Timestamp, machine_now};
use crate::engine::app::App;
use crate::error::Result;
use crate::store::{access_codes, webhook_deliveries};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::Mutex;

/// Media type of the text format.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Timeout for the statements that read the backlog.
const BACKLOG_TIMEOUT: Duration = Duration::from_millis(500);

/// Delay after which a due code counts as overdue, as in `/health`.
const OVERDUE_THRESHOLD: TimeDelta = TimeDelta::seconds(1);

type FloatGauge = Gauge<f64, AtomicU64>;
type GaugeByPool = Family<[(&'static str, &'static str); 1], Gauge>;

/// Maximum age of a cached backlog.
const CACHE_TTL: TimeDelta = TimeDelta::seconds(1);

/// Cache of the last backlog, and the time when it was read; `None`: the database did not respond. Concurrent requests
/// share one reading, so that they do not take connections from the scheduler.
#[derive(Debug, Default)]
pub(crate) struct LastBacklog(Mutex<Option<(Timestamp, Option<Backlog>)>>);

/// Work that waits in the database, of all processes that use it.
#[derive(Clone, Copy, Debug)]
struct Backlog {
    due_access_codes: i64,
    overdue_access_codes: i64,
    /// Due time of the step that has been due longest, or of the next step.
    next_wake_at: Option<Timestamp>,
    pending_deliveries: i64,
}

/// Returns all metrics. The values of the database are missing while it is away.
pub(crate) async fn response(app: &App, last: &LastBacklog) -> Response {
    let now = machine_now();
    let mut registry = Registry::with_prefix("latchkey");
    app.metrics.register(&mut registry);
    register_process(app, now, &mut registry);
    let backlog = cached_backlog(app, last).await;
    gauge(&mut registry, "database_up", "1 if the database responds", i64::from(backlog.is_some()));
    if let Some(backlog) = backlog {
        register_backlog(&backlog, now, &mut registry);
    }
    let mut text = String::new();
    match text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => crate::error::Error::Internal(error.into()).into_response(),
    }
}

/// Returns the backlog, read within the last second; `None`: the database did not respond.
async fn cached_backlog(app: &App, last: &LastBacklog) -> Option<Backlog> {
    let mut last = last.0.lock().await;
    let now = machine_now();
    if let Some((read_at, backlog)) = *last
        && (TimeDelta::zero()..CACHE_TTL).contains(&(now - read_at))
    {
        return backlog;
    }
    let found = if app.pool.is_responding().await {
        tokio::time::timeout(BACKLOG_TIMEOUT, backlog(app, now)).await.ok().and_then(Result::ok)
    } else {
        None
    };
    *last = Some((now, found));
    found
}

async fn backlog(app: &App, now: Timestamp) -> Result<Backlog> {
    Ok(Backlog {
        due_access_codes: access_codes::overdue(&app.background, now).await?,
        overdue_access_codes: access_codes::overdue(&app.background, now - OVERDUE_THRESHOLD).await?,
        next_wake_at: access_codes::next_wake_at(&app.background, &[]).await?,
        pending_deliveries: webhook_deliveries::planned_count(&app.background).await?,
    })
}

/// Adds the values of this process.
fn register_process(app: &App, now: Timestamp, registry: &mut Registry) {
    registry.register("build", "Version of Latchkey", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    let (in_use, limits) = (GaugeByPool::default(), GaugeByPool::default());
    let pools = [("requests", &app.pool), ("background", &app.background), ("deliveries", &app.deliveries)];
    for (name, pool) in pools {
        let (used, limit) = pool.in_use();
        in_use.get_or_create(&[("pool", name)]).set(integer(used));
        limits.get_or_create(&[("pool", name)]).set(integer(limit));
    }
    registry.register("database_connections_in_use", "Database connections in use", in_use);
    registry.register("database_connections_limit", "Maximum number of database connections", limits);
    let parked = integer(app.parking.count());
    gauge(registry, "parked_devices", "Locks whose access codes cannot be processed", parked);
    if let Some(round) = app.last_scheduler_round() {
        let name = "scheduler_last_round_age";
        seconds(registry, name, "Time since the last round of the scheduler", now - round.ended_at);
    }
}

/// Adds the values that all processes on one database share.
fn register_backlog(backlog: &Backlog, now: Timestamp, registry: &mut Registry) {
    let due = "Access codes with a step that is due, counting up to 10,000";
    gauge(registry, "due_access_codes", due, backlog.due_access_codes);
    let overdue = "Access codes with a step that is more than a second late, counting up to 10,000";
    gauge(registry, "overdue_access_codes", overdue, backlog.overdue_access_codes);
    let lag = backlog.next_wake_at.map_or(TimeDelta::zero(), |wake_at| (now - wake_at).max(TimeDelta::zero()));
    seconds(registry, "scheduler_lag", "Time for which the oldest due step has been due", lag);
    let pending = "Deliveries to webhooks with a planned attempt, counting up to 10,000";
    gauge(registry, "pending_webhook_deliveries", pending, backlog.pending_deliveries);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn seconds(registry: &mut Registry, name: &str, help: &str, value: TimeDelta) {
    let gauge = FloatGauge::default();
    gauge.set(value.as_seconds_f64());
    registry.register_with_unit(name, help, Unit::Seconds, gauge);
}

fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
