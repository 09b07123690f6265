//! Linked codes: access codes that share a PIN.
mod groups;
mod multiple;
mod update_multiple;
