//! The contract documents in the program.

use flate2::read::GzDecoder;
use std::io::{self, Read as _};
use std::sync::OnceLock;

/// Seam's contract, served at `/openapi.json`.
pub static OPENAPI: Document = Document {
    compressed: include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz")),
    requests: include_str!(concat!(env!("OUT_DIR"), "/openapi.requests.json")),
    text: OnceLock::new(),
};

/// The contract of the control plane, served at `/_emulator/openapi.json`.
pub static CONTROL_OPENAPI: Document = Document {
    compressed: include_bytes!(concat!(env!("OUT_DIR"), "/control.json.gz")),
    requests: include_str!(concat!(env!("OUT_DIR"), "/control.requests.json")),
    text: OnceLock::new(),
};

/// An OpenAPI document that the build script has prepared: the program is smaller and starts faster.
#[derive(Debug)]
pub struct Document {
    compressed: &'static [u8],
    requests: &'static str,
    text: OnceLock<String>,
}

impl Document {
    /// Returns the whole document, as in the repository. The first call decompresses it, which takes some milliseconds.
    ///
    /// # Errors
    /// The program was built with invalid data.
    pub fn text(&self) -> io::Result<&str> {
        if let Some(text) = self.text.get() {
            return Ok(text);
        }
        let mut text = String::new();
        GzDecoder::new(self.compressed).read_to_string(&mut text)?;
        Ok(self.text.get_or_init(|| text))
    }

    /// Returns the part of the document that is about requests, without descriptions. It is a tenth of the document.
    pub fn requests(&self) -> &'static str {
        self.requests
    }
}
