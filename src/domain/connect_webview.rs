//! Connect webviews: pages on which a user logs in to an account at a provider.

use super::sandbox_accounts::{self, PROVIDERS};
use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashSet;
use uuid::Uuid;

/// Connect webview of a workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectWebview {
    pub connect_webview_id: Uuid,
    pub workspace_id: Uuid,
    pub created_at: Timestamp,
    /// Secret in the URL of the page.
    pub auth_token: String,
    pub settings: WebviewSettings,
    pub status: WebviewStatus,
    /// Provider of the latest login.
    pub selected_provider: Option<String>,
    /// Account of the login.
    pub connected_account_id: Option<Uuid>,
    /// Instant of the login.
    pub authorized_at: Option<Timestamp>,
    /// Number of `connect_webview.*` events so far, which is the ordinal of the next one.
    pub events_made: i64,
}

/// Properties that a request chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct WebviewSettings {
    pub accepted_providers: AcceptedProviders,
    pub accepted_capabilities: Vec<String>,
    pub automatically_manage_new_devices: bool,
    pub wait_for_device_creation: bool,
    pub device_selection_mode: String,
    pub custom_redirect_url: Option<String>,
    pub custom_redirect_failure_url: Option<String>,
    pub custom_metadata: Map<String, Value>,
    pub customer_key: Option<String>,
}

/// Seam's `status` of a webview.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebviewStatus {
    /// Nobody has logged in yet.
    Pending,
    /// The latest login had wrong credentials. It can be tried again.
    Failed,
    /// The user has logged in. No further login is possible.
    Authorized,
}

impl WebviewStatus {
    /// Returns Seam's name of the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Authorized => "authorized",
        }
    }

    /// Returns the status with this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Pending, Self::Failed, Self::Authorized].into_iter().find(|status| status.name() == name)
    }
}

/// Providers to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedProviders {
    /// Seam's names of the providers, without duplicates.
    pub names: Vec<String>,
    /// True if the request restricted them neither by name nor by category.
    pub any_allowed: bool,
}

impl AcceptedProviders {
    /// Returns the providers of a request: those with these names, else those of this category, else all; and of these,
    /// those that are not excluded. `accepted` has no repetitions.
    pub fn of(accepted: Option<Vec<String>>, category: Option<&str>, excluded: &[String]) -> Self {
        // An empty list restricts nothing.
        let accepted = accepted.filter(|accepted| !accepted.is_empty());
        let any_allowed = accepted.is_none() && category.is_none() && excluded.is_empty();
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let names: Vec<String> = match (accepted, category) {
            (Some(accepted), _) => accepted,
            (None, Some(category)) => owned(sandbox_accounts::of_category(category)),
            (None, None) => owned(PROVIDERS.iter().map(|provider| provider.name).collect()),
        };
        let excluded: HashSet<&String> = excluded.iter().collect();
        let names = names.into_iter().filter(|name| !excluded.contains(name)).collect();
        Self { names, any_allowed }
    }
}

impl ConnectWebview {
    /// Returns true if a user can log in at this provider.
    pub fn accepts(&self, provider: &str) -> bool {
        self.settings.accepted_providers.names.iter().any(|name| name == provider)
    }

    /// Returns the URL to which the user is sent after the login; `None`: the page itself shows the result. The
    /// query names the webview and, after a login that succeeded, the account.
    pub fn redirect_url(&self) -> Option<String> {
        let WebviewSettings { custom_redirect_url, custom_redirect_failure_url, .. } = &self.settings;
        let is_done = self.status == WebviewStatus::Authorized;
        let url = if is_done { custom_redirect_url } else { custom_redirect_failure_url };
        // Without a URL for failures, Seam uses the other one for them too.
        let url = url.as_ref().or(custom_redirect_url.as_ref())?;
        let (before, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
        let separator = if before.contains('?') { '&' } else { '?' };
        let account = self.connected_account_id.filter(|_| is_done);
        let account = account.map_or_else(String::new, |account| format!("&connected_account_id={account}"));
        Some(format!("{before}{separator}connect_webview_id={}{account}{fragment}", self.connect_webview_id))
    }
}

/// Maximum length of a redirect URL, in bytes.
const MAX_REDIRECT_URL_LENGTH: usize = 2000;

/// Message about a text that is not a URL with a scheme.
const NOT_ABSOLUTE: &str = "Invalid url: give an absolute URL, such as https://example.com";

fn is_web(scheme: &str) -> bool {
    ["http", "https"].iter().any(|name| name.eq_ignore_ascii_case(scheme))
}

/// Checks a URL to which a user is sent. It may have the scheme of an application.
///
/// # Errors
/// The message about the URL.
pub(crate) fn check_redirect_url(url: &str) -> Result<(), &'static str> {
    let (scheme, rest) = url.split_once(':').ok_or(NOT_ABSOLUTE)?;
    let is_scheme_character = |character: char| character.is_ascii_alphanumeric() || "+-.".contains(character);
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.chars().all(is_scheme_character) {
        return Err(NOT_ABSOLUTE);
    }
    // A page must not send its user to a script, or to a file.
    let is_unsafe = ["javascript", "data", "vbscript", "file", "blob", "about"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(scheme));
    if is_unsafe {
        return Err("Invalid url: give one with the scheme http, https or that of your application");
    }
    let host = rest.strip_prefix("//").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    if is_web(scheme) && host.is_none_or(|host| host.is_empty() || host.contains('\\')) {
        return Err("Invalid url: it has no host");
    }
    if url.len() > MAX_REDIRECT_URL_LENGTH {
        return Err("Invalid url: it has more than 2000 characters");
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>`{}|^".contains(&byte)) {
        return Err("Invalid url: encode white space, control characters and characters that are not ASCII");
    }
    Ok(())
}

/// Returns the origin or scheme of a redirect URL, as a source expression of a content security policy: browsers apply
/// the policy for forms also to the redirects after them.
pub(crate) fn policy_source(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once(':')?;
    if !is_web(scheme) {
        return Some(format!("{scheme}:"));
    }
    let authority = rest.strip_prefix("//")?.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let is_plain = |character: char| character.is_ascii_alphanumeric() || ".-:[]_".contains(character);
    // A host that a policy cannot name is allowed with all others of its scheme.
    Some(if host.chars().all(is_plain) { format!("{scheme}://{host}") } else { format!("{scheme}:") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::at;

    fn webview(status: WebviewStatus, urls: [Option<&str>; 2]) -> ConnectWebview {
        let [custom_redirect_url, custom_redirect_failure_url] = urls.map(|url| url.map(str::to_owned));
        ConnectWebview {
            connect_webview_id: Uuid::from_u128(1),
            workspace_id: Uuid::from_u128(2),
            created_at: at(0),
            auth_token: "token".to_owned(),
            settings: WebviewSettings {
                accepted_providers: AcceptedProviders::of(Some(vec!["august".to_owned()]), None, &[]),
                accepted_capabilities: vec!["lock".to_owned()],
                automatically_manage_new_devices: true,
                wait_for_device_creation: false,
                device_selection_mode: "none".to_owned(),
                custom_redirect_url,
                custom_redirect_failure_url,
                custom_metadata: Map::new(),
                customer_key: None,
            },
            status,
            selected_provider: None,
            connected_account_id: Some(Uuid::from_u128(3)),
            authorized_at: None,
            events_made: 0,
        }
    }

    #[test]
    fn redirects_name_the_webview_and_after_success_the_account() {
        let (id, account) = (Uuid::from_u128(1), Uuid::from_u128(3));
        let two_urls = [Some("https://a.test/done?x=1#top"), Some("https://a.test/failed")];
        for (status, urls, expected) in [
            (
                WebviewStatus::Authorized,
                two_urls,
                Some(format!("https://a.test/done?x=1&connect_webview_id={id}&connected_account_id={account}#top")),
            ),
            (WebviewStatus::Failed, two_urls, Some(format!("https://a.test/failed?connect_webview_id={id}"))),
            (WebviewStatus::Failed, [Some("app://done"), None], Some(format!("app://done?connect_webview_id={id}"))),
            (WebviewStatus::Authorized, [None, Some("https://a.test/failed")], None),
            (WebviewStatus::Failed, [None, None], None),
        ] {
            assert_eq!(webview(status, urls).redirect_url(), expected, "{status:?} {urls:?}");
        }
    }

    #[test]
    fn redirect_urls_are_absolute_and_lead_to_pages_or_applications() {
        for url in [
            "https://example.com",
            "http://localhost:3000/done?x=1#y",
            "myapp://connected",
            "HTTPS://EXAMPLE.COM/a%20b",
        ] {
            assert_eq!(check_redirect_url(url), Ok(()), "{url}");
        }
        let long = format!("https://example.com/{}", "a".repeat(2000));
        for url in [
            "",
            "/done",
            "example.com",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "https://",
            "https:example.com",
            "https://exam ple.com",
            "https://example.com/\r\nset-cookie:a=b",
            "https://example.com/ä",
            "https://example.com/\"><script>",
            " https://example.com",
            &long,
        ] {
            assert!(check_redirect_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn policy_source_is_the_origin_of_a_page_and_the_scheme_of_an_application() {
        for (url, source) in [
            ("https://example.com/done?x=1", "https://example.com"),
            ("http://localhost:3000?x", "http://localhost:3000"),
            ("https://user@example.com/", "https://example.com"),
            ("https://a;script-src/", "https:"),
            ("myapp://connected", "myapp:"),
        ] {
            assert_eq!(policy_source(url).as_deref(), Some(source), "{url}");
        }
    }

    #[test]
    fn accepted_providers_follow_from_names_category_and_exclusions() {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all = AcceptedProviders::of(None, None, &[]);
        assert_eq!((all.names.len(), all.any_allowed), (PROVIDERS.len(), true));
        assert_eq!(AcceptedProviders::of(Some(Vec::new()), None, &[]), all);
        let named = AcceptedProviders::of(Some(owned(&["yale", "nest"])), Some("thermostats"), &[]);
        assert_eq!((named.names, named.any_allowed), (owned(&["yale", "nest"]), false));
        let of_category = AcceptedProviders::of(None, Some("consumer_smartlocks"), &owned(&["august"]));
        assert!(!of_category.any_allowed && of_category.names.contains(&"yale".to_owned()));
        assert!(!of_category.names.contains(&"august".to_owned()));
        assert!(!AcceptedProviders::of(None, None, &owned(&["august"])).any_allowed);
        assert!(webview(WebviewStatus::Pending, [None, None]).accepts("august"));
        assert!(!webview(WebviewStatus::Pending, [None, None]).accepts("yale"));
    }

    #[test]
    fn status_is_read_by_its_name() {
        for status in [WebviewStatus::Pending, WebviewStatus::Failed, WebviewStatus::Authorized] {
            assert_eq!(WebviewStatus::of(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        assert_eq!(WebviewStatus::of("done"), None);
    }
}
