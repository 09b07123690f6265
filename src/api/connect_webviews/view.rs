//! `/connect_webviews/view`: the page of a connect webview, on which a user chooses a provider and logs in. It consists
//! of plain forms and links, and needs no script.
//!
//! As with Seam, the page is not part of the contract. The secret in its URL is its only credential.

mod pages;

use self::pages::Page;
use crate::api::body::connect_webview::PAGE;
use crate::api::edge::receive;
use crate::domain::connect_webview::{ConnectWebview, WebviewStatus, policy_source};
use crate::domain::sandbox_accounts::{self, SandboxProvider};
use crate::engine::app::App;
use crate::engine::connect_webviews::{self, LoginOutcome};
use crate::error::{Error, Resource, Result, Unavailable};
use crate::store::connect_webviews::by_id;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// Maximum number of bytes of a submitted form.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// Fields of a form or a query. If a name is repeated, the first value counts.
type Form = BTreeMap<String, String>;

/// Returns the route of the page.
pub(crate) fn router() -> Router<App> {
    Router::new().route(PAGE, any(serve))
}

async fn serve(State(app): State<App>, request: Request) -> Response {
    let deadline = app.config.request_timeout;
    let response = tokio::time::timeout(deadline, respond(&app, request)).await;
    match response.unwrap_or(Err(Error::TimedOut(deadline.as_secs()))) {
        Ok(response) => response,
        Err(error @ Error::MethodNotAllowed(_)) => error.into_response(),
        Err(error) => failure(error),
    }
}

/// Returns the page for an error.
fn failure(error: Error) -> Response {
    if let Error::NotFound(Resource::ConnectWebview) = error {
        return html(StatusCode::NOT_FOUND, &Page::NotFound, None);
    }
    let (status, _) = error.status_and_type();
    let message = match error {
        Error::Internal(cause) | Error::OutcomeUnknown(cause) => {
            tracing::error!(%cause, "the page of a connect webview failed");
            "The server has logged the reason. Try again.".to_owned()
        }
        Error::Unavailable(Unavailable::Busy) => "The server is busy. Try again in a moment.".to_owned(),
        error => error.to_string(),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    html(status, &Page::Failure { message }, None)
}

async fn respond(app: &App, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    match parts.method {
        Method::GET | Method::HEAD => {
            let form = fields(parts.uri.query().unwrap_or_default().as_bytes());
            show(&authenticate(app, &form).await?, &form)
        }
        Method::POST => {
            let form = fields(&receive(MAX_FORM_BYTES.min(app.config.body_limit), body).await?);
            log_in(app, authenticate(app, &form).await?, &form).await
        }
        _ => Err(Error::MethodNotAllowed("GET,POST".to_owned())),
    }
}

fn fields(encoded: &[u8]) -> Form {
    let mut form = Form::new();
    for (name, value) in form_urlencoded::parse(encoded) {
        form.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    form
}

/// Returns the webview that the form names.
///
/// # Errors
/// [`Error::NotFound`] if it does not exist, or the form does not have its secret.
async fn authenticate(app: &App, form: &Form) -> Result<ConnectWebview> {
    const NOT_FOUND: Error = Error::NotFound(Resource::ConnectWebview);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let id = Uuid::parse_str(field("connect_webview_id")).map_err(|_| NOT_FOUND)?;
    let webview = by_id(&app.pool, id).await?.ok_or(NOT_FOUND)?;
    let is_right = webview.auth_token.as_bytes().ct_eq(field("auth_token").as_bytes());
    if is_right.into() { Ok(webview) } else { Err(NOT_FOUND) }
}

/// Shows the providers, or the login form of one.
fn show(webview: &ConnectWebview, form: &Form) -> Result<Response> {
    if webview.status == WebviewStatus::Authorized {
        return Ok(html(StatusCode::OK, &Page::Done { webview }, Some(webview)));
    }
    let providers = providers(webview);
    let page = match (form.get("provider"), providers.as_slice()) {
        (Some(name), _) => Page::login(webview, chosen(webview, name)?, &providers),
        (None, [only]) => Page::login(webview, only, &providers),
        (None, _) => Page::Providers { webview, providers },
    };
    Ok(html(StatusCode::OK, &page, Some(webview)))
}

/// Returns the providers to choose from: those that the webview accepts and Latchkey has devices of.
fn providers(webview: &ConnectWebview) -> Vec<&'static SandboxProvider> {
    sandbox_accounts::PROVIDERS.iter().filter(|provider| webview.accepts(provider.name)).collect()
}

/// Returns the provider with this name.
///
/// # Errors
/// [`Error::InvalidInput`] if the webview does not accept it, or Latchkey has no devices of it.
fn chosen(webview: &ConnectWebview, name: &str) -> Result<&'static SandboxProvider> {
    let provider = sandbox_accounts::of(name).filter(|provider| webview.accepts(provider.name));
    provider.ok_or_else(|| Error::invalid("provider", "Choose one of the brands that are offered"))
}

async fn log_in(app: &App, webview: ConnectWebview, form: &Form) -> Result<Response> {
    let provider = chosen(&webview, form.get("provider").map(String::as_str).unwrap_or_default())?;
    let field = |name: &str| form.get(name).map(String::as_str);
    let login = provider.login(field, field("two_factor_code"));
    let ids = (webview.workspace_id, webview.connect_webview_id);
    let outcome = connect_webviews::log_in(app, ids, provider, login).await?;
    let done = match outcome {
        LoginOutcome::NeedsTwoFactorCode => {
            let page = Page::TwoFactor { webview: &webview, provider, form };
            return Ok(html(StatusCode::OK, &page, Some(&webview)));
        }
        LoginOutcome::Authorized(webview) | LoginOutcome::WasAuthorized(webview) => webview,
        LoginOutcome::Failed(webview) => {
            if let Some(url) = webview.redirect_url() {
                return redirect(&url);
            }
            let providers = providers(&webview).len();
            let page = Page::Login { webview: &webview, provider, providers, rejected: Some(form) };
            return Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page, Some(&webview)));
        }
    };
    match done.redirect_url() {
        Some(url) => redirect(&url),
        None => Ok(html(StatusCode::OK, &Page::Done { webview: &done }, Some(&done))),
    }
}

fn redirect(url: &str) -> Result<Response> {
    let location = HeaderValue::from_str(url).map_err(|error| Error::Internal(error.into()))?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    protect(&mut response, None);
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

fn html(status: StatusCode, page: &Page<'_>, webview: Option<&ConnectWebview>) -> Response {
    let mut response = Response::new(Body::from(page.render()));
    *response.status_mut() = status;
    protect(&mut response, webview);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// Source expression of a content security policy for the style sheet of the pages.
static STYLE_SOURCE: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(pages::STYLE.as_bytes()))));

/// Adds headers that forbid everything that the page does not need. Applications may show the page in a frame, as Seam
/// documents. Its URL contains a secret, so no other site receives it, and no cache stores it.
fn protect(response: &mut Response, webview: Option<&ConnectWebview>) {
    let urls =
        webview.map(|webview| [&webview.settings.custom_redirect_url, &webview.settings.custom_redirect_failure_url]);
    let redirects = urls.into_iter().flatten().flatten().filter_map(|url| policy_source(url));
    let mut policy = format!("default-src 'none'; style-src {}; base-uri 'none'; form-action 'self'", *STYLE_SOURCE);
    for source in redirects {
        policy.push(' ');
        policy.push_str(&source);
    }
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
