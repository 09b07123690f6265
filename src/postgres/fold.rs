//! Reads of many rows that are processed as they arrive.

use super::pool::Pool;
use super::reader::sql_and_arguments;
use crate::compute;
use crate::error::Result;
use futures_util::stream::TryChunksError;
use futures_util::{FutureExt as _, TryStreamExt as _};
use sqlx::postgres::PgRow;
use sqlx::{Execute, Executor as _, Postgres};
use uuid::Uuid;

/// Number of rows that [`Pool::fold`] passes on together: less than a millisecond of work.
const ROWS_PER_CHUNK: usize = 64;

impl Pool {
    /// Runs one read statement and passes its rows to `add` as they arrive, [`ROWS_PER_CHUNK`] at a time, so that they
    /// are not in memory together. `init` returns the initial value of the result. Begins again, with another initial
    /// value and on another connection, if the connection was lost.
    ///
    /// # Errors
    /// The errors of [`Pool::read`] and of `add`.
    pub async fn fold<'q, T: Send + 'static>(
        &self,
        workspace_id: Uuid,
        query: impl Execute<'q, Postgres>,
        init: impl Fn() -> T,
        add: impl Fn(&mut T, Vec<PgRow>) -> Result<()> + Copy + Send + Sync + 'static,
    ) -> Result<T> {
        let query = sql_and_arguments(query)?;
        let read = self.read(workspace_id, |connection| {
            let (query, mut folded) = (query.clone(), init());
            let rows = async move {
                let mut chunks = connection.fetch(query).try_chunks(ROWS_PER_CHUNK);
                while let Some(chunk) = chunks.try_next().await.map_err(|TryChunksError(_, error)| error)? {
                    // A full chunk: it is one of many.
                    compute::sized(chunk.len() == ROWS_PER_CHUNK, || add(&mut folded, chunk)).await?;
                }
                drop(chunks);
                Ok(folded)
            };
            rows.boxed()
        });
        read.await
    }
}
