//! Deletes what the probe has created, also if the run was ended or a creation got no response.

use super::client::Response;
use super::locks::has_backup_pool;
use super::script::{Request, values_at};
use super::side::Side;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Time limit of the deletions at the end of a part.
const PART_TIMEOUT: Duration = Duration::from_mins(2);

/// Time limit of looking for what is left, and deleting it, after the last part.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_mins(2);

/// Time between two searches, and the number of searches in a row that may fail.
const LEFTOVERS_INTERVAL: Duration = Duration::from_secs(2);
const MAX_FAILED: usize = 3;

/// Maximum number of pages of a list.
const MAX_PAGES: usize = 50;

/// A kind of objects that the probe creates.
pub(super) struct Kind {
    /// Path of its requests, without their name.
    pub(super) path: &'static str,
    /// Key of the list in a response.
    pub(super) list: &'static str,
    id: &'static str,
}

/// Those that are lists of a lock.
const OF_LOCKS: &[Kind] = &[
    Kind { path: "/access_codes", list: "access_codes", id: "access_code_id" },
    Kind { path: "/access_codes/unmanaged", list: "access_codes", id: "access_code_id" },
];

/// The others, in the order in which they are deleted: access grants before their users.
pub(super) const OF_WORKSPACE: &[Kind] = &[
    Kind { path: "/access_grants", list: "access_grants", id: "access_grant_id" },
    Kind { path: "/user_identities", list: "user_identities", id: "user_identity_id" },
    Kind { path: "/spaces", list: "spaces", id: "space_id" },
    Kind { path: "/client_sessions", list: "client_sessions", id: "client_session_id" },
    Kind { path: "/connect_webviews", list: "connect_webviews", id: "connect_webview_id" },
    Kind { path: "/webhooks", list: "webhooks", id: "webhook_id" },
];

impl Side {
    /// Deletes what a part has created, the newest first. An interruption does not end this.
    pub(super) async fn clean_up(&self) {
        let deadline = Instant::now() + PART_TIMEOUT;
        loop {
            // It stays in the list until it is deleted, so that it can be named at any time.
            let Some(cleanup) = self.pending.lock().created.last().cloned() else { return };
            let is_gone = self.is_undone_by(&cleanup, deadline).await;
            let mut pending = self.pending.lock();
            pending.created.pop();
            if !is_gone {
                pending.left.push(cleanup);
            }
        }
    }

    /// Sends a request that undoes something. False: it may still be there.
    async fn is_undone_by(&self, cleanup: &Request, deadline: Instant) -> bool {
        let deleted = timeout_at(deadline, self.client.send(cleanup, &CancellationToken::new())).await;
        // 404: it is gone already.
        matches!(&deleted, Ok(Ok(response)) if response.is_success() || response.status == 404)
    }

    /// Deletes what this run has created and is still there, because its creation got no response, or because its
    /// deletion has failed. Looks for it until nothing is found.
    pub(super) async fn delete_leftovers(&self) {
        let deadline = Instant::now() + LEFTOVERS_TIMEOUT;
        let mut failed = 0;
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        while failed < MAX_FAILED && Instant::now() < deadline {
            (found, unread) = self.search(deadline).await;
            if found.is_empty() && unread.is_empty() {
                break;
            }
            let mut is_any_deleted = false;
            for cleanup in &found {
                is_any_deleted |= self.is_undone_by(cleanup, deadline).await;
            }
            failed = if is_any_deleted && unread.is_empty() { 0 } else { failed + 1 };
            // The codes of a deleted access grant disappear after it.
            tokio::time::sleep(LEFTOVERS_INTERVAL).await;
        }
        let earlier = std::mem::take(&mut self.pending.lock().left);
        for cleanup in earlier {
            // It may have been found and deleted, or can be deleted now.
            if !found.contains(&cleanup) && !self.is_undone_by(&cleanup, deadline).await {
                found.push(cleanup);
            }
        }
        match self.disable_backup_pools(deadline).await {
            Some(failed) => found.extend(failed),
            None => unread.push("/devices/list".to_owned()),
        }
        let mut pending = self.pending.lock();
        pending.left = found;
        pending.unread = unread;
    }

    /// Disables the pool of backup codes of each lock that had none: access grants enable it. Returns the requests that
    /// have failed. `None`: the locks could not be read.
    async fn disable_backup_pools(&self, deadline: Instant) -> Option<Vec<Request>> {
        let without_pool = self.locks.iter().filter(|lock| !lock.has_backup_pool());
        let ids: Vec<&str> = without_pool.map(|lock| lock.device_id.as_str()).collect();
        if ids.is_empty() {
            return Some(Vec::new());
        }
        let list = Request::post("/devices/list", json!({ "device_ids": ids }));
        let listed = timeout_at(deadline, self.client.send(&list, &CancellationToken::new())).await;
        let body = listed.ok()?.ok()?.body.filter(|body| body.get("devices").is_some())?;
        let mut failed = Vec::new();
        for device in values_at(&body, "/devices/*").into_iter().filter(|device| has_backup_pool(device)) {
            if !ids.iter().any(|id| device["device_id"] == **id) {
                continue;
            }
            let disable = json!({ "device_id": device["device_id"], "backup_access_code_pool_enabled": false });
            let disable = Request::post("/devices/update", disable);
            if !self.is_undone_by(&disable, deadline).await {
                failed.push(disable);
            }
        }
        Some(failed)
    }

    /// Looks for all that this run has created. Returns the requests that delete it, and the lists that could not be read.
    async fn search(&self, deadline: Instant) -> (Vec<Request>, Vec<String>) {
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        let of_workspace = OF_WORKSPACE.iter().map(|kind| (kind, json!({})));
        let of_locks = self
            .locks
            .iter()
            .flat_map(|lock| OF_LOCKS.iter().map(|kind| (kind, json!({ "device_id": lock.device_id }))));
        for (kind, filter) in of_workspace.chain(of_locks) {
            match self.own_objects(kind, &filter, deadline).await {
                Some(own) => found.extend(own),
                None => unread.push(format!("{}/list", kind.path)),
            }
        }
        (found, unread)
    }

    /// Returns the requests that delete the objects of a list which this run has created. `None`: the list could not be
    /// read.
    async fn own_objects(&self, kind: &Kind, filter: &Value, deadline: Instant) -> Option<Vec<Request>> {
        let mut found = Vec::new();
        let mut filter = filter.clone();
        for _ in 0..MAX_PAGES {
            let request = Request::post(&format!("{}/list", kind.path), filter.clone());
            let listed = timeout_at(deadline, self.client.send(&request, &CancellationToken::new())).await;
            let Response { status, body, .. } = listed.ok()?.ok()?;
            if status == 404 {
                // The server has no such objects.
                return Some(found);
            }
            let body = body.filter(|_| status == 200)?;
            for object in values_at(&body, &format!("/{}/*", kind.list)) {
                if self.marks.is_own(object) && object["status"] != "removing" {
                    let path = format!("{}/delete", kind.path);
                    found.push(Request::post(&path, json!({ (kind.id): object[kind.id] })));
                }
            }
            let cursor = body.pointer("/pagination/next_page_cursor").filter(|cursor| cursor.is_string());
            let Some(cursor) = cursor else { return Some(found) };
            filter["page_cursor"] = cursor.clone();
        }
        Some(found)
    }
}
