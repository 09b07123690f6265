//! Transactions whose commit reports whether the outcome is known.

use super::connection::{Connection, PgTransactions, is_lost};
use crate::cause::Cause;
use crate::error::{Error, Result};
use sqlx::{Executor as _, PgConnection};
use sqlx_core::transaction::TransactionManager as _;
use std::ops::{Deref, DerefMut};

/// Statement and lock timeouts of a long job, 10 minutes each.
const SET_LONG_TIMEOUTS: &str = "set local statement_timeout = 600000; set local lock_timeout = 600000";

/// Transaction, which is rolled back when dropped unless it is committed.
#[derive(Debug)]
pub struct Transaction(Option<Connection>);

impl Transaction {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Some(connection))
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the response was lost: the transaction may have been committed. With any other
    /// error it was not committed.
    pub async fn commit(mut self) -> Result<()> {
        let Some(mut connection) = self.0.take() else { return Ok(()) };
        Cause::current().mark_may_change();
        match PgTransactions::commit(&mut connection).await {
            Ok(()) => {
                connection.done();
                Ok(())
            }
            Err(error @ sqlx::Error::Database(_)) if !is_lost(&error) => {
                // PostgreSQL has rolled back, but sqlx still counts the transaction as open.
                connection.discard();
                Err(error.into())
            }
            Err(cause) => {
                connection.discard();
                Err(Error::OutcomeUnknown(cause.into()))
            }
        }
    }

    /// Raises the statement and lock timeouts of this transaction to 10 minutes, for jobs of the control plane that
    /// take longer than a request.
    pub async fn allow_long(&mut self) -> Result<()> {
        self.execute(SET_LONG_TIMEOUTS).await?;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "it is taken when the transaction ends, which consumes it")]
    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("a transaction that has not ended")
    }
}

impl DerefMut for Transaction {
    #[expect(clippy::expect_used, reason = "it is taken when the transaction ends, which consumes it")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("a transaction that has not ended")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            // Queues the rollback. It is sent together with the next message, the ping when the connection is dropped.
            PgTransactions::start_rollback(connection);
        }
    }
}
