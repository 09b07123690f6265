//! Generation of ids, PINs and keys: derived from the seed of the workspace, or random.
//!
//! In a seeded workspace nothing is random. Each value is a hash of (seed, kind, parent, ordinal under that parent), so
//! that the same requests give the same responses on any server, independent of what happens between them. This is the
//! only file that reads randomness from the operating system.

use crate::clock::Timestamp;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use uuid::{Builder, Uuid};

/// Generator of the ids of one workspace.
#[derive(Clone, Debug)]
pub enum Ids {
    /// Ids derived from this seed.
    Derived(String),
    /// Random ids. An id begins with the machine's time, so that ids created together are close to each other in an
    /// index.
    Random,
}

impl Ids {
    /// Creates the generator of a workspace with this seed, or without one.
    pub fn of(seed: Option<&str>) -> Self {
        seed.map_or(Self::Random, |seed| Self::Derived(seed.to_owned()))
    }

    /// Returns true if the ids are derived from a seed.
    pub fn is_derived(&self) -> bool {
        matches!(self, Self::Derived(_))
    }

    /// Returns the id of the `ordinal`th object of this `kind` under `parent`.
    pub fn id(&self, kind: &str, parent: Uuid, ordinal: i64, machine_now: Timestamp) -> Uuid {
        match self {
            Self::Derived(seed) => {
                Builder::from_random_bytes(first(derive(seed, kind, parent, ordinal, 0))).into_uuid()
            }
            Self::Random => {
                let milliseconds = u64::try_from(machine_now.timestamp_millis()).unwrap_or(0);
                Builder::from_unix_timestamp_millis(milliseconds, &random_bytes()).into_uuid()
            }
        }
    }

    /// Returns a number from `0..bound`, uniformly distributed; `bound` is at least 1.
    pub fn draw(&self, kind: &str, parent: Uuid, ordinal: i64, bound: u64) -> u64 {
        // Skip numbers from the last multiple of the bound on, so that all results are equally likely.
        let limit = u64::MAX - u64::MAX % bound.max(1);
        let mut attempt = 0;
        loop {
            let number = match self {
                Self::Derived(seed) => u64::from_be_bytes(first(derive(seed, kind, parent, ordinal, attempt))),
                Self::Random => u64::from_be_bytes(random_bytes()),
            };
            if number < limit {
                return number % bound.max(1);
            }
            attempt += 1;
        }
    }

    /// Returns a key or token of this kind in Seam's format, which begins with `prefix`.
    pub fn credential(&self, kind: &str, prefix: &str, parent: Uuid) -> String {
        let short = self.token(&format!("{kind} short"), parent, 4);
        format!("{prefix}{short}_{}", self.token(kind, parent, 24))
    }

    /// Returns `length` letters and digits for a key or token, without the ones that look alike.
    pub fn token(&self, kind: &str, parent: Uuid, length: i64) -> String {
        const LETTERS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
        let count = LETTERS.len() as u64;
        (0..length)
            .filter_map(|ordinal| usize::try_from(self.draw(kind, parent, ordinal, count)).ok())
            .filter_map(|index| LETTERS.get(index).copied().map(char::from))
            .collect()
    }
}

/// Returns the ordinal of the next object after `count` objects. No list in memory reaches the limit of the type.
pub(crate) fn ordinal_after(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns a random id that belongs to no workspace, for one request or one process.
pub fn random_id() -> Uuid {
    Builder::from_random_bytes(random_bytes()).into_uuid()
}

/// Returns the hash from which a value is derived. `attempt` counts the numbers that [`Ids::draw`] has skipped.
fn derive(seed: &str, kind: &str, parent: Uuid, ordinal: i64, attempt: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [seed.as_bytes(), kind.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(parent.as_bytes());
    hash.update(ordinal.to_be_bytes());
    hash.update(attempt.to_be_bytes());
    hash.finalize().into()
}

fn first<const N: usize>(hash: [u8; 32]) -> [u8; N] {
    std::array::from_fn(|index| hash[index % 32])
}

/// Number of random bytes that are taken from the operating system at once, instead of a system call for each id.
const RANDOM_BLOCK: usize = 512;

thread_local! {
    /// Random bytes of this thread that were not used yet.
    static RANDOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn random_bytes<const N: usize>() -> [u8; N] {
    const { assert!(N <= RANDOM_BLOCK) };
    RANDOM.with_borrow_mut(|block| {
        if block.len() < N {
            refill(block);
        }
        let rest = block.len() - N;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&block[rest..]);
        // They may be part of a key.
        block[rest..].fill(0);
        block.truncate(rest);
        bytes
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system for randomness")]
#[expect(clippy::expect_used, reason = "the server cannot run without randomness")]
fn refill(block: &mut Vec<u8>) {
    block.resize(RANDOM_BLOCK, 0);
    getrandom::fill(block).expect("the operating system gives randomness");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_iso;

    #[test]
    fn seed_derives_equal_ids_for_equal_inputs_and_different_ids_otherwise() {
        let now = from_iso("2026-01-01T00:00:00Z").unwrap();
        let (ids, parent) = (Ids::of(Some("a")), Uuid::nil());
        let id = |kind, parent, ordinal| ids.id(kind, parent, ordinal, now);
        assert_eq!(id("device", parent, 1), id("device", parent, 1));
        assert_ne!(id("device", parent, 1), id("device", parent, 2));
        assert_ne!(id("device", parent, 1), id("event", parent, 1));
        assert_ne!(id("device", parent, 1), id("device", Uuid::max(), 1));
        assert_ne!(id("device", parent, 1), Ids::of(Some("b")).id("device", parent, 1, now));
        assert_eq!(ids.token("api_key", parent, 24).len(), 24);
    }

    #[test]
    fn random_ids_created_later_sort_later() {
        let ids = Ids::of(None);
        let first = ids.id("event", Uuid::nil(), 0, from_iso("2026-01-01T00:00:00Z").unwrap());
        let second = ids.id("event", Uuid::nil(), 0, from_iso("2026-01-01T00:00:01Z").unwrap());
        assert!(first < second);
    }
}
