//! Which request caused events: a handle that goes along with its work, however that is done.

use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

tokio::task_local! {
    static CURRENT: Cause;
}

/// A request as the cause of events; or nothing that anybody wants to know of, which is the default.
#[derive(Clone, Debug, Default)]
pub struct Cause(Option<Arc<State>>);

/// What a request has done so far.
#[derive(Debug, Default)]
struct State {
    events: Mutex<Vec<EventRef>>,
    may_have_changed: AtomicBool,
}

/// An event that a request caused.
#[derive(Clone, Debug, Serialize)]
pub struct EventRef {
    /// Its id.
    pub event_id: Uuid,
    /// Seam's `event_type`.
    pub event_type: &'static str,
    /// The code it is about, if it is about one.
    pub access_code_id: Option<Uuid>,
}

impl Cause {
    /// A request that has caused nothing yet.
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// The request that this task serves. Work that is handed to another task has to carry it along.
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Does work that is caused by this.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Takes note of events that are recorded.
    pub fn note(&self, events: impl IntoIterator<Item = EventRef>) {
        let Some(state) = &self.0 else { return };
        state.events.lock().extend(events);
    }

    /// Notes that from here on something may be changed although nobody waits for it any more.
    pub fn begins_to_change(&self) {
        if let Some(state) = &self.0 {
            state.may_have_changed.store(true, Ordering::SeqCst);
        }
    }

    /// Whether something may have been changed, or may still be.
    pub fn may_have_changed(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.may_have_changed.load(Ordering::SeqCst))
    }

    /// The events so far, in the order in which they were recorded.
    pub fn events(&self) -> Vec<EventRef> {
        let events = |state: &Arc<State>| state.events.lock().clone();
        self.0.as_ref().map(events).unwrap_or_default()
    }
}
