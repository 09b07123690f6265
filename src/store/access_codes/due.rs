//! Claims of due codes by locking their devices, skipping devices that another transaction has locked.

use super::row::{AccessCodeRow, StoredCode};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::ordinal_after;
use crate::postgres::Pool;
use sqlx::{PgConnection, QueryBuilder};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Code that is due, on a locked device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub device_id: Uuid,
    pub workspace_id: Uuid,
    pub access_code_id: Uuid,
}

/// Devices on which to look for due codes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DueOn<'a> {
    /// Only these devices.
    Only(&'a [Uuid]),
    /// All devices except these.
    AllExcept(&'a [Uuid]),
}

/// Claims due codes by locking their devices: at most `first` codes, of the `window` codes that have been due longest.
/// Devices that another transaction has locked are skipped. Of codes that fall due at one instant, it claims those of
/// one device after the other, so that few devices are locked.
///
/// The number of devices to lock follows from the average number of codes on them, so fewer codes than `first` may be
/// claimed, but at least one device is. Each device is locked once, and not once for each of its codes: trying to lock a
/// row that another transaction has locked is expensive.
pub(crate) async fn claim_due(
    tx: &mut PgConnection,
    machine_now: Timestamp,
    on: DueOn<'_>,
    (first, window): (usize, usize),
) -> Result<Vec<Due>> {
    let (device_ids, is_included) = match on {
        DueOn::Only(device_ids) => (device_ids, true),
        DueOn::AllExcept(device_ids) => (device_ids, false),
    };
    let claimed = sqlx::query!(
        r#"with due as (
               select device_id, array_agg(access_code_id order by wake_at, sequence) as access_code_ids,
                      min(wake_at) as wake_at
               from (select device_id, access_code_id, wake_at, sequence from access_code
                     where wake_at <= $1 and (device_id = any($2)) = $3 order by wake_at, device_id limit $5) as longest
               group by device_id)
           select d.device_id as "device_id!", d.workspace_id as "workspace_id!",
                  due.access_code_ids as "access_code_ids!"
           from due join device d on d.device_id = any(array[due.device_id])
           order by due.wake_at, due.device_id
           limit (select ceil($4::bigint * count(*)::numeric / sum(cardinality(access_code_ids)))::bigint from due)
           for update of d skip locked"#,
        machine_now,
        device_ids,
        is_included,
        ordinal_after(first),
        ordinal_after(window),
    )
    .fetch_all(tx)
    .await?;
    let codes = claimed.into_iter().flat_map(|row| {
        let (device_id, workspace_id) = (row.device_id, row.workspace_id);
        row.access_code_ids.into_iter().map(move |access_code_id| Due { device_id, workspace_id, access_code_id })
    });
    Ok(codes.take(first).collect())
}

/// Returns the workspaces of the `first` codes that have been due longest, one entry per code. Codes on
/// `excluded_devices` are ignored.
pub(crate) async fn longest_due(
    pool: &Pool,
    machine_now: Timestamp,
    excluded_devices: &[Uuid],
    first: usize,
) -> Result<Vec<Uuid>> {
    let due = sqlx::query_scalar!(
        "select workspace_id from access_code where wake_at <= $1 and not device_id = any($2) order by wake_at limit $3",
        machine_now,
        excluded_devices,
        ordinal_after(first),
    );
    Ok(due.fetch_all(pool.for_workspace(Uuid::nil())).await?)
}

/// Number of most recently due codes among which [`claim_newly_due`] looks for codes to claim.
const NEWEST: i64 = 5000;

/// Claims the most recently due codes by locking their devices, at most `first`, together with all other due codes on
/// these devices. Skips these `devices` and `workspaces`, and devices that another transaction has locked.
pub(crate) async fn claim_newly_due(
    tx: &mut PgConnection,
    machine_now: Timestamp,
    (devices, workspaces): (&[Uuid], &[Uuid]),
    first: usize,
) -> Result<Vec<Due>> {
    let newest = sqlx::query_as!(
        Due,
        r#"select d.device_id as "device_id!", d.workspace_id as "workspace_id!", a.access_code_id as "access_code_id!"
           from (select device_id, workspace_id, access_code_id, wake_at from access_code
                 where wake_at <= $1 order by wake_at desc limit $5) as a
           join device d on d.device_id = any(array[a.device_id])
           where not a.device_id = any($2) and not a.workspace_id = any($3)
           order by a.wake_at desc limit $4 for update of d skip locked"#,
        machine_now,
        devices,
        workspaces,
        ordinal_after(first),
        NEWEST,
    )
    .fetch_all(&mut *tx)
    .await?;
    if newest.is_empty() {
        return Ok(newest);
    }
    // Codes that have been due longer on the same device must be processed first.
    let device_ids: BTreeSet<Uuid> = newest.iter().map(|due| due.device_id).collect();
    let due = sqlx::query_as!(
        Due,
        r#"select a.device_id as "device_id!", a.workspace_id as "workspace_id!", a.access_code_id as "access_code_id!"
           from unnest($1::uuid[]) as claimed(id)
           cross join lateral (select * from access_code a where a.device_id = claimed.id and a.gone_at is null
                               offset 0) as a
           where a.wake_at <= $2"#,
        &device_ids.into_iter().collect::<Vec<_>>(),
        machine_now,
    );
    Ok(due.fetch_all(tx).await?)
}

/// Returns the claimed codes that are still due, and the codes that are blocked by an entry in the memory of their
/// locks.
pub(crate) async fn claimed_codes(
    tx: &mut PgConnection,
    due: &[Due],
    machine_now: Timestamp,
) -> Result<Vec<StoredCode>> {
    let device_ids: BTreeSet<Uuid> = due.iter().map(|due| due.device_id).collect();
    let device_ids: Vec<Uuid> = device_ids.into_iter().collect();
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(" from unnest(");
    query.push_bind(due.iter().map(|due| due.access_code_id).collect::<Vec<_>>());
    query.push("::uuid[]) as claimed(id) cross join lateral (select * from access_code a where a.access_code_id = ");
    query.push("claimed.id offset 0) as a where a.wake_at <= ").push_bind(machine_now).push(" union all ");
    super::push_blocked_on(&mut query, &device_ids);
    query.push(" where a.wake_at is null or a.wake_at > ").push_bind(machine_now);
    super::codes(tx, query).await
}
