//! SQL of access grants and access methods. A grant and its methods are written while the row of the grant is locked;
//! the row is locked after the devices of the codes.

mod list;

pub(crate) use self::list::{Filter, Listed, covered_devices, grants_of_methods, identity_names, list_in};

use super::access_codes;
use super::row::row;
use crate::clock::{Timestamp, WorkspaceClock};
use crate::domain::access_grant::{
    AccessGrant, AccessMethod, Conditions, LockedGrant, LockedGrants, MethodCode, RequestedAccessMethod, TimesChange,
};
use crate::error::{Error, Result};
use crate::ids::Ids;
use sqlx::types::Json;
use sqlx::{PgConnection, QueryBuilder};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

row! {
    /// Row of an access grant.
    #[derive(Debug)]
    pub(crate) AccessGrantRow of access_grant {
        access_grant_id: Uuid,
        fixed {
            workspace_id: Uuid,
            access_grant_key: Option<String>,
            reservation_key: Option<String>,
            customization_profile_id: Option<Uuid>,
            device_ids: Json<Vec<Uuid>>,
            created_at: Timestamp,
        }
        changing {
            user_identity_id: Uuid,
            name: Option<String>,
            space_ids: Json<Vec<Uuid>>,
            starts_at: Timestamp,
            ends_at: Option<Timestamp>,
            requested_access_methods: Json<Vec<RequestedAccessMethod>>,
            conditions: Option<Json<Conditions>>,
            changing_times: Option<Json<TimesChange>>,
            granted_at: Option<Timestamp>,
            deletion_requested_at: Option<Timestamp>,
            children: i64,
        }
        generated {}
    }
}

impl From<AccessGrantRow> for AccessGrant {
    fn from(row: AccessGrantRow) -> Self {
        Self {
            access_grant_id: row.access_grant_id,
            workspace_id: row.workspace_id,
            user_identity_id: row.user_identity_id,
            access_grant_key: row.access_grant_key,
            reservation_key: row.reservation_key,
            name: row.name,
            customization_profile_id: row.customization_profile_id,
            device_ids: row.device_ids.0,
            space_ids: row.space_ids.0,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            created_at: row.created_at,
            requested_access_methods: row.requested_access_methods.0,
            conditions: row.conditions.map(|conditions| conditions.0).unwrap_or_default(),
            changing_times: row.changing_times.map(|times| times.0),
            granted_at: row.granted_at,
            deletion_requested_at: row.deletion_requested_at,
            children: row.children,
        }
    }
}

impl From<AccessGrant> for AccessGrantRow {
    fn from(grant: AccessGrant) -> Self {
        Self {
            access_grant_id: grant.access_grant_id,
            workspace_id: grant.workspace_id,
            access_grant_key: grant.access_grant_key,
            reservation_key: grant.reservation_key,
            customization_profile_id: grant.customization_profile_id,
            device_ids: Json(grant.device_ids),
            created_at: grant.created_at,
            user_identity_id: grant.user_identity_id,
            name: grant.name,
            space_ids: Json(grant.space_ids),
            starts_at: grant.starts_at,
            ends_at: grant.ends_at,
            requested_access_methods: Json(grant.requested_access_methods),
            conditions: (grant.conditions != Conditions::default()).then_some(Json(grant.conditions)),
            changing_times: grant.changing_times.map(Json),
            granted_at: grant.granted_at,
            deletion_requested_at: grant.deletion_requested_at,
            children: grant.children,
        }
    }
}

row! {
    /// Row of an access method.
    #[derive(Debug)]
    pub(crate) AccessMethodRow of access_method {
        access_method_id: Uuid,
        fixed {
            workspace_id: Uuid,
            access_grant_id: Uuid,
            request: i32,
            original_access_method_id: Option<Uuid>,
            created_at: Timestamp,
        }
        changing {
            code: Option<String>,
            common_code_key: Option<String>,
            issued_at: Option<Timestamp>,
            was_issued: bool,
            backup_pulled_at: Option<Timestamp>,
            delayed_at: Option<Timestamp>,
            failed_at: Option<Timestamp>,
            changing_times: Option<Json<TimesChange>>,
            deletion_requested_at: Option<Timestamp>,
            children: i64,
        }
        generated {}
    }
}

impl TryFrom<AccessMethodRow> for AccessMethod {
    type Error = Error;

    fn try_from(row: AccessMethodRow) -> Result<Self> {
        let request = usize::try_from(row.request)
            .map_err(|_| Error::inconsistent("access_method", row.access_method_id, "request"))?;
        Ok(Self {
            access_method_id: row.access_method_id,
            workspace_id: row.workspace_id,
            access_grant_id: row.access_grant_id,
            request,
            original_access_method_id: row.original_access_method_id,
            created_at: row.created_at,
            code: row.code,
            common_code_key: row.common_code_key,
            issued_at: row.issued_at,
            was_issued: row.was_issued,
            backup_pulled_at: row.backup_pulled_at,
            delayed_at: row.delayed_at,
            failed_at: row.failed_at,
            changing_times: row.changing_times.map(|times| times.0),
            deletion_requested_at: row.deletion_requested_at,
            children: row.children,
        })
    }
}

impl From<AccessMethod> for AccessMethodRow {
    fn from(method: AccessMethod) -> Self {
        Self {
            access_method_id: method.access_method_id,
            workspace_id: method.workspace_id,
            access_grant_id: method.access_grant_id,
            request: i32::try_from(method.request).unwrap_or(i32::MAX),
            original_access_method_id: method.original_access_method_id,
            created_at: method.created_at,
            code: method.code,
            common_code_key: method.common_code_key,
            issued_at: method.issued_at,
            was_issued: method.was_issued,
            backup_pulled_at: method.backup_pulled_at,
            delayed_at: method.delayed_at,
            failed_at: method.failed_at,
            changing_times: method.changing_times.map(Json),
            deletion_requested_at: method.deletion_requested_at,
            children: method.children,
        }
    }
}

/// Grants to lock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AccessGrants<'a> {
    /// Grants with these ids.
    ByIds(&'a [Uuid]),
    /// Grants of the access methods with these ids.
    OfMethods(&'a [Uuid]),
}

/// Locks these grants in the order of their ids, and reads them with their methods and codes. Grants that do not exist
/// are missing from the result. `workspaces` has the generator of ids, and the clock, of each workspace.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    grants: AccessGrants<'_>,
    workspaces: &HashMap<Uuid, (Ids, WorkspaceClock)>,
) -> Result<Vec<LockedGrant>> {
    let mut query = QueryBuilder::new("select a.access_grant_id from access_grant a where a.access_grant_id = any(");
    match grants {
        AccessGrants::ByIds(ids) => drop(query.push_bind(ids.to_vec())),
        AccessGrants::OfMethods(ids) => {
            query.push("array(select access_grant_id from access_method where access_method_id = any(");
            query.push_bind(ids.to_vec()).push("))");
        }
    }
    query.push(") order by a.access_grant_id for update");
    let locked: Vec<(Uuid,)> = query.build_query_as().fetch_all(&mut *tx).await?;
    let ids: Vec<Uuid> = locked.into_iter().map(|(id,)| id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Separate statements, which see what the transactions before this one have committed.
    let mut query = QueryBuilder::new("select ");
    query.push(AccessGrantRow::COLUMNS).push(" from access_grant a where a.access_grant_id = any(");
    query.push_bind(ids.clone()).push(") order by a.access_grant_id");
    let rows: Vec<AccessGrantRow> = query.build_query_as().fetch_all(&mut *tx).await?;
    let mut methods = methods_of(&mut *tx, &ids).await?;
    let method_ids: Vec<Uuid> = methods.values().flatten().map(|method| method.access_method_id).collect();
    let mut codes: HashMap<Uuid, BTreeMap<Uuid, MethodCode>> = HashMap::new();
    for (code, is_reachable) in access_codes::of_methods(&mut *tx, &method_ids).await? {
        if let Some(method_code) = MethodCode::of(&code, is_reachable) {
            codes.entry(method_code.access_method_id).or_default().insert(code.access_code_id, method_code);
        }
    }
    let mut locked = Vec::with_capacity(rows.len());
    for row in rows {
        let (ids, clock) = workspaces
            .get(&row.workspace_id)
            .ok_or_else(|| Error::inconsistent("access_grant", row.access_grant_id, "workspace_id"))?;
        let grant = AccessGrant::from(row);
        let mut result = LockedGrant::new(grant.clone(), ids.clone(), *clock);
        result.methods = methods.remove(&grant.access_grant_id).unwrap_or_default();
        for method in &result.methods.clone() {
            for (access_code_id, code) in codes.remove(&method.access_method_id).unwrap_or_default() {
                result.update_code(access_code_id, Some(code));
            }
        }
        result.stored = Some((grant, result.methods.clone()));
        locked.push(result);
    }
    Ok(locked)
}

/// Returns the methods of these grants by grant id, in the order of their creation.
pub(crate) async fn methods_of<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    grant_ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<AccessMethod>>> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessMethodRow::COLUMNS).push(" from access_method a where a.access_grant_id = any(");
    query.push_bind(grant_ids.to_vec()).push(") order by a.sequence");
    let rows: Vec<AccessMethodRow> = query.build_query_as().fetch_all(executor).await?;
    let mut methods: HashMap<Uuid, Vec<AccessMethod>> = HashMap::new();
    for row in rows {
        methods.entry(row.access_grant_id).or_default().push(row.try_into()?);
    }
    Ok(methods)
}

/// Writes the changes of locked grants and their methods, and deletes those that are gone. Sends no statement if
/// nothing changed.
pub(crate) async fn save(tx: &mut PgConnection, grants: &mut LockedGrants) -> Result<()> {
    let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let (mut new_methods, mut changed_methods, mut gone_methods) = (Vec::new(), Vec::new(), Vec::new());
    for locked in grants.iter_mut() {
        let (stored_grant, stored_methods) = match locked.stored.take() {
            Some((grant, methods)) => (Some(grant), methods),
            None => (None, Vec::new()),
        };
        gone_methods.append(&mut locked.gone_methods);
        if locked.is_gone {
            gone.extend(stored_grant.map(|grant| grant.access_grant_id));
            continue;
        }
        match &stored_grant {
            None => new.push(AccessGrantRow::from(locked.grant.clone())),
            Some(stored) if *stored != locked.grant => changed.push(AccessGrantRow::from(locked.grant.clone())),
            Some(_) => {}
        }
        let stored: HashMap<Uuid, &AccessMethod> =
            stored_methods.iter().map(|method| (method.access_method_id, method)).collect();
        for method in &locked.methods {
            match stored.get(&method.access_method_id) {
                None => new_methods.push(AccessMethodRow::from(method.clone())),
                Some(stored) if *stored != method => changed_methods.push(AccessMethodRow::from(method.clone())),
                Some(_) => {}
            }
        }
        locked.stored = Some((locked.grant.clone(), locked.methods.clone()));
    }
    if !new.is_empty() {
        write(tx, |query| AccessGrantRow::push_insert(query, new)).await?;
    }
    if !changed.is_empty() {
        write(tx, |query| AccessGrantRow::push_update(query, changed)).await?;
    }
    if !new_methods.is_empty() {
        write(tx, |query| AccessMethodRow::push_insert(query, new_methods)).await?;
    }
    if !changed_methods.is_empty() {
        write(tx, |query| AccessMethodRow::push_update(query, changed_methods)).await?;
    }
    if !gone_methods.is_empty() {
        sqlx::query!("delete from access_method where access_method_id = any($1)", &gone_methods)
            .execute(&mut *tx)
            .await?;
    }
    if !gone.is_empty() {
        sqlx::query!("delete from access_grant where access_grant_id = any($1)", &gone).execute(tx).await?;
    }
    Ok(())
}

async fn write(tx: &mut PgConnection, push: impl FnOnce(&mut QueryBuilder<sqlx::Postgres>)) -> Result<()> {
    let mut query = QueryBuilder::new("");
    push(&mut query);
    query.build().execute(tx).await?;
    Ok(())
}

/// Returns true if a grant of the workspace has this key.
pub(crate) async fn has_key(tx: &mut PgConnection, workspace_id: Uuid, key: &str) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from access_grant where workspace_id = $1 and access_grant_key = $2) as "found!""#,
        workspace_id,
        key
    );
    Ok(found.fetch_one(tx).await?)
}

/// Returns the ordinal of the next grant of a workspace. The workspace must be locked.
pub(crate) async fn next_ordinal(tx: &mut PgConnection, workspace_id: Uuid) -> Result<i64> {
    let ordinal = sqlx::query_scalar!(
        r#"update workspace set access_grants_made = access_grants_made + 1 where workspace_id = $1
           returning access_grants_made - 1 as "ordinal!""#,
        workspace_id
    );
    Ok(ordinal.fetch_one(tx).await?)
}

/// Returns the PIN of the newest method of an identity; `None` if it has none.
pub(crate) async fn newest_code_of(tx: &mut PgConnection, user_identity_id: Uuid) -> Result<Option<String>> {
    let code = sqlx::query_scalar!(
        r#"select m.code as "code!" from access_grant g join access_method m using (access_grant_id)
           where g.user_identity_id = $1 and m.code is not null and m.deletion_requested_at is null
           order by m.sequence desc limit 1"#,
        user_identity_id
    );
    Ok(code.fetch_optional(tx).await?)
}

/// Returns the grants of these spaces, without those that are being deleted, and without those that are over at
/// `in_force_at`. `None`: also those that are over.
pub(crate) async fn of_spaces(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    space_ids: &[Uuid],
    in_force_at: Option<Timestamp>,
) -> Result<Vec<Uuid>> {
    let space_ids: Vec<String> = space_ids.iter().map(Uuid::to_string).collect();
    let grants = sqlx::query_scalar!(
        "select access_grant_id from access_grant
         where space_ids ?| $2 and workspace_id is not distinct from $1 and deletion_requested_at is null
               and ($3::timestamptz is null or ends_at is null or ends_at > $3)",
        workspace_id,
        &space_ids,
        in_force_at
    );
    Ok(grants.fetch_all(tx).await?)
}

/// Returns the grants that cover one of these devices, without those that are over at `now` or being deleted.
pub(crate) async fn of_devices(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    device_ids: &[Uuid],
    now: Timestamp,
) -> Result<Vec<Uuid>> {
    let texts: Vec<String> = device_ids.iter().map(Uuid::to_string).collect();
    let grants = sqlx::query_scalar!(
        "select access_grant_id from access_grant
         where (device_ids ?| $2 or space_ids ?| array(select space_id::text from space where device_ids && $3))
               and workspace_id is not distinct from $1 and deletion_requested_at is null
               and (ends_at is null or ends_at > $4)",
        workspace_id,
        &texts,
        device_ids,
        now
    );
    Ok(grants.fetch_all(tx).await?)
}

/// Moves the grants of identities to the one into which they are merged.
pub(crate) async fn move_to_identity(tx: &mut PgConnection, into: Uuid, merged: &[Uuid]) -> Result<()> {
    sqlx::query!("update access_grant set user_identity_id = $1 where user_identity_id = any($2)", into, merged)
        .execute(tx)
        .await?;
    Ok(())
}
