//! Latchkey: a local Seam Connect for smart-lock access codes.
//!
//! A map of the house, from the door inwards. `ARCHITECTURE.md` says why it is built so.
//!
//! - [`config`] has every setting, [`server`] puts the parts together, [`app`] is what all requests share.
//! - [`contract`] is `openapi.json` at work: every request is checked against it before a handler runs.
//! - [`http`] is the edge: authentication, envelopes, pages.
//! - One folder for each resource of Seam's: [`access_codes`], [`devices`], [`events`], [`action_attempts`],
//!   [`workspaces`]. In each the same words: `routes` (HTTP), `service` (rules in a transaction), `store` (SQL),
//!   `model` (types).
//! - [`scheduler`] makes due things happen, by the rules in [`access_codes::lifecycle`]; [`programming`] is where the
//!   codes of one lock meet.
//! - [`emulator`] is the control plane under `/_emulator`: worlds, clocks, locks, faults.
//! - [`clock`] and [`ids`] are the only places that read the time and draw randomness.
//! - [`together`] lets work that arrives together be done together.
//! - [`postgres`] finds the database, or runs one; [`retention`] removes what is older than it is to be kept.
//! - [`stop`] hears the signals that end the program.
//! - [`doctor`] and [`health`] are the program's other commands.

pub mod access_codes;
pub mod action_attempts;
pub mod app;
pub mod clock;
pub mod compute;
pub mod config;
pub mod contract;
pub mod devices;
pub mod doctor;
pub mod emulator;
pub mod error;
pub mod events;
pub mod health;
pub mod http;
pub mod ids;
pub mod postgres;
pub mod programming;
pub mod retention;
pub mod scheduler;
pub mod server;
pub mod stop;
pub mod supervise;
pub mod together;
pub mod workspaces;
