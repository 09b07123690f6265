//! Seam's JSON objects, as the API and the control plane answer with them.

pub(crate) mod access_code;
pub(crate) mod action_attempt;
pub(crate) mod device;
pub(crate) mod event;
pub(crate) mod workspace;
