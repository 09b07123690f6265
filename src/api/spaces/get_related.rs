//! `/spaces/get_related`.

use crate::api::body;
use crate::api::devices::list::bodies_of;
use crate::api::edge::Call;
use crate::api::related::{Kinds, Related, methods};
use crate::domain::client_session::add_missing;
use crate::domain::space::Space;
use crate::engine;
use crate::error::{Error, Resource, Result};
use crate::http::params::check_count;
use crate::store::spaces::{self, Filter};
use crate::store::{access_grants, accounts, devices};
use serde::Deserialize;
use serde_json::{Map, json};
use uuid::Uuid;

/// Kinds of objects that belong to spaces.
const KINDS: [&str; 6] = ["spaces", "devices", "acs_entrances", "connected_accounts", "acs_systems", "access_methods"];

#[derive(Deserialize)]
pub(super) struct GetRelated {
    #[serde(default)]
    space_ids: Vec<Uuid>,
    #[serde(default)]
    space_keys: Vec<String>,
    include: Option<Vec<String>>,
    #[serde(default)]
    exclude: Vec<String>,
}

/// Returns the spaces with what belongs to them. Kinds of objects that Latchkey does not have are empty lists; kinds
/// that the request does not include are missing.
pub(super) async fn get_related(call: Call<GetRelated>) -> Result<Related> {
    let input = &call.input;
    if input.space_ids.is_empty() && input.space_keys.is_empty() {
        return Err(Error::invalid_request("Give space_ids or space_keys"));
    }
    check_count("space_ids", input.space_ids.len())?;
    check_count("space_keys", input.space_keys.len())?;
    let (pool, visibility) = (&call.app.pool, call.caller.visibility());
    let filter = Filter { named: Some((&input.space_ids, &input.space_keys)), ..Filter::default() };
    let found = spaces::list(pool, &visibility, &filter).await?;
    check_all_found(input, &found)?;
    let (mut device_ids, mut account_ids) = (Vec::new(), Vec::new());
    for space in &found {
        device_ids.extend(&space.device_ids);
        add_missing(&mut account_ids, &space.connected_account_ids);
    }
    device_ids.sort_unstable();
    device_ids.dedup();
    let filter = devices::Filter { device_ids: Some(&device_ids), ..devices::Filter::default() };
    let devices = devices::list(pool, &visibility, &filter).await?;
    let of_devices: Vec<Uuid> = devices.iter().map(|device| device.connected_account_id).collect();
    add_missing(&mut account_ids, &of_devices);
    let mut batch = Map::new();
    let kinds = Kinds { all: &KINDS, include: input.include.as_deref(), exclude: &input.exclude };
    for name in kinds.selected() {
        let listed = match name {
            "spaces" => found.iter().map(body::space::of).collect(),
            "devices" => bodies_of(&call.app, &devices).await?,
            "connected_accounts" => {
                let filter =
                    accounts::Filter { connected_account_ids: Some(&account_ids), ..accounts::Filter::default() };
                let found = accounts::list(pool, &visibility, &filter).await?;
                found.iter().map(body::connected_account::of).collect()
            }
            "access_methods" => {
                let space_ids: Vec<Uuid> = found.iter().map(|space| space.space_id).collect();
                let filter = access_grants::Filter { space_ids: Some(&space_ids), ..access_grants::Filter::default() };
                let (grants, now) = engine::access_grants::list(&call.app, visibility.workspace_id, &filter).await?;
                methods(&grants, now, None)
            }
            _ => Vec::new(),
        };
        batch.insert(name.to_owned(), json!(listed));
    }
    Ok(Related { batch })
}

/// Checks that each space that the request names was found.
fn check_all_found(input: &GetRelated, found: &[Space]) -> Result<()> {
    let has_id = |id: &Uuid| found.iter().any(|space| space.space_id == *id);
    let has_key = |key: &String| found.iter().any(|space| space.space_key.as_ref() == Some(key));
    if input.space_ids.iter().all(has_id) && input.space_keys.iter().all(has_key) {
        return Ok(());
    }
    Err(Error::NotFound(Resource::Space))
}
