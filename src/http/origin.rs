//! The origin of a request: the host name by which the client addresses the server, and the web page that sent the
//! request, if any.
//!
//! A browser sends requests of any page to any address. It adds the page's `Origin`, and the host name that it looked
//! up as `Host`. A page can forge neither. The control plane checks both: `Origin`, to reject pages of other sites; and
//! `Host` (if no admin token is set), to reject a page that has pointed its own host name at this machine (DNS
//! rebinding).

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Kind of page that sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No `Origin`: no page, or a request for which browsers send none, such as an image, a link, or a `GET` request of
    /// a page to its own server.
    Unspecified,
    /// A page that this machine serves, on any port: `Origin` names `localhost` or a loopback address.
    Loopback,
    /// A page from another machine, or with an origin that cannot be determined.
    CrossSite,
}

impl Origin {
    /// Returns the origin that the headers name.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut origin = Self::Unspecified;
        // Some clients send empty headers. They count as missing.
        for value in headers.get_all(header::ORIGIN).iter().filter(|value| !value.is_empty()) {
            if !value.to_str().is_ok_and(is_loopback_origin) {
                return Self::CrossSite;
            }
            origin = Self::Loopback;
        }
        origin
    }
}

/// Returns true if the browser reports that a page of another site caused the request. Browsers report this even for
/// requests without `Origin`, such as images and links.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    let sites = headers.get_all("sec-fetch-site");
    sites.iter().any(|site| !matches!(site.as_bytes(), b"" | b"same-origin" | b"none"))
}

/// Returns the host name and port by which the client addresses the server. HTTP/2 has them in the URI and needs no
/// header.
pub(crate) fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let header = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    header.or_else(|| uri.authority().map(Authority::as_str))
}

/// Returns true if the client addresses the server only by names of this machine.
pub(crate) fn names_loopback(headers: &HeaderMap, uri: &Uri) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter().map(|value| value.to_str().ok()).peekable();
    let authority = uri.authority().map(Authority::as_str);
    (hosts.peek().is_some() || authority.is_some())
        && hosts.all(|host| host.is_some_and(is_loopback))
        && authority.is_none_or(is_loopback)
}

/// Returns true if an `Origin` belongs to a page that this machine serves.
fn is_loopback_origin(origin: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(is_loopback)
}

/// Returns true if an authority (a host, with or without a port) names this machine.
fn is_loopback(authority: &str) -> bool {
    let (is_this_machine, port) = if let Some(rest) = authority.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        (address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()), port)
    } else {
        let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        (name == "localhost" || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()), port)
    };
    is_this_machine && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    const LOOPBACK: [&str; 9] = [
        "localhost",
        "localhost:7326",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.1.2.3:65535",
        "[::1]",
        "[::1]:7326",
        "[0:0:0:0:0:0:0:1]",
        "[0000::0001]:80",
    ];

    const OTHER_SITES: [&str; 32] = [
        "",
        ":80",
        "example.com",
        "localhost.example.com:80",
        "localhost.",
        "localhost:",
        "localhost:80:80",
        "localhost:+80",
        "localhost:65536",
        "localhost:80a",
        "localhost/",
        "localhost evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "127.0.0.1.evil.example",
        "127.0.0.1:",
        "127.1",
        "0x7f.1",
        "192.168.0.1",
        "0.0.0.0",
        "::1",
        "::1:80",
        "[::1",
        "[::1]x",
        "[::1].evil.example",
        "[::1]80",
        "[::1]:",
        "[::1]:x",
        "[[::1]]",
        "[::2]:7326",
        "[localhost]",
        "[127.0.0.1]",
    ];

    fn headers(named: &[(&'static str, &[u8])]) -> HeaderMap {
        let value = |value| HeaderValue::from_bytes(value).unwrap();
        named.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }

    #[test]
    fn authority_is_loopback_only_for_this_machine() {
        for authority in LOOPBACK {
            assert!(is_loopback(authority), "{authority}");
            assert!(names_loopback(&headers(&[("host", authority.as_bytes())]), &Uri::from_static("/")), "{authority}");
        }
        for authority in OTHER_SITES {
            assert!(!is_loopback(authority), "{authority}");
            assert!(!names_loopback(&headers(&[("host", authority.as_bytes())]), &Uri::from_static("/")));
        }
    }

    #[test]
    fn names_loopback_requires_every_host_name_to_be_loopback() {
        let (local_uri, other_uri, path_only) =
            (Uri::from_static("http://localhost/"), Uri::from_static("http://evil.example/"), Uri::from_static("/"));
        let (local, evil): (&[u8], &[u8]) = (b"localhost", b"evil.example");
        for (named, uri, expected) in [
            (vec![], &local_uri, true),
            (vec![], &other_uri, false),
            (vec![], &path_only, false),
            (vec![("host", local)], &other_uri, false),
            (vec![("host", evil)], &local_uri, false),
            (vec![("host", local), ("host", evil)], &path_only, false),
            (vec![("host", local), ("host", b"\xff")], &path_only, false),
        ] {
            assert_eq!(names_loopback(&headers(&named), uri), expected, "{named:?} {uri}");
        }
    }

    #[test]
    fn origin_is_loopback_only_if_all_of_it_is() {
        let of = |origin: &[u8]| Origin::of(&headers(&[("origin", origin)]));
        for authority in LOOPBACK {
            for scheme in ["http", "https"] {
                assert_eq!(of(format!("{scheme}://{authority}").as_bytes()), Origin::Loopback, "{authority}");
            }
            for origin in [format!("ftp://{authority}"), format!("http:{authority}"), authority.to_owned()] {
                assert_eq!(of(origin.as_bytes()), Origin::CrossSite, "{origin}");
            }
        }
        for authority in OTHER_SITES {
            assert_eq!(of(format!("http://{authority}").as_bytes()), Origin::CrossSite, "{authority}");
        }
        for origin in ["null", " ", "http://localhost, http://evil.example", "file://", "http://localhost\u{e4}"] {
            assert_eq!(of(origin.as_bytes()), Origin::CrossSite, "{origin}");
        }
        assert_eq!(of(b"http://localhost\xff"), Origin::CrossSite);
        assert_eq!(of(b"\xff"), Origin::CrossSite);
        assert_eq!(of(b""), Origin::Unspecified);
        assert_eq!(Origin::of(&HeaderMap::new()), Origin::Unspecified);
        let two =
            |one: &'static [u8], other: &'static [u8]| Origin::of(&headers(&[("origin", one), ("origin", other)]));
        assert_eq!(two(b"http://localhost", b"http://evil.example"), Origin::CrossSite);
        assert_eq!(two(b"http://localhost", b"http://localhost"), Origin::Loopback);
    }

    #[test]
    fn cross_site_requests_are_recognized_by_sec_fetch_site() {
        for (site, expected) in
            [("cross-site", true), ("same-site", true), ("what-else", true), ("same-origin", false), ("none", false)]
        {
            assert_eq!(is_cross_site(&headers(&[("sec-fetch-site", site.as_bytes())])), expected, "{site}");
        }
        assert!(!is_cross_site(&HeaderMap::new()));
    }
}
