//! Authentication: resolves credentials to a sender, in the order and with the messages of Seam's servers.

use super::console_session;
use crate::clock::machine_now;
use crate::contract::Endpoint;
use crate::domain::caller::{Caller, Credential, NO_METHOD_SUCCEEDED, Sender};
use crate::domain::sandbox;
use crate::domain::workspace::Workspace;
use crate::engine::app::App;
use crate::error::{CredentialError, Error, Result};
use crate::http::origin::Origin;
use crate::store::persons;
use axum::http::HeaderMap;
use std::sync::Arc;
use uuid::Uuid;

/// Error for a public credential of the sandbox in a request of a web page from elsewhere. Otherwise every page that a
/// user of this machine visits could use the server.
const PUBLIC_CREDENTIAL_REFUSED: Error = Error::Unauthorized(
    "The API key and the personal access token of the sandbox are public, so only web pages from localhost, 127.0.0.1 \
     and [::1] may use them. Create a workspace (POST /_emulator/workspaces/create) and use its credentials here",
);

/// Prefixes of tokens that are not API keys: client session tokens, personal access tokens, publishable keys, and
/// console sessions (JSON Web Tokens, which begin with `ey`).
const OTHER_TOKENS: [&str; 4] = ["seam_cst", "seam_at", "seam_pk", "ey"];

/// Headers that can contain a client session token, in addition to `Authorization`.
const CLIENT_SESSION_HEADERS: [&str; 2] = ["seam-client-session-token", "client-session-token"];

/// Header that can contain a publishable key.
const PUBLISHABLE_KEY_HEADER: &str = "seam-publishable-key";

/// Returns the tokens and keys in the headers of a request, unchecked.
pub(crate) fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let credentials = Credentials { headers };
    let others = CLIENT_SESSION_HEADERS.into_iter().chain([PUBLISHABLE_KEY_HEADER]);
    others.filter_map(move |name| headers.get(name)?.to_str().ok()).chain([credentials.bearer()])
}

/// Returns the bearer token; an empty text if there is none.
pub(crate) fn bearer(headers: &HeaderMap) -> &str {
    Credentials { headers }.bearer()
}

/// Returns the workspace of the API key in the request, for the request log. `None` without a valid API key, or if a
/// web page from elsewhere uses the sandbox's public key.
pub(crate) async fn of_api_key(app: &App, headers: &HeaderMap) -> Result<Option<Arc<Workspace>>> {
    let bearer = Credentials { headers }.bearer();
    if bearer.is_empty() || is_sandbox_credential_of_other_site(bearer, headers) {
        return Ok(None);
    }
    app.callers.of_api_key(&app.pool, bearer).await
}

/// Returns the sender, determined by the credential in the request.
///
/// Tries the security schemes in the order of the endpoint. Skips a scheme if the request has no credential of its
/// form.
///
/// # Errors
/// The first credential of an accepted form is not valid, or no scheme applies.
pub(crate) async fn authenticate(app: &App, endpoint: &Endpoint, headers: &HeaderMap) -> Result<Sender> {
    let credentials = Credentials { headers };
    for scheme in endpoint.security() {
        let sender = match scheme {
            "client_session" | "client_session_with_customer" | "client_session_with_customer_ro" => {
                credentials.client_session(app, scheme).await?.map(Sender::InWorkspace)
            }
            "pat_with_workspace" => credentials.token_with_workspace(app).await?.map(Sender::InWorkspace),
            "pat_without_workspace" => credentials.token_without_workspace(app).await?.map(Sender::Person),
            "console_session_with_workspace" => credentials.console_with_workspace(app).await?.map(Sender::InWorkspace),
            "console_session_without_workspace" => {
                credentials.console_without_workspace(app).await?.map(Sender::Person)
            }
            "api_key" => credentials.api_key(app).await?.map(Sender::InWorkspace),
            "publishable_key" => credentials.publishable_key(app).await?.map(Sender::InWorkspace),
            // Latchkey issues no credentials of the other schemes.
            _ => None,
        };
        if let Some(sender) = sender {
            return Ok(sender);
        }
    }
    Err(NO_METHOD_SUCCEEDED)
}

/// Credentials in the headers of a request. Each method returns `None` if the request has no credential of the form.
struct Credentials<'a> {
    headers: &'a HeaderMap,
}

impl<'a> Credentials<'a> {
    /// Returns the text of a header. Some clients send empty headers. They count as missing.
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
    }

    /// Returns the bearer token; an empty text if there is none.
    fn bearer(&self) -> &'a str {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
    }

    /// Returns the caller of a client session of this scheme: a session without a customer, with a customer, or with a
    /// customer and for reading only.
    async fn client_session(&self, app: &App, scheme: &str) -> Result<Option<Caller>> {
        let sent = CLIENT_SESSION_HEADERS.iter().find_map(|name| self.header(name));
        if sent.is_some_and(|token| !token.starts_with("seam_cst")) {
            return Err(CredentialError::InvalidClientSessionToken.into());
        }
        let token = sent.unwrap_or_else(|| self.bearer());
        if !token.starts_with("seam_cst") {
            return Ok(None);
        }
        let session = app.callers.of_client_session(&app.pool, token).await?;
        let session = session.ok_or(CredentialError::ClientSessionNotFound)?;
        session.validity.check(machine_now())?;
        let is_of_scheme = match session.caller.credential {
            Credential::ClientSession(_) => scheme == "client_session",
            Credential::CustomerSession(_) => scheme == "client_session_with_customer",
            Credential::ReadOnlyCustomerSession(_) => scheme == "client_session_with_customer_ro",
            _ => false,
        };
        Ok(is_of_scheme.then_some(session.caller))
    }

    /// Returns the personal access token.
    fn token(&self) -> Result<Option<&'a str>> {
        let bearer = self.bearer();
        if is_sandbox_credential_of_other_site(bearer, self.headers) {
            return Err(PUBLIC_CREDENTIAL_REFUSED);
        }
        Ok(Some(bearer).filter(|bearer| bearer.starts_with("seam_at")))
    }

    async fn token_with_workspace(&self, app: &App) -> Result<Option<Caller>> {
        let (Some(token), Some(workspace_id)) = (self.token()?, self.header("seam-workspace")) else { return Ok(None) };
        let not_found = Error::Unauthorized("Access token not found");
        let Ok(workspace_id) = Uuid::parse_str(workspace_id) else { return Err(not_found) };
        app.callers.of_token(&app.pool, token, workspace_id).await?.ok_or(not_found).map(Some)
    }

    async fn token_without_workspace(&self, app: &App) -> Result<Option<Uuid>> {
        let Some(token) = self.token()? else { return Ok(None) };
        let person = persons::of_token(&app.pool, token).await?;
        person.ok_or(Error::Unauthorized("Access token not found")).map(Some)
    }

    /// Returns the person of a console session.
    fn console(&self, app: &App) -> Result<Option<Uuid>> {
        let token = self.bearer();
        let secret = app.config.console_session_secret.as_deref();
        // Without a secret there are no console sessions.
        let (true, Some(secret)) = (token.starts_with("ey"), secret) else { return Ok(None) };
        let person = console_session::person_of(secret, token, machine_now());
        person.ok_or(Error::Unauthorized("Session not found")).map(Some)
    }

    async fn console_with_workspace(&self, app: &App) -> Result<Option<Caller>> {
        let Some(workspace_id) = self.header("seam-workspace") else { return Ok(None) };
        let Some(person_id) = self.console(app)? else { return Ok(None) };
        let no_access = Error::Unauthorized("User does not have access to this workspace");
        let Ok(workspace_id) = Uuid::parse_str(workspace_id) else { return Err(no_access) };
        app.callers.of_person(&app.pool, person_id, workspace_id).await?.ok_or(no_access).map(Some)
    }

    async fn console_without_workspace(&self, app: &App) -> Result<Option<Uuid>> {
        let Some(person_id) = self.console(app)? else { return Ok(None) };
        if persons::exists(&app.pool, person_id).await? {
            Ok(Some(person_id))
        } else {
            Err(Error::Unauthorized("Session not found"))
        }
    }

    async fn api_key(&self, app: &App) -> Result<Option<Caller>> {
        let bearer = self.bearer();
        if bearer.is_empty() || OTHER_TOKENS.iter().any(|prefix| bearer.starts_with(prefix)) {
            return Ok(None);
        }
        if is_sandbox_credential_of_other_site(bearer, self.headers) {
            return Err(PUBLIC_CREDENTIAL_REFUSED);
        }
        let workspace = app.callers.of_api_key(&app.pool, bearer).await?;
        let caller = workspace.map(|workspace| Caller { workspace, credential: Credential::ApiKey });
        caller.ok_or(Error::Unauthorized("API Key not found")).map(Some)
    }

    async fn publishable_key(&self, app: &App) -> Result<Option<Caller>> {
        let Some(value) = self.headers.get(PUBLISHABLE_KEY_HEADER).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let key = value.to_str().map_err(|_| CredentialError::InvalidPublishableKey)?;
        let caller = app.callers.of_publishable_key(&app.pool, key).await?;
        let caller = caller.ok_or(CredentialError::PublishableKeyNotFound)?;
        if !caller.workspace.is_publishable_key_auth_enabled {
            return Err(CredentialError::PublishableKeyDisabled.into());
        }
        Ok(Some(caller))
    }
}

/// Returns true if a web page of another site sends a well-known credential of the sandbox.
fn is_sandbox_credential_of_other_site(token: &str, headers: &HeaderMap) -> bool {
    [sandbox::API_KEY, sandbox::PERSONAL_ACCESS_TOKEN].contains(&token) && Origin::of(headers) == Origin::CrossSite
}
