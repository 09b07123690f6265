//! Transactions on locked devices, and what drives them: requests, the scheduler, the clock.

pub mod app;
pub mod backup_pool;
pub mod batcher;
pub mod clock;
pub mod code_lengths;
pub mod commands;
pub mod connectivity;
pub mod create;
pub mod delete;
pub mod generate_code;
pub mod http_faults;
pub mod import_budget;
pub mod locked_codes;
pub mod parking;
pub mod request_log;
pub mod retention;
pub mod sandbox;
pub mod scheduler;
pub mod simulation;
pub mod snapshots;
pub mod step_by_hand;
pub mod unmanaged;
pub mod update;
pub mod workspace_cache;
pub mod workspaces;
