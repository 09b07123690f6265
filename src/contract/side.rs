//! Requests and responses differ a little in what is right and how it is told.

/// Which way a value goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    /// From a client. A value that fits no branch of a union is reported as zod does: `Invalid input`, unless the value
    /// is of the right kind for a branch.
    Request,
    /// To a client. It is reported by the branch that comes closest, which helps whoever debugs a response.
    Response,
}
