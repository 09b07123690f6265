//! Access grants whose rows are locked, with their methods and the codes of these. A transaction that changes a code of
//! a method has the grant here, so that the method changes at the same instant as its code.

use super::{AccessGrant, AccessMethod};
use crate::clock::WorkspaceClock;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::Window;
use crate::domain::access_code::lifecycle::rare_fields::LateIssuance;
use crate::domain::linked::Reservations;
use crate::ids::Ids;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Locked grants.
#[derive(Debug, Default)]
pub(crate) struct LockedGrants {
    grants: Vec<LockedGrant>,
    /// Index of the grant of each method.
    of_methods: HashMap<Uuid, usize>,
}

/// Grant whose row is locked until the transaction ends.
#[derive(Debug)]
pub(crate) struct LockedGrant {
    pub grant: AccessGrant,
    /// Methods in the order of their creation, without those that are gone.
    pub methods: Vec<AccessMethod>,
    /// Codes of the methods that are not gone, by id.
    codes: BTreeMap<Uuid, MethodCode>,
    /// Numbers of codes of each method, by their state.
    counts: HashMap<Uuid, Counts>,
    /// Number of codes, of any method, that wait for a place on a full lock.
    without_place: usize,
    /// True if the grant and all its methods are gone: the row is deleted.
    pub is_gone: bool,
    /// Methods that are gone: their rows are deleted.
    pub gone_methods: Vec<Uuid>,
    /// Stored state; `None`: the grant is new.
    pub stored: Option<(AccessGrant, Vec<AccessMethod>)>,
    /// Generator of ids, and clock, of the workspace.
    pub ids: Ids,
    pub clock: WorkspaceClock,
}

/// Numbers of codes of a method that are not gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub pending: usize,
    pub without_place: usize,
    pub ready: usize,
    pub over: usize,
    pub disturbed: usize,
    pub late: usize,
    pub failed: usize,
}

impl Counts {
    /// Returns the number of codes that were neither deleted nor have ended.
    pub(super) fn live(self) -> usize {
        self.pending + self.without_place + self.ready
    }

    fn change(&mut self, code: MethodCode, is_added: bool) {
        let change = |count: &mut usize, applies: bool| {
            if applies {
                *count = if is_added { *count + 1 } else { count.saturating_sub(1) };
            }
        };
        change(&mut self.pending, code.progress == Progress::Pending);
        change(&mut self.without_place, code.progress == Progress::WithoutPlace);
        change(&mut self.ready, code.progress == Progress::Ready);
        change(&mut self.over, code.progress == Progress::Over);
        let is_over = code.progress == Progress::Over;
        change(&mut self.disturbed, code.is_disturbed && !is_over);
        change(&mut self.late, code.is_late && !is_over);
        change(&mut self.failed, code.has_failed && !is_over);
    }
}

/// Code of an access method, as far as the method depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MethodCode {
    pub access_method_id: Uuid,
    pub device_id: Uuid,
    pub progress: Progress,
    /// Times for which an offline code was computed; `None` for all other codes.
    pub computed_for: Option<Window>,
    /// True while a change that somebody made at the lock is being reverted.
    pub is_disturbed: bool,
    /// True if the code is reported as late for the issuance.
    pub is_late: bool,
    /// True if the code was not ready at the start.
    pub has_failed: bool,
}

/// Progress of a code of an access method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The code is being made or changed.
    Pending,
    /// The lock was full when the code was created, and the code waits for a place. It does not delay the issuance of
    /// its method, because the grant reports the lock.
    WithoutPlace,
    /// The guest can rely on the code: see [`CodeState::is_ready_to_issue`].
    ///
    /// [`CodeState::is_ready_to_issue`]: crate::domain::access_code::lifecycle::CodeState::is_ready_to_issue
    Ready,
    /// The code was deleted or has ended, or it is an offline code for other times.
    Over,
}

impl MethodCode {
    /// Returns those of these codes that belong to methods and are not gone, by id. Each code comes with true if its lock
    /// is reachable.
    pub(crate) fn by_id(codes: &[(AccessCode, bool)]) -> BTreeMap<Uuid, Self> {
        let of_code =
            |(code, is_reachable): &(AccessCode, bool)| Some((code.access_code_id, Self::of(code, *is_reachable)?));
        codes.iter().filter_map(of_code).collect()
    }

    /// Returns the progress of a code on a lock that is reachable or not; `None` if the code belongs to no method, is
    /// gone, or has left its lock after its end and is kept as expired.
    pub(crate) fn of(code: &AccessCode, is_reachable: bool) -> Option<Self> {
        let state = &code.state;
        let is_gone = state.gone_at.is_some() || state.has_only_expired() || !state.is_managed;
        let access_method_id = code.access_method_id.filter(|_| !is_gone)?;
        let reported = state.rare_fields.issuance.and_then(|issuance| issuance.reported);
        let progress = if state.removing_since().is_some() {
            Progress::Over
        } else if state.awaits_place() {
            Progress::WithoutPlace
        } else if state.is_ready_to_issue(is_reachable) {
            Progress::Ready
        } else {
            Progress::Pending
        };
        Some(Self {
            access_method_id,
            device_id: code.device_id,
            progress,
            computed_for: state.rare_fields.issuance.and_then(|issuance| issuance.computed_for),
            is_disturbed: state.rare_fields.external.as_ref().is_some_and(|external| !external.is_honoured),
            is_late: reported.is_some(),
            has_failed: reported == Some(LateIssuance::Failed),
        })
    }
}

impl LockedGrants {
    /// Returns true if no grant is locked.
    pub(crate) fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// Adds a grant.
    pub(crate) fn add(&mut self, grant: LockedGrant) {
        let index = self.grants.len();
        self.of_methods.extend(grant.methods.iter().map(|method| (method.access_method_id, index)));
        self.grants.push(grant);
    }

    /// Registers the methods that were added to grants.
    pub(crate) fn register_methods(&mut self) {
        for (index, grant) in self.grants.iter().enumerate() {
            self.of_methods.extend(grant.methods.iter().map(|method| (method.access_method_id, index)));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LockedGrant> {
        self.grants.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut LockedGrant> {
        self.grants.iter_mut()
    }

    /// Returns a locked grant by its id.
    pub(crate) fn find(&self, access_grant_id: Uuid) -> Option<&LockedGrant> {
        self.grants.iter().find(|locked| locked.grant.access_grant_id == access_grant_id)
    }

    /// Mutable version of [`LockedGrants::find`].
    pub(crate) fn find_mut(&mut self, access_grant_id: Uuid) -> Option<&mut LockedGrant> {
        self.grants.iter_mut().find(|locked| locked.grant.access_grant_id == access_grant_id)
    }

    /// Returns the grant of a method.
    pub(crate) fn of_method_mut(&mut self, access_method_id: Uuid) -> Option<&mut LockedGrant> {
        self.of_methods.get(&access_method_id).and_then(|index| self.grants.get_mut(*index))
    }

    /// Returns the methods that are gone, and whose rows are not deleted yet.
    pub(crate) fn gone_methods(&self) -> BTreeSet<Uuid> {
        self.grants.iter().flat_map(|locked| &locked.gone_methods).copied().collect()
    }

    /// Returns true if the grant of this method is locked.
    pub(crate) fn has_method(&self, access_method_id: Uuid) -> bool {
        self.of_methods.contains_key(&access_method_id)
    }
}

impl LockedGrant {
    /// Creates a new grant, which is not stored yet.
    pub(crate) fn new(grant: AccessGrant, ids: Ids, clock: WorkspaceClock) -> Self {
        Self {
            grant,
            methods: Vec::new(),
            codes: BTreeMap::new(),
            counts: HashMap::new(),
            without_place: 0,
            is_gone: false,
            gone_methods: Vec::new(),
            stored: None,
            ids,
            clock,
        }
    }

    /// Returns a method of the grant.
    pub(crate) fn method_mut(&mut self, access_method_id: Uuid) -> Option<&mut AccessMethod> {
        self.methods.iter_mut().find(|method| method.access_method_id == access_method_id)
    }

    /// Returns the codes of the methods that are not gone, by id.
    pub(crate) fn codes(&self) -> &BTreeMap<Uuid, MethodCode> {
        &self.codes
    }

    /// Removes the reservations of codes that are being taken off their locks, so that other codes of the grant can have
    /// their PINs. A lock sets the new code when the old one is off.
    pub(crate) fn release_pins(&self, reservations: &mut Reservations) {
        let is_leaving = |code: &MethodCode| code.progress == Progress::Over && code.computed_for.is_none();
        for (access_code_id, code) in self.codes.iter().filter(|(_, code)| is_leaving(code)) {
            reservations.remove(code.device_id, *access_code_id);
        }
    }

    /// Returns true if a code of this method exists that was neither deleted nor has ended.
    pub(crate) fn has_codes(&self, access_method_id: Uuid) -> bool {
        self.counts(access_method_id).live() > 0
    }

    /// Returns the methods whose codes give access to a lock, or will do so. A method can lose all its locks and stay: its
    /// PIN is used for locks that join later.
    pub(super) fn methods_with_locks(&self) -> impl Iterator<Item = &AccessMethod> {
        self.methods.iter().filter(|method| self.has_codes(method.access_method_id))
    }

    /// Returns true if a code waits for a place on a full lock.
    pub(super) fn has_full_locks(&self) -> bool {
        self.without_place > 0
    }

    pub(super) fn counts(&self, access_method_id: Uuid) -> Counts {
        self.counts.get(&access_method_id).copied().unwrap_or_default()
    }

    /// Takes over the present state of a code.
    pub(crate) fn update_code(&mut self, access_code_id: Uuid, code: Option<MethodCode>) {
        // An offline code for other times is replaced by another code.
        let is_outdated = |code: &MethodCode| code.computed_for.is_some_and(|times| !self.grant.is_within(times));
        let code =
            code.map(|code| if is_outdated(&code) { MethodCode { progress: Progress::Over, ..code } } else { code });
        let before = match code {
            Some(code) => self.codes.insert(access_code_id, code),
            None => self.codes.remove(&access_code_id),
        };
        for (code, is_added) in [(before, false), (code, true)] {
            if let Some(code) = code {
                let counts = self.counts.entry(code.access_method_id).or_default();
                let before = counts.without_place;
                counts.change(code, is_added);
                self.without_place = self.without_place + counts.without_place - before;
            }
        }
    }
}
