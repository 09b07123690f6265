//! Writing codes with what happened to them.

use crate::clock::{Instant, WorkspaceClock};
use crate::compute;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::Particulars;
use crate::domain::action_attempt::{NewActionAttempt, StoredOutcome};
use crate::domain::device::Device;
use crate::domain::event::NewEvent;
use crate::domain::locked_device::LockedDevice;
use crate::domain::workspace::World;
use crate::error::{Error, Result};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// From this many rows on, putting a statement together is long computing.
const LONG_WRITE: usize = 500;

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

/// Writes when these codes are next due, as it follows from their lives.
pub async fn set_due_times(tx: &mut PgConnection, placed: &[Placed]) -> Result<()> {
    sqlx::query!(
        "update access_code set due_at = new.due_at, wake_at = new.wake_at
         from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as new(access_code_id, due_at, wake_at)
         where access_code.access_code_id = new.access_code_id",
        &placed.iter().map(|it| it.code.access_code_id).collect::<Vec<_>>(),
        &placed.iter().map(|it| it.due_at).collect::<Vec<_>>() as &[Option<Instant>],
        &placed.iter().map(|it| it.wake_at).collect::<Vec<_>>() as &[Option<Instant>],
    )
    .execute(tx)
    .await?;
    Ok(())
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
        let due_at = code.life.next(&device.lock(world)).map(|(due_at, _)| due_at);
        let wake_at = due_at.and_then(|due_at| world.clock.machine_time_of(due_at));
        Self { code, due_at, wake_at }
    }

    /// The key by which others of its group find the code: none, once it is gone.
    fn common_code_key(&self) -> Option<String> {
        self.code.common_code_key.clone().filter(|_| self.code.life.gone_at.is_none())
    }

    /// The group that it is in no longer.
    fn left_group(&self) -> Option<(Uuid, String)> {
        let is_gone = self.code.life.gone_at.is_some();
        let key = self.code.left_group.as_ref().or(self.code.common_code_key.as_ref().filter(|_| is_gone))?;
        Some((self.code.workspace_id, key.clone()))
    }

    /// The same for each of these codes, whose locks are among those that are locked.
    ///
    /// # Errors
    /// [`Error::Internal`] for one whose lock is not: it would not be written.
    pub fn all(codes: impl Iterator<Item = AccessCode>, locked: &[LockedDevice]) -> Result<Vec<Self>> {
        let locks: HashMap<Uuid, &LockedDevice> = locked.iter().map(|it| (it.device.device_id, it)).collect();
        let place = |code: AccessCode| {
            let locked = locks.get(&code.device_id);
            let locked = locked.ok_or_else(|| Error::inconsistent("access_code", code.access_code_id, "device_id"))?;
            Ok(Self::new(code, &locked.device, &locked.world))
        };
        codes.map(place).collect()
    }

    fn particulars(&self) -> Option<Json<Particulars>> {
        let particulars = &self.code.life.particulars;
        (*particulars != Particulars::default()).then(|| Json(particulars.clone()))
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
    let is_long = placed.len() + events.len() > LONG_WRITE;
    let write = || {
        sqlx::query!(
            r#"with made as (
               insert into access_code
                   (access_code_id, workspace_id, device_id, created_at, name, code, starts_at, ends_at, common_code_key,
                    is_natively_scheduled, is_external_modification_allowed, held_name, held_code, held_starts_at,
                    held_ends_at, first_held_at, as_of, working_since, due_at, wake_at, children, is_managed, is_offline,
                    is_backup, pool_device_id, particulars, blocked_on)
               select new.access_code_id, $1, new.device_id, new.created_at, new.name, new.code, new.starts_at,
                      new.ends_at, new.common_code_key, new.native, new.external,
                      case when new.first_held_at is not null then new.name end,
                      case when new.first_held_at is not null then new.code end,
                      case when new.first_held_at is not null then new.starts_at end,
                      case when new.first_held_at is not null then new.ends_at end,
                      new.first_held_at, new.as_of, new.working_since, new.due_at, new.wake_at, new.children, new.is_managed,
                      new.is_offline, new.is_backup, new.pool_device_id, new.particulars, new.blocked_on
               from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::timestamptz[],
                           $8::timestamptz[], $9::text[], $10::bool[], $11::bool[], $12::timestamptz[],
                           $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::int[],
                           $33::bool[], $34::bool[], $35::bool[], $36::uuid[], $37::jsonb[], $38::uuid[])
                    with ordinality
                    as new(access_code_id, device_id, created_at, name, code, starts_at, ends_at, common_code_key, native,
                           external, first_held_at, as_of, working_since, due_at, wake_at, children, is_managed,
                           is_offline, is_backup, pool_device_id, particulars, blocked_on, place)
               order by place
           ), recorded as (
               insert into event (event_id, workspace_id, event_type, occurred_at, created_at, device_id,
                                  connected_account_id, access_code_id, code, payload)
               select new.event_id, $1, new.event_type, new.occurred_at, new.created_at, new.device_id,
                      new.connected_account_id, new.access_code_id, new.code, new.payload
               from unnest($18::uuid[], $19::text[], $20::timestamptz[], $21::timestamptz[], $22::uuid[],
                           $23::uuid[], $24::uuid[], $25::text[], $39::jsonb[])
                    as new(event_id, event_type, occurred_at, created_at, device_id, connected_account_id,
                           access_code_id, code, payload)
           )
           insert into action_attempt (action_attempt_id, workspace_id, action_type, device_id, access_code_id,
                                       created_at, resolved_at, outcome)
           select new.action_attempt_id, $1, new.action_type, new.device_id, new.access_code_id, new.created_at,
                      new.resolved_at, new.outcome
               from unnest($26::uuid[], $27::text[], $28::uuid[], $29::uuid[], $30::timestamptz[], $31::timestamptz[],
                           $32::jsonb[])
                    as new(action_attempt_id, action_type, device_id, access_code_id, created_at, resolved_at,
                           outcome)"#,
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
            &placed.iter().map(|it| it.code.children).collect::<Vec<_>>(),
            &events.iter().map(|it| it.event_id).collect::<Vec<_>>(),
            &events.iter().map(|it| it.event_type.to_owned()).collect::<Vec<_>>(),
            &events.iter().map(|it| it.occurred_at).collect::<Vec<_>>(),
            &events.iter().map(|it| it.created_at).collect::<Vec<_>>(),
            &events.iter().map(|it| it.device_id).collect::<Vec<_>>() as &[Option<Uuid>],
            &events.iter().map(|it| it.connected_account_id).collect::<Vec<_>>(),
            &events.iter().map(|it| it.access_code_id).collect::<Vec<_>>() as &[Option<Uuid>],
            &events.iter().map(|it| it.code.clone()).collect::<Vec<_>>() as &[Option<String>],
            &attempts.iter().map(|it| it.action_attempt_id).collect::<Vec<_>>(),
            &attempts.iter().map(|it| it.action_type.to_owned()).collect::<Vec<_>>(),
            &attempts.iter().map(|it| it.device_id).collect::<Vec<_>>(),
            &attempts.iter().map(|it| it.access_code_id).collect::<Vec<_>>(),
            &attempts.iter().map(|it| it.created_at).collect::<Vec<_>>(),
            &attempts.iter().map(|it| it.resolved_at).collect::<Vec<_>>() as &[Option<Instant>],
            &attempts.iter().map(|it| it.outcome.clone().map(Json)).collect::<Vec<_>>()
                as &[Option<Json<StoredOutcome>>],
            &placed.iter().map(|it| it.code.life.is_managed).collect::<Vec<_>>(),
            &placed.iter().map(|it| it.code.life.is_offline).collect::<Vec<_>>(),
            &placed.iter().map(|it| it.code.life.is_backup).collect::<Vec<_>>(),
            &placed.iter().map(|it| it.code.pool_device_id).collect::<Vec<_>>() as &[Option<Uuid>],
            &placed.iter().map(Placed::particulars).collect::<Vec<_>>() as &[Option<Json<Particulars>>],
            &placed.iter().map(|it| it.code.blocked_on()).collect::<Vec<_>>() as &[Option<Uuid>],
            &events.iter().map(|it| it.payload.clone()).collect::<Vec<_>>() as &[Option<Value>],
        )
    };
    compute::sized(is_long, write).await.execute(tx).await?;
    Ok(())
}

/// Writes what has become of codes, with the events of it and the attempts of a workspace that asked for it, in the
/// order given: one statement.
pub async fn save(
    tx: &mut PgConnection,
    attempts_of: Uuid,
    placed: &[Placed],
    events: &[NewEvent],
    attempts: &[NewActionAttempt],
) -> Result<()> {
    let life = |get: fn(&Placed) -> Option<Instant>| placed.iter().map(get).collect::<Vec<_>>();
    let is_long = placed.len() + events.len() > LONG_WRITE;
    let write = || {
        sqlx::query!(
            r#"with saved as (
               update access_code set
                   name = new.name, code = new.code, starts_at = new.starts_at, ends_at = new.ends_at,
                   common_code_key = new.common_code_key, is_natively_scheduled = new.native,
                   is_external_modification_allowed = new.external, is_managed = new.is_managed,
                   pool_device_id = new.pool_device_id, pulled_backup_access_code_id = new.pulled,
                   particulars = new.particulars, blocked_on = new.blocked_on,
                   deletion_requested_at = new.deletion_requested_at, held_name = new.held_name,
                   held_code = new.held_code, held_starts_at = new.held_starts_at, held_ends_at = new.held_ends_at,
                   first_held_at = new.first_held_at, as_of = new.as_of, working_since = new.working_since,
                   due_at = new.due_at, wake_at = new.wake_at, gone_at = new.gone_at, children = new.children
               from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                           $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[],
                           $11::timestamptz[], $12::timestamptz[], $13::int[], $24::text[], $25::text[],
                           $26::timestamptz[], $27::timestamptz[], $28::text[], $29::bool[], $30::bool[], $31::bool[],
                           $32::uuid[], $33::uuid[], $34::jsonb[], $35::uuid[])
                    as new(access_code_id, deletion_requested_at, held_name, held_code, held_starts_at, held_ends_at,
                           first_held_at, as_of, working_since, due_at, wake_at, gone_at, children, name, code,
                           starts_at, ends_at, common_code_key, native, external, is_managed, pool_device_id, pulled,
                           particulars, blocked_on)
               where access_code.access_code_id = new.access_code_id
           ), attempted as (
               insert into action_attempt (action_attempt_id, workspace_id, action_type, device_id, access_code_id,
                                           created_at, resolved_at, outcome)
               select action_attempt_id, $37, action_type, device_id, access_code_id, created_at, resolved_at, outcome
               from unnest($36::uuid[], $38::text[], $39::uuid[], $40::uuid[],
                           $41::timestamptz[], $42::timestamptz[], $43::jsonb[])
                    as new(action_attempt_id, action_type, device_id, access_code_id, created_at, resolved_at, outcome)
           )
           insert into event (event_id, workspace_id, event_type, occurred_at, created_at, device_id,
                              connected_account_id, access_code_id, code, payload)
           select event_id, workspace_id, event_type, occurred_at, created_at, device_id, connected_account_id,
                  access_code_id, code, payload
           from unnest($14::uuid[], $15::uuid[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::uuid[],
                       $20::uuid[], $21::uuid[], $22::text[], $23::jsonb[]) with ordinality
                as new(event_id, workspace_id, event_type, occurred_at, created_at, device_id, connected_account_id,
                       access_code_id, code, payload, place)
           order by place"#,
            &placed.iter().map(|it| it.code.access_code_id).collect::<Vec<_>>(),
            &life(|it| it.code.life.deletion_requested_at) as &[Option<Instant>],
            &placed.iter().map(|it| it.code.life.held.as_ref()?.name.clone()).collect::<Vec<_>>()
                as &[Option<String>],
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
            &placed.iter().map(|it| it.code.children).collect::<Vec<_>>(),
            &events.iter().map(|it| it.event_id).collect::<Vec<_>>(),
            &events.iter().map(|it| it.workspace_id).collect::<Vec<_>>(),
            &events.iter().map(|it| it.event_type.to_owned()).collect::<Vec<_>>(),
            &events.iter().map(|it| it.occurred_at).collect::<Vec<_>>(),
            &events.iter().map(|it| it.created_at).collect::<Vec<_>>(),
            &events.iter().map(|it| it.device_id).collect::<Vec<_>>() as &[Option<Uuid>],
            &events.iter().map(|it| it.connected_account_id).collect::<Vec<_>>(),
            &events.iter().map(|it| it.access_code_id).collect::<Vec<_>>() as &[Option<Uuid>],
            &events.iter().map(|it| it.code.clone()).collect::<Vec<_>>() as &[Option<String>],
            &events.iter().map(|it| it.payload.clone()).collect::<Vec<_>>() as &[Option<Value>],
            &placed.iter().map(|it| it.code.life.asked.name.clone()).collect::<Vec<_>>() as &[Option<String>],
            &placed.iter().map(|it| it.code.life.asked.code.clone()).collect::<Vec<_>>(),
            &life(|it| it.code.life.asked.window.map(|window| window.starts_at)) as &[Option<Instant>],
            &life(|it| it.code.life.asked.window.map(|window| window.ends_at)) as &[Option<Instant>],
            &placed.iter().map(Placed::common_code_key).collect::<Vec<_>>() as &[Option<String>],
            &placed.iter().map(|it| it.code.life.is_natively_scheduled).collect::<Vec<_>>(),
            &placed.iter().map(|it| it.code.is_external_modification_allowed).collect::<Vec<_>>(),
            &placed.iter().map(|it| it.code.life.is_managed).collect::<Vec<_>>(),
            &placed.iter().map(|it| it.code.pool_device_id).collect::<Vec<_>>() as &[Option<Uuid>],
            &placed.iter().map(|it| it.code.pulled_backup_access_code_id).collect::<Vec<_>>() as &[Option<Uuid>],
            &placed.iter().map(Placed::particulars).collect::<Vec<_>>() as &[Option<Json<Particulars>>],
            &placed.iter().map(|it| it.code.blocked_on()).collect::<Vec<_>>() as &[Option<Uuid>],
            &attempts.iter().map(|it| it.action_attempt_id).collect::<Vec<_>>(),
            attempts_of,
            &attempts.iter().map(|it| it.action_type.to_owned()).collect::<Vec<_>>(),
            &attempts.iter().map(|it| it.device_id).collect::<Vec<_>>(),
            &attempts.iter().map(|it| it.access_code_id).collect::<Vec<_>>(),
            &attempts.iter().map(|it| it.created_at).collect::<Vec<_>>(),
            &attempts.iter().map(|it| it.resolved_at).collect::<Vec<_>>() as &[Option<Instant>],
            &attempts.iter().map(|it| it.outcome.clone().map(Json)).collect::<Vec<_>>()
                as &[Option<Json<StoredOutcome>>],
        )
    };
    compute::sized(is_long, write).await.execute(&mut *tx).await?;
    let left: BTreeSet<(Uuid, String)> = placed.iter().filter_map(Placed::left_group).collect();
    if left.is_empty() { Ok(()) } else { remove_empty_groups(tx, left).await }
}

/// Removes the PIN groups of these keys that have no code any more. One that another transaction is about to add codes
/// to is passed over: waiting for it could wait for ever, since it locks groups before devices.
async fn remove_empty_groups(tx: &mut PgConnection, keys: BTreeSet<(Uuid, String)>) -> Result<()> {
    let (workspace_ids, keys): (Vec<Uuid>, Vec<String>) = keys.into_iter().unzip();
    let lock = "select g.common_code_key
                from unnest($1::uuid[], $2::text[]) as wanted(workspace_id, key)
                cross join lateral (select * from pin_group
                                    where workspace_id = wanted.workspace_id and common_code_key = wanted.key
                                    offset 0 for update skip locked) as g";
    let locked: Vec<String> = sqlx::query_scalar(lock).bind(&workspace_ids).bind(&keys).fetch_all(&mut *tx).await?;
    if locked.is_empty() {
        return Ok(());
    }
    // A statement of its own, which sees the codes that came before the group was locked. It passes over, once more, what
    // is locked by others.
    let remove = "delete from pin_group
                  where ctid = any(array(
                      select g.ctid
                      from unnest($1::uuid[], $2::text[]) as wanted(workspace_id, key)
                      cross join lateral (select ctid from pin_group
                                          where workspace_id = wanted.workspace_id and common_code_key = wanted.key
                                          offset 0 for update skip locked) as g
                      where not exists (select from (select * from access_code a
                                                     where a.common_code_key = wanted.key offset 0) as a
                                        where a.gone_at is null and a.workspace_id = wanted.workspace_id)))";
    sqlx::query(remove).bind(&workspace_ids).bind(&keys).execute(tx).await?;
    Ok(())
}
