//! Ids: the fake's well-known ids are texts, those of Latchkey are UUIDs.

use crate::contract::OPENAPI;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use uuid::{Builder, Uuid, uuid};

pub(super) const WORKSPACES: [Uuid; 2] = [WORKSPACE_1, WORKSPACE_2];
pub(super) const WORKSPACE_1: Uuid = uuid!("5eed0000-0000-4000-8000-000000000001");
pub(super) const WORKSPACE_2: Uuid = uuid!("5eed0000-0000-4000-8000-000000000002");
pub(super) const JOHN: Uuid = uuid!("5eed0000-0000-4000-8000-000000000003");
pub(super) const JOHN_IDENTITY: Uuid = uuid!("5eed0000-0000-4000-8000-000000000004");
pub(super) const CLIENT_SESSION: Uuid = uuid!("5eed0000-0000-4000-8000-000000000005");
pub(super) const CONNECT_WEBVIEW: Uuid = uuid!("5eed0000-0000-4000-8000-000000000006");
pub(super) const JOHN_ACCOUNT: Uuid = uuid!("5eed0000-0000-4000-8000-000000000011");
pub(super) const JANE_ACCOUNT: Uuid = uuid!("5eed0000-0000-4000-8000-000000000012");
pub(super) const ASSA_ABLOY_ACCOUNT: Uuid = uuid!("5eed0000-0000-4000-8000-000000000013");
pub(super) const AUGUST_1: Uuid = uuid!("5eed0000-0000-4000-8000-000000000101");
pub(super) const AUGUST_2: Uuid = uuid!("5eed0000-0000-4000-8000-000000000102");
pub(super) const ECOBEE: Uuid = uuid!("5eed0000-0000-4000-8000-000000000103");
pub(super) const MINUT: Uuid = uuid!("5eed0000-0000-4000-8000-000000000104");
pub(super) const SCHLAGE: Uuid = uuid!("5eed0000-0000-4000-8000-000000000105");

/// Well-known ids of the fake, except those of things that Latchkey does not have.
const WELL_KNOWN: [(&str, Uuid); 14] = [
    ("seed_workspace_1", WORKSPACE_1),
    ("seed_workspace_2", WORKSPACE_2),
    ("john_user_id", JOHN),
    ("john_user_identity_id", JOHN_IDENTITY),
    ("cst1", CLIENT_SESSION),
    ("connect_webview1", CONNECT_WEBVIEW),
    ("john_connected_account_id", JOHN_ACCOUNT),
    ("jane_connected_account_id", JANE_ACCOUNT),
    ("john_assa_cs_connected_account_id", ASSA_ABLOY_ACCOUNT),
    ("august_device_1", AUGUST_1),
    ("august_device_2", AUGUST_2),
    ("ecobee_device_1", ECOBEE),
    ("minut_device_1", MINUT),
    ("schlage_device_id", SCHLAGE),
];

/// Returns the UUID of a well-known id.
pub(super) fn uuid_of(id: &str) -> Option<Uuid> {
    WELL_KNOWN.iter().find(|(known, _)| *known == id).map(|(_, uuid)| *uuid)
}

/// Returns the well-known id that has this UUID.
pub(super) fn well_known(uuid: &str) -> Option<&'static str> {
    let uuid = Uuid::try_parse(uuid).ok()?;
    WELL_KNOWN.iter().find(|(_, known)| *known == uuid).map(|(id, _)| *id)
}

/// Names of parameters whose values are UUIDs in Latchkey.
pub(super) struct UuidParameters(HashSet<String>);

impl UuidParameters {
    /// Returns the parameters of Seam's contract.
    pub(super) fn of_contract() -> Self {
        let mut names = HashSet::new();
        // A test parses this document, so it is valid. Some parameters are known as UUIDs only from responses.
        let contract = OPENAPI.text().ok().and_then(|text| serde_json::from_str(text).ok());
        collect(&contract.unwrap_or_default(), &mut names);
        Self(names)
    }

    /// Returns the id that Latchkey uses for this value of a parameter; `None`: the value itself. A text that is no
    /// UUID and no well-known id becomes a UUID that nothing has, so that the response is that of an unknown id. At the
    /// control plane it stays: there, requests choose the ids of new objects.
    pub(super) fn translate(&self, path: &str, name: &str, value: &str) -> Option<String> {
        if value.is_empty() || !(name.ends_with("_id") || name.ends_with("_ids")) {
            return None;
        }
        let is_foreign =
            || !path.starts_with("/_emulator/") && self.0.contains(name) && Uuid::try_parse(value).is_err();
        let uuid = uuid_of(value).or_else(|| is_foreign().then(|| unknown(value)));
        uuid.map(|uuid| uuid.to_string())
    }
}

/// Returns a UUID that nothing has: the same one for the same id.
fn unknown(id: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(Sha256::digest(id)).for_each(|(byte, hashed)| *byte = hashed);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// Collects the names of the parameters and properties in a document whose values are UUIDs.
fn collect(document: &Value, names: &mut HashSet<String>) {
    match document {
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(members) => {
            let own = members.get("name").and_then(Value::as_str).zip(members.get("schema"));
            let properties = members.get("properties").and_then(Value::as_object).into_iter().flatten();
            let all = properties.map(|(name, schema)| (name.as_str(), schema)).chain(own);
            names.extend(all.filter(|(_, schema)| is_of_uuids(schema)).map(|(name, _)| name.to_owned()));
            members.values().for_each(|member| collect(member, names));
        }
        _ => {}
    }
}

/// Returns true for the schema of a UUID, of a list of UUIDs, and of a choice with one of these.
fn is_of_uuids(schema: &Value) -> bool {
    let choices = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|name| schema.get(name)?.as_array()).flatten();
    schema.get("format").is_some_and(|format| format == "uuid")
        || schema.get("items").is_some_and(is_of_uuids)
        || choices.into_iter().any(is_of_uuids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_translated_both_ways_only_as_a_whole() {
        for (id, uuid) in WELL_KNOWN {
            assert_eq!(uuid_of(id), Some(uuid));
            assert_eq!(well_known(&uuid.to_string()), Some(id));
        }
        assert_eq!((uuid_of("august_device_1 "), uuid_of("the august_device_1")), (None, None));
        assert_eq!(well_known(&format!("{AUGUST_1}x")), None);
    }

    #[test]
    fn id_that_is_no_uuid_becomes_an_unknown_uuid_where_uuids_are_expected() {
        let parameters = UuidParameters::of_contract();
        let translate = |name, value| parameters.translate("/devices/get", name, value);
        assert_eq!(translate("device_id", "august_device_1"), Some(AUGUST_1.to_string()));
        assert_eq!(translate("workspace_id", "seed_workspace_2"), Some(WORKSPACE_2.to_string()));
        let unknown = translate("device_ids", "device7").unwrap();
        assert!(Uuid::try_parse(&unknown).is_ok());
        assert_eq!(translate("access_code_id", "device7"), Some(unknown));
        let of_control_plane = |value| parameters.translate("/_emulator/devices/create", "device_id", value);
        assert_eq!(of_control_plane("device7"), None);
        assert_eq!(of_control_plane("august_device_1"), Some(AUGUST_1.to_string()));
        let uuid = AUGUST_2.to_string();
        for (name, value) in
            [("device_id", uuid.as_str()), ("device_id", ""), ("name", "august_device_1"), ("external_id", "device7")]
        {
            assert_eq!(translate(name, value), None, "{name} {value}");
        }
    }
}
