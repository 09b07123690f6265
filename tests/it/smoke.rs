//! The main scenario: one PIN on two locks, from its creation to its removal.

use crate::support::{TestWorkspace, run};
use serde_json::json;

#[test]
fn create_multiple_puts_one_pin_on_two_locks_until_it_is_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let created =
            workspace.post("/access_codes/create_multiple", json!({ "device_ids": workspace.locks() })).await.ok();
        let codes = created["access_codes"].as_array().unwrap();
        assert_eq!(codes[0]["code"], codes[1]["code"]);
        assert_eq!(codes[0]["common_code_key"], codes[1]["common_code_key"]);
        assert_eq!(codes[0]["status"], "setting");
        workspace.advance("PT0.25S").await;
        let id = &codes[0]["access_code_id"];
        assert_eq!(workspace.access_code(id).await["status"], "set");
        workspace.post("/access_codes/delete", json!({ "access_code_id": id })).await.ok();
        assert_eq!(workspace.access_code(id).await["status"], "removing");
        workspace.advance("PT1S").await;
        workspace.post("/access_codes/get", json!({ "access_code_id": id })).await.error(404, "access_code_not_found");
        let types: Vec<_> = workspace.events_of(id).await.into_iter().map(|(event_type, _)| event_type).collect();
        assert_eq!(
            types,
            [
                "access_code.created",
                "access_code.set_on_device",
                "access_code.removed_from_device",
                "access_code.deleted"
            ]
        );
    });
}
