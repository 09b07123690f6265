//! `/connect_webviews/create`.

use crate::api::body;
use crate::api::edge::Call;
use crate::domain::connect_webview::{AcceptedProviders, WebviewSettings, check_redirect_url};
use crate::domain::connected_account::CAPABILITIES;
use crate::domain::custom_metadata;
use crate::engine::connect_webviews;
use crate::error::{Error, Result};
use crate::http::params;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Deserialize)]
pub(super) struct Create {
    accepted_capabilities: Option<Vec<String>>,
    accepted_providers: Option<Vec<String>>,
    automatically_manage_new_devices: Option<bool>,
    custom_metadata: Option<Map<String, Value>>,
    custom_redirect_failure_url: Option<String>,
    custom_redirect_url: Option<String>,
    customer_key: Option<String>,
    device_selection_mode: Option<String>,
    #[serde(default)]
    excluded_providers: Vec<String>,
    provider_category: Option<String>,
    #[serde(default)]
    wait_for_device_creation: bool,
}

#[derive(Serialize)]
pub(super) struct Created {
    connect_webview: Value,
}

pub(super) async fn create(call: Call<Create>) -> Result<Created> {
    let mut settings = call.input.read()?;
    let session = call.caller.credential.session();
    if let Some(session) = session {
        // The account of the login belongs to the customer of the session.
        if settings.customer_key.is_some() && settings.customer_key != session.customer_key {
            let message = "A client session can only use the customer_key of its own customer";
            return Err(Error::invalid("customer_key", message));
        }
        settings.customer_key.clone_from(&session.customer_key);
    }
    let session_id = session.map(|session| session.client_session_id);
    let workspace_id = call.caller.workspace.workspace_id;
    let webview = connect_webviews::create(&call.app, workspace_id, session_id, settings).await?;
    Ok(Created { connect_webview: body::connect_webview::of(&webview, &call.base_url) })
}

impl Create {
    /// Reads the parameters, with Seam's defaults.
    ///
    /// # Errors
    /// Invalid custom metadata, an invalid key of the customer, or a redirect URL that is not accepted.
    fn read(self) -> Result<WebviewSettings> {
        for (name, url) in [
            ("custom_redirect_url", &self.custom_redirect_url),
            ("custom_redirect_failure_url", &self.custom_redirect_failure_url),
        ] {
            if let Some(url) = url {
                check_redirect_url(url).map_err(|message| Error::invalid(name, message))?;
            }
        }
        let locks = || CAPABILITIES.iter().map(|capability| (*capability).to_owned()).collect();
        Ok(WebviewSettings {
            accepted_providers: AcceptedProviders::of(
                self.accepted_providers.map(params::distinct),
                self.provider_category.as_deref(),
                &self.excluded_providers,
            ),
            accepted_capabilities: self.accepted_capabilities.map_or_else(locks, params::distinct),
            automatically_manage_new_devices: self.automatically_manage_new_devices.unwrap_or(true),
            wait_for_device_creation: self.wait_for_device_creation,
            device_selection_mode: self.device_selection_mode.unwrap_or_else(|| "none".to_owned()),
            custom_redirect_url: self.custom_redirect_url,
            custom_redirect_failure_url: self.custom_redirect_failure_url,
            custom_metadata: custom_metadata::new(self.custom_metadata)?,
            customer_key: params::client_key("customer_key", self.customer_key)?,
        })
    }
}
