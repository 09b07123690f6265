//! The text, status and type of every error, under snapshot.

use super::{CredentialError, Error, Resource, Taken, Unavailable};
use crate::clock::from_iso;
use serde_json::json;
use std::fmt::Write as _;
use uuid::Uuid;

/// One error of each variant whose message does not come from elsewhere.
fn errors() -> Vec<Error> {
    let id = Uuid::from_u128(1);
    let instant = |text| from_iso(text).unwrap();
    let period = Some((instant("2026-03-02T12:00:00Z"), instant("2026-03-05T12:00:00Z")));
    vec![
        Error::UnreadableBody("expected value at line 1 column 1".to_owned()),
        Error::InvalidContentType("POST".to_owned()),
        Error::CodeCannotBeShared(vec![(id, "the reason".to_owned())]),
        Error::DeviceOffline(id),
        Error::DeviceRemoved(id),
        Error::DeviceUnmanaged(id),
        Error::DeviceManaged(id),
        Error::CannotProgramOnlineAccessCodes(id),
        Error::NoSpace { device_id: id, capacity: 10 },
        Error::NoFreeCode,
        Error::InvalidEventTypes(vec!["access_code.set".to_owned()]),
        Error::TooManyWebhooks(50),
        Error::DuplicateAccessCode {
            code: "4826".to_owned(),
            name: Some("Guest".to_owned()),
            period,
            access_code_id: id,
            hint: "The hint",
        },
        CredentialError::InvalidClientSessionToken.into(),
        CredentialError::ClientSessionNotFound.into(),
        CredentialError::ClientSessionRevoked.into(),
        CredentialError::ClientSessionExpired.into(),
        CredentialError::InvalidPublishableKey.into(),
        CredentialError::PublishableKeyNotFound.into(),
        CredentialError::PublishableKeyDisabled.into(),
        CredentialError::PublishableKeyRequiresUserIdentifierKey.into(),
        CredentialError::PublishableKeysMustCreateEmptyClientSessions.into(),
        CredentialError::ClientSessionTokenAlreadyExists.into(),
        CredentialError::WorkspaceNotSandbox.into(),
        Taken::SpaceKey.into(),
        Taken::UserIdentityKey.into(),
        Taken::UserIdentityEmailOrPhone.into(),
        Error::NoSuchPath { method: "GET".to_owned(), path: "/nothing".to_owned(), contract: "/openapi.json" },
        Error::NotImplemented("/thermostats/list".to_owned()),
        Error::MethodNotAllowed("GET, POST".to_owned()),
        Error::PayloadTooLarge(1024),
        Error::UriTooLong(1024),
        Error::HeadersTooLarge { most: 100, most_bytes: 1024 },
        Error::TimedOut(30),
        Error::AccessCodeNotFound { device_id: None, access_code_id: Some(id) },
        Error::CommonCodeKeyNotFound("key".to_owned()),
        Error::OfflineAccessCodeNotModifiable,
        Error::CannotDeleteUnmanagedAccessCode,
        Error::AccessCodeNotTimeBound,
        Error::DeviceTypeNotSupported {
            device_type: "august_lock",
            reason: "the lock reports its code lengths itself",
        },
        Error::TooManyLockOperations { device_id: id, limit: 100 },
        Error::SimulationNotSupported { device_type: "wyze_lock", simulated: "disconnection" },
        Error::RateLimited {
            device_id: id,
            action_type: "CREATE_ACCESS_CODE",
            again_at: "2026-03-02T12:01:00.000Z".to_owned(),
            retry_after: 60,
        },
        Error::HttpFaultInjected { http_fault_id: id, status: 503, body: Some(json!({})), retry_after: None },
        Error::ConnectionReset(id),
        Error::InUse("seed"),
        Error::SandboxInUse("api_key"),
        Error::TooManySteps { steps: 1001, limit: 1000 },
        Error::Unavailable(Unavailable::DatabaseUnreachable),
        Error::Unavailable(Unavailable::DatabaseFull),
        Error::Unavailable(Unavailable::Busy),
        Error::Unavailable(Unavailable::LockTimeout),
        Error::OutcomeUnknown("the cause".into()),
        Error::inconsistent("access_code", id, "status"),
    ]
}

#[test]
fn error_messages_with_their_status_and_type() {
    let resources = [
        Resource::AcsEntrance,
        Resource::AcsSystem,
        Resource::ActionAttempt,
        Resource::BackupAccessCode,
        Resource::ClientSession,
        Resource::CodeOnLock,
        Resource::ConnectWebview,
        Resource::ConnectedAccount,
        Resource::Customer,
        Resource::Device,
        Resource::Event,
        Resource::Fault,
        Resource::HttpFault,
        Resource::Snapshot,
        Resource::Space,
        Resource::Webhook,
        Resource::UserIdentity,
        Resource::WebhookDelivery,
        Resource::Workspace,
    ];
    let mut text = String::new();
    for error in errors().into_iter().chain(resources.map(Error::NotFound)) {
        let (status, kind) = error.status_and_type();
        writeln!(text, "{status} {kind}: {error}").unwrap();
    }
    insta::with_settings!({ snapshot_path => "../../tests/it/messages", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("errors", text);
    });
}
