//! The account of a release's requests between two windows, whether or not a decision has seen it yet.

use crate::analysis::ProbeRound;
use crate::api::rollout::{EvidenceLedger, GatewayCounts};

/// How the account of requests stands, whether or not a decision has seen it yet.
#[derive(Default)]
pub struct Account {
    /// As the last window left it.
    pub ledger: Option<EvidenceLedger>,
    /// Rounds of probes since then, which gateways have counted.
    pub unbooked: Vec<ProbeRound>,
    /// A round is under way, or was broken off: a gateway has counted requests of ours that nobody booked.
    pub broken_off: bool,
}

impl Account {
    /// What a window goes on from, where `remembered` is the status's. After a round that was broken off it is only what
    /// the tests know: counting starts anew.
    pub fn carried(&mut self, remembered: Option<EvidenceLedger>) -> Option<EvidenceLedger> {
        let is_about = |ledger: &EvidenceLedger| {
            let names = |of: &EvidenceLedger| (of.candidate.clone(), of.stable.clone());
            remembered.as_ref().map(names) == Some(names(ledger))
        };
        let own = self.ledger.take().filter(is_about);
        let mut ledger = own.or(remembered)?;
        if self.broken_off {
            ledger.gateways.clear();
            ledger.ours = GatewayCounts::default();
            self.unbooked.clear();
        }
        Some(ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The account of these two, with so many requests counted of the candidate.
    fn ledger(candidate: &str, counted: u64) -> EvidenceLedger {
        let gateway = GatewayCounts {
            candidate: [(200, counted)].into(),
            ..GatewayCounts::default()
        };
        EvidenceLedger {
            candidate: candidate.to_owned(),
            stable: "hello-00001".to_owned(),
            gateways: [("gateway".to_owned(), gateway)].into(),
            late_after_ms: Some(500.0),
            ..EvidenceLedger::default()
        }
    }

    fn account() -> Account {
        Account {
            ledger: Some(ledger("hello-00002", 20)),
            unbooked: Vec::new(),
            broken_off: false,
        }
    }

    #[test]
    fn a_window_goes_on_from_what_the_last_one_saw_and_not_from_what_was_stored_before() {
        let stored = ledger("hello-00002", 8);
        let carried = account().carried(Some(stored.clone()));
        assert_eq!(carried, Some(ledger("hello-00002", 20)));
        // An agent that begins anew has only what was stored.
        let carried = Account::default().carried(Some(stored.clone()));
        assert_eq!(carried, Some(stored));
    }

    #[test]
    fn the_account_of_another_release_is_none_of_this_one() {
        let stored = ledger("hello-00003", 8);
        assert_eq!(account().carried(Some(stored.clone())), Some(stored));
        assert_eq!(account().carried(None), None);
    }

    #[test]
    fn after_a_round_that_was_broken_off_counting_starts_anew_and_the_tests_go_on() {
        let mut account = account();
        account.broken_off = true;
        let carried = account.carried(Some(ledger("hello-00002", 8))).unwrap();
        assert!(carried.gateways.is_empty(), "{:?}", carried.gateways);
        assert_eq!(carried.late_after_ms, Some(500.0));
    }
}
