//! Seam's `connect_webview`.

use crate::clock::to_iso;
use crate::domain::connect_webview::{ConnectWebview, WebviewStatus};
use serde_json::{Value, json};

/// Path of the page of a webview.
pub(crate) const PAGE: &str = "/connect_webviews/view";

/// Returns the webview as `/connect_webviews/get` shows it. `base_url` is the start of the URL of its page.
pub(crate) fn of(webview: &ConnectWebview, base_url: &str) -> Value {
    let settings = &webview.settings;
    let query = query(webview);
    let mut body = json!({
        "connect_webview_id": webview.connect_webview_id,
        "workspace_id": webview.workspace_id,
        "created_at": to_iso(webview.created_at),
        "url": format!("{base_url}{PAGE}?{query}"),
        "status": webview.status,
        "login_successful": webview.status == WebviewStatus::Authorized,
        "selected_provider": webview.selected_provider,
        "connected_account_id": webview.connected_account_id,
        "authorized_at": webview.authorized_at.map(to_iso),
        "accepted_providers": settings.accepted_providers.names,
        "any_provider_allowed": settings.accepted_providers.any_allowed,
        "accepted_devices": [],
        "any_device_allowed": true,
        "accepted_capabilities": settings.accepted_capabilities,
        "device_selection_mode": settings.device_selection_mode,
        "custom_redirect_url": settings.custom_redirect_url,
        "custom_redirect_failure_url": settings.custom_redirect_failure_url,
        "custom_metadata": settings.custom_metadata,
        "automatically_manage_new_devices": settings.automatically_manage_new_devices,
        "wait_for_device_creation": settings.wait_for_device_creation,
    });
    if let Some(key) = &settings.customer_key {
        body["customer_key"] = json!(key);
    }
    body
}

/// Returns the query of the URL of the page. It contains only letters, digits and hyphens.
pub(crate) fn query(webview: &ConnectWebview) -> String {
    format!("connect_webview_id={}&auth_token={}", webview.connect_webview_id, webview.auth_token)
}
