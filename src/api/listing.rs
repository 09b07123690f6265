//! Responses with a long list. The items are serialized one by one, so that rows, items and text are not in memory
//! together.

use super::pagination::Page;
use crate::error::Result;
use crate::http::envelope::{Answer, JsonResponse, ok_object};
use crate::store::Position;
use serde::Serialize;

/// A list under construction: the text of the response so far.
#[derive(Debug)]
pub(crate) struct Listing {
    text: Vec<u8>,
    /// Index of the first item in the text.
    start: usize,
    /// Maximum number of items.
    limit: usize,
    count: usize,
    /// Position of the last item.
    last: Option<Position>,
    has_next_page: bool,
}

impl Listing {
    /// Begins a response whose list has this name.
    pub(crate) fn new(name: &str, limit: usize) -> Self {
        let text = format!("{{\"{name}\":[").into_bytes();
        Self { start: text.len(), text, limit, count: 0, last: None, has_next_page: false }
    }

    /// Appends an item. An item beyond the limit is not appended; it shows that another page follows.
    ///
    /// # Errors
    /// The errors of the serialization.
    pub(crate) fn push(&mut self, position: Position, item: &impl Serialize) -> Result<()> {
        if self.is_full() {
            self.has_next_page = true;
            return Ok(());
        }
        if self.count > 0 {
            self.text.push(b',');
        }
        serde_json::to_writer(&mut self.text, item)?;
        self.count += 1;
        self.last = Some(position);
        Ok(())
    }

    /// Returns true if the page has no place left.
    pub(crate) fn is_full(&self) -> bool {
        self.count >= self.limit
    }

    /// Returns true if an item beyond the limit was found.
    pub(crate) fn has_next_page(&self) -> bool {
        self.has_next_page
    }

    /// Ends the list and appends Seam's `pagination`. `base_url` and `path` are the start of the URL of the next page.
    ///
    /// # Errors
    /// The errors of the serialization.
    pub(crate) fn end(mut self, page: &Page, base_url: &str, path: &str) -> Result<Listed> {
        let pagination = page.pagination(self.last.filter(|_| self.has_next_page), base_url, path);
        self.text.extend_from_slice(b"],\"pagination\":");
        serde_json::to_writer(&mut self.text, &pagination)?;
        self.text.push(b'}');
        Ok(Listed(self.text))
    }

    /// Ends the list without `pagination`, and repeats it under this name.
    pub(crate) fn end_as(mut self, name: &str) -> Listed {
        let list = self.start..self.text.len();
        self.text.extend_from_slice(format!("],\"{name}\":[").as_bytes());
        self.text.extend_from_within(list);
        self.text.extend_from_slice(b"]}");
        Listed(self.text)
    }
}

/// A complete list, as JSON.
#[derive(Debug)]
pub(crate) struct Listed(Vec<u8>);

impl Answer for Listed {
    async fn answer(self) -> JsonResponse {
        ok_object(self.0)
    }
}
