//! What is remembered, as the decision works on it: the service, and each revision that wants a share of its traffic.
//!
//! The stored [`RolloutStatus`] is flat, as people read it: the service and the release of Git's own template side by
//! side. Here they are apart. Every candidate is the same kind of thing, with a phase, a weight and evidence of its own,
//! and all that they share is the service. [`allocate`](super::allocate) alone makes percentages of their weights.

use jiff::Timestamp;

use crate::api::condition::Condition;
use crate::api::delivery::Expand;
use crate::api::rollout::{
    ConfigChange, EvidenceLedger, HistoryEntry, Hold, MEMORY_VERSION, PendingOutcome, Phase,
    Quarantine, Release, RequestAnswer, RolloutStatus, StepEvidence, TemplateState,
};

use super::gates;

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    /// What is true of the service whatever is let in.
    pub service: ServiceState,
    /// What is on its way, or at rest. The release of Git's template is the first and always there.
    pub candidates: Vec<CandidateState>,
}

/// What is true of the service whatever is let in. Each field is the one of [`RolloutStatus`] with its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ServiceState {
    pub expand: Option<Expand>,
    pub stable: Option<Release>,
    pub traffic: String,
    pub traffic_requested_at: Option<Timestamp>,
    pub confirmed_at: Option<Timestamp>,
    pub preserve_adopted_traffic: bool,
    pub template: TemplateState,
    pub ignored_traffic_drift: Option<String>,
    pub history: Vec<HistoryEntry>,
    pub quarantine: Vec<Quarantine>,
    pub answers: Vec<RequestAnswer>,
    pub config_changes: Vec<ConfigChange>,
    pub conditions: Vec<Condition>,
}

/// One revision on its way. Each field is the one of [`RolloutStatus`] with its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CandidateState {
    /// What is let in; `None` while nothing is on its way.
    pub release: Option<Release>,
    /// Its tag, where it is not the release of Git's template.
    pub tag: Option<String>,
    pub phase: Phase,
    pub phase_since: Option<Timestamp>,
    pub message: String,
    pub step: Option<u32>,
    pub weight: u8,
    pub analysis_started_at: Option<Timestamp>,
    pub failures: u32,
    pub hold: Option<Hold>,
    pub pending_outcome: Option<PendingOutcome>,
    pub evidence: Vec<StepEvidence>,
    pub ledger: Option<EvidenceLedger>,
}

impl State {
    /// A stored status, taken apart.
    pub fn read(status: &RolloutStatus) -> Self {
        let status = status.clone();
        Self {
            service: ServiceState {
                expand: status.expand,
                stable: status.stable,
                traffic: status.traffic,
                traffic_requested_at: status.traffic_requested_at,
                confirmed_at: status.confirmed_at,
                preserve_adopted_traffic: status.preserve_adopted_traffic,
                template: status.template,
                ignored_traffic_drift: status.ignored_traffic_drift,
                history: status.history,
                quarantine: status.quarantine,
                answers: status.answers,
                config_changes: status.config_changes,
                conditions: status.conditions,
            },
            candidates: vec![CandidateState {
                release: status.candidate,
                tag: None,
                phase: status.phase,
                phase_since: status.phase_since,
                message: status.message,
                step: status.step,
                weight: status.weight,
                analysis_started_at: status.analysis_started_at,
                failures: status.failures,
                hold: status.hold.map(gates::with_gates),
                pending_outcome: status.pending_outcome,
                evidence: status.evidence,
                ledger: status.ledger,
            }],
        }
    }
}

impl ServiceState {
    /// The status as it is stored, with the release of Git's template.
    pub fn stored_with(self, candidate: CandidateState) -> RolloutStatus {
        let service = self;
        RolloutStatus {
            version: MEMORY_VERSION,
            phase: candidate.phase,
            phase_since: candidate.phase_since,
            message: candidate.message,
            expand: service.expand,
            stable: service.stable,
            candidate: candidate.release,
            step: candidate.step,
            weight: candidate.weight,
            traffic: service.traffic,
            traffic_requested_at: service.traffic_requested_at,
            confirmed_at: service.confirmed_at,
            analysis_started_at: candidate.analysis_started_at,
            failures: candidate.failures,
            hold: candidate.hold,
            pending_outcome: candidate.pending_outcome,
            preserve_adopted_traffic: service.preserve_adopted_traffic,
            template: service.template,
            ignored_traffic_drift: service.ignored_traffic_drift,
            evidence: candidate.evidence,
            ledger: candidate.ledger,
            history: service.history,
            quarantine: service.quarantine,
            answers: service.answers,
            config_changes: service.config_changes,
            conditions: service.conditions,
        }
    }
}
