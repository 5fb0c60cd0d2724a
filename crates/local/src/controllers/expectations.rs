//! Pods that were made and not seen yet. The view of the cluster runs a little behind;
//! without this a Deployment would be given Pods twice.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// A Pod that was not seen for this long after it was made never will be (Kubernetes' own
/// limit for its expectations).
const LIMIT: SignedDuration = SignedDuration::from_mins(5);

/// By the owner's UID, the names and when they were made.
#[derive(Default)]
pub struct Expectations(Mutex<HashMap<String, HashMap<String, Timestamp>>>);

impl Expectations {
    /// A Pod is about to be made.
    pub fn expect(&self, owner: &str, name: &str, now: Timestamp) {
        self.0
            .lock()
            .entry(owner.to_owned())
            .or_default()
            .insert(name.to_owned(), now);
    }

    /// A Pod was seen (alive or gone), or could not be made.
    pub fn forget(&self, owner: &str, name: &str) {
        let mut all = self.0.lock();
        if let Some(names) = all.get_mut(owner) {
            names.remove(name);
            if names.is_empty() {
                all.remove(owner);
            }
        }
    }

    /// How many Pods are still to be seen. `seen` says whether one is in view.
    pub fn open(&self, owner: &str, now: Timestamp, seen: impl Fn(&str) -> bool) -> usize {
        let mut all = self.0.lock();
        let Some(names) = all.get_mut(owner) else {
            return 0;
        };
        names.retain(|name, made| !seen(name) && now.duration_since(*made) < LIMIT);
        let open = names.len();
        if open == 0 {
            all.remove(owner);
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_expected_until_it_is_seen_or_given_up() {
        let expectations = Expectations::default();
        let start = Timestamp::UNIX_EPOCH;
        expectations.expect("owner", "a", start);
        expectations.expect("owner", "b", start);
        assert_eq!(expectations.open("owner", start, |_| false), 2);
        assert_eq!(expectations.open("owner", start, |name| name == "a"), 1);
        expectations.forget("owner", "b");
        assert_eq!(expectations.open("owner", start, |_| false), 0);
        expectations.expect("owner", "c", start);
        assert_eq!(expectations.open("owner", start + LIMIT, |_| false), 0);
    }
}
