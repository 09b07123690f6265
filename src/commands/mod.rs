//! The commands of the program besides `serve`, which is in `main.rs`.

pub mod attach;
pub mod background;
pub mod doctor;
pub mod env;
pub mod exec;
pub mod health;
pub(crate) mod probe;
mod request;
pub mod reset;
