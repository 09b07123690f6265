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
use crate::workspaces::{World, WorldRow};
use sqlx::{PgConnection, PgPool, QueryBuilder};
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
    #[sqlx(flatten)]
    world: WorldRow,
    seed: Option<String>,
    access_code_ordinal: i64,
}

impl TryFrom<LockedRow> for LockedDevice {
    type Error = Error;

    fn try_from(row: LockedRow) -> Result<Self> {
        Ok(Self {
            device: row.device.try_into()?,
            world: row.world.into(),
            ids: Ids::of(row.seed.as_deref()),
            access_code_ordinal: row.access_code_ordinal,
        })
    }
}

/// What of devices and their workspaces is read when devices are locked.
macro_rules! select_locked {
    ($rest:literal) => {
        concat!(
            "select d.*, w.seed, w.clock_mode, w.clock_at, w.clock_since, w.clock_rate, w.clock_version, \
             w.programming_ms ",
            $rest
        )
    };
}

/// Locks these devices of the workspace in the order of their ids. Devices that are not there are missing from the
/// answer.
pub async fn lock_devices(tx: &mut PgConnection, workspace_id: Uuid, device_ids: &[Uuid]) -> Result<Vec<LockedDevice>> {
    let statement = select_locked!(
        "from unnest($1::uuid[]) as wanted(device_id) join device d using (device_id) \
                        join workspace w on w.workspace_id = d.workspace_id and w.workspace_id = $2 \
                        order by device_id for update of d"
    );
    let rows: Vec<LockedRow> = sqlx::query_as(statement).bind(device_ids).bind(workspace_id).fetch_all(tx).await?;
    rows.into_iter().map(LockedDevice::try_from).collect()
}

/// Locks devices on which something is due, those that wait longest first, passing over those that somebody else
/// is working on.
pub async fn lock_due_devices(tx: &mut PgConnection, machine_now: Instant, limit: usize) -> Result<Vec<LockedDevice>> {
    let statement = concat!(
        "with first as (select device_id, wake_at from access_code where wake_at <= $1 order by wake_at limit 1000), ",
        "waiting as (select device_id from first group by device_id order by min(wake_at) limit $2) ",
        select_locked!(
            "from waiting join device d using (device_id) join workspace w using (workspace_id) \
                        for update of d skip locked"
        )
    );
    let rows: Vec<LockedRow> = sqlx::query_as(statement)
        .bind(machine_now)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(tx)
        .await?;
    rows.into_iter().map(LockedDevice::try_from).collect()
}

/// The machine's time at which something falls due next, anywhere.
pub async fn next_wake(pool: &PgPool) -> Result<Option<Instant>> {
    let next =
        sqlx::query_scalar!("select wake_at from access_code where wake_at is not null order by wake_at limit 1")
            .fetch_optional(pool)
            .await?;
    Ok(next.flatten())
}

/// Sets when the codes of these devices are to be woken by this clock; for when the clock has changed.
pub async fn set_wake_times(tx: &mut PgConnection, device_ids: &[Uuid], clock: WorkspaceClock) -> Result<()> {
    let (ids, wake_at): (Vec<Uuid>, Vec<Option<Instant>>) = sqlx::query!(
        r#"select access_code_id, due_at as "due_at!", wake_at from access_code
           where device_id = any($1) and due_at is not null"#,
        device_ids,
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

/// The codes that already have this PIN on these devices in an overlapping time frame.
pub async fn claims_of_code(
    tx: &mut PgConnection,
    device_ids: &[Uuid],
    code: &str,
    wanted: Option<Window>,
) -> Result<Vec<Claim>> {
    let rows = sqlx::query!(
        "select device_id, code, starts_at, ends_at, is_natively_scheduled
         from access_code
         where device_id = any($1) and code = $2 and gone_at is null
           and ($3::timestamptz is null or starts_at is null or (starts_at < $4 and ends_at > $3))",
        device_ids,
        code,
        wanted.map(|window| window.starts_at),
        wanted.map(|window| window.ends_at),
    )
    .fetch_all(tx)
    .await?;
    let claims = rows.into_iter().map(|row| Claim {
        device_id: row.device_id,
        code: row.code,
        window: window(row.starts_at, row.ends_at),
        is_natively_scheduled: row.is_natively_scheduled,
    });
    Ok(claims.collect())
}

/// All codes of these devices that can stand in the way of one with this time frame: those that overlap it, and
/// those that may lie in the lock's memory at the same time.
pub async fn claims_of_devices(
    tx: &mut PgConnection,
    device_ids: &[Uuid],
    wanted: Option<Window>,
) -> Result<Vec<Claim>> {
    let from = wanted.and_then(|window| window.starts_at.checked_sub_signed(LONGEST_LEAD));
    let to = wanted.and_then(|window| window.ends_at.checked_add_signed(LONGEST_LEAD));
    let rows = sqlx::query!(
        "select device_id, code, starts_at, ends_at, is_natively_scheduled
         from access_code
         where device_id = any($1) and gone_at is null
           and ($2::timestamptz is null or $3::timestamptz is null or starts_at is null
                or (starts_at <= $3 and ends_at >= $2))",
        device_ids,
        from,
        to,
    )
    .fetch_all(tx)
    .await?;
    let claims = rows.into_iter().map(|row| Claim {
        device_id: row.device_id,
        code: row.code,
        window: window(row.starts_at, row.ends_at),
        is_natively_scheduled: row.is_natively_scheduled,
    });
    Ok(claims.collect())
}

/// Locks the PIN group of a key, making it where it is new. Gives its PIN, if one was chosen.
pub async fn lock_pin_group(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    common_code_key: &str,
) -> Result<Option<String>> {
    let code = sqlx::query_scalar!(
        "insert into pin_group (workspace_id, common_code_key) values ($1, $2)
         on conflict (workspace_id, common_code_key) do update set code = pin_group.code
         returning code",
        workspace_id,
        common_code_key,
    )
    .fetch_one(tx)
    .await?;
    Ok(code)
}

/// Whether any code still has this key.
pub async fn pin_group_has_members(tx: &mut PgConnection, workspace_id: Uuid, common_code_key: &str) -> Result<bool> {
    let has = sqlx::query_scalar!(
        r#"select exists (select from access_code
                          where workspace_id = $1 and common_code_key = $2 and gone_at is null) as "has!""#,
        workspace_id,
        common_code_key,
    )
    .fetch_one(tx)
    .await?;
    Ok(has)
}

/// Sets the PIN of a group.
pub async fn set_pin_group(tx: &mut PgConnection, workspace_id: Uuid, common_code_key: &str, code: &str) -> Result<()> {
    sqlx::query!(
        "insert into pin_group (workspace_id, common_code_key, code) values ($1, $2, $3)
         on conflict (workspace_id, common_code_key) do update set code = excluded.code",
        workspace_id,
        common_code_key,
        code,
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
        "select device_id from access_code where access_code_id = $1 and workspace_id = $2",
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

/// Numbers the codes that are made on these devices, one on each, behind those made before: for seeded workspaces.
pub async fn count(tx: &mut PgConnection, device_ids: &[Uuid]) -> Result<()> {
    sqlx::query!(
        "update device set access_code_ordinal = access_code_ordinal + 1 where device_id = any($1)",
        device_ids
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes new codes with their events and action attempts: one statement. Writes nothing and answers `false` if the
/// workspace's clock was changed since `world` was read.
pub async fn insert(
    tx: &mut PgConnection,
    workspace_id: Uuid,
    world: &World,
    placed: &[Placed],
    events: &[NewEvent],
    attempts: &[NewActionAttempt],
) -> Result<bool> {
    let life = |get: fn(&Placed) -> Option<Instant>| placed.iter().map(get).collect::<Vec<_>>();
    let written = sqlx::query_scalar!(
        r#"with world as (
               select from workspace where workspace_id = $1 and clock_version = $2
           ), made as (
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
               from world, unnest($3::uuid[], $4::uuid[], $5::timestamptz[], $6::text[], $7::text[], $8::timestamptz[],
                           $9::timestamptz[], $10::text[], $11::bool[], $12::bool[], $13::timestamptz[],
                           $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::int[])
                    as new(access_code_id, device_id, created_at, name, code, starts_at, ends_at, common_code_key, native,
                           external, first_held_at, as_of, working_since, due_at, wake_at, children)
               returning 1
           ), recorded as (
               insert into event (event_id, workspace_id, event_type, occurred_at, created_at, device_id,
                                  connected_account_id, access_code_id, code)
               select new.event_id, $1, new.event_type, new.occurred_at, new.created_at, new.device_id,
                      new.connected_account_id, new.access_code_id, new.code
               from world, unnest($19::uuid[], $20::text[], $21::timestamptz[], $22::timestamptz[], $23::uuid[],
                           $24::uuid[], $25::uuid[], $26::text[])
                    as new(event_id, event_type, occurred_at, created_at, device_id, connected_account_id,
                           access_code_id, code)
           ), attempted as (
               insert into action_attempt (action_attempt_id, workspace_id, action_type, device_id, access_code_id,
                                           created_at, resolved_at)
               select new.action_attempt_id, $1, new.action_type, new.device_id, new.access_code_id, new.created_at,
                      new.resolved_at
               from world, unnest($27::uuid[], $28::text[], $29::uuid[], $30::uuid[], $31::timestamptz[], $32::timestamptz[])
                    as new(action_attempt_id, action_type, device_id, access_code_id, created_at, resolved_at)
           )
           select count(*) as "count!" from made"#,
        workspace_id,
        world.clock_version,
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
        &placed.iter().take(attempts.len()).map(|it| it.code.device_id).collect::<Vec<_>>(),
        &attempts.iter().map(|it| it.access_code_id).collect::<Vec<_>>(),
        &placed.iter().take(attempts.len()).map(|it| it.code.life.created_at).collect::<Vec<_>>(),
        &attempts.iter().map(|it| it.resolved_at).collect::<Vec<_>>() as &[Option<Instant>],
    )
    .fetch_one(tx)
    .await?;
    Ok(usize::try_from(written).is_ok_and(|written| written == placed.len()))
}

/// The codes of these devices for which something falls due until the instant given beside each device.
pub async fn due(tx: &mut PgConnection, device_ids: &[Uuid], until: &[Instant]) -> Result<Vec<AccessCode>> {
    let rows = sqlx::query_as!(
        AccessCodeRow,
        "select a.* from unnest($1::uuid[], $2::timestamptz[]) as due(device_id, until)
         join access_code a on a.device_id = due.device_id and a.due_at <= due.until",
        device_ids,
        until,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(AccessCode::from).collect())
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
    code: &AccessCode,
    attempt: &NewActionAttempt,
    created_at: Instant,
) -> Result<()> {
    sqlx::query!(
        "insert into action_attempt (action_attempt_id, workspace_id, action_type, device_id, access_code_id,
                                     created_at, resolved_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        attempt.action_attempt_id,
        code.workspace_id,
        attempt.action_type,
        code.device_id,
        code.access_code_id,
        created_at,
        attempt.resolved_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A code's row with what answers need to know of its device.
#[derive(sqlx::FromRow)]
struct WithDevice {
    #[sqlx(flatten)]
    code: AccessCodeRow,
    device_type: String,
    device_name: String,
    unreachable_since: Option<Instant>,
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
    let mut query = QueryBuilder::new(
        "select a.*, d.device_type, d.name as device_name, d.unreachable_since
         from access_code a join device d using (device_id)
         where a.workspace_id = ",
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
