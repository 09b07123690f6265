//! Checks after a sequence of actions.

use super::{LOCKS, SMALL_CAPACITY, SMALL_LOCK, Scenario};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

impl Scenario {
    /// Checks that the locks hold exactly what the grants and the other codes ask for, and that the events agree.
    pub(super) async fn check(&self) -> Result<(), TestCaseError> {
        let mut expected: BTreeSet<(String, String)> = BTreeSet::new();
        let grants = self.workspace.post("/access_grants/list", json!({})).await.ok();
        let mut methods_by_id = BTreeMap::new();
        for grant in grants["access_grants"].as_array().unwrap() {
            self.check_grant(grant, &mut methods_by_id).await?;
        }
        for lock in 0..LOCKS {
            let device_id = self.workspace.lock(lock);
            let of_device = json!({ "device_id": device_id });
            let codes = self.workspace.post("/access_codes/list", of_device).await.ok();
            let codes = codes["access_codes"].as_array().unwrap();
            for code in codes.iter().filter(|code| code["status"] == "set" || code["is_scheduled_on_device"] == true) {
                expected.insert((device_id.clone(), code["code"].as_str().unwrap().to_owned()));
            }
            let of_device = json!({ "device_id": device_id });
            let unmanaged = self.workspace.post("/access_codes/unmanaged/list", of_device).await.ok();
            for code in unmanaged["access_codes"].as_array().unwrap() {
                expected.insert((device_id.clone(), code["code"].as_str().unwrap().to_owned()));
            }
            let memory = self.workspace.memory(lock).await;
            let held: Vec<(String, String)> = memory
                .iter()
                .filter(|held| held["is_backup"] != true || codes.iter().any(|code| code["code"] == held["code"]))
                .map(|held| (device_id.clone(), held["code"].as_str().unwrap().to_owned()))
                .collect();
            let distinct: BTreeSet<_> = held.iter().cloned().collect();
            prop_assert_eq!(held.len(), distinct.len(), "a PIN is on a lock twice: {:?}", memory);
            let of_lock: BTreeSet<_> = expected.iter().filter(|(id, _)| *id == device_id).cloned().collect();
            prop_assert_eq!(distinct, of_lock, "{:?} {:?}", memory, codes);
        }
        self.check_events(&grants, &methods_by_id).await
    }

    /// Checks that a grant has exactly the codes that it asks for.
    async fn check_grant(
        &self,
        grant: &Value,
        methods_by_id: &mut BTreeMap<String, Value>,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(&grant["pending_mutations"], &json!([]), "{}", grant);
        let id = json!({ "access_grant_ids": [grant["access_grant_id"]] });
        let related = self.workspace.post("/access_grants/get_related", id).await.ok()["batch"].clone();
        let covered: BTreeSet<String> = texts(&related["devices"], "device_id");
        for method in related["access_methods"].as_array().unwrap() {
            methods_by_id.insert(method["access_method_id"].as_str().unwrap().to_owned(), method.clone());
        }
        let of_grant = json!({ "access_grant_id": grant["access_grant_id"] });
        let codes = self.workspace.post("/access_codes/list", of_grant).await.ok()["access_codes"].clone();
        let codes = codes.as_array().unwrap();
        if grant["display_status"] == "Expired" {
            prop_assert_eq!(codes.len(), 0, "{}", grant);
            return Ok(());
        }
        let missing: BTreeSet<String> = grant["errors"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|error| error["missing_device_ids"].as_array().cloned().unwrap_or_default())
            .map(|id| id.as_str().unwrap().to_owned())
            .collect();
        if !missing.is_empty() {
            prop_assert_eq!(missing.iter().collect::<Vec<_>>(), [&self.workspace.lock(SMALL_LOCK)], "{}", grant);
            let memory = self.workspace.memory(SMALL_LOCK).await;
            // The code of a later grant is set later.
            let is_later = grant["starts_at"].as_str().unwrap() > self.now().await.as_str();
            prop_assert!(memory.len() >= SMALL_CAPACITY || is_later, "{} {:?}", grant, memory);
        }
        let requested = grant["requested_access_methods"].as_array().unwrap();
        for entry in requested.iter().filter(|entry| !entry["created_access_method_ids"].as_array().unwrap().is_empty())
        {
            let mut found = BTreeSet::new();
            for method_id in entry["created_access_method_ids"].as_array().unwrap() {
                let of_method = json!({ "access_method_id": method_id });
                let codes = self.workspace.post("/access_codes/list", of_method).await.ok()["access_codes"].clone();
                let codes: Vec<&Value> =
                    codes.as_array().unwrap().iter().filter(|code| code["is_backup"] != true).collect();
                let has_place = |code: &&Value| {
                    let errors = code["errors"].as_array().unwrap();
                    !missing.contains(code["device_id"].as_str().unwrap())
                        && errors.iter().all(|error| error["error_code"] != "no_space_for_access_code_on_device")
                };
                for code in &codes {
                    let method = &methods_by_id[method_id.as_str().unwrap()];
                    prop_assert!(code["code"] == method["code"] || !method["warnings"].as_array().unwrap().is_empty());
                    // A method waits for a lock that got full before its code was set.
                    let is_issued = method["is_issued"] == true;
                    prop_assert!(is_issued || !codes.iter().all(has_place), "{}", method);
                    let is_new = found.insert(code["device_id"].as_str().unwrap().to_owned());
                    prop_assert!(is_new, "two codes of one method on a lock: {:?}", codes);
                }
            }
            // A lock that is full has a code too, which waits for a place.
            let is_partly_deleted = self.partly_deleted.contains(grant["access_grant_id"].as_str().unwrap());
            let is_complete = if is_partly_deleted { found.is_subset(&covered) } else { found == covered };
            prop_assert!(is_complete, "{:?} {}", found, grant);
        }
        let are_all_ready = missing.is_empty() && codes.iter().all(|code| code["errors"] == json!([]));
        let is_usable = grant["display_status"] == "Active" || grant["display_status"] == "Upcoming";
        prop_assert!(is_usable || codes.is_empty() || !are_all_ready, "{}", grant);
        Ok(())
    }

    /// Checks that the events of grants and methods give the present state.
    async fn check_events(&self, grants: &Value, methods_by_id: &BTreeMap<String, Value>) -> Result<(), TestCaseError> {
        let mut exists: BTreeSet<String> = BTreeSet::new();
        let mut issued: BTreeMap<String, bool> = BTreeMap::new();
        for event in self.workspace.events(json!({})).await {
            let id = event.get("access_method_id").or_else(|| event.get("access_grant_id"));
            let Some(id) = id.and_then(Value::as_str).map(str::to_owned) else { continue };
            match event["event_type"].as_str().unwrap() {
                "access_grant.created" | "access_method.created" => drop(exists.insert(id)),
                "access_grant.deleted" | "access_method.deleted" => drop(exists.remove(&id)),
                "access_method.issued" | "access_method.reissued" => drop(issued.insert(id, true)),
                "access_method.revoked" => drop(issued.insert(id, false)),
                _ => {}
            }
        }
        let mut present = texts(&grants["access_grants"], "access_grant_id");
        present.extend(methods_by_id.keys().cloned());
        prop_assert_eq!(exists, present);
        for (id, method) in methods_by_id {
            prop_assert_eq!(method["is_issued"] == true, issued.get(id).copied().unwrap_or(false), "{}", method);
        }
        Ok(())
    }
}

fn texts(list: &Value, name: &str) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|object| object[name].as_str().unwrap().to_owned()).collect()
}
