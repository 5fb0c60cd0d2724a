//! What keeps a release from going on: gates that people, Git, the policy, the cluster and the evidence keep shut.
//!
//! Several may be shut at once, and none hides another. A release goes on when the last of them opens; one that has a
//! time wakes the loop when it comes.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::rollout::{Gate, Hold, HoldReason, Phase};

use super::context::DecisionContext;
use super::event::Event;
use super::words::briefer;

/// Whether it is [`DecisionContext::shut`] that says when such a gate opens, and no phase.
fn is_outer(reason: HoldReason) -> bool {
    matches!(
        reason,
        HoldReason::Paused
            | HoldReason::Suspended
            | HoldReason::Policy
            | HoldReason::Traffic
            | HoldReason::Memory
            | HoldReason::Source
    )
}

impl DecisionContext<'_> {
    /// The phase that is being worked on, hold or not.
    pub fn phase(&self) -> Phase {
        self.candidate
            .hold
            .as_ref()
            .map_or(self.candidate.phase, |hold| hold.phase)
    }

    fn gate(&self, reason: HoldReason, message: String) -> Gate {
        Gate {
            reason,
            since: self.now,
            until: None,
            message,
        }
    }

    /// Why nothing may go up at the moment, whatever phase it is: by people's word, or for want of something to read.
    pub fn shut(&self) -> Vec<Gate> {
        let intent = self.intent;
        let mut shut = Vec::new();
        if intent.suspended || intent.withdrawn {
            let message = "the Delivery is suspended".to_owned();
            shut.push(self.gate(HoldReason::Suspended, message));
        }
        shut.extend(self.pause());
        let unread = [
            (HoldReason::Memory, intent.memory_problem.as_ref()),
            (HoldReason::Source, intent.source_problem.as_ref()),
            (HoldReason::Policy, intent.policy_problem.as_ref()),
        ];
        for (reason, problem) in unread {
            shut.extend(problem.map(|problem| self.gate(reason, problem.clone())));
        }
        if self.traffic_problem().is_some() {
            shut.push(self.gate(HoldReason::Traffic, self.traffic_words()));
        }
        shut
    }

    fn pause(&self) -> Option<Gate> {
        if !self.spec.is_paused(self.now) {
            return None;
        }
        let until = self.spec.paused_until;
        let until_then = until.map(|until| format!(" until {until:.0}"));
        let message = format!(
            "paused{}; `sluice rollout resume` goes on",
            until_then.unwrap_or_default()
        );
        let gate = self.gate(HoldReason::Paused, message);
        Some(Gate { until, ..gate })
    }

    /// Whether none of these is shut.
    pub fn is_free(&self) -> bool {
        self.shut().is_empty()
    }

    /// Why nothing may go up, in words; empty where nothing hinders it.
    pub fn shut_words(&self) -> String {
        words(&self.shut())
    }

    /// When the next gate opens by itself.
    pub fn next_opening(&self) -> Option<Duration> {
        let until = self.shut().iter().filter_map(|gate| gate.until).min()?;
        Some(Duration::try_from(until.duration_since(self.now)).unwrap_or_default())
    }

    /// Stands still where one of these is shut, and says whether.
    pub fn stands_still(&mut self) -> bool {
        let shut = self.shut();
        let any = !shut.is_empty();
        if any {
            self.hold_at(shut);
        }
        any
    }

    /// Stands still for a reason of the present phase, beside any of these.
    pub fn hold(&mut self, reason: HoldReason, message: String) {
        let mut gates = self.shut();
        gates.push(self.gate(reason, message));
        self.hold_at(gates);
    }

    /// Stands still before these gates; each is said once.
    fn hold_at(&mut self, mut gates: Vec<Gate>) {
        // What a person was asked for is asked for until the step is over, whatever the evidence says meanwhile.
        let approval = self.held_by(HoldReason::Approval).cloned();
        let is_new = |_: &Gate| gates.iter().all(|gate| gate.reason != HoldReason::Approval);
        gates.extend(approval.filter(is_new));
        let before = self.candidate.hold.take();
        for gate in &mut gates {
            let mut known = before.iter().flat_map(|hold| &hold.gates);
            match known.find(|known| known.reason == gate.reason) {
                Some(known) => gate.since = known.since,
                None => self.events.push(Event::Held {
                    revision: self.candidate_name(),
                    weight: self.candidate.weight,
                    reason: gate.reason,
                    detail: gate.message.clone(),
                }),
            }
        }
        self.candidate.message = format!(
            "{} held at {} %: {}",
            self.candidate_name(),
            self.candidate.weight,
            words(&gates)
        );
        let phase = before
            .as_ref()
            .map_or(self.candidate.phase, |hold| hold.phase);
        let since = before.map_or(self.now, |hold| hold.since);
        for gate in &mut gates {
            gate.message = briefer(&gate.message);
        }
        let reason = gates.first().map(|first| first.reason);
        self.candidate.hold = reason.map(|reason| Hold {
            phase,
            reason,
            since,
            gates,
        });
        self.candidate.phase = Phase::Holding;
    }

    /// The gate of this kind that it stands before.
    pub fn held_by(&self, reason: HoldReason) -> Option<&Gate> {
        let gates = self.candidate.hold.as_ref().map(|hold| &hold.gates);
        gates?.iter().find(|gate| gate.reason == reason)
    }

    /// Goes on where it stood still.
    pub fn go_on(&mut self) {
        if let Some(hold) = self.candidate.hold.take() {
            self.candidate.phase = hold.phase;
            self.events.push(Event::Resumed {
                revision: self.candidate_name(),
            });
        }
    }

    /// Opens gates, and says whether there were any: it goes on when the last of them is open.
    fn open(&mut self, opens: impl Fn(HoldReason) -> bool) -> bool {
        let Some(hold) = &mut self.candidate.hold else {
            return false;
        };
        let before = hold.gates.len();
        hold.gates.retain(|gate| !opens(gate.reason));
        let opened = hold.gates.len() < before;
        match hold.gates.first() {
            Some(first) => hold.reason = first.reason,
            None => self.go_on(),
        }
        opened
    }

    /// Whoever was waited for has come: it goes on, and has its time anew, since nobody worked
    /// towards the deadlines meanwhile.
    pub fn heard(&mut self) {
        if self.open(|reason| reason == HoldReason::Unconfirmed) {
            self.candidate.phase_since = Some(self.now);
        }
    }

    /// What hindered the present phase and is well again.
    pub fn well_again(&mut self) {
        self.open(|reason| {
            matches!(
                reason,
                HoldReason::StableUnhealthy | HoldReason::NoShare | HoldReason::NoTag
            )
        });
    }

    /// Goes on after what a person held (or a missing policy) and has let go: deadlines begin anew, since nobody
    /// worked towards them meanwhile.
    pub fn lift(&mut self) {
        let shut: Vec<HoldReason> = self.shut().iter().map(|gate| gate.reason).collect();
        let opened = self.open(|reason| is_outer(reason) && !shut.contains(&reason));
        if opened && shut.is_empty() {
            self.candidate.phase_since = Some(self.now);
        }
    }
}

/// `paused; the Delivery is suspended`.
fn words(gates: &[Gate]) -> String {
    let words: Vec<&str> = gates.iter().map(|gate| gate.message.as_str()).collect();
    words.join("; ")
}

/// When a hold began, and each of its gates, must not lie in the future.
pub(super) fn mend_times(hold: &mut Hold, now: Timestamp) {
    hold.since = hold.since.min(now);
    for gate in &mut hold.gates {
        gate.since = gate.since.min(now);
    }
}

/// A hold as an agent wrote it that knew of one gate at a time.
pub(super) fn with_gates(mut hold: Hold) -> Hold {
    if hold.gates.is_empty() {
        hold.gates.push(Gate {
            reason: hold.reason,
            since: hold.since,
            until: None,
            message: String::new(),
        });
    }
    hold
}
