//! The default sandbox: the workspace that is there when the server starts for the first time. Its ids and its key
//! are fixed, so that people can write them into their tests.

use super::worlds::{self, LockSpec, Wanted};
use crate::app::App;
use crate::devices::model::Device;
use crate::devices::store as devices;
use crate::error::{Error, Result};
use crate::workspaces::store as workspaces;
use uuid::{Uuid, uuid};

/// The default workspace.
pub const WORKSPACE_ID: Uuid = uuid!("00000000-0000-4000-8000-000000000001");

/// Its API key.
pub const API_KEY: &str = "seam_testsand_LatchkeySandbox";

/// Its locks: type, name and the last digits of their ids, in the order of `/devices/list`. All are online and take
/// any well-formed six-digit PIN their maker's rules allow.
const LOCKS: [(&str, &str, u128); 10] = [
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

fn device_id(digits: u128) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 + digits)
}

/// Makes the default sandbox if it is not there, and gives its locks.
///
/// # Errors
/// [`Error::SandboxInUse`] where another workspace has one of its ids or its key.
pub async fn ensure(app: &App) -> Result<Vec<Device>> {
    let filter = devices::Filter::default();
    let found = devices::list(&app.pool, WORKSPACE_ID, &filter).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    let locks = LOCKS.iter().map(|(device_type, name, digits)| LockSpec {
        name: Some((*name).to_owned()),
        device_id: Some(device_id(*digits)),
        ..LockSpec::of_type(device_type)
    });
    let wanted = Wanted {
        name: Some("Latchkey Sandbox".to_owned()),
        workspace_id: Some(WORKSPACE_ID),
        api_key: Some(API_KEY.to_owned()),
        publishable_key: None,
        personal_access_token: None,
        locks: locks.collect(),
        seed: None,
        expires_at: None,
        clock: app.config.clock,
        programming: app.config.programming.0,
        keeps_expired: app.config.keep_expired_access_codes,
        same_code: app.config.same_code(None),
        refuse_begun_windows: app.config.refuse_begun_windows,
        accounts: Vec::new(),
    };
    match worlds::make(app, wanted).await {
        Ok(made) => Ok(made.devices),
        Err(Error::InUse(what)) => {
            // Another process that starts on the same database was quicker, or fixtures have a workspace with its id.
            match workspaces::by_id(&app.pool, WORKSPACE_ID).await? {
                Some(_) => devices::list(&app.pool, WORKSPACE_ID, &filter).await,
                None => Err(Error::SandboxInUse(what)),
            }
        }
        Err(error) => Err(error),
    }
}
