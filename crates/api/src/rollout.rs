//! `ServiceRollout`: the story of one service's releases, written by the agent.
//!
//! The status is the agent's only memory: killed between any two calls, it goes
//! on from here. `spec` is what people ask for (`sluice rollout pause`, ...).

mod config_change;
mod ledger;

use jiff::Timestamp;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::delivery::Expand;
use super::object::TemplateHash;
pub use super::rollout_watch::{Watch, WatchHold, WatchHoldReason};

pub use config_change::ConfigChange;
pub use ledger::{Answered, EvidenceLedger, GatewayCounts, SequentialTest};

/// What people ask of a service's rollout. The object has the service's name and namespace.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "ServiceRollout",
    plural = "servicerollouts",
    namespaced,
    status = "RolloutStatus",
    category = "sluice",
    shortname = "srollout",
    derive = "PartialEq",
    derive = "Default",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Weight","type":"integer","jsonPath":".status.weight"}"#,
    printcolumn = r#"{"name":"Stable","type":"string","jsonPath":".status.stable.revision"}"#,
    printcolumn = r#"{"name":"Candidate","type":"string","jsonPath":".status.candidate.revision"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutSpec {
    /// Hold where it is; a rollback still happens.
    pub paused: bool,
    /// With `paused`: until when. Without a time, until somebody resumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub paused_until: Option<Timestamp>,
    /// What people ask for, oldest first; each is done once or refused, and answered in `status.answers`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub requests: Vec<Request>,
}

impl RolloutSpec {
    /// Whether it is to hold where it is.
    pub fn is_paused(&self, now: Timestamp) -> bool {
        self.paused && self.paused_until.is_none_or(|until| now < until)
    }
}

/// One thing a person asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Any text that no other request has.
    pub id: String,
    /// What to do.
    pub action: Action,
    /// `undo`: the revision to roll back to; the one before the present when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it is too late to carry it out; without one it waits for as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
    /// What whoever asks has seen: where it is otherwise by then, the request is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// What a request is about, as far as it matters to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// The stable revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The candidate's revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// The step that it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// The template that was rolled back last, and is not let in again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<TemplateHash>,
    /// Which attempt at it that was.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempt: u32,
}

impl Seen {
    /// What is there to be seen.
    pub fn of(
        stable: Option<&Release>,
        candidate: Option<&Release>,
        step: Option<u32>,
        newest: Option<&Quarantine>,
    ) -> Self {
        Self {
            stable: stable.and_then(|release| release.revision.clone()),
            candidate: candidate.and_then(|release| release.revision.clone()),
            step,
            quarantined: newest.map(|q| q.template_hash.clone()),
            attempt: newest.map_or(0, |q| q.attempt),
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestAnswer {
    /// The request's.
    pub id: String,
    /// What was asked for.
    pub action: Action,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was answered.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Why it was refused; absent where it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What a person can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Go on: past an approval to the next step, from anywhere else to 100 % at once.
    Promote,
    /// Roll the candidate back and quarantine it.
    Abort,
    /// Lift the quarantine of Git's present template and try it again.
    Retry,
    /// Roll back to an earlier revision and quarantine the present one.
    Undo,
}

/// The version of [`RolloutStatus`] that this release writes. It rises with a change that an agent of before cannot
/// ignore; such an agent then holds the release.
pub const MEMORY_VERSION: u32 = 1;

/// Where a service's release stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct RolloutStatus {
    /// The version of this memory; 0 before there was one.
    pub version: u32,
    /// Where the state machine is.
    pub phase: Phase,
    /// When it came there; in `Holding`, when it came to the phase that it goes on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub phase_since: Option<Timestamp>,
    /// In one sentence: what it does or waits for, or why it ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What is applied for the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expand: Option<Expand>,
    /// What serves users: 100 % less the candidate's weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<Release>,
    /// What is being let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Release>,
    /// The step of the policy, from 0; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// The candidate's share of user traffic that was last asked for, in percent.
    pub weight: u8,
    /// The traffic that was last asked for: `hello-00001 95 % #stable, hello-00002 5 % #candidate`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub traffic: String,
    /// When that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub traffic_requested_at: Option<Timestamp>,
    /// When the Route's `status.traffic` confirmed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub confirmed_at: Option<Timestamp>,
    /// Since when evidence of this weight counts: its confirmation, or the end of a time in
    /// which stable was as bad and nothing could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub analysis_started_at: Option<Timestamp>,
    /// Failed judgements one after the other.
    pub failures: u32,
    /// Why the release does not go on, in `Holding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// How the release ends, in `RollingBack` and `Promoting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_outcome: Option<PendingOutcome>,
    /// The stable revision was promoted a short while ago and is watched: a fault of it rolls back by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// The split that was found at adoption is left alone until the first release.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub preserve_adopted_traffic: bool,
    /// Whether the cluster has had Git's template: what differs since was changed by hand.
    #[serde(skip_serializing_if = "TemplateState::is_unwritten")]
    pub template: TemplateState,
    /// With `drift: Report`: the traffic that somebody changed by hand, which is left so until
    /// something else than this is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored_traffic_drift: Option<String>,
    /// The evidence of this release, newest last, one entry a step (the last of each).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<StepEvidence>,
    /// The account behind the evidence of this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<EvidenceLedger>,
    /// Past releases, newest first: the last twenty, and the last five good ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// Templates that stay out until Git changes or a person says retry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<Quarantine>,
    /// What became of requests, newest first (the last fifty).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<RequestAnswer>,
    /// What commits changed of the ConfigMaps and Secrets that the template names, since the stable revision was promoted:
    /// newest first (the last five).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config_changes: Vec<ConfigChange>,
    /// `Ready`, `Progressing`, `Degraded`, `Drifted`, `StableHealthy`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl RolloutStatus {
    /// What became of a request; `None` while it waits.
    pub fn answer(&self, id: &str) -> Option<&RequestAnswer> {
        self.answers.iter().find(|answer| answer.id == id)
    }

    /// What somebody who reads this status sees, for a request that is made from it.
    pub fn seen(&self) -> Seen {
        Seen::of(
            self.stable.as_ref(),
            self.candidate.as_ref(),
            self.step,
            self.quarantine.first(),
        )
    }
}

/// Whether the cluster has Git's template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TemplateState {
    /// It has not had it yet.
    #[default]
    Unwritten,
    /// It had it when it was looked at last.
    Written,
    /// Somebody changed it by hand, and the Delivery wants that left so.
    Left,
}

impl TemplateState {
    fn is_unwritten(&self) -> bool {
        *self == Self::Unwritten
    }
}

/// Where the state machine of a release is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Nothing was delivered yet.
    #[default]
    Pending,
    /// The very first revision is on its way: readiness and probes, then 100 %.
    Initial,
    /// Stable is being pinned to 100 % by name, before anything else changes.
    Pinning,
    /// The new template is applied; its revision is awaited, at 0 %.
    Staging,
    /// The candidate is ready and tagged; its tag URL is probed.
    Probing,
    /// The candidate has a share of user traffic, which is being judged.
    Stepping,
    /// Evidence neither passes nor fails, an approval is awaited, or a person paused it.
    Holding,
    /// Every step passed: 100 % is written, its confirmation awaited.
    Promoting,
    /// Stable gets 100 % again; its confirmation is awaited.
    RollingBack,
    /// At rest on what Git says.
    Stable,
    /// At rest on the stable revision; what Git says is quarantined.
    RolledBack,
    /// The first delivery failed: nothing stable to roll back to.
    Failed,
}

impl Phase {
    /// Nothing is on its way.
    pub fn rests(self) -> bool {
        matches!(
            self,
            Self::Pending | Self::Stable | Self::RolledBack | Self::Failed
        )
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Undo => "undo",
        })
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl std::fmt::Display for EvidenceSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Probes => "probes",
            Self::Metrics => "metrics",
            Self::SyntheticProbes => "synthetic probes",
        })
    }
}

impl std::fmt::Display for EvidenceVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// One revision, and where it came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Release {
    /// Its Revision; absent until the cluster has named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The hash of its template; absent for a revision that was there before Sluice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_hash: Option<TemplateHash>,
    /// The generation of the Configuration (or Service) that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The commit that brought its template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// That commit's first line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How often this template was tried again: a retry needs a fresh revision, which
    /// Knative makes only for a template that differs (annotation `sluice.dev/attempt`).
    #[serde(skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// When it was staged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A release that stands still, and from where it will go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The phase that it goes on with.
    pub phase: Phase,
    /// Why it stands still: the first of `gates`.
    pub reason: HoldReason,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// All that it stands still for; it goes on when the last of them opens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
}

/// One thing that a release stands still for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// What kind of thing.
    pub reason: HoldReason,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// When it opens by itself, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Why a release stands still. A failure rolls it back all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HoldReason {
    /// `spec.paused`.
    Paused,
    /// The Delivery is suspended.
    Suspended,
    /// The step asks for a person's `promote`.
    Approval,
    /// No verdict within the policy's `stepTimeout`; it goes on by itself once there is one.
    Evidence,
    /// The cluster did not confirm the traffic, or nobody there has looked at the template; it goes on
    /// by itself once somebody does.
    Unconfirmed,
    /// The stable revision is missing or not Ready; nothing goes up because of that.
    StableUnhealthy,
    /// The traffic block in Git gives the newest revision no share.
    NoShare,
    /// The service's name leaves no room for a tag that probes could go to.
    NoTag,
    /// The policy cannot be read; it goes on by itself once it can.
    Policy,
    /// The traffic block in Git cannot be used; it goes on by itself once it can.
    Traffic,
    /// The ServiceRollout cannot be read as a whole.
    Memory,
    /// Git cannot be read, and what it wants is not known any more.
    Source,
}

/// How a release ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingOutcome {
    /// The word for the history.
    pub outcome: Outcome,
    /// Why, in one sentence.
    pub reason: String,
    /// The highest weight it had, in percent.
    pub weight: u8,
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// Every step passed.
    Promoted,
    /// Rolled back, and quarantined.
    RolledBack,
    /// A newer template came while it was on its way.
    Superseded,
    /// Ended by trouble that was not its own; it begins again.
    Interrupted,
    /// Git went back to a template that is known to be good.
    Reverted,
    /// A person put an earlier revision back.
    Undone,
    /// It served before Sluice came.
    Adopted,
    /// The first delivery failed.
    Failed,
    /// The stable revision was gone: the best one left took its place.
    Restored,
}

/// What a step was judged on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepEvidence {
    /// The candidate's weight then, in percent.
    pub weight: u8,
    /// When it was judged.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What the evidence said.
    pub verdict: EvidenceVerdict,
    /// Why, with its numbers: `error rate 0.0 % of 212 (limit 1 %), p99 41 ms`.
    pub reason: String,
    /// What spoke.
    pub source: EvidenceSource,
}

/// What the evidence of a step said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EvidenceVerdict {
    /// Good enough to go on.
    Pass,
    /// Over a limit.
    Fail,
    /// Neither.
    Inconclusive,
}

/// Where the evidence of a step came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EvidenceSource {
    /// Requests to the tag URL before any user traffic.
    Probes,
    /// The gateway's counters of users' requests.
    Metrics,
    /// Our own requests through the gateway, for want of users.
    SyntheticProbes,
}

/// How one release ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// What was released.
    #[serde(flatten)]
    pub release: Release,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The highest weight it had, in percent.
    #[serde(default)]
    pub weight: u8,
    /// When it ended.
    #[schemars(with = "String")]
    pub ended_at: Timestamp,
}

/// A template that was rolled back and stays out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// Which template.
    pub template_hash: TemplateHash,
    /// The revision that was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The commit that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Which attempt it was; a retry is the next.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// The cluster refused it, and nobody judged it: the digest of the manifest that was
    /// refused. Another manifest, be it by an annotation, is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Why.
    pub reason: String,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
}
