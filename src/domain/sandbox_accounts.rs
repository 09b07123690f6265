//! Accounts of the sandbox: for each provider the credentials that its login page accepts, and the devices that a login
//! brings.
//!
//! Seam documents the credentials. It does not document the devices: those here have the names that Seam's samples show
//! where there are samples.

use super::connected_account::AUTOMATIC_USER;
use super::device::brands::{self, Brand};

/// Code of the second factor, for all providers that require one.
pub(crate) const TWO_FACTOR_CODE: &str = "123456";

/// Password of all accounts.
const PASSWORD: &str = "1234";

/// Values that a field accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// One of these values. In an email address, upper and lower case are the same.
    OneOf(&'static [&'static str]),
    /// Any address of `example.com`.
    AnyExampleAddress,
    /// One of these values, which the page offers as a list.
    Choice(&'static [&'static str]),
}

/// Field of a login form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Name in the form.
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    /// True if the value is not shown.
    pub(crate) is_secret: bool,
    pub(crate) accepted: Accepted,
}

/// Provider to whose accounts users can log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SandboxProvider {
    /// Seam's name for the provider in `accepted_providers`.
    pub(crate) name: &'static str,
    /// Type of the devices.
    pub(crate) device_type: &'static str,
    /// Fields of the form. The value of the first one identifies the user.
    pub(crate) fields: &'static [Field],
    /// True if the login also needs [`TWO_FACTOR_CODE`].
    pub(crate) has_two_factor: bool,
    /// Names of the devices of an account.
    pub(crate) devices: &'static [&'static str],
    /// Categories in addition to [`STABLE`], which all providers have.
    pub(crate) categories: &'static [&'static str],
}

/// Result of a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// The credentials are right. The user identifier becomes that of the account.
    Accepted { user_identifier: String },
    /// The credentials are right, and the code of the second factor is missing.
    NeedsTwoFactorCode,
    /// The credentials or the code are wrong.
    Rejected,
}

/// Category of all providers.
const STABLE: &str = "stable";
const SMARTLOCKS: &[&str] = &["consumer_smartlocks"];
const ACCESS_CONTROL: &[&str] = &["access_control_systems"];

const fn text(name: &'static str, label: &'static str, accepted: Accepted) -> Field {
    Field { name, label, is_secret: false, accepted }
}

const fn secret(name: &'static str, label: &'static str, values: &'static [&'static str]) -> Field {
    Field { name, label, is_secret: true, accepted: Accepted::OneOf(values) }
}

const fn email(accepted: Accepted) -> Field {
    text("email", "Email", accepted)
}

const JANE: Accepted = Accepted::OneOf(&["jane@example.com"]);
const PASSWORD_FIELD: Field = secret("password", "Password", &[PASSWORD]);
const FOUR_USERS: Field =
    email(Accepted::OneOf(&["jane@example.com", "john@example.com", "sam@example.com", "frodo@example.com"]));
const REGION: Field =
    text("region", "Region", Accepted::Choice(&["United States", "Canada", "Europe", "Asia Pacific"]));
const TIME_ZONE: Field = text(
    "time_zone",
    "Time zone",
    Accepted::Choice(&["America/Los_Angeles", "America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Sydney"]),
);

const ANY_USER: &[Field] = &[email(Accepted::AnyExampleAddress), PASSWORD_FIELD];
const JANE_ONLY: &[Field] = &[email(JANE), PASSWORD_FIELD];
const TWO_DOORS: &[&str] = &["Front Door", "Back Door"];
const TWO_DOORS_IN_CAPITALS: &[&str] = &["FRONT DOOR", "BACK DOOR"];

/// Returns a provider with the usual credentials and devices.
const fn plain(
    name: &'static str,
    device_type: &'static str,
    fields: &'static [Field],
    categories: &'static [&'static str],
) -> SandboxProvider {
    SandboxProvider { name, device_type, fields, has_two_factor: false, devices: TWO_DOORS, categories }
}

/// Providers in the order in which the page offers them.
pub(crate) const PROVIDERS: &[SandboxProvider] = &[
    SandboxProvider {
        has_two_factor: true,
        devices: TWO_DOORS_IN_CAPITALS,
        ..plain("august", "august_lock", &[FOUR_USERS, PASSWORD_FIELD, REGION], SMARTLOCKS)
    },
    SandboxProvider {
        has_two_factor: true,
        devices: TWO_DOORS_IN_CAPITALS,
        ..plain("yale", "yale_lock", &[FOUR_USERS, PASSWORD_FIELD, REGION], SMARTLOCKS)
    },
    SandboxProvider {
        devices: TWO_DOORS_IN_CAPITALS,
        ..plain(
            "schlage",
            "schlage_lock",
            &[
                email(Accepted::OneOf(&[
                    "jane@example.com",
                    "john@example.com",
                    "sam@example.com",
                    "frodo@example.com",
                    "andrew@example.com",
                ])),
                PASSWORD_FIELD,
            ],
            SMARTLOCKS,
        )
    },
    plain("kwikset", "kwikset_lock", ANY_USER, SMARTLOCKS),
    plain("nuki", "nuki_lock", ANY_USER, SMARTLOCKS),
    plain("igloohome", "igloohome_lock", ANY_USER, SMARTLOCKS),
    plain("ttlock", "ttlock_lock", JANE_ONLY, SMARTLOCKS),
    plain("tedee", "tedee_lock", JANE_ONLY, SMARTLOCKS),
    plain(
        "smartthings",
        "smartthings_lock",
        &[email(Accepted::OneOf(&["jane@example.com", "sam@example.com", "frodo@example.com"])), PASSWORD_FIELD],
        SMARTLOCKS,
    ),
    plain(
        "wyze",
        "wyze_lock",
        &[
            email(Accepted::AnyExampleAddress),
            PASSWORD_FIELD,
            text("api_key_id", "API key id", Accepted::OneOf(&["ABC123ABC"])),
            secret("api_key", "API key", &["ABC123ABC"]),
        ],
        SMARTLOCKS,
    ),
    plain(
        "lockly",
        "lockly_lock",
        &[
            email(JANE),
            text("team_id", "Team id", Accepted::OneOf(&["1234"])),
            secret("api_key", "API key", &["1234"]),
            secret("api_secret", "API secret", &["1234"]),
        ],
        SMARTLOCKS,
    ),
    SandboxProvider {
        devices: &["Front Door Lock", "Back Door Lock"],
        ..plain("keyincode", "keyincode_lock", JANE_ONLY, SMARTLOCKS)
    },
    plain("ultraloq", "ultraloq_lock", ANY_USER, SMARTLOCKS),
    plain("igloo", "igloo_lock", ANY_USER, SMARTLOCKS),
    plain("omnitec", "omnitec_lock", &[email(JANE), PASSWORD_FIELD, TIME_ZONE], SMARTLOCKS),
    plain("aqara", "aqara_lock", ANY_USER, SMARTLOCKS),
    plain("yacan", "yacan_lock", ANY_USER, SMARTLOCKS),
    plain("genie", "genie_door", &[email(Accepted::OneOf(&["john@example.com"])), PASSWORD_FIELD], SMARTLOCKS),
    plain("linear", "linear_lock", ANY_USER, SMARTLOCKS),
    plain(
        "controlbyweb",
        "controlbyweb_device",
        &[text("username", "User name", Accepted::OneOf(&["jane"])), PASSWORD_FIELD],
        SMARTLOCKS,
    ),
    plain("salto_ks", "salto_lock", JANE_ONLY, ACCESS_CONTROL),
    plain("akiles", "akiles_lock", JANE_ONLY, ACCESS_CONTROL),
    plain("four_suites", "four_suites_door", ANY_USER, ACCESS_CONTROL),
    SandboxProvider {
        devices: &["Device 0", "Device 1", "Device 2"],
        ..plain(
            "my_2n",
            "two_n_intercom",
            &[
                email(Accepted::AnyExampleAddress),
                PASSWORD_FIELD,
                text("device_username", "User name of the devices", Accepted::OneOf(&["jane"])),
                secret("device_password", "Password of the devices", &[PASSWORD]),
            ],
            ACCESS_CONTROL,
        )
    },
    plain(
        "brivo",
        "brivo_access_point",
        &[email(JANE), PASSWORD_FIELD, secret("api_key", "API key", &["1234"])],
        ACCESS_CONTROL,
    ),
    SandboxProvider {
        devices: &["Room 101", "Room 102"],
        ..plain(
            "dormakaba_oracode",
            "dormakaba_oracode_door",
            &[
                text("username", "User name", Accepted::OneOf(&["jane"])),
                PASSWORD_FIELD,
                text("site_name", "Site", Accepted::OneOf(&["Ocean Beach Vacations"])),
                TIME_ZONE,
            ],
            ACCESS_CONTROL,
        )
    },
    plain("akuvox", "akuvox_lock", ANY_USER, ACCESS_CONTROL),
    plain("butterflymx", "butterflymx_panel", ANY_USER, ACCESS_CONTROL),
    plain("avigilon_alta", "avigilon_alta_entry", ANY_USER, ACCESS_CONTROL),
    plain("doorking", "doorking_lock", ANY_USER, ACCESS_CONTROL),
    plain("kisi", "kisi_lock", ANY_USER, ACCESS_CONTROL),
];

/// Returns the provider with this name in `accepted_providers`; `None` if Latchkey has no devices of it.
pub(crate) fn of(name: &str) -> Option<&'static SandboxProvider> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// Returns the names of the providers of a category.
pub(crate) fn of_category(category: &str) -> Vec<&'static str> {
    let is_of = |provider: &&SandboxProvider| category == STABLE || provider.categories.contains(&category);
    PROVIDERS.iter().filter(is_of).map(|provider| provider.name).collect()
}

impl Field {
    /// Returns true if the field accepts this value.
    fn accepts(&self, value: &str) -> bool {
        let value = value.trim();
        let is_email = self.name == "email";
        let value = if is_email { value.to_ascii_lowercase() } else { value.to_owned() };
        match self.accepted {
            _ if is_email && value == AUTOMATIC_USER => true,
            Accepted::OneOf(values) | Accepted::Choice(values) => values.contains(&value.as_str()),
            Accepted::AnyExampleAddress => {
                let user = value.strip_suffix("@example.com").unwrap_or_default();
                let is_plain = |character: char| character.is_ascii_alphanumeric() || ".+-_".contains(character);
                (1..=64).contains(&user.len()) && user.chars().all(is_plain)
            }
        }
    }

    /// Returns a value that the field accepts.
    pub(crate) fn example(&self) -> &'static str {
        match self.accepted {
            Accepted::OneOf(values) | Accepted::Choice(values) => values.first().copied().unwrap_or_default(),
            Accepted::AnyExampleAddress => "jane@example.com",
        }
    }
}

impl SandboxProvider {
    /// Returns the brand of the devices.
    pub(crate) fn brand(&self) -> Option<&'static Brand> {
        brands::of(self.device_type)
    }

    /// Returns the name of the provider for display.
    pub(crate) fn display_name(&self) -> &'static str {
        self.brand().map_or(self.name, |brand| brand.display_name)
    }

    /// Checks the credentials of a login. `value` returns the value of a field of the form. `two_factor_code` is the
    /// code of the second factor, if the form had one.
    pub(crate) fn login<'v>(&self, value: impl Fn(&str) -> Option<&'v str>, two_factor_code: Option<&str>) -> Login {
        let is_right = |field: &Field| value(field.name).is_some_and(|value| field.accepts(value));
        if !self.fields.iter().all(is_right) {
            return Login::Rejected;
        }
        match two_factor_code {
            None if self.has_two_factor => return Login::NeedsTwoFactorCode,
            Some(code) if self.has_two_factor && code.trim() != TWO_FACTOR_CODE => return Login::Rejected,
            _ => {}
        }
        let user = self.fields.first().and_then(|field| value(field.name)).unwrap_or_default();
        Login::Accepted { user_identifier: user.trim().to_ascii_lowercase() }
    }
}

#[cfg(test)]
mod tests;
