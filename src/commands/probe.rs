//! `latchkey probe`: compares Latchkey with the real service.

use super::background::{BackgroundError, BackgroundServer, base_directory};
use crate::config::Probe;
use crate::ids::random_id;
use crate::probe::{ProbeError, Report, Target};
use crate::stop::Stop;
use std::io::{self, Write as _};

/// Reason why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The comparison could not be made.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Latchkey's own server was not started.
    #[error(transparent)]
    Server(#[from] BackgroundError),
    /// Signals cannot be handled, or the runtime cannot be created.
    #[error("cannot start the probe: {0}")]
    Start(#[from] io::Error),
}

/// Compares a workspace of the real service with a server of its own.
///
/// # Errors
/// A [`CommandError`].
pub fn probe(options: &Probe) -> Result<Report, CommandError> {
    let stop = Stop::on_signals_and_hang_up()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let target = runtime.block_on(Target::connect(options, &stop.graceful))?;
    let directory = base_directory().join(format!("probe-{}", random_id().simple()));
    let server = BackgroundServer::start_fresh(&directory)?;
    let (url, api_key) = (server.info().url.clone(), server.info().api_key.clone());
    let compared = runtime.block_on(target.compare((&url, &api_key), &stop));
    // The server ends by itself soon after its last user.
    if let Err(error) = server.stop() {
        let _ = writeln!(io::stderr(), "latchkey: {error}");
    }
    Ok(compared?)
}
