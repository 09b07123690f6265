//! Latchkey: a local stand-in for the Seam Connect API, for smart-lock access codes.
//!
//! Everything is private except the items that the program uses, below, and the items that the tests use, in
//! [`testing`]. So the compiler reports unused items.
//!
//! The layers, from the top. A file imports from its own layer and from lower layers, never from a higher one;
//! `tests/it/layers.rs` checks this. `ARCHITECTURE.md` describes the structure, and `docs/decisions.md` the reasons for
//! it.
//!
//! 1. The program: `main.rs`, and its other commands in [`commands`].
//!    [`probe`]: comparison with the real service.
//! 2. [`server`]: the router, the start and the end of the tasks, `/health`, `/metrics`, the console, `/docs`, and the
//!    loading of fixtures.
//! 3. [`api`]: the endpoints of Seam's API; [`control`]: the control plane under `/_emulator`. Neither imports the
//!    other. Both use [`api::edge`] (authentication, contract, envelope) and [`api::body`] (Seam's JSON objects).
//! 4. [`delivery`]: the task that sends events to webhooks, as [`api::body`] writes them.
//! 5. [`engine`]: the transactions on locked devices, and what starts them: batches of requests, the scheduler, the
//!    clock, snapshots.
//! 6. [`store`]: the SQL and the rows, a file for each table.
//! 7. [`domain`]: the pure rules: lifecycle of a code, PINs, brands, offline codes, simulation, events.
//! 8. The base, which all layers may use: [`contract`] (checks by `openapi.json`), [`http`], [`postgres`], [`config`],
//!    [`clock`] and [`ids`] (the only places that read the time and draw randomness), [`cause`], [`error`],
//!    [`compute`], [`supervise`], [`stop`], [`tls`], [`log`] and [`metrics`].

mod api;
mod cause;
mod clock;
mod commands;
mod compute;
mod config;
mod contract;
mod control;
mod delivery;
mod domain;
mod engine;
mod error;
mod http;
mod ids;
pub mod log;
mod metrics;
mod postgres;
mod probe;
mod server;
mod stop;
mod store;
mod supervise;
mod tls;

#[doc(hidden)]
pub mod testing;

pub use crate::clock::{WorkspaceClock, to_iso};
pub use crate::commands::probe::probe as run_probe;
pub use crate::commands::{attach, background, doctor, env, exec, health, reset};
pub use crate::config::{Command, CommandLine, Config, Probe};
pub use crate::domain::device::Device;
pub use crate::domain::sandbox::{API_KEY, PERSONAL_ACCESS_TOKEN, WORKSPACE_ID};
pub use crate::engine::app::App;
pub use crate::engine::sandbox::ensure as ensure_sandbox;
pub use crate::postgres::{Database, PoolLimits, connect};
pub use crate::server::fixtures::{self, Fixtures, Loaded};
pub use crate::server::like_fake::load as load_seed_of_fake;
pub use crate::server::serve;
pub use crate::stop::Stop;
