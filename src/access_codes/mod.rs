//! Access codes: PINs on locks, from the request for one to its leaving the lock.
//!
//! Rules, as functions of values: [`lifecycle`] has those of a code's life, [`pin`] those of PINs, [`linked`] those of
//! codes that share one, [`offline`] those of codes that a lock's maker computes, [`daylight`] those of locks whose time
//! zone nobody knows. [`create`], [`update`], [`service`], [`backup_pool`] and [`unmanaged`] apply them in transactions,
//! [`store`] has the SQL, the routes the HTTP.

pub mod backup_pool;
pub mod create;
pub mod daylight;
pub mod lifecycle;
pub mod linked;
pub mod locked_codes;
pub mod model;
pub mod offline;
pub mod pin;
pub mod routes;
pub mod service;
pub mod store;
pub mod timeline;
pub mod unmanaged;
pub mod unmanaged_routes;
pub mod update;
