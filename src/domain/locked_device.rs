//! A device under lock: what decisions about its codes are made from.

use super::device::Device;
use super::workspace::WorkspaceSettings;
use crate::ids::Ids;
use std::collections::HashMap;
use uuid::Uuid;

/// A device whose row is locked until the transaction ends, with the settings of its workspace.
#[derive(Clone, Debug)]
pub struct LockedDevice {
    /// The device.
    pub device: Device,
    /// Its workspace's clock and ways.
    pub settings: WorkspaceSettings,
    /// Where ids, PINs and keys of its workspace come from.
    pub ids: Ids,
    /// How many codes were ever made on it.
    pub access_code_ordinal: i64,
    /// How many backup codes of its pool can be pulled.
    pub backups: i64,
}

impl LockedDevice {
    /// Notes how many backup codes can be pulled, where that is said of it.
    pub fn count_backups(&mut self, backups: &HashMap<Uuid, i64>) {
        self.backups = backups.get(&self.device.device_id).copied().unwrap_or(self.backups);
    }

    /// The ordinal of the next code made on it.
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
    fn locked_device_counts_its_codes_and_the_backups_that_are_said_of_it() {
        let mut locked = locked(device("august_lock", json!({})));
        locked.access_code_ordinal = 7;
        assert_eq!(locked.next_ordinal(), 7);
        locked.count_backups(&[(locked.device.device_id, 3)].into());
        assert_eq!(locked.backups, 3);
        locked.count_backups(&[(Uuid::nil(), 5)].into());
        assert_eq!(locked.backups, 3);
    }
}
