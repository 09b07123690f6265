//! Where a request comes from: by which name its client knows the server, and which web page sent it, if one did.
//!
//! A browser sends what any page tells it to, to any address. It adds the page's `Origin`, and the name it looked up as
//! `Host`; neither can be forged by a page.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Which page sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// None; or one of which the browser says nothing, as of pages of this server's own.
    Unsaid,
    /// One that this machine serves.
    Loopback,
    /// One from elsewhere, or one of which nobody can say.
    Foreign,
}

impl Origin {
    /// The origin that the headers name.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut origin = Self::Unsaid;
        // Some clients send headers empty; then they are not there.
        for value in headers.get_all(header::ORIGIN).iter().filter(|value| !value.is_empty()) {
            if !value.to_str().is_ok_and(is_loopback_origin) {
                return Self::Foreign;
            }
            origin = Self::Loopback;
        }
        origin
    }
}

/// Whether the browser says that a page of another site made it send the request. It says so even where it names no
/// `Origin`, as with images and links.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    let sites = headers.get_all("sec-fetch-site");
    sites.iter().any(|site| !matches!(site.as_bytes(), b"" | b"same-origin" | b"none"))
}

/// The name and port by which the caller knows the server. HTTP/2 has it in the URI and needs no header.
pub(crate) fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let header = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    header.or_else(|| uri.authority().map(Authority::as_str))
}

/// Whether the caller knows the server by a name of this machine only.
pub(crate) fn names_loopback(headers: &HeaderMap, uri: &Uri) -> bool {
    let mut named = headers.get_all(header::HOST).iter().map(|value| value.to_str().ok()).peekable();
    let authority = uri.authority().map(Authority::as_str);
    (named.peek().is_some() || authority.is_some())
        && named.all(|host| host.is_some_and(is_loopback))
        && authority.is_none_or(is_loopback)
}

/// Whether an `Origin` is of a page that this machine serves.
fn is_loopback_origin(origin: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(is_loopback)
}

/// Whether an authority (a host, and perhaps a port) names this machine itself.
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
    fn only_this_machine_is_loopback() {
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
    fn each_name_of_the_server_is_loopback_or_it_is_not() {
        let (here, there, nowhere) =
            (Uri::from_static("http://localhost/"), Uri::from_static("http://evil.example/"), Uri::from_static("/"));
        let (local, evil): (&[u8], &[u8]) = (b"localhost", b"evil.example");
        for (named, uri, expected) in [
            (vec![], &here, true),
            (vec![], &there, false),
            (vec![], &nowhere, false),
            (vec![("host", local)], &there, false),
            (vec![("host", evil)], &here, false),
            (vec![("host", local), ("host", evil)], &nowhere, false),
            (vec![("host", local), ("host", b"\xff")], &nowhere, false),
        ] {
            assert_eq!(names_loopback(&headers(&named), uri), expected, "{named:?} {uri}");
        }
    }

    #[test]
    fn an_origin_is_loopback_only_if_all_of_it_is() {
        let of = |origin: &[u8]| Origin::of(&headers(&[("origin", origin)]));
        for authority in LOOPBACK {
            for scheme in ["http", "https"] {
                assert_eq!(of(format!("{scheme}://{authority}").as_bytes()), Origin::Loopback, "{authority}");
            }
            for origin in [format!("ftp://{authority}"), format!("http:{authority}"), authority.to_owned()] {
                assert_eq!(of(origin.as_bytes()), Origin::Foreign, "{origin}");
            }
        }
        for authority in OTHER_SITES {
            assert_eq!(of(format!("http://{authority}").as_bytes()), Origin::Foreign, "{authority}");
        }
        for origin in ["null", " ", "http://localhost, http://evil.example", "file://", "http://localhost\u{e4}"] {
            assert_eq!(of(origin.as_bytes()), Origin::Foreign, "{origin}");
        }
        assert_eq!(of(b"http://localhost\xff"), Origin::Foreign);
        assert_eq!(of(b"\xff"), Origin::Foreign);
        assert_eq!(of(b""), Origin::Unsaid);
        assert_eq!(Origin::of(&HeaderMap::new()), Origin::Unsaid);
        let two =
            |one: &'static [u8], other: &'static [u8]| Origin::of(&headers(&[("origin", one), ("origin", other)]));
        assert_eq!(two(b"http://localhost", b"http://evil.example"), Origin::Foreign);
        assert_eq!(two(b"http://localhost", b"http://localhost"), Origin::Loopback);
    }

    #[test]
    fn a_request_that_another_site_caused_is_told_from_others() {
        for (site, expected) in
            [("cross-site", true), ("same-site", true), ("what-else", true), ("same-origin", false), ("none", false)]
        {
            assert_eq!(is_cross_site(&headers(&[("sec-fetch-site", site.as_bytes())])), expected, "{site}");
        }
        assert!(!is_cross_site(&HeaderMap::new()));
    }
}
