//! Device with a locked row, and the data needed for decisions about its codes.

use super::connected_account::AccountFields;
use super::device::Device;
use super::workspace::WorkspaceSettings;
use crate::ids::Ids;
use std::collections::HashMap;
use uuid::Uuid;

/// Device whose row is locked until the transaction ends, with the settings of its workspace.
#[derive(Clone, Debug)]
pub struct LockedDevice {
    pub device: Device,
    /// Settings of the workspace, including its clock.
    pub settings: WorkspaceSettings,
    /// Generator of ids, PINs and keys of the workspace.
    pub ids: Ids,
    /// Number of codes created on the device so far, including deleted ones.
    pub access_code_ordinal: i64,
    /// Part of its connected account that events contain.
    pub account: AccountFields,
    /// Number of backup codes in the pool of the device that can be pulled.
    pub backups: i64,
}

impl LockedDevice {
    /// Updates the number of backup codes that can be pulled, if the map contains the device.
    pub fn set_backups(&mut self, backups: &HashMap<Uuid, i64>) {
        self.backups = backups.get(&self.device.device_id).copied().unwrap_or(self.backups);
    }

    /// Returns the ordinal of the next code created on the device.
    pub fn next_ordinal(&self) -> i64 {
        self.access_code_ordinal
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::samples::{device, locked};
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn count_backups_changes_only_the_device_in_the_map() {
        let mut locked = locked(device("august_lock", json!({})));
        locked.access_code_ordinal = 7;
        assert_eq!(locked.next_ordinal(), 7);
        locked.set_backups(&[(locked.device.device_id, 3)].into());
        assert_eq!(locked.backups, 3);
        locked.set_backups(&[(Uuid::nil(), 5)].into());
        assert_eq!(locked.backups, 3);
    }
}
