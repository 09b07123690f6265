//! Creation, change, merge and deletion of user identities. Each operation locks the workspace, so that keys, email
//! addresses and phone numbers stay unique.

use super::access_grants::delete::delete_grants_in;
use super::app::App;
use super::locked_workspace;
use crate::clock::{Timestamp, machine_now};
use crate::domain::caller::Visibility;
use crate::domain::client_session::add_missing;
use crate::domain::event::NewEvent;
use crate::domain::user_identity::UserIdentity;
use crate::error::{Error, Resource, Result, Taken};
use crate::ids::Ids;
use crate::postgres::Transaction;
use crate::store::user_identities::{self, Filter, Names};
use crate::store::{access_grants, client_sessions, devices, workspaces};
use sqlx::PgConnection;
use uuid::Uuid;

/// Parameters of a new user identity.
#[derive(Debug, Default)]
pub(crate) struct NewUserIdentity {
    pub user_identity_key: Option<String>,
    pub full_name: Option<String>,
    pub email_address: Option<String>,
    pub phone_number: Option<String>,
    pub customer_key: Option<String>,
}

/// Creates a user identity.
///
/// # Errors
/// [`Error::Taken`] if another one has its key, email address or phone number.
pub(crate) async fn create(app: &App, workspace_id: Uuid, new: NewUserIdentity) -> Result<UserIdentity> {
    let mut tx = locked_workspace::begin(app, workspace_id).await?;
    let (ids, settings) = workspaces::settings(&mut tx, workspace_id).await?;
    let machine_now = machine_now();
    let created = create_in(&mut tx, (workspace_id, &ids), new, (settings.clock.now(machine_now), machine_now)).await?;
    tx.commit().await?;
    Ok(created)
}

/// Like [`create`], in a transaction that has locked the workspace. The instants are those of its clock and of the
/// machine.
///
/// # Errors
/// Those of [`create`].
pub(crate) async fn create_in(
    tx: &mut PgConnection,
    (workspace_id, ids): (Uuid, &Ids),
    new: NewUserIdentity,
    (now, machine_now): (Timestamp, Timestamp),
) -> Result<UserIdentity> {
    let ordinal = user_identities::next_ordinal(tx, workspace_id).await?;
    let identity = UserIdentity {
        user_identity_id: ids.id("user_identity", workspace_id, ordinal, machine_now),
        workspace_id,
        user_identity_key: new.user_identity_key,
        full_name: new.full_name,
        email_address: new.email_address,
        phone_number: new.phone_number,
        customer_key: new.customer_key,
        device_ids: Vec::new(),
        created_at: now,
        deletion_requested_at: None,
        merged_user_identity_ids: Vec::new(),
        merged_user_identity_keys: Vec::new(),
    };
    check_unique(tx, &identity).await?;
    user_identities::insert(tx, &identity).await?;
    Ok(identity)
}

/// Requested changes of a user identity; `None` leaves a property unchanged, `Some(None)` clears it.
#[derive(Debug, Default)]
pub(crate) struct UserIdentityUpdate {
    pub user_identity_key: Option<Option<String>>,
    pub full_name: Option<Option<String>>,
    pub email_address: Option<Option<String>>,
    pub phone_number: Option<Option<String>>,
}

/// Changes a user identity.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Taken`] if another one has its new key, email address or phone number.
pub(crate) async fn update(
    app: &App,
    visibility: &Visibility,
    user_identity_id: Uuid,
    update: UserIdentityUpdate,
) -> Result<()> {
    let (mut tx, mut identity) = begin(app, visibility, user_identity_id).await?;
    let set = |property: &mut Option<String>, change: Option<Option<String>>| {
        if let Some(value) = change {
            *property = value;
        }
    };
    set(&mut identity.user_identity_key, update.user_identity_key);
    set(&mut identity.full_name, update.full_name);
    set(&mut identity.email_address, update.email_address);
    set(&mut identity.phone_number, update.phone_number);
    check_unique(&mut tx, &identity).await?;
    user_identities::update(&mut tx, &identity).await?;
    tx.commit().await
}

/// Merges user identities into another one, which takes over the email address and the phone number that it lacks, from
/// the first that has one. Their devices and client sessions become those of the other one. Those that were merged
/// before stay merged: repeating the request changes nothing.
///
/// # Errors
/// [`Error::NotFound`] of one of them.
pub(crate) async fn merge(app: &App, visibility: &Visibility, into: Names, merged: Names) -> Result<()> {
    let workspace_id = visibility.workspace_id;
    let mut tx = locked_workspace::begin(app, workspace_id).await?;
    let survivors = user_identities::survivors(&mut tx, workspace_id, &into).await?;
    let into = *survivors.first().ok_or(Error::NotFound(Resource::UserIdentity))?;
    let mut merged_ids = Vec::new();
    add_missing(&mut merged_ids, &user_identities::survivors(&mut tx, workspace_id, &merged).await?);
    merged_ids.retain(|id| *id != into);
    if merged_ids.is_empty() {
        return Ok(());
    }
    let names = Names::Ids(merged_ids.iter().copied().chain([into]).collect());
    let found = user_identities::find(&mut tx, visibility, &of_names(&names)).await?;
    let of_id = |id: Uuid| found.iter().find(|identity| identity.user_identity_id == id);
    let mut survivor = of_id(into).ok_or(Error::NotFound(Resource::UserIdentity))?.clone();
    merged_ids.iter().filter_map(|id| of_id(*id)).for_each(|merged| survivor.take_over(merged));
    // The merged rows give their email addresses and phone numbers away before the survivor takes them.
    user_identities::merge(&mut tx, into, &merged_ids).await?;
    user_identities::update(&mut tx, &survivor).await?;
    access_grants::move_to_identity(&mut tx, into, &merged_ids).await?;
    client_sessions::replace_user_identities(&mut tx, workspace_id, into, &merged_ids).await?;
    tx.commit().await?;
    app.callers.forget(workspace_id);
    Ok(())
}

/// Gives a user identity access to a device, or takes it away again. Nothing changes if it is so already.
///
/// # Errors
/// [`Error::NotFound`] of the user identity or the device.
pub(crate) async fn set_device_access(
    app: &App,
    visibility: &Visibility,
    (user_identity_id, device_id): (Uuid, Uuid),
    has_access: bool,
) -> Result<()> {
    // Read before the transaction begins: a request that holds a connection must not wait for a second one.
    let account = devices::account_of(&app.pool, visibility, device_id).await?;
    let (mut tx, identity) = begin(app, visibility, user_identity_id).await?;
    account.ok_or(Error::NotFound(Resource::Device))?;
    if has_access {
        user_identities::add_device(&mut tx, identity.user_identity_id, device_id).await?;
    } else {
        user_identities::remove_device(&mut tx, identity.user_identity_id, device_id).await?;
    }
    tx.commit().await
}

/// Deletes a user identity with those that were merged into it, with its access grants, and with the client sessions that
/// have no other one.
///
/// # Errors
/// [`Error::NotFound`], also of one that was merged into another one: that one is not deleted by mistake.
pub(crate) async fn delete(app: &App, visibility: &Visibility, user_identity_id: Uuid) -> Result<()> {
    let workspace_id = visibility.workspace_id;
    let (mut tx, identity) = begin(app, visibility, user_identity_id).await?;
    if identity.user_identity_id != user_identity_id {
        return Err(Error::NotFound(Resource::UserIdentity));
    }
    let filter = access_grants::Filter { user_identity_id: Some(user_identity_id), ..access_grants::Filter::default() };
    let grants = access_grants::list_in(&mut tx, workspace_id, &filter).await?;
    let mut work = delete_grants_in(tx, workspace_id, &grants).await?;
    user_identities::delete(&mut work.tx, user_identity_id).await?;
    let sessions = client_sessions::delete_of_user_identity(&mut work.tx, workspace_id, user_identity_id).await?;
    for session in sessions {
        let (generator, times) = ((&work.ids, work.clock), (work.now, work.machine_now));
        let event = NewEvent::of_deleted_client_session(session, workspace_id, generator, times);
        work.codes.recorder.record_event(event);
    }
    work.finish(app).await?;
    app.callers.forget(workspace_id);
    Ok(())
}

/// Returns the filter for user identities that a request names.
pub(crate) fn of_names(names: &Names) -> Filter<'_> {
    Filter { names: Some(names), ..Filter::default() }
}

/// Locks the workspace and finds the user identity.
async fn begin(app: &App, visibility: &Visibility, user_identity_id: Uuid) -> Result<(Transaction, UserIdentity)> {
    let mut tx = locked_workspace::begin(app, visibility.workspace_id).await?;
    let names = Names::Ids(vec![user_identity_id]);
    let found = user_identities::find(&mut tx, visibility, &of_names(&names)).await?;
    let identity = found.into_iter().next().ok_or(Error::NotFound(Resource::UserIdentity))?;
    Ok((tx, identity))
}

/// Checks that no other user identity has the same key, email address or phone number. The workspace must be locked.
async fn check_unique(tx: &mut PgConnection, identity: &UserIdentity) -> Result<()> {
    let taken = user_identities::taken(tx, identity).await?;
    if taken.has_key {
        return Err(Error::Taken(Taken::UserIdentityKey));
    }
    if taken.has_email_or_phone {
        return Err(Error::Taken(Taken::UserIdentityEmailOrPhone));
    }
    Ok(())
}
