//! Events and action attempts of one transaction: recorded in order, written by the same transaction as the changes
//! that they report, and published after the commit. Each event is attributed to the request of the batch that caused
//! it.

use crate::cause::Cause;
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::event::NewEvent;
use crate::engine::app::App;
use crate::store::changes::Changes;
use std::collections::HashMap;
use uuid::Uuid;

/// Events and action attempts recorded in one transaction.
#[derive(Debug, Default)]
pub struct Recorder {
    /// All events so far, in order.
    pub events: Vec<NewEvent>,
    action_attempts: Vec<NewActionAttempt>,
    resolved_attempts: Vec<NewActionAttempt>,
    /// Number of events that are written.
    written: usize,
    /// True if written events may be delivered to webhooks.
    may_have_deliveries: bool,
    /// Index of the request that caused each event; shorter than `events` until the latest events are attributed.
    causes: Vec<Option<usize>>,
    attribution: Attribution,
    /// Index of the last request that concerned an access code or a device, by their ids.
    concerned: HashMap<Uuid, usize>,
}

/// Rule by which recorded events are attributed to requests.
#[derive(Clone, Copy, Debug, Default)]
enum Attribution {
    /// To no request: the steps were due before the requests.
    #[default]
    Unattributed,
    /// To the request with this index.
    Request(usize),
    /// To the last request that concerned the access code of the event, or else its device.
    BySubject,
}

impl Recorder {
    /// Creates a recorder with events that are written already, caused by the only request of the transaction.
    pub fn of_written(events: Vec<NewEvent>) -> Self {
        Self {
            written: events.len(),
            may_have_deliveries: !events.is_empty(),
            causes: vec![Some(0); events.len()],
            events,
            ..Self::default()
        }
    }

    /// Inserts the records of an earlier part of the same transaction before all others.
    pub fn prepend(&mut self, mut earlier: Self) {
        earlier.append(std::mem::take(self));
        *self = earlier;
    }

    pub fn record_event(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    pub fn record_action_attempt(&mut self, attempt: NewActionAttempt) {
        self.action_attempts.push(attempt);
    }

    /// Records that an action attempt, which was recorded before, is resolved.
    pub fn resolve_action_attempt(&mut self, resolved: NewActionAttempt) {
        let id = resolved.action_attempt_id;
        match self.action_attempts.iter_mut().find(|attempt| attempt.action_attempt_id == id) {
            Some(attempt) => *attempt = resolved,
            None => self.resolved_attempts.push(resolved),
        }
    }

    /// Records the events of a part of the simulation that ran separately, and orders the events from `start` on by
    /// their instants. Events that are written already keep their places.
    pub fn record_in_order(&mut self, start: usize, events: Vec<NewEvent>) {
        self.events.extend(events);
        let start = start.max(self.written).max(self.causes.len());
        self.events.get_mut(start..).unwrap_or_default().sort_by_key(|event| event.occurred_at);
    }

    /// Attributes the events from now on to the request with this index.
    pub fn begin_request(&mut self, index: usize) {
        self.attribute_to(Attribution::Request(index));
    }

    /// Registers that the current request concerns an access code and its device.
    pub fn register_subject(&mut self, access_code_id: Uuid, device_id: Uuid) {
        if let Attribution::Request(index) = self.attribution {
            self.concerned.extend([(access_code_id, index), (device_id, index)]);
        }
    }

    /// Attributes each event from now on to the last request that concerned its access code or device.
    pub fn end_requests(&mut self) {
        self.attribute_to(Attribution::BySubject);
    }

    fn attribute_to(&mut self, attribution: Attribution) {
        self.attribute();
        self.attribution = attribution;
    }

    /// Attributes the events recorded since the last call.
    fn attribute(&mut self) {
        let concerned = |id: Option<Uuid>| id.and_then(|id| self.concerned.get(&id).copied());
        let new = self.events.get(self.causes.len()..).unwrap_or_default();
        let causes = new.iter().map(|event| match self.attribution {
            Attribution::Unattributed => None,
            Attribution::Request(index) => Some(index),
            Attribution::BySubject => concerned(event.access_code_id).or_else(|| concerned(event.device_id)),
        });
        let causes: Vec<Option<usize>> = causes.collect();
        self.causes.extend(causes);
    }

    /// Returns everything recorded since the last call, to be written. `has_no_webhooks`: see
    /// [`Changes::has_no_webhooks`].
    pub fn changes(&mut self, has_no_webhooks: bool) -> Changes {
        let events = self.events.get(self.written..).unwrap_or_default().to_vec();
        self.written = self.events.len();
        self.may_have_deliveries |= !events.is_empty() && !has_no_webhooks;
        Changes {
            events,
            action_attempts: std::mem::take(&mut self.action_attempts),
            resolved_attempts: std::mem::take(&mut self.resolved_attempts),
            has_no_webhooks,
            ..Changes::default()
        }
    }

    /// Appends the records of a later part of the same transaction. Everything recorded in `self` must be written
    /// already.
    pub fn append(&mut self, mut later: Self) {
        self.attribute();
        later.attribute();
        self.written = self.events.len() + later.written;
        self.events.append(&mut later.events);
        self.causes.append(&mut later.causes);
        self.action_attempts.append(&mut later.action_attempts);
        self.resolved_attempts.append(&mut later.resolved_attempts);
        self.may_have_deliveries |= later.may_have_deliveries;
        self.attribution = later.attribution;
    }

    /// Publishes the committed events: adds them to the requests that caused them, sends them to the subscribers of the
    /// request log, and wakes the delivery to webhooks.
    pub fn publish(mut self, app: &App, requests: &[Cause]) {
        self.attribute();
        for (event, cause) in self.events.iter().zip(&self.causes) {
            if let Some(request) = cause.and_then(|index| requests.get(index)) {
                request.add_events([event.into()]);
            }
        }
        if self.may_have_deliveries {
            app.wake_deliveries();
        }
        app.request_log.publish_events(self.events);
    }
}
