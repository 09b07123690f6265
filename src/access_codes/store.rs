//! The SQL of access codes.
//!
//! One order of locking: PIN group, then devices by id, then nothing more — a code changes only under the lock of
//! its device, and the workspace's clock only under those of all its devices. Each multi-row write is one statement.

use super::lifecycle::Window;
use super::linked::{Claim, LONGEST_LEAD};
use super::model::{AccessCode, AccessCodeRow, window};
use crate::clock::{Instant, WorkspaceClock};
use crate::devices::brands;
use crate::devices::model::{Device, DeviceRow, DeviceSummary};
use crate::error::{Error, Result};
use crate::events::NewEvent;
use crate::http::pagination::Position;
use crate::ids::Ids;
use crate::workspaces::{World, store as workspaces};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgPool, QueryBuilder, Row};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// An action attempt that comes with a code.
#[derive(Clone, Debug)]
pub struct NewActionAttempt {
    /// Its id.
    pub action_attempt_id: Uuid,
    /// Seam's `action_type`.
    pub action_type: &'static str,
    /// The code it is about.
    pub access_code_id: Uuid,
    /// That code's lock.
    pub device_id: Uuid,
    /// When it was made.
    pub created_at: Instant,
    /// Set where it is over as soon as it is made.
    pub resolved_at: Option<Instant>,
}

/// A device whose row is locked until the transaction ends, with the world it is in.
#[derive(Debug)]
pub struct LockedDevice {
    /// The device.
    pub device: Device,
    /// Its workspace's clock and ways.
    pub world: World,
    /// Where ids, PINs and keys of its workspace come from.
    pub ids: Ids,
    /// How many codes were ever made on it.
    pub access_code_ordinal: i64,
}

#[derive(sqlx::FromRow)]
struct LockedRow {
    #[sqlx(flatten)]
    device: DeviceRow,
    access_code_ordinal: i64,
}

impl LockedDevice {
    /// The ordinal of the next code made on it.
    pub fn next_ordinal(&self) -> u64 {
        u64::try_from(self.access_code_ordinal).unwrap_or(0)
    }
}

/// Locks these devices of the workspace in the order of their ids. Devices that are not there are missing from the
/// answer.
pub async fn lock_devices(tx: &mut PgConnection, workspace_id: Uuid, device_ids: &[Uuid]) -> Result<Vec<LockedDevice>> {
    let rows = sqlx::query_as(
        "select * from device where device_id = any($1) and workspace_id is not distinct from $2
         order by device_id for update",
    )
    .bind(device_ids)
    .bind(workspace_id)
    .fetch_all(&mut *tx)
    .await?;
    with_worlds(tx, rows).await
}

/// Locks devices on which something is due, those that wait longest first, passing over those that somebody else
/// is working on.
pub async fn lock_due_devices(tx: &mut PgConnection, machine_now: Instant, limit: usize) -> Result<Vec<LockedDevice>> {
    let rows = sqlx::query_as(
        "with first as (select device_id, wake_at from access_code where wake_at <= $1 order by wake_at limit 1000),
              waiting as (select device_id from first group by device_id order by min(wake_at) limit $2)
         select * from device where device_id = any(array(select device_id from waiting)) for update skip locked",
    )
    .bind(machine_now)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(&mut *tx)
    .await?;
    with_worlds(tx, rows).await
}

/// Reads the worlds of devices that are locked, in a statement of its own: the one that waited for the locks saw
/// what was there before. As whoever changes a clock locks all its devices first, it stands still from here on.
async fn with_worlds(tx: &mut PgConnection, rows: Vec<LockedRow>) -> Result<Vec<LockedDevice>> {
    let workspace_ids: BTreeSet<Uuid> = rows.iter().map(|row| row.device.workspace_id).collect();
    if workspace_ids.is_empty() {
        return Ok(Vec::new());
    }
    let worlds = workspaces::worlds(tx, &workspace_ids.into_iter().collect::<Vec<_>>()).await?;
    let mut locked = Vec::with_capacity(rows.len());
    for row in rows {
        // A workspace that is gone takes its devices with it, and those are locked.
        let Some((ids, world)) = worlds.get(&row.device.workspace_id) else { continue };
        let (device, access_code_ordinal) = (row.device.try_into()?, row.access_code_ordinal);
        locked.push(LockedDevice { device, world: *world, ids: ids.clone(), access_code_ordinal });
    }
    Ok(locked)
}

/// The machine's time at which something falls due next, anywhere.
pub async fn next_wake(pool: &PgPool) -> Result<Option<Instant>> {
    let next =
        sqlx::query_scalar!("select wake_at from access_code where wake_at is not null order by wake_at limit 1")
            .fetch_optional(pool)
            .await?;
    Ok(next.flatten())
}

/// Sets when the codes of a workspace are to be woken by this clock; for when the clock has changed.
pub async fn set_wake_times(tx: &mut PgConnection, workspace_id: Uuid, clock: WorkspaceClock) -> Result<()> {
    let (ids, wake_at): (Vec<Uuid>, Vec<Option<Instant>>) = sqlx::query!(
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
         where access_code.access_code_id = new.access_code_id",
        &ids,
        &wake_at as &[Option<Instant>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

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

/// The PIN group of a key.
#[derive(Debug)]
pub struct PinGroup {
    /// The key.
    pub common_code_key: String,
    /// Its PIN, if one was chosen.
    pub code: Option<String>,
    /// Whether any code has the key.
    pub has_members: bool,
}

/// Locks the PIN groups of these keys, which are sorted, making those that are new.
pub async fn lock_pin_groups(tx: &mut PgConnection, workspace_id: Uuid, keys: &[String]) -> Result<()> {
    sqlx::query!(
        "insert into pin_group (workspace_id, common_code_key)
         select $1, key from unnest($2::text[]) with ordinality as wanted(key, place) order by place
         on conflict (workspace_id, common_code_key) do update set code = pin_group.code",
        workspace_id,
        keys,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The PIN groups of these keys. To be read with the groups locked, in a statement of its own: what the one that
/// waited for the lock saw is older.
pub async fn pin_groups(tx: &mut PgConnection, workspace_id: Uuid, keys: &[String]) -> Result<Vec<PinGroup>> {
    let groups = sqlx::query_as!(
        PinGroup,
        r#"select common_code_key, code,
                  exists (select from access_code a
                          where a.common_code_key = g.common_code_key and a.gone_at is null
                            and a.workspace_id is not distinct from $1)
                      as "has_members!"
           from pin_group g where workspace_id = $1 and common_code_key = any($2)"#,
        workspace_id,
        keys,
    )
    .fetch_all(tx)
    .await?;
    Ok(groups)
}

/// Sets the PINs of groups.
pub async fn set_pin_groups(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    keys: &[String],
    codes: &[String],
) -> Result<()> {
    sqlx::query!(
        "insert into pin_group (workspace_id, common_code_key, code)
         select $1, key, code from unnest($2::text[], $3::text[]) as new(key, code)
         on conflict (workspace_id, common_code_key) do update set code = excluded.code",
        workspace_id,
        keys,
        codes,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes groups for which no PIN was chosen.
pub async fn delete_pin_groups(tx: &mut PgConnection, workspace_id: Uuid, keys: &[String]) -> Result<()> {
    sqlx::query!(
        "delete from pin_group where workspace_id = $1 and common_code_key = any($2) and code is null",
        workspace_id,
        keys,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The device of a code, locked, and the code as it is under that lock. `None`: there is no such code.
pub async fn lock_access_code(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    access_code_id: Uuid,
) -> Result<Option<(LockedDevice, AccessCode)>> {
    let device_id = sqlx::query_scalar!(
        "select device_id from access_code where access_code_id = $1 and workspace_id is not distinct from $2",
        access_code_id,
        workspace_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(device_id) = device_id else {
        return Ok(None);
    };
    let locked = lock_devices(tx, workspace_id, &[device_id]).await?.pop();
    let code = sqlx::query_as!(
        AccessCodeRow,
        "select * from access_code where access_code_id = $1 and gone_at is null",
        access_code_id
    )
    .fetch_optional(tx)
    .await?;
    Ok(locked.zip(code.map(AccessCode::from)))
}

/// A code to be written, with the instants that follow from its life.
#[derive(Debug)]
pub struct Placed {
    /// The code.
    pub code: AccessCode,
    /// When the next step of its life falls due, in the workspace's time.
    pub due_at: Option<Instant>,
    /// The same in the machine's time; `None` where no passing of time leads there.
    pub wake_at: Option<Instant>,
}

impl Placed {
    /// A code as its life stands, on this lock in this world.
    pub fn new(code: AccessCode, device: &Device, world: &World) -> Self {
        let due_at = code.life.next(&device.lock(world.programming)).map(|(due_at, _)| due_at);
        let wake_at = due_at.and_then(|due_at| world.clock.machine_time_of(due_at));
        Self { code, due_at, wake_at }
    }
}

/// Sets how many codes were ever made on these devices.
pub async fn set_ordinals(tx: &mut PgConnection, device_ids: &[Uuid], ordinals: &[i64]) -> Result<()> {
    sqlx::query!(
        "update device set access_code_ordinal = new.ordinal
         from unnest($1::uuid[], $2::bigint[]) as new(device_id, ordinal)
         where device.device_id = new.device_id and device.access_code_ordinal <> new.ordinal",
        device_ids,
        ordinals,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes new codes with their events and action attempts: one statement.
pub async fn insert(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    placed: &[Placed],
    events: &[NewEvent],
    attempts: &[NewActionAttempt],
) -> Result<()> {
    let life = |get: fn(&Placed) -> Option<Instant>| placed.iter().map(get).collect::<Vec<_>>();
    sqlx::query!(
        r#"with made as (
               insert into access_code
                   (access_code_id, workspace_id, device_id, created_at, name, code, starts_at, ends_at, common_code_key,
                    is_natively_scheduled, is_external_modification_allowed, held_name, held_code, held_starts_at,
                    held_ends_at, first_held_at, as_of, working_since, due_at, wake_at, children)
               select new.access_code_id, $1, new.device_id, new.created_at, new.name, new.code, new.starts_at,
                      new.ends_at, new.common_code_key, new.native, new.external,
                      case when new.first_held_at is not null then new.name end,
                      case when new.first_held_at is not null then new.code end,
                      case when new.first_held_at is not null then new.starts_at end,
                      case when new.first_held_at is not null then new.ends_at end,
                      new.first_held_at, new.as_of, new.working_since, new.due_at, new.wake_at, new.children
               from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::timestamptz[],
                           $8::timestamptz[], $9::text[], $10::bool[], $11::bool[], $12::timestamptz[],
                           $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::int[])
                    as new(access_code_id, device_id, created_at, name, code, starts_at, ends_at, common_code_key, native,
                           external, first_held_at, as_of, working_since, due_at, wake_at, children)
           ), recorded as (
               insert into event (event_id, workspace_id, event_type, occurred_at, created_at, device_id,
                                  connected_account_id, access_code_id, code)
               select new.event_id, $1, new.event_type, new.occurred_at, new.created_at, new.device_id,
                      new.connected_account_id, new.access_code_id, new.code
               from unnest($18::uuid[], $19::text[], $20::timestamptz[], $21::timestamptz[], $22::uuid[],
                           $23::uuid[], $24::uuid[], $25::text[])
                    as new(event_id, event_type, occurred_at, created_at, device_id, connected_account_id,
                           access_code_id, code)
           )
           insert into action_attempt (action_attempt_id, workspace_id, action_type, device_id, access_code_id,
                                       created_at, resolved_at)
           select new.action_attempt_id, $1, new.action_type, new.device_id, new.access_code_id, new.created_at,
                      new.resolved_at
               from unnest($26::uuid[], $27::text[], $28::uuid[], $29::uuid[], $30::timestamptz[], $31::timestamptz[])
                    as new(action_attempt_id, action_type, device_id, access_code_id, created_at, resolved_at)"#,
        workspace_id,
        &placed.iter().map(|it| it.code.access_code_id).collect::<Vec<_>>(),
        &placed.iter().map(|it| it.code.device_id).collect::<Vec<_>>(),
        &placed.iter().map(|it| it.code.life.created_at).collect::<Vec<_>>(),
        &placed.iter().map(|it| it.code.life.asked.name.clone()).collect::<Vec<_>>() as &[Option<String>],
        &placed.iter().map(|it| it.code.life.asked.code.clone()).collect::<Vec<_>>(),
        &life(|it| it.code.life.asked.window.map(|window| window.starts_at)) as &[Option<Instant>],
        &life(|it| it.code.life.asked.window.map(|window| window.ends_at)) as &[Option<Instant>],
        &placed.iter().map(|it| it.code.common_code_key.clone()).collect::<Vec<_>>() as &[Option<String>],
        &placed.iter().map(|it| it.code.life.is_natively_scheduled).collect::<Vec<_>>(),
        &placed.iter().map(|it| it.code.is_external_modification_allowed).collect::<Vec<_>>(),
        &life(|it| it.code.life.first_held_at) as &[Option<Instant>],
        &placed.iter().map(|it| it.code.life.as_of).collect::<Vec<_>>(),
        &life(|it| it.code.life.working_since) as &[Option<Instant>],
        &life(|it| it.due_at) as &[Option<Instant>],
        &life(|it| it.wake_at) as &[Option<Instant>],
        &placed.iter().map(|it| i32::try_from(it.code.children).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        &events.iter().map(|it| it.event_id).collect::<Vec<_>>(),
        &events.iter().map(|it| it.event_type.to_owned()).collect::<Vec<_>>(),
        &events.iter().map(|it| it.occurred_at).collect::<Vec<_>>(),
        &events.iter().map(|it| it.created_at).collect::<Vec<_>>(),
        &events.iter().map(|it| it.device_id).collect::<Vec<_>>(),
        &events.iter().map(|it| it.connected_account_id).collect::<Vec<_>>(),
        &events.iter().map(|it| it.access_code_id).collect::<Vec<_>>(),
        &events.iter().map(|it| it.code.clone()).collect::<Vec<_>>() as &[Option<String>],
        &attempts.iter().map(|it| it.action_attempt_id).collect::<Vec<_>>(),
        &attempts.iter().map(|it| it.action_type.to_owned()).collect::<Vec<_>>(),
        &attempts.iter().map(|it| it.device_id).collect::<Vec<_>>(),
        &attempts.iter().map(|it| it.access_code_id).collect::<Vec<_>>(),
        &attempts.iter().map(|it| it.created_at).collect::<Vec<_>>(),
        &attempts.iter().map(|it| it.resolved_at).collect::<Vec<_>>() as &[Option<Instant>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The codes of these devices that are to be woken by now.
pub async fn due_on_devices(
    tx: &mut PgConnection,
    device_ids: &[Uuid],
    machine_now: Instant,
) -> Result<Vec<AccessCode>> {
    let rows = sqlx::query_as!(
        AccessCodeRow,
        "select * from access_code where wake_at <= $1 and device_id = any($2)",
        machine_now,
        device_ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(AccessCode::from).collect())
}

/// The codes of a workspace for which something falls due until this instant of its time.
pub async fn due_in_workspace(tx: &mut PgConnection, workspace_id: Uuid, until: Instant) -> Result<Vec<AccessCode>> {
    let rows = sqlx::query_as!(
        AccessCodeRow,
        "select * from access_code where workspace_id = $1 and due_at <= $2",
        workspace_id,
        until,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(AccessCode::from).collect())
}

/// The instant of a workspace's time at which something falls due next.
pub async fn next_due(tx: &mut PgConnection, workspace_id: Uuid) -> Result<Option<Instant>> {
    let next = sqlx::query_scalar!(
        "select due_at from access_code where workspace_id = $1 and due_at is not null order by due_at limit 1",
        workspace_id,
    )
    .fetch_optional(tx)
    .await?;
    Ok(next.flatten())
}

/// All codes of a device that are not gone.
pub async fn on_device(tx: &mut PgConnection, device_id: Uuid) -> Result<Vec<AccessCode>> {
    let rows =
        sqlx::query_as!(AccessCodeRow, "select * from access_code where device_id = $1 and gone_at is null", device_id)
            .fetch_all(tx)
            .await?;
    Ok(rows.into_iter().map(AccessCode::from).collect())
}

/// Writes what has become of codes, with the events of it, in the order given: one statement.
pub async fn save(tx: &mut PgConnection, placed: &[Placed], events: &[NewEvent]) -> Result<()> {
    let life = |get: fn(&Placed) -> Option<Instant>| placed.iter().map(get).collect::<Vec<_>>();
    sqlx::query!(
        r#"with saved as (
               update access_code set
                   deletion_requested_at = new.deletion_requested_at, held_name = new.held_name,
                   held_code = new.held_code, held_starts_at = new.held_starts_at, held_ends_at = new.held_ends_at,
                   first_held_at = new.first_held_at, as_of = new.as_of, working_since = new.working_since,
                   due_at = new.due_at, wake_at = new.wake_at, gone_at = new.gone_at, children = new.children
               from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                           $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[],
                           $11::timestamptz[], $12::timestamptz[], $13::int[])
                    as new(access_code_id, deletion_requested_at, held_name, held_code, held_starts_at, held_ends_at,
                           first_held_at, as_of, working_since, due_at, wake_at, gone_at, children)
               where access_code.access_code_id = new.access_code_id
           )
           insert into event (event_id, workspace_id, event_type, occurred_at, created_at, device_id,
                              connected_account_id, access_code_id, code)
           select event_id, workspace_id, event_type, occurred_at, created_at, device_id, connected_account_id,
                  access_code_id, code
           from unnest($14::uuid[], $15::uuid[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::uuid[],
                       $20::uuid[], $21::uuid[], $22::text[]) with ordinality
                as new(event_id, workspace_id, event_type, occurred_at, created_at, device_id, connected_account_id,
                       access_code_id, code, place)
           order by place"#,
        &placed.iter().map(|it| it.code.access_code_id).collect::<Vec<_>>(),
        &life(|it| it.code.life.deletion_requested_at) as &[Option<Instant>],
        &placed.iter().map(|it| it.code.life.held.as_ref()?.name.clone()).collect::<Vec<_>>() as &[Option<String>],
        &placed.iter().map(|it| Some(it.code.life.held.as_ref()?.code.clone())).collect::<Vec<_>>()
            as &[Option<String>],
        &life(|it| Some(it.code.life.held.as_ref()?.window?.starts_at)) as &[Option<Instant>],
        &life(|it| Some(it.code.life.held.as_ref()?.window?.ends_at)) as &[Option<Instant>],
        &life(|it| it.code.life.first_held_at) as &[Option<Instant>],
        &placed.iter().map(|it| it.code.life.as_of).collect::<Vec<_>>(),
        &life(|it| it.code.life.working_since) as &[Option<Instant>],
        &life(|it| it.due_at) as &[Option<Instant>],
        &life(|it| it.wake_at) as &[Option<Instant>],
        &life(|it| it.code.life.gone_at) as &[Option<Instant>],
        &placed.iter().map(|it| i32::try_from(it.code.children).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        &events.iter().map(|it| it.event_id).collect::<Vec<_>>(),
        &events.iter().map(|it| it.workspace_id).collect::<Vec<_>>(),
        &events.iter().map(|it| it.event_type.to_owned()).collect::<Vec<_>>(),
        &events.iter().map(|it| it.occurred_at).collect::<Vec<_>>(),
        &events.iter().map(|it| it.created_at).collect::<Vec<_>>(),
        &events.iter().map(|it| it.device_id).collect::<Vec<_>>(),
        &events.iter().map(|it| it.connected_account_id).collect::<Vec<_>>(),
        &events.iter().map(|it| it.access_code_id).collect::<Vec<_>>(),
        &events.iter().map(|it| it.code.clone()).collect::<Vec<_>>() as &[Option<String>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Records an action attempt on a code.
pub async fn insert_action_attempt(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    attempt: &NewActionAttempt,
) -> Result<()> {
    sqlx::query!(
        "insert into action_attempt (action_attempt_id, workspace_id, action_type, device_id, access_code_id,
                                     created_at, resolved_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        attempt.action_attempt_id,
        workspace_id,
        attempt.action_type,
        attempt.device_id,
        attempt.access_code_id,
        attempt.created_at,
        attempt.resolved_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A code's row with what answers need to know of its device.
struct WithDevice {
    code: AccessCodeRow,
    device_type: String,
    device_name: String,
    unreachable_since: Option<Instant>,
}

impl FromRow<'_, PgRow> for WithDevice {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            code: AccessCodeRow::from_row(row)?,
            device_type: row.try_get(AccessCodeRow::COUNT)?,
            device_name: row.try_get(AccessCodeRow::COUNT + 1)?,
            unreachable_since: row.try_get(AccessCodeRow::COUNT + 2)?,
        })
    }
}

impl TryFrom<WithDevice> for (AccessCode, DeviceSummary) {
    type Error = Error;

    fn try_from(row: WithDevice) -> Result<Self> {
        let device_id = row.code.device_id;
        let brand =
            brands::of(&row.device_type).ok_or_else(|| Error::inconsistent("device", device_id, "device_type"))?;
        let device = DeviceSummary { brand, name: row.device_name, unreachable_since: row.unreachable_since };
        Ok((row.code.into(), device))
    }
}

/// Which codes to read; what is `None` does not restrict.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Only these.
    pub access_code_ids: Option<&'a [Uuid]>,
    /// Only those on this device.
    pub device_id: Option<Uuid>,
    /// Only those with this PIN.
    pub code: Option<&'a str>,
    /// Only those with this text in their name, PIN or id.
    pub search: Option<&'a str>,
    /// Those that are gone, too.
    pub even_if_gone: bool,
    /// Only those behind this row.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// The codes of a workspace that pass the filter, newest first, each with its device: one statement.
pub async fn list(pool: &PgPool, workspace_id: Uuid, filter: &Filter<'_>) -> Result<Vec<(AccessCode, DeviceSummary)>> {
    let mut query = QueryBuilder::new("select ");
    query.push(AccessCodeRow::COLUMNS).push(
        ", d.device_type, d.name, d.unreachable_since from access_code a join device d using (device_id)
         where a.workspace_id is not distinct from ",
    );
    query.push_bind(workspace_id);
    if !filter.even_if_gone {
        query.push(" and a.gone_at is null");
    }
    match filter.access_code_ids {
        Some([access_code_id]) => drop(query.push(" and a.access_code_id = ").push_bind(*access_code_id)),
        Some(ids) => drop(query.push(" and a.access_code_id = any(").push_bind(ids.to_vec()).push(")")),
        None => {}
    }
    if let Some(device_id) = filter.device_id {
        query.push(" and a.device_id = ").push_bind(device_id);
    }
    if let Some(code) = filter.code {
        query.push(" and a.code = ").push_bind(code.to_owned());
    }
    if let Some(search) = filter.search {
        query.push(" and position(lower(").push_bind(search.to_owned());
        query.push(") in lower(concat_ws(' ', a.name, a.code, a.access_code_id))) > 0");
    }
    if let Some(after) = filter.after {
        query.push(" and (a.created_at, a.access_code_id) < (").push_bind(after.created_at);
        query.push(", ").push_bind(after.id).push(")");
    }
    query.push(" order by a.created_at desc, a.access_code_id desc");
    if let Some(limit) = filter.limit {
        query.push(" limit ").push_bind(limit);
    }
    let rows: Vec<WithDevice> = query.build_query_as().fetch_all(pool).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}
