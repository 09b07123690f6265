//! What an HTTP fault does to the request that it strikes.

use crate::clock::duration_from_iso;
use crate::domain::http_fault::{HttpFaultOutcome, KeywordOutcome};
use crate::engine::app::App;
use crate::engine::http_faults::InjectedHttpFault;
use crate::error::{Error, Result};
use crate::http::connection::Connection;
use axum::http::request::Parts;

/// Answers the request with the error that was arranged, delays it, or resets its connection. `Ok`: the request goes on.
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
                // A server that is about to stop waits for its requests, and does not wait for nothing.
                () = app.stopping.cancelled() => {}
            }
            Ok(())
        }
        HttpFaultOutcome::Named(KeywordOutcome::Reset) => {
            // Who came without a connection, as tests do, is told instead.
            if let Some(connection) = parts.extensions.get::<Connection>() {
                connection.reset();
            }
            Err(Error::ConnectionReset(http_fault_id))
        }
    }
}
