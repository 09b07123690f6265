//! What can go wrong, with its text, status and `error.type`. [`crate::http::envelope`] makes the answer of it.

use crate::clock::{Timestamp, to_iso};
use crate::contract::{Issues, Rejection, quoted};
use serde_json::{Value, json};
use uuid::Uuid;

/// The result of everything that serves a request.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong while a request is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request does not fit the contract, or breaks a rule across parameters.
    #[error("{message}")]
    InvalidInput {
        /// What is wrong, all issues in one sentence.
        message: String,
        /// The same as a tree along the request.
        validation_errors: Value,
    },
    /// The query string itself cannot be read.
    #[error("{0}")]
    InvalidQuery(String),
    /// The body is not JSON.
    #[error("Error while parsing input: the body is not valid JSON ({0})")]
    UnreadableBody(String),
    /// A body without the JSON content type.
    #[error("{0} requests must have Content-Type header with \"application/json\"")]
    InvalidContentType(String),
    /// A page cursor that was made up, or is used with other parameters than those it was made for.
    #[error("{0}")]
    MismatchedPageParameters(&'static str),
    /// `create_multiple`: not all locks can take one PIN.
    #[error("These devices cannot share one code: {}. Leave them out, or set behavior_when_code_cannot_be_shared to create_random_code.", sentence(.0))]
    CodeCannotBeShared(Vec<(Uuid, String)>),
    /// A lock is offline and the caller does not want to wait for it.
    #[error("device {0} is offline. Set attempt_for_offline_device to true to have the code set when it is back.")]
    DeviceOffline(Uuid),
    /// The lock is no longer in the account of its maker.
    #[error("device {0} was removed from the account of its maker: it takes no access codes any more")]
    DeviceRemoved(Uuid),
    /// The lock takes no codes from afar.
    #[error("device {0} cannot program online access codes. See can_program_online_access_codes.")]
    CannotProgramOnlineAccessCodes(Uuid),
    /// The lock's memory is full.
    #[error("device {device_id} already holds {capacity} access codes, as many as it can. Delete one first.")]
    NoSpace {
        /// The lock.
        device_id: Uuid,
        /// How many codes it can hold.
        capacity: u32,
    },
    /// Every PIN that the locks can take is taken.
    #[error("no code is left that the lock can take in this time frame. Delete codes, or choose another time frame.")]
    NoCodeLeft,
    /// A code on the lock has this PIN already.
    #[error("Cannot set duplicate access code {code}{}{}{}", named(name.as_deref()), in_period(*period), because(hint))]
    DuplicateAccessCode {
        /// The PIN.
        code: String,
        /// The name of the code that was asked for.
        name: Option<String>,
        /// The ends of its time frame.
        period: Option<(Timestamp, Timestamp)>,
        /// The code that has the PIN.
        access_code_id: Uuid,
        /// Why that stands in the way, where it is not plain; may be empty.
        hint: &'static str,
    },
    /// No credential, or one that is not accepted here.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// A client session token in a header of its own that does not look like one.
    #[error("Invalid client session token")]
    InvalidClientSessionToken,
    /// A client session token nobody issued.
    #[error("Unauthorized (client session not found)")]
    ClientSessionNotFound,
    /// Something that the request names is not there, or not in this workspace.
    #[error("{}", .0.not_found().1)]
    NotFound(Resource),
    /// A path nobody knows.
    #[error("no such path: {method} {path}. GET {contract} lists the paths.")]
    NoSuchPath {
        /// The request's method.
        method: String,
        /// The request's path.
        path: String,
        /// Where the paths are that there are.
        contract: &'static str,
    },
    /// A path of Seam's that Latchkey does not emulate.
    #[error("{0} is not emulated. GET /openapi.json lists the paths that are.")]
    NotImplemented(String),
    /// The path does not take this method.
    #[error("only {0} accepted")]
    MethodNotAllowed(String),
    /// The body is larger than the server takes.
    #[error("the body is larger than {0} bytes")]
    PayloadTooLarge(usize),
    /// The URI is longer than the server takes.
    #[error("the path with its query is longer than {0} bytes. Send the parameters in the body of a POST.")]
    UriTooLong(usize),
    /// There are more headers, or larger ones, than the server takes.
    #[error("the request has more than {most} headers, or more than {most_bytes} bytes of them. Leave some out.")]
    HeadersTooLarge {
        /// How many it may have.
        most: usize,
        /// How many bytes their names and values may have together.
        most_bytes: usize,
    },
    /// The request took too long.
    #[error("the request took longer than {0} seconds. Look whether it was carried out before you send it again.")]
    TimedOut(u64),
    /// No such code in the workspace. It tells what the caller named, and nothing else.
    #[error("Could not find an access_code with device_id or access_code_id")]
    AccessCodeNotFound {
        /// The device the caller named.
        device_id: Option<Uuid>,
        /// The code the caller named.
        access_code_id: Option<Uuid>,
    },
    /// No code has this `common_code_key`.
    #[error("Could not find access_codes with common_code_key {}", quoted(.0))]
    CommonCodeKeyNotFound(String),
    /// Codes that the lock's maker computed can neither be changed nor deleted.
    #[error("offline access codes can be neither updated nor deleted: they end by themselves. Create another one.")]
    OfflineAccessCodeNotModifiable,
    /// The maker lets nobody but its own app delete this code.
    #[error("this unmanaged access code can only be deleted in the app of the lock's maker")]
    CannotDeleteUnmanagedAccessCode,
    /// Backups stand in for time-bound codes only.
    #[error("Backups can only be used for time_bound access codes.")]
    AccessCodeNotTimeBound,
    /// This kind of lock has no use for what is asked.
    #[error("Device type \"{0}\" is not supported here: the lock reports its code lengths itself")]
    DeviceTypeNotSupported(&'static str),
    /// A device has had as many requests of this kind as it takes.
    #[error(
        "device {device_id} takes no more {} requests before {again_at}, on the clock of the workspace",
        kind(action_type)
    )]
    RateLimited {
        /// The device.
        device_id: Uuid,
        /// The kind, as Seam's `action_type`.
        action_type: &'static str,
        /// When it takes one again, in the workspace's time.
        again_at: String,
        /// In how many seconds that is, rounded up.
        retry_after: u64,
    },
    /// What a tester arranged for requests to be answered.
    #[error("the HTTP fault {http_fault_id} answers this request. POST /_emulator/http_faults/delete ends it.")]
    HttpFaultInjected {
        /// The HTTP fault.
        http_fault_id: Uuid,
        /// The status.
        status: u16,
        /// The body; `None`: the one every error has.
        body: Option<Value>,
        /// After how many seconds the caller may try again.
        retry_after: Option<u64>,
    },
    /// A tester arranged for the connection to be reset. Nobody gets to read it but who came without a connection.
    #[error("the HTTP fault {0} resets the connection of this request. POST /_emulator/http_faults/delete ends it.")]
    ConnectionReset(Uuid),
    /// The control plane is asked for something that what is there stands against.
    #[error("{0}")]
    Conflict(String),
    /// Something that the caller chose and that somebody else has; the name of the parameter.
    #[error("this {0} is in use on this server. Choose another, or delete the workspace that has it.")]
    InUse(&'static str),
    /// The default sandbox cannot be made, since another workspace has what is fixed of it; the name of that.
    #[error(
        "the default sandbox cannot be made, because its {0} belongs to another workspace of this database: use another \
         database (--data-dir or DATABASE_URL), or give that workspace's row another {0}"
    )]
    SandboxInUse(&'static str),
    /// What falls due on the way is more than one request may do. Nothing was changed.
    #[error(
        "more than {limit} steps of access codes fall due on the way, most of them to try again what fails for ever. \
         Nothing was changed. Move the clock in shorter strides or at a lower rate, or take back the fault or whatever \
         else is in the way."
    )]
    TooManySteps {
        /// How many steps were taken before it was given up.
        steps: u64,
        /// How many one request may take.
        limit: u64,
    },
    /// The database cannot be reached, or what was waited for did not become free in time. Nothing was changed.
    #[error("{0} Nothing was changed. Send the request again.")]
    Unavailable(Unavailable),
    /// The database was lost while it was told to keep what was done.
    #[error(
        "the database was lost while the request was being carried out: it may have been carried out. Look whether it was before you send it again."
    )]
    OutcomeUnknown(Box<dyn std::error::Error + Send + Sync>),
    /// Anything nobody foresaw. Logged with its cause; the caller gets only the request id.
    #[error("internal error: {0}")]
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// No code with this id.
    pub fn no_access_code(access_code_id: Uuid) -> Self {
        Self::AccessCodeNotFound { device_id: None, access_code_id: Some(access_code_id) }
    }

    /// One issue with one parameter.
    pub fn invalid(parameter: &str, message: impl Into<String>) -> Self {
        Issues::new().at(&[parameter], message).into()
    }

    /// One issue with the request as a whole.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Issues::new().root(message).into()
    }

    /// A stored row that no code of ours can have written.
    pub fn inconsistent(table: &str, id: Uuid, column: &str) -> Self {
        Self::Internal(format!("{table} {id} has an impossible {column}").into())
    }
}

impl Error {
    /// The same error for another request of the same batch.
    #[must_use]
    pub fn for_another(&self) -> Self {
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
                tracing::warn!(cause = %error, "a request could not be served");
                Self::Unavailable(unavailable)
            }
            None => Self::Internal(error.into()),
        }
    }
}

/// After how many seconds to ask again what could not be served.
const RETRY_AFTER_SECONDS: u64 = 1;

/// What a request names by an id, and can be missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resource {
    /// An action attempt.
    ActionAttempt,
    /// A backup code that can be pulled.
    BackupAccessCode,
    /// A code in the memory of a lock.
    CodeOnLock,
    /// A connected account.
    ConnectedAccount,
    /// A device.
    Device,
    /// An event.
    Event,
    /// A fault of operations on devices.
    Fault,
    /// A fault of requests.
    HttpFault,
    /// A snapshot.
    Snapshot,
    /// A webhook delivery.
    WebhookDelivery,
    /// A workspace.
    Workspace,
}

impl Resource {
    /// The `error.type` and the message where it is not found.
    pub fn not_found(self) -> (&'static str, &'static str) {
        match self {
            Self::ActionAttempt => ("action_attempt_not_found", "Action attempt not found"),
            Self::BackupAccessCode => ("backup_access_code_not_found", "Backup access code not found"),
            Self::CodeOnLock => (
                "access_code_not_found",
                "the lock does not hold such an access code. GET /_emulator/locks/memory shows what it holds.",
            ),
            Self::ConnectedAccount => ("connected_account_not_found", "Connected account not found"),
            Self::Device => ("device_not_found", "Device not found"),
            Self::Event => ("event_not_found", "Event not found"),
            Self::Fault => ("fault_not_found", "Fault not found"),
            Self::HttpFault => ("http_fault_not_found", "HTTP fault not found"),
            Self::Snapshot => {
                ("snapshot_not_found", "Snapshot not found. GET /_emulator/snapshots/list shows what there is.")
            }
            Self::WebhookDelivery => ("webhook_delivery_not_found", "Webhook delivery not found"),
            Self::Workspace => ("workspace_not_found", "Workspace was not found"),
        }
    }
}

/// The `error.type` of an error that a tester asks for by its status alone.
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
    /// The status and Seam's `error.type` of each error.
    pub fn status_and_type(&self) -> (u16, &'static str) {
        match self {
            Self::InvalidInput { .. } | Self::UnreadableBody(_) => (400, "invalid_input"),
            Self::InvalidQuery(_) => (400, "invalid_query_params"),
            Self::InvalidContentType(_) => (400, "invalid_content_type"),
            Self::MismatchedPageParameters(_) => (400, "mismatched_page_parameters"),
            Self::CodeCannotBeShared(_) => (400, "code_cannot_be_shared"),
            Self::DeviceOffline(_) => (400, "device_offline"),
            Self::CannotProgramOnlineAccessCodes(_) => (400, "device_cannot_program_online_access_codes"),
            Self::NoSpace { .. } => (400, "no_space_for_access_code_on_device"),
            Self::DeviceRemoved(_) => (400, "device_removed"),
            Self::OfflineAccessCodeNotModifiable => (400, "offline_access_code_not_modifiable"),
            Self::CannotDeleteUnmanagedAccessCode => (400, "cannot_delete_unmanaged_access_code"),
            Self::DeviceTypeNotSupported(_) => (400, "device_type_not_supported"),
            Self::AccessCodeNotTimeBound => (400, "access_code_not_time_bound"),
            Self::NoCodeLeft => (400, "no_code_left"),
            Self::InvalidClientSessionToken => (400, "invalid_client_session_token"),
            Self::Unauthorized(_) => (401, "unauthorized"),
            Self::ClientSessionNotFound => (401, "client_session_not_found"),
            Self::NoSuchPath { .. } => (404, "not_found"),
            Self::NotFound(resource) => (404, resource.not_found().0),
            Self::AccessCodeNotFound { .. } | Self::CommonCodeKeyNotFound(_) => (404, "access_code_not_found"),
            Self::MethodNotAllowed(_) => (405, "method_not_allowed"),
            Self::TimedOut(_) => (408, "request_timeout"),
            Self::DuplicateAccessCode { .. } => (409, "duplicate_access_code"),
            Self::Conflict(_) | Self::InUse(_) | Self::SandboxInUse(_) => (409, "conflict"),
            Self::RateLimited { .. } => (429, "rate_limit_exceeded"),
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

    /// What programs may want to know besides the message; an object, as typed SDKs expect.
    pub fn data(&self) -> Option<Value> {
        match self {
            Self::CodeCannotBeShared(reasons) => {
                let device_ids: Vec<_> = reasons.iter().map(|(device_id, _)| device_id).collect();
                Some(json!({ "device_ids": device_ids }))
            }
            Self::DeviceOffline(device_id)
            | Self::CannotProgramOnlineAccessCodes(device_id)
            | Self::DeviceRemoved(device_id)
            | Self::RateLimited { device_id, .. }
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

    /// After how many seconds the caller may try again, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::HttpFaultInjected { retry_after, .. } => *retry_after,
            Self::Unavailable(_) => Some(RETRY_AFTER_SECONDS),
            _ => None,
        }
    }
}

/// Why a request cannot be served now and may be later.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unavailable {
    /// The database is away, or is stopping or starting.
    #[error("the database cannot be reached.")]
    DatabaseAway,
    /// The database has no room, or no connection, left.
    #[error("the database has no space, memory or connection left.")]
    DatabaseFull,
    /// All connections that the request may use are in use.
    #[error("the server is busy with other requests.")]
    Busy,
    /// Another request holds what this one needs.
    #[error("another request held a device or the workspace for too long.")]
    LockTimeout,
}

impl Unavailable {
    /// What an error of the database says of it. `None`: it says that a statement was wrong.
    pub fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::PoolTimedOut => Some(Self::Busy),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
                Some(Self::DatabaseAway)
            }
            sqlx::Error::Database(error) => match error.code()?.as_ref() {
                // Lock and statement time-outs, deadlocks, serialization failures.
                "55P03" | "57014" | "40P01" | "40001" => Some(Self::LockTimeout),
                code if code.starts_with("53") || code == "58030" => Some(Self::DatabaseFull),
                code if code.starts_with("57P") || code.starts_with("08") || code == "25P03" => {
                    Some(Self::DatabaseAway)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// What an attempt of this type is called in a sentence.
fn kind(action_type: &str) -> &'static str {
    match action_type {
        "CREATE_ACCESS_CODE" => "create",
        "UPDATE_ACCESS_CODE" => "update",
        "DELETE_ACCESS_CODE" => "delete",
        "LOCK_DOOR" => "lock",
        "UNLOCK_DOOR" => "unlock",
        _ => "such",
    }
}

fn sentence(reasons: &[(Uuid, String)]) -> String {
    reasons.iter().map(|(device_id, reason)| format!("{device_id} ({reason})")).collect::<Vec<_>>().join(", ")
}

fn because(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(". {hint}.") }
}

fn named(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(" named {}", quoted(name)))
}

fn in_period(period: Option<(Timestamp, Timestamp)>) -> String {
    period.map_or_else(String::new, |(starts_at, ends_at)| {
        format!(" for period {}-{}", to_iso(starts_at), to_iso(ends_at))
    })
}

#[cfg(test)]
mod tests;
