//! The console: a web page that shows workspaces, locks, access codes, access grants, requests and webhooks. Its files are in
//! `src/console/` and are part of the program. The page uses only Seam's API and the control plane.

use super::{is_read, only_get};
use crate::api::edge;
use crate::engine::app::App;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

/// Only files of this server, no inline scripts or styles, and no markup from strings: texts of clients cannot become
/// part of the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const PAGE: &str = include_str!("../console/index.html");

/// Files of the page, by their name under `/_emulator/console/`, with their content types.
const FILES: &[(&str, &str, &str)] = &[
    ("style.css", CSS, include_str!("../console/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("../console/icon.svg")),
    ("activity.js", JAVASCRIPT, include_str!("../console/activity.js")),
    ("api.js", JAVASCRIPT, include_str!("../console/api.js")),
    ("clock.js", JAVASCRIPT, include_str!("../console/clock.js")),
    ("code.js", JAVASCRIPT, include_str!("../console/code.js")),
    ("dom.js", JAVASCRIPT, include_str!("../console/dom.js")),
    ("faults.js", JAVASCRIPT, include_str!("../console/faults.js")),
    ("format.js", JAVASCRIPT, include_str!("../console/format.js")),
    ("grant.js", JAVASCRIPT, include_str!("../console/grant.js")),
    ("grants.js", JAVASCRIPT, include_str!("../console/grants.js")),
    ("lock.js", JAVASCRIPT, include_str!("../console/lock.js")),
    ("locks.js", JAVASCRIPT, include_str!("../console/locks.js")),
    ("main.js", JAVASCRIPT, include_str!("../console/main.js")),
    ("reasons.js", JAVASCRIPT, include_str!("../console/reasons.js")),
    ("session.js", JAVASCRIPT, include_str!("../console/session.js")),
    ("timeline.js", JAVASCRIPT, include_str!("../console/timeline.js")),
    ("webhooks.js", JAVASCRIPT, include_str!("../console/webhooks.js")),
    ("workspace.js", JAVASCRIPT, include_str!("../console/workspace.js")),
    ("workspaces.js", JAVASCRIPT, include_str!("../console/workspaces.js")),
];

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Returns the routes of the console, except `/`.
pub(super) fn router() -> Router<App> {
    Router::new().route("/_emulator/console", any(page)).route("/_emulator/console/{file}", any(file))
}

/// Responds to requests for `/`: with the page for a browser, else as for any unknown path.
pub(super) async fn root(State(app): State<App>, request: Request) -> Response {
    if is_read(request.method()) && accepts_html(request.headers()) {
        let mut response = document(PAGE, "text/html; charset=utf-8");
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
        return response;
    }
    edge::fallback(State(app), request).await
}

async fn page(method: Method) -> Response {
    if !is_read(&method) {
        return only_get().await.into_response();
    }
    document(PAGE, "text/html; charset=utf-8")
}

async fn file(Path(name): Path<String>, request: Request) -> Response {
    let Some((_, content_type, text)) = FILES.iter().find(|(file, ..)| *file == name) else {
        return edge::unknown_path(&request).into_response();
    };
    if !is_read(request.method()) {
        return only_get().await.into_response();
    }
    document(text, content_type)
}

/// Returns true if `Accept` names `text/html`, as the requests of browsers for a page do. `*/*` is not enough.
fn accepts_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let (media_type, parameters) = range.split_once(';').unwrap_or((range, ""));
        let is_refused = parameters.split(';').any(|parameter| {
            let quality = parameter.trim().strip_prefix("q=").and_then(|quality| quality.parse::<f32>().ok());
            quality.is_some_and(|quality| quality <= 0.0)
        });
        media_type.trim().eq_ignore_ascii_case("text/html") && !is_refused
    })
}

fn document(text: &'static str, content_type: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    set_page_headers(response.headers_mut(), HeaderValue::from_static(content_type), CONTENT_SECURITY_POLICY);
    response
}

/// Sets the headers of a page or of one of its files.
pub(super) fn set_page_headers(headers: &mut HeaderMap, content_type: HeaderValue, policy: &'static str) {
    headers.insert(header::CONTENT_TYPE, content_type);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The files change with the program, so a browser asks for them each time.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_html_only_if_the_header_names_it() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, text/html;q=0.5", true),
            ("TEXT/HTML", true),
            ("text/html;level=1", true),
            ("text/html;q=0", false),
            ("*/*", false),
            ("text/*", false),
            ("application/json", false),
            ("text/htmlx", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepts_html(&headers), expected, "{accept}");
        }
        assert!(!accepts_html(&HeaderMap::new()));
    }
}
