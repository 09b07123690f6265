//! Events: what happened, each once, at its own instant.

pub mod routes;
pub mod store;

use crate::access_codes::lifecycle::Happening;
use crate::access_codes::model::AccessCode;
use crate::clock::Instant;
use crate::devices::model::Device;
use crate::ids::Ids;
use uuid::Uuid;

/// Seam's names of the events there are here.
pub mod event_type {
    use super::Happening;

    /// A code was made.
    pub const CREATED: &str = "access_code.created";

    /// The event that tells of a happening.
    pub fn of(happening: Happening) -> &'static str {
        match happening {
            Happening::ScheduledOnDevice => "access_code.scheduled_on_device",
            Happening::SetOnDevice => "access_code.set_on_device",
            Happening::RemovedFromDevice => "access_code.removed_from_device",
            Happening::Deleted => "access_code.deleted",
        }
    }

    /// Whether events of this type carry the PIN.
    pub fn carries_code(event_type: &str) -> bool {
        matches!(event_type, "access_code.scheduled_on_device" | "access_code.set_on_device" | "access_code.deleted")
    }
}

/// An event about to be recorded.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its id.
    pub event_id: Uuid,
    /// The workspace it happened in.
    pub workspace_id: Uuid,
    /// Seam's `event_type`.
    pub event_type: &'static str,
    /// When it happened.
    pub occurred_at: Instant,
    /// When it is recorded; never earlier.
    pub created_at: Instant,
    /// The device it is about.
    pub device_id: Uuid,
    /// That device's account.
    pub connected_account_id: Uuid,
    /// The code it is about.
    pub access_code_id: Uuid,
    /// The PIN, for types that carry it.
    pub code: Option<String>,
}

impl NewEvent {
    /// The next event of a code; `instants` are when it happened and when it is recorded.
    pub fn of_access_code(
        code: &mut AccessCode,
        device: &Device,
        event_type: &'static str,
        instants: (Instant, Instant),
        ids: &Ids,
        machine_now: Instant,
    ) -> Self {
        Self {
            event_id: ids.id("event", code.access_code_id, code.next_child(), machine_now),
            workspace_id: code.workspace_id,
            event_type,
            occurred_at: instants.0,
            created_at: instants.1,
            device_id: device.device_id,
            connected_account_id: device.connected_account_id,
            access_code_id: code.access_code_id,
            code: event_type::carries_code(event_type).then(|| code.life.asked.code.clone()),
        }
    }
}
