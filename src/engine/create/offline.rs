//! Creates codes that a lock's maker computes: the rules are [`crate::domain::offline`]'s.

use super::board::Board;
use crate::clock::LAST;
use crate::domain::linked::{self, Assigned, Wish};
use crate::domain::offline::{self, Plan, Registered};
use crate::engine::commands::{CreateCommand, NewAccessCode};
use crate::error::{Error, Resource, Result};
use serde_json::json;
use uuid::Uuid;

impl Board {
    /// Decides a request for a code that the lock's maker computes.
    pub(super) fn make_offline(&mut self, making: &CreateCommand) -> Result<Vec<usize>> {
        let (Some(wish), Some(device_id)) = (making.wanted.offline, making.device_ids.first().copied()) else {
            return Err(Error::NotFound(Resource::Device));
        };
        let locked = self.devices.get(&device_id).ok_or(Error::NotFound(Resource::Device))?;
        if locked.device.trouble.removed_at.is_some() {
            return Err(Error::DeviceRemoved(device_id));
        }
        let ordinal = locked.next_ordinal();
        let stay_id = offline::stay_id(locked.device.ordinal, locked.access_code_ordinal);
        let asked = offline::Asked {
            starts_at: wish.starts_at,
            ends_at: wish.ends_at,
            is_one_time_use: wish.is_one_time_use,
            has_code: making.wanted.code.is_some(),
            max_time_rounding: wish.max_time_rounding,
            stay_id,
        };
        let others = self.registered.get(&device_id).map_or(&[][..], Vec::as_slice);
        let plan = offline::plan(&locked.device, &asked, others, self.now)?;
        if plan.window.ends_at > LAST {
            return Err(Error::invalid(
                "ends_at",
                "Rounded to where the maker knows an instant, it lies after the year 9999",
            ));
        }
        if plan.window.ends_at <= self.now {
            return Err(Error::invalid("ends_at", "ends_at must be in the future"));
        }
        let code = self.offline_pin(device_id, &plan, ordinal)?;
        let wanted = NewAccessCode { window: Some(plan.window), ..making.wanted.clone() };
        let wish = Wish {
            code: Some(&code),
            name: wanted.name.as_deref(),
            window: wanted.window,
            prefer_native_scheduling: false,
            ..Wish::at(self.now)
        };
        let locked = self.devices.get(&device_id).ok_or(Error::NotFound(Resource::Device))?;
        linked::check_capacity(&locked.device, &self.claims, &wish)?;
        let making = CreateCommand { wanted, ..making.clone() };
        let place = self.place(device_id, &making, &Assigned { code, is_shared: false }, None);
        let place = place.ok_or(Error::NotFound(Resource::Device))?;
        let life = &mut self.drafts[place].code.life;
        life.is_offline = true;
        life.is_natively_scheduled = false;
        life.particulars.offline = Some(json!({
            "kind": plan.kind,
            "is_one_time_use": asked.is_one_time_use,
            "dormakaba_oracode_metadata": plan.stay,
        }));
        self.registered.entry(device_id).or_default().push(Registered { kind: plan.kind, window: plan.window });
        Ok(vec![place])
    }

    /// A PIN as the maker would compute it, that no other code on the lock has.
    fn offline_pin(&self, device_id: Uuid, plan: &Plan, ordinal: i64) -> Result<String> {
        const TRIES: i64 = 1000;
        let digits = usize::from(plan.digits).saturating_sub(plan.pin_prefix.len());
        let bound = u32::try_from(digits).ok().and_then(|digits| 10_u64.checked_pow(digits)).unwrap_or(1);
        (0..TRIES)
            .map(|attempt| {
                let number = self.ids.draw("offline_pin", device_id, (ordinal << 16) + attempt, bound);
                format!("{}{number:0digits$}", plan.pin_prefix)
            })
            .find(|code| self.claims.with_code(device_id, code).next().is_none())
            .ok_or(Error::NoCodeLeft)
    }
}
