//! Temporary failures.

/// Reason why a request cannot be served now, but may be later.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unavailable {
    /// The database cannot be reached, or is stopping or starting.
    #[error("the database cannot be reached.")]
    DatabaseUnreachable,
    /// The database has no disk space, memory or connection left, or cannot read or write its files.
    #[error("the database has no space, memory or connection left.")]
    DatabaseFull,
    /// A resource of the server is used up, such as the connections that the request may use.
    #[error("the server is busy with other requests.")]
    Busy,
    /// Another transaction held a row lock for too long or conflicted with this one, or a statement timed out.
    #[error("another request locked a device or the workspace for too long.")]
    LockTimeout,
}

impl Unavailable {
    /// Classifies an error of the database. `None`: the error is not temporary; for example, the statement is invalid.
    pub fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::PoolTimedOut => Some(Self::Busy),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
                Some(Self::DatabaseUnreachable)
            }
            sqlx::Error::Database(error) => match error.code()?.as_ref() {
                // Lock and statement timeouts, deadlocks, serialization failures.
                "55P03" | "57014" | "40P01" | "40001" => Some(Self::LockTimeout),
                // Insufficient resources; I/O errors.
                code if code.starts_with("53") || code == "58030" => Some(Self::DatabaseFull),
                // Server shutdown or startup; connection errors; the timeout for idle transactions.
                code if code.starts_with("57P") || code.starts_with("08") || code == "25P03" => {
                    Some(Self::DatabaseUnreachable)
                }
                _ => None,
            },
            _ => None,
        }
    }
}
