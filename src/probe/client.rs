//! HTTP client of the probe: sends the requests of a script to one side.

use super::limits::{Limits, Reservation};
use super::script::{Request, text_of};
use crate::tls;
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Method, Url};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time limit of one request. `sync` requests wait for the lock.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum size of a response body, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Wait after a 429 that does not say how long, and the shortest and the longest one.
const DEFAULT_RETRY: Duration = Duration::from_secs(10);
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(65);

/// Total wait for a request after which a 429 is its answer. Longer than the period of all known limits.
const MAX_LIMITED: Duration = Duration::from_secs(90);

/// A response.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// Headers by their names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    /// `None`: the body is not JSON.
    pub(super) body: Option<Value>,
    /// True if there is no body.
    pub(super) is_empty: bool,
    /// Time that the request has waited because of limits.
    pub(super) waited: Duration,
}

impl Response {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Reason why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    /// The probe was interrupted before the request was sent.
    #[error("interrupted")]
    Interrupted,
    /// The request or its connection failed, for this reason.
    #[error("{0}")]
    Failed(String),
}

/// Client of one side.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base_url: String,
    api_key: String,
    /// What is known of the limits, if the side has some.
    limits: Option<Mutex<Limits>>,
    /// Number of waits because of limits.
    delayed: AtomicUsize,
}

/// Checks the address of a side: the key may leave this machine only encrypted. Returns it without a slash at its end.
///
/// # Errors
/// What is wrong, and how to fix it.
pub(super) fn check_url(text: &str) -> Result<String, String> {
    let wrong =
        || format!("{text} is not the address of a server: give --against https://HOST, or http:// on this machine");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let host = url.host_str().unwrap_or_default();
    let is_local =
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let has_extras = !url.username().is_empty() || url.password().is_some();
    let has_extras = has_extras || url.query().is_some() || url.fragment().is_some();
    match url.scheme() {
        "https" if !has_extras => {}
        "http" if is_local && !has_extras => {}
        _ => return Err(wrong()),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

impl Client {
    /// Creates a client. `is_limited`: the side limits how many codes are created, updated and deleted in a minute.
    ///
    /// # Errors
    /// The error of reqwest.
    pub(super) fn new(base_url: &str, api_key: &str, is_limited: bool) -> reqwest::Result<Self> {
        tls::install();
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("Latchkey/", env!("CARGO_PKG_VERSION"), " probe"));
        if base_url.starts_with("http://") {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build()?,
            base_url: base_url.to_owned(),
            api_key: api_key.to_owned(),
            limits: is_limited.then(Mutex::default),
            delayed: AtomicUsize::new(0),
        })
    }

    /// Sends a request. Waits before it exceeds a known limit, and after a 429. `stop` ends these waits, but not a
    /// request that was sent: its response names what must be deleted.
    ///
    /// # Errors
    /// A [`RequestError`].
    pub(super) async fn send(&self, request: &Request, stop: &CancellationToken) -> Result<Response, RequestError> {
        self.send_made(&|| Ok(request.clone()), stop).await
    }

    /// Sends a request that is made again after each wait, because it contains times that depend on the current one.
    ///
    /// # Errors
    /// A [`RequestError`]; [`RequestError::Failed`] if the request cannot be made, with the reason.
    pub(super) async fn send_made(
        &self,
        make: &(dyn Fn() -> Result<Request, String> + Sync),
        stop: &CancellationToken,
    ) -> Result<Response, RequestError> {
        let mut waited = Duration::ZERO;
        loop {
            let (request, reservation) = self.reserve(make, &mut waited, stop).await?;
            let (mut response, retry_after) = self.send_once(&request).await?;
            if let Some((limits, reservation)) = self.limits.as_ref().zip(reservation) {
                limits.lock().note(reservation, response.status, response.body.as_ref());
            }
            if response.status != 429 || waited >= MAX_LIMITED {
                response.waited = waited;
                return Ok(response);
            }
            let wait = retry_after.unwrap_or(DEFAULT_RETRY).clamp(MIN_RETRY, MAX_RETRY);
            self.wait(wait, &mut waited, stop).await?;
        }
    }

    /// Makes a request and counts it, after a wait if it would exceed a known limit.
    async fn reserve(
        &self,
        make: &(dyn Fn() -> Result<Request, String> + Sync),
        waited: &mut Duration,
        stop: &CancellationToken,
    ) -> Result<(Request, Option<Reservation>), RequestError> {
        loop {
            let request = make().map_err(RequestError::Failed)?;
            let Some(limits) = &self.limits else { return Ok((request, None)) };
            let reserved = limits.lock().reserve(&request);
            match reserved {
                Ok(reservation) => return Ok((request, Some(reservation))),
                Err(wait) => self.wait(wait, waited, stop).await?,
            }
        }
    }

    async fn wait(&self, time: Duration, waited: &mut Duration, stop: &CancellationToken) -> Result<(), RequestError> {
        self.delayed.fetch_add(1, Ordering::Relaxed);
        *waited += time;
        sleep(time, stop).await
    }

    /// Sends a request once. Returns the response, and the wait that it asks for.
    async fn send_once(&self, request: &Request) -> Result<(Response, Option<Duration>), RequestError> {
        let failed = |error: reqwest::Error| {
            // The outer errors only repeat the URL.
            let mut cause: &(dyn std::error::Error + 'static) = &error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            RequestError::Failed(cause.to_string())
        };
        let method: Method = request.method.parse().map_err(|_| RequestError::Failed("no such method".to_owned()))?;
        let mut builder = self.http.request(method, self.url(request));
        match request.token.as_deref() {
            None => builder = builder.bearer_auth(&self.api_key),
            Some("") => {}
            Some(token) => builder = builder.bearer_auth(token),
        }
        let has_type = request.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        if let Some(body) = &request.body {
            builder = builder.body(text_of(body));
            if !has_type {
                builder = builder.header("content-type", "application/json");
            }
        }
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let mut response = builder.send().await.map_err(failed)?;
        let text =
            |name| response.headers().get(name).and_then(|value: &reqwest::header::HeaderValue| value.to_str().ok());
        let retry_after = text("retry-after").or_else(|| text("ratelimit-reset"));
        let retry_after = retry_after.and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
        let status = response.status().as_u16();
        let value = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, text)| (name.to_string(), value(text))).collect();
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_BODY {
                return Err(RequestError::Failed(format!("the response is longer than {MAX_BODY} bytes")));
            }
        }
        let body = serde_json::from_slice(&bytes).ok();
        let waited = Duration::ZERO;
        Ok((Response { status, headers, body, is_empty: bytes.is_empty(), waited }, retry_after))
    }

    /// Returns the URL of a request.
    pub(super) fn url(&self, request: &Request) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &request.query {
            let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                query.append_pair(name, &text_of(value));
            }
        }
        let query = query.finish();
        let separator = if query.is_empty() { "" } else { "?" };
        format!("{}{}{separator}{query}", self.base_url, request.path)
    }

    /// Returns the number of waits because of limits.
    pub(super) fn delayed(&self) -> usize {
        self.delayed.load(Ordering::Relaxed)
    }
}

/// Sleeps.
///
/// # Errors
/// The probe was interrupted.
pub(super) async fn sleep(time: Duration, stop: &CancellationToken) -> Result<(), RequestError> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = stop.cancelled() => Err(RequestError::Interrupted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize as _;
    use serde_json::json;

    #[test]
    fn keys_are_sent_encrypted_or_to_this_machine() {
        for (url, is_accepted) in [
            ("https://connect.getseam.com", true),
            ("https://connect.getseam.com/", true),
            ("http://127.0.0.1:7326", true),
            ("http://localhost:7326", true),
            ("http://[::1]:7326", true),
            ("http://connect.getseam.com", false),
            ("http://127.0.0.1.example.com", false),
            ("https://user:password@example.com", false),
            ("ftp://127.0.0.1", false),
            ("connect.getseam.com", false),
        ] {
            assert_eq!(check_url(url).is_ok(), is_accepted, "{url}");
        }
    }

    #[test]
    fn addresses_are_in_their_normal_form() {
        assert_eq!(check_url("HTTP://LocalHost:7326/"), Ok("http://localhost:7326".to_owned()));
        assert_eq!(check_url("https://connect.getseam.com:443"), Ok("https://connect.getseam.com".to_owned()));
        assert!(check_url("https://connect.getseam.com/#here").is_err());
    }

    fn request(value: Value) -> Request {
        Request::deserialize(value).unwrap()
    }

    #[test]
    fn queries_repeat_arrays() {
        let client = Client::new("http://127.0.0.1:1", "seam_x", true).unwrap();
        let get = request(json!({"path": "/x", "query": {"ids": ["a b", "c"], "limit": 2}}));
        assert_eq!(client.url(&get), "http://127.0.0.1:1/x?ids=a+b&ids=c&limit=2");
    }
}
