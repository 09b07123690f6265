//! Codes that should exist for a grant, compared with those that exist.

use super::{AccessGrant, AccessMethod, MethodCode, Mode, Progress};
use crate::clock::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Difference between the codes that should exist for a grant and those that exist.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Difference {
    /// Locks that lack a code, by the position of the entry in `requested_access_methods`.
    pub missing: BTreeMap<usize, Vec<Uuid>>,
    /// Codes on locks that the grant does not cover any more.
    pub superfluous: Vec<Uuid>,
}

/// Compares the locks that the grant covers with the codes of its methods. `covered` are the locks that the client named
/// and those of the spaces, in the order in which codes are created. `codes` are the codes that are not gone, by id. A
/// grant that is over or being deleted lacks nothing.
pub(crate) fn difference(
    grant: &AccessGrant,
    methods: &[AccessMethod],
    covered: &[Uuid],
    codes: &BTreeMap<Uuid, MethodCode>,
    now: Timestamp,
) -> Difference {
    let is_covered: BTreeSet<Uuid> = covered.iter().copied().collect();
    let of_id: BTreeMap<Uuid, &AccessMethod> = methods.iter().map(|method| (method.access_method_id, method)).collect();
    let mut difference = Difference::default();
    let mut present: BTreeSet<(usize, Uuid)> = BTreeSet::new();
    for (access_code_id, code) in codes.iter().filter(|(_, code)| code.progress != Progress::Over) {
        let Some(method) = of_id.get(&code.access_method_id) else { continue };
        if is_covered.contains(&code.device_id) && method.deletion_requested_at.is_none() {
            // An offline code cannot be changed: a code with later times takes its place, and it ends by itself.
            if code.computed_for.is_none_or(|times| grant.is_within(times)) {
                present.insert((method.request, code.device_id));
            }
        } else {
            difference.superfluous.push(*access_code_id);
        }
    }
    if !grant.is_in_force(now) {
        return difference;
    }
    // A lock that can hold no code of this grant is not tried again, until it changes.
    let is_unfit = |device_id: &Uuid| {
        grant.conditions.warnings.iter().any(|warning| warning.device_id == *device_id && warning.is_unfit())
    };
    for (request, requested) in grant.requested_access_methods.iter().enumerate() {
        if requested.mode != Mode::Code || requested.is_deleted {
            continue;
        }
        let missing: Vec<Uuid> = covered
            .iter()
            .filter(|device_id| !present.contains(&(request, **device_id)) && !is_unfit(device_id))
            .filter(|device_id| !requested.deleted_device_ids.contains(device_id))
            .copied()
            .collect();
        if !missing.is_empty() {
            difference.missing.insert(request, missing);
        }
    }
    difference
}
