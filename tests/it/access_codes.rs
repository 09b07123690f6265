//! `/access_codes/*` for one lock at a time: creating, reading, updating and deleting codes.

mod attempts;
mod brands;
mod constraints;
mod create;
mod delete;
mod read;
mod taken;
mod timeline;
mod updates;

use crate::support::{TestWorkspace, app};
use serde_json::{Value, json};
use uuid::Uuid;

/// Returns the numbers of access codes, their events, action attempts and PIN groups of a workspace. A rejected request
/// must not change them.
pub(crate) async fn rows(workspace: &TestWorkspace) -> [i64; 4] {
    let statement = "select array[(select count(*) from access_code where workspace_id = $1),
                                  (select count(*) from event where workspace_id = $1
                                     and starts_with(event_type, 'access_code.')),
                                  (select count(*) from action_attempt where workspace_id = $1),
                                  (select count(*) from pin_group where workspace_id = $1)]";
    let workspace_id: Uuid = workspace.workspace_id.parse().unwrap();
    let counts: Vec<i64> = sqlx::query_scalar(statement).bind(workspace_id).fetch_one(app().pool.raw()).await.unwrap();
    counts.try_into().unwrap()
}

/// Returns the parameters of a request for the lock at this index: its `device_id`, and these further parameters.
pub(crate) fn on_lock(workspace: &TestWorkspace, index: usize, further: Value) -> Value {
    let mut params = further;
    params["device_id"] = json!(workspace.lock(index));
    params
}

/// Returns the messages about the whole request in an `error`.
pub(crate) fn request_errors(error: &Value) -> Vec<String> {
    serde_json::from_value(error["validation_errors"]["_errors"].clone()).unwrap()
}

/// Waits until the provider has assigned the PIN of a code, and returns the code.
pub(crate) async fn with_assigned_pin(workspace: &TestWorkspace, access_code: &Value) -> Value {
    assert_eq!((&access_code["code"], &access_code["is_waiting_for_code_assignment"]), (&Value::Null, &json!(true)));
    workspace.advance("PT0.25S").await;
    let assigned = workspace.access_code(&access_code["access_code_id"]).await;
    assert_eq!(assigned["is_waiting_for_code_assignment"], false);
    assigned
}

/// Returns the PIN of a code.
pub(crate) fn pin(access_code: &Value) -> &str {
    let pin = access_code["code"].as_str().unwrap();
    assert!(pin.bytes().all(|digit| digit.is_ascii_digit()), "{pin} is not a PIN");
    pin
}
