//! Changes and deletion of connected accounts. Their connection is in [`super::connectivity`].

use super::app::App;
use super::connectivity;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::compute;
use crate::domain::access_code::AccessCode;
use crate::domain::action_attempt::StoredOutcome;
use crate::domain::caller::Visibility;
use crate::domain::connected_account::ConnectedAccount;
use crate::domain::custom_metadata;
use crate::domain::device::DeviceSummary;
use crate::domain::event::{NewEvent, event_type};
use crate::domain::locked_device::LockedDevice;
use crate::error::Result;
use crate::store::action_attempts::{self, ActionAttemptRow};
use crate::store::{access_codes, accounts, workspaces};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use uuid::Uuid;

/// Minimum number of action attempts whose outcomes count as a long computation.
const LONG_LIST: usize = 500;

/// Requested changes of an account; `None` leaves a property unchanged.
#[derive(Debug, Default)]
pub struct AccountUpdate {
    /// New name for display.
    pub display_name: Option<String>,
    /// New key of the customer to whom the account belongs.
    pub customer_key: Option<String>,
    /// Keys to set, and with null or an empty text to remove.
    pub custom_metadata: Option<Map<String, Value>>,
    /// True if devices that appear in the account are managed.
    pub automatically_manage_new_devices: Option<bool>,
    /// Kinds of devices that the account may bring.
    pub accepted_capabilities: Option<Vec<String>>,
}

/// Changes an account and returns it.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the account; invalid custom metadata.
pub async fn update(
    app: &App,
    visibility: &Visibility,
    connected_account_id: Uuid,
    update: AccountUpdate,
) -> Result<ConnectedAccount> {
    let mut tx = app.pool.begin(visibility.workspace_id).await?;
    workspaces::lock(&mut tx, visibility.workspace_id).await?;
    let mut account = accounts::find(&mut tx, visibility, connected_account_id).await?;
    update.apply(&mut account)?;
    accounts::update(&mut tx, visibility.workspace_id, account.clone()).await?;
    tx.commit().await?;
    Ok(account)
}

impl AccountUpdate {
    /// Applies the changes.
    ///
    /// # Errors
    /// Invalid custom metadata.
    pub(super) fn apply(self, account: &mut ConnectedAccount) -> Result<()> {
        custom_metadata::apply(&mut account.custom_metadata, self.custom_metadata.unwrap_or_default())?;
        account.display_name = self.display_name.or(account.display_name.take());
        account.customer_key = self.customer_key.or(account.customer_key.take());
        if let Some(is_automatic) = self.automatically_manage_new_devices {
            account.automatically_manage_new_devices = is_automatic;
        }
        if let Some(capabilities) = self.accepted_capabilities {
            account.accepted_capabilities = capabilities;
        }
        Ok(())
    }
}

/// Reads the state of an account at its manufacturer. Latchkey's manufacturers report each change at once, so that only
/// the steps of its codes that are due are left to do.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the account.
pub async fn sync(app: &App, visibility: &Visibility, connected_account_id: Uuid) -> Result<()> {
    let mut tx = app.pool.begin(visibility.workspace_id).await?;
    accounts::find(&mut tx, visibility, connected_account_id).await?;
    let ids = accounts::device_ids(&mut tx, connected_account_id).await?;
    UnitOfWork::begin_in(tx, visibility, Scope::Devices(&ids)).await?.finish(app).await?;
    Ok(())
}

/// Function that returns the outcome to store for an action attempt on a device that is about to be deleted. `None`:
/// the code of the attempt is not stored any more.
pub type FinalOutcome = fn(&ActionAttemptRow, Option<&(AccessCode, DeviceSummary)>) -> Result<StoredOutcome>;

/// Deletes an account with its devices and their codes. Events and action attempts stay; the attempts get the outcome
/// that `final_outcome` returns. At the manufacturer, and so in the memory of the real locks, nothing would change.
///
/// # Errors
/// [`Error::NotFound`](crate::error::Error::NotFound) of the account.
pub async fn delete(
    app: &App,
    visibility: &Visibility,
    connected_account_id: Uuid,
    final_outcome: FinalOutcome,
) -> Result<()> {
    let workspace_id = visibility.workspace_id;
    let mut tx = app.pool.begin(workspace_id).await?;
    // No device is added to the account meanwhile.
    workspaces::lock(&mut tx, workspace_id).await?;
    let mut account = accounts::find(&mut tx, visibility, connected_account_id).await?;
    let ids = accounts::device_ids(&mut tx, connected_account_id).await?;
    let mut work = UnitOfWork::begin_in(tx, visibility, Scope::Devices(&ids)).await?;
    let outcomes = final_outcomes(&mut work, &ids, final_outcome).await?;
    record_deletion(&mut work, &mut account)?;
    // The codes leave their PIN groups, which are removed if they become empty.
    let now = work.now;
    work.codes.iter_mut().for_each(|code| code.state.gone_at = code.state.gone_at.or(Some(now)));
    work.write().await?;
    action_attempts::set_outcomes(&mut work.tx, outcomes).await?;
    accounts::delete(&mut work.tx, workspace_id, connected_account_id, &ids).await?;
    work.finish(app).await?;
    Ok(())
}

/// Returns the outcomes of the action attempts on these devices that have no stored outcome.
async fn final_outcomes(
    work: &mut UnitOfWork,
    device_ids: &[Uuid],
    final_outcome: FinalOutcome,
) -> Result<Vec<(Uuid, StoredOutcome)>> {
    // The steps that were due are taken, and have to be found.
    work.write().await?;
    let attempts = action_attempts::without_outcome(&mut work.tx, work.visibility.workspace_id, device_ids).await?;
    let code_ids: Vec<Uuid> = attempts.iter().filter_map(|attempt| attempt.access_code_id).collect();
    let mut codes = HashMap::with_capacity(code_ids.len());
    for code in access_codes::by_ids(&mut work.tx, &code_ids).await? {
        let device = work.codes.summary(code.device_id)?;
        codes.insert(code.access_code_id, (code, device));
    }
    let outcome = |attempt: &ActionAttemptRow| {
        let code = attempt.access_code_id.and_then(|id| codes.get(&id));
        Ok((attempt.action_attempt_id, final_outcome(attempt, code)?))
    };
    compute::sized(attempts.len() > LONG_LIST, || attempts.iter().map(outcome).collect()).await
}

/// Records the event of the account, and then those of each device and its codes, in the order of their creation.
fn record_deletion(work: &mut UnitOfWork, account: &mut ConnectedAccount) -> Result<()> {
    let (now, machine_now) = (work.now, work.machine_now);
    let payload = Some(json!({ "connected_account_type": account.provider }));
    connectivity::record_of_account(work, account, event_type::ACCOUNT_DELETED, None, payload);
    let mut devices: Vec<&LockedDevice> = work.codes.devices.iter().collect();
    devices.sort_by_key(|locked| locked.device.ordinal);
    let device_ids: Vec<Uuid> = devices.iter().map(|locked| locked.device.device_id).collect();
    let mut codes: Vec<(i64, Uuid, Uuid)> =
        work.codes.iter().map(|code| (code.sequence, code.device_id, code.access_code_id)).collect();
    codes.sort_unstable();
    let mut codes_of: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for (_, device_id, access_code_id) in codes {
        codes_of.entry(device_id).or_default().push(access_code_id);
    }
    for device_id in device_ids {
        let locked = work.codes.device_mut(device_id)?;
        let payload = Some(json!({ "device_name": locked.device.name }));
        let event = NewEvent::of_device(locked, event_type::DEVICE_DELETED, now, machine_now);
        work.codes.recorder.record_event(NewEvent { payload, ..event });
        for access_code_id in codes_of.remove(&device_id).unwrap_or_default() {
            work.record(access_code_id, event_type::DELETED, None)?;
        }
    }
    Ok(())
}
