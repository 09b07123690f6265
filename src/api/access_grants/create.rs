//! `/access_grants/create`.

use super::params::{Found, RequestedMethodParams, requested_methods};
use crate::api::body::access_grant::AccessGrantBody;
use crate::api::edge::Call;
use crate::api::user_identities::params::NewUserIdentityParams;
use crate::clock::Timestamp;
use crate::engine::access_grants::{self, NewAccessGrant, NewLocation, NewUser};
use crate::error::{Error, Resource, Result};
use crate::http::params::{client_key, optional_instant};
use crate::store::spaces::SpaceReference;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Maximum number of devices or spaces that a request names.
const MAX_PLACES: usize = 500;

#[derive(Deserialize)]
pub(super) struct Create {
    user_identity_id: Option<Uuid>,
    user_identity: Option<NewUserIdentityParams>,
    requested_access_methods: Vec<RequestedMethodParams>,
    #[serde(default)]
    device_ids: Vec<Uuid>,
    #[serde(default)]
    space_ids: Vec<Uuid>,
    #[serde(default)]
    space_keys: Vec<String>,
    #[serde(default)]
    location_ids: Vec<Uuid>,
    location: Option<LocationParams>,
    #[serde(default)]
    acs_entrance_ids: Vec<Uuid>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    name: Option<String>,
    access_grant_key: Option<String>,
    reservation_key: Option<String>,
    customization_profile_id: Option<Uuid>,
}

/// Space to create with the grant.
#[derive(Deserialize)]
struct LocationParams {
    name: Option<String>,
    #[serde(default)]
    device_ids: Vec<Uuid>,
    #[serde(default)]
    acs_entrance_ids: Vec<Uuid>,
}

pub(super) async fn create(call: Call<Create>) -> Result<Found> {
    let customer_key = call.caller.visibility().customer_key;
    let new = call.input.read(customer_key)?;
    let listed = access_grants::create(&call.app, &call.caller.visibility(), new).await?;
    let now: Timestamp = listed.grant.created_at;
    Ok(Found { access_grant: AccessGrantBody::of(&listed, now) })
}

/// Converts the access grant of a fixtures file to a [`NewAccessGrant`]. It has the parameters of
/// `/access_grants/create`, and must have passed the schema of the file.
///
/// # Errors
/// The first parameter that is invalid or contradicts another one.
pub(crate) fn new_access_grant(parameters: Map<String, Value>) -> Result<NewAccessGrant> {
    Create::deserialize(Value::Object(parameters))?.read(None)
}

impl Create {
    fn read(self, customer_key: Option<String>) -> Result<NewAccessGrant> {
        let location = self.location;
        let no_entrances = self.acs_entrance_ids.is_empty()
            && location.as_ref().is_none_or(|location| location.acs_entrance_ids.is_empty());
        if !no_entrances {
            return Err(Error::NotFound(Resource::AcsEntrance));
        }
        let named = [&self.device_ids, &self.space_ids, &self.location_ids].map(Vec::len).into_iter().sum::<usize>();
        let named = named + self.space_keys.len() + location.as_ref().map_or(0, |location| location.device_ids.len());
        if named == 0 && location.is_none() {
            return Err(Error::invalid_request("Give device_ids, space_ids or space_keys: the places of the grant"));
        }
        if named > MAX_PLACES {
            let message = format!("Give at most {MAX_PLACES} devices and spaces. A space can have more devices");
            return Err(Error::invalid_request(message));
        }
        let user = match (self.user_identity_id, self.user_identity) {
            (Some(id), None) => NewUser::Existing(id),
            (None, Some(params)) => NewUser::New(params.read(customer_key)?),
            _ => return Err(Error::invalid_request("Either user_identity_id or user_identity is required")),
        };
        let ids = self.space_ids.into_iter().chain(self.location_ids).map(SpaceReference::Id);
        Ok(NewAccessGrant {
            user,
            requested_access_methods: requested_methods(self.requested_access_methods)?,
            device_ids: self.device_ids,
            spaces: ids.chain(self.space_keys.into_iter().map(SpaceReference::Key)).collect(),
            location: location.map(|location| NewLocation {
                name: location.name.unwrap_or_default(),
                device_ids: location.device_ids,
            }),
            starts_at: optional_instant("starts_at", self.starts_at.as_deref())?,
            ends_at: optional_instant("ends_at", self.ends_at.as_deref())?,
            name: self.name,
            access_grant_key: client_key("access_grant_key", self.access_grant_key)?,
            reservation_key: client_key("reservation_key", self.reservation_key)?,
            customization_profile_id: self.customization_profile_id,
        })
    }
}
