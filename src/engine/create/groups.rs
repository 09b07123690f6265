//! Groups of linked codes, and the PINs that the requests of a batch must use.

use crate::domain::linked::WhenCodeCannotBeShared;
use crate::engine::commands::{CreateCommand, NewAccessCode};
use crate::error::{Error, Result};
use crate::store::access_codes::{self, PinQuery};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Group of linked codes while a batch is decided.
#[derive(Debug)]
pub(super) struct Group {
    /// Shared PIN; `None`: not chosen yet.
    pub(super) code: Option<String>,
    /// True if the group contains a code.
    pub(super) has_members: bool,
    /// True if the PIN is new and must be written.
    pub(super) is_changed: bool,
    /// Connected accounts of the codes in the group. Without those of existing codes if every caller of the batch sees
    /// all accounts.
    pub(super) account_ids: BTreeSet<Uuid>,
}

/// Locks the groups of the requests, inserts missing ones, and reads them.
pub(super) async fn lock_groups(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    commands: &[CreateCommand],
) -> Result<BTreeMap<String, Group>> {
    let keys = commands.iter().filter_map(|command| command.params.common_code_key.as_deref());
    let keys: BTreeSet<&str> = keys.collect();
    let mut groups = BTreeMap::new();
    if keys.is_empty() {
        return Ok(groups);
    }
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    access_codes::lock_pin_groups(tx, workspace_id, &keys).await?;
    for group in access_codes::pin_groups(tx, workspace_id, &keys).await? {
        let state =
            Group { code: group.code, has_members: group.has_members, is_changed: false, account_ids: BTreeSet::new() };
        groups.insert(group.common_code_key, state);
    }
    if commands.iter().any(|command| command.visibility.connected_account_ids.is_some()) {
        for (key, account_id) in access_codes::accounts_of_pin_groups(tx, workspace_id, &keys).await? {
            if let Some(group) = groups.get_mut(&key) {
                group.account_ids.insert(account_id);
            }
        }
    }
    Ok(groups)
}

/// Returns the devices of the requests, each once.
pub(super) fn device_ids(commands: &[CreateCommand]) -> Vec<Uuid> {
    let device_ids: BTreeSet<Uuid> = commands.iter().flat_map(|command| command.device_ids.iter().copied()).collect();
    device_ids.into_iter().collect()
}

/// Returns the PIN that a request must use: its own or that of its group; `None`: it may use any.
///
/// # Errors
/// The request has another PIN than its group.
pub(super) fn code_of(groups: &BTreeMap<String, Group>, params: &NewAccessCode) -> Result<Option<String>> {
    let group = params.common_code_key.as_ref().and_then(|key| groups.get(key));
    // The PIN of a group without members is not used again.
    let Some(code) = group.filter(|group| group.has_members).and_then(|group| group.code.as_ref()) else {
        return Ok(params.code.clone());
    };
    match &params.code {
        Some(requested) if requested != code => {
            let key = params.common_code_key.as_deref().unwrap_or_default();
            let message =
                format!("Access codes with the common_code_key {key} have another PIN. Omit code to share it");
            Err(Error::invalid("code", message))
        }
        Some(requested) => Ok(Some(requested.clone())),
        None => Ok(Some(code.clone())),
    }
}

/// Returns true if Latchkey chooses no PINs for the request (random codes, backup codes) when its PIN is given. The
/// reservations of that PIN are then enough to decide it.
pub(super) fn uses_only_given_pin(command: &CreateCommand) -> bool {
    command.linking != Some(WhenCodeCannotBeShared::CreateRandomCode) && !command.params.use_backup_pool
}

/// Returns the PINs of the requests for which the reservations of one PIN are enough, on each device.
pub(super) fn given_pins(groups: &BTreeMap<String, Group>, commands: &[CreateCommand]) -> BTreeSet<PinQuery> {
    let mut pins = BTreeSet::new();
    for command in commands.iter().filter(|command| uses_only_given_pin(command)) {
        let Ok(Some(code)) = code_of(groups, &command.params) else { continue };
        let of_device = |device_id: &Uuid| PinQuery { device_id: *device_id, code: code.clone() };
        pins.extend(command.device_ids.iter().map(of_device));
    }
    pins
}
