//! Access codes: PINs on locks, from the request for one to its leaving the lock.
//!
//! [`lifecycle`] has the rules of a code's life, [`pin`] those of PINs, [`linked`] those of codes that share one.
//! [`service`] applies them in transactions, [`store`] has the SQL, [`routes`] the HTTP.

pub mod lifecycle;
pub mod linked;
pub mod model;
pub mod pin;
pub mod routes;
pub mod service;
pub mod store;
