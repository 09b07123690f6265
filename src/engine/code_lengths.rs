//! The lengths of PINs that a lock takes, where a caller reports them.

use super::app::App;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::caller::Visibility;
use crate::error::{Error, Result};
use uuid::Uuid;

/// Sets which lengths of PINs a lock takes, as somebody reports who knows it.
///
/// # Errors
/// [`Error::NotFound`] of the device; `device_type_not_supported` for a lock that tells itself.
pub async fn report(app: &App, visibility: &Visibility, device_id: Uuid, mut lengths: Vec<u8>) -> Result<()> {
    let mut work = UnitOfWork::begin(app, visibility, Scope::Devices(&[device_id])).await?;
    let now = work.now;
    let device = &mut work.codes.device_mut(device_id)?.device;
    if !device.brand.takes_reported_code_lengths {
        return Err(Error::DeviceTypeNotSupported(device.brand.device_type));
    }
    lengths.sort_unstable();
    lengths.dedup();
    device.overrides.supported_code_lengths = Some(Some(lengths));
    // What did not fit before may fit now.
    work.codes.all_mut().for_each(|code| code.state.try_again(now));
    work.run(false).await?;
    work.finish(app).await?;
    Ok(())
}
