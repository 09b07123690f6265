//! Writes of data derived from codes: wake times, due times, and the removal of empty PIN groups.

use super::row::StoredCode;
use crate::clock::{Timestamp, WorkspaceClock};
use crate::error::Result;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Recomputes the wake times of the codes of a workspace for this clock, and writes those that differ. For use after a
/// change of the clock, with all devices of the workspace locked.
pub(crate) async fn set_wake_times(tx: &mut PgConnection, workspace_id: Uuid, clock: WorkspaceClock) -> Result<()> {
    let (ids, wake_at): (Vec<Uuid>, Vec<Option<Timestamp>>) = sqlx::query!(
        r#"select access_code_id, due_at as "due_at!", wake_at from access_code
           where workspace_id = $1 and due_at is not null"#,
        workspace_id,
    )
    .fetch_all(&mut *tx)
    .await?
    .into_iter()
    .map(|row| (row.access_code_id, clock.machine_time_of(row.due_at), row.wake_at))
    .filter(|(_, wake_at, before)| wake_at != before)
    .map(|(id, wake_at, _)| (id, wake_at))
    .unzip();
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update access_code set wake_at = new.wake_at
         from unnest($1::uuid[], $2::timestamptz[]) as new(access_code_id, wake_at)
         where access_code.access_code_id = any(array[new.access_code_id])",
        &ids,
        &wake_at as &[Option<Timestamp>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the due times and wake times of these codes. Their devices must be locked.
pub(crate) async fn set_due_times(tx: &mut PgConnection, codes: &[StoredCode]) -> Result<()> {
    sqlx::query!(
        "update access_code set due_at = new.due_at, wake_at = new.wake_at
         from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as new(access_code_id, due_at, wake_at)
         where access_code.access_code_id = any(array[new.access_code_id])",
        &codes.iter().map(|stored| stored.code.access_code_id).collect::<Vec<_>>(),
        &codes.iter().map(|stored| stored.due_at).collect::<Vec<_>>() as &[Option<Timestamp>],
        &codes.iter().map(|stored| stored.wake_at).collect::<Vec<_>>() as &[Option<Timestamp>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes the PIN groups of these keys that have no codes left. A group that another transaction has locked, because
/// it is about to add codes, is skipped: waiting for it could deadlock, since that transaction locks groups before
/// devices.
pub(crate) async fn remove_empty_groups(tx: &mut PgConnection, keys: BTreeSet<(Uuid, String)>) -> Result<()> {
    let (workspace_ids, keys): (Vec<Uuid>, Vec<String>) = keys.into_iter().unzip();
    let lock = sqlx::query_scalar!(
        r#"select g.common_code_key as "common_code_key!"
                from unnest($1::uuid[], $2::text[]) as wanted(workspace_id, key)
                cross join lateral (select * from pin_group
                                    where workspace_id = wanted.workspace_id and common_code_key = wanted.key
                                    offset 0 for update skip locked) as g"#,
        &workspace_ids,
        &keys,
    );
    let locked = lock.fetch_all(&mut *tx).await?;
    if locked.is_empty() {
        return Ok(());
    }
    // A separate statement, which sees the codes that were added before the group was locked. It again skips groups
    // that other transactions have locked.
    let remove = sqlx::query!(
        "delete from pin_group
                  where ctid = any(array(
                      select g.ctid
                      from unnest($1::uuid[], $2::text[]) as wanted(workspace_id, key)
                      cross join lateral (select ctid from pin_group
                                          where workspace_id = wanted.workspace_id and common_code_key = wanted.key
                                          offset 0 for update skip locked) as g
                      where not exists (select from (select * from access_code a
                                                     where a.common_code_key = wanted.key offset 0) as a
                                        where a.gone_at is null and a.workspace_id = wanted.workspace_id)))",
        &workspace_ids,
        &keys,
    );
    remove.execute(tx).await?;
    Ok(())
}
