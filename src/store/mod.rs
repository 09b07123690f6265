//! SQL and rows: a file for each table, or for what is read and written together.

pub mod access_codes;
pub mod action_attempts;
pub mod changes;
pub mod devices;
pub mod events;
pub mod faults;
pub mod http_faults;
pub mod retention;
mod row;
pub mod snapshots;
pub mod workspaces;

use crate::clock::Instant;
use uuid::Uuid;

/// The last row of a page: the next one begins behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// When that row was made.
    pub created_at: Instant,
    /// Its id, which decides between rows made together.
    pub id: Uuid,
}
