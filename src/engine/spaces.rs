//! Creation, change and deletion of spaces. Each operation locks the workspace first, so that a space does not change
//! between the locks of its devices and the lock of its row. Every change of the devices of a space goes through
//! [`change_devices`].

use super::access_grants::reconcile::{detach_space, reconcile_spaces};
use super::app::App;
use super::locked_workspace;
use super::unit_of_work::{Scope, UnitOfWork};
use crate::domain::caller::Visibility;
use crate::domain::client_session::add_missing;
use crate::domain::event::{NewEvent, event_type};
use crate::domain::space::Space;
use crate::error::{Error, Resource, Result, Taken};
use crate::postgres::Transaction;
use crate::store::spaces::{self, SpaceReference};
use crate::store::{accounts, user_identities};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Parameters of a new space.
#[derive(Debug, Default)]
pub(crate) struct NewSpace {
    pub name: String,
    pub space_key: Option<String>,
    pub customer_key: Option<String>,
    pub customer_data: Map<String, Value>,
    pub device_ids: Vec<Uuid>,
    /// Accounts whose devices are added too.
    pub connected_account_ids: Vec<Uuid>,
}

/// Creates a space.
///
/// # Errors
/// [`Error::NotFound`] of a device or an account; [`Error::Taken`] for a key that another space has.
pub(crate) async fn create(app: &App, visibility: &Visibility, mut new: NewSpace) -> Result<Space> {
    let mut tx = locked_workspace::begin(app, visibility.workspace_id).await?;
    let of_accounts = devices_of_accounts(&mut tx, visibility, &new.connected_account_ids).await?;
    add_missing(&mut new.device_ids, &of_accounts);
    let mut work = begin_with_devices(tx, visibility, &new.device_ids).await?;
    new.device_ids.iter().try_for_each(|id| work.codes.visible_device(*id, visibility).map(drop))?;
    let space = create_in(&mut work, new).await?;
    work.finish(app).await?;
    Ok(space)
}

/// Like [`create`], in a transaction that has locked the workspace and the devices of the space.
///
/// # Errors
/// [`Error::Taken`] for a key that another space has.
pub(crate) async fn create_in(work: &mut UnitOfWork, new: NewSpace) -> Result<Space> {
    let workspace_id = work.visibility.workspace_id;
    if let Some(key) = &new.space_key
        && spaces::has_key(&mut work.tx, workspace_id, key).await?
    {
        return Err(Error::Taken(Taken::SpaceKey));
    }
    let ordinal = spaces::next_ordinal(&mut work.tx, workspace_id).await?;
    let mut space = Space {
        space_id: work.ids.id("space", workspace_id, ordinal, work.machine_now),
        workspace_id,
        name: new.name,
        space_key: new.space_key,
        customer_key: new.customer_key,
        customer_data: Map::new(),
        device_ids: Vec::new(),
        connected_account_ids: Vec::new(),
        created_at: work.now,
        deletion_requested_at: None,
        children: 0,
    };
    space.change_customer_data(new.customer_data);
    add_missing(&mut space.device_ids, &new.device_ids);
    add_missing(&mut space.connected_account_ids, &new.connected_account_ids);
    record(work, &mut space, event_type::SPACE_CREATED);
    spaces::insert(&mut work.tx, &space).await?;
    Ok(space)
}

/// Requested changes of a space; `None` leaves a property unchanged.
#[derive(Debug, Default)]
pub(crate) struct SpaceUpdate {
    pub name: Option<String>,
    /// Members to set, and with null to clear.
    pub customer_data: Map<String, Value>,
    /// All devices of the space from now on.
    pub device_ids: Option<Vec<Uuid>>,
}

/// Changes a space and returns it.
///
/// # Errors
/// [`Error::NotFound`] of the space or a device; nothing is changed then.
pub(crate) async fn update(
    app: &App,
    visibility: &Visibility,
    reference: &SpaceReference,
    update: SpaceUpdate,
) -> Result<Space> {
    let (tx, space) = begin(app, visibility, reference).await?;
    let SpaceUpdate { name, customer_data, device_ids } = update;
    let named = device_ids.as_deref().map(distinct);
    // Devices that leave the space are locked too.
    let mut affected = named.clone().unwrap_or_default();
    add_missing(&mut affected, if named.is_some() { &space.device_ids } else { &[] });
    let devices = (affected, named.clone().unwrap_or_default());
    change(app, visibility, (tx, space.space_id), devices, |space| {
        space.name = name.unwrap_or_else(|| space.name.clone());
        space.change_customer_data(customer_data);
        named.unwrap_or_else(|| space.device_ids.clone())
    })
    .await
}

/// Adds devices to a space. Devices that it has already stay as they are.
///
/// # Errors
/// [`Error::NotFound`] of the space or a device; nothing is changed then.
pub(crate) async fn add_devices(app: &App, visibility: &Visibility, space_id: Uuid, named: &[Uuid]) -> Result<()> {
    let (tx, _) = begin(app, visibility, &SpaceReference::Id(space_id)).await?;
    let devices = (distinct(named), distinct(named));
    change(app, visibility, (tx, space_id), devices, |space| space.with_devices(named)).await?;
    Ok(())
}

/// Removes devices from a space. Devices that it does not have are no error.
///
/// # Errors
/// [`Error::NotFound`] of the space or a device; nothing is changed then.
pub(crate) async fn remove_devices(app: &App, visibility: &Visibility, space_id: Uuid, named: &[Uuid]) -> Result<()> {
    let (tx, _) = begin(app, visibility, &SpaceReference::Id(space_id)).await?;
    let devices = (distinct(named), distinct(named));
    change(app, visibility, (tx, space_id), devices, |space| space.without_devices(named)).await?;
    Ok(())
}

/// Adds a connected account to a space, with the devices that it has now.
///
/// # Errors
/// [`Error::NotFound`] of the space or the account.
pub(crate) async fn add_connected_account(
    app: &App,
    visibility: &Visibility,
    space_id: Uuid,
    connected_account_id: Uuid,
) -> Result<()> {
    let (mut tx, _) = begin(app, visibility, &SpaceReference::Id(space_id)).await?;
    let of_account = devices_of_accounts(&mut tx, visibility, &[connected_account_id]).await?;
    // None of them is named by the request: one that is deleted meanwhile is no error.
    change(app, visibility, (tx, space_id), (of_account.clone(), Vec::new()), |space| {
        add_missing(&mut space.connected_account_ids, &[connected_account_id]);
        space.with_devices(&of_account)
    })
    .await?;
    Ok(())
}

/// Removes a connected account and all its devices from a space.
///
/// # Errors
/// [`Error::NotFound`] of the space or the account.
pub(crate) async fn remove_connected_account(
    app: &App,
    visibility: &Visibility,
    space_id: Uuid,
    connected_account_id: Uuid,
) -> Result<()> {
    let (mut tx, _) = begin(app, visibility, &SpaceReference::Id(space_id)).await?;
    let of_account = devices_of_accounts(&mut tx, visibility, &[connected_account_id]).await?;
    change(app, visibility, (tx, space_id), (of_account.clone(), Vec::new()), |space| {
        space.connected_account_ids.retain(|id| *id != connected_account_id);
        space.without_devices(&of_account)
    })
    .await?;
    Ok(())
}

/// Deletes a space. Its devices stay.
///
/// # Errors
/// [`Error::NotFound`] of the space.
pub(crate) async fn delete(app: &App, visibility: &Visibility, space_id: Uuid) -> Result<()> {
    let (tx, space) = begin(app, visibility, &SpaceReference::Id(space_id)).await?;
    let mut work = begin_with_devices(tx, visibility, &space.device_ids).await?;
    let mut space = spaces::lock(&mut work.tx, space_id).await?;
    record(&mut work, &mut space, event_type::SPACE_DELETED);
    spaces::delete(&mut work.tx, space_id).await?;
    detach_space(work, space_id).await?.finish(app).await?;
    Ok(())
}

/// Removes locked devices, which are about to be deleted, from the spaces and user identities that have them.
///
/// # Errors
/// The errors of the database.
pub(crate) async fn forget_devices(work: &mut UnitOfWork, device_ids: &[Uuid]) -> Result<()> {
    let workspace_id = work.visibility.workspace_id;
    user_identities::forget_devices(&mut work.tx, workspace_id, device_ids).await?;
    let found = spaces::lock_of_devices(&mut work.tx, workspace_id, device_ids).await?;
    let remaining = |space: Space| {
        let remaining = space.without_devices(device_ids);
        (space, remaining)
    };
    change_devices(work, found.into_iter().map(remaining).collect()).await?;
    Ok(())
}

/// Writes spaces, each with all the devices that it has from now on, and records the events of those whose devices
/// change. Devices that are added or removed must be locked.
///
/// # Errors
/// The errors of the database.
pub(crate) async fn change_devices(work: &mut UnitOfWork, changes: Vec<(Space, Vec<Uuid>)>) -> Result<Vec<Space>> {
    let mut written = Vec::with_capacity(changes.len());
    for (mut space, device_ids) in changes {
        if !space.has_exactly(&device_ids) {
            space.device_ids = device_ids;
            record(work, &mut space, event_type::SPACE_DEVICE_MEMBERSHIP_CHANGED);
        }
        written.push(space);
    }
    spaces::update(&mut work.tx, &written).await?;
    Ok(written)
}

/// Locks the workspace and finds the space.
async fn begin(app: &App, visibility: &Visibility, reference: &SpaceReference) -> Result<(Transaction, Space)> {
    let mut tx = locked_workspace::begin(app, visibility.workspace_id).await?;
    let space = spaces::find(&mut tx, visibility, reference).await?;
    Ok((tx, space))
}

/// Changes a space: locks the devices that join or leave it, checks that those that the request names are visible, locks
/// the row of the space, and writes and commits the change. `apply` changes the space, and returns its devices.
async fn change(
    app: &App,
    visibility: &Visibility,
    (tx, space_id): (Transaction, Uuid),
    (affected, named): (Vec<Uuid>, Vec<Uuid>),
    apply: impl FnOnce(&mut Space) -> Vec<Uuid>,
) -> Result<Space> {
    let mut work = begin_with_devices(tx, visibility, &affected).await?;
    named.iter().try_for_each(|id| work.codes.visible_device(*id, visibility).map(drop))?;
    // The row is read again: a device that was deleted meanwhile has left the space.
    let mut space = spaces::lock(&mut work.tx, space_id).await?;
    let mut device_ids = apply(&mut space);
    device_ids.retain(|id| space.device_ids.contains(id) || work.codes.device(*id).is_ok());
    let changed = change_devices(&mut work, vec![(space, device_ids)]).await?;
    reconcile_spaces(work, &[space_id]).await?.finish(app).await?;
    changed.into_iter().next().ok_or(Error::NotFound(Resource::Space))
}

/// Locks devices of the workspace, also those that the caller does not see: they may be in a space that it sees.
async fn begin_with_devices(tx: Transaction, visibility: &Visibility, device_ids: &[Uuid]) -> Result<UnitOfWork> {
    let everything = Visibility::all_of(visibility.workspace_id);
    UnitOfWork::begin_in(tx, &everything, Scope::DevicesOnly(&distinct(device_ids))).await
}

/// Returns the devices of connected accounts, in the order of their creation. The workspace must be locked.
///
/// # Errors
/// [`Error::NotFound`] of an account.
async fn devices_of_accounts(tx: &mut Transaction, visibility: &Visibility, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let is_visible = ids.iter().all(|id| visibility.covers(*id));
    if !is_visible || !accounts::exist(tx, visibility.workspace_id, ids).await? {
        return Err(Error::NotFound(Resource::ConnectedAccount));
    }
    accounts::devices_of(tx, ids).await
}

/// Records an event of a space.
fn record(work: &mut UnitOfWork, space: &mut Space, event_type: &'static str) {
    let (generator, times) = ((&work.ids, work.clock), (work.now, work.machine_now));
    let event = NewEvent::of_space(space, event_type, generator, times);
    work.codes.recorder.record_event(event);
}

fn distinct(ids: &[Uuid]) -> Vec<Uuid> {
    let mut distinct = Vec::with_capacity(ids.len());
    add_missing(&mut distinct, ids);
    distinct
}
