//! Workspaces: they know nothing of each other, each has its own clock, locks and keys.

use super::rate_limit::RateLimits;
use crate::clock::WorkspaceClock;
use crate::ids::Ids;
use chrono::TimeDelta;
use uuid::Uuid;

/// What of a workspace hardly ever changes while it exists: it is remembered with its tokens for a second. Name and seed
/// change only when a snapshot of another workspace is restored in it.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its id.
    pub workspace_id: Uuid,
    /// Its name.
    pub name: String,
    /// Whether its devices are virtual; here they always are.
    pub is_sandbox: bool,
    /// The key with which browsers may ask for client sessions.
    pub publishable_key: String,
    /// Where its ids, PINs and keys come from.
    pub ids: Ids,
    /// Whether a tester has arranged for requests to go otherwise than usual.
    pub has_http_faults: bool,
    /// Whether parameters that the contract does not know are refused.
    pub is_strict: bool,
}

/// What of a workspace changes: read anew, and under lock, by whatever goes by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkspaceSettings {
    /// How time passes.
    pub clock: WorkspaceClock,
    /// How long its locks take for one operation; `None`: until somebody ends it by hand.
    pub programming: Option<TimeDelta>,
    /// After how long an operation that is not done is unusually slow.
    pub slow_after: TimeDelta,
    /// Whether codes that have ended stay to be seen.
    pub keeps_expired: bool,
    /// Whether a tester has arranged for operations to go otherwise than usual.
    pub has_faults: bool,
    /// How often its devices take requests; `None`: as often as they come.
    pub rate_limits: Option<RateLimits>,
    /// Whether managed codes on one lock may have the same PIN.
    pub same_code: SameCode,
    /// Whether a window that has begun is refused on locks that take no start in the past.
    pub refuse_begun_windows: bool,
}

/// Whether managed codes on one lock may have the same PIN (access-codes-api, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameCode {
    /// A PIN is taken, whatever the time frame, until its code is gone.
    Never,
    /// A PIN is taken while its code is on the lock: from 72 hours or 60 minutes before its start until it is off.
    InDisjointWindows,
}

impl SameCode {
    /// The same as a setting says it.
    pub fn of(is_allowed_in_disjoint_windows: bool) -> Self {
        if is_allowed_in_disjoint_windows { Self::InDisjointWindows } else { Self::Never }
    }
}
