//! Codes that share a PIN.
mod groups;
mod multiple;
