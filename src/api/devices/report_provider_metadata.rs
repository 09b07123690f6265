//! `/devices/report_provider_metadata`.

use crate::api::edge::{Call, EmptyResult};
use crate::engine::devices;
use crate::error::{Error, Result};
use chrono_tz::Tz;
use serde::Deserialize;
use std::collections::HashMap;
use uuid::Uuid;

/// Maximum number of devices in a request.
const MAX_DEVICES: usize = 500;

#[derive(Deserialize)]
pub(super) struct Report {
    devices: Vec<DeviceReport>,
}

/// Metadata of one device: exactly one of the three objects.
#[derive(Deserialize)]
struct DeviceReport {
    device_id: Uuid,
    omnitec_metadata: Option<TimeZone>,
    schlage_metadata: Option<TimeZone>,
    ultraloq_metadata: Option<TimeZone>,
}

#[derive(Deserialize)]
struct TimeZone {
    time_zone: String,
}

impl DeviceReport {
    /// Returns the time zone, with the `device_type` that it is for.
    fn time_zone(self) -> Result<(&'static str, String)> {
        let given = [
            ("omnitec_lock", self.omnitec_metadata),
            ("schlage_lock", self.schlage_metadata),
            ("ultraloq_lock", self.ultraloq_metadata),
        ];
        let mut given =
            given.into_iter().filter_map(|(device_type, metadata)| Some((device_type, metadata?.time_zone)));
        let (Some((device_type, time_zone)), None) = (given.next(), given.next()) else {
            let message = "Each device needs one of omnitec_metadata, schlage_metadata and ultraloq_metadata";
            return Err(Error::invalid("devices", message));
        };
        if time_zone.parse::<Tz>().is_err() {
            return Err(Error::invalid("devices", "Invalid timezone. Must be a valid IANA timezone string."));
        }
        Ok((device_type, time_zone))
    }
}

pub(super) async fn report(call: Call<Report>) -> Result<EmptyResult> {
    let reported = call.input.devices;
    if reported.len() > MAX_DEVICES {
        return Err(Error::invalid("devices", format!("Array must contain at most {MAX_DEVICES} element(s)")));
    }
    let mut reports = HashMap::with_capacity(reported.len());
    for report in reported {
        let device_id = report.device_id;
        if reports.insert(device_id, report.time_zone()?).is_some() {
            return Err(Error::invalid("devices", format!("The device {device_id} is contained twice")));
        }
    }
    devices::report_time_zones(&call.app, &call.caller.visibility(), reports).await?;
    Ok(EmptyResult {})
}
