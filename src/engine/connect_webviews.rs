//! Connect webviews: creation, deletion, and the login of a user, which connects an account with its devices.

use super::app::App;
use super::connected_accounts::AccountUpdate;
use super::device_specs::LockSpec;
use super::unit_of_work::{Scope, UnitOfWork};
use super::{connectivity, locked_workspace};
use crate::clock::machine_now;
use crate::domain::caller::Visibility;
use crate::domain::connect_webview::{ConnectWebview, WebviewSettings, WebviewStatus};
use crate::domain::connected_account::ConnectedAccount;
use crate::domain::device::Device;
use crate::domain::event::{NewEvent, event_type};
use crate::domain::locked_device::LockedDevice;
use crate::domain::sandbox_accounts::{Login, SandboxProvider};
use crate::domain::workspace::WorkspaceSettings;
use crate::error::{Error, Resource, Result};
use crate::postgres::Transaction;
use crate::store::{accounts, client_sessions, connect_webviews, devices, workspaces};
use uuid::Uuid;

/// Creates a webview. The client session that creates it, if any, gets access to the webview, and so to the account of
/// its login.
pub(crate) async fn create(
    app: &App,
    workspace_id: Uuid,
    client_session_id: Option<Uuid>,
    settings: WebviewSettings,
) -> Result<ConnectWebview> {
    let mut tx = app.pool.begin(workspace_id).await?;
    // The row of the workspace counts its webviews, so it is locked from here on.
    let ordinal = connect_webviews::next_ordinal(&mut tx, workspace_id).await?;
    let (ids, workspace) = workspaces::settings(&mut tx, workspace_id).await?;
    let machine_now = machine_now();
    let connect_webview_id = ids.id("connect_webview", workspace_id, ordinal, machine_now);
    let webview = ConnectWebview {
        connect_webview_id,
        workspace_id,
        created_at: workspace.clock.now(machine_now),
        auth_token: ids.token("connect_webview auth_token", connect_webview_id, 33),
        settings,
        status: WebviewStatus::Pending,
        selected_provider: None,
        connected_account_id: None,
        authorized_at: None,
        events_made: 0,
    };
    connect_webviews::insert(&mut tx, webview.clone()).await?;
    if let Some(client_session_id) = client_session_id {
        client_sessions::grant_webview(&mut tx, client_session_id, connect_webview_id).await?;
    }
    tx.commit().await?;
    app.callers.forget(workspace_id);
    Ok(webview)
}

/// Deletes a webview. The account of its login stays.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::ConnectWebview`] if the workspace has no such webview, or the caller may not see
/// it.
pub async fn delete(app: &App, visibility: &Visibility, connect_webview_id: Uuid) -> Result<()> {
    let workspace_id = visibility.workspace_id;
    let mut tx = locked_workspace::begin(app, workspace_id).await?;
    // Client sessions keep the access to the account.
    client_sessions::replace_webview(&mut tx, workspace_id, connect_webview_id).await?;
    if !connect_webviews::delete(&mut tx, visibility, connect_webview_id).await? {
        return Err(Error::NotFound(Resource::ConnectWebview));
    }
    tx.commit().await?;
    app.callers.forget(workspace_id);
    Ok(())
}

/// Result of a login at a webview.
#[derive(Debug)]
pub(crate) enum LoginOutcome {
    /// The account is connected.
    Authorized(ConnectWebview),
    /// The credentials are right, and the code of the second factor is missing. Nothing was changed.
    NeedsTwoFactorCode,
    /// The credentials are wrong.
    Failed(ConnectWebview),
    /// A user has already logged in at this webview. Nothing was changed.
    WasAuthorized(ConnectWebview),
}

/// Logs a user in at a provider. `login` is the decision about the credentials.
///
/// # Errors
/// [`Error::NotFound`] of [`Resource::ConnectWebview`] if the workspace has no such webview.
pub(crate) async fn log_in(
    app: &App,
    (workspace_id, connect_webview_id): (Uuid, Uuid),
    provider: &'static SandboxProvider,
    login: Login,
) -> Result<LoginOutcome> {
    let mut tx = locked_workspace::begin(app, workspace_id).await?;
    let mut webview = connect_webviews::find(&mut tx, workspace_id, connect_webview_id).await?;
    if webview.status == WebviewStatus::Authorized {
        return Ok(LoginOutcome::WasAuthorized(webview));
    }
    let user_identifier = match login {
        Login::NeedsTwoFactorCode => return Ok(LoginOutcome::NeedsTwoFactorCode),
        Login::Rejected => {
            webview.status = WebviewStatus::Failed;
            webview.selected_provider = Some(provider.name.to_owned());
            fail(app, tx, &mut webview).await?;
            return Ok(LoginOutcome::Failed(webview));
        }
        Login::Accepted { user_identifier } => user_identifier,
    };
    webview.status = WebviewStatus::Authorized;
    webview.selected_provider = Some(provider.name.to_owned());
    let brand =
        provider.brand().ok_or_else(|| Error::inconsistent("connect_webview", connect_webview_id, "provider"))?;
    let work = match accounts::find_of_user(&mut tx, workspace_id, (brand.provider, &user_identifier)).await? {
        Some(account) => reconnect(tx, &mut webview, account).await?,
        None => connect(tx, &mut webview, (brand.provider, user_identifier), provider).await?,
    };
    work.finish(app).await?;
    // Client sessions may see the account from now on.
    app.callers.forget(workspace_id);
    Ok(LoginOutcome::Authorized(webview))
}

async fn fail(app: &App, tx: Transaction, webview: &mut ConnectWebview) -> Result<()> {
    let visibility = Visibility::all_of(webview.workspace_id);
    let mut work = UnitOfWork::begin_in(tx, &visibility, Scope::Devices(&[])).await?;
    record_of_webview(&mut work, webview, None, event_type::WEBVIEW_LOGIN_FAILED);
    connect_webviews::update(&mut work.tx, webview.clone()).await?;
    work.finish(app).await?;
    Ok(())
}

/// Connects a new account, with the devices of the provider.
async fn connect(
    tx: Transaction,
    webview: &mut ConnectWebview,
    (account_provider, user_identifier): (&str, String),
    provider: &'static SandboxProvider,
) -> Result<UnitOfWork> {
    let workspace_id = webview.workspace_id;
    let mut work = UnitOfWork::begin_in(tx, &Visibility::all_of(workspace_id), Scope::Devices(&[])).await?;
    let (now, machine_now) = (work.now, work.machine_now);
    let mut account = ConnectedAccount {
        // A webview connects one account at most, so its id identifies the account.
        connected_account_id: work.ids.id("connected_account", webview.connect_webview_id, 0, machine_now),
        provider: account_provider.to_owned(),
        user_identifier,
        display_name: None,
        customer_key: webview.settings.customer_key.clone(),
        custom_metadata: webview.settings.custom_metadata.clone(),
        automatically_manage_new_devices: webview.settings.automatically_manage_new_devices,
        accepted_capabilities: webview.settings.accepted_capabilities.clone(),
        created_at: now,
        disconnected_at: None,
        events_made: 0,
        deleted_at: None,
    };
    let mut locked = new_devices(&mut work, &account, provider).await?;
    for event_type in [event_type::ACCOUNT_CREATED, event_type::ACCOUNT_CONNECTED, event_type::ACCOUNT_SUCCESSFUL_LOGIN]
    {
        connectivity::record_of_account(&mut work, &mut account, event_type, Some(webview.connect_webview_id), None);
    }
    authorize(&mut work, webview, &account);
    for locked in locked.iter_mut().filter(|locked| locked.device.is_managed) {
        let event = NewEvent::of_device(locked, event_type::DEVICE_ADDED, now, machine_now);
        work.codes.recorder.record_event(event);
    }
    let synced = event_type::ACCOUNT_COMPLETED_FIRST_SYNC;
    connectivity::record_of_account(&mut work, &mut account, synced, None, None);
    accounts::insert(&mut work.tx, workspace_id, account).await?;
    let devices: Vec<Device> = locked.into_iter().map(|locked| locked.device).collect();
    devices::insert(&mut work.tx, &devices).await?;
    connect_webviews::update(&mut work.tx, webview.clone()).await?;
    Ok(work)
}

/// Returns the devices that the login adds, without inserting them. Empty if the account accepts no locks.
async fn new_devices(
    work: &mut UnitOfWork,
    account: &ConnectedAccount,
    provider: &'static SandboxProvider,
) -> Result<Vec<LockedDevice>> {
    let workspace_id = work.visibility.workspace_id;
    if !account.accepted_capabilities.iter().any(|capability| capability == "lock") {
        return Ok(Vec::new());
    }
    let brand = provider
        .brand()
        .ok_or_else(|| Error::inconsistent("connected_account", account.connected_account_id, "provider"))?;
    let first_ordinal = devices::next_ordinal(&mut work.tx, workspace_id).await?;
    let (ids, settings): (_, WorkspaceSettings) = workspaces::settings(&mut work.tx, workspace_id).await?;
    let account_id = account.connected_account_id;
    let device = |(index, name): (i32, &&str)| {
        let spec = LockSpec {
            name: Some((*name).to_owned()),
            device_id: Some(ids.id("device", account_id, i64::from(index), work.machine_now)),
            is_managed: Some(account.automatically_manage_new_devices),
            ..LockSpec::of_type(provider.device_type)
        };
        let placed = (brand, first_ordinal.saturating_add(index));
        // The new account is connected.
        let (disconnected_since, now) = (None, (work.now, work.machine_now));
        let device = spec.device((workspace_id, &ids), placed, (account_id, disconnected_since), now)?;
        let (account, ids) = (account.fields(), ids.clone());
        Ok(LockedDevice { device, settings, ids, access_code_ordinal: 0, account, backups: 0 })
    };
    (0..).zip(provider.devices).map(device).collect()
}

/// Returns the changes of an account whose user logs in again at a webview with these settings.
fn update_of(settings: &WebviewSettings) -> AccountUpdate {
    AccountUpdate {
        display_name: None,
        customer_key: settings.customer_key.clone(),
        custom_metadata: Some(settings.custom_metadata.clone()),
        automatically_manage_new_devices: Some(settings.automatically_manage_new_devices),
        accepted_capabilities: Some(settings.accepted_capabilities.clone()),
    }
}

/// Connects an account again, and gives it the metadata of the webview. If it was connected all the time, only the
/// login is recorded.
async fn reconnect(tx: Transaction, webview: &mut ConnectWebview, account: ConnectedAccount) -> Result<UnitOfWork> {
    let mut account = account;
    let visibility = Visibility::all_of(webview.workspace_id);
    let (mut work, was_disconnected) = match account.disconnected_at {
        Some(_) => (connectivity::begin_with_devices(tx, &visibility, &account).await?, true),
        None => (UnitOfWork::begin_in(tx, &visibility, Scope::Devices(&[])).await?, false),
    };
    let settings = &webview.settings;
    let update = update_of(settings);
    // The metadata of the webview is left out if the account would have too much.
    let mut updated = account.clone();
    match update.apply(&mut updated) {
        Ok(()) => account = updated,
        Err(_) => AccountUpdate { custom_metadata: None, ..update_of(settings) }.apply(&mut account)?,
    }
    work.codes.devices.iter_mut().for_each(|locked| locked.account = account.fields());
    let login = event_type::ACCOUNT_SUCCESSFUL_LOGIN;
    connectivity::record_of_account(&mut work, &mut account, login, Some(webview.connect_webview_id), None);
    authorize(&mut work, webview, &account);
    if was_disconnected {
        connectivity::set_connected(&mut work, &mut account, true, Some(webview.connect_webview_id));
    }
    accounts::update(&mut work.tx, webview.workspace_id, account).await?;
    connect_webviews::update(&mut work.tx, webview.clone()).await?;
    work.run(false).await?;
    Ok(work)
}

/// Completes the webview with the account, and records the login.
fn authorize(work: &mut UnitOfWork, webview: &mut ConnectWebview, account: &ConnectedAccount) {
    webview.authorized_at = Some(work.now);
    webview.connected_account_id = Some(account.connected_account_id);
    record_of_webview(work, webview, Some(account), event_type::WEBVIEW_LOGIN_SUCCEEDED);
}

fn record_of_webview(
    work: &mut UnitOfWork,
    webview: &mut ConnectWebview,
    account: Option<&ConnectedAccount>,
    event_type: &'static str,
) {
    let times = (work.now, work.machine_now);
    let event = NewEvent::of_webview(webview, account, event_type, (&work.ids, work.clock), times);
    work.codes.recorder.record_event(event);
}
