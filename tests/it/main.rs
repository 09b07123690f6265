//! The tests at the edge: through HTTP, against a real PostgreSQL, a workspace for each test, in one binary.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod support;

mod contract;
mod edge;
mod private_postgres;
mod smoke;
