//! Time frames across a daylight saving change on locks that report no time zone.

use crate::access_codes::on_lock;
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

const WARNING: &str = "time_frame_adjusted_for_unknown_time_zone";

/// Returns whether a code has the warning, and the `starts_at` and `ends_at` that its lock stores.
async fn warning_and_window(workspace: &TestWorkspace, access_code_id: &Value) -> (bool, String, String) {
    let code = workspace.access_code(access_code_id).await;
    let index = workspace.devices.iter().position(|device| device["device_id"] == code["device_id"]).unwrap();
    let memory = workspace.memory(index).await;
    let slot = memory.iter().find(|slot| slot["access_code_id"] == *access_code_id).unwrap();
    let has_warning = code["warnings"].as_array().unwrap().iter().any(|warning| warning["warning_code"] == WARNING);
    (has_warning, slot["starts_at"].as_str().unwrap().to_owned(), slot["ends_at"].as_str().unwrap().to_owned())
}

#[test]
fn schlage_lock_without_time_zone_gets_an_hour_more_at_a_clock_change() {
    run(async {
        // The clocks of the United States change on 8 March and on 1 November 2026.
        let spring = ("2026-03-06T20:00:00.000Z", "2026-03-09T16:00:00.000Z");
        let autumn = ("2026-10-30T20:00:00.000Z", "2026-11-02T16:00:00.000Z");
        let between = ("2026-03-10T20:00:00.000Z", "2026-03-12T16:00:00.000Z");
        let longer_spring = (spring.0, "2026-03-09T17:00:00.000Z");
        let longer_autumn = ("2026-10-30T19:00:00.000Z", autumn.1);
        let known = json!({ "device_type": "schlage_lock", "time_zone": "America/New_York" });
        let august = json!({ "device_type": "august_lock", "time_zone": null });
        for (start, window, longer) in [
            ("2026-03-06T00:00:00.000Z", spring, longer_spring),
            ("2026-10-29T00:00:00.000Z", autumn, longer_autumn),
            ("2026-03-09T18:00:00.000Z", between, between),
        ] {
            let locks = json!([{ "device_type": "schlage_lock" }, known, august]);
            let workspace = TestWorkspace::create_with(json!({ "clock": { "held_at": start }, "locks": locks })).await;
            let params = json!({ "starts_at": window.0, "ends_at": window.1, "name": "guest" });
            let code = workspace.create(on_lock(&workspace, 0, params.clone())).await;
            let id = &code["access_code_id"];
            workspace.advance("PT1S").await;
            let is_longer = window != longer;
            assert_eq!(warning_and_window(&workspace, id).await, (is_longer, longer.0.to_owned(), longer.1.to_owned()));
            let shown = workspace.access_code(id).await;
            assert_eq!((&shown["starts_at"], &shown["ends_at"]), (&json!(window.0), &json!(window.1)));
            if is_longer {
                assert_eq!(shown["warnings"][0]["created_at"], start);
            }
            let exact = (false, window.0.to_owned(), window.1.to_owned());
            for index in [1, 2] {
                let code = workspace.create(on_lock(&workspace, index, params.clone())).await;
                workspace.advance("PT1S").await;
                assert_eq!(warning_and_window(&workspace, &code["access_code_id"]).await, exact);
            }
            workspace.change_lock(0, json!({ "time_zone": "America/Denver" })).await;
            workspace.advance("PT1S").await;
            assert_eq!(warning_and_window(&workspace, id).await, exact, "once the zone is known");
            assert_eq!(workspace.access_code(id).await["warnings"], json!([]));
        }
        // An ongoing code has no time frame to adjust.
        let workspace = TestWorkspace::with(json!([{ "device_type": "schlage_lock" }])).await;
        let code = workspace.create(on_lock(&workspace, 0, json!({ "sync": true }))).await;
        assert_eq!((&code["warnings"], &workspace.memory(0).await[0]["ends_at"]), (&json!([]), &Value::Null));
    });
}
