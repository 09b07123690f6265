//! Access codes: PINs on locks, from the request for one to its leaving the lock.
//!
//! [`lifecycle`] has the rules of a code's life, [`pin`] those of PINs, [`linked`] those of codes that share one.
//! [`create`] and [`service`] apply them in transactions, [`store`] has the SQL, [`routes`] the HTTP.

pub mod create;
pub mod lifecycle;
pub mod linked;
pub mod model;
pub mod pin;
pub mod routes;
pub mod service;
pub mod store;
