//! Events: types, creation and recording. Each event is recorded once, with the instant at which it happened.

pub(crate) mod device_changes;
pub(crate) mod payload;

use super::access_code::AccessCode;
use super::access_code::lifecycle::DomainEvent;
use super::connect_webview::ConnectWebview;
use super::connected_account::{AccountFields, ConnectedAccount};
use super::device::Device;
use super::locked_device::LockedDevice;
use super::space::Space;
use crate::cause::EventRef;
use crate::clock::{Timestamp, WorkspaceClock};
use crate::ids::Ids;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Declares event types: Seam's `event_type` and the human-readable `event_description`.
macro_rules! event_types {
    ($($name:ident = $event_type:literal: $description:literal,)*) => {
        $(#[doc = $description] pub(crate) const $name: &str = $event_type;)*

        /// All types, for the tests.
        #[cfg(test)]
        pub(crate) const ALL: &[&str] = &[$($name),*];

        /// Returns Seam's `event_description`; `None` for a type that Latchkey does not record.
        pub(crate) fn description(event_type: &str) -> Option<&'static str> {
            match event_type {
                $($name => Some($description),)*
                _ => None,
            }
        }
    };
}

/// Types of the recorded events.
pub(crate) mod event_type {
    use crate::domain::action_attempt::action_type;

    event_types! {
        ACCESS_GRANT_CREATED = "access_grant.created": "An access grant was created.",
        ACCESS_GRANT_DELETED = "access_grant.deleted": "An access grant was deleted.",
        ACCESS_GRANT_ACCESS_GRANTED_TO_ALL_DOORS = "access_grant.access_granted_to_all_doors":
            "All access methods of an access grant were issued.",
        ACCESS_GRANT_ACCESS_TIMES_CHANGED = "access_grant.access_times_changed":
            "The times of an access grant were changed.",
        ACCESS_GRANT_COULD_NOT_CREATE = "access_grant.could_not_create_requested_access_methods":
            "Some of the requested access methods could not be created.",
        ACCESS_METHOD_CREATED = "access_method.created": "An access method was created.",
        ACCESS_METHOD_ISSUED = "access_method.issued": "An access method was issued.",
        ACCESS_METHOD_REISSUED = "access_method.reissued": "An access method was issued again.",
        ACCESS_METHOD_REVOKED = "access_method.revoked": "An access method was revoked.",
        ACCESS_METHOD_DELETED = "access_method.deleted": "An access method was deleted.",
        ACCESS_METHOD_DELAY_IN_ISSUING = "access_method.delay_in_issuing":
            "Issuing an access method takes unusually long.",
        ACCESS_METHOD_FAILED_TO_ISSUE = "access_method.failed_to_issue":
            "An access method was not issued before its start.",
        CREATED = "access_code.created": "An access code was created.",
        CHANGED = "access_code.changed": "An access code was changed.",
        NAME_CHANGED = "access_code.name_changed": "The name of an access code was changed on the device.",
        CODE_CHANGED = "access_code.code_changed": "The PIN of an access code was changed on the device.",
        TIME_FRAME_CHANGED = "access_code.time_frame_changed":
            "The time frame of an access code was changed on the device.",
        MUTATIONS_REQUESTED = "access_code.mutations_requested": "Changes of an access code were requested.",
        SCHEDULED_ON_DEVICE = "access_code.scheduled_on_device": "An access code was stored on the device for later.",
        SET_ON_DEVICE = "access_code.set_on_device": "An access code was set on the device.",
        REMOVED_FROM_DEVICE = "access_code.removed_from_device": "An access code was removed from the device.",
        DELETED = "access_code.deleted": "An access code was deleted.",
        DELAY_IN_SETTING = "access_code.delay_in_setting_on_device":
            "Setting an access code on the device takes unusually long.",
        FAILED_TO_SET = "access_code.failed_to_set_on_device": "An access code could not be set on the device.",
        FAILED_TO_REMOVE = "access_code.failed_to_remove_from_device":
            "An access code could not be removed from the device.",
        MODIFIED_EXTERNAL = "access_code.modified_external_to_seam": "An access code was changed outside Seam.",
        DELETED_EXTERNAL = "access_code.deleted_external_to_seam":
            "An access code was removed from the device outside Seam.",
        BACKUP_PULLED = "access_code.backup_access_code_pulled": "A backup access code was pulled for an access code.",
        UNMANAGED_CREATED = "access_code.unmanaged.created": "An unmanaged access code appeared on the device.",
        UNMANAGED_REMOVED = "access_code.unmanaged.removed": "An unmanaged access code disappeared from the device.",
        UNMANAGED_CONVERTED = "access_code.unmanaged.converted_to_managed":
            "An unmanaged access code was converted to a managed one.",
        UNMANAGED_FAILED_TO_CONVERT = "access_code.unmanaged.failed_to_convert_to_managed":
            "An unmanaged access code could not be converted to a managed one.",
        ACCESSORY_KEYPAD_CONNECTED = "device.accessory_keypad_connected": "The keypad of a device was connected.",
        ACCESSORY_KEYPAD_DISCONNECTED = "device.accessory_keypad_disconnected":
            "The keypad of a device was disconnected.",
        ATTEMPT_LOCK_DOOR_SUCCEEDED = "action_attempt.lock_door.succeeded": "A request to lock a door succeeded.",
        ATTEMPT_LOCK_DOOR_FAILED = "action_attempt.lock_door.failed": "A request to lock a door failed.",
        ATTEMPT_UNLOCK_DOOR_SUCCEEDED = "action_attempt.unlock_door.succeeded":
            "A request to unlock a door succeeded.",
        ATTEMPT_UNLOCK_DOOR_FAILED = "action_attempt.unlock_door.failed": "A request to unlock a door failed.",
        ATTEMPT_SIMULATE_KEYPAD_CODE_ENTRY_SUCCEEDED = "action_attempt.simulate_keypad_code_entry.succeeded":
            "A simulated entry of a PIN opened a lock.",
        ATTEMPT_SIMULATE_KEYPAD_CODE_ENTRY_FAILED = "action_attempt.simulate_keypad_code_entry.failed":
            "A simulated entry of a PIN did not open a lock.",
        ATTEMPT_SIMULATE_MANUAL_LOCK_VIA_KEYPAD_SUCCEEDED =
            "action_attempt.simulate_manual_lock_via_keypad.succeeded": "A simulated manual lock succeeded.",
        ATTEMPT_SIMULATE_MANUAL_LOCK_VIA_KEYPAD_FAILED = "action_attempt.simulate_manual_lock_via_keypad.failed":
            "A simulated manual lock failed.",
        CLIENT_SESSION_DELETED = "client_session.deleted": "A client session was deleted.",
        ACCOUNT_CREATED = "connected_account.created": "A connected account was created.",
        ACCOUNT_CONNECTED = "connected_account.connected": "A connected account was connected.",
        ACCOUNT_SUCCESSFUL_LOGIN = "connected_account.successful_login": "A user logged in to a connected account.",
        ACCOUNT_COMPLETED_FIRST_SYNC = "connected_account.completed_first_sync":
            "A connected account was synchronized for the first time.",
        ACCOUNT_DELETED = "connected_account.deleted": "A connected account was deleted.",
        ACCOUNT_DISCONNECTED = "connected_account.disconnected": "A connected account was disconnected.",
        ACCOUNT_RECONNECTED = "connected_account.completed_first_sync_after_reconnection":
            "A connected account was synchronized for the first time after its reconnection.",
        BATTERY_STATUS_CHANGED = "device.battery_status_changed": "The battery status of a device changed.",
        CONNECTION_BECAME_FLAKY = "device.connection_became_flaky": "The connection of a device became unreliable.",
        CONNECTION_STABILIZED = "device.connection_stabilized": "The connection of a device became reliable again.",
        DEVICE_ADDED = "device.added": "A device was added.",
        DEVICE_CONNECTED = "device.connected": "A device came online.",
        DEVICE_CONVERTED_TO_MANAGED = "device.unmanaged.converted_to_managed":
            "An unmanaged device was converted to a managed one.",
        DEVICE_CONVERTED_TO_UNMANAGED = "device.converted_to_unmanaged":
            "A managed device was converted to an unmanaged one.",
        DEVICE_DELETED = "device.deleted": "A device was deleted.",
        DEVICE_DISCONNECTED = "device.disconnected": "A device went offline.",
        DEVICE_NAME_CHANGED = "device.name_changed": "The name of a device was changed.",
        DEVICE_REMOVED = "device.removed": "A device was removed from its provider account.",
        WEBVIEW_LOGIN_SUCCEEDED = "connect_webview.login_succeeded": "A user logged in at a connect webview.",
        WEBVIEW_LOGIN_FAILED = "connect_webview.login_failed": "A login at a connect webview failed.",
        DEVICE_TAMPERED = "device.tampered": "Somebody tampered with a device.",
        DOORBELL_RANG = "device.doorbell_rang": "The doorbell of a device rang.",
        LOCK_ACCESS_DENIED = "lock.access_denied": "A lock denied access.",
        LOCK_LOCKED = "lock.locked": "A lock was locked.",
        LOCK_UNLOCKED = "lock.unlocked": "A lock was unlocked.",
        LOW_BATTERY = "device.low_battery": "A battery of a device is low.",
        PRIVACY_MODE_ACTIVATED = "device.salto.privacy_mode_activated": "The privacy mode of a lock was activated.",
        PRIVACY_MODE_DEACTIVATED = "device.salto.privacy_mode_deactivated":
            "The privacy mode of a lock was deactivated.",
        SPACE_CREATED = "space.created": "A space was created.",
        SPACE_DELETED = "space.deleted": "A space was deleted.",
        SPACE_DEVICE_MEMBERSHIP_CHANGED = "space.device_membership_changed": "The devices of a space changed.",
        SUBSCRIPTION_REQUIRED = "device.error.subscription_required":
            "A device needs a subscription at its manufacturer.",
        SUBSCRIPTION_REQUIRED_RESOLVED = "device.error.subscription_required.resolved":
            "A device has the subscription that it needs.",
        THIRD_PARTY_INTEGRATION_DETECTED = "device.third_party_integration_detected":
            "Another integration controls a device too.",
        THIRD_PARTY_INTEGRATION_NO_LONGER_DETECTED = "device.third_party_integration_no_longer_detected":
            "No other integration controls a device any more.",
        UNMANAGED_DEVICE_CONNECTED = "device.unmanaged.connected": "An unmanaged device came online.",
        UNMANAGED_DEVICE_DISCONNECTED = "device.unmanaged.disconnected": "An unmanaged device went offline.",
    }

    /// Returns the type of the event that reports the end of an action attempt; `None`: Seam has none for this action.
    pub(crate) fn of_action_attempt(action: &str, is_success: bool) -> Option<&'static str> {
        let (succeeded, failed) = match action {
            action_type::LOCK_DOOR => (ATTEMPT_LOCK_DOOR_SUCCEEDED, ATTEMPT_LOCK_DOOR_FAILED),
            action_type::UNLOCK_DOOR => (ATTEMPT_UNLOCK_DOOR_SUCCEEDED, ATTEMPT_UNLOCK_DOOR_FAILED),
            action_type::SIMULATE_KEYPAD_CODE_ENTRY => {
                (ATTEMPT_SIMULATE_KEYPAD_CODE_ENTRY_SUCCEEDED, ATTEMPT_SIMULATE_KEYPAD_CODE_ENTRY_FAILED)
            }
            action_type::SIMULATE_MANUAL_LOCK_VIA_KEYPAD => {
                (ATTEMPT_SIMULATE_MANUAL_LOCK_VIA_KEYPAD_SUCCEEDED, ATTEMPT_SIMULATE_MANUAL_LOCK_VIA_KEYPAD_FAILED)
            }
            _ => return None,
        };
        Some(if is_success { succeeded } else { failed })
    }

    /// Returns true if events of this type have the PIN of their code in the field `code`. (`code_changed` and others
    /// have PINs in their payload instead.)
    pub(crate) fn carries_code(event_type: &str) -> bool {
        matches!(event_type, SCHEDULED_ON_DEVICE | SET_ON_DEVICE | DELETED)
    }
}

/// Event that is not recorded yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub event_id: Uuid,
    pub workspace_id: Uuid,
    /// Seam's `event_type`.
    pub event_type: &'static str,
    pub occurred_at: Timestamp,
    /// Instant of the recording; not before `occurred_at`.
    pub created_at: Timestamp,
    /// `None`: the event is not of a device or its codes.
    pub device_id: Option<Uuid>,
    /// Connected account of the event or of its device; `None`: the event is of a client session, or of a login that
    /// failed.
    pub connected_account_id: Option<Uuid>,
    /// `None`: the event is not of an access code.
    pub access_code_id: Option<Uuid>,
    /// PIN, for the event types of `event_type::carries_code`.
    pub code: Option<String>,
    /// Connect webview of the event, for events of a webview and of a login at it.
    pub connect_webview_id: Option<Uuid>,
    /// Custom metadata of the account and the device at that time, and the key of their customer, as fields of the
    /// event.
    pub metadata: Map<String, Value>,
    /// Further fields of the event type, see the module `payload`.
    pub payload: Option<Value>,
}

impl NewEvent {
    /// Returns an event of no subject, without further fields.
    fn of_workspace(
        event_id: Uuid,
        workspace_id: Uuid,
        event_type: &'static str,
        (occurred_at, created_at): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            event_id,
            workspace_id,
            event_type,
            occurred_at,
            created_at,
            device_id: None,
            connected_account_id: None,
            access_code_id: None,
            code: None,
            connect_webview_id: None,
            metadata: Map::new(),
            payload: None,
        }
    }

    /// Creates an event of an object that is neither a device nor belongs to one.
    pub(crate) fn with_payload(
        event_id: Uuid,
        workspace_id: Uuid,
        event_type: &'static str,
        times: (Timestamp, Timestamp),
        payload: Value,
    ) -> Self {
        Self { payload: Some(payload), ..Self::of_workspace(event_id, workspace_id, event_type, times) }
    }

    /// Creates the event of a client session that is deleted.
    pub fn of_deleted_client_session(
        client_session_id: Uuid,
        workspace_id: Uuid,
        (ids, clock): (&Ids, WorkspaceClock),
        (occurred_at, machine_now): (Timestamp, Timestamp),
    ) -> Self {
        let event_id = ids.id("event", client_session_id, 0, machine_now);
        let times = (occurred_at, clock.recorded_at(occurred_at, machine_now));
        Self {
            payload: Some(json!({ "client_session_id": client_session_id })),
            ..Self::of_workspace(event_id, workspace_id, event_type::CLIENT_SESSION_DELETED, times)
        }
    }

    /// Creates the next event of a code and counts it on the code.
    pub fn of_access_code(
        code: &mut AccessCode,
        locked: &LockedDevice,
        event_type: &'static str,
        occurred_at: Timestamp,
        machine_now: Timestamp,
    ) -> Self {
        let LockedDevice { device, settings, ids, account, .. } = locked;
        let event_id = ids.id("event", code.access_code_id, code.next_child(), machine_now);
        let times = (occurred_at, settings.clock.recorded_at(occurred_at, machine_now));
        Self {
            device_id: Some(device.device_id),
            connected_account_id: Some(device.connected_account_id),
            access_code_id: Some(code.access_code_id),
            code: event_type::carries_code(event_type).then(|| pin_of(code, event_type).map(str::to_owned)).flatten(),
            metadata: account.of_access_code(&device.custom_metadata),
            ..Self::of_workspace(event_id, code.workspace_id, event_type, times)
        }
    }

    /// Creates the first event of a new account: it reports the creation. `connect_webview_id` is derived from the
    /// account: no stored connect webview created it, as if that webview was deleted.
    pub fn of_new_account(
        connected_account_id: Uuid,
        (workspace_id, ids): (Uuid, &Ids),
        times: (Timestamp, Timestamp),
        machine_now: Timestamp,
    ) -> Self {
        let event_id = ids.id("event", connected_account_id, 0, machine_now);
        Self {
            connected_account_id: Some(connected_account_id),
            connect_webview_id: Some(ids.id("connect_webview", connected_account_id, 0, machine_now)),
            ..Self::of_workspace(event_id, workspace_id, event_type::ACCOUNT_CREATED, times)
        }
    }

    /// Creates the next event of a device and counts it on the device.
    pub fn of_device(
        locked: &mut LockedDevice,
        event_type: &'static str,
        occurred_at: Timestamp,
        machine_now: Timestamp,
    ) -> Self {
        let LockedDevice { device, settings, ids, account, .. } = locked;
        let created_at = settings.clock.recorded_at(occurred_at, machine_now);
        Self::of_unlocked_device((device, account), ids, event_type, (occurred_at, created_at), machine_now)
    }

    /// Like [`NewEvent::of_device`], for a device that the transaction has just created. No other transaction can lock
    /// it. `account` is the part of its account that events contain.
    pub fn of_unlocked_device(
        (device, account): (&mut Device, &AccountFields),
        ids: &Ids,
        event_type: &'static str,
        times: (Timestamp, Timestamp),
        machine_now: Timestamp,
    ) -> Self {
        let event_id = ids.id("event", device.device_id, device.next_child(), machine_now);
        Self {
            device_id: Some(device.device_id),
            connected_account_id: Some(device.connected_account_id),
            metadata: account.of_device(&device.custom_metadata),
            ..Self::of_workspace(event_id, device.workspace_id, event_type, times)
        }
    }

    /// Creates the next event of a connected account and counts it on the account.
    pub fn of_account(
        account: &mut ConnectedAccount,
        workspace_id: Uuid,
        event_type: &'static str,
        (ids, clock): (&Ids, WorkspaceClock),
        (occurred_at, machine_now): (Timestamp, Timestamp),
    ) -> Self {
        let ordinal = account.events_made;
        account.events_made += 1;
        let event_id = ids.id("event", account.connected_account_id, ordinal, machine_now);
        let times = (occurred_at, clock.recorded_at(occurred_at, machine_now));
        Self {
            connected_account_id: Some(account.connected_account_id),
            metadata: account.event_fields(event_type),
            ..Self::of_workspace(event_id, workspace_id, event_type, times)
        }
    }

    /// Creates the next event of a space, with its devices at that time, and counts it on the space.
    pub(crate) fn of_space(
        space: &mut Space,
        event_type: &'static str,
        (ids, clock): (&Ids, WorkspaceClock),
        (occurred_at, machine_now): (Timestamp, Timestamp),
    ) -> Self {
        let ordinal = space.children;
        space.children += 1;
        let event_id = ids.id("event", space.space_id, ordinal, machine_now);
        let times = (occurred_at, clock.recorded_at(occurred_at, machine_now));
        Self {
            payload: Some(payload::space(space)),
            ..Self::of_workspace(event_id, space.workspace_id, event_type, times)
        }
    }

    /// Creates the next event of a connect webview and counts it on the webview. `account` is the account of a login.
    pub fn of_webview(
        webview: &mut ConnectWebview,
        account: Option<&ConnectedAccount>,
        event_type: &'static str,
        (ids, clock): (&Ids, WorkspaceClock),
        (occurred_at, machine_now): (Timestamp, Timestamp),
    ) -> Self {
        let ordinal = webview.events_made;
        webview.events_made += 1;
        let event_id = ids.id("event", webview.connect_webview_id, ordinal, machine_now);
        let times = (occurred_at, clock.recorded_at(occurred_at, machine_now));
        Self {
            connected_account_id: account.map(|account| account.connected_account_id),
            connect_webview_id: Some(webview.connect_webview_id),
            metadata: account.map(|account| account.event_fields(event_type)).unwrap_or_default(),
            ..Self::of_workspace(event_id, webview.workspace_id, event_type, times)
        }
    }
}

/// Returns the PIN for an event of a code. `access_code.deleted` must have one, also for a code whose provider has not
/// assigned it yet.
fn pin_of<'a>(code: &'a AccessCode, event_type: &str) -> Option<&'a str> {
    if event_type == event_type::DELETED { Some(&code.state.requested.code) } else { code.known_code() }
}

impl From<&NewEvent> for EventRef {
    fn from(event: &NewEvent) -> Self {
        Self { event_id: event.event_id, event_type: event.event_type, access_code_id: event.access_code_id }
    }
}

/// Records the events for a domain event of a code on this lock. `backups` is the number of backup codes of the lock
/// that can be pulled at that time.
pub(crate) fn record_domain_event(
    code: &mut AccessCode,
    locked: &LockedDevice,
    (at, domain_event): (Timestamp, DomainEvent),
    backups: i64,
    machine_now: Timestamp,
    events: &mut Vec<NewEvent>,
) {
    let mut record = |event_type, payload| {
        events.push(NewEvent { payload, ..NewEvent::of_access_code(code, locked, event_type, at, machine_now) });
    };
    let event_type = match domain_event {
        DomainEvent::ScheduledOnDevice => event_type::SCHEDULED_ON_DEVICE,
        DomainEvent::SetOnDevice => event_type::SET_ON_DEVICE,
        DomainEvent::RemovedFromDevice => event_type::REMOVED_FROM_DEVICE,
        DomainEvent::Deleted => event_type::DELETED,
        DomainEvent::UnmanagedRemoved => event_type::UNMANAGED_REMOVED,
        DomainEvent::DelayInSetting => event_type::DELAY_IN_SETTING,
        DomainEvent::FailedToSet => event_type::FAILED_TO_SET,
        DomainEvent::FailedToRemove => event_type::FAILED_TO_REMOVE,
        DomainEvent::Unmanaged => return record(event_type::CHANGED, Some(payload::unmanaged())),
        DomainEvent::Changed(change) => {
            return payload::change_events(&change)
                .into_iter()
                .for_each(|(event_type, payload)| record(event_type, Some(payload)));
        }
    };
    let event = NewEvent::of_access_code(code, locked, event_type, at, machine_now);
    let includes_issues =
        matches!(event_type, event_type::DELAY_IN_SETTING | event_type::FAILED_TO_SET | event_type::FAILED_TO_REMOVE);
    let payload = includes_issues.then(|| payload::issues(code, &locked.device.summary(backups)));
    events.push(NewEvent { payload, ..event });
}

#[cfg(test)]
mod tests;
