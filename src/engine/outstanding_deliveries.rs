//! Wait until events were sent to webhooks.

use super::app::App;
use crate::error::Result;
use crate::store::webhook_deliveries;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Maximum time between two queries. They also find attempts that other processes have recorded.
const INTERVAL: Duration = Duration::from_millis(100);

/// Minimum time between two queries, while this process records attempts.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Waits until the first attempt of every delivery of a workspace is recorded, but not longer than `timeout`. Returns
/// the number of outstanding deliveries. Holds no connection while it waits.
pub(crate) async fn wait(app: &App, workspace_id: Uuid, timeout: Duration) -> Result<i64> {
    let begun = Instant::now();
    // From now on, workers record the last results at once.
    let mut changes = app.attempts_recorded.subscribe();
    let mut has_woken = false;
    loop {
        if !webhook_deliveries::has_outstanding(&app.pool, workspace_id).await? {
            return Ok(0);
        }
        if !std::mem::replace(&mut has_woken, true) {
            app.wake_deliveries();
        }
        let remaining = timeout.saturating_sub(begun.elapsed());
        if remaining.is_zero() || app.stopping.is_cancelled() {
            return webhook_deliveries::outstanding(&app.pool, workspace_id).await;
        }
        tokio::time::sleep(MIN_INTERVAL.min(remaining)).await;
        let _ = tokio::time::timeout(INTERVAL.min(remaining), changes.changed()).await;
    }
}
