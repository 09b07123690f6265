//! Text of a response in pieces. A single buffer would be copied each time it grows, and would take up to three times
//! the length of the text.

use axum::body::Bytes;
use std::io;

/// Maximum length of a piece in bytes.
const MAX_PIECE: usize = 256 * 1024;

/// A text that is written from its start to its end.
#[derive(Debug)]
pub(crate) struct LongText {
    /// Complete pieces, each as long as possible.
    full: Vec<Bytes>,
    last: Vec<u8>,
}

/// Length of a text for which memory is reserved at once, in bytes: that of a short list.
const SHORT: usize = 4096;

impl Default for LongText {
    fn default() -> Self {
        Self { full: Vec::new(), last: Vec::with_capacity(SHORT) }
    }
}

impl LongText {
    /// Appends text. Inlined: a serializer calls this for each few bytes, and nearly always they fit into the last piece.
    #[inline]
    pub(crate) fn append(&mut self, text: &[u8]) {
        if text.len() < MAX_PIECE - self.last.len() {
            self.last.extend_from_slice(text);
        } else {
            self.append_over_end(text);
        }
    }

    /// Appends text that fills the last piece.
    fn append_over_end(&mut self, mut text: &[u8]) {
        while let Some((head, rest)) = text.split_at_checked(MAX_PIECE - self.last.len()) {
            self.last.extend_from_slice(head);
            self.full.push(std::mem::replace(&mut self.last, Vec::with_capacity(MAX_PIECE)).into());
            text = rest;
        }
        self.last.extend_from_slice(text);
    }

    /// Appends `between` and then all text from the index `start` on, which is in the first piece. Shares the pieces.
    pub(crate) fn repeat_from(&mut self, start: usize, between: &[u8]) {
        if self.full.is_empty() {
            let repeated = self.last[start..].to_vec();
            self.append(between);
            self.append(&repeated);
            return;
        }
        self.end_piece();
        let mut repeated = self.full.clone();
        repeated[0] = repeated[0].slice(start..);
        self.full.push(Bytes::copy_from_slice(between));
        self.full.append(&mut repeated);
    }

    /// Returns the pieces, in their order.
    pub(crate) fn into_pieces(mut self) -> Vec<Bytes> {
        self.end_piece();
        self.full
    }

    fn end_piece(&mut self) {
        if !self.last.is_empty() {
            self.full.push(std::mem::take(&mut self.last).into());
        }
    }
}

impl io::Write for LongText {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.append(text);
        Ok(text.len())
    }

    #[inline]
    fn write_all(&mut self, text: &[u8]) -> io::Result<()> {
        self.append(text);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts whose lengths are on both sides of the limits of one piece and of two.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        let lengths =
            [0, 1, 9, MAX_PIECE - 9, MAX_PIECE - 8, MAX_PIECE, MAX_PIECE + 1, 2 * MAX_PIECE, 3 * MAX_PIECE + 5];
        lengths.into_iter().map(|length| (0..=250_u8).cycle().take(length).collect())
    }

    #[test]
    fn long_text_is_the_appended_text() {
        for text in texts() {
            let mut whole = LongText::default();
            whole.append(b"a");
            text.chunks(1000).for_each(|part| whole.append(part));
            let pieces = whole.into_pieces();
            assert!(pieces.iter().all(|piece| piece.len() <= MAX_PIECE));
            assert_eq!(pieces.concat(), [b"a".as_slice(), &text].concat());
        }
    }

    #[test]
    fn long_text_repeats_itself_from_an_index() {
        for text in texts() {
            let mut whole = LongText::default();
            whole.append(b"{\"a\":[");
            whole.append(&text);
            whole.repeat_from(6, b"],\"b\":[");
            whole.append(b"]}");
            let expected = [b"{\"a\":[".as_slice(), &text, b"],\"b\":[", &text, b"]}"].concat();
            assert_eq!(whole.into_pieces().concat(), expected);
        }
    }
}
