//! Codes that share a PIN.
mod groups;
mod multiple;
mod update_multiple;
