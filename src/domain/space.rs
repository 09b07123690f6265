//! Spaces: groups of devices, such as the locks of an apartment.

use super::client_session::add_missing;
use crate::clock::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Space as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Space {
    pub space_id: Uuid,
    pub workspace_id: Uuid,
    pub name: String,
    /// The client's key of the space.
    pub space_key: Option<String>,
    /// The client's key of the customer to whom the space belongs.
    pub customer_key: Option<String>,
    /// What the client stores for its customer. A member that was never set, or was cleared, is missing.
    pub customer_data: Map<String, Value>,
    /// Devices in the order in which they were added, each once.
    pub device_ids: Vec<Uuid>,
    /// Connected accounts that were added as a whole. Their devices are in `device_ids`.
    pub connected_account_ids: Vec<Uuid>,
    pub created_at: Timestamp,
    pub deletion_requested_at: Option<Timestamp>,
    /// Number of events of the space; the ordinal of the next.
    pub children: i64,
}

impl Space {
    /// Returns the devices of the space together with these, which come last if they are new.
    pub(crate) fn with_devices(&self, device_ids: &[Uuid]) -> Vec<Uuid> {
        let mut all = self.device_ids.clone();
        add_missing(&mut all, device_ids);
        all
    }

    /// Returns the devices of the space without these.
    pub(crate) fn without_devices(&self, device_ids: &[Uuid]) -> Vec<Uuid> {
        self.device_ids.iter().copied().filter(|id| !device_ids.contains(id)).collect()
    }

    /// Returns true if these are the devices of the space, in any order.
    pub(crate) fn has_exactly(&self, device_ids: &[Uuid]) -> bool {
        self.device_ids.len() == device_ids.len() && device_ids.iter().all(|id| self.device_ids.contains(id))
    }

    /// Sets the members of `customer_data` that are given. Null clears a member.
    pub(crate) fn change_customer_data(&mut self, changes: Map<String, Value>) {
        for (name, value) in changes {
            if value.is_null() {
                self.customer_data.shift_remove(&name);
            } else {
                self.customer_data.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::at;
    use serde_json::json;

    fn space(device_ids: &[Uuid]) -> Space {
        Space {
            space_id: Uuid::from_u128(9),
            workspace_id: Uuid::from_u128(2),
            name: "Apartment".to_owned(),
            space_key: None,
            customer_key: None,
            customer_data: Map::new(),
            device_ids: device_ids.to_vec(),
            connected_account_ids: Vec::new(),
            created_at: at(0),
            deletion_requested_at: None,
            children: 0,
        }
    }

    #[test]
    fn devices_of_a_space_are_a_set_in_the_order_of_addition() {
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let space = space(&[two, one]);
        assert_eq!(space.with_devices(&[three, one, three]), [two, one, three]);
        assert_eq!(space.without_devices(&[two, three]), [one]);
        assert!(space.has_exactly(&[one, two]));
        assert!(!space.has_exactly(&[one]) && !space.has_exactly(&[one, three]) && !space.has_exactly(&[]));
    }

    #[test]
    fn customer_data_changes_only_the_given_members_and_null_clears() {
        let mut space = space(&[]);
        let mut change = |changes: Value| {
            space.change_customer_data(changes.as_object().unwrap().clone());
            Value::Object(space.customer_data.clone())
        };
        assert_eq!(
            change(json!({ "address": "Main Street 1", "time_zone": null })),
            json!({ "address": "Main Street 1" })
        );
        let both = json!({ "address": "Main Street 1", "time_zone": "Europe/Paris" });
        assert_eq!(change(json!({ "time_zone": "Europe/Paris" })), both);
        assert_eq!(change(json!({ "address": null })), json!({ "time_zone": "Europe/Paris" }));
    }
}
