//! The HTTP edge: what every endpoint has in common, so that a route is only its own story.
//!
//! One request goes through here in Seam's order: request id → authentication → method → content type →
//! validation → handler. A failure at any of them is answered in the one envelope.

pub mod caller;
pub mod edge;
pub mod envelope;
pub mod pagination;
