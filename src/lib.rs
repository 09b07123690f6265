//! Latchkey: a local Seam Connect for smart-lock access codes.
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

pub mod api;
pub mod cause;
pub mod clock;
pub mod commands;
pub mod compute;
pub mod config;
pub mod contract;
pub mod control;
pub mod domain;
pub mod engine;
pub mod error;
pub mod http;
pub mod ids;
pub mod postgres;
pub mod server;
pub mod stop;
pub mod store;
pub mod supervise;
