//! Effects of HTTP faults on requests.

use crate::clock::duration_from_iso;
use crate::domain::http_fault::{HttpFaultOutcome, KeywordOutcome};
use crate::engine::app::App;
use crate::engine::http_faults::InjectedHttpFault;
use crate::error::{Error, Result};
use crate::http::connection::Connection;
use axum::http::request::Parts;

/// Applies an HTTP fault to a request: returns the configured error, delays the request, or resets the connection. `Ok`
/// if the request continues.
///
/// # Errors
/// [`Error::HttpFaultInjected`] and [`Error::ConnectionReset`].
pub(crate) async fn apply(injected: InjectedHttpFault, app: &App, parts: &Parts) -> Result<()> {
    let http_fault_id = injected.http_fault_id;
    match injected.outcome {
        HttpFaultOutcome::Status { status, body, retry_after } => {
            Err(Error::HttpFaultInjected { http_fault_id, status, body, retry_after })
        }
        HttpFaultOutcome::Delay { delay } => {
            let delay = duration_from_iso(&delay).and_then(|delay| delay.to_std().ok());
            let delay = delay.ok_or_else(|| Error::inconsistent("http_fault", http_fault_id, "outcome"))?;
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                // When the server stops, it waits for its requests, so the delay ends early.
                () = app.stopping.cancelled() => {}
            }
            Ok(())
        }
        HttpFaultOutcome::Named(KeywordOutcome::Reset) => {
            // A request without a connection, as in tests, receives the error as a response.
            if let Some(connection) = parts.extensions.get::<Connection>() {
                connection.reset();
            }
            Err(Error::ConnectionReset(http_fault_id))
        }
    }
}
