//! Events and action attempts of one transaction: recorded in order, written by the transaction that makes them true, and
//! told of when it is committed. Each event remembers which request of a batch caused it.

use crate::cause::Cause;
use crate::domain::action_attempt::NewActionAttempt;
use crate::domain::event::NewEvent;
use crate::engine::app::App;
use crate::store::changes::Changes;
use std::collections::HashMap;
use uuid::Uuid;

/// What a transaction records.
#[derive(Debug, Default)]
pub struct Recorder {
    /// All events so far, in order.
    pub events: Vec<NewEvent>,
    action_attempts: Vec<NewActionAttempt>,
    /// How many of the events are written.
    written: usize,
    /// The index of the request that caused each of the first events.
    causes: Vec<Option<usize>>,
    attribution: Attribution,
    /// The request that last concerned an access code or a device.
    concerned: HashMap<Uuid, usize>,
}

/// Which request causes the events that are recorded.
#[derive(Clone, Copy, Debug, Default)]
enum Attribution {
    /// None: they fell due before anything was asked for.
    #[default]
    Nobody,
    /// The one with this index.
    Request(usize),
    /// The one that last concerned the access code of the event, or else its device.
    BySubject,
}

impl Recorder {
    /// Records an event.
    pub fn event(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    /// Records an action attempt.
    pub fn action_attempt(&mut self, attempt: NewActionAttempt) {
        self.action_attempts.push(attempt);
    }

    /// Has the request with this index cause what is recorded from now on.
    pub fn begin_request(&mut self, index: usize) {
        self.attribute_to(Attribution::Request(index));
    }

    /// Notes that the request that has begun concerns an access code and its device.
    pub fn concerns(&mut self, access_code_id: Uuid, device_id: Uuid) {
        if let Attribution::Request(index) = self.attribution {
            self.concerned.extend([(access_code_id, index), (device_id, index)]);
        }
    }

    /// Has each request cause what happens from now on to what it concerns; of several the last.
    pub fn end_requests(&mut self) {
        self.attribute_to(Attribution::BySubject);
    }

    fn attribute_to(&mut self, attribution: Attribution) {
        self.attribute();
        self.attribution = attribution;
    }

    /// Attributes the events that are not yet.
    fn attribute(&mut self) {
        let concerned = |id: Option<Uuid>| id.and_then(|id| self.concerned.get(&id).copied());
        let new = self.events.get(self.causes.len()..).unwrap_or_default();
        let causes = new.iter().map(|event| match self.attribution {
            Attribution::Nobody => None,
            Attribution::Request(index) => Some(index),
            Attribution::BySubject => concerned(event.access_code_id).or_else(|| concerned(event.device_id)),
        });
        let causes: Vec<Option<usize>> = causes.collect();
        self.causes.extend(causes);
    }

    /// What has been recorded since this was asked last, to be written.
    pub fn changes(&mut self) -> Changes {
        let events = self.events.get(self.written..).unwrap_or_default().to_vec();
        self.written = self.events.len();
        Changes { events, action_attempts: std::mem::take(&mut self.action_attempts), ..Changes::default() }
    }

    /// Goes on with what was recorded later in the same transaction. All that was recorded here is written.
    pub fn append(&mut self, mut later: Self) {
        self.attribute();
        later.attribute();
        self.written = self.events.len() + later.written;
        self.events.append(&mut later.events);
        self.causes.append(&mut later.causes);
        self.action_attempts.append(&mut later.action_attempts);
        self.attribution = later.attribution;
    }

    /// Tells of the events, which are committed: the requests that caused them, and whoever listens to them.
    pub fn committed(mut self, app: &App, requests: &[Cause]) {
        self.attribute();
        for (event, cause) in self.events.iter().zip(&self.causes) {
            if let Some(request) = cause.and_then(|index| requests.get(index)) {
                request.note([event.into()]);
            }
        }
        app.requests.recorded(self.events);
    }
}
