//! Errors of a restore or an import whose content conflicts with the database.

use crate::error::Error;

/// Returns the error for a value of the snapshot that another workspace uses. `what` names the value.
pub(super) fn in_use(what: &str) -> Error {
    Error::Conflict(format!(
        "the snapshot cannot be restored here: its {what} is in use in another workspace of this server. Delete that \
         workspace, or use another server."
    ))
}

/// Converts an error of the database that the document caused into one for the client.
pub(super) fn rejection(error: Error) -> Error {
    let Error::Internal(cause) = error else { return error };
    let cause = match cause.downcast::<sqlx::Error>() {
        Ok(cause) => cause,
        Err(cause) => return Error::Internal(cause),
    };
    let Some(database_error) = cause.as_database_error() else { return (*cause).into() };
    let (state, constraint) =
        (database_error.code().unwrap_or_default(), database_error.constraint().unwrap_or_default());
    // Ids and seeds are unique on the whole server, so another workspace uses the value.
    let is_of_the_server =
        constraint == "workspace_seed_key" || constraint == "client_session_token_key" || constraint.ends_with("_pkey");
    match state.get(..2) {
        Some("23") if database_error.is_unique_violation() && is_of_the_server => {
            let value = match constraint {
                "workspace_seed_key" => "seed".to_owned(),
                "client_session_token_key" => "token of a client session".to_owned(),
                _ => constraint.replace("_pkey", "_id"),
            };
            in_use(&value)
        }
        // A value violates a constraint, does not fit its type, or exceeds a size limit.
        Some("22" | "23" | "54") => Error::invalid("snapshot", format!("The database rejects it: {database_error}")),
        _ => (*cause).into(),
    }
}
