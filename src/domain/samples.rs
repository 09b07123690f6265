//! Sample devices, codes and workspace settings for the unit tests of the domain.

use super::access_code::AccessCode;
use super::access_code::lifecycle::{CodeState, LockCode, Window};
use super::connected_account::AccountFields;
use super::device::health::DeviceHealth;
use super::device::{Device, Overrides, brands};
use super::locked_device::LockedDevice;
use super::workspace::{LateIssuanceLimits, SameCode, Workspace, WorkspaceSettings};
use crate::clock::{Timestamp, WorkspaceClock, from_iso};
use crate::ids::Ids;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Returns the instant `hours` after 2026-03-01T00:00:00Z, which is hour 0.
pub(crate) fn at(hours: i64) -> Timestamp {
    from_iso("2026-03-01T00:00:00Z").unwrap() + TimeDelta::hours(hours)
}

/// Returns a time frame between two hours, counted as in [`at`].
pub(crate) fn window(from: i64, to: i64) -> Window {
    Window { starts_at: at(from), ends_at: at(to) }
}

/// Returns a workspace with this seed.
pub(crate) fn workspace(seed: Option<&str>) -> Workspace {
    Workspace {
        workspace_id: Uuid::from_u128(2),
        name: String::new(),
        is_sandbox: true,
        connect_partner_name: None,
        connect_webview_customization: Map::new(),
        is_suspended: false,
        is_publishable_key_auth_enabled: true,
        organization_id: None,
        publishable_key: String::new(),
        ids: Ids::of(seed),
        has_http_faults: true,
        is_strict: false,
    }
}

/// Returns a device that is reachable since hour 0.
pub(crate) fn device(device_type: &str, overrides: Value) -> Device {
    Device {
        device_id: Uuid::from_u128(1),
        workspace_id: Uuid::from_u128(2),
        connected_account_id: Uuid::from_u128(3),
        brand: brands::of(device_type).unwrap(),
        name: "Front Door".to_owned(),
        nickname: None,
        is_managed: true,
        ordinal: 0,
        created_at: at(0),
        reachable_since: Some(at(0)),
        health: DeviceHealth::default(),
        backup_pool: None,
        events_made: 0,
        lock_operations: Vec::new(),
        overrides: Overrides::deserialize(overrides).unwrap(),
        custom_metadata: serde_json::Map::new(),
        deleted_at: None,
        space_ids: Vec::new(),
    }
}

/// Returns the settings of a workspace with a held clock, in which an operation takes one second.
pub(crate) fn settings() -> WorkspaceSettings {
    WorkspaceSettings {
        clock: WorkspaceClock::Held { at: at(0) },
        programming: Some(TimeDelta::seconds(1)),
        slow_after: TimeDelta::minutes(1),
        keeps_expired: false,
        has_faults: false,
        has_webhooks: false,
        rate_limits: None,
        same_code: SameCode::Never,
        refuse_begun_windows: false,
        late_issuance: LateIssuanceLimits::USUAL,
    }
}

/// Returns the device as a locked one, in a workspace with these settings.
pub(crate) fn locked(device: Device) -> LockedDevice {
    LockedDevice {
        device,
        settings: settings(),
        ids: Ids::of(Some("seed")),
        access_code_ordinal: 0,
        account: AccountFields::default(),
        backups: 0,
    }
}

/// Returns a requested entry with the name `guest`.
pub(crate) fn entry(code: &str, window: Option<Window>) -> LockCode {
    LockCode { name: Some("guest".to_owned()), code: code.to_owned(), window }
}

/// Returns a stored code with this number on a device, created at hour 0.
pub(crate) fn access_code(number: u8, device: &Device, requested: LockCode) -> AccessCode {
    let id = Uuid::from_u128(100 + u128::from(number));
    let state = CodeState::new_managed(at(0), requested, device.schedules_natively());
    AccessCode { sequence: i64::from(number), ..AccessCode::new((id, device.device_id), device.workspace_id, state) }
}

/// Returns a code like [`access_code`] does, but stored on the lock since hour 0.
pub(crate) fn held(number: u8, device: &Device, requested: LockCode) -> AccessCode {
    let mut code = access_code(number, device, requested);
    code.state.held = Some(code.state.requested.clone());
    code.state.first_held_at = Some(at(0));
    code
}
