//! Devices: locks of every brand, and what each can do.

pub mod brands;
pub mod connectivity;
pub mod keypad;
pub mod metadata;
pub mod model;
pub mod routes;
pub mod simulate;
pub mod store;
pub mod trouble;
