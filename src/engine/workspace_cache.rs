//! Workspaces by their tokens, cached for a second: nearly every request begins with one.

use crate::domain::workspace::Workspace;
use crate::error::Result;
use crate::postgres::Pool;
use crate::store::workspaces;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};
use uuid::Uuid;

/// For how long a token that was looked up is believed without looking again. A workspace deleted through another
/// process is gone at once with all its rows; only the 401 for its key may come this much later.
const TOKEN_CACHE_TTL: Duration = Duration::from_secs(1);

/// How many tokens are remembered before old ones are forgotten.
const TOKEN_CACHE_SIZE: usize = 4096;

/// The workspaces of tokens that were seen lately.
#[derive(Debug, Default)]
pub struct WorkspaceCache {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// With the kind of the token: one that opens this door does not open another.
    by_token: HashMap<String, (Monotonic, &'static str, Arc<Workspace>)>,
    /// How often something was forgotten.
    forgotten: u64,
}

impl WorkspaceCache {
    /// The workspace of a token of this kind, if there is one.
    pub async fn of_token(&self, pool: &Pool, kind: &'static str, token: &str) -> Result<Option<Arc<Workspace>>> {
        let forgotten = {
            let seen = self.seen.lock();
            if let Some((at, kind_seen, workspace)) = seen.by_token.get(token)
                && at.elapsed() < TOKEN_CACHE_TTL
                && *kind_seen == kind
            {
                return Ok(Some(Arc::clone(workspace)));
            }
            seen.forgotten
        };
        let Some(workspace) = workspaces::of_token(pool, kind, token).await?.map(Arc::new) else {
            return Ok(None);
        };
        let mut seen = self.seen.lock();
        // What was read before something was forgotten may be what was to be forgotten.
        if seen.forgotten == forgotten {
            if seen.by_token.len() >= TOKEN_CACHE_SIZE {
                seen.by_token.retain(|_, (at, ..)| at.elapsed() < TOKEN_CACHE_TTL);
            }
            seen.by_token.insert(token.to_owned(), (Monotonic::now(), kind, Arc::clone(&workspace)));
        }
        Ok(Some(workspace))
    }

    /// Forgets the tokens of a workspace, for when something of it has changed.
    pub fn forget(&self, workspace_id: Uuid) {
        let mut seen = self.seen.lock();
        seen.by_token.retain(|_, (.., workspace)| workspace.workspace_id != workspace_id);
        seen.forgotten += 1;
    }
}
