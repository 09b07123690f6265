//! Responses with a long list. The items are serialized one by one, so that rows, items and text are not in memory
//! together.

use super::pagination::Page;
use crate::error::Result;
use crate::http::envelope::{Answer, JsonResponse, OK, ok_pieces};
use crate::http::long_text::LongText;
use crate::store::Position;
use serde::Serialize;

/// A list under construction: the text of the response so far.
#[derive(Debug)]
pub(crate) struct Listing {
    text: LongText,
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
        let (mut text, start) = (LongText::default(), format!("{{\"{name}\":["));
        text.append(start.as_bytes());
        Self { start: start.len(), text, limit, count: 0, last: None, has_next_page: false }
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
            self.text.append(b",");
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
        self.text.append(b"],\"pagination\":");
        serde_json::to_writer(&mut self.text, &pagination)?;
        self.text.append(b",");
        Ok(Listed(self.text))
    }

    /// Ends the list without `pagination`, and repeats it under this name.
    pub(crate) fn end_as(mut self, name: &str) -> Listed {
        self.text.repeat_from(self.start, format!("],\"{name}\":[").as_bytes());
        self.text.append(b"],");
        Listed(self.text)
    }
}

/// A complete list, as JSON without the last member of the envelope.
#[derive(Debug)]
pub(crate) struct Listed(LongText);

impl Answer for Listed {
    async fn into_json_response(mut self) -> JsonResponse {
        self.0.append(OK.as_bytes());
        ok_pieces(self.0.into_pieces())
    }
}
