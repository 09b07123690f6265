//! Transactions whose end is known, or known to be unknown.

use super::connection::{Connection, PgTransactions, is_lost};
use crate::cause::Cause;
use crate::error::{Error, Result};
use sqlx::{Executor as _, PgConnection};
use sqlx_core::transaction::TransactionManager as _;
use std::ops::{Deref, DerefMut};

/// How long statements of a long job, and its waits for locks, may take.
const SET_LONG_TIMEOUTS: &str = "set local statement_timeout = 600000; set local lock_timeout = 600000";

/// A transaction, which is given up unless it is committed.
#[derive(Debug)]
pub struct Transaction(Option<Connection>);

impl Transaction {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Some(connection))
    }

    /// Commits.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] where the answer was lost: the transaction may have been committed. Any other error says
    /// that it was not.
    pub async fn commit(mut self) -> Result<()> {
        let Some(mut connection) = self.0.take() else { return Ok(()) };
        Cause::current().begins_to_change();
        match PgTransactions::commit(&mut connection).await {
            Ok(()) => {
                connection.done();
                Ok(())
            }
            Err(error @ sqlx::Error::Database(_)) if !is_lost(&error) => Err(error.into()),
            Err(cause) => {
                connection.discard();
                Err(Error::OutcomeUnknown(cause.into()))
            }
        }
    }

    /// Lets statements take minutes, as the control plane's jobs may, instead of less than a request.
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
            // It is sent with the next thing that is said on the connection.
            PgTransactions::start_rollback(connection);
        }
    }
}
