//! HTTP client of deliveries: one attempt to send one event to one webhook.
//!
//! Deliveries go to loopback addresses, and to the hosts that `--webhook-hosts` allows. The addresses of a name are
//! checked after it was resolved, and the connection is made to one of the checked addresses. So a name cannot be
//! checked with one address and used with another.

use super::signature;
use crate::clock::machine_now;
use crate::config::Settings;
use crate::domain::webhook::{Attempt, is_allowed_host, is_loopback};
use crate::error::Result;
use crate::tls;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url, header};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum number of bytes of a response body that are read. The connection of a longer body is closed.
const MAX_READ: usize = 64 * 1024;

/// Maximum number of bytes of a response body in the log.
const MAX_LOGGED_BODY: usize = 1024;

/// Time to read the body of a successful response, for the log.
const BODY_TIMEOUT: Duration = Duration::from_millis(500);

/// Time after which an unused connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A host that no delivery may be sent to.
#[derive(Debug, thiserror::Error)]
#[error(
    "not sent: {0} is not a loopback address, and --webhook-hosts (LATCHKEY_WEBHOOK_HOSTS) does not name it. Start \
     Latchkey with --webhook-hosts {0} to allow it, or with --webhook-hosts '*' to allow all hosts"
)]
struct HostNotAllowed(String);

/// Resolver that returns only addresses that deliveries may be sent to.
struct CheckedResolver {
    allowed_hosts: Arc<[String]>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed_hosts = Arc::clone(&self.allowed_hosts);
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let is_allowed = is_allowed_host(host, &allowed_hosts);
            let addresses: Vec<SocketAddr> = found.filter(|found| is_allowed || is_loopback(found.ip())).collect();
            if addresses.is_empty() {
                return Err(HostNotAllowed(host.to_owned()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Result of an attempt for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Succeeded,
    /// Another attempt may be successful.
    Failed,
    /// Nothing was sent, and another attempt would have the same result.
    Refused,
}

/// Error of an attempt.
#[derive(Debug)]
struct AttemptError {
    verdict: Verdict,
    reason: String,
}

impl AttemptError {
    fn refused(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Refused, reason: reason.into() }
    }

    /// Describes an error of the client by its innermost cause, because the outer ones only repeat the URL.
    fn of(error: &reqwest::Error) -> Self {
        let mut cause: &(dyn std::error::Error + 'static) = error;
        while let Some(source) = cause.source() {
            cause = source;
            if cause.is::<HostNotAllowed>() {
                return Self::refused(cause.to_string());
            }
        }
        let what = if error.is_connect() { "the connection failed" } else { "the request failed" };
        Self { verdict: Verdict::Failed, reason: format!("{what}: {cause}") }
    }
}

/// Request of one attempt.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) url: String,
    pub(super) secret: String,
    /// Value of `svix-id`.
    pub(super) message_id: String,
    pub(super) body: Vec<u8>,
}

/// Client with its connections, which are kept alive between attempts.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    allowed_hosts: Arc<[String]>,
    timeout: Duration,
}

impl Client {
    /// Creates the client from the settings.
    ///
    /// # Errors
    /// The errors of reqwest.
    pub(super) fn new(settings: &Settings) -> reqwest::Result<Self> {
        let allowed_hosts: Arc<[String]> = settings.webhook_hosts.clone().into();
        tls::install();
        let http = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .redirect(Policy::none())
            .user_agent(concat!("Latchkey/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(CheckedResolver { allowed_hosts: Arc::clone(&allowed_hosts) }))
            .build()?;
        Ok(Self { http, allowed_hosts, timeout: settings.webhook_timeout })
    }

    /// Makes one attempt. Returns its log entry, and its result for the delivery.
    pub(super) async fn attempt(&self, message: Message) -> (Attempt, Verdict) {
        let (attempted_at, begun) = (machine_now(), Instant::now());
        let answered = match tokio::time::timeout(self.timeout, self.exchange(message)).await {
            Ok(answered) => answered,
            Err(_) => Err(AttemptError {
                verdict: Verdict::Failed,
                reason: format!("no complete response within {:?} (--webhook-timeout)", self.timeout),
            }),
        };
        let duration_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let (status, body, error, verdict) = match answered {
            Ok((status, body)) if status.is_success() => (Some(status), Some(body), None, Verdict::Succeeded),
            Ok((status, body)) => {
                let error = format!("the receiver returned {}, not 2xx", status.as_u16());
                (Some(status), Some(body), Some(error), Verdict::Failed)
            }
            Err(error) => (None, None, Some(error.reason), error.verdict),
        };
        let response_status = status.map(|status| status.as_u16());
        (Attempt { attempted_at, duration_ms, response_status, response_body: body, error }, verdict)
    }

    /// Sends a message, and returns the status and the beginning of the body of the response.
    async fn exchange(&self, message: Message) -> Result<(StatusCode, String), AttemptError> {
        let url = self.check_url(&message.url)?;
        let headers = signature::sign(&message.secret, &message.message_id, machine_now(), &message.body)
            .map_err(|error| AttemptError::refused(error.to_string()))?;
        let request = self
            .http
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("svix-id", message.message_id)
            .header("svix-timestamp", headers.timestamp)
            .header("svix-signature", headers.signature)
            .body(message.body);
        let response = request.send().await.map_err(|error| AttemptError::of(&error))?;
        let status = response.status();
        if status.is_success() {
            // The receiver has accepted the event, whatever becomes of the body.
            let body = tokio::time::timeout(BODY_TIMEOUT, read(response)).await;
            return Ok((status, body.ok().and_then(Result::ok).unwrap_or_default()));
        }
        let body = read(response).await.map_err(|error| AttemptError::of(&error))?;
        Ok((status, body))
    }

    /// Parses a URL. Checks its host if that is an address: the resolver checks only names. The scheme was checked when
    /// the webhook was created.
    fn check_url(&self, text: &str) -> Result<Url, AttemptError> {
        let url = Url::parse(text)
            .map_err(|error| AttemptError::refused(format!("not sent: the URL is invalid: {error}")))?;
        let host = url.host_str().unwrap_or_default();
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        match address {
            Some(address) if !is_loopback(address) && !is_allowed_host(&address.to_string(), &self.allowed_hosts) => {
                Err(AttemptError::refused(HostNotAllowed(address.to_string()).to_string()))
            }
            _ => Ok(url),
        }
    }
}

/// Reads a body, and returns its beginning as a text that the database can store.
async fn read(mut response: Response) -> reqwest::Result<String> {
    let mut begin = Vec::new();
    let mut length = 0;
    while let Some(piece) = response.chunk().await? {
        length += piece.len();
        let rest = MAX_LOGGED_BODY.saturating_sub(begin.len()).min(piece.len());
        begin.extend_from_slice(piece.get(..rest).unwrap_or_default());
        if length > MAX_READ {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&begin).replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn client(hosts: &[&str]) -> Client {
        let settings = Settings::parse_from(["latchkey", "--webhook-hosts", &hosts.join(",")]);
        Client::new(&settings).unwrap()
    }

    #[test]
    fn urls_with_addresses_are_checked_before_anything_is_sent() {
        let guarded = client(&["10.0.0.7", "::5"]);
        for (url, is_accepted) in [
            ("http://127.0.0.1:8080/hooks", true),
            ("http://127.1/", true),
            ("http://[::1]:8080/", true),
            ("http://localhost:8080/", true),
            ("http://user:password@127.0.0.1/", true),
            ("http://10.0.0.7/", true),
            ("http://[::5]/", true),
            ("http://10.0.0.8/", false),
            ("http://0.0.0.0/", false),
            ("http://169.254.169.254/latest", false),
            ("http://2130706434/", true),
            ("http://167772161/", false),
            ("http://[::ffff:10.0.0.1]/", false),
            ("https://127.0.0.1/", true),
            ("https://10.0.0.8/", false),
            ("http://", false),
        ] {
            let checked = guarded.check_url(url);
            assert_eq!(checked.is_ok(), is_accepted, "{url}: {checked:?}");
            if let Err(error) = checked {
                assert_eq!(error.verdict, Verdict::Refused, "{url}");
            }
        }
        assert!(client(&["*"]).check_url("http://10.0.0.8/").is_ok());
    }
}
