//! The tests at the edge: through HTTP, against a real PostgreSQL, a workspace for each test, in one binary.

mod support;

mod private_postgres;
mod smoke;
