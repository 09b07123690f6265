//! Kinds of objects that a request refers to.

/// Kind of object that a request refers to and that may not exist.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resource {
    AccessGrant,
    AccessMethod,
    AcsEntrance,
    AcsSystem,
    ActionAttempt,
    /// Backup code that can be pulled.
    BackupAccessCode,
    ClientSession,
    /// Code in the memory of a lock.
    CodeOnLock,
    ConnectWebview,
    ConnectedAccount,
    /// Customer, by Seam's internal id.
    Customer,
    Device,
    Event,
    /// Fault of operations of locks.
    Fault,
    /// Fault of requests.
    HttpFault,
    Snapshot,
    Space,
    UserIdentity,
    Webhook,
    WebhookDelivery,
    Workspace,
}

impl Resource {
    /// Returns the `error.type` and the message for a missing object.
    pub fn not_found(self) -> (&'static str, &'static str) {
        match self {
            Self::AccessGrant => ("access_grant_not_found", "Access grant not found"),
            Self::AccessMethod => ("access_method_not_found", "Access method not found"),
            Self::AcsEntrance => ("acs_entrance_not_found", "Acs entrance not found"),
            Self::AcsSystem => ("acs_system_not_found", "Acs system not found"),
            Self::ActionAttempt => ("action_attempt_not_found", "Action attempt not found"),
            Self::BackupAccessCode => ("backup_access_code_not_found", "Backup access code not found"),
            Self::ClientSession => ("client_session_not_found", "Client session not found"),
            Self::CodeOnLock => (
                "access_code_not_found",
                "the lock does not store this access code. GET /_emulator/locks/memory lists the codes that it stores.",
            ),
            Self::ConnectWebview => ("connect_webview_not_found", "Connect webview not found"),
            Self::ConnectedAccount => ("connected_account_not_found", "Connected account not found"),
            Self::Customer => ("customer_not_found", "Customer not found"),
            Self::Device => ("device_not_found", "Device not found"),
            Self::Event => ("event_not_found", "Event not found"),
            Self::Fault => ("fault_not_found", "Fault not found"),
            Self::HttpFault => ("http_fault_not_found", "HTTP fault not found"),
            Self::Snapshot => {
                ("snapshot_not_found", "Snapshot not found. GET /_emulator/snapshots/list lists the snapshots.")
            }
            Self::Space => ("space_not_found", "Space not found"),
            Self::UserIdentity => ("user_identity_not_found", "User identity not found"),
            Self::Webhook => ("webhook_not_found", "Webhook not found"),
            Self::WebhookDelivery => ("webhook_delivery_not_found", "Webhook delivery not found"),
            Self::Workspace => ("workspace_not_found", "Workspace was not found"),
        }
    }
}
