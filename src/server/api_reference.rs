//! `/docs`: both contracts as web pages, from which a reader can send requests to this server. The pages are those of
//! Swagger UI, which are part of the program, so they need no network.

use super::console::set_page_headers;
use super::{is_read, only_get};
use crate::api::edge;
use crate::compute;
use crate::contract::{CONTROL_OPENAPI, Document, OPENAPI};
use crate::domain::sandbox;
use crate::engine::app::App;
use crate::error::Error;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use serde_json::{Value, json};
use std::io::Result;
use std::sync::{Arc, LazyLock};
use utoipa_swagger_ui::{Config, Url};

/// As strict as Swagger UI allows: it sets styles from its script, and its images are in the style sheet. All requests
/// go to this server.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The contracts: the path, the name, the document.
static CONTRACTS: [(&str, &str, &Document); 2] =
    [("/docs/seam.json", "Seam Connect", &OPENAPI), ("/docs/control.json", "Control plane", &CONTROL_OPENAPI)];

/// The same contracts, for these pages.
static DOCUMENTS: LazyLock<[Result<String>; 2]> =
    LazyLock::new(|| CONTRACTS.map(|(.., document)| of_this_server(document)));

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let urls = CONTRACTS.iter().map(|(path, name, _)| Url::new(name, path));
    let config = Config::new(urls).try_it_out_enabled(true).deep_linking(true);
    // Otherwise the pages send the contract to a server that checks it.
    Arc::new(config.validator_url("none"))
});

/// Returns the routes of the pages.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/docs", any(async || Redirect::permanent("/docs/")))
        .route("/docs/", any(async |request: Request| respond("index.html", request).await))
        .route("/docs/{file}", any(async |Path(name): Path<String>, request: Request| respond(&name, request).await))
}

async fn respond(name: &str, request: Request) -> Response {
    if !is_read(request.method()) {
        return only_get().await.into_response();
    }
    if let Some(index) = CONTRACTS.iter().position(|(path, ..)| *path == request.uri().path()) {
        // The first request computes the documents, which takes some tens of milliseconds.
        let [seam, control] = compute::run(|| LazyLock::force(&DOCUMENTS)).await;
        return match if index == 0 { seam } else { control } {
            Ok(document) => page(Body::from(document.as_str()), "application/json; charset=utf-8"),
            Err(error) => Error::Internal(error.to_string().into()).into_response(),
        };
    }
    match utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => {
            let mut response = page(Body::from(file.bytes.into_owned()), &file.content_type);
            if file.gzpipped {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
        Ok(None) => edge::unknown_path(&request).into_response(),
        Err(error) => Error::Internal(error.to_string().into()).into_response(),
    }
}

/// Credentials that a reader of the pages can have. The contract has others, which Latchkey never issues.
const CREDENTIALS: &[&str] =
    &["admin_token", "api_key", "client_session", "pat_with_workspace", "pat_without_workspace", "seam_workspace"];

/// Returns a contract for these pages: its requests go to the server that serves the page, at any address; it asks only
/// for credentials that a reader can have; and a request is filled in only with what it needs.
fn of_this_server(contract: &Document) -> Result<String> {
    let mut document: Value = serde_json::from_str(contract.text()?)?;
    document["servers"] = json!([{ "url": "/", "description": "This server." }]);
    if let Some(schemes) = document.pointer_mut("/components/securitySchemes").and_then(Value::as_object_mut) {
        schemes.retain(|name, _| CREDENTIALS.contains(&name.as_str()));
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for operation in paths.filter_map(|(_, path)| path.as_object_mut()).flatten().map(|(_, operation)| operation) {
        if let Some(security) = operation["security"].as_array_mut() {
            let is_known = |name: &String| CREDENTIALS.contains(&name.as_str());
            security.retain(|one| one.as_object().is_some_and(|names| names.keys().all(is_known)));
        }
        if let Some(body) = operation.pointer_mut("/requestBody/content/application~1json") {
            body["example"] = example(&body["schema"]);
        }
    }
    Ok(document.to_string())
}

/// Returns the required locks of a request: those of the sandbox. The reader adds everything else.
fn example(schema: &Value) -> Value {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let [(.., first), (.., second), ..] = sandbox::LOCKS;
    let (first, second) = (sandbox::device_id(first), sandbox::device_id(second));
    let values = required.filter_map(|name| match name {
        "device_id" => Some((name.to_owned(), json!(first))),
        "device_ids" => Some((name.to_owned(), json!([first, second]))),
        _ => None,
    });
    Value::Object(values.collect())
}

fn page(body: Body, content_type: &str) -> Response {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_str(content_type);
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    set_page_headers(response.headers_mut(), content_type, CONTENT_SECURITY_POLICY);
    response
}
