//! Parameters that several access code endpoints share.

use crate::domain::access_code::lifecycle::Window;
use crate::domain::offline::MaxTimeRounding;
use crate::engine::commands::{NewAccessCode, OfflineParams};
use crate::error::{Error, Result};
use crate::http::params::{check_key_length, optional_instant};
use crate::store::access_codes::{Filter, Ownership};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Parameters that `create` and `create_multiple` share.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "Seam's request has them")]
pub(super) struct NewAccessCodeParams {
    code: Option<String>,
    name: Option<String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    pub(super) common_code_key: Option<String>,
    preferred_code_length: Option<f64>,
    #[serde(default = "yes")]
    prefer_native_scheduling: bool,
    #[serde(default = "yes")]
    attempt_for_offline_device: bool,
    is_external_modification_allowed: Option<bool>,
    allow_external_modification: Option<bool>,
    #[serde(default)]
    pub(super) sync: bool,
    #[serde(default)]
    use_backup_access_code_pool: bool,
    #[serde(default)]
    pub(super) is_offline_access_code: bool,
    #[serde(default)]
    pub(super) use_offline_access_code: bool,
    #[serde(default)]
    pub(super) is_one_time_use: bool,
    #[serde(default)]
    max_time_rounding: MaxTimeRounding,
}

/// Default of parameters that are true if they are missing.
pub(super) fn yes() -> bool {
    true
}

impl NewAccessCodeParams {
    /// Converts the parameters to a [`NewAccessCode`].
    ///
    /// # Errors
    /// The first parameter that is invalid or contradicts another one.
    pub(super) fn read(self) -> Result<NewAccessCode> {
        let is_modification_allowed =
            external_modification(self.is_external_modification_allowed, self.allow_external_modification)?;
        if let Some(key) = &self.common_code_key {
            check_key_length("common_code_key", key)?;
        }
        let preferred_code_length = self.preferred_code_length.map(|length| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a length no lock has is ignored"
            )]
            let whole = if length.fract() == 0.0 { length as u8 } else { 0 };
            whole
        });
        let offline = self.is_offline_access_code || self.use_offline_access_code;
        if self.is_one_time_use && !offline {
            let message = "Only for offline access codes: set is_offline_access_code to true";
            return Err(Error::invalid("is_one_time_use", message));
        }
        let offline = if offline { Some(self.offline()?) } else { None };
        // An offline code has its own, rounded time frame: `OfflineParams` contains the requested one.
        let window = match offline {
            Some(_) => None,
            None => window(self.starts_at.as_deref(), self.ends_at.as_deref())?,
        };
        Ok(NewAccessCode {
            window,
            offline,
            use_backup_pool: self.use_backup_access_code_pool,
            code: self.code,
            name: self.name,
            common_code_key: self.common_code_key,
            preferred_code_length,
            prefer_native_scheduling: self.prefer_native_scheduling,
            is_external_modification_allowed: is_modification_allowed.unwrap_or(false),
            attempt_for_offline_device: self.attempt_for_offline_device,
            sync: self.sync,
        })
    }
}

impl NewAccessCodeParams {
    /// Returns the parameters of an offline code. Rejects parameters that such a code cannot have.
    fn offline(&self) -> Result<OfflineParams> {
        if self.use_backup_access_code_pool {
            let message = "Offline access codes have no backups: omit use_backup_access_code_pool";
            return Err(Error::invalid("use_backup_access_code_pool", message));
        }
        if self.common_code_key.is_some() {
            let message = "Offline access codes cannot share a PIN: omit common_code_key";
            return Err(Error::invalid("common_code_key", message));
        }
        let starts_at = optional_instant("starts_at", self.starts_at.as_deref())?;
        let ends_at = optional_instant("ends_at", self.ends_at.as_deref())?;
        let starts_at =
            starts_at.ok_or_else(|| Error::invalid("starts_at", "An offline access code needs starts_at"))?;
        if ends_at.is_some_and(|ends_at| ends_at <= starts_at) {
            return Err(Error::invalid_request("ends_at must be after starts_at"));
        }
        Ok(OfflineParams {
            starts_at,
            ends_at,
            is_one_time_use: self.is_one_time_use,
            max_time_rounding: self.max_time_rounding,
        })
    }
}

/// Returns the value of `is_external_modification_allowed`, which has a second name: `allow_external_modification`. If
/// both are set, they must not differ.
pub(super) fn external_modification(is_allowed: Option<bool>, allow: Option<bool>) -> Result<Option<bool>> {
    match (is_allowed, allow) {
        (Some(one), Some(other)) if one != other => Err(Error::invalid_request(
            "is_external_modification_allowed and allow_external_modification mean the same and must not differ",
        )),
        (one, other) => Ok(one.or(other)),
    }
}

/// Returns the time frame from its two parameters; `None` if both are missing.
///
/// # Errors
/// A parameter is not an instant, only one of them is set, or `ends_at` is not after `starts_at`.
pub(crate) fn window(starts_at: Option<&str>, ends_at: Option<&str>) -> Result<Option<Window>> {
    Window::changed(None, optional_instant("starts_at", starts_at)?, optional_instant("ends_at", ends_at)?)
}

/// Converts the access code of a fixtures file to a [`NewAccessCode`]. It has the parameters of `/access_codes/create`,
/// and must have passed the schema of the file.
///
/// # Errors
/// The first parameter that is invalid or contradicts another one.
pub(crate) fn new_access_code(parameters: Map<String, Value>) -> Result<NewAccessCode> {
    NewAccessCodeParams::deserialize(Value::Object(parameters))?.read()
}

/// Parameters that select one access code: by its id, or by its device and PIN.
#[derive(Deserialize)]
pub(super) struct OneAccessCode {
    access_code_id: Option<Uuid>,
    device_id: Option<Uuid>,
    pub(super) code: Option<String>,
}

impl OneAccessCode {
    /// Returns the error for a code that does not exist.
    pub(super) fn not_found(&self) -> Error {
        Error::AccessCodeNotFound { device_id: self.device_id, access_code_id: self.access_code_id }
    }

    /// Returns the filter that finds the code, among the managed or the unmanaged codes.
    ///
    /// # Errors
    /// The parameters name no code, or both an id and a PIN.
    pub(super) fn filter(&self, ownership: Ownership) -> Result<Filter<'_>> {
        let either = "Either access_code_id, or device_id and code, are required";
        match (&self.access_code_id, &self.device_id, &self.code) {
            (Some(_), _, Some(_)) => {
                Err(Error::invalid_request("Give access_code_id, or device_id and code, not both"))
            }
            (None, None, _) | (None, _, None) => Err(Error::invalid_request(either)),
            (access_code_id, device_id, code) => Ok(Filter {
                access_code_ids: access_code_id.as_ref().map(std::slice::from_ref),
                device_id: *device_id,
                code: code.as_deref(),
                ownership,
                ..Filter::default()
            }),
        }
    }
}
