//! Writer of snapshot documents.

use super::checksum;
use super::document::{CHECKSUM, Clock, Document, DocumentError, FORMAT, VERSION};
use super::raw::{self, parse_small};
use super::tables::TABLES;
use serde_json::Value;
use uuid::Uuid;

/// Document that is being written: all members in order, the rows one after the other.
#[derive(Debug)]
pub(crate) struct DocumentWriter(Vec<u8>);

impl DocumentWriter {
    /// Begins a document at the end of `text`.
    pub(crate) fn begin(
        mut text: Vec<u8>,
        workspace_id: Uuid,
        clock: &Clock,
        workspace: &Value,
    ) -> serde_json::Result<Self> {
        let clock = serde_json::to_string(clock)?;
        let head = format!(
            "{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"workspace_id\":\"{workspace_id}\",\"clock\":{clock},\
             \"workspace\":{workspace},\"tables\":{{"
        );
        text.extend_from_slice(head.as_bytes());
        Ok(Self(text))
    }

    /// Ends the previous table, if any, and begins this one. `index` is its position in [`TABLES`].
    pub(crate) fn begin_table(&mut self, index: usize, name: &str) {
        self.0.extend_from_slice(format!("{}\"{name}\":[", if index > 0 { "]," } else { "" }).as_bytes());
    }

    /// Writes the next row of the current table.
    pub(crate) fn write_row(&mut self, number: usize, row: &Value) -> serde_json::Result<()> {
        if number > 0 {
            self.0.push(b',');
        }
        serde_json::to_writer(&mut self.0, row)
    }

    /// Ends the document and returns the text.
    pub(crate) fn end(mut self, checksum: Option<&str>) -> Vec<u8> {
        self.0.extend_from_slice(b"]}");
        if let Some(checksum) = checksum {
            self.0.extend_from_slice(format!(",\"{CHECKSUM}\":\"{checksum}\"").as_bytes());
        }
        self.0.push(b'}');
        self.0
    }
}

/// Appends a document with its checksum to the text `before`.
///
/// # Errors
/// A part of the document is not valid JSON.
pub(crate) async fn write(document: &Document<'_>, before: Vec<u8>) -> Result<Vec<u8>, DocumentError> {
    let checksum = checksum::of(document, usize::MAX).await?;
    let message = |error: serde_json::Error| error.to_string();
    let workspace = parse_small(document.workspace).map_err(message)?;
    let mut writer =
        DocumentWriter::begin(before, document.workspace_id, &document.clock, &workspace).map_err(message)?;
    for (index, (table, rows)) in TABLES.iter().zip(&document.tables).enumerate() {
        writer.begin_table(index, table.name);
        raw::each(rows, |number, row| writer.write_row(number, &serde_json::from_str(row.get())?))
            .await
            .map_err(message)?;
    }
    Ok(writer.end(Some(&checksum)))
}
