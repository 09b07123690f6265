//! What tests have chosen: paths that are out of service, and the states of action attempts.

use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Maximum number of action attempts of a workspace whose state tests have chosen.
const MAX_ATTEMPTS: usize = 1_000;

/// What tests have chosen, by workspace.
#[derive(Default)]
pub(super) struct Chosen(HashMap<Uuid, OfWorkspace>);

#[derive(Default)]
struct OfWorkspace {
    /// Paths that are out of service.
    outage: HashSet<String>,
    /// Members of action attempts: `status`, `result` and `error`.
    attempts: HashMap<Uuid, Map<String, Value>>,
}

impl Chosen {
    /// Takes these paths of a workspace out of service, and no others.
    pub(super) fn set_outage(&mut self, workspace_id: Uuid, paths: HashSet<String>) {
        self.0.entry(workspace_id).or_default().outage = paths;
    }

    /// Returns true if any path of any workspace is out of service.
    pub(super) fn has_outages(&self) -> bool {
        self.0.values().any(|of_workspace| !of_workspace.outage.is_empty())
    }

    /// Returns true if a path is out of service in a workspace.
    pub(super) fn is_out_of_service(&self, workspace_id: Uuid, path: &str) -> bool {
        self.0.get(&workspace_id).is_some_and(|of_workspace| of_workspace.outage.contains(path))
    }

    /// Sets the members with which an action attempt of a workspace is shown from now on.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the workspace has the maximum number of them.
    pub(super) fn set_attempt(&mut self, (workspace_id, id): (Uuid, Uuid), members: Map<String, Value>) -> Result<()> {
        let attempts = &mut self.0.entry(workspace_id).or_default().attempts;
        if attempts.len() >= MAX_ATTEMPTS && !attempts.contains_key(&id) {
            return Err(Error::Conflict(format!(
                "the state of {MAX_ATTEMPTS} action attempts was chosen, the maximum. Reset the workspace with \
                 /_emulator/workspaces/reset."
            )));
        }
        attempts.insert(id, members);
        Ok(())
    }

    /// Returns the members that were chosen for an action attempt.
    pub(super) fn attempt(&self, id: Uuid) -> Option<&Map<String, Value>> {
        self.0.values().find_map(|of_workspace| of_workspace.attempts.get(&id))
    }

    /// Forgets what was chosen in a workspace.
    pub(super) fn forget(&mut self, workspace_id: Uuid) {
        self.0.remove(&workspace_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_chosen_action_attempts_is_limited() {
        let (mut chosen, workspace_id) = (Chosen::default(), Uuid::nil());
        for id in 0..1_000 {
            chosen.set_attempt((workspace_id, Uuid::from_u128(id)), Map::new()).unwrap();
        }
        let next = Uuid::from_u128(1_000);
        let refused = chosen.set_attempt((workspace_id, next), Map::new()).unwrap_err();
        assert!(matches!(refused, Error::Conflict(message) if message.contains("1000")));
        chosen.set_attempt((workspace_id, Uuid::nil()), Map::new()).unwrap();
        chosen.forget(workspace_id);
        chosen.set_attempt((workspace_id, next), Map::new()).unwrap();
    }
}
