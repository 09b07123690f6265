//! Latchkey: a local Seam Connect for smart-lock access codes.
//!
//! All of it is private but what the program uses, below, and what its tests use, in [`testing`]: so the compiler sees what
//! nobody uses.
//!
//! The floors of the house, from the top. A file imports from its own floor and from those below, never from one above;
//! `tests/it/floors.rs` checks it. `ARCHITECTURE.md` says why it is built so.
//!
//! 1. The program: `main.rs`, and its other commands in [`commands`].
//! 2. [`server`] puts the router together, begins and ends the tasks, tells how the server is, and loads fixtures.
//! 3. [`api`] has Seam's resources, [`control`] the control plane under `/_emulator`. Neither imports the other; both stand
//!    on [`api::edge`] (authentication, contract, envelope) and [`api::body`] (Seam's JSON objects).
//! 4. [`engine`] has the transactions on locked devices, and what drives them: the batches of requests, the scheduler, the clock,
//!    snapshots.
//! 5. [`store`] has the SQL and the rows, a file for each table.
//! 6. [`domain`] has the pure rules: the life of a code, PINs, brands, offline codes, simulation, events.
//! 7. What all others may use: [`contract`] (`openapi.json` at work), [`http`], [`postgres`], [`config`], [`clock`] and [`ids`] (the
//!    only places that read the time and draw randomness), [`cause`], [`error`], [`compute`], [`supervise`], [`stop`].

mod api;
mod cause;
mod clock;
mod commands;
mod compute;
mod config;
mod contract;
mod control;
mod domain;
mod engine;
mod error;
mod http;
mod ids;
mod postgres;
mod server;
mod stop;
mod store;
mod supervise;

#[doc(hidden)]
pub mod testing;

pub use crate::clock::{WorkspaceClock, to_iso};
pub use crate::commands::{doctor, health};
pub use crate::config::{Command, CommandLine, Config};
pub use crate::domain::device::Device;
pub use crate::domain::sandbox::{API_KEY, WORKSPACE_ID};
pub use crate::engine::app::App;
pub use crate::engine::sandbox::ensure as ensure_sandbox;
pub use crate::postgres::{Database, PoolLimits, connect};
pub use crate::server::fixtures::{self, Fixtures, Loaded};
pub use crate::server::serve;
pub use crate::stop::Stop;
