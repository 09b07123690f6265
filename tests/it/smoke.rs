//! The main job in one story.

use crate::support::{TestWorkspace, run};
use serde_json::json;

#[test]
fn two_locks_get_one_pin_that_becomes_set_and_is_removed_when_deleted() {
    run(async {
        let workspace = TestWorkspace::with_locks(2).await;
        let made =
            workspace.post("/access_codes/create_multiple", json!({ "device_ids": workspace.locks() })).await.ok();
        let codes = made["access_codes"].as_array().unwrap();
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
