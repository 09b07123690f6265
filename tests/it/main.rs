//! Integration tests: through HTTP, against a real PostgreSQL, with a workspace per test, in one binary.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic; clippy exempts only test functions, not their helpers"
)]

mod support;

mod access_codes;
mod access_grants;
mod assigned_pins;
mod backup_pool;
mod client_sessions;
mod clock;
mod concurrency;
mod connect_webviews;
mod connected_accounts;
mod console;
mod contract;
mod control_plane;
mod credentials;
mod daylight_saving;
mod determinism;
mod device_events;
mod devices;
mod edge;
mod external_changes;
mod failures;
mod faults;
mod fixtures;
mod http_faults;
mod isolation;
mod keypad;
mod layers;
mod ledger;
mod lifecycle;
mod like_fake;
mod limits;
mod linked_codes;
mod listed_access_codes;
mod locks;
mod messages;
mod metrics;
mod names;
mod offline_codes;
mod postgres_download;
mod private_postgres;
mod process;
mod processes;
mod properties;
mod query_plans;
mod reproducibility;
mod request_log;
mod retention;
mod service_health;
mod smoke;
mod snapshots;
mod spaces;
mod time_travel;
mod unmanaged_codes;
mod unmanaged_devices;
mod upgrade;
mod user_identities;
mod visibility;
mod webhook_deliveries;
mod webhook_receiver;
mod webhooks;
mod workspaces;
