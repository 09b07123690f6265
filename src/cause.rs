//! Cause of events: a handle to a request that is passed along with its work, also to other tasks.

use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

tokio::task_local! {
    static CURRENT: Cause;
}

/// A request as the cause of events. The default represents no request: events added to it are dropped.
#[derive(Clone, Debug, Default)]
pub struct Cause(Option<Arc<State>>);

/// Effects of a request so far.
#[derive(Debug, Default)]
struct State {
    events: Mutex<Vec<EventRef>>,
    may_have_changed: AtomicBool,
}

/// An event that a request caused.
#[derive(Clone, Debug, Serialize)]
pub struct EventRef {
    pub event_id: Uuid,
    pub event_type: &'static str,
    /// `None`: the event does not concern an access code.
    pub access_code_id: Option<Uuid>,
}

impl Cause {
    /// Creates the handle of a request that has caused no events yet.
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Returns the request that this task serves. Work that moves to another task must take the handle along.
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs work with this request as [`Cause::current`].
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Adds events to those that this request has caused.
    pub fn add_events(&self, events: impl IntoIterator<Item = EventRef>) {
        let Some(state) = &self.0 else { return };
        state.events.lock().extend(events);
    }

    /// Marks the request as possibly executed: from here on data may change even if the client stops waiting.
    pub fn mark_may_change(&self) {
        if let Some(state) = &self.0 {
            state.may_have_changed.store(true, Ordering::SeqCst);
        }
    }

    /// Returns true if the request may have changed data, or may still change it.
    pub fn may_have_changed(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.may_have_changed.load(Ordering::SeqCst))
    }

    /// Returns the events so far, in the order of recording.
    pub fn events(&self) -> Vec<EventRef> {
        let events = |state: &Arc<State>| state.events.lock().clone();
        self.0.as_ref().map(events).unwrap_or_default()
    }
}
