//! Devices, codes and the settings of their workspace, for the tests of the rules.

use super::access_code::AccessCode;
use super::access_code::lifecycle::{CodeState, LockCode, Window};
use super::device::health::DeviceHealth;
use super::device::{Device, Overrides, brands};
use super::locked_device::LockedDevice;
use super::workspace::{SameCode, WorkspaceSettings};
use crate::clock::{Timestamp, WorkspaceClock, from_iso};
use crate::ids::Ids;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// So many hours after the first of March 2026.
pub(crate) fn at(hours: i64) -> Timestamp {
    from_iso("2026-03-01T00:00:00Z").unwrap() + TimeDelta::hours(hours)
}

/// A time frame between two such hours.
pub(crate) fn window(from: i64, to: i64) -> Window {
    Window { starts_at: at(from), ends_at: at(to) }
}

/// A device that can be reached since the hour 0.
pub(crate) fn device(device_type: &str, overrides: Value) -> Device {
    Device {
        device_id: Uuid::from_u128(1),
        workspace_id: Uuid::from_u128(2),
        connected_account_id: Uuid::from_u128(3),
        brand: brands::of(device_type).unwrap(),
        name: "Front Door".to_owned(),
        ordinal: 0,
        created_at: at(0),
        reachable_since: Some(at(0)),
        health: DeviceHealth::default(),
        backup_pool: None,
        events_made: 0,
        overrides: Overrides::deserialize(overrides).unwrap(),
        custom_metadata: serde_json::Map::new(),
    }
}

/// The settings of a workspace whose clock is held and whose locks take a second for an operation.
pub(crate) fn settings() -> WorkspaceSettings {
    WorkspaceSettings {
        clock: WorkspaceClock::Held { at: at(0) },
        programming: Some(TimeDelta::seconds(1)),
        slow_after: TimeDelta::minutes(1),
        keeps_expired: false,
        has_faults: false,
        rate_limits: None,
        same_code: SameCode::Never,
        refuse_begun_windows: false,
    }
}

/// A device under lock in that workspace.
pub(crate) fn locked(device: Device) -> LockedDevice {
    LockedDevice { device, settings: settings(), ids: Ids::of(Some("seed")), access_code_ordinal: 0, backups: 0 }
}

/// A code as it is asked for: its name is `guest`.
pub(crate) fn entry(code: &str, window: Option<Window>) -> LockCode {
    LockCode { name: Some("guest".to_owned()), code: code.to_owned(), window }
}

/// A code with this number on a device, made at the hour 0, that has been stored.
pub(crate) fn access_code(number: u8, device: &Device, asked: LockCode) -> AccessCode {
    let id = Uuid::from_u128(100 + u128::from(number));
    let state = CodeState::begin(at(0), asked, device.schedules_natively());
    AccessCode { sequence: i64::from(number), ..AccessCode::new((id, device.device_id), device.workspace_id, state) }
}

/// The same, held by its lock since the hour 0.
pub(crate) fn held(number: u8, device: &Device, asked: LockCode) -> AccessCode {
    let mut code = access_code(number, device, asked);
    code.state.held = Some(code.state.asked.clone());
    code.state.first_held_at = Some(at(0));
    code
}
