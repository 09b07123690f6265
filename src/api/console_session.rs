//! Console sessions: JSON Web Tokens (RFC 7519) that were signed with the secret of the server, by HMAC-SHA-256.

use crate::clock::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use uuid::Uuid;

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// End and start of the validity, in seconds since 1970, on the clock of the machine.
#[derive(Deserialize)]
struct Validity {
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
struct Claims {
    /// Id of the person.
    sub: Uuid,
}

/// Returns the person of a token; `None` if the token is malformed, has another signature, or is not valid at this
/// time.
pub(super) fn person_of(secret: &str, token: &str, machine_now: Timestamp) -> Option<Uuid> {
    claims_of(secret, token, machine_now).map(|claims: Claims| claims.sub)
}

/// Returns the claims of a token; `None` if the token or its claims are malformed, or if it has another signature, or
/// is not valid at this time.
pub(crate) fn claims_of<C: DeserializeOwned>(secret: &str, token: &str, machine_now: Timestamp) -> Option<C> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
    // All other algorithms are rejected, `none` in particular.
    if header.alg != "HS256" {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&decode(signature)?).ok()?;
    let claims = decode(claims)?;
    let Validity { exp, nbf } = serde_json::from_slice(&claims).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of today are far below 2^52")]
    let now = machine_now.timestamp_millis() as f64 / 1000.0;
    let is_valid = exp.is_none_or(|exp| now < exp) && nbf.is_none_or(|nbf| nbf <= now);
    if is_valid { serde_json::from_slice(&claims).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_iso;
    use serde_json::{Value, json};

    const SECRET: &str = "a secret of the tests";

    fn token(header: &Value, claims: &Value, secret: &str) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn token_names_its_person_only_while_it_is_valid() {
        let machine_now = from_iso("2026-01-01T00:00:00Z").unwrap();
        let now = machine_now.timestamp();
        let person = Uuid::from_u128(1);
        let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
        let valid = token(&hs256, &json!({ "sub": person }), SECRET);
        let (signed, signature) = valid.rsplit_once('.').unwrap();
        let with = |claims: Value| token(&hs256, &claims, SECRET);
        for (token, is_valid) in [
            (valid.clone(), true),
            (with(json!({ "sub": person, "exp": now + 1, "nbf": now, "iat": now, "other": [] })), true),
            (with(json!({ "sub": person, "exp": now })), false),
            (with(json!({ "sub": person, "nbf": now + 1 })), false),
            (with(json!({ "sub": "jane" })), false),
            (with(json!({})), false),
            (token(&hs256, &json!({ "sub": person }), "another secret"), false),
            (token(&json!({ "alg": "none" }), &json!({ "sub": person }), SECRET), false),
            (token(&json!({ "alg": "HS512" }), &json!({ "sub": person }), SECRET), false),
            (format!("{signed}."), false),
            (signed.to_owned(), false),
            (format!("{valid}="), false),
            (format!("x.{signed}.{signature}"), false),
            ("ey".to_owned(), false),
            ("ey.ey.ey".to_owned(), false),
        ] {
            let expected = is_valid.then_some(person);
            assert_eq!(person_of(SECRET, &token, machine_now), expected, "{token}");
        }
    }
}
