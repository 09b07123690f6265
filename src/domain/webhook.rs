//! Webhooks: their event types, the hosts that deliveries may be sent to, and the retries of failed deliveries.

use crate::clock::{Timestamp, iso};
use crate::ids::Ids;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

/// Maximum number of webhooks in a workspace. Each event is stored once for every webhook that receives it.
pub(crate) const MAX_WEBHOOKS: i64 = 50;

/// Maximum length of a URL, in characters.
pub(crate) const MAX_URL_LENGTH: usize = 2000;

/// Event type that stands for all types.
pub(crate) const ALL_TYPES: &str = "*";

/// Due time of a delivery that is due at once: it was not tried yet, or a client requested it again. Such deliveries
/// come before all retries, in the order of their events.
pub(crate) const DUE_AT_ONCE: Timestamp = DateTime::UNIX_EPOCH;

/// Maximum number of attempts in the log of a delivery; the oldest are removed.
pub(crate) const MAX_LOGGED_ATTEMPTS: i32 = 20;

/// Delays between a failed attempt and the next one, as Seam documents them. The first attempt is made at once.
const RETRY_DELAYS: [TimeDelta; 7] = [
    TimeDelta::seconds(5),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(10),
];

/// Time for which all attempts of a webhook must have failed before it is disabled.
const DISABLED_AFTER: TimeDelta = TimeDelta::days(5);

/// Webhook of a workspace.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) webhook_id: Uuid,
    pub(crate) url: String,
    /// Types of the events that it receives; [`ALL_TYPES`] stands for all.
    pub(crate) event_types: Vec<String>,
    /// Key of the signatures, in the format of Svix.
    pub(crate) secret: String,
    /// Instant of the creation, on the clock of the workspace.
    pub(crate) created_at: Timestamp,
}

/// Returns the secret of a new webhook.
pub(crate) fn new_secret(ids: &Ids, webhook_id: Uuid) -> String {
    format!("whsec_{}", STANDARD.encode(ids.token("webhook_secret", webhook_id, 24)))
}

/// Returns the id of a delivery as receivers see it, in the format of Svix. It is the same for each attempt.
pub(crate) fn message_id(webhook_delivery_id: Uuid) -> String {
    format!("msg_{}", webhook_delivery_id.simple())
}

/// Attempt to send a delivery, as the log stores it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Attempt {
    /// Start of the attempt, on the machine's clock.
    #[serde(serialize_with = "iso::serialize")]
    pub(crate) attempted_at: Timestamp,
    pub(crate) duration_ms: i64,
    /// HTTP status of the response; `None`: there was no response.
    pub(crate) response_status: Option<u16>,
    /// Beginning of the response body.
    pub(crate) response_body: Option<String>,
    /// Reason why the attempt failed; `None`: it was successful.
    pub(crate) error: Option<String>,
}

/// Returns the delay before the next attempt after this number of failed attempts. `None`: no attempt follows.
pub(crate) fn retry_delay(failures: i32, scale: f64) -> Option<TimeDelta> {
    let index = usize::try_from(failures.checked_sub(1)?).ok()?;
    RETRY_DELAYS.get(index).map(|delay| scaled(*delay, scale))
}

/// Returns true if a webhook is disabled now that a delivery has failed for the last time: all attempts since
/// `failing_since` have failed, and that is five days ago. With the scale 0, no webhook is disabled.
pub(crate) fn is_disabled(failing_since: Timestamp, now: Timestamp, scale: f64) -> bool {
    scale > 0.0 && now - failing_since >= scaled(DISABLED_AFTER, scale)
}

/// Returns a duration times the scale of the settings, to the millisecond.
fn scaled(duration: TimeDelta, scale: f64) -> TimeDelta {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the durations are far below 2^53 ms, and the scale is limited"
    )]
    let milliseconds = (duration.num_milliseconds() as f64 * scale) as i64;
    TimeDelta::try_milliseconds(milliseconds).unwrap_or(TimeDelta::MAX)
}

/// Returns true if deliveries may be sent to any address of this host, because a setting names it. Otherwise they may
/// only be sent to its loopback addresses.
pub(crate) fn is_allowed_host(host: &str, allowed_hosts: &[String]) -> bool {
    let host = host.trim_end_matches('.');
    allowed_hosts.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(host))
}

/// Returns true for an address of this machine that other machines cannot use.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_iso;

    #[test]
    fn retries_follow_the_documented_schedule_times_the_scale() {
        let seconds = |failures, scale| retry_delay(failures, scale).map(|delay| delay.num_seconds());
        let hour = 3600;
        let expected = [5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 10 * hour].map(Some);
        let delays: Vec<_> = (1..=7).map(|failures| seconds(failures, 1.0)).collect();
        assert_eq!(delays, expected);
        assert_eq!(seconds(8, 1.0), None, "the eighth attempt is the last");
        assert_eq!(seconds(2, 0.1), Some(30));
        assert_eq!(seconds(7, 0.0), Some(0));
        assert_eq!(retry_delay(0, 1.0), None, "without a failure there is nothing to retry");
    }

    #[test]
    fn webhook_is_disabled_after_five_days_of_failures() {
        let at = |text| from_iso(text).unwrap();
        for (now, scale, expected) in [
            ("2026-01-05T23:59:59Z", 1.0, false),
            ("2026-01-06T00:00:00Z", 1.0, true),
            ("2026-01-01T12:00:00Z", 0.1, true),
            ("2026-01-01T11:59:59Z", 0.1, false),
            ("2027-01-01T00:00:00Z", 0.0, false),
        ] {
            assert_eq!(is_disabled(at("2026-01-01T00:00:00Z"), at(now), scale), expected, "{now} {scale}");
        }
    }

    #[test]
    fn hosts_are_allowed_by_name_or_by_a_star() {
        let hosts = ["hooks.example.com".to_owned(), "10.0.0.7".to_owned()];
        for (host, expected) in [
            ("hooks.example.com", true),
            ("HOOKS.example.com.", true),
            ("10.0.0.7", true),
            ("example.com", false),
            ("evil.hooks.example.com", false),
            ("", false),
        ] {
            assert_eq!(is_allowed_host(host, &hosts), expected, "{host}");
        }
        assert!(is_allowed_host("anything.example", &["*".to_owned()]));
        assert!(!is_allowed_host("localhost", &[]));
    }

    #[test]
    fn loopback_addresses_include_those_of_ipv4_in_ipv6() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("169.254.169.254", false),
            ("::ffff:10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn secret_follows_from_the_seed_and_has_the_format_of_svix() {
        let (ids, id) = (Ids::of(Some("a")), Uuid::from_u128(7));
        let secret = new_secret(&ids, id);
        assert_eq!(secret, new_secret(&ids, id));
        assert_ne!(secret, new_secret(&ids, Uuid::from_u128(8)));
        assert_eq!(STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap().len(), 24);
        assert_eq!(message_id(id), "msg_00000000000000000000000000000007");
    }
}
