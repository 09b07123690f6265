//! PIN lengths that a device supports, as reported by a caller.

use super::app::App;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::caller::Visibility;
use crate::error::{Error, Result};
use uuid::Uuid;

/// Sets the PIN lengths that a device supports, as reported by a caller.
///
/// # Errors
/// [`Error::NotFound`] of the device; `device_type_not_supported` for a device that reports them itself.
pub async fn report(app: &App, visibility: &Visibility, device_id: Uuid, mut lengths: Vec<u8>) -> Result<()> {
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    let now = work.now;
    let device = &mut work.codes.device_mut(device_id)?.device;
    device.check_managed()?;
    if !device.brand.accepts_reported_code_lengths {
        let reason = "the lock reports its code lengths itself";
        return Err(Error::DeviceTypeNotSupported { device_type: device.brand.device_type, reason });
    }
    lengths.sort_unstable();
    lengths.dedup();
    device.overrides.supported_code_lengths = Some(Some(lengths));
    // A PIN of unsupported length may be supported now: retry failed codes.
    work.codes.iter_mut().for_each(|code| code.state.retry_now(now));
    work.run(false).await?;
    work.finish(app).await?;
    Ok(())
}
