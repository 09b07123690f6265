//! `/workspaces/create`.

use super::CUSTOMIZATION;
use crate::api::body;
use crate::api::edge::Call;
use crate::domain::caller::{NO_METHOD_SUCCEEDED, Sender};
use crate::engine::profiles;
use crate::engine::workspaces::Profile;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Create {
    name: String,
    company_name: Option<String>,
    connect_partner_name: Option<String>,
    connect_webview_customization: Option<Map<String, Value>>,
    #[serde(default)]
    is_sandbox: bool,
    organization_id: Option<Uuid>,
    webview_logo_shape: Option<String>,
    webview_primary_button_color: Option<String>,
    webview_primary_button_text_color: Option<String>,
    webview_success_message: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Created {
    workspace: Value,
}

/// Creates a workspace without devices, which belongs to the person of the request.
pub(super) async fn create(call: Call<Create, Sender>) -> Result<Created> {
    let person_id = call.caller.person_id().ok_or(NO_METHOD_SUCCEEDED)?;
    let (name, profile) = call.input.read();
    let created = profiles::create_for_person(&call.app, person_id, name, profile).await?;
    Ok(Created { workspace: body::workspace::of(&created.workspace) })
}

impl Create {
    /// Returns the name and the other properties of the workspace. A current parameter has priority over the deprecated
    /// one.
    fn read(self) -> (String, Profile) {
        let deprecated = [
            ("logo_shape", self.webview_logo_shape),
            ("primary_button_color", self.webview_primary_button_color),
            ("primary_button_text_color", self.webview_primary_button_text_color),
            ("success_message", self.webview_success_message),
        ];
        let deprecated = deprecated.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
        let mut customization: Map<String, Value> = deprecated.collect();
        customization.extend(self.connect_webview_customization.unwrap_or_default());
        customization.retain(|name, value| CUSTOMIZATION.contains(&name.as_str()) && !value.is_null());
        let profile = Profile {
            is_sandbox: self.is_sandbox,
            connect_partner_name: self.connect_partner_name.or(self.company_name),
            connect_webview_customization: customization,
            organization_id: self.organization_id,
        };
        (self.name, profile)
    }
}
