//! Reads of access grants, each with all that its responses show. The number of statements does not depend on the number
//! of grants.

use super::{AccessGrantRow, methods_of};
use crate::domain::access_code::AccessCode;
use crate::domain::access_grant::{AccessGrant, AccessMethod};
use crate::error::Result;
use crate::postgres::Pool;
use crate::store::{Position, access_codes, push_page, push_workspace};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Filter of access grants; a field that is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter<'a> {
    /// Only grants with these ids.
    pub access_grant_ids: Option<&'a [Uuid]>,
    /// Only grants with one of these ids or one of these keys.
    pub named: Option<(&'a [Uuid], &'a [String])>,
    /// Only grants with these keys.
    pub access_grant_keys: Option<&'a [String]>,
    /// Only grants without a key.
    pub without_key: bool,
    /// Only grants with this access method.
    pub access_method_ids: Option<&'a [Uuid]>,
    /// Only grants with this access code.
    pub access_code_id: Option<Uuid>,
    /// Only grants that cover this device.
    pub device_id: Option<Uuid>,
    /// Only grants of these spaces.
    pub space_ids: Option<&'a [Uuid]>,
    /// Only grants of this identity.
    pub user_identity_id: Option<Uuid>,
    /// Only grants of identities or spaces of the customers with these keys: each of them.
    pub customer_keys: Vec<String>,
    /// Only grants with this key of a reservation.
    pub reservation_key: Option<&'a str>,
    /// Only grants with this text in their name, keys or id, or in the id, name, email or phone of their identity.
    pub search: Option<&'a str>,
    /// Only grants after this position.
    pub after: Option<Position>,
    /// Maximum number of grants.
    pub limit: Option<i64>,
}

/// Access grant with everything that its responses show.
#[derive(Debug)]
pub(crate) struct Listed {
    pub grant: AccessGrant,
    /// Methods in the order of their creation.
    pub methods: Vec<AccessMethod>,
    /// Codes of the methods that are not gone, each with true if its lock is reachable.
    pub codes: Vec<(AccessCode, bool)>,
    /// Locks that the grant covers: those that the client named, then those of its spaces.
    pub covered: Vec<Uuid>,
    /// True if locks that the client named were deleted, removed from their account, or are not controlled by Seam any
    /// more.
    pub has_lost_locks: bool,
    /// Name of the identity, or what stands for it.
    pub identity_name: String,
}

/// Returns the grants of a workspace that pass the filter, newest first.
pub(crate) async fn list_in(
    connection: &mut PgConnection,
    workspace_id: Uuid,
    filter: &Filter<'_>,
) -> Result<Vec<Listed>> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessGrantRow::COLUMNS).push(" from access_grant a");
    push_conditions(&mut query, workspace_id, filter);
    let rows: Vec<AccessGrantRow> = query.build_query_as().fetch_all(&mut *connection).await?;
    let grants: Vec<AccessGrant> = rows.into_iter().map(AccessGrant::from).collect();
    if grants.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = grants.iter().map(|grant| grant.access_grant_id).collect();
    let mut methods = methods_of(&mut *connection, &ids).await?;
    let grant_of: HashMap<Uuid, Uuid> =
        methods.values().flatten().map(|method| (method.access_method_id, method.access_grant_id)).collect();
    let method_ids: Vec<Uuid> = grant_of.keys().copied().collect();
    let mut codes: HashMap<Uuid, Vec<(AccessCode, bool)>> = HashMap::new();
    for (code, is_reachable) in access_codes::of_methods(&mut *connection, &method_ids).await? {
        if let Some(grant_id) = code.access_method_id.and_then(|id| grant_of.get(&id)) {
            codes.entry(*grant_id).or_default().push((code, is_reachable));
        }
    }
    let names = identity_names(&mut *connection, grants.iter().map(|grant| grant.user_identity_id).collect()).await?;
    let mut covered = covered_devices(&mut *connection, &grants).await?;
    let listed = grants.into_iter().map(|grant| {
        let Covered { device_ids, has_lost_locks } = covered.remove(&grant.access_grant_id).unwrap_or_default();
        Listed {
            methods: methods.remove(&grant.access_grant_id).unwrap_or_default(),
            codes: codes.remove(&grant.access_grant_id).unwrap_or_default(),
            covered: device_ids,
            has_lost_locks,
            identity_name: names
                .get(&grant.user_identity_id)
                .cloned()
                .unwrap_or_else(|| grant.user_identity_id.to_string()),
            grant,
        }
    });
    Ok(listed.collect())
}

fn push_conditions(query: &mut QueryBuilder<Postgres>, workspace_id: Uuid, filter: &Filter<'_>) {
    let has_ids = filter.access_grant_ids.is_some()
        || filter.access_method_ids.is_some()
        || filter.access_code_id.is_some()
        || filter.device_id.is_some()
        || filter.space_ids.is_some()
        || filter.user_identity_id.is_some();
    push_workspace(query, workspace_id, has_ids && filter.access_grant_keys.is_none());
    if let Some(ids) = filter.access_grant_ids {
        query.push(" and a.access_grant_id = any(").push_bind(ids.to_vec()).push(")");
    }
    if let Some((ids, keys)) = filter.named {
        query.push(" and (a.access_grant_id = any(").push_bind(ids.to_vec());
        query.push(") or a.access_grant_key = any(").push_bind(keys.to_vec()).push("))");
    }
    if let Some(keys) = filter.access_grant_keys {
        query.push(" and a.access_grant_key = any(").push_bind(keys.to_vec()).push(")");
    }
    if filter.without_key {
        query.push(" and a.access_grant_key is null");
    }
    if let Some(ids) = filter.access_method_ids {
        query.push(" and a.access_grant_id = any(array(select access_grant_id from access_method");
        query.push(" where access_method_id = any(").push_bind(ids.to_vec()).push(")))");
    }
    if let Some(id) = filter.access_code_id {
        query.push(" and a.access_grant_id = (select access_grant_id from access_method where access_method_id =");
        query.push(" (select access_method_id from access_code where access_code_id = ").push_bind(id).push("))");
    }
    if let Some(id) = filter.device_id {
        query.push(" and (a.device_ids ? ").push_bind(id.to_string()).push(" or a.space_ids ?| array(");
        query.push("select space_id::text from space where device_ids @> array[").push_bind(id).push("]))");
    }
    if let Some(ids) = filter.space_ids {
        query.push(" and a.space_ids ?| ").push_bind(ids.iter().map(Uuid::to_string).collect::<Vec<_>>());
    }
    if let Some(id) = filter.user_identity_id {
        // An identity that was merged into another one finds the grants of that one.
        query.push(
            " and a.user_identity_id = coalesce((select merged_into from user_identity where user_identity_id = ",
        );
        query.push_bind(id).push("), ").push_bind(id).push(")");
    }
    for key in &filter.customer_keys {
        push_of_customer(query, key);
    }
    if let Some(key) = filter.reservation_key {
        query.push(" and a.reservation_key = ").push_bind(key.to_owned());
    }
    if let Some(search) = filter.search {
        query.push(" and exists (select from user_identity i where i.user_identity_id = a.user_identity_id");
        query.push(" and position(lower(").push_bind(search.to_owned());
        query.push(
            ") in lower(concat_ws(' ', a.name, a.access_grant_key, a.reservation_key, a.access_grant_id,
                                  a.user_identity_id, i.full_name, i.email_address, i.phone_number))) > 0)",
        );
    }
    push_page(query, "access_grant_id", filter.after, filter.limit);
}

/// Restricts a query to the grants `a` of identities or spaces of a customer.
fn push_of_customer(query: &mut QueryBuilder<Postgres>, key: &str) {
    query.push(" and (exists (select from user_identity i where i.user_identity_id = a.user_identity_id");
    query.push(" and i.customer_key = ").push_bind(key.to_owned()).push(") or a.space_ids ?| array(");
    query.push("select space_id::text from space p where p.workspace_id = a.workspace_id and p.customer_key = ");
    query.push_bind(key.to_owned()).push("))");
}

/// Locks that a grant covers.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    pub device_ids: Vec<Uuid>,
    /// See [`Listed::has_lost_locks`].
    pub has_lost_locks: bool,
}

/// Returns the locks that each of these grants covers, by grant id: those that the client named, then those of its
/// spaces. Locks that were deleted, and those that Seam does not control any more, are left out.
pub(crate) async fn covered_devices(
    connection: &mut PgConnection,
    grants: &[AccessGrant],
) -> Result<HashMap<Uuid, Covered>> {
    let space_ids: BTreeSet<Uuid> = grants.iter().flat_map(|grant| grant.space_ids.iter().copied()).collect();
    let mut of_spaces: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    if !space_ids.is_empty() {
        let rows = sqlx::query!(
            "select space_id, device_ids from space where space_id = any($1)",
            &space_ids.into_iter().collect::<Vec<_>>()
        )
        .fetch_all(&mut *connection)
        .await?;
        of_spaces.extend(rows.into_iter().map(|row| (row.space_id, row.device_ids)));
    }
    let named = |grant: &AccessGrant| -> Vec<Uuid> {
        let of_spaces = grant.space_ids.iter().filter_map(|space_id| of_spaces.get(space_id)).flatten();
        let mut seen = BTreeSet::new();
        grant.device_ids.iter().chain(of_spaces).filter(|id| seen.insert(**id)).copied().collect()
    };
    let named: HashMap<Uuid, Vec<Uuid>> = grants.iter().map(|grant| (grant.access_grant_id, named(grant))).collect();
    let all: BTreeSet<Uuid> = named.values().flatten().copied().collect();
    let present = sqlx::query!(
        r#"select device_id, trouble ->> 'removed_at' is not null as "is_removed!"
           from device where device_id = any($1) and deleted_at is null and is_managed"#,
        &all.into_iter().collect::<Vec<_>>()
    )
    .fetch_all(connection)
    .await?;
    let present: HashMap<Uuid, bool> = present.into_iter().map(|row| (row.device_id, row.is_removed)).collect();
    let covered = |ids: Vec<Uuid>| Covered {
        has_lost_locks: ids.iter().any(|id| present.get(id).is_none_or(|is_removed| *is_removed)),
        device_ids: ids.into_iter().filter(|id| present.contains_key(id)).collect(),
    };
    Ok(named.into_iter().map(|(grant_id, ids)| (grant_id, covered(ids))).collect())
}

/// Returns the display names of these identities, by id.
pub(crate) async fn identity_names(connection: &mut PgConnection, ids: Vec<Uuid>) -> Result<HashMap<Uuid, String>> {
    let rows = sqlx::query!(
        r#"select user_identity_id,
                  coalesce(full_name, email_address, phone_number, user_identity_key, user_identity_id::text) as "name!"
           from user_identity where user_identity_id = any($1)"#,
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.user_identity_id, row.name)).collect())
}

/// Returns the grant of each of these methods of a workspace. Methods that are gone are missing.
pub(crate) async fn grants_of_methods(
    pool: &Pool,
    workspace_id: Uuid,
    method_ids: &[Uuid],
) -> Result<HashMap<Uuid, Uuid>> {
    if method_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        "select access_method_id, access_grant_id from access_method
         where access_method_id = any($1) and workspace_id = $2",
        method_ids,
        workspace_id
    )
    .fetch_all(pool.for_workspace(workspace_id))
    .await?;
    Ok(rows.into_iter().map(|row| (row.access_method_id, row.access_grant_id)).collect())
}
