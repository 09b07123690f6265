//! Runs a script against one side, and deletes what it has created.

use super::cleanup::OF_WORKSPACE;
use super::client::{RequestError, Response, sleep};
use super::compare::Outcome;
use super::progress::Progress;
use super::script::{Part, Request, Script, Step, Variables, Wait, text_of, values_at};
use super::side::{Marks, Side, is_done};
use crate::clock::machine_now;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Time between two requests of a step that waits.
const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// Number of independent steps, and of locks of a part, that are done at the same time.
const PARALLEL: usize = 4;

/// Number of steps in a row without a response after which the run ends: the server hangs.
const MAX_SILENT: usize = 5;

/// Last parts of the paths whose responses contain only what the request has created.
const CREATING: &[&str] = &["create", "create_multiple"];

/// A step that was run.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// Time from the start of the step to its last response.
    pub(super) took: Duration,
}

/// Result of a run.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Steps in the order of [`plan`]. Some are missing if the run was ended.
    pub(super) done: Vec<Done>,
    /// Number of the last steps in a row that had no response.
    silent: usize,
}

impl Run {
    /// True if the server hangs.
    pub(super) fn is_silent(&self) -> bool {
        self.silent >= MAX_SILENT
    }

    /// Appends the steps of a part.
    fn append(&mut self, part: Run) {
        let is_silent = |done: &Done| matches!(done.outcome, Outcome::Silent | Outcome::Skipped(_));
        self.silent = if part.done.iter().all(is_silent) { self.silent + part.silent } else { part.silent };
        self.done.extend(part.done);
    }

    fn add(&mut self, done: Done) {
        match done.outcome {
            Outcome::Silent => self.silent += 1,
            Outcome::Answered { .. } | Outcome::Limited => self.silent = 0,
            Outcome::Skipped(_) => {}
        }
        self.done.push(done);
    }
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
    /// Runs the script until its end, until `end` is cancelled, or until the server hangs, which cancels `end`. A part that
    /// is run for each lock is run for several locks at the same time.
    pub(super) async fn run(&self, script: &Script, progress: &Progress, end: &CancellationToken) -> Run {
        let mut run = Run::default();
        for part in &script.parts {
            let locks = 0..if part.each_lock { self.locks.len() } else { 1 };
            let runs = stream::iter(locks).map(|lock| self.run_part(part, lock, progress, end));
            let runs: Vec<Run> = runs.buffered(PARALLEL).collect().await;
            self.clean_up().await;
            for part in runs {
                run.append(part);
            }
            if run.is_silent() {
                end.cancel();
            }
            if end.is_cancelled() {
                break;
            }
        }
        run
    }

    async fn run_part(&self, part: &Part, lock: usize, progress: &Progress, end: &CancellationToken) -> Run {
        let mut run = Run::default();
        let mut variables = self.variables_for(lock);
        for steps in part.steps.chunks(if part.independent { PARALLEL } else { 1 }) {
            progress.begin(&part.part, steps.first().map(|step| step.step.as_str()).unwrap_or_default());
            let results = join_all(steps.iter().map(|step| self.run_step(step, &variables, end))).await;
            for (step, (done, request)) in steps.iter().zip(results) {
                let created = &mut self.pending.lock().created;
                note(step, &done.outcome, request.as_ref(), (&self.marks, &mut variables, created));
                run.add(done);
                progress.end();
            }
            if run.is_silent() {
                end.cancel();
            }
            if end.is_cancelled() {
                break;
            }
        }
        run
    }

    /// Runs a step. Also returns its request, if that could be made.
    async fn run_step(
        &self,
        step: &Step,
        variables: &Variables,
        interruption: &CancellationToken,
    ) -> (Done, Option<Request>) {
        let begun = Instant::now();
        let mut waited = Duration::ZERO;
        let (outcome, request) = match variables.fill(&step.request, machine_now()) {
            Err(missing) => (Outcome::Skipped(missing), None),
            Ok(request) => match self.ask(step, variables, &mut waited, interruption).await {
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
        (Done { outcome, took: begun.elapsed().saturating_sub(waited) }, request)
    }

    /// Sends the request of a step, repeatedly if the step waits for a value. Adds the waits because of limits to
    /// `waited`: they are no part of the measured times.
    async fn ask(
        &self,
        step: &Step,
        variables: &Variables,
        waited: &mut Duration,
        interruption: &CancellationToken,
    ) -> Result<Outcome, RequestError> {
        let make = || variables.fill(&step.request, machine_now());
        let begun = Instant::now();
        let mut course: Vec<(String, Duration)> = Vec::new();
        loop {
            let mut response = self.client.send_made(&make, interruption).await?;
            if step.count.is_empty()
                && let Some(body) = &mut response.body
            {
                keep_own(&step.request.path, body, &self.marks);
            }
            *waited += response.waited;
            if response.status == 429 {
                return Ok(Outcome::Limited);
            }
            let elapsed = begun.elapsed().saturating_sub(*waited);
            let Some(wait) = &step.wait else {
                return Ok(Outcome::Answered { response, course, is_reached: true });
            };
            let seen = seen(wait, &response);
            let is_reached = seen.iter().any(|value| wait.until.contains(value));
            let text = if wait.has_course() { seen.first().map(text_of) } else { is_reached.then(String::new) };
            if let Some(text) = text
                && course.last().is_none_or(|(last, _)| *last != text)
            {
                course.push((text, elapsed));
            }
            if is_reached || elapsed >= wait.limit() {
                return Ok(Outcome::Answered { response, course, is_reached });
            }
            sleep(POLL_INTERVAL, interruption).await?;
        }
    }
}

/// Removes the objects of others from a list of the workspace: the other side does not have them.
fn keep_own(path: &str, body: &mut Value, marks: &Marks) {
    let kind = OF_WORKSPACE.iter().find(|kind| path.strip_suffix("/list") == Some(kind.path));
    if let Some(objects) = kind.and_then(|kind| body.get_mut(kind.list)?.as_array_mut()) {
        objects.retain(|object| marks.is_own(object));
    }
}

/// Notes what a step has created, deleted and remembered.
fn note(
    step: &Step,
    outcome: &Outcome,
    request: Option<&Request>,
    (marks, variables, cleanups): (&Marks, &mut Variables, &mut Vec<Request>),
) {
    for name in step.remember.keys() {
        // Not the value of an earlier step.
        variables.remove(name);
    }
    let (Outcome::Answered { response, .. }, Some(request)) = (outcome, request) else { return };
    if !response.is_success() {
        return;
    }
    cleanups.retain(|cleanup| !is_done(cleanup, request));
    for (name, pointer) in &step.remember {
        let body = response.body.as_ref();
        let body = body.filter(|body| is_creating(request) || is_own_element(body, pointer, marks));
        let value = body.and_then(|body| values_at(body, pointer).first().copied());
        if let Some(value) = value.filter(|value| !value.is_null()) {
            variables.set(name, text_of(value));
        }
    }
    if let Some(cleanup) = &step.cleanup
        && let Ok(cleanup) = variables.fill(cleanup, machine_now())
    {
        cleanups.push(cleanup);
    }
}

fn is_creating(request: &Request) -> bool {
    request.path.rsplit('/').next().is_some_and(|name| CREATING.contains(&name))
}

/// True if a value is not in an array, or in one whose only element is the probe's own. A server that ignores the filter
/// of a list would otherwise return something of the user's, and a later step would change it.
fn is_own_element(body: &Value, pointer: &str, marks: &Marks) -> bool {
    let mut value = Some(body);
    for key in pointer.split('/').skip(1) {
        if let Some(items) = value.and_then(Value::as_array) {
            return items.len() == 1 && items.iter().all(|item| marks.is_own(item));
        }
        value = value.and_then(|value| value.get(key));
    }
    true
}

/// Returns the values for which a step waits.
fn seen(wait: &Wait, response: &Response) -> Vec<Value> {
    if wait.watched == "status" {
        return vec![response.status.into()];
    }
    let found = response.body.as_ref().map(|body| values_at(body, &wait.watched));
    found.unwrap_or_default().into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize as _;
    use serde_json::json;
    use std::collections::BTreeMap;

    /// Notes a response to a list or a creation, and returns what was remembered and is to be deleted.
    fn noted(path: &str, status: u16, body: &Value) -> (Option<String>, usize) {
        let step = json!({
            "step": "one", "request": {"path": path}, "remember": {"id": "/access_codes/0/access_code_id"},
            "cleanup": {"path": "/access_codes/delete", "body": {"access_code_id": "{id}"}},
        });
        let step = Step::deserialize(step).unwrap();
        let body = Some(body.clone());
        let response = Response { status, headers: BTreeMap::new(), body, is_empty: false, waited: Duration::ZERO };
        let outcome = Outcome::Answered { response, course: Vec::new(), is_reached: true };
        let (mut variables, mut cleanups) = (Variables::default(), Vec::new());
        variables.set("id", "of an earlier step");
        let marks = Marks::new("latchkey probe 1a2b");
        note(&step, &outcome, Some(&step.request), (&marks, &mut variables, &mut cleanups));
        let id = Request { path: "{id}".to_owned(), ..Request::default() };
        (variables.fill(&id, machine_now()).ok().map(|filled| filled.path), cleanups.len())
    }

    #[test]
    fn lists_of_the_workspace_keep_own_objects_only() {
        let (own, other) = (json!({"name": "latchkey probe 1a2b 1"}), json!({"name": "Lobby"}));
        let marks = Marks::new("latchkey probe 1a2b");
        let kept = |path: &str| {
            let mut body = json!({"spaces": [own, other], "pagination": {}});
            keep_own(path, &mut body, &marks);
            body["spaces"].as_array().unwrap().len()
        };
        assert_eq!((kept("/spaces/list"), kept("/spaces/get"), kept("/devices/list")), (1, 2, 2));
    }

    #[test]
    fn only_own_objects_of_lists_are_remembered() {
        let code = |id: &str, name: &str| json!({"access_code_id": id, "name": name});
        let (own, other) = (code("1", "latchkey probe 1a2b 1"), code("2", "Cleaner"));
        let list = "/access_codes/list";
        let remembered = (Some("1".to_owned()), 1);
        assert_eq!(noted(list, 200, &json!({"access_codes": [own]})), remembered);
        assert_eq!(noted(list, 200, &json!({"access_codes": [other]})), (None, 0));
        assert_eq!(noted(list, 200, &json!({"access_codes": [own, other]})), (None, 0));
        assert_eq!(noted(list, 404, &json!({"access_codes": [own]})), (None, 0));
        assert_eq!(noted("/access_codes/create_multiple", 200, &json!({"access_codes": [own, other]})), remembered);
    }

    #[test]
    fn runs_are_silent_after_five_steps_in_a_row_without_a_response() {
        let mut run = Run::default();
        let mut add = |outcome: &Outcome, number: usize| {
            (0..number).for_each(|_| run.add(Done { outcome: outcome.clone(), took: Duration::ZERO }));
            run.is_silent()
        };
        assert!(!add(&Outcome::Silent, MAX_SILENT - 1));
        assert!(!add(&Outcome::Limited, 1));
        assert!(!add(&Outcome::Silent, MAX_SILENT - 1));
        assert!(add(&Outcome::Silent, 1));
    }

    #[test]
    fn silent_steps_are_counted_across_parts() {
        let part = |outcomes: &[Outcome]| {
            let mut part = Run::default();
            for outcome in outcomes.iter().cloned() {
                part.add(Done { outcome, took: Duration::ZERO });
            }
            part
        };
        let mut run = Run::default();
        let (silent, skipped) = (Outcome::Silent, Outcome::Skipped("no id".to_owned()));
        run.append(part(&vec![silent.clone(); 3]));
        run.append(part(&[Outcome::Limited, silent.clone()]));
        run.append(part(&[silent.clone(), silent.clone(), skipped.clone()]));
        run.append(part(&[skipped]));
        assert!(!run.is_silent());
        run.append(part(&[silent.clone(), silent]));
        assert!(run.is_silent());
        assert_eq!(run.done.len(), 11);
    }
}
