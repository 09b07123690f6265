//! Documents as they are written.

use super::checksum;
use super::document::{CHECKSUM, Clock, Document, FORMAT, VERSION, Wrong};
use super::raw::{self, small};
use super::tables::TABLES;
use serde_json::Value;
use uuid::Uuid;

/// A document that is being written: everything in its order, the rows one after the other.
#[derive(Debug)]
pub(crate) struct Written(Vec<u8>);

impl Written {
    /// Begins a document behind what is written already.
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

    /// Begins the table at this place of [`TABLES`].
    pub(crate) fn table(&mut self, index: usize, name: &str) {
        self.0.extend_from_slice(format!("{}\"{name}\":[", if index > 0 { "]," } else { "" }).as_bytes());
    }

    /// The next row of the table that was begun.
    pub(crate) fn row(&mut self, number: usize, row: &Value) -> serde_json::Result<()> {
        if number > 0 {
            self.0.push(b',');
        }
        serde_json::to_writer(&mut self.0, row)
    }

    /// Ends the document.
    pub(crate) fn end(mut self, checksum: Option<&str>) -> Vec<u8> {
        self.0.extend_from_slice(b"]}");
        if let Some(checksum) = checksum {
            self.0.extend_from_slice(format!(",\"{CHECKSUM}\":\"{checksum}\"").as_bytes());
        }
        self.0.push(b'}');
        self.0
    }
}

/// Writes a document with its checksum behind what is written already.
///
/// # Errors
/// What in it is no JSON.
pub(crate) async fn write(document: &Document<'_>, before: Vec<u8>) -> Result<Vec<u8>, Wrong> {
    let checksum = checksum::of(document, usize::MAX).await?;
    let said = |error: serde_json::Error| error.to_string();
    let workspace = small(document.workspace).map_err(said)?;
    let mut written = Written::begin(before, document.workspace_id, &document.clock, &workspace).map_err(said)?;
    for (index, (table, rows)) in TABLES.iter().zip(&document.tables).enumerate() {
        written.table(index, table.name);
        raw::each(rows, |number, row| written.row(number, &serde_json::from_str(row.get())?)).await.map_err(said)?;
    }
    Ok(written.end(Some(&checksum)))
}
