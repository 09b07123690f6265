//! `/health`: the parts of the server and their state (platform, 13).

use super::envelope::{self, Answer};
use crate::app::App;
use crate::clock::{Instant, machine_now, to_iso};
use axum::http::StatusCode;
use chrono::TimeDelta;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};

/// The scheduler goes round every second at least; one batch is much faster than this.
const SCHEDULER_ROUND_WITHIN: TimeDelta = TimeDelta::seconds(30);

/// After how many seconds to ask again while a part is down.
const RETRY_AFTER: u64 = 1;

/// The end of the scheduler's last round.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerRound {
    /// When it ended, in the machine's time.
    pub ended_at: Instant,
    /// Whether it did all that was due.
    pub has_succeeded: bool,
}

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
}

/// The last evaluation of a server, good for a second: who asks often does not ask the database each time.
#[derive(Debug, Default)]
pub struct LastEvaluation(Mutex<Option<(Instant, Answer)>>);

/// For how long an evaluation is good.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(1);

/// The state of every part, evaluated within the last second. 503 while one is down.
pub async fn answer(app: &App) -> Answer {
    let now = machine_now();
    let last = || app.last_evaluation.0.lock().unwrap_or_else(PoisonError::into_inner);
    let known =
        last().clone().filter(|(evaluated_at, _)| (TimeDelta::zero()..GOOD_FOR).contains(&(now - *evaluated_at)));
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
    let scheduler = scheduler(app.last_scheduler_round(), now);
    let api = ServiceHealth { service: "api", status: Status::Healthy, description: "It answers requests." };
    let worst = database.status.max(scheduler.status);
    let health = Health {
        msg: match worst {
            Status::Healthy => "Latchkey is serving.",
            Status::Degraded => "Latchkey is serving, but not at its best: see service_health_statuses.",
            Status::Down => "Latchkey is not serving: see service_health_statuses.",
        },
        last_service_evaluation_at: to_iso(now),
        service_health_statuses: [api, database, scheduler],
    };
    if worst < Status::Down {
        return envelope::ok(&health);
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

fn scheduler(last: Option<SchedulerRound>, now: Instant) -> ServiceHealth {
    let (status, description) = match last {
        None => (Status::Healthy, "Its first round is under way."),
        Some(round) if now - round.ended_at > SCHEDULER_ROUND_WITHIN => (Status::Down, "It has stopped."),
        Some(round) if !round.has_succeeded => (Status::Degraded, "Its last round failed; it tries again."),
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
        for (last, expected) in [
            (None, Status::Healthy),
            (round(0, true), Status::Healthy),
            (round(30, true), Status::Healthy),
            (round(1, false), Status::Degraded),
            (round(31, true), Status::Down),
            (round(31, false), Status::Down),
        ] {
            assert_eq!(scheduler(last, now).status, expected, "{last:?}");
        }
    }
}
