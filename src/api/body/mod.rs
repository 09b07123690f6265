//! Seam's JSON objects, as the API and the control plane answer with them.

pub mod access_code;
pub mod action_attempt;
pub mod device;
pub mod event;
pub mod workspace;
