//! The agent's requests, read from its log: one line each at level `trace`.

use std::collections::BTreeMap;
use std::fmt;

/// How often each verb was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests(BTreeMap<String, u64>);

impl Requests {
    /// Counts them, but for the renewals of Leases.
    pub fn read(log: &str) -> Self {
        let mut all = BTreeMap::new();
        for line in log.lines().filter(|line| line.contains("API request")) {
            let verb = line
                .split("verb=")
                .nth(1)
                .and_then(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
            // A Lease is renewed every four seconds, whatever there is to do.
            if let Some(verb) = verb.filter(|verb| *verb != "Lease") {
                *all.entry(verb.to_owned()).or_default() += 1;
            }
        }
        Self(all)
    }

    /// Those that came later.
    pub fn since(&self, earlier: &Self) -> Self {
        let later = self.0.iter().filter_map(|(verb, count)| {
            let before = earlier.0.get(verb).copied().unwrap_or(0);
            (*count > before).then(|| (verb.clone(), count - before))
        });
        Self(later.collect())
    }

    /// Requests that change the cluster.
    pub fn writes(&self) -> u64 {
        self.sum(&["Create", "Patch", "Update", "Delete"])
    }

    /// Requests that ask; a watch that goes on costs none.
    pub fn reads(&self) -> u64 {
        self.sum(&["Discovery", "Get", "List", "Watch"])
    }

    fn sum(&self, verbs: &[&str]) -> u64 {
        let of = |verb: &&str| self.0.get(*verb).copied().unwrap_or(0);
        verbs.iter().map(of).sum()
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none at all");
        }
        let words: Vec<String> = self
            .0
            .iter()
            .map(|(verb, count)| format!("{count} {}", verb.to_lowercase()))
            .collect();
        f.write_str(&words.join(", "))
    }
}
