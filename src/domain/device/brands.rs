//! Capabilities of each brand's locks, as Seam documents them.
//!
//! Defaults where Seam documents nothing: no reported lengths (the lock accepts 4 to 12 digits), no constraints, no
//! capacity, just-in-time scheduling. A device can override its brand ([`super::Overrides`]).

use crate::domain::pin::DigitRule;
use serde::{Deserialize, Serialize};

/// An entry of a lock's `code_constraints`: Seam's `constraint_type`, and the bounds of `name_length`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeConstraint {
    /// Seam's name for the rule.
    pub constraint_type: String,
    /// `name_length` only: minimum length of a name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min_length: Option<u32>,
    /// `name_length` only: maximum length of a name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_length: Option<u32>,
}

/// Constraint: a request must omit the PIN because the provider chooses it.
pub(crate) const CANNOT_SPECIFY_PIN_CODE: &str = "cannot_specify_pin_code";
/// Constraint: a requested PIN must already exist in the provider's account. Latchkey accepts no PIN in a request then:
/// [`super::Device::provider_chooses_codes`].
pub(crate) const PIN_CODE_MATCHES_EXISTING_SET: &str = "pin_code_matches_existing_set";
/// Constraint: a time-bound code has to start in the future.
pub(crate) const START_DATE_IN_FUTURE: &str = "start_date_in_future";

/// Format of a code's name on the lock, as reported in `appearance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameStyle {
    /// One name.
    Whole,
    /// First word as first name, the following words as last name.
    FirstAndLast,
}

/// Capabilities of the locks of one `device_type`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "a brand is a list of what it can do")]
pub struct Brand {
    /// Seam's `device_type`.
    pub device_type: &'static str,
    /// Name of the manufacturer for display.
    pub display_name: &'static str,
    /// Seam's name for the manufacturer and for the account through which the lock is connected.
    pub provider: &'static str,
    /// True if the lock enforces the time frame of a code itself.
    pub native_scheduling: bool,
    /// `supported_code_lengths`; `None`: not reported, the lock accepts 4 to 12 digits.
    pub code_lengths: Option<&'static [u8]>,
    /// Rules for the digits of a PIN.
    pub digit_rules: &'static [DigitRule],
    /// Other `code_constraints`, except `name_length`.
    pub other_rules: &'static [&'static str],
    /// Minimum and maximum length of a name (`name_length`).
    pub name_length: (Option<u32>, Option<u32>),
    pub name_style: NameStyle,
    /// `max_active_codes_supported`; `None`: no documented capacity.
    pub capacity: Option<u32>,
    /// True if codes can be programmed remotely.
    pub online_codes: bool,
    /// True if the provider computes offline codes, which work without a connection to the lock.
    pub offline_codes: bool,
    /// True if an update deletes the code from the lock and programs it again. The lock does not have the code in
    /// between.
    pub recreates_on_update: bool,
    /// True if unmanaged codes can be converted to managed.
    pub converts_unmanaged_codes: bool,
    /// True if the PINs of unmanaged codes cannot be read.
    pub hides_unmanaged_pins: bool,
    /// True if unmanaged codes are visible in the API.
    pub shows_unmanaged_codes: bool,
    /// True if the lock does not report its PIN lengths and a client may report them.
    pub accepts_reported_code_lengths: bool,
    /// True if the lock does not report its time zone.
    pub hides_time_zone: bool,
    /// True if the lock supports a backup pool.
    pub backup_pool: bool,
    /// True if time-bound codes require a known time zone of the lock.
    pub needs_time_zone: bool,
    /// True if the lock rejects a start in the past.
    pub starts_not_in_the_past: bool,
    /// True if codes are entered at an accessory keypad that is connected to the lock.
    pub accessory_keypad: bool,
    /// True if a client can simulate that the lock is disconnected, connected and removed.
    pub simulates_connection: bool,
    /// True if a client can simulate that the lock is connected to its hub.
    pub simulates_hub_connection: bool,
    /// True if a client can simulate that the lock is disconnected from its hub.
    pub simulates_hub_disconnection: bool,
    /// True if a client can simulate that the subscription of the lock expires.
    pub simulates_subscription: bool,
    /// True if the lock reports with which code it was opened.
    pub reports_used_code: bool,
    /// True if the lock reports entries itself (`has_native_entry_events`).
    pub reports_entries: bool,
    /// True if the lock reports if its door is open (`door_open`).
    pub reports_door_open: bool,
    /// Number of consecutive wrong codes after which the lock reports them. If it is more than one, the keypad is then
    /// also locked for a while. `None`: the lock never reports wrong codes.
    pub denial_reported_after: Option<u32>,
    /// True if Seam's API simulates actions at the keypad.
    pub simulates_keypad: bool,
}

const PLAIN: Brand = Brand {
    device_type: "",
    display_name: "",
    provider: "",
    native_scheduling: false,
    code_lengths: None,
    digit_rules: &[],
    other_rules: &[],
    name_length: (None, None),
    name_style: NameStyle::Whole,
    capacity: None,
    online_codes: true,
    offline_codes: false,
    recreates_on_update: false,
    converts_unmanaged_codes: true,
    hides_unmanaged_pins: false,
    shows_unmanaged_codes: true,
    accepts_reported_code_lengths: false,
    hides_time_zone: false,
    backup_pool: true,
    needs_time_zone: false,
    starts_not_in_the_past: false,
    accessory_keypad: false,
    simulates_connection: false,
    simulates_hub_connection: false,
    simulates_hub_disconnection: false,
    simulates_subscription: false,
    reports_used_code: false,
    reports_entries: false,
    reports_door_open: false,
    denial_reported_after: None,
    simulates_keypad: false,
};

/// Returns a brand with the default capabilities.
const fn plain(device_type: &'static str, display_name: &'static str, provider: &'static str) -> Brand {
    Brand { device_type, display_name, provider, ..PLAIN }
}

/// All lock types of Seam, documented brands first.
pub const BRANDS: &[Brand] = &[
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6, 7, 8]),
        name_style: NameStyle::FirstAndLast,
        recreates_on_update: true,
        reports_used_code: true,
        reports_entries: true,
        reports_door_open: true,
        simulates_keypad: true,
        accessory_keypad: true,
        simulates_connection: true,
        simulates_hub_connection: true,
        simulates_hub_disconnection: true,
        ..plain("august_lock", "August", "august")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6, 7, 8]),
        name_style: NameStyle::FirstAndLast,
        recreates_on_update: true,
        reports_used_code: true,
        reports_entries: true,
        reports_door_open: true,
        accessory_keypad: true,
        simulates_connection: true,
        ..plain("yale_lock", "Yale", "yale")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6, 7, 8]),
        digit_rules: &[DigitRule::UniqueFirstFourDigits],
        name_length: (None, Some(9)),
        recreates_on_update: true,
        hides_time_zone: true,
        reports_used_code: true,
        reports_entries: true,
        ..plain("schlage_lock", "Schlage", "schlage")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6, 7, 8]),
        other_rules: &[START_DATE_IN_FUTURE],
        name_length: (Some(2), Some(14)),
        converts_unmanaged_codes: false,
        shows_unmanaged_codes: false,
        denial_reported_after: Some(3),
        reports_used_code: true,
        reports_entries: true,
        ..plain("kwikset_lock", "Kwikset", "kwikset")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[6]),
        digit_rules: &[DigitRule::CannotStartWith12, DigitRule::NoZeros],
        name_length: (None, Some(20)),
        capacity: Some(100),
        reports_entries: true,
        accessory_keypad: true,
        simulates_subscription: true,
        ..plain("nuki_lock", "Nuki", "nuki")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6]),
        capacity: Some(199),
        offline_codes: true,
        converts_unmanaged_codes: false,
        starts_not_in_the_past: true,
        denial_reported_after: Some(1),
        accessory_keypad: true,
        simulates_hub_disconnection: true,
        ..plain("igloohome_lock", "igloohome", "igloohome")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[5, 6, 7, 8]),
        digit_rules: &[DigitRule::NoAscendingOrDescendingSequence, DigitRule::AtLeastThreeUniqueDigits],
        reports_used_code: true,
        reports_entries: true,
        accessory_keypad: true,
        ..plain("tedee_lock", "Tedee", "tedee")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[6, 7, 8, 9, 10]),
        other_rules: &[CANNOT_SPECIFY_PIN_CODE, PIN_CODE_MATCHES_EXISTING_SET],
        capacity: Some(100),
        backup_pool: false,
        reports_used_code: true,
        reports_entries: true,
        ..plain("salto_lock", "Salto", "salto_ks")
    },
    Brand {
        native_scheduling: true,
        reports_used_code: true,
        reports_entries: true,
        simulates_hub_connection: true,
        simulates_hub_disconnection: true,
        ..plain("ttlock_lock", "TTLock", "ttlock")
    },
    Brand {
        native_scheduling: true,
        hides_unmanaged_pins: true,
        accessory_keypad: true,
        ..plain("wyze_lock", "Wyze", "wyze")
    },
    Brand { native_scheduling: true, code_lengths: Some(&[4, 5, 6, 7, 8]), ..plain("two_n_intercom", "2N", "two_n") },
    Brand { code_lengths: Some(&[6, 7, 8]), offline_codes: true, ..plain("lockly_lock", "Lockly", "lockly") },
    Brand {
        code_lengths: Some(&[6]),
        other_rules: &[CANNOT_SPECIFY_PIN_CODE],
        online_codes: false,
        offline_codes: true,
        backup_pool: false,
        ..plain("dormakaba_oracode_door", "dormakaba Oracode", "dormakaba_oracode")
    },
    Brand {
        converts_unmanaged_codes: false,
        hides_unmanaged_pins: true,
        accepts_reported_code_lengths: true,
        ..plain("smartthings_lock", "SmartThings", "smartthings")
    },
    Brand {
        code_lengths: Some(&[4, 5, 6, 7, 8]),
        needs_time_zone: true,
        ..plain("ultraloq_lock", "Ultraloq", "ultraloq")
    },
    plain("omnitec_lock", "Omnitec", "omnitec"),
    Brand {
        digit_rules: &[DigitRule::NoAscendingOrDescendingSequence, DigitRule::NoAllSameDigits],
        ..plain("keyincode_lock", "KeyInCode", "keyincode")
    },
    Brand { digit_rules: &[DigitRule::NoTripleConsecutiveInts], ..plain("brivo_access_point", "Brivo", "brivo") },
    plain("akiles_lock", "Akiles", "akiles"),
    plain("four_suites_door", "4SUITES", "four_suites"),
    plain("akuvox_lock", "Akuvox", "akuvox"),
    plain("butterflymx_panel", "ButterflyMX", "butterflymx"),
    plain("avigilon_alta_entry", "Avigilon Alta", "avigilon_alta"),
    plain("doorking_lock", "DoorKing", "doorking"),
    plain("genie_door", "Genie", "genie"),
    plain("igloo_lock", "igloo", "igloo"),
    plain("linear_lock", "Linear", "linear"),
    plain("controlbyweb_device", "ControlByWeb", "controlbyweb"),
    plain("yacan_lock", "Yacan", "yacan"),
    plain("kisi_lock", "Kisi", "kisi"),
    plain("aqara_lock", "Aqara", "aqara"),
];

/// Returns the brand of a `device_type`; `None` if it is not a lock type of Seam.
pub(crate) fn of(device_type: &str) -> Option<&'static Brand> {
    BRANDS.iter().find(|brand| brand.device_type == device_type)
}

impl Brand {
    /// Returns the default time zone of the brand's locks; `None`: unknown.
    pub fn default_time_zone(&self) -> Option<&'static str> {
        (!self.needs_time_zone && !self.hides_time_zone).then_some("America/Los_Angeles")
    }

    /// Returns Seam's `device_provider_name`. Only 2N's differs from the name of the manufacturer.
    pub fn provider_name(&self) -> &'static str {
        if self.provider == "two_n" { "my_2n" } else { self.provider }
    }

    /// Returns Seam's `manufacturer`. Only Salto's differs from the name of the provider.
    pub fn manufacturer(&self) -> &'static str {
        if self.provider == "salto_ks" { "salto" } else { self.provider }
    }

    /// Returns Seam's `provider_categories`. Seam documents none of them, so each provider is stable, and sells either
    /// locks for homes or access control systems.
    pub fn categories(&self) -> [&'static str; 2] {
        const ACCESS_CONTROL_SYSTEMS: [&str; 12] = [
            "akiles",
            "akuvox",
            "avigilon_alta",
            "brivo",
            "butterflymx",
            "controlbyweb",
            "doorking",
            "dormakaba_oracode",
            "four_suites",
            "kisi",
            "salto_ks",
            "two_n",
        ];
        let is_system = ACCESS_CONTROL_SYSTEMS.contains(&self.provider);
        ["stable", if is_system { "access_control_systems" } else { "consumer_smartlocks" }]
    }

    /// Returns the brand's `code_constraints`, in Seam's format.
    pub fn code_constraints(&self) -> Vec<CodeConstraint> {
        let plain = |constraint_type: &str| CodeConstraint {
            constraint_type: constraint_type.to_owned(),
            min_length: None,
            max_length: None,
        };
        let (min_length, max_length) = self.name_length;
        let name_length = CodeConstraint { min_length, max_length, ..plain("name_length") };
        let digits = self.digit_rules.iter().map(|rule| plain(rule.constraint_type()));
        let other_rules = self.other_rules.iter().map(|rule| plain(rule));
        digits.chain(other_rules).chain((self.name_length != (None, None)).then_some(name_length)).collect()
    }
}

#[cfg(test)]
mod tests;
