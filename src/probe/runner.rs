//! Runs a script against one side, and deletes what it has created.

use super::client::{Client, RequestError, Response, sleep};
use super::compare::Outcome;
use super::locks::Lock;
use super::progress::Progress;
use super::script::{Part, Request, Script, Step, Variables, Wait, values_at};
use crate::clock::machine_now;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::io::{self, Write as _};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Time between two requests of a step that waits.
const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// Number of times that what is left is looked for, and the time between two.
const SWEEPS: usize = 3;
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// Number of independent steps that are done at the same time.
const PARALLEL: usize = 4;

/// Time limit of deleting what is left, after the last step or an interruption.
const CLEANUP_TIMEOUT: Duration = Duration::from_mins(3);

/// A step that was run.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// Time from the start of the step to its last response.
    pub(super) took: Duration,
}

/// One side of the comparison.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) client: Client,
    /// Locks, in the order of the script.
    pub(super) locks: Vec<Lock>,
    /// Values for all parts.
    pub(super) variables: Variables,
}

/// Result of a run.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Steps in the order of [`plan`]. Shorter if the run was interrupted.
    pub(super) done: Vec<Done>,
    /// Requests that would delete what could not be deleted, for the user.
    pub(super) left: Vec<String>,
    pub(super) is_interrupted: bool,
}

/// Returns the steps that a run makes, with their parts and the numbers of their locks.
pub(super) fn plan(script: &Script, locks: usize) -> Vec<(&Part, usize, &Step)> {
    let mut plan = Vec::new();
    for part in &script.parts {
        for lock in 0..if part.each_lock { locks } else { 1 } {
            plan.extend(part.steps.iter().map(|step| (part, lock, step)));
        }
    }
    plan
}

impl Side {
    /// Runs the script.
    pub(super) async fn run(&self, script: &Script, progress: &Progress, interruption: &CancellationToken) -> Run {
        let mut run = Run::default();
        for part in &script.parts {
            let number = if part.each_lock { self.locks.len() } else { 1 };
            for lock in 0..number {
                let mut variables = self.variables_for(lock);
                let mut cleanups = Vec::new();
                let group_size = if part.independent { PARALLEL } else { 1 };
                for steps in part.steps.chunks(group_size) {
                    if interruption.is_cancelled() {
                        run.is_interrupted = true;
                        break;
                    }
                    progress.begin(&part.part, steps.first().map(|step| step.step.as_str()).unwrap_or_default());
                    let results =
                        join_all(steps.iter().map(|step| self.run_step(step, &variables, interruption))).await;
                    for (step, (done, request)) in steps.iter().zip(results) {
                        note(step, &done.outcome, request.as_ref(), (&mut variables, &mut cleanups));
                        run.done.push(done);
                        progress.end();
                    }
                }
                self.clean_up(cleanups, &mut run).await;
                if run.is_interrupted {
                    return run;
                }
            }
        }
        run.is_interrupted = interruption.is_cancelled();
        run
    }

    /// Returns the variables of a part that runs with this lock.
    fn variables_for(&self, lock: usize) -> Variables {
        let mut variables = self.variables.clone();
        let other = self.locks.iter().enumerate().find(|(number, _)| *number != lock).map(|(_, other)| other);
        if let Some(lock) = self.locks.get(lock) {
            variables.set("device_id", &lock.device_id);
            variables.set("connected_account_id", &lock.connected_account_id);
            lock.set_pins(&mut variables);
        }
        if let Some(other) = other {
            variables.set("other_device_id", &other.device_id);
        }
        variables
    }

    /// Runs a step. Also returns its request, if that could be made.
    async fn run_step(
        &self,
        step: &Step,
        variables: &Variables,
        interruption: &CancellationToken,
    ) -> (Done, Option<Request>) {
        let begun = Instant::now();
        let (outcome, request) = match variables.fill(&step.request, machine_now()) {
            Err(missing) => (Outcome::Skipped(missing), None),
            Ok(request) => match self.ask(step, &request, interruption).await {
                Ok(outcome) => (outcome, Some(request)),
                Err(error) => {
                    if error != RequestError::Interrupted {
                        let _ =
                            writeln!(io::stderr(), "latchkey: {}: no response to {}: {error}", step.step, request.path);
                    }
                    (Outcome::Silent, Some(request))
                }
            },
        };
        (Done { outcome, took: begun.elapsed() }, request)
    }

    /// Sends the request of a step, repeatedly if the step waits.
    async fn ask(
        &self,
        step: &Step,
        request: &Request,
        interruption: &CancellationToken,
    ) -> Result<Outcome, RequestError> {
        let begun = Instant::now();
        let mut course: Vec<(String, Duration)> = Vec::new();
        loop {
            let response = self.client.send(request, interruption).await?;
            let Some(wait) = &step.wait else {
                return Ok(Outcome::Answered { response, course, is_reached: true });
            };
            let seen = seen(wait, &response);
            let is_reached = seen.iter().any(|value| wait.until.contains(value));
            let text = if wait.has_course() { seen.first().map(as_text) } else { is_reached.then(String::new) };
            if let Some(text) = text
                && course.last().is_none_or(|(last, _)| *last != text)
            {
                course.push((text, begun.elapsed()));
            }
            if is_reached || begun.elapsed() >= wait.limit() {
                return Ok(Outcome::Answered { response, course, is_reached });
            }
            sleep(POLL_INTERVAL, interruption).await?;
        }
    }

    /// Deletes what a part has created, the newest first. Not even an interruption ends this.
    async fn clean_up(&self, mut cleanups: Vec<Request>, run: &mut Run) {
        let never = CancellationToken::new();
        let deadline = tokio::time::Instant::now() + CLEANUP_TIMEOUT;
        while let Some(cleanup) = cleanups.pop() {
            let deleted = tokio::time::timeout_at(deadline, self.client.send(&cleanup, &never)).await;
            // 404: it is gone already.
            let is_gone = matches!(&deleted, Ok(Ok(response)) if response.is_success() || response.status == 404);
            if !is_gone {
                run.left.push(format!("{} {}", cleanup.path, cleanup.body.unwrap_or_default()));
            }
        }
    }

    /// Deletes what has a name of this run and is still there, because its creation got no response, or because the run
    /// was interrupted.
    pub(super) async fn sweep(&self, name: &str, run: &mut Run) {
        for round in 1..=SWEEPS {
            let mut found = Vec::new();
            for object in NAMED_OBJECTS {
                found.extend(self.left_objects(object, name, json!({ "search": name })).await);
            }
            for lock in &self.locks {
                found.extend(self.left_objects(&CODES, name, json!({ "device_id": lock.device_id })).await);
                found.extend(self.left_objects(&UNMANAGED_CODES, name, json!({ "device_id": lock.device_id })).await);
            }
            // The last are deleted first: access grants before their codes and users.
            found.extend(self.left_objects(&GRANTS, name, json!({ "search": name })).await);
            let mut swept = Run::default();
            self.clean_up(found, &mut swept).await;
            if swept.left.is_empty() {
                return;
            }
            if round == SWEEPS {
                run.left.extend(swept.left);
                return;
            }
            // The codes of a deleted grant disappear after it.
            tokio::time::sleep(SWEEP_INTERVAL).await;
        }
    }

    /// Returns the requests that delete the objects of a list whose names begin with this name.
    async fn left_objects(&self, kind: &Named, name: &str, list: Value) -> Vec<Request> {
        let listed = self.client.send(&request(&format!("{}/list", kind.path), list), &CancellationToken::new()).await;
        let Ok(Response { body: Some(body), .. }) = listed else { return Vec::new() };
        let objects = values_at(&body, &format!("/{}/*", kind.list)).into_iter();
        let is_left = |object: &&Value| {
            let is_own = object[kind.name].as_str().is_some_and(|own| own.starts_with(name));
            is_own && object["status"] != "removing"
        };
        let delete = |object: &Value| request(&format!("{}/delete", kind.path), json!({ (kind.id): object[kind.id] }));
        objects.filter(is_left).map(delete).collect()
    }
}

/// A kind of objects with names.
struct Named {
    path: &'static str,
    /// Key of the list in a response.
    list: &'static str,
    id: &'static str,
    name: &'static str,
}

const CODES: Named = Named { path: "/access_codes", list: "access_codes", id: "access_code_id", name: "name" };
const UNMANAGED_CODES: Named = Named { path: "/access_codes/unmanaged", ..CODES };
const GRANTS: Named = Named { path: "/access_grants", list: "access_grants", id: "access_grant_id", name: "name" };
const NAMED_OBJECTS: &[Named] = &[
    Named { path: "/user_identities", list: "user_identities", id: "user_identity_id", name: "full_name" },
    Named { path: "/spaces", list: "spaces", id: "space_id", name: "name" },
];

fn request(path: &str, body: Value) -> Request {
    let none = Request { method: "POST".to_owned(), path: path.to_owned(), ..Request::default() };
    Request { body: Some(body), ..none }
}

/// True if this request has done what a cleanup would do.
fn is_done(cleanup: &Request, request: &Request, outcome: &Outcome) -> bool {
    let is_success = matches!(outcome, Outcome::Answered { response, .. } if response.is_success());
    is_success && cleanup.path == request.path && cleanup.body == request.body
}

/// Notes what a step has created, deleted and remembered.
fn note(
    step: &Step,
    outcome: &Outcome,
    request: Option<&Request>,
    (variables, cleanups): (&mut Variables, &mut Vec<Request>),
) {
    let Outcome::Answered { response, .. } = outcome else { return };
    if let Some(request) = request {
        cleanups.retain(|cleanup| !is_done(cleanup, request, outcome));
    }
    if !response.is_success() {
        return;
    }
    for (name, pointer) in &step.remember {
        let value = response.body.as_ref().and_then(|body| values_at(body, pointer).first().copied());
        match value.filter(|value| !value.is_null()) {
            Some(value) => variables.set(name, as_text(value)),
            // Not the value of an earlier step.
            None => variables.remove(name),
        }
    }
    if let Some(cleanup) = &step.cleanup
        && let Ok(cleanup) = variables.fill(cleanup, machine_now())
    {
        cleanups.push(cleanup);
    }
}

/// Returns the values for which a step waits.
fn seen(wait: &Wait, response: &Response) -> Vec<Value> {
    if wait.watched == "status" {
        return vec![response.status.into()];
    }
    let found = response.body.as_ref().map(|body| values_at(body, &wait.watched));
    found.unwrap_or_default().into_iter().cloned().collect()
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
