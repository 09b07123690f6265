//! Direction of a value. Requests and responses differ in some rules and in the way issues are reported.

/// Direction of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Direction {
    /// From a client. The issue of a value that matches no branch of a union is `Invalid input`, as in zod, unless the
    /// value has the right type for a branch.
    Request,
    /// To a client. The issues are those of the closest branch of a union, which helps to debug a response.
    Response,
}
