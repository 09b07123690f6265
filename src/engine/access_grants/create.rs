//! Creation of access grants.

use super::checks::{check_count, check_lock_count, check_times};
use super::provision::{CodesOfGrant, Wanted};
use super::unit_of_work::{GrantUnitOfWork, finish};
use crate::clock::{Timestamp, machine_now};
use crate::domain::access_grant::{AccessGrant, Mode, RequestedAccessMethod};
use crate::domain::caller::Visibility;
use crate::domain::client_session::add_missing;
use crate::domain::user_identity::UserIdentity;
use crate::engine::app::App;
use crate::engine::locked_workspace;
use crate::engine::spaces::{self as space_operations, NewSpace};
use crate::engine::unit_of_work::UnitOfWork;
use crate::engine::user_identities::{self as identity_operations, NewUserIdentity};
use crate::error::{Error, Resource, Result, Taken};
use crate::ids::Ids;
use crate::postgres::Transaction;
use crate::store::access_grants::{self, Listed};
use crate::store::spaces::{self, SpaceReference};
use crate::store::user_identities::{self, Names};
use crate::store::workspaces;
use uuid::Uuid;

/// Parameters of a new access grant.
#[derive(Debug)]
pub(crate) struct NewAccessGrant {
    pub user: NewUser,
    pub requested_access_methods: Vec<RequestedMethod>,
    pub device_ids: Vec<Uuid>,
    pub spaces: Vec<SpaceReference>,
    /// Space to create for the grant.
    pub location: Option<NewLocation>,
    /// `None`: now.
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub name: Option<String>,
    pub access_grant_key: Option<String>,
    pub reservation_key: Option<String>,
    pub customization_profile_id: Option<Uuid>,
}

/// Access method that a request asks for.
#[derive(Clone, Debug)]
pub(crate) struct RequestedMethod {
    pub mode: Mode,
    pub code: Option<String>,
    pub instant_key_max_use_count: Option<i64>,
}

impl RequestedMethod {
    pub(super) fn at(self, created_at: Timestamp) -> RequestedAccessMethod {
        let Self { mode, code, instant_key_max_use_count } = self;
        RequestedAccessMethod {
            mode,
            code,
            instant_key_max_use_count,
            created_at,
            is_deleted: false,
            deleted_device_ids: Vec::new(),
        }
    }
}

/// Identity of a new grant.
#[derive(Debug)]
pub(crate) enum NewUser {
    Existing(Uuid),
    New(NewUserIdentity),
}

/// Space that is created with a grant.
#[derive(Debug)]
pub(crate) struct NewLocation {
    pub name: String,
    pub device_ids: Vec<Uuid>,
}

/// Creates a grant, with its methods and their codes.
///
/// # Errors
/// [`Error::NotFound`] of the identity, a device or a space; [`Error::Taken`] for a key that another grant has, and for a
/// key, email address or phone number of another identity; [`Error::InvalidInput`] for times that are over. Nothing is
/// created then. A lock that can hold no code is no error: the grant shows it.
pub(crate) async fn create(app: &App, visibility: &Visibility, new: NewAccessGrant) -> Result<Listed> {
    let tx = locked_workspace::begin(app, visibility.workspace_id).await?;
    let (work, grant_id) = create_in(tx, visibility, new).await?;
    finish(app, work, grant_id).await
}

/// Like [`create`], in a transaction that has locked the workspace. Returns the unit of work, which is written but not
/// committed, and the id of the grant.
///
/// # Errors
/// Those of [`create`].
pub(crate) async fn create_in(
    mut tx: Transaction,
    visibility: &Visibility,
    new: NewAccessGrant,
) -> Result<(UnitOfWork, Uuid)> {
    let workspace_id = visibility.workspace_id;
    check_count(new.requested_access_methods.len())?;
    if let Some(key) = &new.access_grant_key
        && access_grants::has_key(&mut tx, workspace_id, key).await?
    {
        return Err(Error::Taken(Taken::AccessGrantKey));
    }
    let (space_ids, of_spaces) = spaces_of(&mut tx, visibility, &new.spaces).await?;
    let mut named = Vec::new();
    add_missing(&mut named, &new.device_ids);
    let mut device_ids = named.clone();
    if let Some(location) = &new.location {
        add_missing(&mut device_ids, &location.device_ids);
    }
    let named_count = device_ids.len();
    add_missing(&mut device_ids, &of_spaces);
    check_lock_count(device_ids.len())?;
    let (ids, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    let machine_now = machine_now();
    let now = settings.clock.now(machine_now);
    let identity = identity_of(&mut tx, visibility, new.user, &ids, (now, machine_now)).await?;
    let preferred_code = access_grants::newest_code_of(&mut tx, identity.user_identity_id).await?;
    let (starts_at, ends_at) = check_times((new.starts_at, new.ends_at), now)?;
    let ordinal = access_grants::next_ordinal(&mut tx, workspace_id).await?;
    let mut grant = AccessGrant {
        device_ids: named,
        space_ids,
        access_grant_key: new.access_grant_key,
        reservation_key: new.reservation_key,
        name: new.name,
        customization_profile_id: new.customization_profile_id,
        requested_access_methods: new.requested_access_methods.into_iter().map(|requested| requested.at(now)).collect(),
        ..AccessGrant::new(
            ids.id("access_grant", workspace_id, ordinal, machine_now),
            (workspace_id, identity.user_identity_id),
            (starts_at, ends_at),
            now,
        )
    };
    let grant_id = grant.access_grant_id;
    let codes =
        CodesOfGrant { name: grant.name.clone().unwrap_or_else(|| identity.display_name().clone()), preferred_code };
    let mut started = GrantUnitOfWork::begin(tx, visibility, &device_ids, named_count).await?;
    if let Some(NewLocation { name, device_ids }) = new.location {
        let customer_key = visibility.customer_key.clone();
        let space = NewSpace { name, customer_key, device_ids, ..NewSpace::default() };
        grant.space_ids.push(space_operations::create_in(started.work(), space).await?.space_id);
    }
    started.add(grant);
    let requests = started.requests(grant_id, &device_ids);
    let mut work = started.provision(vec![Wanted { access_grant_id: grant_id, codes, requests }]).await?;
    work.write().await?;
    Ok((work, grant_id))
}

/// Returns the identity that gets the access, which is created if it is new.
async fn identity_of(
    tx: &mut Transaction,
    visibility: &Visibility,
    user: NewUser,
    ids: &Ids,
    times: (Timestamp, Timestamp),
) -> Result<UserIdentity> {
    match user {
        NewUser::Existing(id) => find_identity(tx, visibility, id).await,
        NewUser::New(identity) => {
            identity_operations::create_in(tx, (visibility.workspace_id, ids), identity, times).await
        }
    }
}

/// Returns the identity with this id, or the one into which it was merged.
async fn find_identity(tx: &mut Transaction, visibility: &Visibility, id: Uuid) -> Result<UserIdentity> {
    let names = Names::Ids(vec![id]);
    let found = user_identities::find(tx, visibility, &identity_operations::of_names(&names)).await?;
    let identity = found.into_iter().next().filter(|identity| identity.deletion_requested_at.is_none());
    identity.ok_or(Error::NotFound(Resource::UserIdentity))
}

/// Returns the ids of the spaces, each once, and their devices.
async fn spaces_of(
    tx: &mut Transaction,
    visibility: &Visibility,
    references: &[SpaceReference],
) -> Result<(Vec<Uuid>, Vec<Uuid>)> {
    let (mut space_ids, mut device_ids) = (Vec::new(), Vec::new());
    if references.is_empty() {
        return Ok((space_ids, device_ids));
    }
    for space in spaces::find_all(tx, visibility, references).await? {
        add_missing(&mut space_ids, &[space.space_id]);
        add_missing(&mut device_ids, &space.device_ids);
    }
    Ok((space_ids, device_ids))
}
