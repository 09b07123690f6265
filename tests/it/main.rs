//! The tests at the edge: through HTTP, against a real PostgreSQL, a workspace for each test, in one binary.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy's own exception ends at the functions that help tests"
)]

mod support;

mod access_codes;
mod assigned_pins;
mod backup_pool;
mod bad_days;
mod clock;
mod concurrency;
mod contract;
mod control_plane;
mod daylight;
mod determinism;
mod devices;
mod edge;
mod emulator_faults;
mod exactness;
mod external;
mod fixtures;
mod floors;
mod foreign_codes;
mod isolation;
mod keypad;
mod ledger;
mod lifecycle;
mod limits;
mod linked_codes;
mod names;
mod offline_codes;
mod plans;
mod private_postgres;
mod process;
mod properties;
mod request_log;
mod retention;
mod service_health;
mod smoke;
mod snapshots;
mod strides;
mod trouble;
mod upgrade;
mod visibility;
mod webhook_deliveries;
mod workspaces;
