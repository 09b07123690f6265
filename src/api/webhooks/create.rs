//! `/webhooks/create`.

use super::event_types;
use crate::api::body::webhook::WebhookBody;
use crate::api::edge::Call;
use crate::domain::webhook::{ALL_TYPES, MAX_URL_LENGTH};
use crate::engine::webhooks;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(super) struct Create {
    url: String,
    event_types: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(super) struct Created {
    webhook: WebhookBody,
}

/// Creates a webhook. Every http and https URL is accepted, also one to which Latchkey sends nothing.
pub(super) async fn create(call: Call<Create>) -> Result<Created> {
    let Create { url, event_types } = call.input;
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
    if !["http", "https"].contains(&scheme.as_str()) {
        return Err(Error::invalid("url", "Invalid url: give an http or https URL"));
    }
    if url.chars().count() > MAX_URL_LENGTH {
        return Err(Error::invalid("url", format!("String must contain at most {MAX_URL_LENGTH} character(s)")));
    }
    let event_types = event_types.unwrap_or_else(|| vec![ALL_TYPES.to_owned()]);
    let event_types = event_types::checked(&call.app.contract, event_types)?;
    let webhook = webhooks::create(&call.app, &call.caller.workspace, url, event_types).await?;
    Ok(Created { webhook: webhook.into() })
}
