//! Data of an earlier version: a database and a snapshot that it wrote can be opened and used.

use crate::support::{TestWorkspace, download, run};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use clap::Parser as _;
use latchkey::testing::config::Config;
use latchkey::testing::engine::app::App;
use latchkey::testing::postgres::private::{Durability, Options, PrivatePostgres};
use latchkey::testing::postgres::{self, Database, PoolLimits};
use latchkey::testing::server;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tower::ServiceExt as _;

/// Rows of a database with the schema of the earlier version, which [`MIGRATIONS`] creates.
const DATABASE: &str = include_str!("upgrade/database.sql");

const MIGRATIONS: [&str; 5] = [
    include_str!("../../migrations/0001_main_job.sql"),
    include_str!("../../migrations/0002_all_of_access_codes.sql"),
    include_str!("../../migrations/0003_snapshots.sql"),
    include_str!("../../migrations/0004_retention.sql"),
    include_str!("../../migrations/0005_edge.sql"),
];

/// A snapshot of version 1, exported by the earlier version.
const SNAPSHOT: &str = include_str!("upgrade/snapshot.json");

/// API key of the workspace in [`DATABASE`].
const API_KEY: &str = "seam_testkept_KeptKeptKeptKept";

/// Sends a request to a server.
async fn ask(router: &Router, path: &str, body: Value) -> Value {
    let request = Request::post(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {API_KEY}"))
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    serde_json::from_slice(&to_bytes(response.into_body(), 1 << 24).await.unwrap()).unwrap()
}

/// Returns the codes of a list response, oldest first.
fn codes(listed: &Value) -> Vec<Value> {
    let mut codes = listed["access_codes"].as_array().unwrap().clone();
    codes.reverse();
    codes
}

/// Checks that the stored codes are complete, and that codes can be created, changed and programmed.
async fn check_usable(ask: impl AsyncFn(&str, Value) -> Value) {
    let devices = ask("/devices/list", json!({})).await["devices"].clone();
    let lock = |index: usize| devices[index]["device_id"].clone();
    let codes_of = async |index: usize| codes(&ask("/access_codes/list", json!({ "device_id": lock(index) })).await);
    let linked_codes = codes_of(0).await;
    assert_eq!((&linked_codes[0]["code"], &linked_codes[0]["common_code_key"]), (&json!("1357"), &json!("stay")));
    assert_eq!((&linked_codes[0]["status"], &linked_codes[0]["display_status"]), (&json!("set"), &json!("Active")));
    assert_eq!(codes_of(2).await[0]["is_offline_access_code"], true);
    // The stored code lengths are impossible for a PIN, so that they are ignored.
    assert_eq!(devices[1]["properties"].get("supported_code_lengths"), None);
    // Two codes of one lock have the same PIN, which the earlier version accepted: both stay, and a third is rejected.
    let duplicates = codes_of(1).await;
    assert_eq!((duplicates.len(), &duplicates[0]["code"], &duplicates[1]["code"]), (2, &json!("4455"), &json!("4455")));
    let third = json!({ "device_id": lock(1), "code": "4455", "starts_at": "2026-04-01T12:00:00Z", "ends_at": "2026-04-02T12:00:00Z" });
    let refused = ask("/access_codes/create", third).await;
    assert_eq!(refused["error"]["type"], "duplicate_access_code", "{refused}");
    let renamed = json!({ "access_code_id": duplicates[1]["access_code_id"], "name": "Renamed" });
    assert_eq!(ask("/access_codes/update", renamed).await["ok"], true);
    let chosen = ask("/access_codes/create", json!({ "device_id": lock(1) })).await;
    assert_eq!(chosen["access_code"]["code"].as_str().unwrap().len(), 4, "{chosen}");
    let offline = json!({ "device_id": lock(2), "is_offline_access_code": true,
                          "starts_at": "2026-03-05T12:00:00Z", "ends_at": "2026-03-06T12:00:00Z" });
    assert_eq!(ask("/access_codes/create", offline).await["ok"], true);
    for (to, set) in [("2026-03-11T12:00:00Z", 0), ("2026-03-21T12:00:00Z", 1)] {
        let moved = ask("/_emulator/clock/advance", json!({ "to": to })).await;
        assert_eq!(moved["ok"], true, "{moved}");
        let by_id = json!({ "access_code_id": duplicates[set]["access_code_id"] });
        assert_eq!(ask("/access_codes/get", by_id).await["access_code"]["status"], "set", "at {to}");
    }
}

#[test]
fn database_of_an_earlier_version_can_be_opened_and_used() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let options = Options {
            data_directory: Some(folder.path().to_path_buf()),
            bin_directory: None,
            download: download(),
            durability: Durability::Temporary,
        };
        let private = PrivatePostgres::start(&options).unwrap();
        let mut connection = sqlx::PgConnection::connect(&private.url()).await.unwrap();
        for migration in MIGRATIONS {
            sqlx::raw_sql(migration).execute(&mut connection).await.unwrap();
        }
        // The rows are ordered by table name, not by their references: foreign keys must not be checked.
        sqlx::raw_sql("set session_replication_role = replica").execute(&mut connection).await.unwrap();
        sqlx::raw_sql(DATABASE).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();

        let settings = Config::parse_from(["latchkey", "--ephemeral"]).settings;
        let database = Database::Named(private.url());
        let pools = postgres::connect(&database, PoolLimits::of(&settings)).await.unwrap();
        let query = "select has_faults, (select array_agg(common_code_key) from pin_group) from workspace where seed \
                     is not null";
        let stored: (bool, Vec<String>) = sqlx::query_as(query).fetch_one(pools.requests.raw()).await.unwrap();
        assert_eq!(stored, (false, vec!["stay".to_owned()]), "no faults, and only groups with codes");
        let app = App::new(settings, pools.clone()).unwrap();
        let router = server::router(app.clone());
        let ask = async |path: &str, body: Value| ask(&router, path, body).await;
        check_usable(ask).await;
        // The snapshots in the database can be used, too.
        let snapshots = ask("/_emulator/snapshots/list", json!({})).await["snapshots"].clone();
        let restored = ask("/_emulator/snapshots/restore", json!({ "snapshot_id": snapshots[0]["snapshot_id"] })).await;
        assert_eq!(restored["now"], "2026-03-02T12:02:00.000Z", "{restored}");
        check_usable(ask).await;
        assert_eq!(ask("/_emulator/workspaces/reset", json!({})).await["now"], "2026-03-02T12:00:00.000Z");
        pools.close().await;
        drop(private);
    });
}

#[test]
fn snapshot_of_an_earlier_version_can_be_imported_and_used() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let document: Value = serde_json::from_str(SNAPSHOT).unwrap();
        assert_eq!(document["version"], 1);
        let imported = workspace.post("/_emulator/snapshots/import", json!({ "snapshot": document })).await.ok();
        let restore = json!({ "snapshot_id": imported["snapshot_id"] });
        workspace.post("/_emulator/snapshots/restore", restore).await.ok();
        check_usable(async |path: &str, body: Value| workspace.post(path, body).await.body).await;
    });
}
