//! Cryptography of outgoing https requests.

/// Makes `ring` the cryptography of `rustls` in this process. Does nothing if that was done before.
pub(crate) fn install() {
    // The error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
