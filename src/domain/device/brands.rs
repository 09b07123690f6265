//! What each brand's locks can do, as Seam documents it.
//!
//! Where nothing is documented: no reported lengths (the lock takes 4 to 12 digits), no constraints, no capacity,
//! just-in-time scheduling. A workspace may make any lock differ from its brand ([`super::Overrides`]).

use crate::domain::pin::DigitRule;
use serde::{Deserialize, Serialize};

/// One entry of a lock's `code_constraints`: Seam's `constraint_type`, with the bounds that `name_length` has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeConstraint {
    /// Seam's name of the rule.
    pub constraint_type: String,
    /// `name_length` only: the shortest name the lock takes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min_length: Option<u32>,
    /// `name_length` only: the longest name the lock takes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_length: Option<u32>,
}

/// The PIN has to be left out: the provider chooses it.
pub(crate) const CANNOT_SPECIFY_PIN_CODE: &str = "cannot_specify_pin_code";
/// A PIN that is given must be one the provider's account already has.
pub(crate) const PIN_CODE_MATCHES_EXISTING_SET: &str = "pin_code_matches_existing_set";
/// A time-bound code has to start in the future.
pub(crate) const START_DATE_IN_FUTURE: &str = "start_date_in_future";

/// How a lock shows the name of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameStyle {
    /// As one name.
    Whole,
    /// First word as first name, the rest as last name.
    FirstAndLast,
}

/// What the locks of one `device_type` can do.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "a brand is a list of what it can do")]
pub struct Brand {
    /// Seam's `device_type`.
    pub device_type: &'static str,
    /// The maker, as people write it.
    pub display_name: &'static str,
    /// Seam's name of the maker and of the account through which the lock is connected.
    pub provider: &'static str,
    /// Whether the lock keeps a code's schedule itself.
    pub native_scheduling: bool,
    /// `supported_code_lengths`; `None`: not reported, 4 to 12 digits.
    pub code_lengths: Option<&'static [u8]>,
    /// Rules on the digits of a PIN.
    pub digit_rules: &'static [DigitRule],
    /// Other `code_constraints` without bounds.
    pub other_rules: &'static [&'static str],
    /// Shortest and longest name (`name_length`).
    pub name_length: (Option<u32>, Option<u32>),
    /// How names appear on the lock.
    pub name_style: NameStyle,
    /// `max_active_codes_supported`; `None`: no documented capacity.
    pub capacity: Option<u32>,
    /// Whether codes can be programmed from afar.
    pub online_codes: bool,
    /// Whether the provider computes codes that work without contact to the lock.
    pub offline_codes: bool,
    /// Whether a code is changed by deleting it and making it anew, so that it is not there meanwhile.
    pub recreates: bool,
    /// Whether Seam can take over codes that somebody else put on the lock.
    pub converts_unmanaged_codes: bool,
    /// Whether the PINs of such codes cannot be read.
    pub hides_unmanaged_pins: bool,
    /// Whether such codes can be seen at all.
    pub shows_unmanaged_codes: bool,
    /// Whether the lock does not tell which lengths of PINs it takes, and its user may.
    pub takes_reported_code_lengths: bool,
    /// Whether the lock tells nobody its time zone.
    pub tells_no_time_zone: bool,
    /// Whether Seam can keep a pool of backup codes on it.
    pub backup_pool: bool,
    /// Whether time-bound codes need the lock's time zone to be known.
    pub needs_time_zone: bool,
    /// Whether a time-bound code may not start in the past.
    pub starts_not_in_the_past: bool,
    /// Whether it tells which code it was opened with.
    pub tells_whose_code: bool,
    /// Whether it reports entries itself (`has_native_entry_events`).
    pub tells_entries: bool,
    /// Whether it tells whether its door is open (`door_open`).
    pub tells_door_open: bool,
    /// After how many wrong codes in a row it tells of them. After more than one its keypad is dead for a while, too.
    /// `None`: it never tells.
    pub denial_told_after: Option<u32>,
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
    recreates: false,
    converts_unmanaged_codes: true,
    hides_unmanaged_pins: false,
    shows_unmanaged_codes: true,
    takes_reported_code_lengths: false,
    tells_no_time_zone: false,
    backup_pool: true,
    needs_time_zone: false,
    starts_not_in_the_past: false,
    tells_whose_code: false,
    tells_entries: false,
    tells_door_open: false,
    denial_told_after: None,
};

const fn plain(device_type: &'static str, display_name: &'static str, provider: &'static str) -> Brand {
    Brand { device_type, display_name, provider, ..PLAIN }
}

/// Every lock type Seam knows, documented brands first.
pub const BRANDS: &[Brand] = &[
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6, 7, 8]),
        name_style: NameStyle::FirstAndLast,
        recreates: true,
        tells_whose_code: true,
        tells_entries: true,
        tells_door_open: true,
        ..plain("august_lock", "August", "august")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6, 7, 8]),
        name_style: NameStyle::FirstAndLast,
        recreates: true,
        tells_whose_code: true,
        tells_entries: true,
        tells_door_open: true,
        ..plain("yale_lock", "Yale", "yale")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6, 7, 8]),
        digit_rules: &[DigitRule::UniqueFirstFourDigits],
        name_length: (None, Some(9)),
        recreates: true,
        tells_no_time_zone: true,
        tells_whose_code: true,
        tells_entries: true,
        ..plain("schlage_lock", "Schlage", "schlage")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6, 7, 8]),
        other_rules: &[START_DATE_IN_FUTURE],
        name_length: (Some(2), Some(14)),
        converts_unmanaged_codes: false,
        shows_unmanaged_codes: false,
        denial_told_after: Some(3),
        tells_whose_code: true,
        tells_entries: true,
        ..plain("kwikset_lock", "Kwikset", "kwikset")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[6]),
        digit_rules: &[DigitRule::CannotStartWith12, DigitRule::NoZeros],
        name_length: (None, Some(20)),
        capacity: Some(100),
        tells_entries: true,
        ..plain("nuki_lock", "Nuki", "nuki")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[4, 5, 6]),
        capacity: Some(199),
        offline_codes: true,
        converts_unmanaged_codes: false,
        starts_not_in_the_past: true,
        denial_told_after: Some(1),
        ..plain("igloohome_lock", "igloohome", "igloohome")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[5, 6, 7, 8]),
        digit_rules: &[DigitRule::NoAscendingOrDescendingSequence, DigitRule::AtLeastThreeUniqueDigits],
        tells_whose_code: true,
        tells_entries: true,
        ..plain("tedee_lock", "Tedee", "tedee")
    },
    Brand {
        native_scheduling: true,
        code_lengths: Some(&[6, 7, 8, 9, 10]),
        other_rules: &[CANNOT_SPECIFY_PIN_CODE, PIN_CODE_MATCHES_EXISTING_SET],
        capacity: Some(100),
        backup_pool: false,
        tells_whose_code: true,
        tells_entries: true,
        ..plain("salto_lock", "Salto", "salto_ks")
    },
    Brand {
        native_scheduling: true,
        tells_whose_code: true,
        tells_entries: true,
        ..plain("ttlock_lock", "TTLock", "ttlock")
    },
    Brand { native_scheduling: true, hides_unmanaged_pins: true, ..plain("wyze_lock", "Wyze", "wyze") },
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
        takes_reported_code_lengths: true,
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

/// The brand of a `device_type`; `None` if it is not a lock Seam knows.
pub(crate) fn of(device_type: &str) -> Option<&'static Brand> {
    BRANDS.iter().find(|brand| brand.device_type == device_type)
}

impl Brand {
    /// The time zone of its locks unless they say otherwise; `None`: it is unknown.
    pub fn default_time_zone(&self) -> Option<&'static str> {
        (!self.needs_time_zone && !self.tells_no_time_zone).then_some("America/Los_Angeles")
    }

    /// The brand's `code_constraints`, in Seam's shape.
    pub fn code_constraints(&self) -> Vec<CodeConstraint> {
        let plain = |constraint_type: &str| CodeConstraint {
            constraint_type: constraint_type.to_owned(),
            min_length: None,
            max_length: None,
        };
        let (min_length, max_length) = self.name_length;
        let name_length = CodeConstraint { min_length, max_length, ..plain("name_length") };
        let digits = self.digit_rules.iter().map(|rule| plain(rule.constraint_type()));
        let others = self.other_rules.iter().map(|rule| plain(rule));
        digits.chain(others).chain((self.name_length != (None, None)).then_some(name_length)).collect()
    }
}

#[cfg(test)]
mod tests;
