//! What users have met since the present weight was confirmed, kept by the agent between two
//! decisions.
//!
//! It lives in memory only, and a restart begins a new one: a bake gets longer by that, never shorter. What was counted is
//! in a [`Ledger`], which goes on over weights and restarts.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::rollout::EvidenceLedger;

use super::evidence::{Booked, ProbeRound, Unmeasured, Window};
use super::ledger::Ledger;
use super::limits::Limits;
use super::metrics::Scrape;

/// The window of one step.
#[derive(Debug)]
pub struct StepWindow {
    candidate: String,
    weight: u8,
    opened: Instant,
    since: Timestamp,
    ledger: Ledger,
    limits: Limits,
    /// Why the last look showed nothing.
    blind: Option<Unmeasured>,
    synthetic: Option<ProbeRound>,
    at: Timestamp,
    elapsed: Duration,
}

/// A moment, by a clock that does not jump and by the one that people read.
pub type Moment = (Instant, Timestamp);

impl StepWindow {
    /// Opens a window at `opened`. `since` is the rollout's `analysisStartedAt` and tells it from the windows before it;
    /// `remembered` is the account of the release up to now.
    pub fn open(
        namespace: &str,
        (candidate, stable): (&str, &str),
        weight: u8,
        since: Timestamp,
        remembered: Option<&EvidenceLedger>,
        limits: Limits,
        (opened, at): Moment,
    ) -> Self {
        Self {
            candidate: candidate.to_owned(),
            weight,
            opened,
            since,
            ledger: Ledger::open(namespace, (candidate, stable), weight == 100, remembered),
            limits,
            blind: Some(Unmeasured::NotYet),
            synthetic: None,
            at,
            elapsed: Duration::ZERO,
        }
    }

    /// Adds a look at one gateway (`page` tells several apart). Times count from `warm_until` on.
    pub fn add(
        &mut self,
        page: &str,
        scrape: &Scrape,
        warm_until: Option<Timestamp>,
        (now, at): Moment,
    ) {
        let past_warm_up = warm_until.is_none_or(|until| at >= until);
        self.ledger
            .look(page, scrape, &self.limits, past_warm_up, now);
        self.blind = None;
        self.pass((now, at));
    }

    /// There was no gateway to look at.
    pub fn blind(&mut self, why: Unmeasured, moment: Moment) {
        self.blind = Some(why);
        self.pass(moment);
    }

    fn pass(&mut self, (now, at): Moment) {
        self.at = at;
        self.elapsed = now.saturating_duration_since(self.opened);
    }

    /// Books requests of our own that were sent since what is remembered.
    pub fn book(&mut self, round: &ProbeRound) {
        self.ledger.book(round);
    }

    /// Adds requests of our own at this weight. The gateway's next look will have counted
    /// them too.
    pub fn add_synthetic(&mut self, mut round: ProbeRound) {
        self.ledger.book(&round);
        round.candidate.booked = Booked::default();
        self.at = self.at.max(round.at);
        match &mut self.synthetic {
            Some(synthetic) => synthetic.add(round),
            None => self.synthetic = Some(round),
        }
    }

    /// What was seen so far.
    pub fn window(&self) -> Window {
        let metrics = match &self.blind {
            Some(why) => Err(why.clone()),
            None => Ok(self.ledger.metrics(&self.limits)),
        };
        Window {
            revision: self.candidate.clone(),
            weight: self.weight,
            since: self.since,
            at: self.at,
            elapsed: self.elapsed,
            metrics,
            synthetic: self.synthetic.clone(),
            ledger: self.ledger.remembered(),
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
