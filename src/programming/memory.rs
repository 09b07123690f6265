//! What a lock's memory holds, as far as operations on it can run into that.

use crate::access_codes::lifecycle::Entry;
use crate::access_codes::lifecycle::particulars::{
    CODE_CONSTRAINTS_VIOLATED, DUPLICATE_CODE_ON_DEVICE, Duplicate, Fail, NO_SPACE_ON_DEVICE,
};
use crate::access_codes::linked::{Claims, Period, broken_digits, peak};
use crate::access_codes::model::AccessCode;
use crate::access_codes::store::{self, LockedDevice};
use crate::clock::Instant;
use crate::devices::model::Device;
use crate::error::Result;
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// A code in a lock's memory.
#[derive(Clone, Debug)]
pub struct Held {
    /// The code.
    pub access_code_id: Uuid,
    /// Whether it is ours.
    pub is_managed: bool,
    /// Its PIN.
    pub code: String,
}

/// As much of the memory of locks as the operations on them can run into.
#[derive(Debug, Default)]
pub struct Memory {
    /// By lock: codes with PINs that are to be set.
    held: HashMap<Uuid, Vec<Held>>,
    /// By lock with a limit: how many codes it holds.
    counts: HashMap<Uuid, usize>,
    /// By lock with a limit that is to hold backup codes: the codes that come first, whether it holds them or is to hold
    /// them later.
    guests: HashMap<Uuid, HashMap<Uuid, Period>>,
}

impl Memory {
    pub(super) async fn read(
        tx: &mut PgConnection,
        locked: &HashMap<Uuid, &LockedDevice>,
        may_be_set: &[&AccessCode],
        all: &[&AccessCode],
    ) -> Result<Self> {
        let mut memory = Self::default();
        let (mut wanted, mut limited, mut with_spares) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for code in may_be_set {
            wanted.insert((code.device_id, code.life.asked.code.clone()));
            let capacity = locked.get(&code.device_id).and_then(|locked| locked.device.capacity());
            if capacity.is_some() && code.life.held.is_none() {
                limited.insert(code.device_id);
                if code.pool_device_id.is_some() {
                    with_spares.insert(code.device_id);
                }
            }
        }
        if !wanted.is_empty() {
            memory.held = store::held_with_codes(tx, &wanted).await?;
        }
        if !limited.is_empty() {
            memory.counts = store::held_counts(tx, &limited.into_iter().collect::<Vec<_>>()).await?;
        }
        if !with_spares.is_empty() {
            memory.guests = guests(tx, &with_spares, all).await?;
        }
        Ok(memory)
    }

    /// Whether a lock has no place for one more code. A backup code takes only what the guests leave, those included that
    /// the lock is to hold later; `spares` is how many backup codes it holds.
    fn is_full(&self, device: &Device, code: &AccessCode, spares: i64) -> bool {
        let Some(capacity) = device.capacity().and_then(|capacity| usize::try_from(capacity).ok()) else {
            return false;
        };
        let held = self.counts.get(&device.device_id).copied().unwrap_or(0);
        let guests = self.guests.get(&device.device_id).filter(|_| code.pool_device_id.is_some());
        let promised = guests.map_or(0, |guests| {
            let spares = usize::try_from(spares).unwrap_or(0);
            peak(guests.values().copied(), (Instant::MIN_UTC, Instant::MAX_UTC)) + spares
        });
        held.max(promised) >= capacity
    }

    /// What keeps a lock from holding a code as it is asked for.
    pub(super) fn obstacle(&self, device: &Device, code: &AccessCode, spares: i64) -> Option<Fail> {
        let life = &code.life;
        if life.is_offline {
            return None;
        }
        let holds_it = life.held.as_ref().is_some_and(|held| held.code == life.asked.code);
        if !holds_it && let Some(reason) = broken_digits(device, &life.asked.code) {
            return Some(Fail {
                error_code: Some(CODE_CONSTRAINTS_VIOLATED.to_owned()),
                message: Some(format!("The device cannot hold this code: {reason}. Change the code.")),
                duplicate_of: None,
            });
        }
        let others = self.held.get(&device.device_id).map_or(&[][..], Vec::as_slice);
        let same =
            others.iter().find(|other| other.access_code_id != code.access_code_id && other.code == life.asked.code);
        if let Some(other) = same {
            let Held { access_code_id, is_managed, .. } = *other;
            return Some(Fail {
                error_code: Some(DUPLICATE_CODE_ON_DEVICE.to_owned()),
                message: Some(
                    "The device already has an access code with this PIN. Delete or adopt that one.".to_owned(),
                ),
                duplicate_of: Some(Duplicate { access_code_id, is_managed }),
            });
        }
        (life.held.is_none() && self.is_full(device, code, spares)).then(|| Fail {
            error_code: Some(NO_SPACE_ON_DEVICE.to_owned()),
            message: Some("The device holds as many access codes as it can. Delete one first.".to_owned()),
            duplicate_of: None,
        })
    }

    /// Removes a code that is gone from those that come before backup codes, whether or not the lock ever held it.
    pub(super) fn forget_gone_guest(&mut self, code: &AccessCode) {
        if code.life.gone_at.is_some()
            && let Some(guests) = self.guests.get_mut(&code.device_id)
        {
            guests.remove(&code.access_code_id);
        }
    }

    /// Takes note of what a lock holds now of a code. Gives whether something became free.
    pub(super) fn changed(&mut self, code: &AccessCode, before: Option<&Entry>) -> bool {
        let life = &code.life;
        if life.is_offline {
            return false;
        }
        let held = self.held.entry(code.device_id).or_default();
        held.retain(|other| other.access_code_id != code.access_code_id);
        if let Some(entry) = &life.held {
            held.push(Held {
                access_code_id: code.access_code_id,
                is_managed: life.is_managed,
                code: entry.code.clone(),
            });
        }
        if let Some(count) = self.counts.get_mut(&code.device_id) {
            *count = (*count + usize::from(life.held.is_some())).saturating_sub(usize::from(before.is_some()));
        }
        before.is_some_and(|before| life.held.as_ref().is_none_or(|held| held.code != before.code))
    }
}

/// The codes on these locks that come before backup codes, each with when it takes a place: those that are written, as
/// these ones are by now, and these ones.
async fn guests(
    tx: &mut PgConnection,
    device_ids: &BTreeSet<Uuid>,
    codes: &[&AccessCode],
) -> Result<HashMap<Uuid, HashMap<Uuid, Period>>> {
    let mut claims: Claims = store::claims_on_devices(tx, device_ids).await?.into_iter().collect();
    for code in codes.iter().filter(|code| device_ids.contains(&code.device_id)) {
        claims.remove(code.device_id, code.access_code_id);
        if code.life.gone_at.is_none() && !code.life.is_offline {
            claims.add_life(code);
        }
    }
    let of_device = |device_id: &Uuid| {
        let guests = claims.on(*device_id).iter().filter(|claim| claim.needs_room && !claim.is_in_pool);
        (*device_id, guests.map(|claim| (claim.access_code_id, claim.occupies(Instant::MIN_UTC))).collect())
    };
    Ok(device_ids.iter().map(of_device).collect())
}
