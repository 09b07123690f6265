//! The paths of Seam's API. The response is 501 for those that Latchkey does not serve, and 404 for all other paths: a
//! client interprets a 404 as a resource that does not exist.
//!
//! Source: Seam's OpenAPI document and the newer SDKs generated from it.

/// Paths by folder, sorted by folder. Includes undocumented paths and the paths that Latchkey serves.
const PATHS: &[(&str, &[&str])] = &[
    (
        "/access_codes",
        &[
            "create",
            "create_multiple",
            "delete",
            "generate_code",
            "get",
            "get_timeline",
            "list",
            "pull_backup_access_code",
            "report_device_constraints",
            "update",
            "update_multiple",
        ],
    ),
    ("/access_codes/simulate", &["create_unmanaged_access_code"]),
    ("/access_codes/unmanaged", &["convert_to_managed", "delete", "get", "list", "update"]),
    ("/access_grants", &["create", "delete", "get", "get_related", "list", "request_access_methods", "update"]),
    ("/access_grants/unmanaged", &["get", "list", "update"]),
    ("/access_methods", &["assign_card", "delete", "encode", "get", "get_related", "list", "unlock_door"]),
    ("/access_methods/unmanaged", &["get", "list"]),
    (
        "/acs/access_groups",
        &["add_user", "delete", "get", "list", "list_accessible_entrances", "list_users", "remove_user"],
    ),
    ("/acs/access_groups/unmanaged", &["get", "list"]),
    ("/acs/credential_pools", &["list"]),
    ("/acs/credential_provisioning_automations", &["launch"]),
    (
        "/acs/credentials",
        &[
            "assign",
            "create",
            "create_offline_code",
            "delete",
            "get",
            "list",
            "list_accessible_entrances",
            "unassign",
            "update",
        ],
    ),
    ("/acs/credentials/unmanaged", &["get", "list"]),
    ("/acs/encoders", &["encode_credential", "get", "list", "scan_credential", "scan_to_assign_credential"]),
    (
        "/acs/encoders/simulate",
        &[
            "next_credential_encode_will_fail",
            "next_credential_encode_will_succeed",
            "next_credential_scan_will_fail",
            "next_credential_scan_will_succeed",
        ],
    ),
    ("/acs/entrances", &["get", "grant_access", "list", "list_credentials_with_access", "unlock"]),
    ("/acs/systems", &["get", "list", "list_compatible_credential_manager_acs_systems", "report_devices"]),
    (
        "/acs/users",
        &[
            "add_to_access_group",
            "create",
            "delete",
            "get",
            "list",
            "list_accessible_entrances",
            "remove_from_access_group",
            "revoke_access_to_all_entrances",
            "suspend",
            "unsuspend",
            "update",
        ],
    ),
    ("/acs/users/unmanaged", &["get", "list"]),
    ("/action_attempts", &["get", "list"]),
    ("/bridges", &["get", "list"]),
    ("/cameras/live_views", &["create", "offer", "stop"]),
    ("/client_sessions", &["create", "delete", "get", "get_or_create", "grant_access", "list", "revoke"]),
    ("/connect_webviews", &["create", "delete", "get", "list"]),
    ("/connected_accounts", &["delete", "get", "list", "sync", "update"]),
    ("/connected_accounts/simulate", &["disconnect"]),
    ("/customers", &["create_portal", "delete_data", "push_data"]),
    ("/customers/reservations", &["create_deep_link"]),
    ("/devices", &["delete", "get", "list", "list_device_providers", "report_provider_metadata", "update"]),
    (
        "/devices/simulate",
        &["connect", "connect_to_hub", "disconnect", "disconnect_from_hub", "paid_subscription", "remove"],
    ),
    ("/devices/unmanaged", &["get", "list", "update"]),
    ("/events", &["get", "list"]),
    ("/instant_keys", &["delete", "get", "list"]),
    ("/locks", &["configure_auto_lock", "get", "list", "lock_door", "unlock_door"]),
    ("/locks/simulate", &["keypad_code_entry", "manual_lock_via_keypad"]),
    ("/media", &["get"]),
    ("/noise_sensors", &["list"]),
    ("/noise_sensors/noise_thresholds", &["create", "delete", "get", "list", "update"]),
    ("/noise_sensors/simulate", &["trigger_noise_threshold"]),
    ("/phones", &["deactivate", "get", "list"]),
    ("/phones/simulate", &["create_sandbox_phone"]),
    (
        "/spaces",
        &[
            "add_acs_entrances",
            "add_connected_account",
            "add_devices",
            "create",
            "delete",
            "get",
            "get_related",
            "list",
            "remove_acs_entrances",
            "remove_connected_account",
            "remove_devices",
            "update",
        ],
    ),
    (
        "/thermostats",
        &[
            "activate_climate_preset",
            "activate_weekly_program",
            "cool",
            "create_climate_preset",
            "delete_climate_preset",
            "get",
            "heat",
            "heat_cool",
            "list",
            "off",
            "set_fallback_climate_preset",
            "set_fan_mode",
            "set_hvac_mode",
            "set_temperature_threshold",
            "update_climate_preset",
            "update_weekly_program",
        ],
    ),
    ("/thermostats/daily_programs", &["create", "delete", "update"]),
    ("/thermostats/schedules", &["create", "delete", "get", "list", "update"]),
    ("/thermostats/simulate", &["hvac_mode_adjusted", "temperature_reached"]),
    (
        "/user_identities",
        &[
            "add_acs_user",
            "create",
            "delete",
            "generate_instant_key",
            "get",
            "grant_access_to_device",
            "list",
            "list_accessible_devices",
            "list_accessible_entrances",
            "list_acs_systems",
            "list_acs_users",
            "merge",
            "remove_acs_user",
            "revoke_access_to_device",
            "update",
        ],
    ),
    ("/user_identities/enrollment_automations", &["delete", "get", "launch", "list"]),
    ("/user_identities/unmanaged", &["get", "list", "update"]),
    ("/webhooks", &["create", "delete", "get", "list", "update"]),
    ("/workspaces", &["create", "find_anything", "get", "list", "reset_sandbox", "update"]),
    ("/workspaces/customization_profiles", &["create", "get", "list", "update", "upload_images"]),
];

/// Prefixes of the paths of Seam's own front ends.
const PREFIXES: &[&str] = &["/seam/", "/unstable_partner/"];

/// Returns true if Seam has this path.
pub(crate) fn is_known(path: &str) -> bool {
    let is_listed = |(folder, name): (&str, &str)| {
        PATHS.binary_search_by_key(&folder, |(folder, _)| folder).is_ok_and(|found| PATHS[found].1.contains(&name))
    };
    path.rsplit_once('/').is_some_and(is_listed) || PREFIXES.iter().any(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;
    use crate::contract::OPENAPI;

    #[test]
    fn seam_paths_are_sorted_by_folder_and_include_the_served_paths() {
        assert!(PATHS.is_sorted_by_key(|(folder, _)| folder), "paths are found by binary search");
        let contract = Contract::parse(OPENAPI.text().unwrap()).unwrap();
        for path in contract.paths() {
            assert!(is_known(path), "{path}");
        }
    }

    #[test]
    fn path_is_known_only_as_seam_spells_it() {
        for path in ["/devices/update", "/acs/users/unmanaged/get", "/media/get", "/seam/console/anything"] {
            assert!(is_known(path), "{path}");
        }
        for path in ["/", "", "/devices", "/devices/updates", "/devices/update/", "/access_methods/create", "/seam"] {
            assert!(!is_known(path), "{path}");
        }
    }
}
