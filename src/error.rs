//! Errors of requests, with text, status and `error.type`. [`crate::http::envelope`] creates the response.

mod credential;
mod resource;
mod taken;
mod text;
mod unavailable;

pub(crate) use self::credential::CredentialError;
pub(crate) use self::resource::Resource;
pub(crate) use self::taken::Taken;
pub(crate) use self::unavailable::Unavailable;

use self::text::{because, in_period, kind, listed, named, sentence};
use crate::clock::Timestamp;
use crate::contract::{Issues, Rejection, quoted};
use serde_json::{Value, json};
use uuid::Uuid;

/// Result of functions that serve requests.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request does not match the contract, or violates a rule that involves several parameters.
    #[error("{message}")]
    InvalidInput {
        /// All issues in one sentence.
        message: String,
        /// The same issues as a tree with the shape of the request.
        validation_errors: Value,
    },
    /// The query string cannot be parsed; the message.
    #[error("{0}")]
    InvalidQuery(String),
    /// The body is not JSON; the message of the parser.
    #[error("Error while parsing input: the body is not valid JSON ({0})")]
    UnreadableBody(String),
    /// The content type of the body is not JSON; the method of the request.
    #[error("{0} requests must have Content-Type header with \"application/json\"")]
    InvalidContentType(String),
    /// The page cursor was not created by this API, or belongs to a request with other parameters; the message.
    #[error("{0}")]
    MismatchedPageParameters(&'static str),
    /// `create_multiple`: the locks cannot all use the same PIN; the devices, each with the reason.
    #[error("These devices cannot share one code: {}. Leave them out, or set behavior_when_code_cannot_be_shared to create_random_code.", sentence(.0))]
    CodeCannotBeShared(Vec<(Uuid, String)>),
    /// The lock is offline, and the request excludes attempts for offline devices.
    #[error("device {0} is offline. Set attempt_for_offline_device to true to have the code set when it is back.")]
    DeviceOffline(Uuid),
    /// The lock was removed from the manufacturer's account.
    #[error("device {0} was removed from its provider account, so it accepts no access codes")]
    DeviceRemoved(Uuid),
    /// The device is unmanaged; its id.
    #[error("Device is unmanaged. Use /devices/unmanaged/update")]
    DeviceUnmanaged(Uuid),
    /// The device is managed; its id.
    #[error("Device is managed. Use /devices/update")]
    DeviceManaged(Uuid),
    /// The lock supports no online access codes.
    #[error("device {0} cannot program online access codes. See can_program_online_access_codes.")]
    CannotProgramOnlineAccessCodes(Uuid),
    /// The lock's memory is full.
    #[error("device {device_id} already stores {capacity} access codes, its maximum. Delete one first.")]
    NoSpace {
        /// Id of the lock.
        device_id: Uuid,
        /// Maximum number of codes.
        capacity: u32,
    },
    /// No PIN that the locks accept is free.
    #[error("no PIN is free on the lock in this time frame. Delete access codes, or choose another time frame.")]
    NoFreeCode,
    /// Another code on the lock has the requested PIN.
    #[error("Cannot set duplicate access code {code}{}{}{}", named(name.as_deref()), in_period(*period), because(hint))]
    DuplicateAccessCode {
        /// The PIN.
        code: String,
        /// Name of the requested code.
        name: Option<String>,
        /// Start and end of the requested time frame; `None` for an ongoing code.
        period: Option<(Timestamp, Timestamp)>,
        /// Id of the code that has the PIN.
        access_code_id: Uuid,
        /// Explanation of a conflict that is not obvious; may be empty.
        hint: &'static str,
    },
    /// A webhook cannot receive events of these types, because they do not exist.
    #[error("Invalid event types: {}. Give types of events, or \"*\" for all.", listed(.0))]
    InvalidEventTypes(Vec<String>),
    /// The workspace has the maximum number of webhooks; the maximum.
    #[error("the workspace already has {0} webhooks, the maximum. Delete one first.")]
    TooManyWebhooks(i64),
    /// The credential is missing, or not accepted here; the message.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// A client session token or a publishable key is not accepted, or not for this request.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// An object that the request names does not exist in this workspace.
    #[error("{}", .0.not_found().1)]
    NotFound(Resource),
    /// The path exists neither here nor in Seam's API.
    #[error("no such path: {method} {path}. GET {contract} lists the paths.")]
    NoSuchPath {
        /// Method of the request.
        method: String,
        /// Path of the request.
        path: String,
        /// Path of the contract that lists the existing paths.
        contract: &'static str,
    },
    /// The path exists in Seam's API, but Latchkey does not emulate it.
    #[error("{0} is not emulated. GET /openapi.json lists the paths that are.")]
    NotImplemented(String),
    /// The path does not accept this method; the methods that it accepts.
    #[error("only {0} accepted")]
    MethodNotAllowed(String),
    /// The body is too large; the maximum in bytes.
    #[error("the body is larger than {0} bytes")]
    PayloadTooLarge(usize),
    /// Path and query are too long; the maximum in bytes.
    #[error("the path with its query is longer than {0} bytes. Send the parameters in the body of a POST.")]
    UriTooLong(usize),
    /// The request has too many headers, or too large ones.
    #[error("the request has more than {most} headers, or more than {most_bytes} bytes of them. Send fewer.")]
    HeadersTooLarge {
        /// Maximum number of headers.
        most: usize,
        /// Maximum total length of their names and values, in bytes.
        most_bytes: usize,
    },
    /// The request took longer than the timeout, in seconds. It may have been executed.
    #[error("the request took longer than {0} seconds. Check whether it was executed before you send it again.")]
    TimedOut(u64),
    /// The code does not exist in the workspace. The response repeats the ids of the request and contains no others.
    #[error("Could not find an access_code with device_id or access_code_id")]
    AccessCodeNotFound {
        /// Device id in the request.
        device_id: Option<Uuid>,
        /// Access code id in the request.
        access_code_id: Option<Uuid>,
    },
    /// No code has this `common_code_key`.
    #[error("Could not find access_codes with common_code_key {}", quoted(.0))]
    CommonCodeKeyNotFound(String),
    /// Offline codes can be neither changed nor deleted, because the manufacturer's algorithm has computed them.
    #[error("offline access codes can be neither updated nor deleted: they end by themselves. Create another one.")]
    OfflineAccessCodeNotModifiable,
    /// The code belongs to an access grant, and only changes with it.
    #[error("Access code is managed by an access grant. Use /access_grants/* and /access_methods/*")]
    AccessCodeManagedByAccessGrant,
    /// Only the manufacturer's app can delete this code.
    #[error("this unmanaged access code can only be deleted in the app of the lock's manufacturer")]
    CannotDeleteUnmanagedAccessCode,
    /// Only time-bound codes can be replaced by backup codes.
    #[error("Backups can only be used for time_bound access codes.")]
    AccessCodeNotTimeBound,
    /// The request does not apply to this type of lock.
    #[error("Device type \"{device_type}\" is not supported here: {reason}")]
    DeviceTypeNotSupported {
        /// Seam's `device_type`.
        device_type: &'static str,
        /// Reason, as the rest of the sentence.
        reason: &'static str,
    },
    /// More requests wait on one lock than it can store.
    #[error("device {device_id} already has {limit} requests to lock or unlock the door that are not done yet")]
    TooManyLockOperations {
        /// Id of the lock.
        device_id: Uuid,
        /// Maximum number of waiting requests.
        limit: usize,
    },
    /// The brand of the device does not have this simulation.
    #[error(
        "Device type \"{device_type}\" is not supported for simulating {simulated}. POST /_emulator/devices/update \
         changes devices of every type."
    )]
    SimulationNotSupported {
        /// Seam's `device_type`.
        device_type: &'static str,
        /// Change that the request simulates.
        simulated: &'static str,
    },
    /// The device has received the maximum number of requests of this kind.
    #[error(
        "device {device_id} accepts no more {} requests before {again_at} on the clock of the workspace",
        kind(action_type)
    )]
    RateLimited {
        /// Id of the device.
        device_id: Uuid,
        /// Kind of request, as Seam's `action_type`.
        action_type: &'static str,
        /// Instant from which the device accepts the next one, on the workspace's clock.
        again_at: String,
        /// Seconds until then, rounded up.
        retry_after: u64,
    },
    /// An HTTP fault replaces the response of the request.
    #[error("the HTTP fault {http_fault_id} applies to this request. POST /_emulator/http_faults/delete removes it.")]
    HttpFaultInjected {
        /// Id of the HTTP fault.
        http_fault_id: Uuid,
        /// HTTP status of the response.
        status: u16,
        /// Response body; `None`: the standard body of an error.
        body: Option<Value>,
        /// Value of `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// An HTTP fault resets the connection; the id of the fault. Only a caller without a network connection, as in
    /// tests, can read this response.
    #[error("the HTTP fault {0} resets the connection of this request. POST /_emulator/http_faults/delete removes it.")]
    ConnectionReset(Uuid),
    /// The request to the control plane conflicts with the current state; the message.
    #[error("{0}")]
    Conflict(String),
    /// A value that the caller chose is in use; the name of the parameter.
    #[error("this {0} is in use on this server. Choose another, or delete the workspace that has it.")]
    InUse(&'static str),
    /// Another object of the workspace has a key or an address that must be unique.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// The default sandbox cannot be created, because another workspace has one of its fixed values; the name of the
    /// value.
    #[error(
        "the default sandbox cannot be created, because its {0} belongs to another workspace of this database: use \
         another database (--data-dir or DATABASE_URL), or give that workspace's row another {0}"
    )]
    SandboxInUse(&'static str),
    /// More steps are due than one request may run. Nothing was changed.
    #[error(
        "more than {limit} steps of access codes are due in this time, most of them retries of operations that always \
         fail. Nothing was changed. Move the clock in smaller steps or at a lower rate, or remove the fault or other \
         cause of the failures."
    )]
    TooManySteps {
        /// Number of steps that were run before the request was aborted.
        steps: u64,
        /// Maximum number of steps of one request.
        limit: u64,
    },
    /// The database cannot be reached, or a resource did not become free in time. Nothing was changed.
    #[error("{0} Nothing was changed. Send the request again.")]
    Unavailable(Unavailable),
    /// The result of a commit is unknown: for example, the connection to the database was lost meanwhile.
    #[error(
        "the database failed during the request, which may have been executed. Check whether it was before you send \
         it again."
    )]
    OutcomeUnknown(Box<dyn std::error::Error + Send + Sync>),
    /// Unexpected error. It is logged with its cause; the caller receives only the request id.
    #[error("internal error: {0}")]
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Creates the error for an access code id that does not exist.
    pub fn no_access_code(access_code_id: Uuid) -> Self {
        Self::AccessCodeNotFound { device_id: None, access_code_id: Some(access_code_id) }
    }

    /// Creates an error with one issue of one parameter.
    pub fn invalid(parameter: &str, message: impl Into<String>) -> Self {
        Issues::new().at(&[parameter], message).into()
    }

    /// Creates an error with one issue of the whole request.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Issues::new().root(message).into()
    }

    /// Creates the error for a stored row that Latchkey cannot have written.
    pub fn inconsistent(table: &str, id: Uuid, column: &str) -> Self {
        Self::Internal(format!("{table} {id} has an impossible {column}").into())
    }
}

impl Error {
    /// Copies the error of a failed batch for one of its requests, because this type cannot be `Clone`.
    /// [`Self::Unavailable`] and [`Self::OutcomeUnknown`] keep their variant; any other error becomes
    /// [`Self::Internal`].
    #[must_use]
    pub fn for_same_batch(&self) -> Self {
        match self {
            Self::Unavailable(unavailable) => Self::Unavailable(*unavailable),
            Self::OutcomeUnknown(cause) => Self::OutcomeUnknown(cause.to_string().into()),
            other => Self::Internal(other.to_string().into()),
        }
    }
}

impl From<Issues> for Error {
    fn from(issues: Issues) -> Self {
        issues.into_rejection().into()
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::InvalidInput { message, validation_errors } => Self::InvalidInput { message, validation_errors },
            Rejection::InvalidQuery { message } => Self::InvalidQuery(message),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match Unavailable::of(&error) {
            Some(unavailable) => {
                tracing::warn!(cause = %error, "the database could not run a statement");
                Self::Unavailable(unavailable)
            }
            None => Self::Internal(error.into()),
        }
    }
}

/// Value of `Retry-After` for [`Error::Unavailable`], in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Returns the `error.type` of an HTTP fault, for which tests configure only the status.
fn type_of_status(status: u16) -> &'static str {
    match status {
        400 => "invalid_input",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        408 => "request_timeout",
        409 => "conflict",
        429 => "rate_limit_exceeded",
        501 => "not_implemented",
        502 => "bad_gateway",
        503 => "service_unavailable",
        504 => "gateway_timeout",
        _ if (400..500).contains(&status) => "bad_request",
        _ => "internal_server_error",
    }
}

impl Error {
    /// Returns the HTTP status and Seam's `error.type`.
    pub fn status_and_type(&self) -> (u16, &'static str) {
        match self {
            Self::InvalidInput { .. } | Self::UnreadableBody(_) => (400, "invalid_input"),
            Self::InvalidQuery(_) => (400, "invalid_query_params"),
            Self::InvalidContentType(_) => (400, "invalid_content_type"),
            Self::MismatchedPageParameters(_) => (400, "mismatched_page_parameters"),
            Self::CodeCannotBeShared(_) => (400, "code_cannot_be_shared"),
            Self::DeviceOffline(_) => (400, "device_offline"),
            Self::DeviceUnmanaged(_) => (400, "device_unmanaged"),
            Self::DeviceManaged(_) => (400, "device_managed"),
            Self::CannotProgramOnlineAccessCodes(_) => (400, "device_cannot_program_online_access_codes"),
            Self::NoSpace { .. } => (400, "no_space_for_access_code_on_device"),
            Self::DeviceRemoved(_) => (400, "device_removed"),
            Self::OfflineAccessCodeNotModifiable => (400, "offline_access_code_not_modifiable"),
            Self::AccessCodeManagedByAccessGrant => (400, "access_code_managed_by_access_grant"),
            Self::CannotDeleteUnmanagedAccessCode => (400, "cannot_delete_unmanaged_access_code"),
            Self::DeviceTypeNotSupported { .. } | Self::SimulationNotSupported { .. } => {
                (400, "device_type_not_supported")
            }
            Self::AccessCodeNotTimeBound => (400, "access_code_not_time_bound"),
            Self::NoFreeCode => (400, "no_code_left"),
            Self::InvalidEventTypes(_) => (400, "invalid_event_types"),
            Self::TooManyWebhooks(_) => (400, "too_many_webhooks"),
            Self::Unauthorized(_) => (401, "unauthorized"),
            Self::Credential(error) => error.status_and_type(),
            Self::NoSuchPath { .. } => (404, "not_found"),
            Self::NotFound(resource) => (404, resource.not_found().0),
            Self::AccessCodeNotFound { .. } | Self::CommonCodeKeyNotFound(_) => (404, "access_code_not_found"),
            Self::MethodNotAllowed(_) => (405, "method_not_allowed"),
            Self::TimedOut(_) => (408, "request_timeout"),
            Self::DuplicateAccessCode { .. } => (409, "duplicate_access_code"),
            Self::Conflict(_) | Self::InUse(_) | Self::SandboxInUse(_) => (409, "conflict"),
            Self::Taken(taken) => (409, taken.error_type()),
            Self::RateLimited { .. } | Self::TooManyLockOperations { .. } => (429, "rate_limit_exceeded"),
            Self::HttpFaultInjected { status, .. } => (*status, type_of_status(*status)),
            Self::ConnectionReset(_) => (502, "connection_reset"),
            Self::PayloadTooLarge(_) => (413, "payload_too_large"),
            Self::UriTooLong(_) => (414, "uri_too_long"),
            Self::HeadersTooLarge { .. } => (431, "request_header_fields_too_large"),
            Self::NotImplemented(_) => (501, "not_implemented"),
            Self::TooManySteps { .. } => (400, "too_many_steps"),
            Self::Unavailable(_) => (503, "service_unavailable"),
            Self::OutcomeUnknown(_) | Self::Internal(_) => (500, "internal_server_error"),
        }
    }

    /// Returns details for programs, in addition to the message. They are an object, as typed SDKs expect.
    pub fn data(&self) -> Option<Value> {
        match self {
            Self::CodeCannotBeShared(reasons) => {
                let device_ids: Vec<_> = reasons.iter().map(|(device_id, _)| device_id).collect();
                Some(json!({ "device_ids": device_ids }))
            }
            Self::DeviceOffline(device_id)
            | Self::CannotProgramOnlineAccessCodes(device_id)
            | Self::DeviceRemoved(device_id)
            | Self::DeviceUnmanaged(device_id)
            | Self::DeviceManaged(device_id)
            | Self::RateLimited { device_id, .. }
            | Self::TooManyLockOperations { device_id, .. }
            | Self::NoSpace { device_id, .. } => Some(json!({ "device_id": device_id })),
            Self::TooManySteps { steps, limit } => Some(json!({ "steps": steps, "limit": limit })),
            Self::DuplicateAccessCode { access_code_id, .. } => Some(json!({ "access_code_id": access_code_id })),
            Self::AccessCodeNotFound { device_id, access_code_id } => {
                let named = [("device_id", device_id), ("access_code_id", access_code_id)];
                let named = named.into_iter().filter_map(|(name, id)| Some((name.to_owned(), json!(id.as_ref()?))));
                Some(Value::Object(named.collect()))
            }
            _ => None,
        }
    }

    /// Returns the number of seconds after which the caller may retry, if it is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::HttpFaultInjected { retry_after, .. } => *retry_after,
            Self::Unavailable(_) => Some(RETRY_AFTER_SECONDS),
            _ => None,
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.into())
    }
}

#[cfg(test)]
mod tests;
