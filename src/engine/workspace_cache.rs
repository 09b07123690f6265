//! Cache of workspaces by token, for one second, because nearly every request looks up a token.

use crate::domain::workspace::Workspace;
use crate::error::Result;
use crate::postgres::Pool;
use crate::store::workspaces;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};
use uuid::Uuid;

/// Validity of a cached token. If another process deletes a workspace, all its rows are gone at once; only the 401 for
/// its key may be delayed by this duration.
const TOKEN_CACHE_TTL: Duration = Duration::from_secs(1);

/// Number of cached tokens from which expired ones are removed.
const TOKEN_CACHE_SIZE: usize = 4096;

/// Workspaces of recently used tokens.
#[derive(Debug, Default)]
pub struct WorkspaceCache {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Time of the lookup, kind of the token, and workspace, by token. A token of one kind is not valid as another
    /// kind.
    by_token: HashMap<String, (Monotonic, &'static str, Arc<Workspace>)>,
    /// Number of calls of [`WorkspaceCache::forget`].
    forgotten: u64,
}

impl WorkspaceCache {
    /// Returns the workspace of a token of this kind; `None`: no workspace has it.
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
        // A workspace read before a call of `forget` may be outdated, and is not cached.
        if seen.forgotten == forgotten {
            if seen.by_token.len() >= TOKEN_CACHE_SIZE {
                seen.by_token.retain(|_, (at, ..)| at.elapsed() < TOKEN_CACHE_TTL);
            }
            seen.by_token.insert(token.to_owned(), (Monotonic::now(), kind, Arc::clone(&workspace)));
        }
        Ok(Some(workspace))
    }

    /// Removes the tokens of a workspace from the cache, because the workspace has changed.
    pub fn forget(&self, workspace_id: Uuid) {
        let mut seen = self.seen.lock();
        seen.by_token.retain(|_, (.., workspace)| workspace.workspace_id != workspace_id);
        seen.forgotten += 1;
    }
}
