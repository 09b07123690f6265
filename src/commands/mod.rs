//! The program's other commands.

pub mod doctor;
pub mod health;
