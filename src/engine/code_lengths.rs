//! The lengths of PINs that a lock takes, where a caller reports them.

use super::app::App;
use super::locked_codes::{LockedCodes, Scope};
use crate::error::{Error, Resource, Result};
use crate::store::devices;
use uuid::Uuid;

/// Sets which lengths of PINs a lock takes, as somebody reports who knows it.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::Device`]; `device_type_not_supported` for a lock that tells itself.
pub async fn report(app: &App, workspace_id: Uuid, device_id: Uuid, mut lengths: Vec<u8>) -> Result<()> {
    let mut all = LockedCodes::begin(app, workspace_id, Scope::Devices(&[device_id])).await?;
    let now = all.now;
    let device = &mut all.locked.first_mut().ok_or(Error::NotFound(Resource::Device))?.device;
    if !device.brand.takes_reported_code_lengths {
        return Err(Error::DeviceTypeNotSupported(device.brand.device_type));
    }
    lengths.sort_unstable();
    lengths.dedup();
    device.overrides.supported_code_lengths = Some(Some(lengths));
    let device = device.clone();
    devices::update(&mut all.tx, &[device]).await?;
    // What did not fit before may fit now.
    all.codes.iter_mut().for_each(|code| code.life.try_again(now));
    all.touch_all();
    all.live(false).await?;
    all.finish(app).await?;
    Ok(())
}
