//! Workspaces: worlds that know nothing of each other, each with its own clock, locks and keys.

pub mod routes;
pub mod store;

use crate::access_codes::linked::SameCode;
use crate::action_attempts::limits::RateLimits;
use crate::clock::WorkspaceClock;
use crate::error::Result;
use crate::ids::Ids;
use crate::postgres::Pool;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Monotonic};
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

impl Workspace {
    /// The workspace as `/workspaces/get` shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "workspace_id": self.workspace_id,
            "name": self.name,
            "company_name": self.name,
            "connect_partner_name": self.name,
            "organization_id": null,
            "is_sandbox": self.is_sandbox,
            "is_suspended": false,
            "publishable_key": self.publishable_key,
            "is_publishable_key_auth_enabled": true,
            "connect_webview_customization": {},
        })
    }
}

/// What of a workspace changes: read anew, and under lock, by whatever goes by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct World {
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

/// For how long a token that was looked up is believed without looking again. A workspace deleted through another
/// process is gone at once with all its rows; only the 401 for its key may come this much later.
const BELIEVED_FOR: Duration = Duration::from_secs(1);

/// How many tokens are remembered before old ones are forgotten.
const REMEMBERED: usize = 4096;

/// The workspaces of tokens that were seen lately.
#[derive(Debug, Default)]
pub struct Workspaces {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// With the kind of the token: one that opens this door does not open another.
    by_token: HashMap<String, (Monotonic, &'static str, Arc<Workspace>)>,
    /// How often something was forgotten.
    forgotten: u64,
}

impl Workspaces {
    /// The workspace of a token of this kind, if there is one.
    pub async fn of_token(&self, pool: &Pool, kind: &'static str, token: &str) -> Result<Option<Arc<Workspace>>> {
        let forgotten = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, kind_seen, workspace)) = seen.by_token.get(token)
                && at.elapsed() < BELIEVED_FOR
                && *kind_seen == kind
            {
                return Ok(Some(Arc::clone(workspace)));
            }
            seen.forgotten
        };
        let Some(workspace) = store::of_token(pool, kind, token).await?.map(Arc::new) else {
            return Ok(None);
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // What was read before something was forgotten may be what was to be forgotten.
        if seen.forgotten == forgotten {
            if seen.by_token.len() >= REMEMBERED {
                seen.by_token.retain(|_, (at, ..)| at.elapsed() < BELIEVED_FOR);
            }
            seen.by_token.insert(token.to_owned(), (Monotonic::now(), kind, Arc::clone(&workspace)));
        }
        Ok(Some(workspace))
    }

    /// What of a workspace hardly ever changes while it exists: it is remembered with its tokens for a second. Name and seed
    /// change only when a snapshot of another workspace is restored in it.
    pub fn forget(&self, workspace_id: Uuid) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.by_token.retain(|_, (.., workspace)| workspace.workspace_id != workspace_id);
        seen.forgotten += 1;
    }
}
