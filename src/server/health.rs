//! `/health`: the parts of the server and their state (platform, 13).

use crate::clock::{Timestamp, machine_now, to_iso};
use crate::engine::app::{App, SchedulerRound};
use crate::http::envelope::{self, Answer};
use crate::store::access_codes;
use axum::http::StatusCode;
use chrono::TimeDelta;
use parking_lot::Mutex;
use serde::Serialize;
use std::time::Duration;

/// The scheduler goes round every second at least; one batch is much faster than this.
const MAX_SCHEDULER_SILENCE: TimeDelta = TimeDelta::seconds(30);

/// A code that is due is worked on within much less than this.
const OVERDUE_THRESHOLD: TimeDelta = TimeDelta::seconds(1);

/// How long to wait for the number of overdue codes.
const COUNT_TIMEOUT: Duration = Duration::from_millis(300);

/// After how many seconds to ask again while a part is down.
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

/// What the scheduler has done and what it has not.
#[derive(Debug, Serialize)]
struct SchedulerHealth {
    /// When its last round ended, in the machine's time.
    last_round_at: Option<String>,
    /// How many access codes should have been worked on more than a second ago; of many the first 10,000. `None`: the
    /// database does not say.
    overdue_access_codes: Option<i64>,
    /// How many locks have access codes that cannot be worked on.
    parked_devices: usize,
}

/// The connections that requests use.
#[derive(Debug, Serialize)]
struct ConnectionsInUse {
    in_use: usize,
    limit: usize,
}

/// The last evaluation of a server, good for a second: who asks often does not ask the database each time.
#[derive(Debug, Default)]
pub(crate) struct LastEvaluation(Mutex<Option<(Timestamp, Answer)>>);

/// For how long an evaluation is good.
const CACHE_TTL: TimeDelta = TimeDelta::seconds(1);

/// The state of every part, evaluated within the last second. 503 while one is down.
pub(crate) async fn answer(app: &App, last_evaluation: &LastEvaluation) -> Answer {
    let now = machine_now();
    let last = || last_evaluation.0.lock();
    let known =
        last().clone().filter(|(evaluated_at, _)| (TimeDelta::zero()..CACHE_TTL).contains(&(now - *evaluated_at)));
    if let Some((_, answer)) = known {
        return answer;
    }
    let answer = evaluate(app).await;
    *last() = Some((now, answer.clone()));
    answer
}

async fn evaluate(app: &App) -> Answer {
    let database = database(app).await;
    let now = machine_now();
    let parked = app.parking.count();
    let scheduler = scheduler(app.last_scheduler_round(), parked, now);
    let api = ServiceHealth { service: "api", status: Status::Healthy, description: "It answers requests." };
    let worst = database.status.max(scheduler.status);
    let health = Health {
        msg: match worst {
            Status::Healthy => "Latchkey is serving.",
            Status::Degraded => "Latchkey is serving, but not at its best: see service_health_statuses.",
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
    let (status, description) = if app.pool.answers().await {
        (Status::Healthy, "It answers statements.")
    } else {
        (Status::Down, "It does not answer.")
    };
    ServiceHealth { service: "database", status, description }
}

/// How many codes are overdue; not waited for longer than the database may take to answer.
async fn overdue(app: &App, now: Timestamp) -> Option<i64> {
    let counted = access_codes::overdue(&app.background, now - OVERDUE_THRESHOLD);
    tokio::time::timeout(COUNT_TIMEOUT, counted).await.ok()?.ok()
}

fn scheduler(last: Option<SchedulerRound>, parked: usize, now: Timestamp) -> ServiceHealth {
    let (status, description) = match last {
        None => (Status::Healthy, "Its first round is under way."),
        Some(round) if now - round.ended_at > MAX_SCHEDULER_SILENCE => (Status::Down, "It has stopped."),
        Some(round) if !round.has_succeeded => (Status::Degraded, "Its last round failed; it tries again."),
        Some(_) if parked > 0 => (Status::Degraded, "It cannot work on the access codes of some locks."),
        Some(_) => (Status::Healthy, "It does what falls due."),
    };
    ServiceHealth { service: "scheduler", status, description }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_is_healthy_while_its_rounds_succeed() {
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
