//! Responses of `get_related`: objects that belong to those that a request names.

use crate::api::body;
use crate::api::body::access_grant::AccessGrantBody;
use crate::api::body::access_method::AccessMethodBody;
use crate::api::devices::list::bodies_of;
use crate::clock::Timestamp;
use crate::domain::caller::Visibility;
use crate::engine::app::App;
use crate::error::Result;
use crate::store::access_grants::Listed;
use crate::store::user_identities::Names;
use crate::store::{accounts, devices, spaces, user_identities};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Response of `get_related`: a list of objects for each kind.
#[derive(Serialize)]
pub(crate) struct Related {
    pub(crate) batch: Map<String, Value>,
}

/// Kinds of objects to return.
pub(crate) struct Kinds<'a> {
    /// All kinds of the endpoint.
    pub(crate) all: &'a [&'static str],
    /// Only these; `None`: all.
    pub(crate) include: Option<&'a [String]>,
    /// But not these.
    pub(crate) exclude: &'a [String],
}

impl Kinds<'_> {
    /// Returns the kinds to return, in the order of `all`.
    pub(crate) fn selected(&self) -> impl Iterator<Item = &'static str> {
        let is_included =
            |name: &str| self.include.is_none_or(|included| included.iter().any(|included| included == name));
        let is_excluded = |name: &str| self.exclude.iter().any(|excluded| excluded == name);
        self.all.iter().copied().filter(move |name| is_included(name) && !is_excluded(name))
    }
}

/// Returns the objects of these kinds that belong to the grants. Of the methods only those that `is_selected` accepts,
/// and then only the devices of their codes. Kinds of objects that Latchkey does not have are empty lists.
pub(crate) async fn of_grants(
    app: &App,
    visibility: &Visibility,
    (found, now): (&[Listed], Timestamp),
    kinds: &Kinds<'_>,
    is_selected: Option<&(dyn Fn(Uuid) -> bool + Sync)>,
) -> Result<Related> {
    let pool = &app.pool;
    let device_ids: BTreeSet<Uuid> = match is_selected {
        None => found.iter().flat_map(|listed| listed.covered.iter().copied()).collect(),
        Some(is_selected) => {
            let codes = found.iter().flat_map(|listed| &listed.codes).map(|(code, _)| code);
            codes.filter(|code| code.access_method_id.is_some_and(is_selected)).map(|code| code.device_id).collect()
        }
    };
    let device_ids: Vec<Uuid> = device_ids.into_iter().collect();
    let space_ids: BTreeSet<Uuid> = found.iter().flat_map(|listed| listed.grant.space_ids.iter().copied()).collect();
    let space_ids: Vec<Uuid> = space_ids.into_iter().collect();
    let mut devices_read = None;
    let mut batch = Map::new();
    for name in kinds.selected() {
        if matches!(name, "devices" | "connected_accounts") && devices_read.is_none() {
            let filter = devices::Filter { device_ids: Some(&device_ids), ..devices::Filter::default() };
            devices_read = Some(devices::list(pool, visibility, &filter).await?);
        }
        let of_devices = devices_read.as_deref().unwrap_or_default();
        let listed: Vec<Value> = match name {
            "access_grants" => found.iter().map(|listed| json!(AccessGrantBody::of(listed, now))).collect(),
            "access_methods" => methods(found, now, is_selected),
            "devices" => bodies_of(app, of_devices).await?,
            "connected_accounts" => {
                let ids: BTreeSet<Uuid> = of_devices.iter().map(|device| device.connected_account_id).collect();
                let ids: Vec<Uuid> = ids.into_iter().collect();
                let filter = accounts::Filter { connected_account_ids: Some(&ids), ..accounts::Filter::default() };
                accounts::list(pool, visibility, &filter).await?.iter().map(body::connected_account::of).collect()
            }
            "spaces" => {
                let filter = spaces::Filter { named: Some((&space_ids, &[])), ..spaces::Filter::default() };
                spaces::list(pool, visibility, &filter).await?.iter().map(body::space::of).collect()
            }
            "user_identities" => {
                let ids: BTreeSet<Uuid> = found.iter().map(|listed| listed.grant.user_identity_id).collect();
                let names = Names::Ids(ids.into_iter().collect());
                let filter = user_identities::Filter { names: Some(&names), ..user_identities::Filter::default() };
                let found = user_identities::list(pool, visibility, &filter).await?;
                found.iter().map(body::user_identity::of).collect()
            }
            _ => Vec::new(),
        };
        batch.insert(name.to_owned(), json!(listed));
    }
    Ok(Related { batch })
}

/// Returns the methods of these grants that `is_selected` accepts.
pub(crate) fn methods(
    found: &[Listed],
    now: Timestamp,
    is_selected: Option<&(dyn Fn(Uuid) -> bool + Sync)>,
) -> Vec<Value> {
    let methods = found.iter().flat_map(|listed| listed.methods.iter().map(move |method| (listed, method)));
    let methods =
        methods.filter(|(_, method)| is_selected.is_none_or(|is_selected| is_selected(method.access_method_id)));
    methods.map(|(listed, method)| json!(AccessMethodBody::of(listed, method, now))).collect()
}
