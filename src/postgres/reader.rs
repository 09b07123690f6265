//! Implements the sqlx `Executor` trait for [`Reader`].

use super::pool::Reader;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, Postgres, SqlStr};

pub(super) type SqlAndArguments = Result<(SqlStr, Option<PgArguments>), sqlx::Error>;

/// Takes the SQL and the arguments out of a query. They can be cloned, so that the statement can be run again on
/// another connection.
pub(super) fn sql_and_arguments<'q>(mut query: impl Execute<'q, Postgres>) -> SqlAndArguments {
    let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
    Ok((query.sql(), arguments))
}

impl<'a> Executor<'a> for Reader<'a> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'a: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = sql_and_arguments(query);
        let rows = async move {
            let query = query?;
            let rows = self.run_with_retry(|connection| {
                let query = query.clone();
                // Collects all rows before returning the first: a retry would otherwise return some rows twice.
                Box::pin(async move { connection.fetch_many(query).try_collect::<Vec<_>>().await })
            });
            Ok::<_, sqlx::Error>(stream::iter(rows.await?.into_iter().map(Ok)))
        };
        stream::once(rows).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'a: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = sql_and_arguments(query);
        Box::pin(async move {
            let query = query?;
            self.run_with_retry(|connection| {
                let query = query.clone();
                Box::pin(async move { connection.fetch_optional(query).await })
            })
            .await
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'a: 'e,
    {
        Box::pin(async move {
            self.run_with_retry(|connection| {
                let (sql, parameters) = (sql.clone(), parameters.to_vec());
                Box::pin(async move { connection.prepare_with(sql, &parameters).await })
            })
            .await
        })
    }

    #[doc(hidden)]
    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<sqlx::Describe<Postgres>>>
    where
        'a: 'e,
    {
        Box::pin(async move {
            self.run_with_retry(|connection| {
                let sql = sql.clone();
                Box::pin(async move { connection.describe(sql).await })
            })
            .await
        })
    }
}
