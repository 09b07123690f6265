//! SQL of persons. A workspace belongs to a person, whose personal access token opens all workspaces of the person.

use crate::error::{Error, Result};
use crate::postgres::Pool;
use sqlx::PgConnection;
use uuid::Uuid;

/// Person with the token.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub person_id: Uuid,
    pub personal_access_token: String,
}

/// Returns the person who has this token. Without one, inserts a person with this id and token. The person cannot be
/// deleted until the transaction ends.
///
/// # Errors
/// [`Error::InUse`] if another person has the id.
pub(crate) async fn find_or_insert(tx: &mut PgConnection, new: Person) -> Result<Person> {
    sqlx::query!(
        "insert into person (person_id, personal_access_token) values ($1, $2) on conflict do nothing",
        new.person_id,
        new.personal_access_token
    )
    .execute(&mut *tx)
    .await?;
    let found = sqlx::query_as!(
        Person,
        "select person_id, personal_access_token from person where personal_access_token = $1 for key share",
        new.personal_access_token
    )
    .fetch_optional(tx)
    .await?;
    found.ok_or(Error::InUse("workspace_id"))
}

/// Returns the person with this id, who cannot be deleted until the transaction ends.
pub(crate) async fn lock(tx: &mut PgConnection, person_id: Uuid) -> Result<Option<Person>> {
    let found = sqlx::query_as!(
        Person,
        "select person_id, personal_access_token from person where person_id = $1 for key share",
        person_id
    )
    .fetch_optional(tx)
    .await?;
    Ok(found)
}

/// Returns the id of the person who has this token.
pub(crate) async fn of_token(pool: &Pool, personal_access_token: &str) -> Result<Option<Uuid>> {
    let found =
        sqlx::query_scalar!("select person_id from person where personal_access_token = $1", personal_access_token)
            .fetch_optional(pool.for_workspace(Uuid::nil()))
            .await?;
    Ok(found)
}

/// Returns true if the person exists.
pub(crate) async fn exists(pool: &Pool, person_id: Uuid) -> Result<bool> {
    let found = sqlx::query_scalar!("select person_id from person where person_id = $1", person_id)
        .fetch_optional(pool.for_workspace(Uuid::nil()))
        .await?;
    Ok(found.is_some())
}

/// Deletes a person who has no workspaces left.
pub(crate) async fn delete_without_workspaces(tx: &mut PgConnection, person_id: Uuid) -> Result<()> {
    // Two statements: the first waits for transactions that give the person another workspace. The second begins after
    // them, so it sees that workspace.
    sqlx::query!("select person_id from person where person_id = $1 for update", person_id)
        .fetch_optional(&mut *tx)
        .await?;
    sqlx::query!(
        "delete from person where person_id = $1 and not exists (select from workspace where person_id = $1)",
        person_id
    )
    .execute(tx)
    .await?;
    Ok(())
}
