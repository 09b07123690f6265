//! Names of codes as the locks show them.

use crate::access_codes::on_lock;
use crate::lifecycle::summary;
use crate::support::{TestWorkspace, run};
use serde_json::{Value, json};

/// Creates a code with this name on the lock and returns its `appearance`.
async fn appearance_of(workspace: &TestWorkspace, index: usize, name: &str) -> Value {
    let code = workspace.create(on_lock(workspace, index, json!({ "name": name, "sync": true }))).await;
    assert_eq!((&code["status"], &code["name"]), (&json!("set"), &json!(name)));
    code["appearance"].clone()
}

fn whole(name: &str) -> Value {
    json!({ "name": name, "first_name": null, "last_name": null })
}

#[test]
fn appearance_depends_on_the_brand_and_the_code_keeps_its_full_name() {
    run(async {
        let types = ["august_lock", "yale_lock", "kwikset_lock", "schlage_lock", "nuki_lock", "wyze_lock"];
        let mut locks: Vec<Value> = types.iter().map(|device_type| json!({ "device_type": device_type })).collect();
        for device_type in ["nuki_lock", "wyze_lock"] {
            let limits = json!([{ "constraint_type": "name_length", "min_length": 3, "max_length": 6 }]);
            locks.push(json!({ "device_type": device_type, "code_constraints": limits }));
        }
        let workspace = TestWorkspace::with(json!(locks)).await;
        let long = "Käthe and Jürgen von der Grün";
        let split = json!({ "name": long, "first_name": "Käthe", "last_name": "and Jürgen von der Grün" });
        for (index, expected) in [
            split.clone(),
            split,
            whole("Käthe and Jürg"),
            whole("Käthe and"),
            whole("Käthe and Jürgen von"),
            whole(long),
            whole("Käthe "),
            whole("Käthe "),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(
                appearance_of(&workspace, index, long).await,
                expected,
                "{}",
                workspace.devices[index]["device_type"]
            );
        }
        assert_eq!(appearance_of(&workspace, 3, "äöüäöüäöüäöü").await, whole("äöüäöüäöü"), "characters, not bytes");
        assert_eq!(
            appearance_of(&workspace, 2, "Ä").await["name"].as_str().unwrap().chars().count(),
            2,
            "padded to the minimum length of the brand"
        );
        assert_eq!(
            appearance_of(&workspace, 6, "Ä").await["name"].as_str().unwrap().chars().count(),
            3,
            "padded to the minimum length of the lock"
        );
    });
}

#[test]
fn appearance_is_what_the_lock_holds_or_null() {
    run(async {
        for device_type in ["wyze_lock", "august_lock"] {
            let workspace = TestWorkspace::with(json!([{ "device_type": device_type }])).await;
            let window = json!({ "starts_at": "2026-04-01T12:00:00Z", "ends_at": "2026-04-02T12:00:00Z", "name": "x" });
            let deferred = workspace.create(on_lock(&workspace, 0, window)).await;
            assert_eq!(
                (summary(&deferred).as_str(), &deferred["appearance"]),
                ("unset deferring_creation", &Value::Null)
            );
            let code = workspace.create(on_lock(&workspace, 0, json!({ "name": "my guest" }))).await;
            assert_eq!((summary(&code).as_str(), &code["appearance"]), ("setting creating", &Value::Null));
            let id = &code["access_code_id"];
            let name = async || workspace.access_code(id).await["appearance"]["name"].clone();
            workspace.advance("PT0.25S").await;
            assert_eq!(name().await, "my guest", "{device_type}");
            workspace.post("/access_codes/update", json!({ "access_code_id": id, "name": "the cleaner" })).await.ok();
            workspace.advance("PT0.249S").await;
            let renamed = workspace.access_code(id).await;
            assert_eq!((&renamed["name"], &renamed["appearance"]["name"]), (&json!("the cleaner"), &json!("my guest")));
            workspace.advance("PT0.001S").await;
            assert_eq!(name().await, "the cleaner", "{device_type}");
            workspace.post("/access_codes/delete", json!({ "access_code_id": id })).await.ok();
            assert_eq!(name().await, "the cleaner", "the code is still on the lock");
        }
    });
}

#[test]
fn backup_is_named_after_its_own_id() {
    run(async {
        let workspace = TestWorkspace::with_locks(1).await;
        let params = json!({
            "starts_at": "2026-03-02T11:00:00Z",
            "ends_at": "2026-03-03T11:00:00Z",
            "use_backup_access_code_pool": true,
        });
        let original = workspace.create(on_lock(&workspace, 0, params)).await;
        let pull = json!({ "access_code_id": original["access_code_id"] });
        let pulled = workspace.post("/access_codes/pull_backup_access_code", pull).await.ok()["access_code"].clone();
        let id = pulled["access_code_id"].as_str().unwrap();
        assert_ne!(pulled["access_code_id"], original["access_code_id"]);
        let name = format!("Backup {id} (Seam)");
        assert_eq!(pulled["name"], name);
        let appearance = json!({ "name": name, "first_name": "Backup", "last_name": format!("{id} (Seam)") });
        assert_eq!(pulled["appearance"], appearance);
        // The backups that are still in the pool are named after their own ids, too.
        for held in workspace.memory(0).await {
            let name = format!("Backup {} (Seam)", held["access_code_id"].as_str().unwrap());
            assert_eq!((&held["is_backup"], &held["name"]), (&json!(true), &json!(name)));
        }
    });
}
