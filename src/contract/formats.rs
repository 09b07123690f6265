//! String formats of a contract, each as permissive as the corresponding check in Seam's servers.
//!
//! Exception: in a request, a date-time may have every ISO 8601 form that JavaScript parses; in a response it must have
//! a time of day and an offset.
//!
//! The checks are implemented here instead of using the validator's built-in ones, so that the decision and the message
//! of the issue come from the same rule.

use super::direction::Direction;
use crate::clock;

/// A format of the contract.
pub(super) struct Format {
    /// Value of the keyword `format`.
    pub(super) name: &'static str,
    /// Message of the issue for a string that does not have the format.
    pub(super) issue: &'static str,
    /// Check for strings in requests.
    in_request: fn(&str) -> bool,
    /// Check for strings in responses.
    in_response: fn(&str) -> bool,
}

impl Format {
    const fn new(name: &'static str, issue: &'static str, is_valid: fn(&str) -> bool) -> Self {
        Self { name, issue, in_request: is_valid, in_response: is_valid }
    }

    /// Returns the check for strings of this direction.
    pub(super) fn check(&self, direction: Direction) -> fn(&str) -> bool {
        match direction {
            Direction::Request => self.in_request,
            Direction::Response => self.in_response,
        }
    }

    /// Returns true if a string of this direction has the format.
    pub(super) fn accepts(&self, direction: Direction, text: &str) -> bool {
        self.check(direction)(text)
    }
}

/// Formats that are checked. Others (`float`, `int32`) are annotations.
pub(super) const FORMATS: [Format; 4] = [
    Format::new("uuid", "Invalid uuid", is_uuid),
    Format {
        name: "date-time",
        issue: "Invalid datetime",
        in_request: |text| clock::from_iso(text).is_some(),
        in_response: is_date_time,
    },
    Format::new("email", "Invalid email", is_email),
    Format::new("uri", "Invalid url", is_url),
];

/// Returns the format called `name`; `None` if it is not checked.
pub(super) fn named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// Accepts hexadecimal digits grouped 8-4-4-4-12, in either case. Version and variant bits are not checked.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Accepts RFC 3339 in upper case, with `Z` or an offset, and without leap seconds: an instant in a response.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let has_offset = time.ends_with('Z')
        || time
            .rsplit_once(['+', '-'])
            .is_some_and(|(_, offset)| offset.len() == "00:00".len() && offset.contains(':'));
    has_offset && date.len() == "2026-01-01".len() && !time.starts_with("24") && clock::from_iso(text).is_some()
}

/// Accepts an address with a plain local part (no quotes, no comments) at a domain of two labels or more.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let Some((labels, top)) = domain.rsplit_once('.') else {
        return false;
    };
    let is_label = |label: &str| {
        label.starts_with(|first: char| first.is_ascii_alphanumeric())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_'+-.".contains(&byte))
        && !local.starts_with('.')
        && !local.contains("..")
        && local.ends_with(|last: char| last.is_ascii_alphanumeric() || "_+-".contains(last))
        && labels.split('.').all(is_label)
        && top.len() >= 2
        && top.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Accepts an absolute URL: a scheme, and for the schemes `http`, `https`, `ws` and `wss` a host.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || text.chars().any(char::is_whitespace) {
        return false;
    }
    if !["http", "https", "ws", "wss"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return true;
    }
    rest.strip_prefix("//").is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        !host.is_empty() && !host.starts_with(':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accepts: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(accepts(text), "{text:?} should be accepted");
        }
        for text in bad {
            assert!(!accepts(text), "{text:?} should be rejected");
        }
    }

    #[test]
    fn uuid_is_hexadecimal_in_five_groups_of_any_version_and_case() {
        check(
            is_uuid,
            &["00000000-0000-0000-0000-000000000000", "0190163D-3f5a-9abc-0def-0123456789AB"],
            &[
                "",
                "not-a-uuid",
                "0190163d3f5a9abc0def0123456789ab",
                "0190163d-3f5a-9abc-0def-0123456789ag",
                "{0190163d-3f5a-9abc-0def-0123456789ab}",
                "0190163d-3f5a-9abc-0def-0123456789é",
            ],
        );
    }

    #[test]
    fn date_time_has_a_time_of_day_and_an_offset() {
        check(
            is_date_time,
            &[
                "2026-01-02T03:04:05Z",
                "2026-01-02T03:04:05.678Z",
                "2026-01-02T03:04:05+02:00",
                "2024-02-29T00:00:00-11:30",
            ],
            &[
                "",
                "2026-01-02",
                "2026-01-02T03:04:05",
                "2026-01-02 03:04:05Z",
                "2026-01-02t03:04:05z",
                "2026-01-02T03:04:05z",
                "2026-02-29T00:00:00Z",
                "2026-12-31T23:59:60Z",
                "0000-01-01T00:00:00Z",
                "2026-01-02T03:04:05Z ",
                " 2026-01-02T03:04:05Z",
                "2026-01-02T24:00:00Z",
                "tomorrow",
            ],
        );
    }

    #[test]
    fn email_has_a_local_part_and_a_dotted_domain() {
        check(
            is_email,
            &["jane@example.com", "jane.o'neil+locks@mail.example.co.uk"],
            &[
                "",
                "jane",
                "jane@",
                "@example.com",
                "jane@example",
                "jane@example.c",
                ".jane@example.com",
                "jane.@example.com",
                "ja..ne@example.com",
                "jane@-example.com",
                "jane@exam ple.com",
            ],
        );
    }

    #[test]
    fn url_is_absolute() {
        check(
            is_url,
            &[
                "https://example.com/hooks?x=1",
                "http://localhost:9000",
                "HTTP://user:secret@[::1]:80/",
                "myapp:callback",
            ],
            &[
                "",
                "example.com",
                "/hooks",
                "https:example.com",
                "https://",
                "http://:80/",
                "http://user@/",
                "https://exam ple.com",
                "1http://example.com",
            ],
        );
    }
}
