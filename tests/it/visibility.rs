//! Callers that may see only one connected account: for them, the data of other accounts does not exist.
//!
//! These tests call the functions below HTTP that list and change data. `client_sessions.rs` and `isolation/routes.rs`
//! test the same through HTTP.

use crate::access_codes::on_lock;
use crate::support::{TestWorkspace, app, run};
use latchkey::testing::cause::Cause;
use latchkey::testing::domain::caller::Visibility;
use latchkey::testing::engine::commands::{CreateCommand, NewAccessCode, Update, UpdateCommand};
use latchkey::testing::engine::connected_accounts::AccountUpdate;
use latchkey::testing::engine::{
    backup_pool, code_lengths, connect_webviews, connected_accounts, connectivity, convert_to_managed, create, delete,
    external_changes, generate_code, update,
};
use latchkey::testing::error::Error;
use latchkey::testing::store::connect_webviews as store_of_webviews;
use latchkey::testing::store::{access_codes, accounts, action_attempts, devices, events};

use serde_json::{Value, json};
use uuid::Uuid;

/// Two locks of different accounts with a code on each, and the visibility of a caller for the account of the first.
struct TwoLocks {
    workspace: TestWorkspace,
    visibility: Visibility,
    codes: [Uuid; 2],
}

fn uuid(value: &Value) -> Uuid {
    value.as_str().and_then(|text| text.parse().ok()).expect("an id")
}

async fn two_locks() -> TwoLocks {
    let workspace =
        TestWorkspace::with(json!([{ "device_type": "august_lock" }, { "device_type": "schlage_lock" }])).await;
    let mut codes = Vec::new();
    for index in [0, 1] {
        let params = on_lock(&workspace, index, json!({ "common_code_key": "both", "code": "135790" }));
        codes.push(uuid(&workspace.create(params).await["access_code_id"]));
    }
    workspace.advance("PT1M").await;
    let account = uuid(&workspace.devices[0]["connected_account_id"]);
    assert_ne!(account, uuid(&workspace.devices[1]["connected_account_id"]));
    let workspace_id = workspace.workspace_id.parse().expect("an id");
    let visibility = Visibility { connected_account_ids: Some([account].into()), ..Visibility::all_of(workspace_id) };
    TwoLocks { workspace, visibility, codes: codes.try_into().expect("two codes") }
}

impl TwoLocks {
    fn device(&self, index: usize) -> Uuid {
        self.workspace.lock(index).parse().expect("an id")
    }

    fn creation(&self, indexes: &[usize]) -> CreateCommand {
        CreateCommand {
            visibility: self.visibility.clone(),
            device_ids: indexes.iter().map(|index| self.device(*index)).collect(),
            params: NewAccessCode::default(),
            linking: None,
            cause: Cause::default(),
        }
    }

    fn renaming(&self, index: usize) -> UpdateCommand {
        UpdateCommand {
            visibility: self.visibility.clone(),
            access_code_id: self.codes[index],
            device_id: None,
            update: Update { name: Some("renamed".to_owned()), ..Update::default() },
            sync: false,
            cause: Cause::default(),
        }
    }

    /// Creates a webview, and logs in to the account of the locks of this provider. Returns the webview.
    async fn webview(&self, provider: &str) -> Uuid {
        let params = json!({ "accepted_providers": [provider] });
        let webview = self.workspace.post("/connect_webviews/create", params).await.ok()["connect_webview"].clone();
        let id = &webview["connect_webview_id"];
        let login = json!({ "connect_webview_id": id, "user_identifier": "sandbox@example.com" });
        self.workspace.post("/_emulator/connect_webviews/complete", login).await.ok();
        uuid(id)
    }

    /// Gets the code of the lock with this index from the API.
    async fn code(&self, index: usize) -> Value {
        self.workspace.access_code(&json!(self.codes[index])).await
    }
}

#[track_caller]
fn check_not_found<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.expect_err("expected a not-found error");
    assert!(matches!(error, Error::NotFound(_) | Error::AccessCodeNotFound { .. }), "{error}");
}

#[test]
fn visibility_of_one_account_leaves_the_others_out_of_every_list() {
    run(async {
        let two = two_locks().await;
        let (app, seen) = (app(), &two.visibility);
        let found = devices::list(&app.pool, seen, &devices::Filter::default()).await.unwrap();
        assert_eq!(found.iter().map(|device| device.device_id).collect::<Vec<_>>(), [two.device(0)]);
        let by_ids = access_codes::Filter { access_code_ids: Some(&two.codes), ..Default::default() };
        for filter in [&access_codes::Filter::default(), &by_ids] {
            let found = access_codes::list(&app.pool, seen, filter).await.unwrap();
            assert_eq!(found.iter().map(|(code, _)| code.access_code_id).collect::<Vec<_>>(), [two.codes[0]]);
        }
        for (index, is_there) in [(0, true), (1, false)] {
            let none = access_codes::Filter::default();
            let found = access_codes::list_on_device(&app.pool, seen, two.device(index), &none).await.unwrap();
            assert_eq!(found.is_some(), is_there);
            let found = access_codes::device_of(&app.pool, seen, two.codes[index]).await.unwrap();
            assert_eq!(found.is_some(), is_there);
            let found = devices::account_of(&app.pool, seen, two.device(index)).await.unwrap();
            assert_eq!(found.is_some(), is_there);
        }
        let found = events::list(&app.pool, seen, events::Filter { limit: 1000, ..Default::default() }).await.unwrap();
        assert!(!found.is_empty());
        let account = seen.connected_account_ids.as_ref().map(|ids| ids[0]);
        assert!(found.iter().all(|event| event.connected_account_id == account));
        assert!(found.iter().all(|event| event.device_id.is_none_or(|id| id == two.device(0))));
        let filter = action_attempts::Filter { limit: 1000, ..Default::default() };
        let found = action_attempts::list(&app.pool, seen, &filter).await.unwrap();
        assert_eq!(found.iter().map(|row| row.access_code_id).collect::<Vec<_>>(), [Some(two.codes[0])]);
        let [mine, _] = [two.webview("august").await, two.webview("schlage").await];
        let filter = store_of_webviews::Filter { limit: 1000, ..Default::default() };
        let found = store_of_webviews::list(&app.pool, seen, &filter).await.unwrap();
        assert_eq!(found.iter().map(|webview| webview.connect_webview_id).collect::<Vec<_>>(), [mine]);
        let found = accounts::list(&app.pool, seen, &accounts::Filter::default()).await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(seen.covers(found[0].connected_account_id));
    });
}

#[test]
fn visibility_of_one_account_refuses_every_change_of_what_another_has() {
    run(async {
        let two = two_locks().await;
        let (app, seen) = (app(), &two.visibility);
        let before = two.code(1).await;
        check_not_found(create::create(&app, two.creation(&[1])).await);
        check_not_found(create::create(&app, two.creation(&[0, 1])).await);
        check_not_found(update::update(&app, two.renaming(1)).await);
        check_not_found(delete::delete(&app, seen, (two.codes[1], true), None, false).await);
        check_not_found(backup_pool::pull(&app, seen, two.codes[1]).await);
        check_not_found(convert_to_managed::convert_to_managed(&app, seen, two.codes[1], false).await);
        check_not_found(code_lengths::report(&app, seen, two.device(1), vec![4]).await);
        check_not_found(generate_code::generate_code(&app, seen, two.device(1)).await);
        let on_lock = external_changes::CodeReference {
            device_id: two.device(1),
            access_code_id: Some(two.codes[1]),
            code: None,
        };
        check_not_found(external_changes::remove(&app, seen, &on_lock).await);
        let account = uuid(&two.workspace.devices[1]["connected_account_id"]);
        let tx = app.pool.begin(seen.workspace_id).await.unwrap();
        check_not_found(connectivity::set_account(tx, seen, account, false).await);
        check_not_found(connected_accounts::update(&app, seen, account, AccountUpdate::default()).await);
        check_not_found(connected_accounts::sync(&app, seen, account).await);
        check_not_found(connected_accounts::delete(&app, seen, account).await);
        let webview = two.webview("schlage").await;
        check_not_found(connect_webviews::delete(&app, seen, webview).await);
        assert_eq!(two.code(1).await, before);
    });
}

#[test]
fn visibility_of_one_account_hides_the_rate_limit_of_what_another_has() {
    run(async {
        let two = two_locks().await;
        two.workspace.post("/_emulator/rate_limits/set", json!({ "create": 1, "per": "PT1M" })).await.ok();
        for index in [0, 1] {
            two.workspace.create(on_lock(&two.workspace, index, json!({}))).await;
        }
        let limited = create::create(&app(), two.creation(&[0])).await;
        assert!(matches!(limited, Err(Error::RateLimited { .. })), "{limited:?}");
        check_not_found(create::create(&app(), two.creation(&[1])).await);
    });
}

#[test]
fn visibility_of_one_account_allows_the_same_where_it_sees_the_device() {
    run(async {
        let two = two_locks().await;
        let (app, seen) = (app(), &two.visibility);
        assert_eq!(create::create(&app, two.creation(&[0])).await.unwrap().len(), 1);
        update::update(&app, two.renaming(0)).await.unwrap();
        assert_eq!(two.code(0).await["name"], "renamed");
        generate_code::generate_code(&app, seen, two.device(0)).await.unwrap();
        // The linked codes have one code on each lock: only the visible one is renamed.
        let moved = Update { name: Some("moved".to_owned()), ..Update::default() };
        update::update_multiple(&app, seen, "both", &moved).await.unwrap();
        assert_eq!(two.code(0).await["name"], "moved");
        assert_ne!(two.code(1).await["name"], "moved");
        delete::delete(&app, seen, (two.codes[0], true), None, false).await.unwrap();
    });
}

#[test]
fn visibility_of_each_request_of_a_batch_is_its_own() {
    run(async {
        let two = two_locks().await;
        let app = app();
        let everything =
            CreateCommand { visibility: Visibility::all_of(two.visibility.workspace_id), ..two.creation(&[1]) };
        // The first request is a batch of its own, the other two are one batch.
        let (first, blind, seeing) = tokio::join!(
            create::create(&app, two.creation(&[0])),
            create::create(&app, two.creation(&[1])),
            create::create(&app, everything),
        );
        assert_eq!(first.unwrap().len(), 1);
        check_not_found(blind);
        assert_eq!(seeing.unwrap().len(), 1);
    });
}
