//! Which request caused events: a handle that goes along with its work, however that is done.

use super::NewEvent;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

tokio::task_local! {
    static CURRENT: Cause;
}

/// A request as the cause of events; or nothing that anybody wants to know of, which is the default.
#[derive(Clone, Debug, Default)]
pub struct Cause(Option<Arc<Mutex<Vec<Caused>>>>);

/// An event that a request caused.
#[derive(Clone, Debug, Serialize)]
pub struct Caused {
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
    pub async fn of<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Takes note of events that are recorded.
    pub fn note<'a>(&self, events: impl IntoIterator<Item = &'a NewEvent>) {
        let Some(caused) = &self.0 else { return };
        let events = events.into_iter().map(|event| Caused {
            event_id: event.event_id,
            event_type: event.event_type,
            access_code_id: event.access_code_id,
        });
        caused.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
    }

    /// The events so far, in the order in which they were recorded.
    pub fn events(&self) -> Vec<Caused> {
        let events = |caused: &Arc<Mutex<Vec<Caused>>>| caused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.as_ref().map(events).unwrap_or_default()
    }
}
