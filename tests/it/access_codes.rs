//! `/access_codes/*` for one lock at a time: how codes are made, found and deleted.

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

/// How many access codes, events, action attempts and PIN groups a workspace has. A request that is refused must leave
/// them as they were.
pub(crate) async fn rows(workspace: &TestWorkspace) -> [i64; 4] {
    let statement = "select array[(select count(*) from access_code where workspace_id = $1),
                                  (select count(*) from event where workspace_id = $1),
                                  (select count(*) from action_attempt where workspace_id = $1),
                                  (select count(*) from pin_group where workspace_id = $1)]";
    let workspace_id: Uuid = workspace.workspace_id.parse().unwrap();
    let counts: Vec<i64> = sqlx::query_scalar(statement).bind(workspace_id).fetch_one(app().pool.raw()).await.unwrap();
    counts.try_into().unwrap()
}

/// What is asked of the lock at this place, with these further parameters.
pub(crate) fn on(workspace: &TestWorkspace, index: usize, further: Value) -> Value {
    let mut params = further;
    params["device_id"] = json!(workspace.lock(index));
    params
}

/// The messages about the request as a whole of an answer's `error`.
pub(crate) fn about_the_whole(error: &Value) -> Vec<String> {
    serde_json::from_value(error["validation_errors"]["_errors"].clone()).unwrap()
}

/// A code whose PIN the provider chooses, when the provider has told it.
pub(crate) async fn told(workspace: &TestWorkspace, access_code: &Value) -> Value {
    assert_eq!((&access_code["code"], &access_code["is_waiting_for_code_assignment"]), (&Value::Null, &json!(true)));
    workspace.advance("PT0.25S").await;
    let told = workspace.access_code(&access_code["access_code_id"]).await;
    assert_eq!(told["is_waiting_for_code_assignment"], false);
    told
}

/// The digits of a code.
pub(crate) fn pin(access_code: &Value) -> &str {
    let pin = access_code["code"].as_str().unwrap();
    assert!(pin.bytes().all(|digit| digit.is_ascii_digit()), "{pin} is no PIN");
    pin
}
