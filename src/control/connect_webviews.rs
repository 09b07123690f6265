//! `/_emulator/connect_webviews/complete`: logs a user in at a connect webview, without a browser.

use super::Control;
use crate::domain::connect_webview::ConnectWebview;
use crate::domain::sandbox_accounts::{self, Login, SandboxProvider};
use crate::engine::connect_webviews::{self, LoginOutcome};
use crate::error::{Error, Resource, Result};
use crate::store::connect_webviews::by_id;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Complete {
    connect_webview_id: Uuid,
    /// `None`: the first one that the webview accepts.
    provider: Option<String>,
    /// `None`: a user of the sandbox.
    user_identifier: Option<String>,
    /// True for a login with wrong credentials.
    #[serde(default)]
    fail: bool,
}

#[derive(Serialize)]
pub(super) struct Completed {
    status: &'static str,
    connected_account_id: Option<Uuid>,
}

pub(super) async fn complete(call: Control<Complete>) -> Result<Completed> {
    let workspace_id = call.workspace().await?.workspace_id;
    let input = call.input;
    let webview = by_id(&call.app.pool, input.connect_webview_id).await?;
    let webview = webview.filter(|webview| webview.workspace_id == workspace_id);
    let webview = webview.ok_or(Error::NotFound(Resource::ConnectWebview))?;
    let provider = provider(&webview, input.provider.as_deref())?;
    let login = if input.fail { Login::Rejected } else { login(provider, input.user_identifier.as_deref())? };
    let ids = (workspace_id, webview.connect_webview_id);
    match connect_webviews::log_in(&call.app, ids, provider, login).await? {
        LoginOutcome::Authorized(webview) | LoginOutcome::Failed(webview) => {
            Ok(Completed { status: webview.status.name(), connected_account_id: webview.connected_account_id })
        }
        LoginOutcome::WasAuthorized(_) => Err(Error::Conflict(
            "somebody has logged in at this webview already. Create another one with /connect_webviews/create."
                .to_owned(),
        )),
        LoginOutcome::NeedsTwoFactorCode => {
            Err(Error::Internal("the login needs a code of the second factor although it was given".into()))
        }
    }
}

fn provider(webview: &ConnectWebview, name: Option<&str>) -> Result<&'static SandboxProvider> {
    let is_chosen =
        |provider: &&SandboxProvider| webview.accepts(provider.name) && name.is_none_or(|name| name == provider.name);
    sandbox_accounts::PROVIDERS.iter().find(is_chosen).ok_or_else(|| {
        let message = "Give a provider that the webview accepts, and of which Latchkey has locks, or omit it";
        Error::invalid("provider", message)
    })
}

/// Returns the decision about the login of a user whose other credentials are right.
fn login(provider: &SandboxProvider, user_identifier: Option<&str>) -> Result<Login> {
    let user_field = provider.fields.first().map(|field| field.name).unwrap_or_default();
    let value = |name: &str| {
        let field = provider.fields.iter().find(|field| field.name == name)?;
        Some(user_identifier.filter(|_| name == user_field).unwrap_or_else(|| field.example()))
    };
    match provider.login(value, Some(sandbox_accounts::TWO_FACTOR_CODE)) {
        Login::Rejected => {
            let message = "The sandbox has no such account at this provider: give another user, or set fail to true";
            Err(Error::invalid("user_identifier", message))
        }
        login => Ok(login),
    }
}
