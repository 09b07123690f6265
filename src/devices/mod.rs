//! Devices: locks of every brand, and what each can do.

pub mod brands;
pub mod model;
pub mod routes;
pub mod store;
