//! Access grants and their access methods: the stored fields. A grant gives an identity access to locks. Each of its
//! methods of mode `code` is one PIN, carried by one access code for each lock.

mod display;
mod expected;
mod issuance;
mod locked_grants;

pub(crate) use self::display::{Label, grant_label, method_label};
pub(crate) use self::expected::difference;
pub(crate) use self::locked_grants::{LockedGrant, LockedGrants, MethodCode, Progress};

use super::access_code::lifecycle::Window;
use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Access grant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AccessGrant {
    pub access_grant_id: Uuid,
    pub workspace_id: Uuid,
    /// Identity that gets the access.
    pub user_identity_id: Uuid,
    /// Key that the client has chosen; unique in the workspace.
    pub access_grant_key: Option<String>,
    /// Key that groups the grants of one stay.
    pub reservation_key: Option<String>,
    /// Name that the client has given.
    pub name: Option<String>,
    /// Stored and shown; nothing else depends on it.
    pub customization_profile_id: Option<Uuid>,
    /// Locks that the client named.
    pub device_ids: Vec<Uuid>,
    /// Spaces whose locks the grant covers.
    pub space_ids: Vec<Uuid>,
    pub starts_at: Timestamp,
    /// `None`: no end; the codes are ongoing.
    pub ends_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub requested_access_methods: Vec<RequestedAccessMethod>,
    pub conditions: Conditions,
    /// Times before a change that not all methods have yet.
    pub changing_times: Option<TimesChange>,
    /// Instant at which all methods were issued for the first time.
    pub granted_at: Option<Timestamp>,
    pub deletion_requested_at: Option<Timestamp>,
    /// Number of methods and events made for the grant: the ordinal of the next.
    pub children: i64,
}

impl AccessGrant {
    /// Creates a grant of this workspace and identity without places and methods.
    pub(crate) fn new(
        access_grant_id: Uuid,
        (workspace_id, user_identity_id): (Uuid, Uuid),
        (starts_at, ends_at): (Timestamp, Option<Timestamp>),
        created_at: Timestamp,
    ) -> Self {
        Self {
            access_grant_id,
            workspace_id,
            user_identity_id,
            access_grant_key: None,
            reservation_key: None,
            name: None,
            customization_profile_id: None,
            device_ids: Vec::new(),
            space_ids: Vec::new(),
            starts_at,
            ends_at,
            created_at,
            requested_access_methods: Vec::new(),
            conditions: Conditions::default(),
            changing_times: None,
            granted_at: None,
            deletion_requested_at: None,
            children: 0,
        }
    }

    /// Returns the ordinal for the next method or event of this grant and counts it.
    pub(crate) fn next_child(&mut self) -> i64 {
        self.children += 1;
        self.children - 1
    }

    /// Returns true if the grant is neither over nor being deleted.
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        self.deletion_requested_at.is_none() && self.ends_at.is_none_or(|ends_at| now < ends_at)
    }

    /// Returns true if the grant gives access only within these times.
    pub(crate) fn is_within(&self, times: Window) -> bool {
        times.starts_at <= self.starts_at && self.ends_at.is_some_and(|ends_at| ends_at <= times.ends_at)
    }

    /// Returns true if the grant gives access during all of these times.
    pub(crate) fn covers(&self, times: Window) -> bool {
        self.starts_at <= times.starts_at && self.ends_at.is_none_or(|ends_at| times.ends_at <= ends_at)
    }

    /// Returns the time frame of the codes; `None`: ongoing codes.
    pub(crate) fn window(&self) -> Option<Window> {
        let starts_at = self.starts_at;
        self.ends_at.map(|ends_at| Window { starts_at, ends_at })
    }
}

/// Seam's `mode` of an access method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    Code,
    Card,
    MobileKey,
    CloudKey,
}

/// Entry of `requested_access_methods`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RequestedAccessMethod {
    pub mode: Mode,
    /// PIN that the client wishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instant_key_max_use_count: Option<i64>,
    pub created_at: Timestamp,
    /// True if the client deleted the methods of the entry: it gets no new ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_deleted: bool,
    /// Locks whose method the client deleted while the entry kept another one. They get no new method, unless they leave
    /// the grant and join it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted_device_ids: Vec<Uuid>,
}

/// Facts about the creation of codes that the grant shows until it ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Conditions {
    /// Instant since which requested methods could not be created; `None`: all could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_created_since: Option<Timestamp>,
    /// Locks that got no code for a reason that may go away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_device_ids: Vec<Uuid>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<GrantWarning>,
}

/// Warning about one lock of a grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GrantWarning {
    pub device_id: Uuid,
    pub created_at: Timestamp,
    #[serde(flatten)]
    pub kind: WarningKind,
}

impl GrantWarning {
    /// Returns true if the lock was left out for this reason.
    pub(crate) fn is_unfit(&self) -> bool {
        !matches!(self.kind, WarningKind::RequestedCodeUnavailable { .. })
    }
}

/// Kind of a [`GrantWarning`], with its further fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "warning_code", rename_all = "snake_case")]
pub(crate) enum WarningKind {
    /// The lock was left out.
    DeviceDoesNotSupportAccessCodes,
    /// The lock was left out.
    DeviceTimeConstraintsViolated { reason: TimeConstraint },
    /// The lock got another PIN than the wished one.
    RequestedCodeUnavailable { original_code: String, new_code: String },
}

/// Reason why a lock cannot have the times of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimeConstraint {
    DurationExceedsMax,
    TimesDoNotMatchSlots,
    OngoingNotSupported,
}

/// Change of times in progress: the times before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TimesChange {
    /// Instant of the change.
    pub since: Timestamp,
    pub starts_at: Timestamp,
    pub ends_at: Option<Timestamp>,
}

/// Access method of mode `code`: one PIN of a grant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AccessMethod {
    pub access_method_id: Uuid,
    pub workspace_id: Uuid,
    pub access_grant_id: Uuid,
    /// Position in `requested_access_methods` of the entry for which the method was made.
    pub request: usize,
    /// Method from which a lock with a backup code was split off.
    pub original_access_method_id: Option<Uuid>,
    pub created_at: Timestamp,
    /// PIN; `None`: the provider has not chosen it yet.
    pub code: Option<String>,
    /// Key that links the codes of the method.
    pub common_code_key: Option<String>,
    /// Instant of the last issuance; `None`: not issued now.
    pub issued_at: Option<Timestamp>,
    /// True if the method was issued before: the next issuance is a reissue.
    pub was_issued: bool,
    /// Instant at which a backup code took the place of a code.
    pub backup_pulled_at: Option<Timestamp>,
    /// Instant at which the issuance was reported as late.
    pub delayed_at: Option<Timestamp>,
    /// Instant at which the issuance was reported as failed.
    pub failed_at: Option<Timestamp>,
    /// Times before a change that the method does not have yet.
    pub changing_times: Option<TimesChange>,
    pub deletion_requested_at: Option<Timestamp>,
    /// Number of events of the method: the ordinal of the next.
    pub children: i64,
}

impl AccessMethod {
    /// Creates a method that is not issued yet.
    pub(crate) fn new(access_method_id: Uuid, grant: &AccessGrant, request: usize, created_at: Timestamp) -> Self {
        Self {
            access_method_id,
            workspace_id: grant.workspace_id,
            access_grant_id: grant.access_grant_id,
            request,
            original_access_method_id: None,
            created_at,
            code: None,
            common_code_key: None,
            issued_at: None,
            was_issued: false,
            backup_pulled_at: None,
            delayed_at: None,
            failed_at: None,
            changing_times: None,
            deletion_requested_at: None,
            children: 0,
        }
    }

    /// Returns the ordinal for the next event of this method and counts it.
    pub(crate) fn next_child(&mut self) -> i64 {
        self.children += 1;
        self.children - 1
    }

    /// Returns the key that links the codes of a method with this id.
    pub(crate) fn key_of(access_method_id: Uuid) -> String {
        format!("access_grant_{access_method_id}")
    }
}

#[cfg(test)]
mod tests;
