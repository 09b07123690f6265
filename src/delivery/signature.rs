//! Signatures of deliveries, in the format of Svix.

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use standardwebhooks::Webhook;

/// Headers of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// Seconds since 1970, on the machine's clock: receivers reject signatures that are older than five minutes.
    pub(super) timestamp: String,
    pub(super) signature: String,
}

/// Signs the body of a delivery with the secret of its webhook.
///
/// # Errors
/// [`Error::Internal`] if the stored secret is not base64.
pub(super) fn sign(secret: &str, message_id: &str, machine_now: Timestamp, body: &[u8]) -> Result<Headers> {
    let timestamp = machine_now.timestamp();
    let key = Webhook::new(secret).map_err(|error| Error::Internal(error.into()))?;
    let signature = key.sign(message_id, timestamp, body).map_err(|error| Error::Internal(error.into()))?;
    Ok(Headers { timestamp: timestamp.to_string(), signature })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn signature_equals_that_of_svix_for_the_same_input() {
        // The example in the documentation of Svix.
        let headers = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            DateTime::from_timestamp(1_614_265_330, 0).unwrap(),
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            headers.unwrap(),
            Headers {
                timestamp: "1614265330".to_owned(),
                signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()
            }
        );
        assert!(sign("whsec_not base64", "msg_1", DateTime::UNIX_EPOCH, b"{}").is_err());
    }
}
