//! The checksum of a document: of what it says, however it is laid out.

use crate::error::Result;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The checksum of a document without its checksum: SHA-256 of its canonical JSON (RFC 8785), in hexadecimal. That of version 1
/// is over a form of our own.
///
/// # Errors
/// If the document has no canonical form.
pub fn checksum(document: &Map<String, Value>) -> Result<String> {
    let said: Map<String, Value> = document
        .iter()
        .filter(|(name, _)| *name != "checksum")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if document.get("version").and_then(Value::as_u64) == Some(1) {
        let mut hash = Sha256::new();
        feed(&mut hash, &Value::Object(said));
        return Ok(in_hexadecimal(&hash.finalize()));
    }
    Ok(in_hexadecimal(&Sha256::digest(serde_json_canonicalizer::to_vec(&said)?)))
}

fn in_hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The form that version 1 is hashed in.
fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            hash.update("{");
            for (name, value) in fields {
                hash.update(format!("{name:?}:"));
                feed(hash, value);
                hash.update(",");
            }
            hash.update("}");
        }
        Value::Array(items) => {
            hash.update("[");
            for item in items {
                feed(hash, item);
                hash.update(",");
            }
            hash.update("]");
        }
        // Programs that pass a document on may write 1.0 as 1.
        Value::Number(number) => hash.update(format!("{:e}", number.as_f64().unwrap_or_default())),
        other => hash.update(other.to_string()),
    }
}
