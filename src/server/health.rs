//! `/health`: state of each part of the server: API, database and scheduler.

use crate::clock::{Timestamp, machine_now, to_iso};
use crate::engine::app::{App, SchedulerRound};
use crate::http::envelope::{self, JsonResponse};
use crate::store::access_codes;
use axum::http::StatusCode;
use chrono::TimeDelta;
use parking_lot::Mutex;
use serde::Serialize;
use std::time::Duration;

/// Maximum age of the scheduler's last round. A round starts at least every second, and one batch takes much less than
/// this.
const MAX_SCHEDULER_SILENCE: TimeDelta = TimeDelta::seconds(30);

/// Delay after which a due code counts as overdue. Due codes are usually processed within much less.
const OVERDUE_THRESHOLD: TimeDelta = TimeDelta::seconds(1);

/// Timeout for counting the overdue codes.
const COUNT_TIMEOUT: Duration = Duration::from_millis(300);

/// Value of `Retry-After` while a part is down, in seconds.
const RETRY_AFTER: u64 = 1;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Healthy,
    Degraded,
    Down,
}

#[derive(Debug, Serialize)]
struct ServiceHealth {
    service: &'static str,
    status: Status,
    description: &'static str,
}

#[derive(Debug, Serialize)]
struct Health {
    msg: &'static str,
    last_service_evaluation_at: String,
    service_health_statuses: [ServiceHealth; 3],
    scheduler: SchedulerHealth,
    database_connections: ConnectionsInUse,
}

/// Progress of the scheduler.
#[derive(Debug, Serialize)]
struct SchedulerHealth {
    /// End of the last round, on the machine's clock; `None` before the first.
    last_round_at: Option<String>,
    /// Number of access codes that should have been processed more than a second ago, counting up to 10,000. `None`:
    /// the database did not return it in time.
    overdue_access_codes: Option<i64>,
    /// Number of locks whose access codes cannot be processed.
    parked_devices: usize,
}

/// Database connections for requests.
#[derive(Debug, Serialize)]
struct ConnectionsInUse {
    in_use: usize,
    limit: usize,
}

/// Cache of the last evaluation, so that frequent requests do not query the database each time.
#[derive(Debug, Default)]
pub(crate) struct LastEvaluation(Mutex<Option<(Timestamp, JsonResponse)>>);

/// Maximum age of a cached evaluation.
const CACHE_TTL: TimeDelta = TimeDelta::seconds(1);

/// Returns the state of all parts, evaluated within the last second. The status is 503 while a part is down.
pub(crate) async fn cached_response(app: &App, last_evaluation: &LastEvaluation) -> JsonResponse {
    let now = machine_now();
    let last = || last_evaluation.0.lock();
    let cached =
        last().clone().filter(|(evaluated_at, _)| (TimeDelta::zero()..CACHE_TTL).contains(&(now - *evaluated_at)));
    if let Some((_, answer)) = cached {
        return answer;
    }
    let answer = evaluate(app).await;
    *last() = Some((now, answer.clone()));
    answer
}

#[derive(Debug, Serialize)]
struct Readiness {
    msg: &'static str,
}

/// Returns whether the server can serve requests now, for a proxy or an orchestrator. The status is 503 while it cannot.
pub(crate) async fn readiness(app: &App) -> JsonResponse {
    let scheduler = scheduler(app.last_scheduler_round(), 0, machine_now());
    let msg = if app.stopping.is_cancelled() {
        "Latchkey is stopping."
    } else if !app.pool.is_responding().await {
        "The database does not respond."
    } else if scheduler.status == Status::Down {
        "The scheduler has stopped."
    } else {
        return envelope::ok(Readiness { msg: "Latchkey is ready." }).await;
    };
    envelope::not_ok(StatusCode::SERVICE_UNAVAILABLE, &Readiness { msg }, RETRY_AFTER)
}

async fn evaluate(app: &App) -> JsonResponse {
    let database = database(app).await;
    let now = machine_now();
    let parked = app.parking.count();
    let scheduler = scheduler(app.last_scheduler_round(), parked, now);
    let api = ServiceHealth { service: "api", status: Status::Healthy, description: "It serves requests." };
    let worst = database.status.max(scheduler.status);
    let health = Health {
        msg: match worst {
            Status::Healthy => "Latchkey is serving.",
            Status::Degraded => "Latchkey is serving with problems: see service_health_statuses.",
            Status::Down => "Latchkey is not serving: see service_health_statuses.",
        },
        last_service_evaluation_at: to_iso(now),
        scheduler: SchedulerHealth {
            last_round_at: app.last_scheduler_round().map(|round| to_iso(round.ended_at)),
            overdue_access_codes: if database.status == Status::Healthy { overdue(app, now).await } else { None },
            parked_devices: parked,
        },
        database_connections: {
            let (in_use, limit) = app.pool.in_use();
            ConnectionsInUse { in_use, limit }
        },
        service_health_statuses: [api, database, scheduler],
    };
    if worst < Status::Down {
        return envelope::ok(health).await;
    }
    envelope::not_ok(StatusCode::SERVICE_UNAVAILABLE, &health, RETRY_AFTER)
}

async fn database(app: &App) -> ServiceHealth {
    let (status, description) = if app.pool.is_responding().await {
        (Status::Healthy, "It executes statements.")
    } else {
        (Status::Down, "It does not respond.")
    };
    ServiceHealth { service: "database", status, description }
}

/// Returns the number of overdue codes. `None` if the database fails or does not respond within [`COUNT_TIMEOUT`].
async fn overdue(app: &App, now: Timestamp) -> Option<i64> {
    let count = access_codes::overdue(&app.background, now - OVERDUE_THRESHOLD);
    tokio::time::timeout(COUNT_TIMEOUT, count).await.ok()?.ok()
}

fn scheduler(last: Option<SchedulerRound>, parked: usize, now: Timestamp) -> ServiceHealth {
    let (status, description) = match last {
        None => (Status::Healthy, "Its first run is in progress."),
        Some(round) if now - round.ended_at > MAX_SCHEDULER_SILENCE => (Status::Down, "It has stopped."),
        Some(round) if !round.has_succeeded => (Status::Degraded, "Its last run failed; it retries."),
        Some(_) if parked > 0 => (Status::Degraded, "It cannot process the access codes of some locks."),
        Some(_) => (Status::Healthy, "It processes due access codes."),
    };
    ServiceHealth { service: "scheduler", status, description }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheduler_health_depends_on_its_last_round_and_on_parked_devices() {
        let now = machine_now();
        let round = |seconds_ago, has_succeeded| {
            Some(SchedulerRound { ended_at: now - TimeDelta::seconds(seconds_ago), has_succeeded })
        };
        for (last, parked, expected) in [
            (None, 0, Status::Healthy),
            (round(0, true), 0, Status::Healthy),
            (round(30, true), 0, Status::Healthy),
            (round(0, true), 1, Status::Degraded),
            (round(1, false), 0, Status::Degraded),
            (round(31, true), 0, Status::Down),
            (round(31, false), 1, Status::Down),
        ] {
            assert_eq!(scheduler(last, parked, now).status, expected, "{last:?} {parked}");
        }
    }
}
