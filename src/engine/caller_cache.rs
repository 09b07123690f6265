//! Cache of callers by credential, for one second, because nearly every request looks up a credential.

use crate::domain::caller::{Caller, Credential};
use crate::domain::workspace::Workspace;
use crate::error::Result;
use crate::postgres::Pool;
use crate::store::client_sessions::{self, SessionCaller};
use crate::store::workspaces;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};
use uuid::Uuid;

/// Validity of a cached caller. If another process deletes a workspace, all its rows are gone at once; only the 401 for
/// its credentials may be delayed by this duration. The same applies to a revoked client session.
const CACHE_TTL: Duration = Duration::from_secs(1);

/// Number of cached callers from which expired ones are removed.
const CACHE_SIZE: usize = 4096;

/// Credential that identifies a caller. A token of one kind is not valid as another kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum CachedCredential {
    ApiKey(String),
    PublishableKey(String),
    /// Personal access token, and the workspace that the request names.
    PersonalAccessToken(String, Uuid),
    /// Person of a console session, and the workspace that the request names.
    ConsoleSession(Uuid, Uuid),
    ClientSession(String),
}

/// Cached result of a look-up.
#[derive(Clone, Debug)]
enum Found {
    Caller(Caller),
    Session(SessionCaller),
}

impl Found {
    fn caller(&self) -> &Caller {
        match self {
            Self::Caller(caller) => caller,
            Self::Session(session) => &session.caller,
        }
    }
}

/// Callers of recently used credentials.
#[derive(Debug, Default)]
pub struct CallerCache {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Time of the lookup, and its result.
    by_key: HashMap<CachedCredential, (Monotonic, Found)>,
    /// Number of calls of [`CallerCache::forget`].
    forgotten: u64,
}

impl CallerCache {
    /// Returns the workspace of an API key; `None`: no workspace has it.
    pub async fn of_api_key(&self, pool: &Pool, api_key: &str) -> Result<Option<Arc<Workspace>>> {
        let look_up = async { Ok(workspaces::of_api_key(pool, api_key).await?.map(caller(Credential::ApiKey))) };
        Ok(self
            .get(CachedCredential::ApiKey(api_key.to_owned()), look_up)
            .await?
            .map(|found| Arc::clone(&found.caller().workspace)))
    }

    /// Returns the caller of a publishable key; `None`: no workspace has it.
    pub async fn of_publishable_key(&self, pool: &Pool, key: &str) -> Result<Option<Caller>> {
        let look_up =
            async { Ok(workspaces::of_publishable_key(pool, key).await?.map(caller(Credential::PublishableKey))) };
        Ok(self
            .get(CachedCredential::PublishableKey(key.to_owned()), look_up)
            .await?
            .map(|found| found.caller().clone()))
    }

    /// Returns the caller of a personal access token in a workspace; `None`: the token does not exist, or does not open
    /// this workspace.
    pub async fn of_token(&self, pool: &Pool, token: &str, workspace_id: Uuid) -> Result<Option<Caller>> {
        let look_up = async {
            let found = workspaces::of_token(pool, token, workspace_id).await?;
            Ok(found.map(|(person_id, workspace)| caller(Credential::PersonalAccessToken(person_id))(workspace)))
        };
        let key = CachedCredential::PersonalAccessToken(token.to_owned(), workspace_id);
        Ok(self.get(key, look_up).await?.map(|found| found.caller().clone()))
    }

    /// Returns the caller of a console session in a workspace; `None`: the workspace does not belong to this person.
    pub async fn of_person(&self, pool: &Pool, person_id: Uuid, workspace_id: Uuid) -> Result<Option<Caller>> {
        let look_up = async {
            let found = workspaces::of_person(pool, person_id, Some(workspace_id)).await?.into_iter().next();
            Ok(found.map(caller(Credential::ConsoleSession(person_id))))
        };
        let found = self.get(CachedCredential::ConsoleSession(person_id, workspace_id), look_up).await?;
        Ok(found.map(|found| found.caller().clone()))
    }

    /// Returns the caller of a client session token, whether the session is still valid or not; `None`: no session has
    /// the token.
    pub async fn of_client_session(&self, pool: &Pool, token: &str) -> Result<Option<SessionCaller>> {
        let look_up = async { Ok(client_sessions::of_token(pool, token).await?.map(Found::Session)) };
        Ok(match self.get(CachedCredential::ClientSession(token.to_owned()), look_up).await? {
            Some(Found::Session(session)) => Some(session),
            Some(Found::Caller(_)) | None => None,
        })
    }

    /// Returns the cached result for a key, or that of the look-up, which is then cached.
    async fn get(
        &self,
        key: CachedCredential,
        look_up: impl Future<Output = Result<Option<Found>>>,
    ) -> Result<Option<Found>> {
        let forgotten = {
            let seen = self.seen.lock();
            if let Some((at, found)) = seen.by_key.get(&key)
                && at.elapsed() < CACHE_TTL
            {
                return Ok(Some(found.clone()));
            }
            seen.forgotten
        };
        let Some(found) = look_up.await? else { return Ok(None) };
        let mut seen = self.seen.lock();
        // A workspace read before a call of `forget` may be outdated, and is not cached.
        if seen.forgotten == forgotten {
            if seen.by_key.len() >= CACHE_SIZE {
                seen.by_key.retain(|_, (at, _)| at.elapsed() < CACHE_TTL);
            }
            seen.by_key.insert(key, (Monotonic::now(), found.clone()));
        }
        Ok(Some(found))
    }

    /// Removes the callers of a workspace from the cache, because the workspace, its clock or one of its client
    /// sessions has changed.
    pub fn forget(&self, workspace_id: Uuid) {
        let mut seen = self.seen.lock();
        seen.by_key.retain(|_, (_, found)| found.caller().workspace.workspace_id != workspace_id);
        seen.forgotten += 1;
    }
}

/// Returns a function that makes a workspace the caller with this credential.
fn caller(credential: Credential) -> impl FnOnce(Workspace) -> Found {
    |workspace| Found::Caller(Caller { workspace: Arc::new(workspace), credential })
}
