//! Claims: the codes that stand in the way of new ones.

use crate::access_codes::lifecycle::Window;
use crate::access_codes::linked::{Claim, LONGEST_LEAD};
use crate::access_codes::model::window;
use crate::error::Result;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A PIN somebody wants to have on a lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CodeWanted {
    /// The lock.
    pub device_id: Uuid,
    /// The PIN.
    pub code: String,
}

/// For each lock the time frame in which somebody wants codes on it; `None`: for ever.
pub type TimesWanted = BTreeMap<Uuid, Option<Window>>;

/// The codes that already have these PINs on these locks, at whatever time.
///
/// `offset 0`, here and below, keeps PostgreSQL from turning the join round and reading all codes for each PIN.
pub async fn claims_of_codes(tx: &mut PgConnection, wanted: &BTreeSet<CodeWanted>) -> Result<Vec<Claim>> {
    let claims = sqlx::query_as(
        "select a.device_id, a.code, a.starts_at, a.ends_at, a.is_natively_scheduled
         from unnest($1::uuid[], $2::text[]) as wanted(device_id, code)
         cross join lateral (select * from access_code a
                             where a.device_id = wanted.device_id and a.code = wanted.code and a.gone_at is null
                             offset 0) as a",
    )
    .bind(wanted.iter().map(|it| it.device_id).collect::<Vec<_>>())
    .bind(wanted.iter().map(|it| it.code.clone()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(claims.into_iter().map(|ClaimRow(claim)| claim).collect())
}

/// The codes that can stand in the way of one on these locks in these time frames: those that overlap one of them,
/// and those that may lie in the lock's memory at the same time, such as one that ended long ago on a lock that has been
/// offline since.
pub async fn claims_of_times(tx: &mut PgConnection, wanted: &TimesWanted) -> Result<Vec<Claim>> {
    let from = |window: &Option<Window>| window.and_then(|window| window.starts_at.checked_sub_signed(LONGEST_LEAD));
    let to = |window: &Option<Window>| window.and_then(|window| window.ends_at.checked_add_signed(LONGEST_LEAD));
    let claims = sqlx::query_as(
        "select a.device_id, a.code, a.starts_at, a.ends_at, a.is_natively_scheduled
         from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as wanted(device_id, starts_at, ends_at)
         cross join lateral (select * from access_code a
                             where a.device_id = wanted.device_id and a.gone_at is null
                             offset 0) as a
         where wanted.starts_at is null or wanted.ends_at is null or a.starts_at is null
               or (a.starts_at <= wanted.ends_at and (a.ends_at >= wanted.starts_at or a.ends_at <= a.as_of))",
    )
    .bind(wanted.keys().copied().collect::<Vec<_>>())
    .bind(wanted.values().map(from).collect::<Vec<_>>())
    .bind(wanted.values().map(to).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(claims.into_iter().map(|ClaimRow(claim)| claim).collect())
}

struct ClaimRow(Claim);

impl FromRow<'_, PgRow> for ClaimRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(Claim {
            device_id: row.try_get(0)?,
            code: row.try_get(1)?,
            window: window(row.try_get(2)?, row.try_get(3)?),
            is_natively_scheduled: row.try_get(4)?,
        }))
    }
}
