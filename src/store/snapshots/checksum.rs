//! Checksum of a document, independent of its layout.

use super::document::{CHECKSUM, Document};
use super::raw;
use crate::error::{Error, Result};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::cmp::Ordering;

/// Returns the checksum of a document without its `checksum` member: SHA-256 of its canonical JSON (RFC 8785), in
/// hexadecimal. Version 1 uses a private form instead of canonical JSON.
///
/// # Errors
/// The document has no canonical form.
pub fn checksum(document: &Map<String, Value>) -> Result<String> {
    let mut hash = Hash::of_version(document.get("version").and_then(Value::as_u64));
    let mut members: Vec<(&str, &Value)> = document.iter().map(|(name, value)| (name.as_str(), value)).collect();
    members.retain(|(name, _)| *name != CHECKSUM);
    hash.open('{');
    for (index, (name, value)) in hash.sorted(members).into_iter().enumerate() {
        hash.member(index, name)?;
        hash.value(value)?;
        hash.end_item();
    }
    hash.close('}');
    Ok(hash.in_hexadecimal())
}

/// Returns the [`checksum`] of a document that is parsed value by value. Each value may have at most `most` bytes.
///
/// # Errors
/// A value is invalid or too long; the message contains its location.
pub(crate) async fn of(document: &Document<'_>, most: usize) -> Result<String, String> {
    let mut hash = Hash::of_version(Some(document.version));
    let mut members: Vec<(&str, &RawValue)> = document.members.iter().collect();
    members.retain(|(name, _)| *name != CHECKSUM);
    hash.open('{');
    for (index, (name, member)) in hash.sorted(members).into_iter().enumerate() {
        hash.member(index, name).map_err(message)?;
        if name == "tables" {
            hash.tables(document, most).await?;
        } else {
            hash.value(&raw::value(member, most, || name.to_owned())?).map_err(message)?;
        }
        hash.end_item();
    }
    hash.close('}');
    Ok(hash.in_hexadecimal())
}

fn message(error: impl Into<Error>) -> String {
    error.into().to_string()
}

/// State of the hash function. In version 1, a comma follows each item; in canonical JSON, commas separate the items.
struct Hash {
    hash: Sha256,
    is_of_version_1: bool,
}

impl Hash {
    fn of_version(version: Option<u64>) -> Self {
        Self { hash: Sha256::new(), is_of_version_1: version == Some(1) }
    }

    async fn tables(&mut self, document: &Document<'_>, most: usize) -> Result<(), String> {
        let tables = document.lists.iter().collect();
        self.open('{');
        for (index, (table, rows)) in self.sorted(tables).into_iter().enumerate() {
            self.member(index, table).map_err(message)?;
            self.open('[');
            raw::each(rows, |number, row| {
                self.item(number);
                self.value(&raw::value(row, most, || format!("tables.{table}[{number}]"))?).map_err(message)?;
                self.end_item();
                Ok::<_, String>(())
            })
            .await?;
            self.close(']');
            self.end_item();
        }
        self.close('}');
        Ok(())
    }

    /// Sorts members into the order in which they are hashed: by UTF-16 code units (RFC 8785), or by code points in
    /// version 1.
    fn sorted<'a, T>(&self, mut members: Vec<(&'a str, T)>) -> Vec<(&'a str, T)> {
        let order = |one: &str, other: &str| -> Ordering {
            if self.is_of_version_1 { one.cmp(other) } else { one.encode_utf16().cmp(other.encode_utf16()) }
        };
        members.sort_by(|(one, _), (other, _)| order(one, other));
        members
    }

    fn open(&mut self, bracket: char) {
        self.hash.update(bracket.encode_utf8(&mut [0; 4]));
    }

    fn close(&mut self, bracket: char) {
        self.open(bracket);
    }

    /// Begins an item of a list or an object.
    fn item(&mut self, index: usize) {
        if index > 0 && !self.is_of_version_1 {
            self.hash.update(",");
        }
    }

    /// Begins a member of an object.
    fn member(&mut self, index: usize, name: &str) -> Result<()> {
        self.item(index);
        if self.is_of_version_1 {
            self.hash.update(format!("{name:?}"));
        } else {
            self.hash.update(serde_json_canonicalizer::to_vec(&name)?);
        }
        self.hash.update(":");
        Ok(())
    }

    fn end_item(&mut self) {
        if self.is_of_version_1 {
            self.hash.update(",");
        }
    }

    fn value(&mut self, value: &Value) -> Result<()> {
        if self.is_of_version_1 {
            self.value_of_version_1(value)
        } else {
            self.hash.update(serde_json_canonicalizer::to_vec(value)?);
            Ok(())
        }
    }

    fn value_of_version_1(&mut self, value: &Value) -> Result<()> {
        match value {
            Value::Object(fields) => {
                self.open('{');
                let fields = fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
                for (index, (name, value)) in self.sorted(fields).into_iter().enumerate() {
                    self.member(index, name)?;
                    self.value_of_version_1(value)?;
                    self.end_item();
                }
                self.close('}');
            }
            Value::Array(items) => {
                self.open('[');
                for item in items {
                    self.value_of_version_1(item)?;
                    self.end_item();
                }
                self.close(']');
            }
            // Programs that forward a document may write 1.0 as 1.
            Value::Number(number) => self.hash.update(format!("{:e}", number.as_f64().unwrap_or_default())),
            other => self.hash.update(other.to_string()),
        }
        Ok(())
    }

    fn in_hexadecimal(self) -> String {
        hex::encode(self.hash.finalize())
    }
}
