//! Workspaces. They are isolated from each other: each has its own clock, locks and keys.

use super::rate_limit::RateLimits;
use crate::clock::WorkspaceClock;
use crate::ids::Ids;
use chrono::TimeDelta;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Rarely changing part of a workspace, cached per credential for one second. The seed (in `ids`) changes only when a
/// snapshot of another workspace is restored in it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent property of the workspace")]
pub struct Workspace {
    pub workspace_id: Uuid,
    pub name: String,
    /// True if the workspace is a sandbox, which `/workspaces/reset_sandbox` can reset. The devices are virtual in any
    /// case.
    pub is_sandbox: bool,
    /// Name that connect webviews show; `None`: the name of the workspace.
    pub connect_partner_name: Option<String>,
    /// Appearance of connect webviews; members that are not set are missing.
    pub connect_webview_customization: Map<String, Value>,
    pub is_suspended: bool,
    /// True if the publishable key can create client sessions.
    pub is_publishable_key_auth_enabled: bool,
    pub organization_id: Option<Uuid>,
    /// Key with which browsers may request client sessions.
    pub publishable_key: String,
    /// Generator of ids, PINs and keys.
    pub ids: Ids,
    /// True if the workspace has HTTP faults.
    pub has_http_faults: bool,
    /// True if parameters that are not in the contract are rejected.
    pub is_strict: bool,
}

/// Changeable settings of a workspace. They are not cached: code that depends on them reads them under the row lock.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct WorkspaceSettings {
    pub clock: WorkspaceClock,
    /// Duration of one programming operation; `None`: it lasts until the test completes it.
    pub programming: Option<TimeDelta>,
    /// Time after which an unfinished operation counts as unusually slow.
    pub slow_after: TimeDelta,
    /// True if codes stay visible after they have ended.
    pub keeps_expired: bool,
    /// True if the workspace has faults.
    pub has_faults: bool,
    /// True if the workspace has webhooks.
    pub has_webhooks: bool,
    /// Rate limits of the devices; `None`: unlimited.
    pub rate_limits: Option<RateLimits>,
    /// Rule for managed codes with the same PIN on one lock.
    pub same_code: SameCode,
    /// True if a time frame that has begun is rejected on locks that accept no start in the past. Otherwise the lock
    /// receives a later start.
    pub refuse_begun_windows: bool,
    /// Times after which a code of an access grant is late.
    pub late_issuance: LateIssuanceLimits,
}

/// Times after which a code of an access grant is late: its method is reported, and its lock takes a backup code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateIssuanceLimits {
    /// A code that is not ready this long before its start is late.
    pub lead: TimeDelta,
    /// Time that a code has in any case to become ready.
    pub grace: TimeDelta,
}

impl LateIssuanceLimits {
    /// Limits of Seam (access grants §6.1).
    pub const USUAL: Self = Self { lead: TimeDelta::hours(36), grace: TimeDelta::minutes(5) };
}

/// Rule for managed codes with the same PIN on one lock: the period in which a code takes its PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameCode {
    /// A PIN is taken until its code is removed, regardless of the time frame.
    Never,
    /// A PIN is taken while its code is on the lock: from 72 hours (native scheduling) or 60 minutes (just in time)
    /// before its start until it is removed.
    InDisjointWindows,
}

impl SameCode {
    /// Converts the setting `allow_same_code_in_disjoint_windows`.
    pub fn of(is_allowed_in_disjoint_windows: bool) -> Self {
        if is_allowed_in_disjoint_windows { Self::InDisjointWindows } else { Self::Never }
    }
}
