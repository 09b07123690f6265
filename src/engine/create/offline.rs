//! Creation of offline codes, whose PINs the lock's manufacturer computes. The rules are in [`crate::domain::offline`].

use super::batch::CreateBatch;
use crate::clock::MAX_TIMESTAMP;
use crate::domain::access_code::lifecycle::Window;
use crate::domain::linked::{self, PinRequest};
use crate::domain::offline::{self, ExistingOfflineCode, Plan};
use crate::engine::commands::{CreateCommand, NewAccessCode};
use crate::error::{Error, Resource, Result};
use serde_json::json;
use uuid::Uuid;

impl CreateBatch {
    /// Adds the code of a request for an offline code: determines its time frame and PIN, checks the capacity of the
    /// lock, and records the creation. Returns the id of the code.
    pub(in crate::engine) fn add_offline(&mut self, command: &CreateCommand) -> Result<Vec<Uuid>> {
        let (Some(params), Some(device_id)) = (command.params.offline, command.device_ids.first().copied()) else {
            // Not reachable: `assign` calls this only for offline codes, and each request names a device.
            return Err(Error::NotFound(Resource::Device));
        };
        let locked = self.work.codes.visible_device(device_id, &command.visibility)?;
        if locked.device.health.removed_at.is_some() {
            return Err(Error::DeviceRemoved(device_id));
        }
        let ordinal = locked.next_ordinal();
        // Number of the guest's stay, used only for Oracode.
        let stay_id = offline::stay_id(locked.device.ordinal, locked.access_code_ordinal);
        let request = offline::OfflineRequest {
            starts_at: params.starts_at,
            ends_at: params.ends_at,
            is_one_time_use: params.is_one_time_use,
            has_code: command.params.code.is_some(),
            max_time_rounding: params.max_time_rounding,
            stay_id,
        };
        let existing_offline_codes = self.existing_offline_codes.get(&device_id).map_or(&[][..], Vec::as_slice);
        let plan = offline::plan(&locked.device, &request, existing_offline_codes, self.work.now)?;
        if plan.window.ends_at > MAX_TIMESTAMP {
            return Err(Error::invalid("ends_at", "The rounded time is after the year 9999"));
        }
        Window::check_not_over(Some(plan.window), self.work.now)?;
        let code = self.offline_pin(device_id, &plan, ordinal)?;
        let params = NewAccessCode { window: Some(plan.window), ..command.params.clone() };
        let pin_request = PinRequest {
            code: Some(&code),
            name: params.name.as_deref(),
            window: params.window,
            prefer_native_scheduling: false,
            ..PinRequest::at(self.work.now)
        };
        let locked = self.work.codes.device(device_id)?;
        linked::check_capacity(&locked.device, &self.reservations, &pin_request)?;
        let mut code = self.new_code(device_id, &params, (code, None))?;
        code.state.is_offline = true;
        code.state.is_natively_scheduled = false;
        code.state.rare_fields.offline = Some(json!({
            "kind": plan.kind,
            "is_one_time_use": request.is_one_time_use,
            "dormakaba_oracode_metadata": plan.stay,
        }));
        let access_code_id = code.access_code_id;
        self.add(code, command)?;
        self.existing_offline_codes
            .entry(device_id)
            .or_default()
            .push(ExistingOfflineCode { kind: plan.kind, window: plan.window });
        Ok(vec![access_code_id])
    }

    /// Returns a PIN in the manufacturer's format that no other code on the device has.
    fn offline_pin(&self, device_id: Uuid, plan: &Plan, ordinal: i64) -> Result<String> {
        const MAX_ATTEMPTS: i64 = 1000;
        let digits = usize::from(plan.digits).saturating_sub(plan.pin_prefix.len());
        let bound = u32::try_from(digits).ok().and_then(|digits| 10_u64.checked_pow(digits)).unwrap_or(1);
        (0..MAX_ATTEMPTS)
            .map(|attempt| {
                // Each code has room for 65,536 attempts.
                let number = self.work.ids.draw("offline_pin", device_id, (ordinal << 16) + attempt, bound);
                format!("{}{number:0digits$}", plan.pin_prefix)
            })
            .find(|code| self.reservations.with_code(device_id, code).next().is_none())
            .ok_or(Error::NoFreeCode)
    }
}
