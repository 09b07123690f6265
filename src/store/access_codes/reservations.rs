//! SQL of reservations: existing codes that may conflict with new ones.

use super::row::window;
use crate::clock::Timestamp;
use crate::domain::access_code::lifecycle::Window;
use crate::domain::linked::Reservation;
use crate::domain::offline::{ExistingOfflineCode, OfflineKind};
use crate::domain::simulation::CodeInMemory;
use crate::error::Result;
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// PIN on a lock for which conflicting codes are looked up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinQuery {
    pub device_id: Uuid,
    pub code: String,
}

/// Returns the PINs that are looked up on this device, separated by commas; `None`: no PINs.
pub(super) fn pins_on(device_id: Uuid, pins: &BTreeSet<PinQuery>) -> Option<String> {
    let from = PinQuery { device_id, code: String::new() };
    let codes = pins.range(from..).take_while(|pin| pin.device_id == device_id).map(|pin| pin.code.as_str());
    Some(codes.collect::<Vec<_>>().join(",")).filter(|codes| !codes.is_empty())
}

/// SQL after `from` for the codes `a` that have one of the PINs `wanted.codes` on the lock `wanted.device_id`, at any
/// time. Expired codes that only stay visible do not reserve their PIN.
///
/// `offset 0`, here and below, prevents PostgreSQL from reversing the join and reading all codes for each PIN.
const OF_WANTED_PINS: &str = "unnest(string_to_array(wanted.codes, ',')) as pin(code)
    cross join lateral ((select * from access_code a
                         where a.device_id = wanted.device_id and a.code = pin.code and a.gone_at is null
                               and (a.particulars is null or not a.particulars ? 'has_expired')
                         offset 0)
                        union all
                        (select * from access_code a
                         where a.held_code = pin.code and a.device_id is not distinct from wanted.device_id
                               and a.held_code <> a.code and a.gone_at is null
                         offset 0)) as a";

/// Appends a column with the reservations of the PINs `wanted.codes` on the lock `wanted.device_id`, as JSON; null if
/// there are none.
pub(super) fn push_reservations_of_wanted(query: &mut QueryBuilder<Postgres>) {
    query.push("(select jsonb_agg(to_jsonb(reservation)) from (select ").push(ReservationRow::COLUMNS);
    query.push(" from ").push(OF_WANTED_PINS).push(") as reservation)");
}

/// Returns the reservations of codes that already have the PIN on the lock.
pub(crate) async fn reservations_of_code(tx: &mut PgConnection, pin: PinQuery) -> Result<Vec<Reservation>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ReservationRow::COLUMNS).push(" from (select ").push_bind(pin.device_id).push("::uuid, ");
    query.push_bind(pin.code).push("::text) as wanted(device_id, codes) cross join lateral ").push(OF_WANTED_PINS);
    ReservationRow::into_reservations(query.build_query_as().fetch_all(tx).await?)
}

/// Returns the reservations of all codes on these locks, except expired codes that only stay visible.
pub(crate) async fn reservations_on_devices(
    tx: &mut PgConnection,
    device_ids: &BTreeSet<Uuid>,
) -> Result<Vec<Reservation>> {
    let mut query = QueryBuilder::new("select ");
    query.push(ReservationRow::COLUMNS).push(" from unnest(");
    query.push_bind(device_ids.iter().copied().collect::<Vec<_>>());
    query.push(
        "::uuid[]) as wanted(device_id)
         cross join lateral (select * from access_code a
                             where a.device_id = wanted.device_id and a.gone_at is null
                                   and (a.particulars is null or not a.particulars ? 'has_expired')
                             offset 0) as a",
    );
    ReservationRow::into_reservations(query.build_query_as().fetch_all(tx).await?)
}

/// Row of a reservation, also as a JSON object.
#[derive(Debug, Deserialize, FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "the columns are independent of each other")]
pub(super) struct ReservationRow {
    access_code_id: Uuid,
    device_id: Uuid,
    code: String,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    is_natively_scheduled: bool,
    is_managed: bool,
    held_code: Option<String>,
    held_starts_at: Option<Timestamp>,
    held_ends_at: Option<Timestamp>,
    is_backup: bool,
    is_in_pool: bool,
    is_ended: bool,
}

impl ReservationRow {
    /// Columns of the code `a`.
    const COLUMNS: &str = "a.access_code_id, a.device_id, a.code, a.starts_at, a.ends_at, a.is_natively_scheduled,
        a.is_managed, a.held_code, a.held_starts_at, a.held_ends_at, a.is_backup,
        a.pool_device_id is not null as is_in_pool,
        a.deletion_requested_at is not null or coalesce(a.ends_at <= a.as_of, false) as is_ended";

    /// Returns the reservation of the requested entry and, if it differs, that of the entry on the lock. While a PIN is
    /// being changed, both PINs are reserved.
    fn reservations(self) -> Result<(Reservation, Option<Reservation>)> {
        let id = self.access_code_id;
        let held_window = window((self.held_starts_at, self.held_ends_at), (id, "held_starts_at"))?;
        let held = self.held_code.map(|code| (code, held_window));
        let requested = Reservation {
            access_code_id: self.access_code_id,
            device_id: self.device_id,
            code: self.code,
            window: window((self.starts_at, self.ends_at), (id, "starts_at"))?,
            is_natively_scheduled: self.is_natively_scheduled,
            is_managed: self.is_managed,
            // A backup code that is not on the lock does not reduce the capacity for other codes.
            uses_slot: !self.is_backup || held.is_some(),
            is_in_pool: self.is_in_pool,
            is_being_removed: self.is_ended && held.is_some(),
        };
        let held = held.filter(|(code, window)| *code != requested.code || *window != requested.window);
        // The code uses one slot, which is counted for the requested entry.
        let held = held.map(|(code, window)| Reservation { code, window, uses_slot: false, ..requested.clone() });
        Ok((requested, held))
    }

    pub(super) fn into_reservations(rows: Vec<Self>) -> Result<Vec<Reservation>> {
        let mut reservations = Vec::with_capacity(rows.len());
        for row in rows {
            let (requested, held) = row.reservations()?;
            reservations.push(requested);
            reservations.extend(held);
        }
        Ok(reservations)
    }
}

/// Returns the entries in the memory of locks that have one of these PINs, by device id. `pins` are pairs of a device
/// id and a PIN. Offline codes are not in the memory.
///
/// The first half of the union finds entries whose PIN is also the requested PIN of their code. The second half finds
/// entries whose code has another requested PIN. Each half uses its own index.
pub(crate) async fn entries_with_pins(
    tx: &mut PgConnection,
    pins: &BTreeSet<(Uuid, String)>,
) -> Result<HashMap<Uuid, Vec<CodeInMemory>>> {
    let (device_ids, codes): (Vec<Uuid>, Vec<String>) = pins.iter().cloned().unzip();
    let rows = sqlx::query!(
        r#"select a.access_code_id as "access_code_id!", a.device_id as "device_id!", a.is_managed as "is_managed!",
                a.held_code as "held_code!"
         from unnest($1::uuid[], $2::text[]) as wanted(device_id, code)
         cross join lateral (select * from access_code a
                             where a.device_id = wanted.device_id and a.code = wanted.code and a.gone_at is null
                             offset 0) as a
         where a.held_code = wanted.code and not a.is_offline
         union all
         select a.access_code_id, a.device_id, a.is_managed, a.held_code
         from unnest($1::uuid[], $2::text[]) as wanted(device_id, code)
         cross join lateral (select * from access_code a
                             where a.held_code = wanted.code and a.device_id is not distinct from wanted.device_id
                               and a.held_code <> a.code and a.gone_at is null
                             offset 0) as a
         where not a.is_offline"#,
        &device_ids,
        &codes,
    )
    .fetch_all(tx)
    .await?;
    let mut held: HashMap<Uuid, Vec<CodeInMemory>> = HashMap::new();
    for row in rows {
        held.entry(row.device_id).or_default().push(CodeInMemory {
            access_code_id: row.access_code_id,
            is_managed: row.is_managed,
            code: row.held_code,
        });
    }
    Ok(held)
}

/// Returns the number of entries in the memory of each of these locks. Offline codes are not in the memory.
pub(crate) async fn entry_counts(tx: &mut PgConnection, device_ids: &[Uuid]) -> Result<HashMap<Uuid, i64>> {
    let rows = sqlx::query!(
        r#"select device_id, count(*) as "count!" from access_code
           where device_id = any($1) and gone_at is null and held_code is not null and not is_offline
           group by device_id"#,
        device_ids,
    )
    .fetch_all(tx)
    .await?;
    let counts = rows.into_iter().map(|row| (row.device_id, row.count));
    let zeros = device_ids.iter().map(|device_id| (*device_id, 0));
    Ok(zeros.chain(counts).collect())
}

/// Returns the offline codes of these locks, by device id.
pub(crate) async fn offline_on_devices(
    tx: &mut PgConnection,
    device_ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<ExistingOfflineCode>>> {
    let rows = sqlx::query!(
        r#"select device_id, starts_at as "starts_at!", ends_at as "ends_at!",
                  particulars -> 'offline' -> 'kind' as "kind!: Json<OfflineKind>"
           from access_code
           where device_id = any($1) and gone_at is null and is_offline and starts_at is not null"#,
        device_ids,
    )
    .fetch_all(tx)
    .await?;
    let mut offline_codes: HashMap<Uuid, Vec<ExistingOfflineCode>> = HashMap::new();
    for row in rows {
        let window = Window { starts_at: row.starts_at, ends_at: row.ends_at };
        offline_codes.entry(row.device_id).or_default().push(ExistingOfflineCode { kind: row.kind.0, window });
    }
    Ok(offline_codes)
}
