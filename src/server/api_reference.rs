//! `/docs`: both contracts as web pages, from which a reader can send requests to this server. The pages are those of
//! Swagger UI, which are part of the program, so they need no network.

use super::console::{is_read, only_read, set_page_headers};
use crate::api::edge;
use crate::contract::{CONTROL_OPENAPI, OPENAPI};
use crate::engine::app::App;
use crate::error::Error;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use utoipa_swagger_ui::{Config, Url};

/// As strict as Swagger UI allows: it sets styles from its script, and its images are in the style sheet. All requests
/// go to this server.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The contracts for these pages: the path, the name, the document.
static DOCUMENTS: LazyLock<[(&str, &str, String); 2]> = LazyLock::new(|| {
    [
        ("/docs/seam.json", "Seam Connect", of_this_server(OPENAPI)),
        ("/docs/control.json", "Control plane", of_this_server(CONTROL_OPENAPI)),
    ]
});

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let urls = DOCUMENTS.iter().map(|(path, name, _)| Url::new(name, path));
    let config = Config::new(urls).try_it_out_enabled(true).persist_authorization(true).deep_linking(true);
    // Otherwise the pages send the contract to a server that checks it.
    Arc::new(config.validator_url("none"))
});

/// Returns the routes of the pages.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/docs", any(async || Redirect::permanent("/docs/")))
        .route("/docs/", any(async |request: Request| respond("index.html", &request)))
        .route("/docs/{file}", any(async |Path(name): Path<String>, request: Request| respond(&name, &request)))
}

fn respond(name: &str, request: &Request) -> Response {
    if !is_read(request.method()) {
        return only_read();
    }
    if let Some((.., document)) = DOCUMENTS.iter().find(|(path, ..)| *path == request.uri().path()) {
        return page(Body::from(document.as_str()), "application/json; charset=utf-8");
    }
    match utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => {
            let mut response = page(Body::from(file.bytes.into_owned()), &file.content_type);
            if file.gzpipped {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
        Ok(None) => edge::unknown_path(request).into_response(),
        Err(error) => Error::Internal(error.to_string().into()).into_response(),
    }
}

/// Returns a contract whose requests go to the server that serves the page, at any address.
fn of_this_server(contract: &str) -> String {
    let mut document: Value = serde_json::from_str(contract).unwrap_or_default();
    document["servers"] = json!([{ "url": "/", "description": "This server." }]);
    document.to_string()
}

fn page(body: Body, content_type: &str) -> Response {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_str(content_type);
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    set_page_headers(response.headers_mut(), content_type, CONTENT_SECURITY_POLICY);
    response
}
