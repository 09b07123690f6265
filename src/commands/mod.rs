//! Commands of the program besides `serve`.

pub mod doctor;
pub mod health;
