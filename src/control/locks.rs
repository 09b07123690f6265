//! `/_emulator/locks/*`: memory of a lock, and changes to it by a person with the manufacturer's app.

use super::{Control, EmptyResult};
use crate::api::body::access_code::managed_or_unmanaged;
use crate::clock::{Timestamp, iso};
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{LockCode, Window};
use crate::domain::caller::Visibility;
use crate::domain::keypad;
use crate::engine::external_changes::{self, ChangeAtLock, CodeReference, NewUnmanagedCode};
use crate::error::{Error, Resource, Result};
use crate::http::params::optional_instant;
use crate::store::{access_codes, devices};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize)]
pub(super) struct Memory {
    device_id: Uuid,
}

#[derive(Serialize)]
pub(super) struct MemoryBody {
    device_id: Uuid,
    capacity: Option<u32>,
    codes: Vec<Slot>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "`slot` is its name in the contract")]
struct Slot {
    slot: usize,
    access_code_id: Uuid,
    #[serde(flatten)]
    entry: HeldEntry,
    is_managed: bool,
    is_backup: bool,
}

/// Entry in the memory of a lock.
#[derive(Serialize)]
pub(super) struct HeldEntry {
    code: String,
    name: Option<String>,
    #[serde(with = "iso::option")]
    starts_at: Option<Timestamp>,
    #[serde(with = "iso::option")]
    ends_at: Option<Timestamp>,
}

impl From<LockCode> for HeldEntry {
    fn from(LockCode { name, code, window }: LockCode) -> Self {
        let (starts_at, ends_at) = window.map(Window::bounds).unzip();
        Self { code, name, starts_at, ends_at }
    }
}

/// Returns the codes in the memory of a lock, in the order in which the lock first stored them. A code that the lock
/// deletes and programs again to update it is missing meanwhile. Offline codes are not in the memory.
pub(super) async fn memory(call: Control<Memory>) -> Result<MemoryBody> {
    let workspace = call.workspace().await?;
    let device_id = call.input.device_id;
    let visibility = Visibility::all_of(workspace.workspace_id);
    let read = call.app.pool.read(visibility.workspace_id, |connection| {
        let visibility = visibility.clone();
        Box::pin(async move {
            let found = devices::with_settings(connection, &visibility, device_id).await?;
            let (_, _, device) = found.ok_or(Error::NotFound(Resource::Device))?;
            let codes = access_codes::on_devices(connection, &[device_id]).await?;
            Ok((device, codes.into_iter().map(|stored| stored.code).collect::<Vec<_>>()))
        })
    });
    let (device, mut codes) = read.await?;
    codes.retain(|code| !code.state.is_offline);
    codes.sort_by_key(|code| (code.state.first_held_at, code.sequence));
    let held = codes.iter().filter_map(|code| Some((code, keypad::effective_entry(code, &device)?)));
    let slot = |(index, (code, held)): (usize, (&AccessCode, LockCode))| Slot {
        slot: index + 1,
        access_code_id: code.access_code_id,
        entry: held.into(),
        is_managed: code.state.is_managed,
        is_backup: code.state.is_backup,
    };
    let codes = held.enumerate().map(slot).collect();
    Ok(MemoryBody { device_id, capacity: device.capacity(), codes })
}

/// Parameters of an unmanaged code that a person puts on a lock.
#[derive(Debug, Deserialize)]
pub(crate) struct UnmanagedCodeSpec {
    code: String,
    name: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(default)]
    cannot_be_managed: bool,
    #[serde(default)]
    cannot_delete_unmanaged_access_code: bool,
}

impl UnmanagedCodeSpec {
    /// Reads the parameters, for a code on this lock.
    ///
    /// # Errors
    /// An invalid time frame.
    pub(crate) fn read(&self, device_id: Uuid) -> Result<NewUnmanagedCode> {
        let starts_at = optional_instant("starts_at", self.starts_at.as_deref())?;
        let ends_at = optional_instant("ends_at", self.ends_at.as_deref())?;
        let window = Window::changed(None, starts_at, ends_at)?;
        Ok(NewUnmanagedCode {
            device_id,
            entry: LockCode { name: self.name.clone(), code: self.code.clone(), window },
            cannot_be_managed: self.cannot_be_managed,
            cannot_delete: self.cannot_delete_unmanaged_access_code,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct AddCode {
    device_id: Uuid,
    #[serde(flatten)]
    unmanaged: UnmanagedCodeSpec,
}

#[derive(Serialize)]
pub(super) struct AccessCodeResult {
    access_code: Value,
}

pub(super) async fn add_code(call: Control<AddCode>) -> Result<AccessCodeResult> {
    let workspace = call.workspace().await?;
    let unmanaged = call.input.unmanaged.read(call.input.device_id)?;
    let (code, device) =
        external_changes::add(&call.app, &Visibility::all_of(workspace.workspace_id), unmanaged).await?;
    Ok(AccessCodeResult { access_code: managed_or_unmanaged(&code, &device)? })
}

#[derive(Deserialize)]
pub(super) struct ChangeCode {
    device_id: Uuid,
    access_code_id: Option<Uuid>,
    code: Option<String>,
    new_code: Option<String>,
    name: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
}

/// Changes a code at the lock, without Seam.
pub(super) async fn change_code(call: Control<ChangeCode>) -> Result<AccessCodeResult> {
    let workspace = call.workspace().await?;
    let input = call.input;
    let change = ChangeAtLock {
        name: input.name,
        code: input.new_code,
        starts_at: optional_instant("starts_at", input.starts_at.as_deref())?,
        ends_at: optional_instant("ends_at", input.ends_at.as_deref())?,
    };
    let on_lock = CodeReference { device_id: input.device_id, access_code_id: input.access_code_id, code: input.code };
    let (code, device) =
        external_changes::change(&call.app, &Visibility::all_of(workspace.workspace_id), &on_lock, change).await?;
    Ok(AccessCodeResult { access_code: managed_or_unmanaged(&code, &device)? })
}

#[derive(Deserialize)]
pub(super) struct RemoveCode {
    device_id: Uuid,
    access_code_id: Option<Uuid>,
    code: Option<String>,
}

/// Removes a code at the lock, without Seam.
pub(super) async fn remove_code(call: Control<RemoveCode>) -> Result<EmptyResult> {
    let workspace = call.workspace().await?;
    let RemoveCode { device_id, access_code_id, code } = call.input;
    let on_lock = CodeReference { device_id, access_code_id, code };
    external_changes::remove(&call.app, &Visibility::all_of(workspace.workspace_id), &on_lock).await?;
    Ok(EmptyResult {})
}
