//! The commands `doctor` and `health`. The other commands are in `main.rs`.

pub mod doctor;
pub mod health;
