//! Pure rules: values and an instant in, values out. No SQL, no HTTP, no tasks.

pub mod access_code;
pub mod action_attempt;
pub mod daylight;
pub mod device;
pub mod event;
pub mod fault;
pub mod http_fault;
pub mod keypad;
pub mod linked;
pub mod locked_device;
pub mod offline;
pub mod pin;
pub mod rate_limit;
pub mod sandbox;
pub mod simulation;
pub mod workspace;
