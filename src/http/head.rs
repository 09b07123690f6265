//! How large the head of a request may be.

/// The most headers of a head that are read at all.
pub const MOST_PARSED: usize = 256;

/// The most bytes of headers that are read at all, on HTTP/2.
pub const LONGEST_PARSED: u32 = 256 * 1024;
