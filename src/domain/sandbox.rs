//! Fixed ids, credentials and locks of the default sandbox. Tests can use them as constants.

use uuid::{Uuid, uuid};

/// Id of the default workspace.
pub const WORKSPACE_ID: Uuid = uuid!("00000000-0000-4000-8000-000000000001");

/// API key of the default workspace.
pub const API_KEY: &str = "seam_testsand_LatchkeySandbox";

/// Personal access token of the person to whom the default workspace belongs.
pub const PERSONAL_ACCESS_TOKEN: &str = "seam_at1sand_LatchkeySandbox";

/// Locks of the default workspace: type, name and the last digits of the id, in the order of `/devices/list`. All are
/// online and accept each six-digit PIN that the rules of their brand allow.
pub(crate) const LOCKS: [(&str, &str, u128); 10] = [
    ("august_lock", "Front Door", 0x101),
    ("august_lock", "Back Door", 0x102),
    ("yale_lock", "Garden Gate", 0x103),
    ("schlage_lock", "Garage", 0x104),
    ("ttlock_lock", "Apartment 1", 0x105),
    ("ttlock_lock", "Apartment 2", 0x106),
    ("smartthings_lock", "Laundry", 0x107),
    ("wyze_lock", "Bike Room", 0x108),
    ("two_n_intercom", "Main Entrance", 0x109),
    ("tedee_lock", "Office", 0x10a),
];

/// Returns the fixed id of a device of the sandbox, a UUID of version 4 that ends with these digits.
pub(crate) fn device_id(digits: u128) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 + digits)
}
