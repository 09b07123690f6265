//! Generation of a PIN for a device.

use super::app::App;
use crate::clock::machine_now;
use crate::domain::caller::Visibility;
use crate::domain::linked::{self, PinRequest};
use crate::error::{Error, Resource, Result};
use crate::ids::ordinal_after;
use crate::store::{access_codes, devices};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Returns a PIN that the device would accept now. The PIN is neither stored nor reserved. With a seed, repeated calls
/// return the same PIN until the codes on the device change.
pub async fn generate_code(app: &App, visibility: &Visibility, device_id: Uuid) -> Result<String> {
    let read = app.pool.read(visibility.workspace_id, |connection| {
        let visibility = visibility.clone();
        Box::pin(async move {
            let found = devices::with_settings(connection, &visibility, device_id).await?;
            let found = found.ok_or(Error::NotFound(Resource::Device))?;
            Ok((found, access_codes::reservations_on_devices(connection, &BTreeSet::from([device_id])).await?))
        })
    });
    let ((ids, settings, device), reservations) = read.await?;
    device.check_managed()?;
    let pin_request = PinRequest::at(settings.clock.now(machine_now()));
    let created = ordinal_after(reservations.len());
    let draw = |bound| ids.draw("generated_code", device_id, created, bound);
    linked::assign_one(&device, &reservations.into_iter().collect(), &pin_request, draw)
}
